#include <blitzio/base/error.hpp>

#include <netdb.h>

#include <system_error>

namespace blitzio {

namespace {

const char* runtime_message(RuntimeErrc code) noexcept {
  switch (code) {
    case RuntimeErrc::closed:
      return "the object is closed";
    case RuntimeErrc::invalid_argument:
      return "an argument is outside its documented range";
    case RuntimeErrc::shut_down:
      return "the executor has been shut down and takes no more work";
    case RuntimeErrc::backend_unavailable:
      return "the chosen backend cannot run on this system";
    case RuntimeErrc::cancelled:
      return "the operation was cancelled";
    case RuntimeErrc::timed_out:
      return "the deadline passed";
    case RuntimeErrc::unexpected_end:
      return "the stream ended before all of what was asked for had come";
    case RuntimeErrc::limit_exceeded:
      return "the limit on what is kept was exceeded";
    case RuntimeErrc::faults_unavailable:
      return "BLITZIO_FAULTS is set, but this build has no fault injection "
             "(it is built with -DBLITZIO_FAULTS=ON)";
    case RuntimeErrc::faults_malformed:
      return "BLITZIO_FAULTS must be pairs like \"seed=7,rate=0.05\" or \"late=1,short=0.5\"";
    case RuntimeErrc::unsupported:
      return "a setting asks for what this kernel or backend lacks";
    case RuntimeErrc::concurrency_unavailable:
      return "nothing can run at the same time as the caller: there is a single thread, or the "
             "limit is reached";
  }
  return "unknown runtime error";
}

}  // namespace

std::string Error::message() const {
  switch (domain_) {
    case ErrorDomain::os:
      return std::generic_category().message(code_);
    case ErrorDomain::resolver:
      return gai_strerror(code_);
    case ErrorDomain::runtime:
      return runtime_message(static_cast<RuntimeErrc>(code_));
  }
  return "unknown error";
}

}  // namespace blitzio

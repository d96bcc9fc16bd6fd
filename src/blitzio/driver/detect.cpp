// Which backends can run here, and making one. The only file that knows all of them.
#include <blitzio/driver/detail/config.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/driver/epoll/epoll_driver.hpp>
#include <blitzio/driver/poll/poll_driver.hpp>

#if BLITZIO_HAS_IO_URING
#include <blitzio/driver/io_uring/io_uring_driver.hpp>
#include <blitzio/driver/io_uring/probe.hpp>
#endif

#include <string>
#include <utility>

namespace blitzio::driver {

namespace {

Availability detect_io_uring() {
#if BLITZIO_HAS_IO_URING
  const io_uring::ProbeResult& found = io_uring::probe();
  return {Backend::io_uring, found.usable, found.reason,
          found.usable ? found.features.names() : std::vector<std::string>{}};
#else
  return {Backend::io_uring, false, "blitzio was built without liburing", {}};
#endif
}

using Make = Result<std::unique_ptr<Driver>> (*)(const Config& config) noexcept;

Availability detect_by_making(Backend backend, Make make) {
  const auto made = make({});
  if (made) return {backend, true, {}, {}};
  return {backend, false, std::string(name(backend)) + ": " + made.error().message(), {}};
}

Result<std::unique_ptr<Driver>> make(Backend backend, const Config& config) noexcept {
  switch (backend) {
    case Backend::io_uring:
#if BLITZIO_HAS_IO_URING
      return make_io_uring(config);
#else
      break;
#endif
    case Backend::epoll:
      return make_epoll(config);
    case Backend::poll:
      return make_poll(config);
    case Backend::automatic:
      break;
  }
  return fail(Error::runtime(RuntimeErrc::backend_unavailable));
}

}  // namespace

const std::vector<Availability>& detect() noexcept {
  static const std::vector<Availability> found = [] {
    std::vector<Availability> out;
    out.push_back(detect_io_uring());
    out.push_back(detect_by_making(Backend::epoll, &make_epoll));
    out.push_back(detect_by_making(Backend::poll, &make_poll));
    return out;
  }();
  return found;
}

Result<std::unique_ptr<Driver>> create(const Config& config) noexcept {
  if (const auto valid = validate(config); !valid) return fail(valid.error());
  if (const auto read = faults::configure_from_environment(); !read) return fail(read.error());
  if (config.backend != Backend::automatic) return make(config.backend, config);
  Error last = Error::runtime(RuntimeErrc::backend_unavailable);
  for (const Availability& candidate : detect()) {
    if (!candidate.usable) continue;
    auto made = make(candidate.backend, config);
    if (made || needs_io_uring(config) != nullptr) return made;
    last = made.error();
  }
  return fail(last);
}

}  // namespace blitzio::driver

// `Error`: a small trivial value that keeps the untouched code of whoever reported it.
#pragma once

#include <cstdint>
#include <string>

namespace blitzio {

/// Who gave the code its meaning.
enum class ErrorDomain : std::uint8_t {
  os,        ///< errno, as the kernel or libc gave it
  resolver,  ///< EAI_…, as getaddrinfo gave it
  runtime,   ///< RuntimeErrc below
};

/// Failures that the runtime itself reports.
enum class RuntimeErrc : int {
  closed = 1,               ///< the object was closed
  invalid_argument,         ///< an argument is outside its documented range
  shut_down,                ///< the executor or pool takes no more work
  backend_unavailable,      ///< the chosen driver backend cannot run here
  cancelled,                ///< the operation or task was cancelled
  timed_out,                ///< a deadline passed
  faults_unavailable,       ///< faults were asked for in a build that has none
  faults_malformed,         ///< the description of the faults to inject cannot be read
  unsupported,              ///< a setting asks for what this kernel or backend lacks
  concurrency_unavailable,  ///< there is a single thread, the caller's, or a limit is reached
  unexpected_end,           ///< a stream ended before all of what was asked for had come
  limit_exceeded,           ///< more would have to be kept than the caller allows
};

/// What went wrong: a domain and that domain's own code. Trivially copyable, 8 bytes.
class Error {
 public:
  [[nodiscard]] static constexpr Error os(int code) noexcept { return {ErrorDomain::os, code}; }
  [[nodiscard]] static constexpr Error resolver(int code) noexcept {
    return {ErrorDomain::resolver, code};
  }
  [[nodiscard]] static constexpr Error runtime(RuntimeErrc code) noexcept {
    return {ErrorDomain::runtime, static_cast<int>(code)};
  }

  [[nodiscard]] constexpr ErrorDomain domain() const noexcept { return domain_; }
  [[nodiscard]] constexpr int code() const noexcept { return code_; }
  [[nodiscard]] constexpr bool is_os(int code) const noexcept {
    return domain_ == ErrorDomain::os && code_ == code;
  }
  [[nodiscard]] constexpr bool is(RuntimeErrc code) const noexcept {
    return domain_ == ErrorDomain::runtime && code_ == static_cast<int>(code);
  }

  /// A sentence for people, as strerror, gai_strerror or the table above words it.
  [[nodiscard]] std::string message() const;

  friend constexpr bool operator==(Error, Error) noexcept = default;

 private:
  constexpr Error(ErrorDomain domain, int code) noexcept : code_(code), domain_(domain) {}

  int code_;
  ErrorDomain domain_;
};

static_assert(sizeof(Error) == 8);

}  // namespace blitzio

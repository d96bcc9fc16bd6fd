// The epoll backend: readiness/ on top of epoll(7). Works where seccomp forbids io_uring.
#pragma once

#include <blitzio/driver/driver.hpp>

#include <memory>

namespace blitzio::driver {

/// Makes an unbound epoll driver. Errors: EMFILE, ENFILE, ENOMEM.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_epoll(const Config& config) noexcept;

}  // namespace blitzio::driver

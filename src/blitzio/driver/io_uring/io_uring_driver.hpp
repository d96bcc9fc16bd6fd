// The io_uring backend's factory. How the driver works stands in driver_impl.hpp, which needs
// liburing; this header does not.
#pragma once

#include <blitzio/driver/driver.hpp>

#include <memory>

namespace blitzio::driver {

/// Makes an unbound io_uring driver.
/// Errors   invalid_argument for a Config out of range; backend_unavailable if the kernel or a
///          sandbox does not offer what the driver needs (detect() says what); os errors (EMFILE,
///          ENOMEM) from creating the ring.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_io_uring(const Config& config) noexcept;

}  // namespace blitzio::driver

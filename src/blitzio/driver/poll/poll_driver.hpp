// The poll backend: readiness/ on top of poll(2). For systems and sandboxes without epoll, and a
// second opinion in tests; costs O(waiting descriptors) per turn.
#pragma once

#include <blitzio/driver/driver.hpp>

#include <memory>

namespace blitzio::driver {

/// Makes an unbound poll driver. Errors: EMFILE, ENFILE, ENOMEM.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_poll(const Config& config) noexcept;

}  // namespace blitzio::driver

// What config.cpp tells the rest of the folder.
#pragma once

#include <blitzio/driver/driver.hpp>

namespace blitzio::driver {

/// The first field that asks for what only io_uring has; null if there is none.
[[nodiscard]] const char* needs_io_uring(const Config& config) noexcept;

}  // namespace blitzio::driver

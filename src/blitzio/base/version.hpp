// The version of the library: that of CMake's project(), which tests/repo compares.
#pragma once

#include <string_view>

namespace blitzio {

struct Version {
  unsigned major_number;
  unsigned minor_number;
  unsigned patch_number;
  std::string_view text;
};
inline constexpr Version kVersion{0, 1, 0, "0.1.0"};

}  // namespace blitzio

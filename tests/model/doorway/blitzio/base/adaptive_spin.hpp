// `AdaptiveSpin` without a look: what it would see, those who go to sleep see as well.
#pragma once

namespace blitzio {

class AdaptiveSpin {
 public:
  template <class Condition>
  // NOLINTNEXTLINE(readability-convert-member-functions-to-static): as the real one.
  [[nodiscard]] bool until(Condition&& /*is_over*/) noexcept {
    return false;
  }
};

}  // namespace blitzio

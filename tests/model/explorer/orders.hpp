// What a memory order has in it, and places in the source where one is named: a `Site` can be
// weakened, to see whether a scenario needs it.
#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::model {

using Where = std::source_location;

[[nodiscard]] constexpr bool is_acquire(std::memory_order order) noexcept {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst || order == std::memory_order_consume;
}
[[nodiscard]] constexpr bool is_release(std::memory_order order) noexcept {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}
[[nodiscard]] constexpr bool is_seq_cst(std::memory_order order) noexcept {
  return order == std::memory_order_seq_cst;
}

/// What stands at a place that names an order.
enum class Access : std::uint8_t { load, store, exchange, failure };

[[nodiscard]] const char* name(std::memory_order order) noexcept;
[[nodiscard]] const char* name(Access access) noexcept;
/// `file.hpp:12`
[[nodiscard]] std::string short_name(const Where& where);

/// An order at a place, and a weaker one that shall be used there instead.
struct Weakening {
  std::string file;      ///< how its path ends
  std::string function;  ///< text in the function's name
  Access access = Access::load;
  std::memory_order from = std::memory_order_seq_cst;
  std::memory_order to = std::memory_order_relaxed;
  unsigned line = 0;  ///< 0: any

  [[nodiscard]] bool applies(const Where& where, Access kind, std::memory_order order) const;
  [[nodiscard]] std::string text() const;
};

/// The next weaker orders.
[[nodiscard]] std::vector<std::memory_order> weaker(Access access, std::memory_order order);

}  // namespace blitzio::model

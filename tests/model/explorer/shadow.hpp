// `Shadow`: who touched which plain memory last, so that two accesses of which at least one writes,
// and of which neither happens before the other, are found: data races. Also what was freed.
//
// The code under test is compiled with the thread sanitizer's instrumentation, but linked with the
// functions of plain.cpp instead of its runtime: they see every access.
#pragma once

#include <model/explorer/execution.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace blitzio::model {

class Execution::Shadow {
 public:
  /// An access to some of the eight bytes of a granule.
  struct Record {
    std::uint32_t time = 0;
    std::uint8_t bytes = 0;  ///< mask
    std::uint8_t thread = 0;
    bool is_write = false;
    bool is_free = false;  ///< it was not an access, but the end of the memory
    const void* code = nullptr;
  };

  /// Forgets everything.
  void reset() noexcept { ++epoch_; }

  /// Records an access to one granule. Returns the earlier one that it races with, if any.
  [[nodiscard]] const Record* add(std::uintptr_t granule, const Record& access, const Clock& clock);

 private:
  // What does not fit is forgotten: a race may be missed then, none is invented.
  static constexpr std::size_t kRecords = 8;
  static constexpr std::size_t kCells = std::size_t{1} << 15;
  struct Cell {
    std::uintptr_t granule = 0;
    std::uint32_t epoch = 0;
    std::uint32_t count = 0;
    std::array<Record, kRecords> records;
  };

  Cell& cell_of(std::uintptr_t granule);

  std::vector<Cell> cells_ = std::vector<Cell>(kCells);
  std::uint32_t epoch_ = 0;
  Record found_;
};

}  // namespace blitzio::model

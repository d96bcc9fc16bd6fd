// `FileTable`: the descriptors that a ring knows by their number, so that it need not look them up
// with each request. Slot n holds descriptor n, or nothing.
//
//               attach              detach
//     empty ───────────▶ known ───────────────▶ empty         the ring can be reached
//       │                  │ detach
//       │ attach           ▼
//       └──▶ wanted      stale ──attach──▶ wanted             it cannot: until sync()
//
// known   requests for the descriptor use the slot.
// wanted  the ring does not know it yet.
// stale   the ring still knows a file that was detached.
//
// Threads: the driver's owner, or its only user while it is unbound.
#pragma once

#include <blitzio/driver/io_uring/ring.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace blitzio::driver::io_uring {

class FileTable {
 public:
  /// Whether requests for `fd` shall name its slot.
  [[nodiscard]] bool has(int fd) const noexcept {
    const auto index = static_cast<std::size_t>(fd);
    return fd >= 0 && index < slots_.size() && slots_[index] == Slot::known;
  }
  /// `ring` is null while it cannot be reached. A descriptor for which there is no room, or that
  /// the kernel refuses, is used as any other.
  void attach(Ring* ring, int fd) noexcept;
  void detach(Ring* ring, int fd) noexcept;
  /// Makes a table in a ring that has none.
  /// Errors   what registering gives.
  [[nodiscard]] Result<void> open(Ring& ring) noexcept;
  /// The ring that knew them is gone.
  void forget() noexcept;
  /// Brings the ring up to date; it can be reached again.
  void sync(Ring& ring) noexcept;

 private:
  enum class Slot : std::uint8_t { empty, known, wanted, stale };

  // Tells the ring; false if it refuses.
  static bool update(Ring& ring, std::size_t index, int fd) noexcept;

  std::vector<Slot> slots_;
};

}  // namespace blitzio::driver::io_uring

// `BufferRing`: the memory that recv_multishot and read_multishot receive into, shared by all
// connections and pipes of a driver.
//
// Idle connections hold no buffer: the kernel takes one from this ring when bytes arrive, the
// driver puts it back as soon as the completion function has returned.
//
// The ring has room for `buffer_count_max` buffers from the start (16 bytes each), the buffers come
// in slabs: the first of `buffer_count`, every later one as large as all before it, so growing
// never moves a buffer that is in use. A buffer id names its slab by its highest bit.
//
//   ids   0 … n-1 │ n … 2n-1 │ 2n … 4n-1 │ …
//   slab     0    │    1     │     2     │ …
//
// Most arrivals are small and lie at the front of their buffer. If all fronts were whole pages
// apart they would push one another out of the nearest cache, so larger buffers are shifted
// (docs/design/reads.md). For the same reason the first slab is small: the kernel takes the buffers
// in turn, so all there are pass through the cache.
//
// Owner thread only. The kernel reads the ring's memory whenever a receive is served.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/driver/io_uring/ring.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace blitzio::driver::io_uring {

/// An anonymous mapping: page aligned, zero until touched.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  [[nodiscard]] bool map(std::size_t bytes) noexcept;
  [[nodiscard]] std::byte* data() const noexcept { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class BufferRing {
 public:
  /// All three powers of two; `count` ≤ `count_max` ≤ 32,768.
  BufferRing(std::uint32_t buffer_bytes, std::uint32_t count, std::uint32_t count_max) noexcept;

  /// Whether a ring knows the buffers.
  [[nodiscard]] bool is_attached() const noexcept { return attached_; }
  /// Gives the buffers to `ring`, all but those marked in `held` (by id; may be shorter), which
  /// hold bytes that nobody has read yet. Allocates the first slab.
  /// Errors   ENOMEM; what registering gives.
  [[nodiscard]] Result<void> attach(Ring& ring, const std::vector<bool>& held) noexcept;
  /// The ring that knew them is gone.
  void detach() noexcept { attached_ = false; }

  [[nodiscard]] std::span<const std::byte> view(std::uint16_t id,
                                                std::size_t bytes) const noexcept {
    return {address_of(id), bytes};
  }
  /// Gives a buffer back to the kernel.
  void recycle(std::uint16_t id) noexcept {
    add(id);
    publish();
  }
  /// Doubles the number of buffers.
  /// Returns  how many came; 0 at the limit or without memory.
  std::uint32_t grow() noexcept;
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

 private:
  static constexpr std::size_t kSlabsMax = 17;

  [[nodiscard]] std::byte* address_of(std::uint16_t id) const noexcept;
  void add(std::uint16_t id) noexcept;
  void publish() noexcept;

  std::uint32_t buffer_bytes_;
  std::size_t stride_;  ///< from one buffer of a slab to the next
  std::uint32_t first_;
  std::uint32_t count_max_;
  std::uint32_t count_ = 0;
  std::size_t slab_count_ = 0;
  std::uint16_t tail_ = 0;
  bool attached_ = false;
  Mapping entries_;
  std::array<Mapping, kSlabsMax> slabs_;
};

}  // namespace blitzio::driver::io_uring

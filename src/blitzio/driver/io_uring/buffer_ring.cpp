#include <blitzio/driver/io_uring/buffer_ring.hpp>

#include <blitzio/base/check.hpp>
#include <blitzio/driver/io_uring/prepare.hpp>

#include <sys/mman.h>

#include <atomic>
#include <bit>

namespace blitzio::driver::io_uring {

namespace {

// What the sets of the nearest cache divide among themselves, and the part of it that the bytes of
// a small arrival take.
constexpr std::size_t kSetsBytes = 4096;
constexpr std::size_t kShiftBytes = 1024;

}  // namespace

BufferRing::BufferRing(std::uint32_t buffer_bytes, std::uint32_t count,
                       std::uint32_t count_max) noexcept
    : buffer_bytes_(buffer_bytes),
      stride_(buffer_bytes + (buffer_bytes % kSetsBytes == 0 ? kShiftBytes : 0)),
      first_(count),
      count_max_(count_max) {}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

bool Mapping::map(std::size_t bytes) noexcept {
  BLITZIO_CHECK(data_ == nullptr);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  data_ = static_cast<std::byte*>(memory);
  bytes_ = bytes;
  return true;
}

Result<void> BufferRing::attach(Ring& ring, const std::vector<bool>& held) noexcept {
  BLITZIO_CHECK(!attached_);
  if (entries_.data() == nullptr && !entries_.map(count_max_ * sizeof(io_uring_buf))) {
    return fail(Error::os(ENOMEM));
  }
  if (count_ == 0) {
    if (!slabs_[0].map(first_ * stride_)) return fail(Error::os(ENOMEM));
    slab_count_ = 1;
    count_ = first_;
  }
  // A registration starts with an empty ring: the kernel's head is zero.
  tail_ = 0;
  publish();
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries_.data());
  registration.ring_entries = count_max_;
  registration.bgid = kBufferGroup;
  if (const int result = io_uring_register_buf_ring(&ring.raw(), &registration, 0); result < 0) {
    return fail(Error::os(-result));
  }
  for (std::uint32_t id = 0; id < count_; ++id) {
    if (id >= held.size() || !held[id]) add(static_cast<std::uint16_t>(id));
  }
  publish();
  attached_ = true;
  return {};
}

std::uint32_t BufferRing::grow() noexcept {
  BLITZIO_CHECK(attached_);
  if (count_ >= count_max_) return 0;
  const std::uint32_t added = count_;
  BLITZIO_CHECK(slab_count_ < kSlabsMax);
  if (!slabs_[slab_count_].map(added * stride_)) return 0;
  ++slab_count_;
  count_ += added;
  for (std::uint32_t id = added; id < count_; ++id) add(static_cast<std::uint16_t>(id));
  publish();
  return added;
}

std::byte* BufferRing::address_of(std::uint16_t id) const noexcept {
  BLITZIO_CHECK(id < count_, id, count_);
  BLITZIO_CHECK(first_ > 0);
  if (id < first_) return slabs_[0].data() + id * stride_;
  // Slab k ≥ 1 starts at id first_ << (k - 1).
  const auto slab = static_cast<std::size_t>(std::bit_width(id / first_));
  const std::uint32_t index = id - (first_ << (slab - 1));
  return slabs_[slab].data() + index * stride_;
}

void BufferRing::add(std::uint16_t id) noexcept {
  // The array's first element overlaps the tail in its unused last field, so fields are written one
  // by one.
  io_uring_buf& entry = reinterpret_cast<io_uring_buf*>(entries_.data())[tail_ & (count_max_ - 1)];
  entry.addr = reinterpret_cast<std::uintptr_t>(address_of(id));
  entry.len = buffer_bytes_;
  entry.bid = id;
  ++tail_;
}

void BufferRing::publish() noexcept {
  auto* ring = reinterpret_cast<io_uring_buf_ring*>(entries_.data());
  // Release: pairs with the kernel's acquire of the tail; the entries before it are filled.
  std::atomic_ref(ring->tail).store(tail_, std::memory_order_release);
}

}  // namespace blitzio::driver::io_uring

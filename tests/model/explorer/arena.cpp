#include <model/explorer/arena.hpp>

#include <model/explorer/execution.hpp>

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace blitzio::model::arena {

bool is_open = false;

namespace {

constexpr std::size_t kBytes = std::size_t{64} << 20;
constexpr std::size_t kGranule = 16;

// Stands before each block; the next header follows the block.
struct alignas(kGranule) Header {
  std::size_t size;  // asked for
  bool is_live;
};

std::byte* begin = nullptr;
std::size_t used = 0;
std::size_t live = 0;

[[nodiscard]] std::size_t rounded(std::size_t size) noexcept {
  return (size + kGranule - 1) / kGranule * kGranule;
}

[[nodiscard]] bool owns(const void* address) noexcept {
  const auto* at = static_cast<const std::byte*>(address);
  return begin != nullptr && at >= begin && at < begin + kBytes;
}

Header& add(std::size_t size) {
  if (begin == nullptr) {
    void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    begin = static_cast<std::byte*>(memory);
  }
  if (kBytes - used < sizeof(Header) + rounded(size)) std::abort();
  auto& header = *reinterpret_cast<Header*>(begin + used);
  header = {.size = size, .is_live = false};
  used += sizeof(Header) + rounded(size);
  return header;
}

void* allocate(std::size_t size, std::size_t alignment) {
  const std::size_t at = used + sizeof(Header);
  if (alignment > kGranule && at % alignment != 0) {
    // A dead block fills the gap, so that headers follow each other.
    const std::size_t wanted = (at + sizeof(Header) + alignment - 1) / alignment * alignment;
    add(wanted - at - sizeof(Header));
  }
  Header& header = add(size);
  header.is_live = true;
  ++live;
  void* memory = &header + 1;
  std::memset(memory, 0xcd, size);
  return memory;
}

void release(void* memory) noexcept {
  Header& header = static_cast<Header*>(memory)[-1];
  Execution* execution = Execution::active();
  const Closed closed;
  if (!header.is_live) {
    if (execution != nullptr) execution->fail("memory is freed twice");
    std::abort();
  }
  if (execution != nullptr) execution->freed(memory, header.size);
  header.is_live = false;
  --live;
  std::memset(memory, 0xdd, header.size);
}

}  // namespace

void reset() noexcept {
  used = 0;
  live = 0;
}

Leaks leaks() noexcept {
  Leaks leaks{.count = live, .first = {}};
  for (std::size_t at = 0; at < used; ++leaks.first.number) {
    const auto& header = *reinterpret_cast<const Header*>(begin + at);
    leaks.first.size = header.size;
    if (header.is_live) break;
    at += sizeof(Header) + rounded(header.size);
  }
  return leaks;
}

}  // namespace blitzio::model::arena

// ---- the replaced operators ------------------------------------------------------------------

namespace arena = blitzio::model::arena;

void* operator new(std::size_t size, std::align_val_t alignment) {
  if (arena::is_open) return arena::allocate(size, static_cast<std::size_t>(alignment));
  void* memory = nullptr;
  if (::posix_memalign(&memory, static_cast<std::size_t>(alignment), size) != 0) {
    throw std::bad_alloc();
  }
  return memory;
}
void* operator new(std::size_t size) {
  if (arena::is_open) return arena::allocate(size, arena::kGranule);
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t size) {
  return operator new(size);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return operator new(size, alignment);
}
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return operator new(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return operator new(size);
}

void operator delete(void* memory) noexcept {
  if (arena::owns(memory)) {
    arena::release(memory);
  } else {
    std::free(memory);
  }
}
void operator delete[](void* memory) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, std::align_val_t /*alignment*/) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, std::size_t /*size*/,
                       std::align_val_t /*alignment*/) noexcept {
  operator delete(memory);
}

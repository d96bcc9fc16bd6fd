#include "allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

// Relaxed everywhere: counters that are read when the threads that count have been joined, or wait.
std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> bytes{0};

void* counted(void* memory, std::size_t size) {
  if (memory == nullptr) throw std::bad_alloc();
  calls.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(size, std::memory_order_relaxed);
  return memory;
}

}  // namespace

// The other forms of new and delete are made of these by the standard library.
void* operator new(std::size_t size) {
  return counted(std::malloc(size), size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(unit, (size + unit - 1) / unit * unit), size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}

namespace blitzio::bench {

void reset_allocations() noexcept {
  calls.store(0, std::memory_order_relaxed);
  bytes.store(0, std::memory_order_relaxed);
}

Allocations allocations() noexcept {
  return {calls.load(std::memory_order_relaxed), bytes.load(std::memory_order_relaxed)};
}

}  // namespace blitzio::bench

// `SpareBytes`: the `bytes` of messages that nobody refers to any more, kept to be filled anew.
//
// A message of more than some hundred bytes is beyond the interpreter's own allocator, and one of a
// KiB beyond the quick part of libc's: making and freeing it was a seventh of the instructions of
// an echo. Most messages are dropped where they came from or left: when data_received() returns, or
// when the kernel has taken them. What is then referred to by nobody else may be changed, as
// _PyBytes_Resize() does.
//
// Kept by size in powers of two, on a stack that is linked through the messages' own memory. Of
// each size only as many are kept as were missing until now, kBytesMax / size at most: together
// less than 1.4 MiB, until the loop is closed.
//
// Protected by the interpreter lock. Free-threaded builds keep none: there a reference count of one
// does not say that nobody else is about to take a reference.
#pragma once

#include <blitzio/base/check.hpp>
#include <python/support/ft.hpp>
#include <python/support/py_ref.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace blitzio::python {

class SpareBytes {
 public:
  SpareBytes() noexcept = default;
  SpareBytes(const SpareBytes&) = delete;
  SpareBytes& operator=(const SpareBytes&) = delete;
  ~SpareBytes() { clear(); }

  /// A `bytes` of what `data` says, a new reference. Null with MemoryError set.
  [[nodiscard]] PyObject* make(std::span<const std::byte> data) noexcept {
    PyObject* bytes = take(data.size());
    if (BLITZIO_LIKELY(bytes != nullptr)) {
      std::memcpy(PyBytes_AS_STRING(bytes), data.data(), data.size());
      return bytes;
    }
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(data.data()),
                                     static_cast<Py_ssize_t>(data.size()));
  }

  /// Gives up a reference to `bytes`, exactly a `bytes`, and keeps it if that was the last.
  void drop(PyObject* bytes) noexcept {
    BLITZIO_DCHECK(PyBytes_CheckExact(bytes));
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(bytes));
    if (!is_kept(size) || Py_REFCNT(bytes) != 1) return Py_DECREF(bytes);
    Stack& stack = stack_of(size);
    if (stack.count >= stack.count_max) return Py_DECREF(bytes);
    set_next(bytes, std::exchange(stack.top, bytes));
    ++stack.count;
  }

  /// Frees all that it holds.
  void clear() noexcept {
    for (Stack& stack : stacks_) {
      while (stack.top != nullptr) Py_DECREF(pop(stack));
    }
  }

 private:
  static constexpr std::size_t kSizeMin = 512;
  static constexpr std::size_t kSizeMax = 16 * 1024;
  static constexpr std::size_t kBytesMax = 128 * 1024;  // Of each stack, if of its smallest size.
  static constexpr int kSmallestWidth = std::bit_width(kSizeMin);

  struct Stack {
    PyObject* top = nullptr;
    std::uint32_t count = 0;
    std::uint32_t count_max = 0;  ///< as many as were missing until now, within kBytesMax
  };

  [[nodiscard]] static bool is_kept(std::size_t size) noexcept {
    return !kFreeThreaded && size >= kSizeMin && size <= kSizeMax;
  }
  [[nodiscard]] Stack& stack_of(std::size_t size) noexcept {
    return stacks_[static_cast<std::size_t>(std::bit_width(size) - kSmallestWidth)];
  }
  static void set_next(PyObject* bytes, PyObject* next) noexcept {
    std::memcpy(PyBytes_AS_STRING(bytes), static_cast<const void*>(&next), sizeof(PyObject*));
  }
  static PyObject* pop(Stack& stack) noexcept {
    PyObject* bytes = stack.top;
    std::memcpy(static_cast<void*>(&stack.top), PyBytes_AS_STRING(bytes), sizeof(PyObject*));
    --stack.count;
    return bytes;
  }

  /// One that has room for `size`, its content unspecified; null without an error set: none.
  [[nodiscard]] PyObject* take(std::size_t size) noexcept {
    if (!is_kept(size)) return nullptr;
    Stack& stack = stack_of(size);
    if (stack.top == nullptr) {
      stack.count_max = std::min<std::uint32_t>(
          stack.count_max + 1, static_cast<std::uint32_t>(kBytesMax / std::bit_floor(size)));
      return nullptr;
    }
    PyObject* bytes = pop(stack);
    // What it has room for is no more than what it held last.
    if (static_cast<std::size_t>(PyBytes_GET_SIZE(bytes)) < size) {
      Py_DECREF(bytes);
      return nullptr;
    }
    Py_SET_SIZE(reinterpret_cast<PyVarObject*>(bytes), static_cast<Py_ssize_t>(size));
    PyBytes_AS_STRING(bytes)[size] = '\0';
    forget_hash(bytes);
    return bytes;
  }
  static void forget_hash(PyObject* bytes) noexcept {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    reinterpret_cast<PyBytesObject*>(bytes)->ob_shash = -1;
#pragma GCC diagnostic pop
  }

  std::array<Stack, std::bit_width(kSizeMax) - kSmallestWidth + 1> stacks_;
};

}  // namespace blitzio::python

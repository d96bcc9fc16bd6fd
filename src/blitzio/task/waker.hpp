// `Waker`: 16 bytes that know how to get something scheduled again.
#pragma once

#include <blitzio/base/cache_line.hpp>
#include <blitzio/base/platform.hpp>

#include <cstdint>
#include <utility>

namespace blitzio {

/// What a Waker does with its data pointer. All functions may run on any thread and must not throw.
struct WakerVTable {
  void* (*clone)(void* data) noexcept;       ///< returns the data pointer of the new waker
  void (*wake)(void* data) noexcept;         ///< wakes and consumes the waker's share of `data`
  void (*wake_by_ref)(void* data) noexcept;  ///< wakes, consumes nothing
  void (*drop)(void* data) noexcept;         ///< gives back the waker's share of `data`
};

/// Owning handle of a wake-up. Waking is idempotent until the woken side runs: any number of wakes
/// before it does cost one run. An empty Waker (default constructed or consumed) does nothing.
///
/// Thread: a Waker may be used and destroyed on any thread, one thread at a time.
class Waker {
 public:
  constexpr Waker() noexcept = default;
  constexpr Waker(void* data, const WakerVTable* vtable) noexcept : data_(data), vtable_(vtable) {}
  Waker(Waker&& other) noexcept
      : data_(other.data_), vtable_(std::exchange(other.vtable_, nullptr)) {}
  Waker& operator=(Waker&& other) noexcept {
    if (this != &other) {
      reset();
      data_ = other.data_;
      vtable_ = std::exchange(other.vtable_, nullptr);
    }
    return *this;
  }
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  ~Waker() { reset(); }

  /// A second waker for the same target.
  [[nodiscard]] Waker clone() const noexcept {
    return vtable_ == nullptr ? Waker{} : Waker{vtable_->clone(data_), vtable_};
  }
  /// Wakes and becomes empty; cheaper than wake_by_ref() and destruction.
  void wake() noexcept {
    if (const auto* vtable = std::exchange(vtable_, nullptr)) vtable->wake(data_);
  }
  void wake_by_ref() const noexcept {
    if (vtable_ != nullptr) vtable_->wake_by_ref(data_);
  }
  /// Whether both wake the same target, so that a stored waker need not be replaced. May say no
  /// for equal targets, never yes for different ones.
  [[nodiscard]] bool will_wake_same(const Waker& other) const noexcept {
    return data_ == other.data_ && vtable_ == other.vtable_;
  }
  [[nodiscard]] bool is_empty() const noexcept { return vtable_ == nullptr; }
  /// Says that it will be used soon: what it wakes, mostly a task and its future, should come into
  /// the cache.
  void prefetch() const noexcept {
    BLITZIO_PREFETCH(data_);
    BLITZIO_PREFETCH(
        reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(data_) + kCacheLineBytes));
  }
  void reset() noexcept {
    if (const auto* vtable = std::exchange(vtable_, nullptr)) vtable->drop(data_);
  }

 private:
  void* data_ = nullptr;
  const WakerVTable* vtable_ = nullptr;
};

static_assert(sizeof(Waker) == 2 * sizeof(void*));

namespace detail {

/// A waker that borrows the share its user holds: it is never destroyed, so it gives none back.
class BorrowedWaker {
 public:
  constexpr BorrowedWaker(void* data, const WakerVTable* vtable) noexcept : waker_(data, vtable) {}
  BorrowedWaker(const BorrowedWaker&) = delete;
  BorrowedWaker& operator=(const BorrowedWaker&) = delete;
  ~BorrowedWaker() {}
  [[nodiscard]] const Waker& get() const noexcept { return waker_; }

 private:
  union {
    Waker waker_;
  };
};

}  // namespace detail

/// What a future is given when it is polled.
class Context {
 public:
  /// `waker` outlives the context.
  explicit constexpr Context(const Waker& waker) noexcept : waker_(&waker) {}
  [[nodiscard]] const Waker& waker() const noexcept { return *waker_; }

 private:
  const Waker* waker_;
};

}  // namespace blitzio

// `lock_owned`, `acquire_owned` and their like: guards and permits that keep what they hold alive.
//
//     auto limit = std::make_shared<sync::Semaphore>(10);
//     auto permit = co_await sync::acquire_owned(limit);
//     spawn(work(std::move(permit)));  // whatever becomes of `limit`
//
// The guards of mutex.hpp, rw_lock.hpp and semaphore.hpp refer to a primitive that outlives them.
// These here share it, and go into a task or a container without a word about whose it is.
//
// Threads: any; a guard by one at a time.
#pragma once

#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::sync {

/// A Guard, and the Primitive that it holds: `->` is the guard.
template <class Primitive, class Guard>
class [[nodiscard]] Owned {
 public:
  Owned(std::shared_ptr<Primitive> primitive, Guard guard) noexcept
      : primitive_(std::move(primitive)), guard_(std::move(guard)) {}
  Owned(Owned&&) noexcept = default;
  Owned& operator=(Owned&& other) noexcept {
    // Gives back what it holds before that may go.
    guard_ = std::move(other.guard_);
    primitive_ = std::move(other.primitive_);
    return *this;
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() = default;

  [[nodiscard]] Guard* operator->() noexcept { return &guard_; }
  [[nodiscard]] const Guard* operator->() const noexcept { return &guard_; }
  [[nodiscard]] Guard& operator*() noexcept { return guard_; }
  /// What it holds; null once moved from.
  [[nodiscard]] const std::shared_ptr<Primitive>& primitive() const noexcept { return primitive_; }

 private:
  std::shared_ptr<Primitive> primitive_;
  Guard guard_;  // goes first
};

using OwnedPermit = Owned<Semaphore, Permit>;
using OwnedMutexGuard = Owned<Mutex, MutexGuard>;
using OwnedReadGuard = Owned<RwLock, RwLock::ReadGuard>;
using OwnedWriteGuard = Owned<RwLock, RwLock::WriteGuard>;

namespace detail {

template <class Primitive, class Guard>
Owned<Primitive, Guard> make_owned(std::shared_ptr<Primitive> primitive, Guard guard) noexcept {
  return {std::move(primitive), std::move(guard)};
}
template <class Primitive, class Guard>
Result<Owned<Primitive, Guard>> make_owned(std::shared_ptr<Primitive> primitive,
                                           Result<Guard> guard) noexcept {
  if (!guard) return fail(guard.error());
  return Owned<Primitive, Guard>(std::move(primitive), std::move(*guard));
}

/// Waits as `F` does, which refers to the primitive.
template <class Primitive, Future F>
class [[nodiscard]] OwnedWait {
 public:
  using Output =
      decltype(make_owned(std::declval<std::shared_ptr<Primitive>>(), std::declval<OutputOf<F>>()));
  OwnedWait(std::shared_ptr<Primitive> primitive, F wait) noexcept
      : primitive_(std::move(primitive)), wait_(std::move(wait)) {}

  Poll<Output> poll(Context& context) noexcept {
    auto answer = wait_.poll(context);
    if (answer.is_pending()) return pending;
    return Output(make_owned(primitive_, std::move(answer).take()));
  }

 private:
  std::shared_ptr<Primitive> primitive_;
  F wait_;  // goes first
};

}  // namespace detail

/// Semaphore::acquire() with a permit that keeps the semaphore.
/// Returns  future of Result<OwnedPermit>.
/// Errors, Cancel   as there.   Cost   as there, and the count of the shared_ptr.
[[nodiscard]] inline auto acquire_owned(std::shared_ptr<Semaphore> semaphore,
                                        std::uint32_t count = 1) noexcept {
  auto wait = semaphore->acquire(count);
  return detail::OwnedWait(std::move(semaphore), std::move(wait));
}
/// Semaphore::try_acquire() with a permit that keeps the semaphore; empty if there are too few.
[[nodiscard]] inline std::optional<OwnedPermit> try_acquire_owned(
    std::shared_ptr<Semaphore> semaphore, std::uint32_t count = 1) noexcept {
  if (!semaphore->try_acquire(count)) return std::nullopt;
  Permit permit = semaphore->adopt(count);
  return OwnedPermit(std::move(semaphore), std::move(permit));
}

/// Mutex::lock() with a guard that keeps the mutex.   Returns  future of OwnedMutexGuard.
[[nodiscard]] inline auto lock_owned(std::shared_ptr<Mutex> mutex) noexcept {
  auto wait = mutex->lock();
  return detail::OwnedWait(std::move(mutex), std::move(wait));
}
/// The same, now; empty if somebody holds it or waits.
[[nodiscard]] inline std::optional<OwnedMutexGuard> try_lock_owned(
    std::shared_ptr<Mutex> mutex) noexcept {
  if (!mutex->try_lock()) return std::nullopt;
  MutexGuard guard = mutex->adopt();
  return OwnedMutexGuard(std::move(mutex), std::move(guard));
}

/// RwLock::read() with a guard that keeps the lock.   Returns  future of OwnedReadGuard.
[[nodiscard]] inline auto read_owned(std::shared_ptr<RwLock> lock) noexcept {
  auto wait = lock->read();
  return detail::OwnedWait(std::move(lock), std::move(wait));
}
/// The same, now; empty if a writer holds it or somebody waits.
[[nodiscard]] inline std::optional<OwnedReadGuard> try_read_owned(
    std::shared_ptr<RwLock> lock) noexcept {
  if (!lock->try_read()) return std::nullopt;
  RwLock::ReadGuard guard = lock->adopt_read();
  return OwnedReadGuard(std::move(lock), std::move(guard));
}

/// RwLock::write() with a guard that keeps the lock.   Returns  future of OwnedWriteGuard.
[[nodiscard]] inline auto write_owned(std::shared_ptr<RwLock> lock) noexcept {
  auto wait = lock->write();
  return detail::OwnedWait(std::move(lock), std::move(wait));
}
/// The same, now; empty if somebody holds it.
[[nodiscard]] inline std::optional<OwnedWriteGuard> try_write_owned(
    std::shared_ptr<RwLock> lock) noexcept {
  if (!lock->try_write()) return std::nullopt;
  RwLock::WriteGuard guard = lock->adopt_write();
  return OwnedWriteGuard(std::move(lock), std::move(guard));
}

}  // namespace blitzio::sync

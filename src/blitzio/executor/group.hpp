// `Group`: tasks that belong together: they end before the group's wait does, and if one fails the
// others are cancelled.
//
//     Group group(runtime);
//     for (const Url& url : urls) group.spawn(fetch(url));
//     co_await group.wait();                        // all have ended; throws what the first threw
//
// A task is a child from spawn() until its future is gone: returned, thrown or dropped. What
// happens with the group:
//
//     a child throws         the others are cancelled; wait() throws that exception when all have
//                            ended. What further children throw reaches their own handles only.
//     a child is cancelled   through its handle: nothing. That is an end like any other.
//     cancel()               every child is cancelled, and each later one from its start.
//     the group is dropped   as cancel(). It does not wait, since it may be a worker that drops it:
//                            children must own what they use, or the group must be waited for.
//
// After a failure or a cancel() the group stays cancelled.
//
// Threads: any. The children share the group's state and so may outlive the object.
#pragma once

#include <blitzio/executor/group_state.hpp>
#include <blitzio/executor/runtime.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace blitzio {

namespace detail {

/// A child's future. Lives in its task, and is made there.
template <Future F>
class GroupChild {
 public:
  using Output = OutputOf<F>;

  GroupChild(F future, std::shared_ptr<GroupState> group,
             Task& task) noexcept(std::is_nothrow_move_constructible_v<F>)
      : member_(std::move(group), task), future_(std::move(future)) {}
  GroupChild(const GroupChild&) = delete;
  GroupChild& operator=(const GroupChild&) = delete;

  Poll<Output> poll(Context& context) {
    try {
      return future_.poll(context);
    } catch (...) {
      member_.fail(std::current_exception());
      throw;
    }
  }

 private:
  GroupMember member_;  // before the future, so that the child leaves when that is gone
  F future_;
};

}  // namespace detail

/// Tasks of a runtime that end together. Thread: any.
class Group {
 public:
  /// A future of void.
  using Wait = detail::GroupWait;
  /// The handle of a child. Unlike others it may be ignored: the group has the child.
  template <class T>
  class Child : public JoinHandle<T> {
   public:
    explicit Child(JoinHandle<T> handle) noexcept : JoinHandle<T>(std::move(handle)) {}
  };

  /// Its children run on `runtime`, which must be there at every spawn.
  explicit Group(Runtime& runtime) : runtime_(&runtime) {}
  /// On the current runtime; there must be one.
  Group();
  Group(Group&&) noexcept = default;
  Group& operator=(Group&&) = delete;
  ~Group() {
    if (state_ != nullptr) state_->cancel();
  }

  /// Starts `future` as a child: whenever and wherever its runtime has room, as Runtime::spawn().
  /// Returns  a JoinHandle; dropping it leaves the child to the group.
  /// Cost     one allocation.
  template <Future F>
    requires(!std::is_lvalue_reference_v<F>)
  Child<OutputOf<F>> spawn(F future) {
    return Child<OutputOf<F>>(runtime_->spawn_made(maker(std::move(future))));
  }
  template <std::invocable F>
    requires(!Future<F>)
  auto spawn(F function) {
    return spawn(detail::CallFuture<F>(std::move(function)));
  }

  /// As spawn(), but the child gets ahead while its spawner runs, as Runtime::concurrent().
  /// Errors   concurrency_unavailable.
  template <Future F>
    requires(!std::is_lvalue_reference_v<F>)
  Result<Child<OutputOf<F>>> concurrent(F future) {
    auto handle = runtime_->concurrent_made(maker(std::move(future)));
    if (!handle) return blitzio::fail(handle.error());
    return Child<OutputOf<F>>(std::move(*handle));
  }
  template <std::invocable F>
    requires(!Future<F>)
  auto concurrent(F function) {
    return concurrent(detail::CallFuture<F>(std::move(function)));
  }

  /// Waits until there is no child. More may be spawned afterwards.
  /// Returns  future of void; throws what the first child that failed threw.
  /// Cancel   dropping the future leaves the children alone.
  /// Cost     never allocates.
  [[nodiscard]] Wait wait() noexcept;
  /// The same for a thread that may block; not on a worker.
  void blocking_wait();

  /// Asks every child to end. Idempotent; returns at once.
  void cancel() noexcept { state_->cancel(); }
  /// Whether cancel() was called or a child has failed.
  [[nodiscard]] bool cancel_requested() const noexcept { return state_->is_cancelled(); }
  /// Children that have not ended.
  [[nodiscard]] std::size_t pending_count() const noexcept { return state_->child_count(); }

 private:
  template <Future F>
  auto maker(F future) {
    return [this, future = std::move(future)](Task& task) mutable {
      return detail::GroupChild<F>(std::move(future), state_, task);
    };
  }

  Runtime* runtime_;
  std::shared_ptr<detail::GroupState> state_ = std::make_shared<detail::GroupState>();
};

inline Group::Wait Group::wait() noexcept {
  return Wait(state_);
}

}  // namespace blitzio

// `Io`: a handle of everything a program asks of the outside: tasks, time, files, network,
// processes, signals. Code takes one, as it would take an allocator, and runs on any
// implementation:
//
//     Async<std::size_t> total(Io io, std::string a, std::string b) {
//       auto first = io.async_(length, io, a);       // both may run at once
//       auto second = io.async_(length, io, b);
//       co_return (co_await first.await()).get() + (co_await second.await()).get();
//     }
//
//   io::Threaded       each task has a thread to itself, which sleeps while the task waits
//   io::Evented        tasks share a Runtime's workers: io_uring, epoll or poll
//   io::Deterministic  one thread, simulated time, network and files: for tests
//
// One way of writing serves all of them: coroutines, whose waits an implementation is free to make
// a thread's sleep; see docs/design/io.md. Plain functions are tasks, too: they run without waiting
// for anything of Io's.
//
// Two words, passed by value. The implementation outlives its handles and all that came from them.
//
// Threads: any, unless an implementation says otherwise.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/executor/group.hpp>
#include <blitzio/io/detail/io_task.hpp>
#include <blitzio/io/future.hpp>
#include <blitzio/task/any_future.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/time/interval.hpp>
#include <blitzio/time/sleep.hpp>
#include <blitzio/time/timeout.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio {

class IoGroup;

namespace io {

class FileSystem;
class Network;
class Processes;
class Signals;

/// Whether a task may be run at any time, even inside the call that starts it, or must get ahead
/// while its starter goes on.
enum class Start : std::uint8_t { async, concurrent };

/// What an implementation does. `data` is the Io's.
struct VTable {
  /// The scheduler that a new task is made with; null if a concurrent one cannot be had. start()
  /// follows.
  Scheduler* (*admit)(void* data, Start how) noexcept;
  /// Takes the task: runs it now or later. False if a concurrent one cannot be had: then it has
  /// ended, unpolled.
  bool (*start)(void* data, Scheduler& scheduler, Task& task, Start how);
  /// Polls `work` on the calling thread until it is ready; what a poll throws goes through.
  void (*block_on)(void* data, AnyFuture<void> work);
  Instant (*now)(void* data) noexcept;
  FileSystem& (*fs)(void* data) noexcept;
  Network& (*net)(void* data) noexcept;
  Processes& (*process)(void* data) noexcept;
  Signals& (*signal)(void* data) noexcept;
};

/// The table of a class that has these functions as members.
template <class Implementation>
inline constexpr VTable kVTableOf{
    [](void* data, Start how) noexcept { return static_cast<Implementation*>(data)->admit(how); },
    [](void* data, Scheduler& scheduler, Task& task, Start how) {
      return static_cast<Implementation*>(data)->start(scheduler, task, how);
    },
    [](void* data, AnyFuture<void> work) {
      static_cast<Implementation*>(data)->block_on(std::move(work));
    },
    [](void* data) noexcept { return static_cast<Implementation*>(data)->now(); },
    [](void* data) noexcept -> FileSystem& { return static_cast<Implementation*>(data)->fs(); },
    [](void* data) noexcept -> Network& { return static_cast<Implementation*>(data)->net(); },
    [](void* data) noexcept -> Processes& { return static_cast<Implementation*>(data)->process(); },
    [](void* data) noexcept -> Signals& { return static_cast<Implementation*>(data)->signal(); },
};

}  // namespace io

/// A handle of an implementation: a value of two words, to be passed by value. It is used while its
/// implementation lives. Thread: any, unless the implementation says otherwise.
class Io {
 public:
  constexpr Io(void* data, const io::VTable& vtable) noexcept : data_(data), vtable_(&vtable) {}

  // ---- tasks -------------------------------------------------------------------------------

  /// Starts `function(arguments…)`, or the future it returns, or a future: now or later, maybe on
  /// another thread, maybe to its end inside this call. Copies of the arguments are the task's;
  /// std::ref() lends. For work that need not wait for what its starter does next: that takes
  /// concurrent().
  /// Returns  IoFuture.   Errors   none of its own.
  template <class F, class... Args>
  auto async_(F&& function, Args&&... arguments) const {
    auto handle = start(io::Start::async, io::detail::future_of(std::forward<F>(function),
                                                                std::forward<Args>(arguments)...));
    BLITZIO_CHECK(handle.has_value());  // async tasks are never refused
    return IoFuture(std::move(*handle));
  }
  /// The same for work that must get ahead while its starter goes on: a consumer for a producer, a
  /// server for a client.
  /// Returns  Result<IoFuture>.
  /// Errors   concurrency_unavailable: the implementation has one thread or its limit is reached;
  ///          the function was not called.
  template <class F, class... Args>
  auto concurrent(F&& function, Args&&... arguments) const {
    auto handle =
        start(io::Start::concurrent,
              io::detail::future_of(std::forward<F>(function), std::forward<Args>(arguments)...));
    return map_value(std::move(handle), [](auto started) { return IoFuture(std::move(started)); });
  }
  /// An empty group, whose tasks end together.
  [[nodiscard]] IoGroup group() const;

  /// Waits for the first of several futures, as blitzio::select() does: IoFutures, sleeps, reads.
  /// Give what shall go on as an lvalue; a loser given as an rvalue is dropped.
  /// Returns  future of a std::variant whose index is the winner's.
  template <Future... F>
    requires(sizeof...(F) > 0)
  auto select(F&&... futures) const {
    return blitzio::select(std::forward<F>(futures)...);
  }
  /// Whether the calling task was asked to end. A coroutine ends at its next `co_await`; code that
  /// runs for long without one asks this. False outside of tasks.
  [[nodiscard]] static bool cancel_requested() noexcept {
    return io::detail::RunningTask::cancel_requested();
  }

  /// Runs `future` on the calling thread, which waits: the way in, for main() and plain threads.
  /// Rethrows what it throws. Not from inside a task.
  template <Future F>
  OutputOf<F> block_on(F&& future) const;
  /// block_on() of `function(arguments…)`, or of the future it returns.
  template <class F, class... Args>
  auto run(F&& function, Args&&... arguments) const {
    return block_on(
        io::detail::future_of(std::forward<F>(function), std::forward<Args>(arguments)...));
  }

  // ---- time --------------------------------------------------------------------------------

  /// The clock of this implementation: the system's, or simulated.
  [[nodiscard]] Instant now() const noexcept { return vtable_->now(data_); }
  /// As time::sleep() and its neighbours, on that clock.
  [[nodiscard]] time::Sleep sleep(Duration duration) const noexcept {
    return time::sleep_until(now() + duration);
  }
  [[nodiscard]] time::Sleep sleep_until(Instant at) const noexcept { return time::sleep_until(at); }
  template <Future F>
  auto timeout(Duration duration, F&& future) const {
    return time::deadline(now() + duration, std::forward<F>(future));
  }
  template <Future F>
  auto deadline(Instant at, F&& future) const {
    return time::deadline(at, std::forward<F>(future));
  }
  [[nodiscard]] time::Interval interval(Duration period) const {
    return time::interval_at(now(), period);
  }

  // ---- the outside; their headers: file_system.hpp, network.hpp, system.hpp ------------------

  [[nodiscard]] io::FileSystem& fs() const noexcept { return vtable_->fs(data_); }
  [[nodiscard]] io::Network& net() const noexcept { return vtable_->net(data_); }
  [[nodiscard]] io::Processes& process() const noexcept { return vtable_->process(data_); }
  [[nodiscard]] io::Signals& signal() const noexcept { return vtable_->signal(data_); }

  /// Whether both are handles of the same implementation.
  friend bool operator==(const Io&, const Io&) noexcept = default;

 private:
  friend class IoGroup;

  template <Future F>
  auto start(io::Start how, F future) const {
    return start_made(how,
                      [&](Task& task) { return io::detail::IoTask<F>(std::move(future), task); });
  }
  // Of the future that `make(Task&)` gives.
  template <class Make>
  auto start_made(io::Start how, Make make) const
      -> Result<JoinHandle<OutputOf<std::invoke_result_t<Make&, Task&>>>> {
    const auto refused = [] { return fail(Error::runtime(RuntimeErrc::concurrency_unavailable)); };
    Scheduler* scheduler = vtable_->admit(data_, how);
    if (scheduler == nullptr) return refused();
    auto [task, handle] = make_task_with(std::move(make), *scheduler);
    if (!vtable_->start(data_, *scheduler, *task, how)) return refused();
    return std::move(handle);
  }

  void* data_;
  const io::VTable* vtable_;
};

static_assert(sizeof(Io) == 2 * sizeof(void*));

template <Future F>
OutputOf<F> Io::block_on(F&& future) const {
  std::optional<detail::ValueOf<OutputOf<F>>> value;
  auto step = poll_fn([&](Context& context) -> Poll<void> {
    auto answer = future.poll(context);
    if (answer.is_pending()) return pending;
    if constexpr (std::is_void_v<OutputOf<F>>) {
      value.emplace();
    } else {
      value.emplace(std::move(answer).take());
    }
    return ready;
  });
  vtable_->block_on(data_, std::move(step));
  if constexpr (!std::is_void_v<OutputOf<F>>) return *std::move(value);
}

/// Tasks of an Io that belong together: they end before the group's wait does, and if one fails the
/// others are cancelled. It is Group on any implementation; executor/group.hpp says what happens
/// with its children.
///
///     IoGroup group = io.group();
///     for (const std::string& path : paths) group.async_(process_file, io, path);
///     co_await group.wait();
///
/// Thread: any. The children share the group's state and so may outlive the object.
class IoGroup {
 public:
  explicit IoGroup(Io io) : io_(io) {}
  IoGroup(IoGroup&&) noexcept = default;
  IoGroup(const IoGroup&) = delete;
  IoGroup& operator=(const IoGroup&) = delete;
  IoGroup& operator=(IoGroup&&) = delete;
  /// As cancel(); waits for nothing.
  ~IoGroup() {
    if (state_ != nullptr) state_->cancel();
  }

  /// Starts a child as Io::async_().
  /// Returns  a JoinHandle that may be ignored: the group has the child.
  template <class F, class... Args>
  auto async_(F&& function, Args&&... arguments) {
    auto handle = start(io::Start::async, io::detail::future_of(std::forward<F>(function),
                                                                std::forward<Args>(arguments)...));
    BLITZIO_CHECK(handle.has_value());  // async tasks are never refused
    return std::move(*handle);
  }
  /// Starts a child as Io::concurrent().
  /// Returns  Result of such a handle.   Errors   concurrency_unavailable.
  template <class F, class... Args>
  [[nodiscard]] auto concurrent(F&& function, Args&&... arguments) {
    return start(io::Start::concurrent, io::detail::future_of(std::forward<F>(function),
                                                              std::forward<Args>(arguments)...));
  }

  /// Waits until there is no child. More may be started afterwards.
  /// Returns  future of void; throws what the first child that failed threw.
  /// Cancel   dropping the future leaves the children alone.
  [[nodiscard]] Group::Wait wait() noexcept { return Group::Wait(state_); }
  /// Asks every child to end, at once and once; each later one from its start. Awaiting what this
  /// returns waits as wait() does.
  Group::Wait cancel() noexcept {
    state_->cancel();
    return Group::Wait(state_);
  }
  /// Whether cancel() was called or a child has failed.
  [[nodiscard]] bool cancel_requested() const noexcept { return state_->is_cancelled(); }
  /// Children that have not ended.
  [[nodiscard]] std::size_t pending_count() const noexcept { return state_->child_count(); }

 private:
  template <Future F>
  auto start(io::Start how, F future) {
    using Member = io::detail::IoTask<F>;
    auto handle = io_.start_made(how, [&](Task& task) {
      return detail::GroupChild<Member>(Member(std::move(future), task), state_, task);
    });
    return map_value(std::move(handle),
                     [](auto started) { return Group::Child<OutputOf<F>>(std::move(started)); });
  }

  Io io_;
  std::shared_ptr<detail::GroupState> state_ = std::make_shared<detail::GroupState>();
};

inline IoGroup Io::group() const {
  return IoGroup(*this);
}

}  // namespace blitzio

// `IoGroup`: tasks of an Io that belong together: they end before the group's wait does, and if one
// fails the others are cancelled. It is Group (executor/group.hpp) on any implementation, and what
// happens with its children is said there.
//
//     IoGroup group = io.group();
//     for (const std::string& path : paths) group.async_(process_file, io, path);
//     co_await group.wait();
//
// Threads: any. The children share the group's state and so may outlive the object.
#pragma once

#include <blitzio/executor/group.hpp>
#include <blitzio/io/io.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace blitzio {

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

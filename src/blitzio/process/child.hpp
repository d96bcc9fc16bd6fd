// `Child`: a process that Command started.
//
// It is reaped when it ends, whether anybody waits for it or not: none becomes a zombie. Waiting
// needs no executor: one thread of the process waits for all children (detail/reaper.hpp).
//
// Threads: wait, try_wait, send_signal, kill: any. Taking pipes: one at a time.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/process/detail/reaper.hpp>
#include <blitzio/process/exit_status.hpp>
#include <blitzio/process/pipe.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/future.hpp>

#include <sys/types.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::process {

/// A process that was started. It is reaped when it ends, whether somebody waits or not.
class [[nodiscard]] Child {
 public:
  Child(Child&&) noexcept = default;
  Child& operator=(Child&& other) noexcept {
    if (this != &other) {
      let_go();
      state_ = std::move(other.state_);
      pipes_ = std::move(other.pipes_);
      kill_on_drop_ = other.kill_on_drop_;
    }
    return *this;
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// The process runs on, unless Command::kill_on_drop().
  ~Child() { let_go(); }

  /// The process id. Once the process has ended it may be that of a stranger.
  [[nodiscard]] pid_t id() const noexcept { return state_->pid(); }

  class [[nodiscard]] Wait {
   public:
    using Output = ExitStatus;
    explicit Wait(std::shared_ptr<detail::ChildState> state) noexcept : state_(std::move(state)) {}
    Wait(Wait&& other) noexcept : state_(std::move(other.state_)) {
      BLITZIO_CHECK(!other.waiter_.is_linked());
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    Wait& operator=(Wait&&) = delete;
    ~Wait() {
      if (state_ != nullptr) state_->leave(waiter_);
    }
    Poll<ExitStatus> poll(Context& context) noexcept {
      if (const auto status = state_->wait(waiter_, context.waker())) return *status;
      return pending;
    }

   private:
    std::shared_ptr<detail::ChildState> state_;
    detail::ExitWaiter waiter_;
  };
  /// Waits for its end. Close its stdin first if it reads to the end.
  /// Returns  future of ExitStatus; of a child whose status somebody else took, code 255.
  /// Cancel   loses nothing; any number of waits may go on at a time.
  Wait wait() const noexcept { return Wait(state_); }
  /// wait() for a thread that may block.
  ExitStatus blocking_wait() const noexcept { return block_on(wait()); }
  /// Its status if it has ended.
  [[nodiscard]] std::optional<ExitStatus> try_wait() const noexcept { return state_->try_wait(); }

  /// Errors   ESRCH if it has ended; EINVAL for what is no signal.
  [[nodiscard]] Result<void> send_signal(int number) const noexcept {
    return state_->send_signal(number);
  }
  /// SIGKILL. Its end is yet to be waited for.
  [[nodiscard]] Result<void> kill() const noexcept;

  /// The parent's ends of the standard streams that were Stdio::piped(), once.
  /// Errors   EBADF if there is none, or it was taken; ENOMEM, and it is closed then.
  [[nodiscard]] Result<PipeWriter> take_stdin() noexcept { return PipeWriter::adopt(take_pipe(0)); }
  [[nodiscard]] Result<PipeReader> take_stdout() noexcept {
    return PipeReader::adopt(take_pipe(1));
  }
  [[nodiscard]] Result<PipeReader> take_stderr() noexcept {
    return PipeReader::adopt(take_pipe(2));
  }
  /// The same as a descriptor: 0, 1 or 2. It is in non-blocking mode. None if there is none, or it
  /// was taken.
  [[nodiscard]] OwnedFd take_pipe(std::size_t number) noexcept {
    return std::move(pipes_.at(number));
  }

 private:
  friend class Command;
  Child(std::shared_ptr<detail::ChildState> state, std::array<OwnedFd, 3> pipes,
        bool kill_on_drop) noexcept
      : state_(std::move(state)), pipes_(std::move(pipes)), kill_on_drop_(kill_on_drop) {}
  void let_go() noexcept {
    if (state_ != nullptr && kill_on_drop_) static_cast<void>(kill());
  }

  std::shared_ptr<detail::ChildState> state_;
  std::array<OwnedFd, 3> pipes_;
  bool kill_on_drop_;
};

}  // namespace blitzio::process

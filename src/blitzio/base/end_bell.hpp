// `EndBell`: ends the poll(2) of another thread when nobody needs its answer any more.
//
//     const auto bell = EndBell::make();           // in the frame of the future that waits
//     … [file, end = bell->fd()] {                 // for a thread
//       std::array<pollfd, 2> waits{{{file->fd(), POLLIN, 0}, {end->get(), POLLIN, 0}}};
//
// A forked child that drops its copy does not ring: the thread is the parent's.
//
// Threads: any, one at a time; the descriptor is shared.
#pragma once

#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>

#include <sys/eventfd.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace blitzio {

/// Rings when it goes.
class [[nodiscard]] EndBell {
 public:
  /// Errors   EMFILE, ENFILE, ENOMEM.
  static Result<EndBell> make() {
    auto fd = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return fail(Error::os(errno));
    return EndBell(std::make_shared<const OwnedFd>(std::move(fd)));
  }
  EndBell(EndBell&&) noexcept = default;
  EndBell(const EndBell&) = delete;
  EndBell& operator=(const EndBell&) = delete;
  EndBell& operator=(EndBell&&) = delete;
  ~EndBell() {
    if (fd_ && !fork_guard_.in_child()) static_cast<void>(::eventfd_write(fd_->get(), 1));
  }

  /// What is readable once it has rung.
  [[nodiscard]] const std::shared_ptr<const OwnedFd>& fd() const noexcept { return fd_; }

 private:
  explicit EndBell(std::shared_ptr<const OwnedFd> fd) noexcept : fd_(std::move(fd)) {}

  std::shared_ptr<const OwnedFd> fd_;
  ForkGuard fork_guard_;
};

}  // namespace blitzio

// `OwnedFd`: closes its file descriptor when it goes.
#pragma once

#include <unistd.h>

#include <utility>

namespace blitzio {

class OwnedFd {
 public:
  constexpr OwnedFd() noexcept = default;
  /// Takes over `fd` (-1: none). After this nothing else may close it.
  [[nodiscard]] static OwnedFd adopt(int fd) noexcept {
    OwnedFd owned;
    owned.fd_ = fd;
    return owned;
  }
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  ~OwnedFd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives the fd to the caller, who closes it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  // Linux closes the fd even when close() reports EINTR, so there is nothing to retry.
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace blitzio

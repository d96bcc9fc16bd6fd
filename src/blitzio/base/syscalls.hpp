// `sys`: the calls on sockets that loops and transports make themselves, past the driver. In an
// ordinary build each is the system call and nothing else; in one with fault injection each may
// also give EINTR, EAGAIN or fewer bytes, wherever the kernel might (see base/faults.hpp).
//
// After EAGAIN a caller waits, and what it waits by decides what may be injected:
//
//   Wait::level  it asks for readiness anew (a one-shot poll, which reports what is ready already).
//                Then EAGAIN or a short count although there was more is as if the rest had come a
//                moment later.
//   Wait::edge   it relies on an event of later and takes a short count for "empty". Then the
//                kernel never says EAGAIN, nor less than it has, unless it is empty; only EINTR may
//                be injected. Such a caller asks for faults::perhaps_fewer() bytes instead.
//
// Sending always waits by level. Thread: any, no state; errno as the system calls leave it.
#pragma once

#include <blitzio/base/faults.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace blitzio::sys {

enum class Wait : unsigned char { level, edge };

namespace detail {

/// Sets errno and returns true if the call fails here without having been made.
/// `events`: what a caller who is told EAGAIN asks poll(2) for.
[[nodiscard]] inline bool fails(int fd, Wait wait, short events) noexcept {
  if constexpr (faults::kBuiltIn) {
    if (faults::hit(faults::Fault::interrupted)) {
      errno = EINTR;
      return true;
    }
    if (wait == Wait::level && faults::refuses(fd, events)) {
      errno = EAGAIN;
      return true;
    }
  }
  return false;
}

[[nodiscard]] inline std::size_t some_of(int fd, std::size_t bytes) noexcept {
  if constexpr (faults::kBuiltIn) {
    const std::size_t fewer = faults::perhaps_fewer(bytes);
    if (fewer != bytes && faults::may_be_short(fd)) return fewer;
  }
  return bytes;
}

}  // namespace detail

/// recv(2).
inline ssize_t recv(int fd, void* data, std::size_t bytes, int flags, Wait wait) noexcept {
  if (detail::fails(fd, wait, POLLIN)) return -1;
  return ::recv(fd, data, wait == Wait::level ? detail::some_of(fd, bytes) : bytes, flags);
}

/// recvfrom(2).
inline ssize_t recvfrom(int fd, void* data, std::size_t bytes, int flags, sockaddr* address,
                        socklen_t* length, Wait wait) noexcept {
  if (detail::fails(fd, wait, POLLIN)) return -1;
  return ::recvfrom(fd, data, wait == Wait::level ? detail::some_of(fd, bytes) : bytes, flags,
                    address, length);
}

/// recvmsg(2); never cut short, because a caller's control data belongs to all of it.
inline ssize_t recvmsg(int fd, msghdr* message, int flags, Wait wait) noexcept {
  if (detail::fails(fd, wait, POLLIN)) return -1;
  // NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions): EBADF is what one that is closed gets
  return ::recvmsg(fd, message, flags);
}

/// send(2).
inline ssize_t send(int fd, const void* data, std::size_t bytes, int flags) noexcept {
  if (detail::fails(fd, Wait::level, POLLOUT)) return -1;
  // NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions): EBADF is what one that is closed gets
  return ::send(fd, data, detail::some_of(fd, bytes), flags);
}

/// sendmsg(2). What is cut off is whole vectors and the end of the last one.
inline ssize_t sendmsg(int fd, const msghdr* message, int flags) noexcept {
  if (detail::fails(fd, Wait::level, POLLOUT)) return -1;
  if constexpr (faults::kBuiltIn) {
    if (message->msg_iovlen > 0 && message->msg_controllen == 0) {
      const auto last = static_cast<std::size_t>(faults::below(message->msg_iovlen));
      iovec& vector = message->msg_iov[last];
      const std::size_t fewer = detail::some_of(fd, vector.iov_len);
      if (fewer != vector.iov_len) {
        const std::size_t whole = vector.iov_len;
        msghdr part = *message;
        part.msg_iovlen = last + 1;
        vector.iov_len = fewer;
        const ssize_t sent = ::sendmsg(fd, &part, flags);
        vector.iov_len = whole;
        return sent;
      }
    }
  }
  // NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions): EBADF is what one that is closed gets
  return ::sendmsg(fd, message, flags);
}

/// sendto(2).
inline ssize_t sendto(int fd, const void* data, std::size_t bytes, int flags,
                      const sockaddr* address, socklen_t length) noexcept {
  if (detail::fails(fd, Wait::level, POLLOUT)) return -1;
  return ::sendto(fd, data, detail::some_of(fd, bytes), flags, address, length);
}

/// read(2) of one who waits by edges.
inline ssize_t read(int fd, void* data, std::size_t bytes) noexcept {
  return detail::fails(fd, Wait::edge, POLLIN) ? -1 : ::read(fd, data, bytes);
}

/// writev(2), or of a single piece write(2), which is a tenth faster.
inline ssize_t writev(int fd, const iovec* vectors, int count) noexcept {
  if (detail::fails(fd, Wait::level, POLLOUT)) return -1;
  if constexpr (faults::kBuiltIn) {
    if (count > 0) {
      const auto last = static_cast<std::size_t>(faults::below(static_cast<std::size_t>(count)));
      const std::size_t fewer = detail::some_of(fd, vectors[last].iov_len);
      if (fewer != vectors[last].iov_len) {
        if (last > 0) return ::writev(fd, vectors, static_cast<int>(last));
        return ::write(fd, vectors[0].iov_base, fewer);
      }
    }
  }
  return count == 1 ? ::write(fd, vectors[0].iov_base, vectors[0].iov_len)
                    : ::writev(fd, vectors, count);
}

/// accept4(2).
inline int accept4(int fd, sockaddr* address, socklen_t* length, int flags, Wait wait) noexcept {
  if (detail::fails(fd, wait, POLLIN)) return -1;
  return ::accept4(fd, address, length, flags);
}

}  // namespace blitzio::sys

// Taking over descriptors that somebody else opened: what the `from_fd()` of sockets and the
// `adopt()` of pipes have in common.
//
// They are looked at first, so that one of the wrong kind is refused. From take_over() on nothing
// is refused; only memory can run out. Whatever the reason, the descriptor then stays the caller's,
// as it was.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <python/support/error.hpp>
#include <python/support/state.hpp>

#include <utility>

namespace blitzio::python {

/// What a socket must be.
struct SocketKind {
  const char* name;  ///< "a TCP socket that does not listen"
  int type;          ///< SOCK_STREAM, SOCK_DGRAM
  bool is_local;     ///< of the family AF_UNIX; else AF_INET or AF_INET6
  bool is_listening;
};

/// Reads the number of a descriptor: an int, for an object that has one would close it, too.
/// Returns  false with TypeError or OSError set.
[[nodiscard]] bool parse_fd(PyObject* object, int* fd) noexcept;
/// Returns  false with OSError (EBADF, ENOTSOCK) or ValueError set.
[[nodiscard]] bool check_socket(int fd, const SocketKind& wanted) noexcept;
/// Whether it can be waited for, and be read from or written to.
/// Returns  false with OSError (EBADF) or ValueError set.
[[nodiscard]] bool check_pipe(int fd, bool is_written) noexcept;
/// Non-blocking mode, which ends again unless the descriptor is kept.
class NonBlocking {
 public:
  explicit NonBlocking(int fd) noexcept;
  NonBlocking(const NonBlocking&) = delete;
  NonBlocking& operator=(const NonBlocking&) = delete;
  ~NonBlocking();
  /// False: it cannot be had, and OSError is set.
  [[nodiscard]] explicit operator bool() const noexcept { return flags_ >= 0; }
  void keep() noexcept { was_blocking_ = false; }

 private:
  int fd_;
  int flags_;
  bool was_blocking_ = false;
};

/// `adopt`  S's own, which leaves the descriptor alone if it fails.
/// `make`   makes an object of an `S&&`, which it leaves alone if it fails.
/// Returns  the object. Null with an error set if memory ran out.
template <class S, class Make>
[[nodiscard]] PyObject* take_over(int fd, Result<S> (*adopt)(OwnedFd&&) noexcept, Make make) {
  NonBlocking mode(fd);
  if (!mode) return nullptr;
  OwnedFd own = OwnedFd::adopt(fd);
  Result<S> adopted = adopt(std::move(own));
  PyObject* self = nullptr;
  if (adopted) {
    self = make(std::move(*adopted));
    if (self == nullptr) own = std::move(*adopted).into_fd();
  } else {
    raise_error(adopted.error(), "adopt");
  }
  if (self == nullptr) {
    // NOLINTNEXTLINE(bugprone-use-after-move): adopt() left it alone, or into_fd() gave it back
    static_cast<void>(own.release());
  } else {
    mode.keep();
  }
  return self;
}

/// from_fd() of the type `type` of sockets, for a table of methods (METH_O | METH_CLASS).
/// `make`   as Box<S>::make: gets the module's state, the type, and the S&& as for take_over().
template <class S, class Make>
[[nodiscard]] PyObject* socket_from_fd(PyObject* type, PyObject* object, const SocketKind& wanted,
                                       Make make) {
  int fd = -1;
  if (!parse_fd(object, &fd) || !check_socket(fd, wanted)) return nullptr;
  auto* own = reinterpret_cast<PyTypeObject*>(type);
  return take_over<S>(fd, S::from_fd, [own, make](S&& socket) noexcept {
    return make(state_of_type(own), own, std::move(socket));
  });
}

}  // namespace blitzio::python

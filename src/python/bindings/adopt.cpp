#include <python/bindings/adopt.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>

namespace blitzio::python {

namespace {

bool refuse(int code) noexcept {
  raise_error(Error::os(code), "");
  return false;
}

bool read_socket_option(int fd, int name, int* value) noexcept {
  socklen_t length = sizeof *value;
  return ::getsockopt(fd, SOL_SOCKET, name, value, &length) == 0 || refuse(errno);
}

}  // namespace

bool parse_fd(PyObject* object, int* fd) noexcept {
  if (!PyLong_Check(object)) {
    PyErr_Format(PyExc_TypeError,
                 "fd must be int, got %.200s; what has a descriptor gives it up by detach()",
                 Py_TYPE(object)->tp_name);
    return false;
  }
  int overflow = 0;
  const long number = PyLong_AsLongAndOverflow(object, &overflow);
  if (overflow != 0 || number < 0 || number > INT_MAX) return refuse(EBADF);
  *fd = static_cast<int>(number);
  return true;
}

bool check_socket(int fd, const SocketKind& wanted) noexcept {
  int family = 0;
  int type = 0;
  int is_listening = 0;
  if (!read_socket_option(fd, SO_DOMAIN, &family) || !read_socket_option(fd, SO_TYPE, &type) ||
      !read_socket_option(fd, SO_ACCEPTCONN, &is_listening)) {
    return false;
  }
  const bool is_family =
      wanted.is_local ? family == AF_UNIX : family == AF_INET || family == AF_INET6;
  if (is_family && type == wanted.type && (is_listening != 0) == wanted.is_listening) return true;
  PyErr_Format(PyExc_ValueError,
               "%s was expected; the socket with the descriptor %d has family %d and type %d, and "
               "%s",
               wanted.name, fd, family, type, is_listening != 0 ? "listens" : "does not listen");
  return false;
}

bool check_pipe(int fd, bool is_written) noexcept {
  struct stat what{};
  if (::fstat(fd, &what) != 0) return refuse(errno);
  if (!S_ISFIFO(what.st_mode) && !S_ISSOCK(what.st_mode) && !S_ISCHR(what.st_mode)) {
    PyErr_Format(PyExc_ValueError,
                 "a pipe, FIFO, socket or terminal was expected; the descriptor %d is of none", fd);
    return false;
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return refuse(errno);
  const int mode = flags & O_ACCMODE;
  if (mode == O_RDWR || mode == (is_written ? O_WRONLY : O_RDONLY)) return true;
  PyErr_Format(PyExc_ValueError, "the descriptor %d is not open for %s", fd,
               is_written ? "writing" : "reading");
  return false;
}

NonBlocking::NonBlocking(int fd) noexcept : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
  if (flags_ >= 0 && (flags_ & O_NONBLOCK) == 0) {
    was_blocking_ = ::fcntl(fd, F_SETFL, flags_ | O_NONBLOCK) == 0;
    if (!was_blocking_) flags_ = -1;
  }
  if (flags_ < 0) refuse(errno);
}

NonBlocking::~NonBlocking() {
  if (was_blocking_) ::fcntl(fd_, F_SETFL, flags_);
}

}  // namespace blitzio::python

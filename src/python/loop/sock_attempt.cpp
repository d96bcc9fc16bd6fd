#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/syscalls.hpp>
#include <python/loop/fd_watch.hpp>
#include <python/loop/sock_address.hpp>
#include <python/loop/sock_attempt.hpp>
#include <python/support/error.hpp>

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

namespace blitzio::python {

namespace {

/// Up to this size a payload goes through the stack into an exactly sized object; larger ones are
/// received in place. A copy of this size costs less than giving back an oversized object.
constexpr std::size_t kStackBytes = 16 * 1024;
/// A large buffer that received less than this is copied from rather than cut down.
constexpr std::size_t kCopyBytesMax = 4 * 1024;

Attempt os_error() noexcept {
  PyErr_SetFromErrno(PyExc_OSError);
  return Attempt::failed;
}

Attempt complete(PyRef* result, PyObject* value) noexcept {
  *result = PyRef::steal(value);
  return value == nullptr ? Attempt::failed : Attempt::done;
}

/// Runs `call`, which returns a count or -1 with errno, again if a signal interrupted it.
template <class Call>
auto retry_interrupted(Call call) noexcept {
  auto count = call();
  while (BLITZIO_UNLIKELY(count < 0) && errno == EINTR) count = call();
  return count;
}

/// `wait` if errno says that the call would block, else the error.
Attempt blocked_or_error(Attempt wait) noexcept {
  return errno == EAGAIN || errno == EWOULDBLOCK ? wait : os_error();
}

/// The same for a socket's own method, which says it with exceptions.
Attempt from_method(PyObject* value, Attempt wait, PyRef* result) noexcept {
  if (value != nullptr) return complete(result, value);
  if (PyErr_ExceptionMatches(PyExc_BlockingIOError) == 0 &&
      PyErr_ExceptionMatches(PyExc_InterruptedError) == 0) {
    return Attempt::failed;
  }
  PyErr_Clear();  // Not ready is no error.
  return wait;
}

/// A writable buffer for the time of one attempt: held longer, it would forbid resizing it.
class WritableBuffer {
 public:
  WritableBuffer(PyObject* object, const char* method) noexcept {
    if (PyObject_GetBuffer(object, &view_, PyBUF_WRITABLE) == 0) return;
    view_.obj = nullptr;
    if (!drop_exception()) return;  // Else said in recv_into()'s words.
    PyErr_Format(PyExc_TypeError, "%s() argument 1 must be read-write bytes-like object, not %.50s",
                 method, Py_TYPE(object)->tp_name);
  }
  WritableBuffer(const WritableBuffer&) = delete;
  WritableBuffer& operator=(const WritableBuffer&) = delete;
  ~WritableBuffer() {
    if (is_valid()) PyBuffer_Release(&view_);
  }
  [[nodiscard]] bool is_valid() const noexcept { return view_.obj != nullptr; }
  [[nodiscard]] void* data() const noexcept { return view_.buf; }
  [[nodiscard]] Py_ssize_t size() const noexcept { return view_.len; }

 private:
  Py_buffer view_{};
};

/// Byte count of recvfrom_into(): what the caller said, or the whole buffer. -1 with an error set.
Py_ssize_t checked_count(const SockOperationObject& op, Py_ssize_t buffer_bytes) noexcept {
  if (op.count < 0) {
    PyErr_SetString(PyExc_ValueError, "negative buffersize in recvfrom_into");
    return -1;
  }
  if (op.count > buffer_bytes) {
    PyErr_SetString(PyExc_ValueError, "nbytes is greater than the length of the buffer");
    return -1;
  }
  return op.count == 0 ? buffer_bytes : op.count;
}

// ---- receiving ----------------------------------------------------------------------------------

struct Sender {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
};

ssize_t receive(const SockOperationObject& op, void* data, std::size_t bytes,
                Sender* sender) noexcept {
  return retry_interrupted([&] {
    return sender == nullptr ? sys::recv(op.fd, data, bytes, MSG_DONTWAIT, sys::Wait::level)
                             : sys::recvfrom(op.fd, data, bytes, MSG_DONTWAIT,
                                             reinterpret_cast<sockaddr*>(&sender->address),
                                             &sender->bytes, sys::Wait::level);
  });
}

/// Receives up to op.count bytes into a new, exactly sized bytes object.
Attempt receive_bytes(const SockOperationObject& op, Sender* sender, PyRef* bytes) noexcept {
  const auto wanted = static_cast<std::size_t>(op.count);
  if (wanted <= kStackBytes) {
    std::array<char, kStackBytes> buffer;
    const ssize_t got = receive(op, buffer.data(), wanted, sender);
    if (got < 0) return blocked_or_error(Attempt::wait_read);
    return complete(bytes, PyBytes_FromStringAndSize(buffer.data(), got));
  }
  PyObject* large = PyBytes_FromStringAndSize(nullptr, op.count);
  if (large == nullptr) return Attempt::failed;
  const ssize_t got = receive(op, PyBytes_AS_STRING(large), wanted, sender);
  if (got < 0) {
    const int error = errno;
    Py_DECREF(large);
    errno = error;
    return blocked_or_error(Attempt::wait_read);
  }
  if (static_cast<std::size_t>(got) < kCopyBytesMax) {
    PyObject* exact = PyBytes_FromStringAndSize(PyBytes_AS_STRING(large), got);
    Py_DECREF(large);
    return complete(bytes, exact);
  }
  if (got != op.count) _PyBytes_Resize(&large, got);  // On failure it is null.
  return complete(bytes, large);
}

Attempt try_recv(SockOperationObject& op, PyRef* result) noexcept {
  if (!op.is_raw) {
    return from_method(PyObject_CallMethodOneArg(op.sock, op.loop->state->names.recv, op.argument),
                       Attempt::wait_read, result);
  }
  // As socket.recv(): no bytes wanted, nothing done.
  if (op.count == 0) return complete(result, PyBytes_FromStringAndSize(nullptr, 0));
  return receive_bytes(op, nullptr, result);
}

Attempt try_recv_into(SockOperationObject& op, PyRef* result) noexcept {
  if (!op.is_raw) {
    return from_method(
        PyObject_CallMethodOneArg(op.sock, op.loop->state->names.recv_into, op.argument),
        Attempt::wait_read, result);
  }
  const WritableBuffer buffer(op.argument, "recv_into");
  if (!buffer.is_valid()) return Attempt::failed;
  if (buffer.size() == 0) return complete(result, PyLong_FromLong(0));
  const ssize_t got = receive(op, buffer.data(), static_cast<std::size_t>(buffer.size()), nullptr);
  if (got < 0) return blocked_or_error(Attempt::wait_read);
  return complete(result, PyLong_FromSsize_t(got));
}

Attempt with_sender(PyRef first, const Sender& sender, PyRef* result) noexcept {
  if (!first) return Attempt::failed;
  const PyRef address = address_object(sender.address, sender.bytes);
  if (!address) return Attempt::failed;
  return complete(result, PyTuple_Pack(2, first.get(), address.get()));
}

Attempt try_recvfrom(SockOperationObject& op, PyRef* result) noexcept {
  if (!op.is_raw) {
    return from_method(
        PyObject_CallMethodOneArg(op.sock, op.loop->state->names.recvfrom, op.argument),
        Attempt::wait_read, result);
  }
  Sender sender;
  PyRef bytes;
  const Attempt attempt = receive_bytes(op, &sender, &bytes);
  if (attempt != Attempt::done) return attempt;
  return with_sender(std::move(bytes), sender, result);
}

Attempt try_recvfrom_into(SockOperationObject& op, PyRef* result) noexcept {
  if (!op.is_raw) {
    const PyRef count = PyRef::steal(PyLong_FromSsize_t(
        op.count != 0 ? op.count : std::max<Py_ssize_t>(PyObject_Length(op.argument), 0)));
    if (!count || PyErr_Occurred() != nullptr) return Attempt::failed;
    PyObject* const args[] = {op.sock, op.argument, count.get()};
    return from_method(
        PyObject_VectorcallMethod(op.loop->state->names.recvfrom_into, args, 3, nullptr),
        Attempt::wait_read, result);
  }
  Sender sender;
  ssize_t got = 0;
  {
    const WritableBuffer buffer(op.argument, "recvfrom_into");
    if (!buffer.is_valid()) return Attempt::failed;
    const Py_ssize_t wanted = checked_count(op, buffer.size());
    if (wanted < 0) return Attempt::failed;
    got = receive(op, buffer.data(), static_cast<std::size_t>(wanted), &sender);
    if (got < 0) return blocked_or_error(Attempt::wait_read);
  }
  return with_sender(PyRef::steal(PyLong_FromSsize_t(got)), sender, result);
}

// ---- sending ------------------------------------------------------------------------------------

/// Sends one piece. Returns the bytes sent, or -1 with *attempt set.
Py_ssize_t send_piece(SockOperationObject& op, std::span<const char> rest,
                      Attempt* attempt) noexcept {
  if (op.is_raw) {
    const ssize_t sent = retry_interrupted(
        [&] { return sys::send(op.fd, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (sent < 0) *attempt = blocked_or_error(Attempt::wait_write);
    return sent;
  }
  // Of the object, not of our buffer: whoever keeps the piece keeps the object.
  const PyRef view = PyRef::steal(PyMemoryView_FromObject(op.argument));
  const PyRef whole =
      view ? PyRef::steal(PyObject_CallMethod(view.get(), "cast", "s", "B")) : PyRef();
  const PyRef piece =
      whole ? PyRef::steal(PySequence_GetSlice(whole.get(), op.count, op.view.len)) : PyRef();
  if (!piece) {
    *attempt = Attempt::failed;
    return -1;
  }
  PyRef sent;
  *attempt =
      from_method(PyObject_CallMethodOneArg(op.sock, op.loop->state->names.send, piece.get()),
                  Attempt::wait_write, &sent);
  if (*attempt != Attempt::done) return -1;
  const Py_ssize_t count = PyNumber_AsSsize_t(sent.get(), PyExc_OverflowError);
  if (count >= 0 && count <= op.view.len - op.count) return count;
  if (PyErr_Occurred() == nullptr) {
    PyErr_Format(PyExc_RuntimeError, "send() of %zd bytes returned %zd", op.view.len - op.count,
                 count);
  }
  *attempt = Attempt::failed;
  return -1;
}

Attempt try_sendall(SockOperationObject& op, PyRef* result) noexcept {
  const std::span<const char> data(static_cast<const char*>(op.view.buf),
                                   static_cast<std::size_t>(op.view.len));
  Attempt attempt = Attempt::done;
  const Py_ssize_t sent =
      send_piece(op, data.subspan(static_cast<std::size_t>(op.count)), &attempt);
  if (sent < 0) return attempt;
  op.count += sent;
  // A short send means that the kernel's buffer is full: trying again now would be in vain.
  if (op.count < op.view.len) return Attempt::wait_write;
  *result = PyRef::borrow(Py_None);
  return Attempt::done;
}

Attempt try_sendto(SockOperationObject& op, PyRef* result) noexcept {
  PyObject* const args[] = {op.sock, op.argument, op.extra};
  return from_method(PyObject_VectorcallMethod(op.loop->state->names.sendto, args, 3, nullptr),
                     Attempt::wait_write, result);
}

// ---- connecting ---------------------------------------------------------------------------------

/// A socket object for an accepted, non-blocking fd, which it takes over.
PyRef adopt_connection(const SockOperationObject& op, int family, OwnedFd fd) noexcept {
  int type = 0;
  socklen_t bytes = sizeof type;
  if (::getsockopt(op.fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0) {
    PyErr_SetFromErrno(PyExc_OSError);
    return {};
  }
  const PyRef proto = PyRef::steal(PyObject_GetAttr(op.sock, op.loop->state->names.proto));
  if (!proto) return {};
  // With SOCK_NONBLOCK in its type the object knows that it is non-blocking, without a syscall.
  PyRef connection = PyRef::steal(PyObject_CallFunction(
      op.loop->state->socket_type, "iiOi", family, type | SOCK_NONBLOCK, proto.get(), fd.get()));
  if (connection) static_cast<void>(fd.release());
  return connection;
}

Attempt try_accept(SockOperationObject& op, PyRef* result) noexcept {
  if (std::exchange(op.wait_first, false)) return Attempt::wait_read;
  const Names& names = op.loop->state->names;
  if (!op.is_raw) {
    PyRef pair;
    const Attempt attempt =
        from_method(PyObject_CallMethodNoArgs(op.sock, names.accept), Attempt::wait_read, &pair);
    if (attempt != Attempt::done) return attempt;
    const PyRef connection = PyRef::steal(PySequence_GetItem(pair.get(), 0));
    const PyRef done =
        connection
            ? PyRef::steal(PyObject_CallMethodOneArg(connection.get(), names.setblocking, Py_False))
            : PyRef();
    return done ? complete(result, pair.release()) : Attempt::failed;
  }
  Sender peer;
  OwnedFd fd = OwnedFd::adopt(retry_interrupted([&] {
    return sys::accept4(op.fd, reinterpret_cast<sockaddr*>(&peer.address), &peer.bytes,
                        SOCK_NONBLOCK | SOCK_CLOEXEC, sys::Wait::level);
  }));
  if (!fd) return blocked_or_error(Attempt::wait_read);
  const int family = peer.address.ss_family;
  return with_sender(adopt_connection(op, family, std::move(fd)), peer, result);
}

/// Begins to connect. connect_ex() makes no exception out of "in progress", the usual outcome.
Attempt start_connect(SockOperationObject& op, PyRef* result) noexcept {
  const Names& names = op.loop->state->names;
  const PyRef code =
      op.is_raw ? PyRef::steal(PyObject_CallMethodOneArg(op.sock, names.connect_ex, op.argument))
                : PyRef();
  if (!code) {
    // A bad address: connect() shall name it, since it is what asyncio calls.
    if (!drop_exception()) return Attempt::failed;
    return from_method(PyObject_CallMethodOneArg(op.sock, names.connect, op.argument),
                       Attempt::wait_write, result);
  }
  errno = static_cast<int>(PyLong_AsLong(code.get()));
  if (errno == 0) return complete(result, Py_NewRef(Py_None));
  // EAGAIN is an answer: the backlog of a Unix socket is full, and nothing tells when it is not.
  if (errno != EINPROGRESS && errno != EINTR) return os_error();
  return Attempt::wait_write;
}

Attempt try_connect(SockOperationObject& op, PyRef* result) noexcept {
  if (!op.is_connecting) {
    const Attempt attempt = start_connect(op, result);
    op.is_connecting = attempt == Attempt::wait_write;
    if (!op.is_connecting) return attempt;
    // Over loopback the handshake is through by now: one cheap look saves a registration, a future
    // and a turn.
    pollfd now{op.fd, POLLOUT, 0};
    if (!op.is_raw || ::poll(&now, 1, 0) != 1) return attempt;
    if (now.revents == POLLOUT) return complete(result, Py_NewRef(Py_None));
  }
  int error = 0;
  socklen_t bytes = sizeof error;
  if (::getsockopt(op.fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return os_error();
  if (error == 0) return complete(result, Py_NewRef(Py_None));
  const PyRef text = PyRef::steal(PyUnicode_FromFormat("Connect call failed %S", op.argument));
  const PyRef args = text ? PyRef::steal(Py_BuildValue("(iO)", error, text.get())) : PyRef();
  if (args) PyErr_SetObject(PyExc_OSError, args.get());
  return Attempt::failed;
}

// ---- checks -------------------------------------------------------------------------------------

/// Addresses of other families are left to the socket's own methods.
bool has_plain_family(int fd) noexcept {
  int family = 0;
  socklen_t bytes = sizeof family;
  // A closed fd fails here and again, with the right error, in the syscall.
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &bytes) != 0 || is_plain_family(family);
}

bool read_count(SockOperationObject& op, PyObject* object, const char* method) noexcept {
  const PyRef number = PyRef::steal(PyNumber_Index(object));
  if (!number) return false;
  op.count = PyLong_AsSsize_t(number.get());
  if (op.count == -1 && PyErr_Occurred() != nullptr) return false;
  if (op.count >= 0 || op.kind == SockKind::recvfrom_into) return true;
  PyErr_Format(PyExc_ValueError, "negative buffersize in %s", method);
  return false;
}

}  // namespace

bool sock_check(LoopObject& loop, PyObject* sock) noexcept {
  const ModuleState& state = *loop.state;
  if (reinterpret_cast<PyObject*>(Py_TYPE(sock)) != state.socket_type) {
    // Whoever has an SSLSocket has imported ssl.
    const PyRef modules_name = PyRef::steal(PyUnicode_FromString("ssl"));
    if (!modules_name) return false;
    const PyRef ssl = PyRef::steal(PyImport_GetModule(modules_name.get()));
    if (!ssl && PyErr_Occurred() != nullptr) return false;
    if (ssl) {
      const PyRef type = PyRef::steal(PyObject_GetAttrString(ssl.get(), "SSLSocket"));
      const int is_ssl = type ? PyObject_IsInstance(sock, type.get()) : -1;
      if (is_ssl > 0) PyErr_SetString(PyExc_TypeError, "Socket cannot be of type SSLSocket");
      if (is_ssl != 0) return false;
    }
  }
  if (BLITZIO_LIKELY(!loop.debug)) return true;
  const PyRef timeout = PyRef::steal(PyObject_CallMethodNoArgs(sock, state.names.gettimeout));
  const PyRef zero = PyRef::steal(PyLong_FromLong(0));
  if (!timeout || !zero) return false;
  const int may_block = PyObject_RichCompareBool(timeout.get(), zero.get(), Py_NE);
  if (may_block > 0) PyErr_SetString(PyExc_ValueError, "the socket must be non-blocking");
  return may_block == 0;
}

bool sock_read_fd(SockOperationObject& op) noexcept {
  // -1 if it is closed, as the syscall will say.
  const PyRef fileno =
      PyRef::steal(PyObject_CallMethodNoArgs(op.sock, op.loop->state->names.fileno));
  if (!fileno) return false;
  const long fd = PyLong_AsLong(fileno.get());
  if (fd == -1 && PyErr_Occurred() != nullptr) return false;
  op.fd = static_cast<int>(fd);
  return true;
}

bool sock_prepare(SockOperationObject& op) noexcept {
  if (!sock_check(*op.loop, op.sock)) return false;
  op.is_raw = reinterpret_cast<PyObject*>(Py_TYPE(op.sock)) == op.loop->state->socket_type;
  if (op.is_raw && !sock_read_fd(op)) return false;
  switch (op.kind) {
    case SockKind::recv:
      return !op.is_raw || read_count(op, op.argument, "recv");
    case SockKind::recvfrom:
      op.is_raw = op.is_raw && has_plain_family(op.fd);
      return !op.is_raw || read_count(op, op.argument, "recvfrom");
    case SockKind::recvfrom_into:
      op.is_raw = op.is_raw && has_plain_family(op.fd);
      return op.extra == nullptr || read_count(op, op.extra, "recvfrom_into");
    case SockKind::accept:
      op.is_raw = op.is_raw && has_plain_family(op.fd);
      op.wait_first = op.is_raw && (::fcntl(op.fd, F_GETFL) & O_NONBLOCK) == 0;
      return true;
    case SockKind::sendall:
      if (PyObject_GetBuffer(op.argument, &op.view, PyBUF_SIMPLE) != 0) return false;
      op.has_view = true;
      return true;
    case SockKind::recv_into:
    case SockKind::sendto:
    case SockKind::connect:
    case SockKind::wait_writable:
      return true;
  }
  return true;
}

Attempt sock_attempt(SockOperationObject& op, PyRef* result) noexcept {
  switch (op.kind) {
    case SockKind::recv:
      return try_recv(op, result);
    case SockKind::recv_into:
      return try_recv_into(op, result);
    case SockKind::recvfrom:
      return try_recvfrom(op, result);
    case SockKind::recvfrom_into:
      return try_recvfrom_into(op, result);
    case SockKind::sendall:
      return try_sendall(op, result);
    case SockKind::sendto:
      return try_sendto(op, result);
    case SockKind::accept:
      return try_accept(op, result);
    case SockKind::connect:
      return try_connect(op, result);
    case SockKind::wait_writable:
      // `count` says whether it has waited.
      if (std::exchange(op.count, 1) == 0) return Attempt::wait_write;
      return complete(result, Py_NewRef(Py_None));
  }
  return Attempt::failed;
}

}  // namespace blitzio::python

#include <python/bindings/stream_vectored.hpp>

#include <blitzio/base/syscalls.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/support/error.hpp>
#include <python/support/ft.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace blitzio::python {

namespace {

msghdr message_of(std::span<iovec> vectors) noexcept {
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  return message;
}

IoAttempt receive(int fd, HeldBuffers& buffers, StreamKind kind) noexcept {
  msghdr message = message_of(buffers.vectors());
  for (;;) {
    const ssize_t count = sys::recvmsg(fd, &message, MSG_DONTWAIT, sys::Wait::edge);
    if (count >= 0) {
      const bool is_short = count > 0 && static_cast<std::size_t>(count) < buffers.bytes();
      return {count, kind == StreamKind::tcp && is_short};
    }
    const int code = errno;
    if (code != EINTR) return {-code};
  }
}

IoAttempt send(int fd, HeldBuffers& buffers) noexcept {
  const msghdr message = message_of(buffers.vectors());
  for (;;) {
    const ssize_t count = sys::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return {count};
    const int code = errno;
    if (code != EINTR) return {-code};
  }
}

/// Moves what was read ahead into the buffers. Returns how much.
std::size_t take_ahead(ReadAhead& ahead, std::span<const iovec> vectors) noexcept {
  std::size_t total = 0;
  for (const iovec& vector : vectors) {
    const std::size_t part = std::min(vector.iov_len, ahead.size());
    if (part == 0) break;
    std::memcpy(vector.iov_base, ahead.view().data(), part);
    ahead.consume(part);
    total += part;
  }
  return total;
}

}  // namespace

bool HeldBuffers::hold(PyObject* iterable, int flags) noexcept {
  // A copy: asking for a buffer may run code that changes a list.
  const PyRef items = PyRef::steal(PySequence_Tuple(iterable));
  if (!items) return false;
  try {
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(items.get()); ++at) {
      if (buffers_.size() == kBuffersMax) break;
      HeldBuffer buffer;
      if (!buffer.hold(PyTuple_GET_ITEM(items.get(), at), flags)) return false;
      const auto bytes = buffer.bytes();
      if (bytes.empty()) continue;
      vectors_.push_back({bytes.data(), bytes.size()});
      buffers_.push_back(std::move(buffer));
      bytes_ += bytes.size();
    }
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return false;
  }
  return true;
}

int HeldBuffers::traverse(visitproc visit, void* arg) noexcept {
  for (HeldBuffer& buffer : buffers_) {
    if (const int stopped = buffer.traverse(visit, arg)) return stopped;
  }
  return 0;
}

Poll<PyObject*> StreamReadVectored::poll(Context& context) {
  const ObjectLock lock(stream_->self);
  if (stream_->reads_without_call(buffers_.bytes())) {
    return PyLong_FromSize_t(take_ahead(stream_->ahead(), buffers_.vectors()));
  }
  auto answer =
      wait_.poll(context, [&](int fd) noexcept { return receive(fd, buffers_, stream_->kind); });
  if (answer.is_pending()) return pending;
  if (!answer.value()) return raise_io_error(answer.value().error(), "stream");
  return PyLong_FromSize_t(*answer.value());
}

PyObject* stream_try_read_vectored_now(PyStreamBase& stream, HeldBuffers buffers) noexcept {
  const ObjectLock lock(stream.self);
  if (stream.reads_without_call(buffers.bytes())) {
    return PyLong_FromSize_t(take_ahead(stream.ahead(), buffers.vectors()));
  }
  const IoAttempt got = receive(stream.fd->get(), buffers, stream.kind);
  if (got.result == -EAGAIN) Py_RETURN_NONE;
  if (got.result < 0) return raise_error(Error::os(static_cast<int>(-got.result)), "stream");
  return PyLong_FromLongLong(got.result);
}

Poll<PyObject*> StreamWriteVectored::poll(Context& context) {
  const ObjectLock lock(stream_->self);
  if (!held_) {
    auto locked = lock_.poll(context);
    if (locked.is_pending()) return pending;
    held_.emplace(std::move(locked).take());
  }
  std::size_t sent = 0;
  if (buffers_.bytes() > 0 || stream_->is_closed()) {
    auto answer = wait_.poll(context, [&](int fd) noexcept { return send(fd, buffers_); });
    if (answer.is_pending()) return pending;
    if (!answer.value()) return raise_io_error(answer.value().error(), "stream");
    sent = *answer.value();
  }
  held_.reset();
  return PyLong_FromSize_t(sent);
}

PyObject* stream_try_write_vectored_now(PyStreamBase& stream, HeldBuffers buffers) noexcept {
  const ObjectLock lock(stream.self);
  // Behind those who wait.
  if (!stream.writing.try_lock()) return PyLong_FromLong(0);
  const sync::MutexGuard guard = stream.writing.adopt();
  if (buffers.bytes() == 0 && !stream.is_closed()) return PyLong_FromLong(0);
  const IoAttempt sent = send(stream.fd->get(), buffers);
  if (sent.result == -EAGAIN) return PyLong_FromLong(0);
  if (sent.result < 0) return raise_error(Error::os(static_cast<int>(-sent.result)), "stream");
  return PyLong_FromLongLong(sent.result);
}

}  // namespace blitzio::python

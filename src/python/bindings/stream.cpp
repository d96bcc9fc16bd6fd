#include <python/bindings/stream.hpp>

#include <blitzio/base/syscalls.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/support/error.hpp>
#include <python/support/ft.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

namespace blitzio::python {

namespace {

/// What one read can give at most: small ones are copied into an object of the right size, which
/// costs less than an object of the largest size that is shrunk.
constexpr std::size_t kScratchBytes = 256 * 1024;
constexpr std::size_t kGatherBytes = 16 * 1024;
constexpr std::size_t kGatherBytesAtOnce = 1024 * 1024;

/// The thread's buffer for the time of one poll.
std::span<std::byte> scratch() {
  thread_local std::unique_ptr<std::byte[]> buffer;
  if (buffer == nullptr) buffer = std::make_unique_for_overwrite<std::byte[]>(kScratchBytes);
  return {buffer.get(), kScratchBytes};
}

PyObject* make_bytes(std::span<const std::byte> bytes) noexcept {
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                   static_cast<Py_ssize_t>(bytes.size()));
}

/// What is ahead, at most `count` bytes.
PyObject* give_ahead(ReadAhead& ahead, std::size_t count, bool peeks) noexcept {
  const std::size_t have = std::min(count, ahead.size());
  PyObject* bytes = make_bytes(ahead.view().first(have));
  if (bytes != nullptr && !peeks) ahead.consume(have);
  return bytes;
}

/// recv(2) or read(2) without waiting, as IoWait wants it.
IoAttempt receive(int fd, std::span<std::byte> buffer, int flags, StreamKind kind) noexcept {
  for (;;) {
    const ssize_t count =
        kind == StreamKind::pipe
            ? sys::read(fd, buffer.data(), buffer.size())
            : sys::recv(fd, buffer.data(), buffer.size(), flags | MSG_DONTWAIT, sys::Wait::edge);
    if (count >= 0) {
      const bool is_short = count > 0 && static_cast<std::size_t>(count) < buffer.size();
      return {count, kind == StreamKind::tcp && is_short && flags == 0};
    }
    const int code = errno;
    if (code != EINTR) return {-code};
  }
}

/// send(2) or write(2), as IoWait wants it.
IoAttempt send(int fd, std::span<const std::byte> data, StreamKind kind) noexcept {
  const iovec vector{const_cast<std::byte*>(data.data()), data.size()};
  for (;;) {
    const ssize_t count = kind == StreamKind::pipe ? sys::writev(fd, &vector, 1)
                                                   : sys::send(fd, data.data(), data.size(),
                                                               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return {count};
    const int code = errno;
    if (code != EINTR) return {-code};
  }
}

PyObject* asyncio_error(const char* name, PyObject* args) noexcept {
  const PyRef held = PyRef::steal(args);
  if (!held) return nullptr;
  const PyRef asyncio = PyRef::steal(PyImport_ImportModule("asyncio"));
  if (!asyncio) return nullptr;
  const PyRef type = PyRef::steal(PyObject_GetAttrString(asyncio.get(), name));
  if (type) PyErr_SetObject(type.get(), held.get());
  return nullptr;
}

}  // namespace

Poll<PyObject*> StreamRead::poll(Context& context) {
  const ObjectLock lock(stream_->self);
  if (stream_->reads_without_call(count_)) return give_ahead(stream_->ahead(), count_, peeks_);
  const auto buffer = scratch().first(std::min(count_, kScratchBytes));
  auto answer = wait_.poll(context, [&](int fd) noexcept {
    return receive(fd, buffer, peeks_ ? MSG_PEEK : 0, stream_->kind);
  });
  if (answer.is_pending()) return pending;
  if (!answer.value()) return raise_io_error(answer.value().error(), "stream");
  return make_bytes(buffer.first(*answer.value()));
}

Poll<PyObject*> StreamReadInto::poll(Context& context) {
  const ObjectLock lock(stream_->self);
  const auto buffer = buffer_.bytes();
  if (stream_->reads_without_call(buffer.size())) {
    ReadAhead& ahead = stream_->ahead();
    const auto part = ahead.view().first(std::min(buffer.size(), ahead.size()));
    std::ranges::copy(part, buffer.begin());
    ahead.consume(part.size());
    return PyLong_FromSize_t(part.size());
  }
  auto answer =
      wait_.poll(context, [&](int fd) noexcept { return receive(fd, buffer, 0, stream_->kind); });
  if (answer.is_pending()) return pending;
  if (!answer.value()) return raise_io_error(answer.value().error(), "stream");
  return PyLong_FromSize_t(*answer.value());
}

PyObject* stream_take_ahead(PyStreamBase& stream) noexcept {
  const ObjectLock lock(stream.self);
  return give_ahead(stream.ahead(), SIZE_MAX, false);
}

PyObject* stream_try_read_now(PyStreamBase& stream, std::size_t count, bool peeks) noexcept {
  try {
    const ObjectLock lock(stream.self);
    if (stream.reads_without_call(count)) return give_ahead(stream.ahead(), count, peeks);
    const auto buffer = scratch().first(std::min(count, kScratchBytes));
    const IoAttempt got = receive(stream.fd->get(), buffer, peeks ? MSG_PEEK : 0, stream.kind);
    if (got.result == -EAGAIN) Py_RETURN_NONE;
    if (got.result < 0) return raise_error(Error::os(static_cast<int>(-got.result)), "stream");
    return make_bytes(buffer.first(static_cast<std::size_t>(got.result)));
  } catch (...) {
    detail::raise_current_exception();
    return nullptr;
  }
}

// ---- gathering ---------------------------------------------------------------------------------

PyObject* StreamGather::take(std::size_t count) {
  return give_ahead(stream_->ahead(), count, false);
}

std::optional<PyObject*> StreamGather::found() {
  const auto have = stream_->ahead().view();
  if (until_ == Until::count) {
    if (have.size() < limit_) return std::nullopt;
    return take(limit_);
  }
  if (until_ != Until::end) {
    const std::string_view text(reinterpret_cast<const char*>(have.data()), have.size());
    const std::size_t at = text.find(separator_, searched_);
    if (at != std::string_view::npos && at + separator_.size() <= limit_) {
      return take(at + separator_.size());
    }
    if (at == std::string_view::npos && have.size() <= limit_) {
      // The separator may have begun already.
      searched_ = have.size() - std::min(have.size(), separator_.size() - 1);
      return std::nullopt;
    }
  } else if (have.size() <= limit_) {
    return std::nullopt;
  }
  const PyRef message = PyRef::steal(PyUnicode_FromFormat(
      until_ == Until::end ? "more than %zu bytes came" : "no separator in the first %zu bytes",
      limit_));
  if (!message) return nullptr;
  return asyncio_error("LimitOverrunError",
                       Py_BuildValue("On", message.get(), static_cast<Py_ssize_t>(have.size())));
}

PyObject* StreamGather::at_end() {
  const std::size_t count = stream_->ahead().size();
  switch (until_) {
    case Until::next_line:
      if (count == 0) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
        return nullptr;
      }
      [[fallthrough]];
    case Until::line:
    case Until::end:
      return take(count);
    case Until::count:
    case Until::separator:
      break;
  }
  const PyRef partial = PyRef::steal(take(count));
  if (!partial) return nullptr;
  return asyncio_error("IncompleteReadError",
                       until_ == Until::count
                           ? Py_BuildValue("On", partial.get(), static_cast<Py_ssize_t>(limit_))
                           : Py_BuildValue("OO", partial.get(), Py_None));
}

std::size_t StreamGather::wanted() const noexcept {
  if (until_ != Until::count) return kGatherBytes;
  const std::size_t have = stream_->ahead().size();
  // No more than as much again: who asks for much, on a peer's word perhaps, may never get it.
  return std::clamp(limit_ - have, kGatherBytes, std::max(have, kGatherBytesAtOnce));
}

Poll<PyObject*> StreamGather::poll(Context& context) {
  const ObjectLock lock(stream_->self);
  for (;;) {
    if (!stream_->is_closed()) {
      if (const auto result = found()) return *result;
    }
    // The room is asked for in each attempt: to wait may run the loop's code, and meanwhile another
    // thread's read may have moved what is ahead.
    auto answer = wait_.poll(context, [&](int fd) {
      ReadAhead& ahead = stream_->ahead();
      const IoAttempt got = receive(fd, ahead.room(wanted()), 0, stream_->kind);
      if (got.result > 0) ahead.add(static_cast<std::size_t>(got.result));
      return got;
    });
    if (answer.is_pending()) return pending;
    if (!answer.value()) return raise_io_error(answer.value().error(), "stream");
    if (*answer.value() == 0) return at_end();
  }
}

// ---- writing -----------------------------------------------------------------------------------

Poll<PyObject*> StreamWrite::poll(Context& context) {
  const ObjectLock lock(stream_->self);
  if (!held_) {
    auto locked = lock_.poll(context);
    if (locked.is_pending()) return pending;
    held_.emplace(std::move(locked).take());
  }
  const auto data = data_.bytes();
  while (sent_ < data.size() || (data.empty() && stream_->is_closed())) {
    auto answer = wait_.poll(
        context, [&](int fd) noexcept { return send(fd, data.subspan(sent_), stream_->kind); });
    if (answer.is_pending()) return pending;
    if (!answer.value()) return raise_io_error(answer.value().error(), "stream");
    sent_ += *answer.value();
    if (!is_all_) break;
  }
  held_.reset();
  return is_all_ ? Py_NewRef(Py_None) : PyLong_FromSize_t(sent_);
}

PyObject* stream_try_write_now(PyStreamBase& stream, std::span<const std::byte> data) noexcept {
  const ObjectLock lock(stream.self);
  // Behind those who wait.
  if (!stream.writing.try_lock()) return PyLong_FromLong(0);
  const sync::MutexGuard guard = stream.writing.adopt();
  const IoAttempt sent = send(stream.fd->get(), data, stream.kind);
  if (sent.result == -EAGAIN) return PyLong_FromLong(0);
  if (sent.result < 0) return raise_error(Error::os(static_cast<int>(-sent.result)), "try_write");
  return PyLong_FromLongLong(sent.result);
}

}  // namespace blitzio::python

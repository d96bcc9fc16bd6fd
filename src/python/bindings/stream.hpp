// `PyStream<S>`: what every stream of Python holds, `blitzio.net.TcpStream` as well as the pipes of
// `blitzio.process`: the descriptor, bytes that were read ahead, and the line of those who write.
// stream_methods.hpp has the methods that they share.
//
// Cancelling loses nothing: a read that needs more than one recv(2) gathers in `ahead()`, and what
// is there when it is dropped is for the next. Writers come one after the other, so that two tasks'
// data does not mix.
//
// Threads: attached ones, one at a time: on free-threaded builds polls hold the object's lock.
#pragma once

#include <blitzio/executor/async_fd.hpp>
#include <blitzio/sync/mutex.hpp>
#include <python/bindings/box.hpp>
#include <python/bindings/held_buffer.hpp>
#include <python/bindings/read_ahead.hpp>
#include <python/bridge/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace blitzio::python {

/// Which system calls a stream takes, and what they tell.
enum class StreamKind : std::uint8_t {
  tcp,     ///< recv(2); one that gave less than asked for has emptied it
  socket,  ///< recv(2)
  pipe,    ///< read(2)
};

struct PyStreamBase {
  explicit PyStreamBase(StreamKind kind_in) noexcept : kind(kind_in) {}

  /// Of what was closed, or given away, nothing is left.
  [[nodiscard]] ReadAhead& ahead() noexcept {
    if (BLITZIO_UNLIKELY(is_closed())) ahead_.clear();
    return ahead_;
  }

  /// What is closed refuses also what needs no system call: to move no bytes.
  [[nodiscard]] bool is_closed() const noexcept { return fd->get() < 0; }

  /// Whether reading so many bytes needs no system call: what is ahead is given, or none.
  [[nodiscard]] bool reads_without_call(std::size_t bytes) noexcept {
    return ahead().size() > 0 || (bytes == 0 && !is_closed());
  }

  const AsyncFd* fd = nullptr;  ///< of what is derived from this
  sync::Mutex writing;
  PyObject* self = nullptr;  ///< borrowed: the object that this is part of
  const StreamKind kind;
  bool is_split = false;  ///< a socket's, into the halves of blitzio._net.split

 private:
  ReadAhead ahead_;
};

/// S has `async_fd()`.
template <class S>
struct PyStream : PyStreamBase {
  PyStream(S&& stream_in, StreamKind kind_in) noexcept
      : PyStreamBase(kind_in), stream(std::move(stream_in)) {
    fd = &stream.async_fd();
  }
  S stream;
};

/// A new object of `type`, whose value is a PyStream<S>.
/// Returns  null with an error set; the stream is the caller's still.
template <class S>
[[nodiscard]] PyObject* make_py_stream(ModuleState& state, PyTypeObject* type, S&& stream,
                                       StreamKind kind) noexcept {
  static_assert(!std::is_reference_v<S>);
  PyObject* self = Box<PyStream<S>>::make(state, type, std::forward<S>(stream), kind);
  if (self != nullptr) Box<PyStream<S>>::of(self).value.self = self;
  return self;
}

// ---- futures; their output is a new reference, or null with an error set ------------------------

/// read(), peek(): what is there.
class StreamRead {
 public:
  using Output = PyObject*;
  StreamRead(PyStreamBase& stream, std::size_t count, bool peeks) noexcept
      : stream_(&stream), wait_(*stream.fd, IoDirection::read), count_(count), peeks_(peeks) {}
  Poll<PyObject*> poll(Context& context);

 private:
  PyStreamBase* stream_;
  IoWait wait_;
  std::size_t count_;
  bool peeks_;
};

/// read_into(): what is there, into the caller's buffer.
class StreamReadInto {
 public:
  using Output = PyObject*;
  StreamReadInto(PyStreamBase& stream, HeldBuffer buffer) noexcept
      : stream_(&stream), wait_(*stream.fd, IoDirection::read), buffer_(std::move(buffer)) {}
  Poll<PyObject*> poll(Context& context);
  int traverse(visitproc visit, void* arg) noexcept { return buffer_.traverse(visit, arg); }

 private:
  PyStreamBase* stream_;
  IoWait wait_;
  HeldBuffer buffer_;
};

/// read_exact(), read_until(), read_line(), read_to_end(): gathers until it is enough.
class StreamGather {
 public:
  using Output = PyObject*;
  enum class Until : std::uint8_t { count, separator, line, next_line, end };
  /// `limit`: of `count` how many bytes; else how many may be gathered.
  StreamGather(PyStreamBase& stream, Until until, std::size_t limit,
               std::string separator = "\n") noexcept
      : stream_(&stream),
        wait_(*stream.fd, IoDirection::read),
        limit_(limit),
        separator_(std::move(separator)),
        until_(until) {}
  Poll<PyObject*> poll(Context& context);

 private:
  /// The result if it is there; none if more is needed.
  [[nodiscard]] std::optional<PyObject*> found();
  [[nodiscard]] PyObject* at_end();
  [[nodiscard]] PyObject* take(std::size_t count);
  [[nodiscard]] std::size_t wanted() const noexcept;

  PyStreamBase* stream_;
  IoWait wait_;
  std::size_t limit_;
  std::size_t searched_ = 0;
  std::string separator_;
  Until until_;
};

/// write(), write_all().
class StreamWrite {
 public:
  using Output = PyObject*;
  StreamWrite(PyStreamBase& stream, HeldBuffer data, bool is_all) noexcept
      : stream_(&stream),
        lock_(stream.writing.lock()),
        wait_(*stream.fd, IoDirection::write),
        data_(std::move(data)),
        is_all_(is_all) {}
  Poll<PyObject*> poll(Context& context);
  int traverse(visitproc visit, void* arg) noexcept { return data_.traverse(visit, arg); }

 private:
  PyStreamBase* stream_;
  sync::Mutex::Lock lock_;
  std::optional<sync::MutexGuard> held_;
  IoWait wait_;
  HeldBuffer data_;
  std::size_t sent_ = 0;
  bool is_all_;
};

/// read() or peek(), now: None if nothing is there. Null with an error set.
[[nodiscard]] PyObject* stream_try_read_now(PyStreamBase& stream, std::size_t count,
                                            bool peeks) noexcept;
/// What was read ahead, which is the caller's then. Null with an error set.
[[nodiscard]] PyObject* stream_take_ahead(PyStreamBase& stream) noexcept;
/// write(), now: how much; 0 if there is no room, or others wait. Null with an error set.
[[nodiscard]] PyObject* stream_try_write_now(PyStreamBase& stream,
                                             std::span<const std::byte> data) noexcept;

}  // namespace blitzio::python

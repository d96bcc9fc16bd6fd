// `PyStream<S>`: what `blitzio.net.TcpStream` and `UnixStream` hold: the socket, bytes that were
// read ahead, and the line of those who write.
//
// Cancelling loses nothing: a read that needs more than one recv(2) gathers in `ahead`, and what is
// there when it is dropped is for the next. Writers come one after the other, so that two tasks'
// data does not mix.
//
// Threads: attached ones, one at a time: on free-threaded builds polls hold the object's lock.
#pragma once

#include <blitzio/net/tcp.hpp>
#include <blitzio/net/unix.hpp>
#include <blitzio/sync/mutex.hpp>
#include <python/bindings/box.hpp>
#include <python/bridge/io_context.hpp>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::python {

/// Bytes that were read and that nobody has taken yet.
class ReadAhead {
 public:
  [[nodiscard]] std::span<const std::byte> view() const noexcept {
    return std::span(bytes_).subspan(begin_, end_ - begin_);
  }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  void consume(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
    // A long read leaves no long buffer behind.
    if (end_ == 0 && bytes_.size() > kKeptBytes) bytes_ = {};
  }
  /// Room for at least `count` bytes behind the others. Throws std::bad_alloc.
  [[nodiscard]] std::span<std::byte> room(std::size_t count) {
    if (bytes_.size() - end_ < count) {
      if (begin_ > 0) {
        std::memmove(bytes_.data(), bytes_.data() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
      }
      if (bytes_.size() - end_ < count) bytes_.resize(end_ + count);
    }
    return std::span(bytes_).subspan(end_);
  }
  void add(std::size_t count) noexcept { end_ += count; }

 private:
  static constexpr std::size_t kKeptBytes = 64 * 1024;
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

struct PyStreamBase {
  explicit PyStreamBase(net::StreamSocket& socket_in, bool is_tcp_in) noexcept
      : socket(socket_in), is_tcp(is_tcp_in) {}

  net::StreamSocket& socket;
  ReadAhead ahead;
  sync::Mutex writing;
  PyObject* self = nullptr;  ///< borrowed: the object that this is part of
  const bool is_tcp;
};

template <class S>
struct PyStream : PyStreamBase {
  explicit PyStream(S stream_in) noexcept
      : PyStreamBase(stream, std::is_same_v<S, net::TcpStream>), stream(std::move(stream_in)) {}
  S stream;
};

/// A bytes-like argument, held; move-only. Attached threads.
class HeldBuffer {
 public:
  HeldBuffer() noexcept = default;
  HeldBuffer(HeldBuffer&& other) noexcept
      : view_(other.view_), is_held_(std::exchange(other.is_held_, false)) {}
  HeldBuffer(const HeldBuffer&) = delete;
  HeldBuffer& operator=(const HeldBuffer&) = delete;
  HeldBuffer& operator=(HeldBuffer&&) = delete;
  ~HeldBuffer() {
    if (is_held_) PyBuffer_Release(&view_);
  }
  /// `flags`: PyBUF_SIMPLE or PyBUF_WRITABLE. False with an error set.
  [[nodiscard]] bool hold(PyObject* object, int flags) noexcept {
    is_held_ = PyObject_GetBuffer(object, &view_, flags) == 0;
    return is_held_;
  }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(view_.obj);
    return 0;
  }

 private:
  Py_buffer view_{};
  bool is_held_ = false;
};

// ---- futures; their output is a new reference, or null with an error set ------------------------

/// read(), peek(): what is there.
class StreamRead {
 public:
  using Output = PyObject*;
  StreamRead(PyStreamBase& stream, std::size_t count, bool peeks) noexcept
      : stream_(&stream),
        wait_(stream.socket.async_fd(), IoDirection::read),
        count_(count),
        peeks_(peeks) {}
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
      : stream_(&stream),
        wait_(stream.socket.async_fd(), IoDirection::read),
        buffer_(std::move(buffer)) {}
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
        wait_(stream.socket.async_fd(), IoDirection::read),
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
        wait_(stream.socket.async_fd(), IoDirection::write),
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

/// read(), now: None if nothing is there. Null with an error set.
[[nodiscard]] PyObject* stream_try_read_now(PyStreamBase& stream, std::size_t count) noexcept;

/// A new TcpStream or UnixStream. Null with an error set.
[[nodiscard]] PyObject* make_stream(ModuleState& state, net::TcpStream stream) noexcept;
[[nodiscard]] PyObject* make_stream(ModuleState& state, net::UnixStream stream) noexcept;

[[nodiscard]] int net_stream_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

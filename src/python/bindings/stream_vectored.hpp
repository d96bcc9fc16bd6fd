// Reading into several buffers, and writing from several, with one system call: the futures and
// methods of sockets' streams. See stream.hpp for what they share with the others.
#pragma once

#include <python/bindings/stream.hpp>
#include <python/bindings/stream_methods.hpp>

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::python {

/// The memory of an iterable of bytes-like arguments, held: of the first kBuffersMax of those that
/// are not empty. Move-only. Attached threads.
class HeldBuffers {
 public:
  /// IOV_MAX: what a system call takes.
  static constexpr std::size_t kBuffersMax = 1024;

  /// `flags`: as HeldBuffer::hold(). False with an error set.
  [[nodiscard]] bool hold(PyObject* iterable, int flags) noexcept;
  [[nodiscard]] std::span<iovec> vectors() noexcept { return vectors_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  int traverse(visitproc visit, void* arg) noexcept;

 private:
  std::vector<HeldBuffer> buffers_;
  std::vector<iovec> vectors_;
  std::size_t bytes_ = 0;
};

/// read_vectored(): what is there.
class StreamReadVectored {
 public:
  using Output = PyObject*;
  StreamReadVectored(PyStreamBase& stream, HeldBuffers buffers) noexcept
      : stream_(&stream), wait_(*stream.fd, IoDirection::read), buffers_(std::move(buffers)) {}
  Poll<PyObject*> poll(Context& context);
  int traverse(visitproc visit, void* arg) noexcept { return buffers_.traverse(visit, arg); }

 private:
  PyStreamBase* stream_;
  IoWait wait_;
  HeldBuffers buffers_;
};

/// write_vectored(): what there is room for, when it is this writer's turn.
class StreamWriteVectored {
 public:
  using Output = PyObject*;
  StreamWriteVectored(PyStreamBase& stream, HeldBuffers buffers) noexcept
      : stream_(&stream),
        lock_(stream.writing.lock()),
        wait_(*stream.fd, IoDirection::write),
        buffers_(std::move(buffers)) {}
  Poll<PyObject*> poll(Context& context);
  int traverse(visitproc visit, void* arg) noexcept { return buffers_.traverse(visit, arg); }

 private:
  PyStreamBase* stream_;
  sync::Mutex::Lock lock_;
  std::optional<sync::MutexGuard> held_;
  IoWait wait_;
  HeldBuffers buffers_;
};

/// The same now: None if nothing is there; 0 if there is no room. Null with an error set.
[[nodiscard]] PyObject* stream_try_read_vectored_now(PyStreamBase& stream,
                                                     HeldBuffers buffers) noexcept;
[[nodiscard]] PyObject* stream_try_write_vectored_now(PyStreamBase& stream,
                                                      HeldBuffers buffers) noexcept;

template <class S>
PyObject* stream_read_vectored(PyObject* self, PyObject* iterable) {
  HeldBuffers buffers;
  if (!buffers.hold(iterable, PyBUF_WRITABLE)) return nullptr;
  return await_on_loop<S>(self, "read_vectored",
                          StreamReadVectored(stream_of<S>(self), std::move(buffers)));
}
template <class S>
PyObject* stream_try_read_vectored(PyObject* self, PyObject* iterable) {
  HeldBuffers buffers;
  if (!buffers.hold(iterable, PyBUF_WRITABLE)) return nullptr;
  return stream_try_read_vectored_now(stream_of<S>(self), std::move(buffers));
}
template <class S>
PyObject* stream_write_vectored(PyObject* self, PyObject* iterable) {
  HeldBuffers buffers;
  if (!buffers.hold(iterable, PyBUF_SIMPLE)) return nullptr;
  return await_on_loop<S>(self, "write_vectored",
                          StreamWriteVectored(stream_of<S>(self), std::move(buffers)));
}
template <class S>
PyObject* stream_try_write_vectored(PyObject* self, PyObject* iterable) {
  HeldBuffers buffers;
  if (!buffers.hold(iterable, PyBUF_SIMPLE)) return nullptr;
  return stream_try_write_vectored_now(stream_of<S>(self), std::move(buffers));
}

template <class S>
const std::array kVectoredMethods{
    PyMethodDef{"read_vectored", stream_read_vectored<S>, METH_O,
                PyDoc_STR("read_vectored($self, buffers, /)\n--\n\n"
                          "read() into several writable buffers.")},
    PyMethodDef{"try_read_vectored", stream_try_read_vectored<S>, METH_O,
                PyDoc_STR("try_read_vectored($self, buffers, /)\n--\n\n"
                          "read_vectored() now; None if nothing is there.")},
    PyMethodDef{"write_vectored", stream_write_vectored<S>, METH_O,
                PyDoc_STR("write_vectored($self, buffers, /)\n--\n\n"
                          "write() from several buffers.")},
    PyMethodDef{"try_write_vectored", stream_try_write_vectored<S>, METH_O,
                PyDoc_STR("try_write_vectored($self, buffers, /)\n--\n\n"
                          "Write now what there is room for.")},
    blocking_form<stream_read_vectored<S>, "blocking_read_vectored", 1>(
        PyDoc_STR("blocking_read_vectored($self, buffers, /, *, timeout=None)\n--\n\n"
                  "read_vectored() for threads.")),
    blocking_form<stream_write_vectored<S>, "blocking_write_vectored", 1>(
        PyDoc_STR("blocking_write_vectored($self, buffers, /, *, timeout=None)\n--\n\n"
                  "write_vectored() for threads.")),
};

}  // namespace blitzio::python

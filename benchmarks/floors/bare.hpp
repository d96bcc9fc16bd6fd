// What the bare ends share: asking, sending, and what is done with what was received.
#pragma once

#include <Python.h>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace floors {

constexpr std::size_t kMessageBytes = 64 * 1024;
constexpr std::size_t kPieces = 8;

/// What can send. The descriptor stays the caller's.
struct Sender {
  PyObject_HEAD int fd;
  std::uint64_t id;  // on the ring
  std::size_t count;
  std::array<PyObject*, kPieces> pieces;  // owned: `bytes`
};

/// Takes what the set has to tell, and waits for it if something is `expected`; -1: there is no
/// set. Returns false with an error set if it tells of more or less.
inline bool ask(int epoll, int expected) {
  std::array<epoll_event, 64> events;
  if (epoll < 0) return true;
  const int patience = expected == 0 ? 0 : -1;
  int count = 0;
  do {
    count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), patience);
  } while (count < 0 && errno == EINTR);  // A peer's child has ended.
  if (count == expected) return true;
  PyErr_Format(PyExc_RuntimeError, "%d events instead of %d", count, expected);
  return false;
}

template <class End>
End& as(PyObject* self) {
  return *reinterpret_cast<End*>(self);
}

inline PyObject* written(ssize_t taken, Py_ssize_t size) {
  if (taken == size) Py_RETURN_NONE;
  if (taken < 0) return PyErr_SetFromErrno(PyExc_OSError);
  return PyErr_Format(PyExc_RuntimeError, "more than the bare end can take");
}

inline bool is_bytes(PyObject* data) {
  if (PyBytes_Check(data)) return true;
  PyErr_SetString(PyExc_TypeError, "bytes were expected");
  return false;
}

inline PyObject* write_now(PyObject* self, PyObject* data) {
  if (!is_bytes(data)) return nullptr;
  const Py_ssize_t size = PyBytes_GET_SIZE(data);
  return written(
      ::write(as<Sender>(self).fd, PyBytes_AS_STRING(data), static_cast<std::size_t>(size)), size);
}

inline PyObject* gather(PyObject* self, PyObject* data) {
  Sender& end = as<Sender>(self);
  if (!is_bytes(data)) return nullptr;
  if (end.count == kPieces) {
    return PyErr_Format(PyExc_RuntimeError, "more than the bare end can take");
  }
  end.pieces[end.count++] = Py_NewRef(data);
  Py_RETURN_NONE;
}

/// What a sender has gathered, to be sent by one call.
class Gathered {
 public:
  explicit Gathered(const Sender& sender) : count_(sender.count) {
    for (std::size_t i = 0; i < count_; ++i) {
      const auto bytes = static_cast<std::size_t>(PyBytes_GET_SIZE(sender.pieces[i]));
      vectors_[i] = {PyBytes_AS_STRING(sender.pieces[i]), bytes};
      size_ += bytes;
    }
    if (count_ < 2 || size_ > kCopiedBytes) return;
    char* end = copied_.data();
    for (std::size_t i = 0; i < count_; ++i) {
      std::memcpy(end, vectors_[i].iov_base, vectors_[i].iov_len);
      end += vectors_[i].iov_len;
    }
    vectors_[0] = {copied_.data(), size_};
    count_ = 1;
  }
  Gathered(const Gathered&) = delete;  // Refers to itself.
  Gathered& operator=(const Gathered&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  /// One for each piece, or, as that takes the kernel less, one for small pieces together.
  [[nodiscard]] std::span<iovec> vectors() { return {vectors_.data(), count_}; }

 private:
  static constexpr std::size_t kCopiedBytes = 4'096;
  std::size_t count_;
  std::size_t size_ = 0;
  std::array<iovec, kPieces> vectors_;
  std::array<char, kCopiedBytes> copied_;
};

inline PyObject* flush(PyObject* self, PyObject* /*unused*/) {
  Sender& end = as<Sender>(self);
  Gathered gathered(end);
  const auto vectors = gathered.vectors();
  const ssize_t taken = vectors.size() == 1
                            ? ::write(end.fd, vectors[0].iov_base, vectors[0].iov_len)
                            : ::writev(end.fd, vectors.data(), static_cast<int>(vectors.size()));
  while (end.count != 0) Py_DECREF(end.pieces[--end.count]);
  return written(taken, static_cast<Py_ssize_t>(gathered.size()));
}

/// Calls the protocol with what a descriptor's read gave, or with what decrypting it did.
inline PyObject* hand_over(PyObject* bytes, PyObject* data_received) {
  if (bytes == nullptr) return nullptr;
  PyObject* result = PyObject_CallOneArg(data_received, bytes);
  Py_DECREF(bytes);
  return result;
}

inline PyObject* read_and_hand_over(PyObject* self, PyObject* data_received) {
  std::array<char, kMessageBytes> buffer;
  const ssize_t count = ::read(as<Sender>(self).fd, buffer.data(), buffer.size());
  if (count < 0) return PyErr_SetFromErrno(PyExc_OSError);
  return hand_over(PyBytes_FromStringAndSize(buffer.data(), count), data_received);
}

/// Of IPv4, whose datagrams come from one sender.
struct Datagrams : Sender {
  sockaddr_in peer;     // the sender, once one has sent something
  PyObject* peer_name;  // owned: what the protocol is told of it
};

inline PyObject* send_to(PyObject* self, PyObject* args) {
  const Datagrams& end = as<Datagrams>(self);
  PyObject* data = nullptr;
  PyObject* name = nullptr;
  if (PyArg_ParseTuple(args, "SO", &data, &name) == 0) return nullptr;
  if (name != end.peer_name) return PyErr_Format(PyExc_RuntimeError, "there is one peer");
  const Py_ssize_t size = PyBytes_GET_SIZE(data);
  return written(::sendto(end.fd, PyBytes_AS_STRING(data), static_cast<std::size_t>(size), 0,
                          reinterpret_cast<const sockaddr*>(&end.peer), sizeof end.peer),
                 size);
}

inline PyObject* receive_and_hand_over(PyObject* self, PyObject* datagram_received) {
  Datagrams& end = as<Datagrams>(self);
  std::array<char, kMessageBytes> buffer;
  socklen_t length = sizeof end.peer;
  const ssize_t count = ::recvfrom(end.fd, buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&end.peer), &length);
  if (count < 0) return PyErr_SetFromErrno(PyExc_OSError);
  if (end.peer_name == nullptr) {
    end.peer_name = Py_BuildValue("si", "127.0.0.1", static_cast<int>(ntohs(end.peer.sin_port)));
    if (end.peer_name == nullptr) return nullptr;
  }
  PyObject* bytes = PyBytes_FromStringAndSize(buffer.data(), count);
  if (bytes == nullptr) return nullptr;
  PyObject* args[] = {bytes, end.peer_name};
  PyObject* result = PyObject_Vectorcall(datagram_received, args, 2, nullptr);
  Py_DECREF(bytes);
  return result;
}

inline void forget_peer(PyObject* self) {
  Py_XDECREF(as<Datagrams>(self).peer_name);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/// The type of such an end: how it waits is what differs.
template <PyCFunction kDeliver, initproc kInitialise>
PyType_Spec& datagram_spec(const char* name, int bytes) {
  static PyMethodDef methods[] = {
      {"write", write_now, METH_O, nullptr},
      {"sendto", send_to, METH_VARARGS, nullptr},
      {"deliver", kDeliver, METH_O, nullptr},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyType_Slot slots[] = {
      {Py_tp_init, reinterpret_cast<void*>(kInitialise)},
      {Py_tp_dealloc, reinterpret_cast<void*>(forget_peer)},
      {Py_tp_methods, methods},
      {0, nullptr},
  };
  static PyType_Spec spec{name, bytes, 0, Py_TPFLAGS_DEFAULT, slots};
  return spec;
}

inline bool add_type(PyObject* module, const char* name, PyType_Spec& type_spec) {
  PyObject* type = PyType_FromSpec(&type_spec);
  if (type == nullptr) return false;
  if (PyModule_AddObject(module, name, type) == 0) return true;
  Py_DECREF(type);
  return false;
}

}  // namespace floors

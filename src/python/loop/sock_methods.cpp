#include <python/loop/sock_attempt.hpp>
#include <python/loop/sock_methods.hpp>
#include <python/loop/sock_operation.hpp>

#include <arpa/inet.h>

#include <array>

namespace blitzio::python {

namespace {

constexpr std::size_t kParametersMax = 3;

struct Signature {
  const char* method;
  SockKind kind;
  std::size_t required;
  std::array<const char*, kParametersMax> names;  // null behind the last
};

constexpr Signature kRecv{"sock_recv", SockKind::recv, 2, {"sock", "n", nullptr}};
constexpr Signature kRecvInto{"sock_recv_into", SockKind::recv_into, 2, {"sock", "buf", nullptr}};
constexpr Signature kRecvfrom{"sock_recvfrom", SockKind::recvfrom, 2, {"sock", "bufsize", nullptr}};
constexpr Signature kRecvfromInto{
    "sock_recvfrom_into", SockKind::recvfrom_into, 2, {"sock", "buf", "nbytes"}};
constexpr Signature kSendall{"sock_sendall", SockKind::sendall, 2, {"sock", "data", nullptr}};
constexpr Signature kSendto{"sock_sendto", SockKind::sendto, 3, {"sock", "data", "address"}};
constexpr Signature kAccept{"sock_accept", SockKind::accept, 1, {"sock", nullptr, nullptr}};
constexpr Signature kConnect{"sock_connect", SockKind::connect, 2, {"sock", "address", nullptr}};

using Bound = std::array<PyObject*, kParametersMax>;

std::size_t parameter_count(const Signature& signature) noexcept {
  std::size_t count = 0;
  while (count < kParametersMax && signature.names[count] != nullptr) ++count;
  return count;
}

/// Puts keyword arguments into their places. Returns false with TypeError set.
BLITZIO_COLD bool bind_keywords(const Signature& signature, PyObject* const* values,
                                PyObject* kwnames, Bound* bound) noexcept {
  const std::size_t parameters = parameter_count(signature);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(kwnames, i);
    std::size_t place = 0;
    while (place < parameters &&
           PyUnicode_CompareWithASCIIString(keyword, signature.names[place]) != 0) {
      ++place;
    }
    if (place == parameters) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                   signature.method, keyword);
      return false;
    }
    if ((*bound)[place] != nullptr) {
      PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", signature.method,
                   keyword);
      return false;
    }
    (*bound)[place] = values[i];
  }
  return true;
}

/// Returns false with TypeError set. Missing optional arguments are null.
bool bind(const Signature& signature, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
          Bound* bound) noexcept {
  const auto given = static_cast<std::size_t>(nargs);
  if (BLITZIO_UNLIKELY(given > parameter_count(signature))) {
    PyErr_Format(PyExc_TypeError, "%s() takes %zu positional arguments but %zd were given",
                 signature.method, parameter_count(signature), nargs);
    return false;
  }
  for (std::size_t i = 0; i < given; ++i) (*bound)[i] = args[i];
  if (kwnames != nullptr && !bind_keywords(signature, args + nargs, kwnames, bound)) return false;
  for (std::size_t i = given; i < signature.required; ++i) {
    if ((*bound)[i] != nullptr) continue;
    PyErr_Format(PyExc_TypeError, "%s() missing required argument: '%s'", signature.method,
                 signature.names[i]);
    return false;
  }
  return true;
}

PyObject* make(const Signature& signature, PyObject* self, PyObject* const* args, Py_ssize_t nargs,
               PyObject* kwnames) noexcept {
  Bound bound{};
  if (!bind(signature, args, nargs, kwnames, &bound)) return nullptr;
  return sock_operation_new(*reinterpret_cast<LoopObject*>(self), signature.kind, bound[0],
                            bound[1], bound[2]);
}

bool is_numeric_host(PyObject* host, int family) noexcept {
  if (PyUnicode_Check(host) == 0) return false;
  Py_ssize_t length = 0;
  const char* text = PyUnicode_AsUTF8AndSize(host, &length);
  if (text == nullptr) {
    PyErr_Clear();  // Lone surrogates: let the resolver refuse it.
    return false;
  }
  std::array<unsigned char, sizeof(in6_addr)> binary;
  return ::strlen(text) == static_cast<std::size_t>(length) &&
         ::inet_pton(family, text, binary.data()) == 1;
}

/// Whether connect() can take `address` as it is. Returns -1 with an error set.
int is_resolved(LoopObject& loop, PyObject* sock, PyObject* address) noexcept {
  const PyRef number = PyRef::steal(PyObject_GetAttr(sock, loop.state->names.family));
  if (!number) return -1;
  const long family = PyLong_AsLong(number.get());
  if (family == -1 && PyErr_Occurred() != nullptr) return -1;
  if (family != AF_INET && family != AF_INET6) return 1;
  if (PyTuple_Check(address) == 0) return 0;
  const Py_ssize_t size = PyTuple_GET_SIZE(address);
  if (size < 2 || size > (family == AF_INET ? 2 : 4)) return 0;
  return PyLong_CheckExact(PyTuple_GET_ITEM(address, 1)) != 0 &&
                 is_numeric_host(PyTuple_GET_ITEM(address, 0), static_cast<int>(family))
             ? 1
             : 0;
}

}  // namespace

PyObject* loop_sock_recv(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                         PyObject* kwnames) noexcept {
  return make(kRecv, self, args, nargs, kwnames);
}

PyObject* loop_sock_recv_into(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                              PyObject* kwnames) noexcept {
  return make(kRecvInto, self, args, nargs, kwnames);
}

PyObject* loop_sock_recvfrom(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept {
  return make(kRecvfrom, self, args, nargs, kwnames);
}

PyObject* loop_sock_recvfrom_into(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                  PyObject* kwnames) noexcept {
  return make(kRecvfromInto, self, args, nargs, kwnames);
}

PyObject* loop_sock_sendall(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) noexcept {
  return make(kSendall, self, args, nargs, kwnames);
}

PyObject* loop_sock_sendto(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept {
  return make(kSendto, self, args, nargs, kwnames);
}

PyObject* loop_sock_accept(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept {
  return make(kAccept, self, args, nargs, kwnames);
}

PyObject* loop_sock_connect_resolved(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                     PyObject* kwnames) noexcept {
  return make(kConnect, self, args, nargs, kwnames);
}

PyObject* loop_sock_connect(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) noexcept {
  LoopObject& loop = *reinterpret_cast<LoopObject*>(self);
  Bound bound{};
  if (!bind(kConnect, args, nargs, kwnames, &bound)) return nullptr;
  PyObject* sock = bound[0];
  PyObject* address = bound[1];
  const int resolved = is_resolved(loop, sock, address);
  if (resolved < 0) return nullptr;
  if (resolved > 0) return sock_operation_new(loop, SockKind::connect, sock, address, nullptr);
  if (!sock_check(loop, sock)) return nullptr;
  PyObject* const call[] = {self, sock, address};
  return PyObject_VectorcallMethod(loop.state->names._sock_connect_unresolved, call, 3, nullptr);
}

}  // namespace blitzio::python

#include <python/loop/sock_attempt.hpp>
#include <python/loop/sock_methods.hpp>
#include <python/loop/sock_operation.hpp>
#include <python/support/arguments.hpp>

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <span>

namespace blitzio::python {

namespace {

constexpr std::size_t kParametersMax = 3;

struct Signature {
  const char* method;
  std::size_t required;
  std::size_t count;
  std::array<const char*, kParametersMax> names;

  [[nodiscard]] constexpr std::span<const char* const> parameters() const noexcept {
    return {names.data(), count};
  }
};

constexpr Signature signature_of(SockKind kind) noexcept {
  switch (kind) {
    case SockKind::recv:
      return {"sock_recv", 2, 2, {"sock", "n"}};
    case SockKind::recv_into:
      return {"sock_recv_into", 2, 2, {"sock", "buf"}};
    case SockKind::recvfrom:
      return {"sock_recvfrom", 2, 2, {"sock", "bufsize"}};
    case SockKind::recvfrom_into:
      return {"sock_recvfrom_into", 2, 3, {"sock", "buf", "nbytes"}};
    case SockKind::sendall:
      return {"sock_sendall", 2, 2, {"sock", "data"}};
    case SockKind::sendto:
      return {"sock_sendto", 3, 3, {"sock", "data", "address"}};
    case SockKind::accept:
      return {"sock_accept", 1, 1, {"sock"}};
    case SockKind::connect:
      return {"sock_connect", 2, 2, {"sock", "address"}};
    case SockKind::wait_writable:
      return {"_sock_wait_writable", 1, 1, {"sock"}};
  }
  return {};
}

LoopObject& as_loop(PyObject* self) noexcept {
  return *reinterpret_cast<LoopObject*>(self);
}

template <SockKind Kind>
bool bind(Arguments& arguments) noexcept {
  static constexpr Signature kSignature = signature_of(Kind);
  return arguments.bind_all(kSignature.method, kSignature.parameters(), kSignature.required);
}

template <SockKind Kind>
PyObject* make(PyObject* self, const Arguments& arguments) noexcept {
  constexpr std::size_t kCount = signature_of(Kind).count;
  return sock_operation_new(as_loop(self), Kind, arguments[0], kCount > 1 ? arguments[1] : nullptr,
                            kCount > 2 ? arguments[2] : nullptr);
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

template <SockKind Kind>
PyObject* loop_sock_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return bind<Kind>(arguments) ? make<Kind>(self, arguments) : nullptr;
}

// What the method table names.
#define BLITZIO_SOCK_KIND(kind)                                                                \
  template PyObject* loop_sock_method<SockKind::kind>(PyObject*, PyObject* const*, Py_ssize_t, \
                                                      PyObject*) noexcept
BLITZIO_SOCK_KIND(recv);
BLITZIO_SOCK_KIND(recv_into);
BLITZIO_SOCK_KIND(recvfrom);
BLITZIO_SOCK_KIND(recvfrom_into);
BLITZIO_SOCK_KIND(sendall);
BLITZIO_SOCK_KIND(sendto);
BLITZIO_SOCK_KIND(accept);
BLITZIO_SOCK_KIND(wait_writable);
#undef BLITZIO_SOCK_KIND

PyObject* loop_sock_connect_resolved(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                     PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return bind<SockKind::connect>(arguments) ? make<SockKind::connect>(self, arguments) : nullptr;
}

PyObject* loop_sock_connect(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) noexcept {
  LoopObject& loop = as_loop(self);
  Arguments arguments(args, nargs, kwnames);
  if (!bind<SockKind::connect>(arguments)) return nullptr;
  const int resolved = is_resolved(loop, arguments[0], arguments[1]);
  if (resolved < 0) return nullptr;
  if (resolved > 0) return make<SockKind::connect>(self, arguments);
  if (!sock_check(loop, arguments[0])) return nullptr;
  PyObject* const call[] = {self, arguments[0], arguments[1]};
  return PyObject_VectorcallMethod(loop.state->names._sock_connect_unresolved, call, 3, nullptr);
}

}  // namespace blitzio::python

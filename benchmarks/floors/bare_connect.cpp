// The least that a listener written in C can do for a connection: `connect` makes its one end and
// `accept` the other, as descriptors. One that is given an epoll set puts both into it, as a loop
// must that does not know what comes, and asks it before it accepts: bare_end.cpp asks for the
// rest.
//
// Not a listener to use: one connection at a time.
#include "bare.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

namespace {

using floors::as;

struct Listener {
  PyObject_HEAD int fd;  // owned
  int epoll;             // -1: none
  sockaddr_in address;
};

PyObject* raise_errno(int fd) {
  PyErr_SetFromErrno(PyExc_OSError);
  if (fd >= 0) ::close(fd);
  return nullptr;
}

bool watch(int epoll, int fd, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  return epoll < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// By edge, and for both: no call is needed when a connection is made, nor when it has data.
bool watch_end(int epoll, int fd) {
  return watch(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET);
}

PyObject* connect(PyObject* self, PyObject* /*unused*/) {
  const Listener& listener = as<Listener>(self);
  const int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const int fd = ::socket(AF_INET, kind, IPPROTO_TCP);
  constexpr int kOn = 1;
  if (fd < 0 || ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof kOn) != 0 ||
      (::connect(fd, reinterpret_cast<const sockaddr*>(&listener.address),
                 sizeof listener.address) != 0 &&
       errno != EINPROGRESS) ||
      !watch_end(listener.epoll, fd)) {
    return raise_errno(fd);
  }
  return PyLong_FromLong(fd);
}

PyObject* accept(PyObject* self, PyObject* /*unused*/) {
  const Listener& listener = as<Listener>(self);
  if (!floors::ask(listener.epoll, 2)) return nullptr;  // of the listener, and of the other end
  const int fd = ::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 || !watch_end(listener.epoll, fd)) return raise_errno(fd);
  return PyLong_FromLong(fd);
}

// Returns false with an error set; what is open by then goes with the listener.
bool open(Listener& listener) {
  listener.address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof listener.address;
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  constexpr int kOn = 1;
  listener.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (listener.fd < 0 || ::bind(listener.fd, address, length) != 0 ||
      // Accepted sockets inherit it.
      ::setsockopt(listener.fd, IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof kOn) != 0 ||
      ::listen(listener.fd, SOMAXCONN) != 0 || ::getsockname(listener.fd, address, &length) != 0 ||
      !watch(listener.epoll, listener.fd, EPOLLIN)) {
    PyErr_SetFromErrno(PyExc_OSError);
    return false;
  }
  return true;
}

// Not __init__: nobody gets one that owns nothing yet.
PyObject* create(PyTypeObject* type, PyObject* args, PyObject* /*kwargs*/) {
  int epoll = -1;
  if (PyArg_ParseTuple(args, "|i", &epoll) == 0) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  Listener& listener = as<Listener>(self);
  listener.fd = -1;
  listener.epoll = epoll;
  if (open(listener)) return self;
  Py_DECREF(self);
  return nullptr;
}

void dealloc(PyObject* self) {
  if (as<Listener>(self).fd >= 0) ::close(as<Listener>(self).fd);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"connect", connect, METH_NOARGS, nullptr},
    {"accept", accept, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec{"bare_connect.Listener", sizeof(Listener), 0, Py_TPFLAGS_DEFAULT, slots};

PyModuleDef definition{PyModuleDef_HEAD_INIT,
                       "bare_connect",
                       nullptr,
                       -1,
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bare_connect() {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && floors::add_type(module, "Listener", spec)) return module;
  Py_XDECREF(module);
  return nullptr;
}

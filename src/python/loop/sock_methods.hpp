// The sock_* methods of a loop: they check their call and make a `SockOperation`.
#pragma once

#include <python/loop/loop_use.hpp>
#include <python/loop/sock_operation.hpp>

namespace blitzio::python {

/// sock_recv(), sock_recv_into(), …: for all kinds but connect. METH_FASTCALL | METH_KEYWORDS, as
/// the two below.
template <SockKind Kind>
PyObject* loop_sock_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept;
/// Native if the address needs no resolving, else the coroutine of
/// self._sock_connect_unresolved(sock, address).
PyObject* loop_sock_connect(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) noexcept;
/// Always native: for _sock_connect_unresolved(), when it has an address.
PyObject* loop_sock_connect_resolved(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                     PyObject* kwnames) noexcept;

// Rows for the method table in loop.cpp.
#define BLITZIO_SOCK_METHODS                                                                    \
  {"sock_recv", fast(loop_method<loop_sock_method<SockKind::recv>>),                            \
   METH_FASTCALL | METH_KEYWORDS,                                                               \
   PyDoc_STR("sock_recv($self, sock, n)\n--\n\nReceive up to n bytes; b'' at the end.")},       \
      {"sock_recv_into", fast(loop_method<loop_sock_method<SockKind::recv_into>>),              \
       METH_FASTCALL | METH_KEYWORDS,                                                           \
       PyDoc_STR("sock_recv_into($self, sock, buf)\n--\n\n"                                     \
                 "Receive into a writable buffer; returns the number of bytes.")},              \
      {"sock_recvfrom", fast(loop_method<loop_sock_method<SockKind::recvfrom>>),                \
       METH_FASTCALL | METH_KEYWORDS,                                                           \
       PyDoc_STR("sock_recvfrom($self, sock, bufsize)\n--\n\n"                                  \
                 "Receive a datagram; returns (bytes, address).")},                             \
      {"sock_recvfrom_into", fast(loop_method<loop_sock_method<SockKind::recvfrom_into>>),      \
       METH_FASTCALL | METH_KEYWORDS,                                                           \
       PyDoc_STR("sock_recvfrom_into($self, sock, buf, nbytes=0)\n--\n\n"                       \
                 "Receive a datagram into a writable buffer; returns (bytes, address).")},      \
      {"sock_sendall", fast(loop_method<loop_sock_method<SockKind::sendall>>),                  \
       METH_FASTCALL | METH_KEYWORDS,                                                           \
       PyDoc_STR("sock_sendall($self, sock, data)\n--\n\nSend all of data, a buffer.")},        \
      {"sock_sendto", fast(loop_method<loop_sock_method<SockKind::sendto>>),                    \
       METH_FASTCALL | METH_KEYWORDS,                                                           \
       PyDoc_STR("sock_sendto($self, sock, data, address)\n--\n\nSend a datagram.")},           \
      {"sock_accept", fast(loop_method<loop_sock_method<SockKind::accept>>),                    \
       METH_FASTCALL | METH_KEYWORDS,                                                           \
       PyDoc_STR("sock_accept($self, sock)\n--\n\nAccept; returns (connection, address).")},    \
      {"sock_connect", fast(loop_method<loop_sock_connect>), METH_FASTCALL | METH_KEYWORDS,     \
       PyDoc_STR("sock_connect($self, sock, address)\n--\n\nConnect, resolving a host name.")}, \
      {"_sock_wait_writable", fast(loop_method<loop_sock_method<SockKind::wait_writable>>),     \
       METH_FASTCALL | METH_KEYWORDS, PyDoc_STR("_sock_wait_writable($self, sock)\n--\n\n")},   \
  {                                                                                             \
    "_sock_connect_resolved", fast(loop_method<loop_sock_connect_resolved>),                    \
        METH_FASTCALL | METH_KEYWORDS,                                                          \
        PyDoc_STR("_sock_connect_resolved($self, sock, address)\n--\n\n")                       \
  }

}  // namespace blitzio::python

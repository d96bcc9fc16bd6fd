// The least that a transport can do on a ring: as bare_end.cpp, but what comes is told by an
// io_uring that all ends of a thread share, and one system call waits for it. Of a stream a
// multishot receive brings the bytes along (`End`); a pipe is polled and read (`PolledEnd`), a
// datagram socket polled and received from (`DatagramEnd`). What is sent is sent at once.
//
// Not a transport to use: a message is at most 16 KiB, and one that nobody expects is an error.
#include "bare_ring.hpp"
#include "bare.hpp"

#include <poll.h>
#include <cerrno>

namespace {

using floors::Ring;
using floors::the_ring;

template <bool kBringsBytes>
int watch(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  floors::Sender& end = floors::as<floors::Sender>(self);
  Ring* r = the_ring();
  if (r == nullptr || PyArg_ParseTuple(args, "i", &end.fd) == 0) return -1;
  io_uring_sqe* sqe = floors::next_entry(*r);
  if (sqe == nullptr) return -1;
  if constexpr (kBringsBytes) {
    floors::prepare_arrivals(sqe, end.fd);
  } else {
    io_uring_prep_poll_multishot(sqe, end.fd, POLLIN);
  }
  end.id = ++r->last_id;
  io_uring_sqe_set_data64(sqe, end.id);
  io_uring_submit(&r->ring);
  return 0;
}

/// Waits for the next event of `self`. Null with an error set.
io_uring_cqe* next_event(Ring& r, PyObject* self) {
  for (;;) {
    io_uring_cqe* cqe = nullptr;
    const int code = io_uring_peek_cqe(&r.ring, &cqe) == 0 ? 0 : io_uring_wait_cqe(&r.ring, &cqe);
    if (code == -EINTR) continue;
    if (code != 0) {
      errno = -code;
      PyErr_SetFromErrno(PyExc_OSError);
      return nullptr;
    }
    if (io_uring_cqe_get_data64(cqe) != floors::as<floors::Sender>(self).id) {
      io_uring_cqe_seen(&r.ring, cqe);  // The end of one that is gone.
      continue;
    }
    if (cqe->res > 0) return cqe;
    PyErr_Format(PyExc_RuntimeError, "an event that was not expected: %d", cqe->res);
    return nullptr;
  }
}

PyObject* deliver_arrival(PyObject* self, PyObject* data_received) {
  Ring& r = *the_ring();
  io_uring_cqe* cqe = next_event(r, self);
  if (cqe == nullptr) return nullptr;
  const unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
  PyObject* bytes = PyBytes_FromStringAndSize(r.buffer(id), cqe->res);
  io_uring_cqe_seen(&r.ring, cqe);
  r.give_back(id);
  return floors::hand_over(bytes, data_received);
}

bool is_polled(PyObject* self) {
  Ring& r = *the_ring();
  io_uring_cqe* cqe = next_event(r, self);
  if (cqe != nullptr) io_uring_cqe_seen(&r.ring, cqe);
  return cqe != nullptr;
}

PyObject* deliver_read(PyObject* self, PyObject* data_received) {
  return is_polled(self) ? floors::read_and_hand_over(self, data_received) : nullptr;
}

// The ring tells of arrivals, which may be several by now: a loop must look for a second one.
PyObject* deliver_datagram(PyObject* self, PyObject* datagram_received) {
  if (!is_polled(self)) return nullptr;
  PyObject* result = floors::receive_and_hand_over(self, datagram_received);
  if (result == nullptr) return nullptr;
  char more = 0;
  if (::recv(floors::as<floors::Sender>(self).fd, &more, 1, MSG_DONTWAIT) < 0) return result;
  Py_DECREF(result);
  return PyErr_Format(PyExc_RuntimeError, "a datagram that was not expected");
}

// A ring shows in memory whether there is something.
PyObject* look(PyObject* /*self*/, PyObject* /*unused*/) {
  if (io_uring_cq_ready(&the_ring()->ring) == 0) Py_RETURN_NONE;
  return PyErr_Format(PyExc_RuntimeError, "an event that was not expected");
}

// What asyncio's StreamWriter asks when it is dropped.
PyObject* is_closing(PyObject* /*self*/, PyObject* /*unused*/) {
  Py_RETURN_TRUE;
}

PyMethodDef methods[] = {
    {"write", floors::write_now, METH_O, nullptr},
    {"gather", floors::gather, METH_O, nullptr},
    {"flush", floors::flush, METH_NOARGS, nullptr},
    {"deliver", deliver_arrival, METH_O, nullptr},
    {"look", look, METH_NOARGS, nullptr},
    {"is_closing", is_closing, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(watch<true>)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec{"bare_ring.End", sizeof(floors::Sender), 0, Py_TPFLAGS_DEFAULT, slots};

PyMethodDef polled_methods[] = {
    {"write", floors::write_now, METH_O, nullptr},
    {"deliver", deliver_read, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot polled_slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(watch<false>)},
    {Py_tp_methods, polled_methods},
    {0, nullptr},
};
PyType_Spec polled_spec{"bare_ring.PolledEnd", sizeof(floors::Sender), 0, Py_TPFLAGS_DEFAULT,
                        polled_slots};

PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "bare_ring", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bare_ring() {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && floors::add_type(module, "End", spec) &&
      floors::add_type(module, "PolledEnd", polled_spec) &&
      floors::add_type(module, "DatagramEnd",
                       floors::datagram_spec<deliver_datagram, watch<false>>(
                           "bare_ring.DatagramEnd", sizeof(floors::Datagrams)))) {
    return module;
  }
  Py_XDECREF(module);
  return nullptr;
}

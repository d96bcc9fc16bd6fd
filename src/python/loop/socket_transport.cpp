#include <python/loop/socket_transport.hpp>

#include <python/loop/datagram_transport.hpp>
#include <python/loop/fd_watch.hpp>
#include <python/loop/stream_transport.hpp>
#include <python/support/error.hpp>

#include <unistd.h>

#include <new>
#include <utility>

namespace blitzio::python {

namespace {

/// `is_last`: the descriptor is closed next, and was never shown to the program.
void detach_from_driver(SocketTransport& t, bool is_last) noexcept {
  // Another transport under this number: ours was closed behind our back and the number reused.
  if (t.loop->executor == nullptr || t.loop->transports.contains(t.fd)) return;
  driver::Driver& driver = loop_driver(*t.loop);
  is_last ? driver.detach_last(t.fd) : driver.detach(t.fd);
}

}  // namespace

int transport_visit_in_flight(SocketTransport& t, visitproc visit, void* arg) noexcept {
  return t.kind == SocketKind::stream
             ? stream_visit_in_flight(static_cast<StreamTransport&>(t), visit, arg)
             : datagram_visit_in_flight(static_cast<DatagramTransport&>(t), visit, arg);
}

int transport_enter_in_loop(SocketTransport& t) noexcept {
  try {
    t.loop->transports.insert_or_assign(t.fd, &t);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  // One that was left there would outlive the fd: nobody may remove it now.
  fd_watch_drop(*t.loop, t.fd);
  return 0;
}

int transport_schedule_start(SocketTransport& t, PyObject* waiter) noexcept {
  const Names& names = t.state->names;
  return waiter == nullptr || waiter == Py_None
             ? transport_call_soon(t, as_object(t), names._start_reading)
             : transport_call_soon(t, as_object(t), names._wake_waiter, waiter);
}

PyObject* transport_method_wake_waiter(PyObject* self, PyObject* waiter) noexcept {
  auto& t = transport_of<SocketTransport>(self);
  if (transport_check(t) != 0 || wake_waiter(*t.state, waiter) != 0) return nullptr;
  if (transport_call_before_look(t, t.state->names._start_reading) != 0) return nullptr;
  Py_RETURN_NONE;
}

void transport_give_socket_back(SocketTransport& t) noexcept {
  transport_forget_in_loop(t);
  detach_from_driver(t, false);
  Py_CLEAR(t.sock);
  t.fd_state = FdState::closed;
}

void transport_forget_in_loop(SocketTransport& t) noexcept {
  const auto found = t.loop->transports.find(t.fd);
  if (found != t.loop->transports.end() && found->second == &t) {
    t.loop->transports.erase(found);
  }
}

void transport_release_fd(SocketTransport& t, bool in_use) noexcept {
  if (t.fd_state != FdState::open) return;
  transport_forget_in_loop(t);
  const PyRef sock = PyRef::steal(std::exchange(t.sock, nullptr));
  t.fd_state = FdState::closed;
  if (in_use && t.loop->executor != nullptr) loop_driver(*t.loop).hand_over();
  detach_from_driver(t, !sock);
  if (!sock) {
    ::close(t.fd);
    return;
  }
  const PyRef closed = PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), t.state->names.close));
  if (!closed) loop_report_exception(*t.loop, "Fatal error on transport");
}

bool transport_may_use_driver(const SocketTransport& t) noexcept {
  return loop_may_use_driver(*t.loop);
}

bool transport_must_ask_loop(const SocketTransport& t) noexcept {
  if (t.loop == nullptr || t.loop->debug || t.loop->forked) return false;
  // Relaxed: a thread compares with its own number, which no other thread ever stores.
  const unsigned long runner = t.loop->thread.load(std::memory_order_relaxed);
  return runner != 0 && runner != current_thread();
}

PyObject* transport_ask_loop(SocketTransport& t, PyObject* name) noexcept {
  const PyRef method = PyRef::steal(PyObject_GetAttr(as_object(t), name));
  const PyRef handle =
      method ? PyRef::steal(PyObject_CallMethod(reinterpret_cast<PyObject*>(t.loop),
                                                "call_soon_threadsafe", "O", method.get()))
             : PyRef();
  if (!handle) return nullptr;
  Py_RETURN_NONE;
}

void transport_release_in_loop(SocketTransport& t) noexcept {
  PyObject* self = as_object(t);
  const PyRef release = PyRef::steal(PyObject_GetAttrString(self, "_release_socket"));
  const PyRef handle =
      release ? PyRef::steal(PyObject_CallMethod(reinterpret_cast<PyObject*>(t.loop),
                                                 "call_soon_threadsafe", "O", release.get()))
              : PyRef();
  if (!handle) PyErr_WriteUnraisable(self);
}

int transport_schedule_lost(SocketTransport& t, PyObject* exception) noexcept {
  BLITZIO_CHECK(t.conn_lost == 0, t.conn_lost);
  t.conn_lost = 1;
  return transport_schedule_call_lost(t, exception);
}

}  // namespace blitzio::python

// A connection as its protocol sees it, as a transport: of bare_server.cpp and
// bare_ring_server.cpp, which differ in how they wait. `write` keeps what it is given, send_all()
// sends at the end of a turn what each connection has, in one call.
//
// Not a transport to use: no flow control, and what the kernel takes only a part of is an error.
// One server a process.
#pragma once

#include "bare.hpp"

#include <malloc.h>
#include <structmember.h>

#include <utility>
#include <vector>

namespace floors {

struct Connection {
  Sender sender;    // whose descriptor is owned here; -1 at the end
  bool is_closing;  // by its program, or at its end
  // Owned: the protocol's bound methods, and a dict's bound get().
  PyObject* data_received;
  PyObject* connection_lost;
  PyObject* get_extra_info;
};

/// What has something to send, or to close. Owned references; one may stand here twice.
inline std::vector<Connection*> senders;
/// What has come to its end, of which its protocol is told behind what it made of the last data.
inline std::vector<Connection*> ended;

inline void add_sender(PyObject* self) {
  Py_INCREF(self);
  senders.push_back(&as<Connection>(self));
}

inline PyObject* write(PyObject* self, PyObject* data) {
  if (as<Sender>(self).count == 0) add_sender(self);
  return gather(self, data);
}

inline PyObject* write_lines(PyObject* self, PyObject* lines) {
  PyObject* list = PySequence_Fast(lines, "a sequence was expected");
  if (list == nullptr) return nullptr;
  PyObject* result = Py_NewRef(Py_None);
  for (Py_ssize_t i = 0; result != nullptr && i < PySequence_Fast_GET_SIZE(list); ++i) {
    Py_DECREF(result);
    result = write(self, PySequence_Fast_GET_ITEM(list, i));
  }
  Py_DECREF(list);
  return result;
}

inline PyObject* close_connection(PyObject* self, PyObject* /*unused*/) {
  if (!std::exchange(as<Connection>(self).is_closing, true)) add_sender(self);
  Py_RETURN_NONE;
}

inline PyObject* is_closing(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(as<Connection>(self).is_closing ? 1 : 0);
}

// Of flow control, which a request at a time has no need of.
inline PyObject* do_nothing(PyObject* /*self*/, PyObject* /*unused*/) {
  Py_RETURN_NONE;
}

/// One call for what was gathered, of which there is something. Returns what the call did, and the
/// bytes in `size`.
inline ssize_t send_pieces(const Sender& sender, std::size_t& size) {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  Gathered gathered(sender);
  size = gathered.size();
  const auto vectors = gathered.vectors();
  if (vectors.size() == 1) return ::send(sender.fd, vectors[0].iov_base, size, kFlags);
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  return ::sendmsg(sender.fd, &message, kFlags);
}

/// Returns false with an error set.
inline bool send_gathered(Sender& sender) {
  if (sender.count == 0) return true;
  std::size_t size = 0;
  const ssize_t taken = send_pieces(sender, size);
  // A peer that is gone is told of where it is waited for; a descriptor that is gone was.
  const bool is_gone = taken < 0 && (errno == EPIPE || errno == ECONNRESET || errno == EBADF);
  PyObject* result = is_gone ? Py_NewRef(Py_None) : written(taken, static_cast<Py_ssize_t>(size));
  while (sender.count != 0) Py_DECREF(sender.pieces[--sender.count]);
  Py_XDECREF(result);
  return result != nullptr;
}

/// Returns false with an error set. What is closed comes to its end where that is waited for.
inline bool send_all() {
  bool is_good = true;
  for (Connection* connection : std::exchange(senders, {})) {
    is_good = is_good && send_gathered(connection->sender);
    if (connection->is_closing && connection->sender.fd >= 0)
      ::shutdown(connection->sender.fd, SHUT_RDWR);
    Py_DECREF(reinterpret_cast<PyObject*>(connection));
  }
  return is_good;
}

/// Calls the protocol with what came; returns false with an error set.
inline bool receive(Connection& connection, const char* data, ssize_t size) {
  PyObject* result = hand_over(PyBytes_FromStringAndSize(data, size), connection.data_received);
  Py_XDECREF(result);
  return result != nullptr;
}

/// Gives up the server's references to what has ended; returns false with an error set.
inline bool lose_ended() {
  bool is_good = true;
  for (Connection* connection : std::exchange(ended, {})) {
    connection->is_closing = true;
    ::close(std::exchange(connection->sender.fd, -1));
    PyObject* result =
        is_good ? PyObject_CallOneArg(connection->connection_lost, Py_None) : nullptr;
    is_good = result != nullptr;
    Py_XDECREF(result);
    Py_CLEAR(connection->data_received);  // They lead back here.
    Py_CLEAR(connection->connection_lost);
    Py_DECREF(reinterpret_cast<PyObject*>(connection));
  }
  return is_good;
}

/// What a server is given: descriptors to watch, and what to call.
struct Served {
  int listener;      // can accept
  int until;         // can be read when it is over
  PyObject* accept;  // returns a Connection; borrowed, as
  PyObject* run;     // runs what is ready

  /// Returns false with an error set.
  bool parse(PyObject* args) {
    return PyArg_ParseTuple(args, "iiOO", &listener, &until, &accept, &run) != 0;
  }

  /// A new reference. Null with an error set.
  [[nodiscard]] Connection* accepted() const {
    return reinterpret_cast<Connection*>(PyObject_CallNoArgs(accept));
  }

  /// What a turn does with what has come; returns false with an error set.
  [[nodiscard]] bool end_turn() const {
    return run_and_send() && (ended.empty() || (lose_ended() && run_and_send()));
  }

 private:
  [[nodiscard]] bool run_and_send() const {
    PyObject* result = PyObject_CallNoArgs(run);
    Py_XDECREF(result);
    return result != nullptr && send_all();
  }
};

inline int initialise_connection(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  Connection& connection = as<Connection>(self);
  connection.sender.fd = -1;
  if (PyArg_ParseTuple(args, "iO", &connection.sender.fd, &connection.get_extra_info) == 0)
    return -1;
  Py_INCREF(connection.get_extra_info);
  return 0;
}

inline void deallocate_connection(PyObject* self) {
  Connection& connection = as<Connection>(self);
  // Without the function it is one that was never given a descriptor.
  if (connection.get_extra_info != nullptr && connection.sender.fd >= 0) {
    ::close(connection.sender.fd);
  }
  Py_XDECREF(connection.data_received);
  Py_XDECREF(connection.connection_lost);
  Py_XDECREF(connection.get_extra_info);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/// What a turn's answers took is free at its end, all at once. If that is the top of the heap,
/// which is chance, glibc would give it back and fault it in again, turn by turn.
inline void keep_free_memory() {
  constexpr int kBytes = 16 << 20;
  ::mallopt(M_TRIM_THRESHOLD, kBytes);
}

/// A module of `serve(listener, until, accept, run)` and the type of its connections.
template <PyCFunction kServe>
PyObject* make_server_module(const char* name) {
  keep_free_memory();
  static PyMethodDef functions[] = {
      {"serve", kServe, METH_VARARGS, nullptr},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyModuleDef definition{
      PyModuleDef_HEAD_INIT, name, nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};
  static PyMethodDef methods[] = {
      {"write", write, METH_O, nullptr},
      {"writelines", write_lines, METH_O, nullptr},
      {"close", close_connection, METH_NOARGS, nullptr},
      {"is_closing", is_closing, METH_NOARGS, nullptr},
      {"pause_reading", do_nothing, METH_NOARGS, nullptr},
      {"resume_reading", do_nothing, METH_NOARGS, nullptr},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyMemberDef members[] = {
      {"data_received", T_OBJECT_EX, offsetof(Connection, data_received), 0, nullptr},
      {"connection_lost", T_OBJECT_EX, offsetof(Connection, connection_lost), 0, nullptr},
      {"get_extra_info", T_OBJECT_EX, offsetof(Connection, get_extra_info), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr},
  };
  static PyType_Slot slots[] = {
      {Py_tp_init, reinterpret_cast<void*>(initialise_connection)},
      {Py_tp_dealloc, reinterpret_cast<void*>(deallocate_connection)},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {0, nullptr},
  };
  static PyType_Spec spec{"floors.Connection", sizeof(Connection), 0, Py_TPFLAGS_DEFAULT, slots};
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && add_type(module, "Connection", spec)) return module;
  Py_XDECREF(module);
  return nullptr;
}

}  // namespace floors

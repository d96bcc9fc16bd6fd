#include <python/loop/tls_protocol.hpp>

#include <python/loop/tls_internal.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <climits>
#include <cstddef>
#include <cstring>
#include <new>

// offsetof of a class with C++ members is conditionally supported: GCC and Clang define it for
// every class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace blitzio::python {

namespace {

/// What a foreign transport receives into.
constexpr Py_ssize_t kForeignBufferBytes = 64 * 1024;

// ---- lifetime -----------------------------------------------------------------------------------

void tls_dealloc(PyObject* self) noexcept;

PyObject* tls_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) noexcept {
  PyTypeObject* ours = native_type(type, tls_dealloc);
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) new (&as_tls(self)) TlsProtocol(state_of_type(ours));
  return self;
}

int tls_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  TlsProtocol& t = as_tls(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(t.loop));
  for (PyObject* object : {t.lower, t.app_protocol, t.app_transport, t.ssl_object, t.incoming,
                           t.outgoing, t.bio_write, t.bio_read, t.read, t.write, t.read_args}) {
    Py_VISIT(object);
  }
  return 0;
}

// `loop` stays until dealloc; the ssl module's objects refer to nothing of ours.
int tls_clear(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  Py_CLEAR(t.lower);
  Py_CLEAR(t.app_protocol);
  Py_CLEAR(t.app_transport);
  return 0;
}

void tls_dealloc(PyObject* self) noexcept {
  PyObject_GC_UnTrack(self);
  tls_clear(self);
  TlsProtocol& t = as_tls(self);
  for (PyObject** object : {&t.ssl_object, &t.incoming, &t.outgoing, &t.bio_write, &t.bio_read,
                            &t.read, &t.write, &t.window, &t.read_args, &t.foreign_buffer}) {
    Py_CLEAR(*object);
  }
  Py_CLEAR(t.loop);
  t.~TlsProtocol();
  free_instance(self);
}

/// Looked up when the first connection is made, so that importing blitzio needs no ssl.
int fetch_ssl(ModuleState& state) noexcept {
  if (state.ssl_again_errors != nullptr) return 0;
  const PyRef ssl = PyRef::steal(PyImport_ImportModule("ssl"));
  if (!ssl) return -1;
  PyRef error = PyRef::steal(PyObject_GetAttrString(ssl.get(), "SSLError"));
  const PyRef want_read = PyRef::steal(PyObject_GetAttrString(ssl.get(), "SSLWantReadError"));
  const PyRef syscall = PyRef::steal(PyObject_GetAttrString(ssl.get(), "SSLSyscallError"));
  PyRef closed = PyRef::steal(PyObject_GetAttrString(ssl.get(), "SSLZeroReturnError"));
  if (!error || !want_read || !syscall || !closed) return -1;
  PyObject* again = PyTuple_Pack(2, want_read.get(), syscall.get());
  if (again == nullptr) return -1;
  Py_XSETREF(state.ssl_error, error.release());
  Py_XSETREF(state.ssl_closed_error, closed.release());
  Py_XSETREF(state.ssl_again_errors, again);
  return 0;
}

bool get_method(PyObject* object, PyObject* name, PyObject** target) noexcept {
  *target = PyObject_GetAttr(object, name);
  return *target != nullptr;
}

int tls_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"loop",       "app_protocol",  "incoming", "outgoing",
                                         "ssl_object", "record_object", "is_made",  nullptr};
  TlsProtocol& t = as_tls(self);
  PyObject* loop = nullptr;
  PyObject* app_protocol = nullptr;
  PyObject* incoming = nullptr;
  PyObject* outgoing = nullptr;
  PyObject* ssl_object = nullptr;
  PyObject* record_object = nullptr;
  int is_made = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOOOOp:TlsProtocolBase",
                                   const_cast<char**>(keywords), t.state->loop_type, &loop,
                                   &app_protocol, &incoming, &outgoing, &ssl_object, &record_object,
                                   &is_made)) {
    return -1;
  }
  if (t.loop != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the protocol is initialised already");
    return -1;
  }
  if (fetch_ssl(*t.state) != 0 || tls_set_app_protocol(t, app_protocol) != 0) return -1;
  t.has_windows = record_object != Py_None;
  PyObject* records = t.has_windows ? record_object : ssl_object;
  t.window = tls_window_new(*t.state).release();
  if (t.window == nullptr) return -1;
  t.read_args = Py_BuildValue("(iO)", INT_MAX, t.window);
  const Names& names = t.state->names;
  if (t.read_args == nullptr || !get_method(incoming, names.write, &t.bio_write) ||
      !get_method(outgoing, names.read, &t.bio_read) || !get_method(records, names.read, &t.read) ||
      !get_method(records, names.write, &t.write)) {
    return -1;
  }
  t.ssl_object = Py_NewRef(ssl_object);
  t.incoming = Py_NewRef(incoming);
  t.outgoing = Py_NewRef(outgoing);
  t.app_state = is_made != 0 ? AppState::made : AppState::init;
  t.loop = reinterpret_cast<LoopObject*>(Py_NewRef(loop));
  return 0;
}

// ---- what a transport calls ---------------------------------------------------------------------

PyObject* none_or_error(int outcome) noexcept {
  if (outcome != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_get_buffer(PyObject* self, PyObject* /*hint*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.foreign_buffer == nullptr) {
    t.foreign_buffer = PyByteArray_FromStringAndSize(nullptr, kForeignBufferBytes);
  }
  return Py_XNewRef(t.foreign_buffer);
}

PyObject* method_buffer_updated(PyObject* self, PyObject* size) noexcept {
  TlsProtocol& t = as_tls(self);
  const Py_ssize_t count = PyNumber_AsSsize_t(size, PyExc_ValueError);
  if (count == -1 && PyErr_Occurred() != nullptr) return nullptr;
  if (t.foreign_buffer == nullptr || count < 0 || count > PyByteArray_GET_SIZE(t.foreign_buffer)) {
    PyErr_SetString(PyExc_ValueError, "more bytes than the buffer of get_buffer() has");
    return nullptr;
  }
  if (tls_check_owner(t) != 0) return nullptr;
  // Held meanwhile: what is called with the data may find the buffer and change its size.
  Py_buffer view;
  if (PyObject_GetBuffer(t.foreign_buffer, &view, PyBUF_SIMPLE) != 0) return nullptr;
  const int outcome =
      tls_feed(self, {static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(count)});
  PyBuffer_Release(&view);
  return none_or_error(outcome);
}

PyObject* method_data_received(PyObject* self, PyObject* data) noexcept {
  if (tls_check_owner(as_tls(self)) != 0) return nullptr;
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) != 0) return nullptr;
  const int outcome =
      tls_feed(self, {static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(view.len)});
  PyBuffer_Release(&view);
  return none_or_error(outcome);
}

PyObject* method_pause_writing(PyObject* self, PyObject* /*unused*/) noexcept {
  as_tls(self).lower_writing_paused = true;
  Py_RETURN_NONE;
}

PyObject* method_resume_writing(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (tls_check_owner(t) != 0) return nullptr;
  t.lower_writing_paused = false;
  if (t.phase == TlsPhase::flushing) return none_or_error(tls_do_flush(self));
  return none_or_error(tls_do_write(self));
}

// ---- what the Python half calls -----------------------------------------------------------------

/// An edge taken from a phase that it does not leave: a mistake of ours.
PyObject* raise_phase(const char* edge) noexcept {
  return PyErr_Format(PyExc_RuntimeError, "cannot %s in this state", edge);
}

PyObject* method_begin_handshake(PyObject* self, PyObject* lower) noexcept {
  TlsProtocol& t = as_tls(self);
  if (tls_check_owner(t) != 0) return nullptr;
  if (t.phase != TlsPhase::unwrapped || t.lower != nullptr) return raise_phase("begin a handshake");
  t.phase = TlsPhase::handshake;
  t.lower = Py_NewRef(lower);
  Py_RETURN_NONE;
}

PyObject* method_become_wrapped(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.phase != TlsPhase::handshake) return raise_phase("end the handshake");
  const Py_ssize_t pending = tls_pending(t, t.incoming);
  if (pending < 0) return nullptr;
  // The handshake's own records were counted too; nothing is left of most.
  if (pending == 0) t.records.all_read();
  t.phase = TlsPhase::wrapped;
  t.reading_held = true;
  Py_RETURN_NONE;
}

PyObject* method_start_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (tls_check_owner(t) != 0) return nullptr;
  t.reading_held = false;
  return none_or_error(tls_go_on(self));
}

PyObject* method_begin_flushing(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.phase != TlsPhase::wrapped) return raise_phase("flush");
  t.phase = TlsPhase::flushing;
  Py_RETURN_NONE;
}

PyObject* method_end(PyObject* self, PyObject* /*unused*/) noexcept {
  as_tls(self).phase = TlsPhase::unwrapped;
  Py_RETURN_NONE;
}

PyObject* method_tell_made(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.app_state != AppState::init) Py_RETURN_FALSE;
  t.app_state = AppState::made;
  Py_RETURN_TRUE;
}

PyObject* method_tell_eof(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.app_state != AppState::made) Py_RETURN_FALSE;
  t.app_state = AppState::eof;
  Py_RETURN_TRUE;
}

PyObject* method_release(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  ++t.conn_lost;
  t.backlog.clear();
  // As asyncio: who waits for a handshake hears of its end from there.
  const bool is_owed = t.phase != TlsPhase::handshake &&
                       (t.app_state == AppState::made || t.app_state == AppState::eof);
  if (is_owed) t.app_state = AppState::lost;
  t.phase = TlsPhase::unwrapped;
  const PyRef lower = PyRef::steal(std::exchange(t.lower, nullptr));
  const PyRef app_transport = PyRef::steal(std::exchange(t.app_transport, nullptr));
  const PyRef app_protocol = PyRef::steal(std::exchange(t.app_protocol, nullptr));
  Py_CLEAR(t.foreign_buffer);
  return PyBool_FromLong(is_owed ? 1 : 0);
}

PyObject* method_do_handshake(PyObject* self, PyObject* /*unused*/) noexcept {
  if (tls_check_owner(as_tls(self)) != 0) return nullptr;
  return none_or_error(tls_do_handshake(self));
}

PyObject* method_do_read(PyObject* self, PyObject* /*unused*/) noexcept {
  if (tls_check_owner(as_tls(self)) != 0) return nullptr;
  return none_or_error(tls_do_read(self));
}

PyObject* method_do_flush(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (tls_check_owner(t) != 0) return nullptr;
  return none_or_error(t.phase == TlsPhase::flushing ? tls_do_flush(self) : tls_go_on(self));
}

PyObject* method_go_on(PyObject* self, PyObject* /*unused*/) noexcept {
  TlsProtocol& t = as_tls(self);
  if (tls_check_owner(t) != 0) return nullptr;
  // Paused again before this ran; but the transport below may have to be told.
  return none_or_error(tls_go_on(self));
}

PyObject* method_control_app_writing(PyObject* self, PyObject* /*unused*/) noexcept {
  if (tls_check_owner(as_tls(self)) != 0) return nullptr;
  return none_or_error(tls_control_app_writing(self));
}

PyObject* method_control_ssl_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  if (tls_check_owner(as_tls(self)) != 0) return nullptr;
  return none_or_error(tls_control_lower_reading(as_tls(self)));
}

PyObject* method_set_app_protocol(PyObject* self, PyObject* protocol) noexcept {
  return none_or_error(tls_set_app_protocol(as_tls(self), protocol));
}

// ---- attributes ---------------------------------------------------------------------------------

PyObject* get_state(PyObject* self, void* /*unused*/) noexcept {
  static constexpr const char* kNames[] = {"UNWRAPPED", "DO_HANDSHAKE", "WRAPPED", "FLUSHING",
                                           "SHUTDOWN"};
  return PyUnicode_InternFromString(kNames[static_cast<std::size_t>(as_tls(self).phase)]);
}

PyMethodDef tls_methods[] = {
    {"get_buffer", method_get_buffer, METH_O, nullptr},
    {"buffer_updated", method_buffer_updated, METH_O, nullptr},
    {"data_received", method_data_received, METH_O,
     PyDoc_STR("data_received($self, data, /)\n--\n\nFor transports that know no buffers.")},
    {"pause_writing", method_pause_writing, METH_NOARGS, nullptr},
    {"resume_writing", method_resume_writing, METH_NOARGS, nullptr},
    {"_begin_handshake", method_begin_handshake, METH_O, nullptr},
    {"_become_wrapped", method_become_wrapped, METH_NOARGS, nullptr},
    {"_start_reading", method_start_reading, METH_NOARGS, nullptr},
    {"_begin_flushing", method_begin_flushing, METH_NOARGS, nullptr},
    {"_end", method_end, METH_NOARGS, nullptr},
    {"_tell_made", method_tell_made, METH_NOARGS, nullptr},
    {"_tell_eof", method_tell_eof, METH_NOARGS, nullptr},
    {"_release", method_release, METH_NOARGS, nullptr},
    {"_do_handshake", method_do_handshake, METH_NOARGS, nullptr},
    {"_do_read", method_do_read, METH_NOARGS, nullptr},
    {"_do_flush", method_do_flush, METH_NOARGS, nullptr},
    {"_go_on", method_go_on, METH_NOARGS, nullptr},
    {"_control_app_writing", method_control_app_writing, METH_NOARGS, nullptr},
    {"_control_ssl_reading", method_control_ssl_reading, METH_NOARGS, nullptr},
    {"_set_app_protocol", method_set_app_protocol, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef tls_getset[] = {
    {"_state", get_state, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

constexpr Py_ssize_t at(std::size_t offset) noexcept {
  return static_cast<Py_ssize_t>(kTlsOffset + offset);
}

PyMemberDef tls_members[] = {
    {"_loop", T_OBJECT_EX, at(offsetof(TlsProtocol, loop)), READONLY, nullptr},
    {"_transport", T_OBJECT, at(offsetof(TlsProtocol, lower)), READONLY, nullptr},
    {"_app_protocol", T_OBJECT, at(offsetof(TlsProtocol, app_protocol)), READONLY, nullptr},
    {"_app_transport", T_OBJECT, at(offsetof(TlsProtocol, app_transport)), 0, nullptr},
    {"_sslobj", T_OBJECT_EX, at(offsetof(TlsProtocol, ssl_object)), READONLY, nullptr},
    {"_incoming", T_OBJECT, at(offsetof(TlsProtocol, incoming)), READONLY, nullptr},
    {"_outgoing", T_OBJECT, at(offsetof(TlsProtocol, outgoing)), READONLY, nullptr},
    {"_conn_lost", T_UINT, at(offsetof(TlsProtocol, conn_lost)), READONLY, nullptr},
    {"_eof_received", T_BOOL, at(offsetof(TlsProtocol, eof_received)), 0, nullptr},
    {"_app_reading_paused", T_BOOL, at(offsetof(TlsProtocol, app_reading_paused)), 0, nullptr},
    {"_app_reading_over", T_BOOL, at(offsetof(TlsProtocol, app_reading_over)), 0, nullptr},
    {"_app_writing_paused", T_BOOL, at(offsetof(TlsProtocol, app_writing_paused)), READONLY,
     nullptr},
    {"_reading_held", T_BOOL, at(offsetof(TlsProtocol, reading_held)), READONLY, nullptr},
    {"_ssl_reading_paused", T_BOOL, at(offsetof(TlsProtocol, lower_reading_paused)), READONLY,
     nullptr},
    {"_ssl_writing_paused", T_BOOL, at(offsetof(TlsProtocol, lower_writing_paused)), READONLY,
     nullptr},
    {"_incoming_high_water", T_PYSSIZET, at(offsetof(TlsProtocol, incoming_high)), 0, nullptr},
    {"_incoming_low_water", T_PYSSIZET, at(offsetof(TlsProtocol, incoming_low)), 0, nullptr},
    {"_outgoing_high_water", T_PYSSIZET, at(offsetof(TlsProtocol, outgoing_high)), 0, nullptr},
    {"_outgoing_low_water", T_PYSSIZET, at(offsetof(TlsProtocol, outgoing_low)), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

int tls_register(PyObject* module, ModuleState& state) noexcept {
  if (tls_window_register(module, state) != 0) return -1;
  auto* base = reinterpret_cast<PyTypeObject*>(state.buffered_protocol);
  if (base->tp_basicsize != sizeof(TlsHead)) {
    PyErr_Format(PyExc_ImportError,
                 "asyncio.BufferedProtocol has instances of %zd bytes where %zu are expected: this "
                 "build of blitzio does not fit this Python",
                 base->tp_basicsize, sizeof(TlsHead));
    return -1;
  }
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The record layer of one TLS connection.")},
      {Py_tp_new, slot(tls_new)},
      {Py_tp_init, slot(tls_init)},
      {Py_tp_dealloc, slot(tls_dealloc)},
      {Py_tp_traverse, slot(tls_traverse)},
      {Py_tp_clear, slot(tls_clear)},
      {Py_tp_methods, tls_methods},
      {Py_tp_members, tls_members},
      {Py_tp_getset, tls_getset},
      {0, nullptr},
  };
  if (add_type(module, &state.tls_protocol_type,
               {.name = "blitzio._native.TlsProtocolBase",
                .bytes = kTlsOffset + sizeof(TlsProtocol),
                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                .slots = slots,
                .bases = {state.buffered_protocol}}) != 0) {
    return -1;
  }
  return tls_transport_register(module, state);
}

}  // namespace blitzio::python

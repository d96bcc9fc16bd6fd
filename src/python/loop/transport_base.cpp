#include <python/loop/transport_base.hpp>

#include <python/support/error.hpp>

namespace blitzio::python {

namespace {

/// As asyncio's LOG_THRESHOLD_FOR_CONNLOST_WRITES.
constexpr std::uint32_t kLostWritesToWarn = 5;

}  // namespace

bool transport_fits(PyTypeObject* base) noexcept {
  if (base->tp_basicsize == offsetof(TransportHead, dict)) return true;
  PyErr_Format(
      PyExc_ImportError,
      "%s has instances of %zd bytes where %zu are expected (one slot, _extra): this build "
      "of blitzio does not fit this Python",
      base->tp_name, base->tp_basicsize, offsetof(TransportHead, dict));
  return false;
}

// ---- the type -----------------------------------------------------------------------------------

PyMemberDef transport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TransportHead, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TransportHead, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

int transport_may_begin(const TransportBase& t, LoopObject& loop, PyObject* extra) noexcept {
  if (t.loop != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the transport is initialised already");
    return -1;
  }
  if (extra != nullptr && extra != Py_None && !PyDict_Check(extra)) {
    PyErr_SetString(PyExc_TypeError, "extra must be a dict or None");
    return -1;
  }
  return loop_check_closed(loop) != 0 || loop_check_owner(loop) != 0 ? -1 : 0;
}

int transport_traverse_base(TransportBase& t, visitproc visit, void* arg) noexcept {
  PyObject* self = as_object(t);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(head_of(self).extra);
  Py_VISIT(head_of(self).dict);
  Py_VISIT(reinterpret_cast<PyObject*>(t.loop));
  Py_VISIT(t.protocol);
  Py_VISIT(t.context);
  return 0;
}

void transport_clear_base(TransportBase& t) noexcept {
  PyObject* self = as_object(t);
  Py_CLEAR(head_of(self).extra);
  Py_CLEAR(head_of(self).dict);
  Py_CLEAR(t.protocol);
  Py_CLEAR(t.context);
}

PyObject* transport_method_is_closing(PyObject* self, PyObject* /*unused*/) noexcept {
  return PyBool_FromLong(transport_of<TransportBase>(self).closing ? 1 : 0);
}

PyObject* transport_method_get_protocol(PyObject* self, PyObject* /*unused*/) noexcept {
  return or_none(transport_of<TransportBase>(self).protocol);
}

PyObject* transport_method_set_protocol(PyObject* self, PyObject* protocol) noexcept {
  auto& t = transport_of<TransportBase>(self);
  if (transport_check(t) != 0) return nullptr;
  Py_XSETREF(t.protocol, Py_NewRef(protocol));
  Py_RETURN_NONE;
}

// ---- the protocol -------------------------------------------------------------------------------

int transport_call_soon(TransportBase& t, PyObject* target, PyObject* name,
                        PyObject* argument) noexcept {
  const PyRef callback = PyRef::steal(PyObject_GetAttr(target, name));
  if (!callback) return -1;
  PyObject* const args[] = {argument};
  return loop_call_soon(*t.loop, callback.get(), args, argument == nullptr ? 0 : 1, t.context);
}

int transport_call_before_look(TransportBase& t, PyObject* name) noexcept {
  const PyRef callback = PyRef::steal(PyObject_GetAttr(as_object(t), name));
  return callback ? loop_call_before_look(*t.loop, callback.get(), t.context) : -1;
}

int transport_schedule_call_lost(TransportBase& t, PyObject* exception) noexcept {
  if (loop_check_closed(*t.loop) != 0) return -1;
  return transport_call_soon(t, as_object(t), t.state->names._call_connection_lost,
                             exception == nullptr ? Py_None : exception);
}

void transport_report(TransportBase& t, const char* what) noexcept {
  const PyRef protocol = PyRef::borrow(t.protocol == nullptr ? Py_None : t.protocol);
  loop_report_exception(
      *t.loop, what,
      {{t.state->names.transport, as_object(t)}, {t.state->names.protocol, protocol.get()}});
}

bool transport_parse_fatal_error(PyObject* args, PyObject* kwargs,
                                 FatalErrorArguments& parsed) noexcept {
  static const char* const keywords[] = {"exc", "message", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|s:_fatal_error", const_cast<char**>(keywords),
                                   &parsed.exception, &parsed.message)) {
    return false;
  }
  if (!PyExceptionInstance_Check(parsed.exception)) {
    PyErr_SetString(PyExc_TypeError, "exc must be an exception");
    return false;
  }
  return true;
}

void transport_report_fatal(TransportBase& t, PyObject* exception, const char* message) noexcept {
  if (PyErr_GivenExceptionMatches(exception, PyExc_OSError) == 0) {
    restore_exception(PyRef::borrow(exception));
    transport_report(t, message);
  } else if (t.loop->debug) {
    log_transport_debug(*t.state, as_object(t), "%r: %s", message, exception);
  }
}

int transport_maybe_pause_protocol(TransportBase& t, std::size_t queued) noexcept {
  if (queued <= t.marks.high || t.protocol_paused || t.protocol == nullptr) return 0;
  t.protocol_paused = true;
  const PyRef result = protocol_call(t.protocol, t.state->names.pause_writing);
  if (result) return 0;
  PyRef exception = take_exception();
  const bool is_fatal = is_fatal_exception(exception.get());
  restore_exception(std::move(exception));
  if (is_fatal) return -1;
  transport_report(t, "protocol.pause_writing() failed");
  return 0;
}

BLITZIO_COLD void transport_resume_protocol(TransportBase& t) noexcept {
  t.protocol_paused = false;
  if (t.protocol == nullptr) return;
  const ContextScope scope(t.context);
  const PyRef result = protocol_call(t.protocol, t.state->names.resume_writing);
  if (!result) transport_report(t, "protocol.resume_writing() failed");
}

BLITZIO_COLD void transport_count_lost_write(TransportBase& t, const char* warning) noexcept {
  if (t.conn_lost >= kLostWritesToWarn) {
    const PyRef logged =
        PyRef::steal(PyObject_CallMethod(t.state->logger, "warning", "s", warning));
    if (!logged) PyErr_WriteUnraisable(as_object(t));
  }
  ++t.conn_lost;
}

// ---- private attributes -------------------------------------------------------------------------

PyObject* transport_get_loop(PyObject* self, void* /*unused*/) noexcept {
  return or_none(reinterpret_cast<PyObject*>(transport_of<TransportBase>(self).loop));
}

PyObject* transport_get_fd(PyObject* self, void* /*unused*/) noexcept {
  return PyLong_FromLong(transport_of<TransportBase>(self).fd);
}

PyObject* transport_get_protocol(PyObject* self, void* /*unused*/) noexcept {
  return or_none(transport_of<TransportBase>(self).protocol);
}

PyObject* transport_get_closing(PyObject* self, void* /*unused*/) noexcept {
  return PyBool_FromLong(transport_of<TransportBase>(self).closing ? 1 : 0);
}

PyObject* transport_get_protocol_paused(PyObject* self, void* /*unused*/) noexcept {
  return PyBool_FromLong(transport_of<TransportBase>(self).protocol_paused ? 1 : 0);
}

PyObject* transport_get_conn_lost(PyObject* self, void* /*unused*/) noexcept {
  return PyLong_FromUnsignedLong(transport_of<TransportBase>(self).conn_lost);
}

}  // namespace blitzio::python

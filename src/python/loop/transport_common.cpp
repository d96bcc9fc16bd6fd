#include <python/loop/transport_common.hpp>

#include <cstring>

namespace blitzio::python {

int is_buffered_protocol(const ModuleState& state, PyObject* protocol) noexcept {
  const auto is_a = [type = Py_TYPE(protocol)](PyObject* base) {
    return PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(base)) != 0;
  };
  if (is_a(state.buffered_protocol)) return 1;
  if (is_a(state.asyncio_protocol)) return 0;
  // It may only look like one, and as mocks do.
  const int is_instance = PyObject_IsInstance(protocol, state.buffered_protocol);
  if (is_instance != 0) return is_instance;
  const Names& names = state.names;
  for (PyObject* name : {names.data_received, names.get_buffer}) {
    const PyRef method = PyRef::steal(PyObject_GetAttr(protocol, name));
    if (!method && PyErr_ExceptionMatches(PyExc_AttributeError) == 0) return -1;
    PyErr_Clear();  // It lacks this one.
    if (method) return name == names.get_buffer ? 1 : 0;
  }
  return 0;
}

bool parse_water_marks(PyObject* args, PyObject* kwargs, WaterMarks* marks) noexcept {
  static const char* const keywords[] = {"high", "low", nullptr};
  PyObject* high_object = Py_None;
  PyObject* low_object = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:set_write_buffer_limits",
                                   const_cast<char**>(keywords), &high_object, &low_object)) {
    return false;
  }
  // Numbers too large for a size mean "never pause", so they are clamped as indices are.
  Py_ssize_t low = 0;
  Py_ssize_t high = 64 * 1024;
  if (low_object != Py_None) {
    low = PyNumber_AsSsize_t(low_object, nullptr);
    if (low == -1 && PyErr_Occurred() != nullptr) return false;
    high = low > PY_SSIZE_T_MAX / 4 ? PY_SSIZE_T_MAX : 4 * low;
  }
  if (high_object != Py_None) {
    high = PyNumber_AsSsize_t(high_object, nullptr);
    if (high == -1 && PyErr_Occurred() != nullptr) return false;
  }
  if (low_object == Py_None) low = high >= 0 ? high / 4 : -((-high + 3) / 4);
  if (!(high >= low && low >= 0)) {
    PyErr_Format(PyExc_ValueError, "high (%zd) must be >= low (%zd) must be >= 0", high, low);
    return false;
  }
  *marks = {static_cast<std::size_t>(high), static_cast<std::size_t>(low)};
  return true;
}

bool parse_extra_info(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                      ExtraInfoArguments* parsed) noexcept {
  const Py_ssize_t named = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  if (nargs >= 1) parsed->key = args[0];
  if (nargs >= 2) parsed->fallback = args[1];
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(kwnames, i);
    if (parsed->key == nullptr && PyUnicode_CompareWithASCIIString(keyword, "name") == 0) {
      parsed->key = args[nargs + i];
    } else if (parsed->fallback == nullptr &&
               PyUnicode_CompareWithASCIIString(keyword, "default") == 0) {
      parsed->fallback = args[nargs + i];
    } else {
      PyErr_Format(PyExc_TypeError, "get_extra_info() got an unexpected keyword argument '%U'",
                   keyword);
      return false;
    }
  }
  if (parsed->key != nullptr && nargs <= 2) return true;
  PyErr_SetString(PyExc_TypeError, "get_extra_info() takes a name and a default");
  return false;
}

PyRef make_transport_socket(const ModuleState& state, PyObject* sock) noexcept {
  return PyRef::steal(PyObject_CallOneArg(state.transport_socket, sock));
}

int wake_waiter(const ModuleState& state, PyObject* waiter) noexcept {
  const PyRef cancelled = PyRef::steal(PyObject_CallMethodNoArgs(waiter, state.names.cancelled));
  const int is_cancelled = cancelled ? PyObject_IsTrue(cancelled.get()) : -1;
  if (is_cancelled != 0) return is_cancelled < 0 ? -1 : 0;
  const PyRef set =
      PyRef::steal(PyObject_CallMethodOneArg(waiter, state.names.set_result, Py_None));
  return set ? 0 : -1;
}

void log_transport_debug(const ModuleState& state, PyObject* transport, const char* format,
                         const char* text, PyObject* exception) noexcept {
  const PyRef debug = PyRef::steal(PyObject_GetAttrString(state.logger, "debug"));
  const PyRef args =
      PyRef::steal(text == nullptr ? Py_BuildValue("(sO)", format, transport)
                                   : Py_BuildValue("(sOs)", format, transport, text));
  const PyRef keywords = PyRef::steal(
      exception == nullptr ? PyDict_New() : Py_BuildValue("{sO}", "exc_info", exception));
  const PyRef logged = debug && args && keywords
                           ? PyRef::steal(PyObject_Call(debug.get(), args.get(), keywords.get()))
                           : PyRef();
  if (!logged) PyErr_WriteUnraisable(transport);
}

const char* short_type_name(PyObject* object) noexcept {
  const char* name = Py_TYPE(object)->tp_name;
  const char* dot = std::strrchr(name, '.');
  return dot == nullptr ? name : dot + 1;
}

}  // namespace blitzio::python

#include <python/bindings/net_options.hpp>
#include <python/support/duration.hpp>

namespace blitzio::python::detail {

namespace {

PyRef keepalive_type() noexcept {
  const PyRef module = PyRef::steal(PyImport_ImportModule("blitzio._net.keep_alive"));
  return module ? PyRef::steal(PyObject_GetAttrString(module.get(), "KeepAlive")) : PyRef();
}

/// The attribute `name` of a KeepAlive.
bool read_duration(PyObject* object, const char* name, Duration* duration) noexcept {
  const PyRef value = PyRef::steal(PyObject_GetAttrString(object, name));
  return value && to_duration(value.get(), duration);
}

}  // namespace

PyObject* option_object(bool value) noexcept {
  return PyBool_FromLong(value ? 1 : 0);
}
PyObject* option_object(int value) noexcept {
  return PyLong_FromLong(value);
}
PyObject* option_object(std::size_t value) noexcept {
  return PyLong_FromSize_t(value);
}
PyObject* option_object(const std::optional<Duration>& value) noexcept {
  return value ? make_duration(*value) : Py_NewRef(Py_None);
}
PyObject* option_object(const std::optional<Error>& value) noexcept {
  return value ? make_os_error(value->code()).release() : Py_NewRef(Py_None);
}
PyObject* option_object(const std::optional<net::KeepAlive>& value) noexcept {
  if (!value) return Py_NewRef(Py_None);
  const PyRef type = keepalive_type();
  const PyRef idle = PyRef::steal(type ? make_duration(value->idle) : nullptr);
  const PyRef interval = PyRef::steal(idle ? make_duration(value->interval) : nullptr);
  return interval ? PyObject_CallMethod(type.get(), "_read", "OOi", idle.get(), interval.get(),
                                        value->probes)
                  : nullptr;
}

bool read_option(PyObject* object, const char* /*name*/, IntRange /*range*/, bool* value) noexcept {
  const int is_on = PyObject_IsTrue(object);
  *value = is_on > 0;
  return is_on >= 0;
}

bool read_option(PyObject* object, const char* name, IntRange range, int* value) noexcept {
  int overflow = 0;
  const long number = PyLong_AsLongAndOverflow(object, &overflow);
  if (number == -1 && PyErr_Occurred() != nullptr) return false;
  if (overflow != 0 || number < range.least || number > range.most) {
    PyErr_Format(PyExc_ValueError, "%s() takes %d to %d, got %R", name, range.least, range.most,
                 object);
    return false;
  }
  *value = static_cast<int>(number);
  return true;
}

bool read_option(PyObject* object, const char* /*name*/, IntRange /*range*/,
                 std::size_t* value) noexcept {
  return parse_size(object, "bytes", value);
}

bool read_option(PyObject* object, const char* name, IntRange /*range*/,
                 std::optional<Duration>* value) noexcept {
  if (object == Py_None) return true;
  if (!to_duration(object, &value->emplace())) return false;
  if (!(*value)->is_negative()) return true;
  PyErr_Format(PyExc_ValueError, "%s() takes None or seconds from 0 on, got %R", name, object);
  return false;
}

bool read_option(PyObject* object, const char* name, IntRange /*range*/,
                 std::optional<net::KeepAlive>* value) noexcept {
  if (object == Py_None) return true;
  const PyRef type = keepalive_type();
  if (!type) return false;
  const int is_one = PyObject_IsInstance(object, type.get());
  if (is_one < 0) return false;
  if (is_one == 0) {
    PyErr_Format(PyExc_TypeError, "%s() takes a KeepAlive or None, got %.200s", name,
                 Py_TYPE(object)->tp_name);
    return false;
  }
  net::KeepAlive& keepalive = value->emplace();
  const PyRef probes = PyRef::steal(PyObject_GetAttrString(object, "probes"));
  return probes && read_option(probes.get(), name, IntRange{}, &keepalive.probes) &&
         read_duration(object, "idle", &keepalive.idle) &&
         read_duration(object, "interval", &keepalive.interval);
}

}  // namespace blitzio::python::detail

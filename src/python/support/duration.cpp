#include <python/support/duration.hpp>
#include <python/support/py_ref.hpp>

namespace blitzio::python {

namespace {

PyRef duration_type() noexcept {
  const PyRef module = PyRef::steal(PyImport_ImportModule("blitzio._duration"));
  return module ? PyRef::steal(PyObject_GetAttrString(module.get(), "Duration")) : PyRef();
}

}  // namespace

bool to_duration(PyObject* object, Duration* duration) noexcept {
  const PyRef type = duration_type();
  const PyRef value =
      type ? PyRef::steal(PyObject_CallMethod(type.get(), "of", "O", object)) : PyRef();
  const PyRef nanos =
      value ? PyRef::steal(PyObject_CallMethod(value.get(), "as_nanos", nullptr)) : PyRef();
  if (!nanos) return false;
  *duration = Duration::from_nanos(PyLong_AsLongLong(nanos.get()));  // It has as many bits.
  return true;
}

PyObject* make_duration(Duration duration) noexcept {
  const PyRef type = duration_type();
  return type ? PyObject_CallFunction(type.get(), "L", static_cast<long long>(duration.as_nanos()))
              : nullptr;
}

}  // namespace blitzio::python

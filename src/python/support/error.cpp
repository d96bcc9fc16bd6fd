#include <python/support/error.hpp>

#include <cerrno>
#include <cstring>
#include <string>

namespace blitzio::python {

namespace {

void raise_resolver_error(Error error) noexcept {
  const PyRef module = PyRef::steal(PyImport_ImportModule("socket"));
  if (!module) return;
  const PyRef type = PyRef::steal(PyObject_GetAttrString(module.get(), "gaierror"));
  if (!type) return;
  const PyRef args = PyRef::steal(Py_BuildValue("(is)", error.code(), error.message().c_str()));
  if (args) PyErr_SetObject(type.get(), args.get());
}

}  // namespace

PyObject* raise_error(Error error, const char* what) noexcept {
  switch (error.domain()) {
    case ErrorDomain::os:
      errno = error.code();
      return PyErr_SetFromErrno(PyExc_OSError);
    case ErrorDomain::resolver:
      raise_resolver_error(error);
      return nullptr;
    case ErrorDomain::runtime:
      return PyErr_Format(
          error.is(RuntimeErrc::invalid_argument) || error.is(RuntimeErrc::faults_malformed)
              ? PyExc_ValueError
              : PyExc_RuntimeError,
          "%s: %s", what, error.message().c_str());
  }
  return PyErr_Format(PyExc_SystemError, "%s: unknown error domain", what);
}

PyRef make_os_error(int code) noexcept {
  return PyRef::steal(PyObject_CallFunction(PyExc_OSError, "is", code, std::strerror(code)));
}

}  // namespace blitzio::python

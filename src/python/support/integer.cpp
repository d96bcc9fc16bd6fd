#include <python/support/integer.hpp>

#include <climits>

namespace blitzio::python {

bool parse_long_long(PyObject* object, const char* what, long long least, long long most,
                     long long* value) noexcept {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (number == -1 && PyErr_Occurred() != nullptr) return false;
  if (overflow == 0 && number >= least && number <= most) {
    *value = number;
    return true;
  }
  if (most != LLONG_MAX) {
    PyErr_Format(PyExc_ValueError, "%s must be from %lld to %lld, got %R", what, least, most,
                 object);
  } else if (overflow > 0) {
    PyErr_Format(PyExc_ValueError, "%s must be below 2**63, got %R", what, object);
  } else {
    PyErr_Format(PyExc_ValueError, "%s must be at least %lld, got %R", what, least, object);
  }
  return false;
}

}  // namespace blitzio::python

#include <python/bindings/fs_path.hpp>
#include <python/support/error.hpp>

#include <cerrno>

namespace blitzio::python {

bool PathArgument::parse(PyObject* argument) noexcept {
  object = PyRef::steal(PyOS_FSPath(argument));
  if (!object || !encode()) return false;
  if (bytes.find('\0') == std::string::npos) return true;
  PyErr_SetString(PyExc_ValueError, "embedded null byte");
  return false;
}

bool PathArgument::encode() noexcept {
  // The same in every encoding that a file system may have, and there already.
  if (PyUnicode_Check(object.get()) && PyUnicode_IS_COMPACT_ASCII(object.get())) {
    bytes.assign(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object.get())),
                 static_cast<std::size_t>(PyUnicode_GET_LENGTH(object.get())));
    return true;
  }
  const PyRef encoded = is_bytes() ? PyRef::borrow(object.get())
                                   : PyRef::steal(PyUnicode_EncodeFSDefault(object.get()));
  if (!encoded) return false;
  bytes.assign(PyBytes_AS_STRING(encoded.get()),
               static_cast<std::size_t>(PyBytes_GET_SIZE(encoded.get())));
  return true;
}

PyObject* make_path(const std::string& path, bool as_bytes) noexcept {
  const auto size = static_cast<Py_ssize_t>(path.size());
  return as_bytes ? PyBytes_FromStringAndSize(path.data(), size)
                  : PyUnicode_DecodeFSDefaultAndSize(path.data(), size);
}

PyObject* raise_path_error(Error error, const char* what, PyObject* path,
                           PyObject* other) noexcept {
  if (error.domain() != ErrorDomain::os) return raise_error(error, what);
  errno = error.code();
  return PyErr_SetFromErrnoWithFilenameObjects(PyExc_OSError, path, other);
}

}  // namespace blitzio::python

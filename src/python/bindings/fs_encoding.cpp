#include <python/bindings/fs_encoding.hpp>

#include <python/support/error.hpp>

#include <langinfo.h>

namespace blitzio::python {

namespace {

/// What `object` says, if it is str. False with TypeError or ValueError set.
bool to_name(const char* what, PyObject* object, std::string* name) noexcept {
  if (!PyUnicode_Check(object)) {
    PyErr_Format(PyExc_TypeError, "%s must be str or None, not %.200s", what,
                 Py_TYPE(object)->tp_name);
    return false;
  }
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text == nullptr) return false;
  name->assign(text, static_cast<std::size_t>(size));
  if (name->find('\0') == std::string::npos) return true;
  PyErr_SetString(PyExc_ValueError, "embedded null character");
  return false;
}

bool is_none(PyObject* object) noexcept {
  return object == nullptr || object == Py_None;
}

/// The locale's, or UTF-8 in Python's UTF-8 mode.
bool default_encoding(std::string* name) noexcept {
  PyObject* flags = PySys_GetObject("flags");
  const PyRef mode =
      PyRef::steal(flags == nullptr ? nullptr : PyObject_GetAttrString(flags, "utf8_mode"));
  if (!mode) return false;
  const int is_utf8 = PyObject_IsTrue(mode.get());
  if (is_utf8 < 0) return false;
  *name = is_utf8 > 0 ? "utf-8" : nl_langinfo(CODESET);
  return true;
}

/// As open(): of the codecs some are from bytes to bytes, as "hex", or from text to text. False
/// with LookupError set, or what asking raised.
bool check_is_of_text(const char* name) noexcept {
  const PyRef codecs = PyRef::steal(PyImport_ImportModule("codecs"));
  if (!codecs) return false;
  const PyRef found = PyRef::steal(PyObject_CallMethod(codecs.get(), "lookup", "s", name));
  if (!found) return false;
  const PyRef is_text = PyRef::steal(PyObject_GetAttrString(found.get(), "_is_text_encoding"));
  if (!is_text) return drop_exception();  // A plain tuple, as they used to be.
  const int truth = PyObject_IsTrue(is_text.get());
  if (truth == 0) {
    PyErr_Format(PyExc_LookupError,
                 "'%.400s' is not a text encoding; use codecs.open() to handle arbitrary codecs",
                 name);
  }
  return truth > 0;
}

}  // namespace

bool Encoding::parse(PyObject* encoding, PyObject* errors_in) noexcept {
  if (is_none(encoding) ? !default_encoding(&name) : !to_name("encoding", encoding, &name)) {
    return false;
  }
  if (!is_none(errors_in) && !to_name("errors", errors_in, &errors)) return false;
  if (name == "UTF-8" || name == "utf8") name = "utf-8";
  if (!is_utf8() && !check_is_of_text(name.c_str())) return false;
  if (errors == "strict") return true;
  const PyRef found = PyRef::steal(PyCodec_LookupError(errors.c_str()));
  return static_cast<bool>(found);
}

bool Newline::parse(PyObject* newline) noexcept {
  if (is_none(newline)) return true;
  std::string given;
  if (!to_name("newline", newline, &given)) return false;
  if (!given.empty() && given != "\n" && given != "\r" && given != "\r\n") {
    PyErr_Format(PyExc_ValueError, "illegal newline value: %R", newline);
    return false;
  }
  is_universal = given.empty();
  is_translated = false;
  if (!given.empty()) end = given;
  return true;
}

PyRef translate_newlines(PyObject* text, const Newline& newline) noexcept {
  if (newline.end == "\n") return PyRef::borrow(text);
  return PyRef::steal(PyObject_CallMethod(text, "replace", "ss", "\n", newline.end.c_str()));
}

PyRef encode_text(PyObject* text, const Encoding& encoding, const Newline& newline) noexcept {
  const PyRef translated = translate_newlines(text, newline);
  if (!translated) return {};
  return PyRef::steal(
      PyUnicode_AsEncodedString(translated.get(), encoding.name.c_str(), encoding.errors.c_str()));
}

PyRef decode_text(ModuleState& state, PyRef bytes, const Encoding& encoding,
                  const Newline& newline) noexcept {
  if (!bytes) return {};
  PyRef text =
      PyRef::steal(PyUnicode_Decode(PyBytes_AS_STRING(bytes.get()), PyBytes_GET_SIZE(bytes.get()),
                                    encoding.name.c_str(), encoding.errors.c_str()));
  if (!text || !newline.is_translated) return text;
  const Py_ssize_t found =
      PyUnicode_FindChar(text.get(), '\r', 0, PyUnicode_GET_LENGTH(text.get()), 1);
  if (found == -2) return {};
  if (found == -1) return text;
  const PyRef decoder =
      PyRef::steal(PyObject_CallFunction(state.newline_decoder, "OO", Py_None, Py_True));
  if (!decoder) return {};
  return PyRef::steal(PyObject_CallMethod(decoder.get(), "decode", "OO", text.get(), Py_True));
}

}  // namespace blitzio::python

#include <blitzio/base/platform.hpp>
#include <blitzio/driver/driver.hpp>
#include <python/loop/detect.hpp>

#include <string>

namespace blitzio::python {

namespace {

PyRef text(std::string_view value) noexcept {
  return PyRef::steal(
      PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size())));
}

/// (name, usable, reason, features); null with an error set.
PyRef describe(const driver::Availability& found) noexcept {
  const PyRef features = PyRef::steal(PyList_New(0));
  if (!features) return {};
  for (const std::string& feature : found.features) {
    const PyRef item = text(feature);
    if (!item || PyList_Append(features.get(), item.get()) != 0) return {};
  }
  const PyRef name = text(driver::name(found.backend));
  const PyRef reason = text(found.reason);
  if (!name || !reason) return {};
  return PyRef::steal(
      PyTuple_Pack(4, name.get(), found.usable ? Py_True : Py_False, reason.get(), features.get()));
}

PyObject* detect(PyObject* /*module*/, PyObject* /*unused*/) {
  PyRef list = PyRef::steal(PyList_New(0));
  if (!list) return nullptr;
  for (const driver::Availability& found : driver::detect()) {
    const PyRef row = describe(found);
    if (!row || PyList_Append(list.get(), row.get()) != 0) return nullptr;
  }
  return list.release();
}

constexpr const char* build_type() noexcept {
  if (BLITZIO_ASAN) return "debug, address sanitizer";
  if (BLITZIO_TSAN) return "debug, thread sanitizer";
#ifdef NDEBUG
  return "release";
#else
  return "debug";
#endif
}

PyObject* build_info(PyObject* /*module*/, PyObject* /*unused*/) {
#if defined(__clang__)
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "gcc " __VERSION__;
#endif
  return Py_BuildValue("{s:s,s:s,s:s,s:s,s:s,s:s}", "version", BLITZIO_VERSION, "compiler",
                       compiler.c_str(), "liburing", BLITZIO_LIBURING, "build", build_type(),
                       "python", PY_VERSION, "gil", kFreeThreaded ? "not used" : "used");
}

PyMethodDef functions[] = {
    {"detect", detect, METH_NOARGS,
     PyDoc_STR("detect()\n--\n\n"
               "[(backend, usable, reason, features)] in order of preference; probed once.")},
    {"build_info", build_info, METH_NOARGS,
     PyDoc_STR("build_info()\n--\n\nHow this extension was built, by name.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int detect_register(PyObject* module, ModuleState& /*state*/) noexcept {
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python

#include <python/bindings/fs.hpp>
#include <python/bindings/fs_metadata.hpp>
#include <python/bindings/fs_opening.hpp>
#include <python/bindings/fs_text.hpp>
#include <python/bindings/fs_watch.hpp>

namespace blitzio::python {

namespace {

constexpr const char* kName = "blitzio._native.fs";

bool add_functions(PyObject* module, ModuleState& state,
                   std::span<PyMethodDef> functions) noexcept {
  const PyRef public_name = PyRef::steal(PyUnicode_FromString("blitzio.fs"));
  if (!public_name) return false;
  for (PyMethodDef& function : functions) {
    // Bound to the extension itself, whose state they need.
    const PyRef object = PyRef::steal(PyCFunction_NewEx(&function, module, public_name.get()));
    if (!object || PyModule_AddObjectRef(state.fs_module, function.ml_name, object.get()) != 0) {
      return false;
    }
  }
  return true;
}

/// As if it had been imported, so that it can be. A copy of the extension leaves the first one's.
bool publish(PyObject* module, PyObject* fs) noexcept {
  const PyRef name = PyRef::steal(PyUnicode_FromString(kName));
  PyObject* modules = PyImport_GetModuleDict();
  return name && modules != nullptr && PyDict_SetDefault(modules, name.get(), fs) != nullptr &&
         PyModule_AddObjectRef(module, "fs", fs) == 0;
}

}  // namespace

int fs_register(PyObject* module, ModuleState& state) noexcept {
  state.fs_module = PyModule_New(kName);
  if (state.fs_module == nullptr) return -1;
#if BLITZIO_FREE_THREADED
  if (PyUnstable_Module_SetGIL(state.fs_module, Py_MOD_GIL_NOT_USED) != 0) return -1;
#endif
  for (const auto add : {fs_metadata_register, fs_file_register, fs_text_register,
                         fs_opening_register, fs_watch_register}) {
    if (add(module, state) != 0) return -1;
  }
  for (const auto functions :
       {fs_path_functions(), fs_whole_functions(), fs_open_functions(), fs_watch_functions()}) {
    if (!add_functions(module, state, functions)) return -1;
  }
  return publish(module, state.fs_module) ? 0 : -1;
}

}  // namespace blitzio::python

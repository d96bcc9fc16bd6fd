#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/platform.hpp>
#include <python/support/error.hpp>
#include <python/support/running_loop.hpp>

#include <sys/types.h>

namespace blitzio::python {

#if PY_VERSION_HEX < 0x030C0000

namespace {

constexpr const char* kKey = "__asyncio_running_event_loop__";

/// What asyncio's C module keeps under that key.
struct Holder {
  PyObject_HEAD PyObject* loop;  // strong
  pid_t process;
};

/// Of this thread, borrowed; null if there is none, perhaps with an error set.
PyObject* find_holder(PyObject* key) noexcept {
  PyObject* dict = PyThreadState_GetDict();
  return dict == nullptr ? nullptr : PyDict_GetItemWithError(dict, key);
}

/// The type of the holder in which `loop`, which runs, stands; null if it does not.
PyTypeObject* find_holder_type(PyObject* key, PyObject* loop) noexcept {
  PyObject* holder = find_holder(key);
  if (holder == nullptr || Py_TYPE(holder)->tp_basicsize != sizeof(Holder)) return nullptr;
  return reinterpret_cast<Holder*>(holder)->loop == loop ? Py_TYPE(holder) : nullptr;
}

/// Of the process that imported this.
const ForkGuard& importing_process() noexcept {
  static const ForkGuard guard;
  return guard;
}

}  // namespace

PyRef running_loop(const ModuleState& state) noexcept {
  if (BLITZIO_LIKELY(state.loop_holder_type != nullptr && !importing_process().in_child())) {
    PyObject* holder = find_holder(state.loop_holder_key);
    if (holder != nullptr && Py_IS_TYPE(holder, state.loop_holder_type)) {
      return PyRef::borrow(reinterpret_cast<Holder*>(holder)->loop);
    }
    if (holder == nullptr && PyErr_Occurred() == nullptr) return PyRef::borrow(Py_None);
    PyErr_Clear();  // The function has the last word.
  }
  return PyRef::steal(PyObject_CallNoArgs(state.get_running_loop));
}

PyRef current_task(const ModuleState& state, PyObject* loop) noexcept {
  PyRef task = PyRef::borrow(PyDict_GetItemWithError(state.current_task, loop));
  // An error is as of a loop without a hash: it runs no task.
  if (!task) static_cast<void>(drop_exception());
  return task;
}

bool running_loop_probe(ModuleState& state) noexcept {
  static_cast<void>(importing_process());
  state.loop_holder_key = PyUnicode_InternFromString(kKey);
  const PyRef events = PyRef::steal(PyImport_ImportModule("asyncio"));
  const PyRef before = PyRef::steal(PyObject_CallNoArgs(state.get_running_loop));
  if (state.loop_holder_key == nullptr || !events || !before) return false;
  const auto set_running = [&](PyObject* loop) noexcept {
    return PyRef::steal(PyObject_CallMethod(events.get(), "_set_running_loop", "O", loop));
  };
  if (!set_running(state.loop_holder_key)) return false;  // Any object will do.
  state.loop_holder_type = find_holder_type(state.loop_holder_key, state.loop_holder_key);
  Py_XINCREF(reinterpret_cast<PyObject*>(state.loop_holder_type));
  return static_cast<bool>(set_running(before.get())) && PyErr_Occurred() == nullptr;
}

#else

PyRef running_loop(const ModuleState& state) noexcept {
  return PyRef::steal(PyObject_CallNoArgs(state.get_running_loop));
}

PyRef current_task(const ModuleState& state, PyObject* loop) noexcept {
  PyRef task = PyRef::steal(PyObject_CallOneArg(state.current_task, loop));
  // An error is as of a loop without a hash: it runs no task.
  if (!task) static_cast<void>(drop_exception());
  return task;
}

bool running_loop_probe(ModuleState& /*state*/) noexcept {
  return true;
}

#endif

}  // namespace blitzio::python

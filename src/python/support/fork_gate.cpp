#include <blitzio/base/mutex.hpp>
#include <python/support/fork_gate.hpp>
#include <python/support/ft.hpp>
#include <python/support/py_ref.hpp>
#include <python/support/thread_state.hpp>

#include <utility>

namespace blitzio::python {

namespace {

// By whoever makes a thread state, and by who forks, from before it until after it in each process.
Mutex gate{LockRank::fork_gate};
thread_local unsigned forks = 0;  // begun and not ended by this thread

PyObject* begin_fork(PyObject* /*module*/, PyObject* /*unused*/)
    BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  if (kFreeThreaded && forks++ == 0) {
    const Detached detached;  // Whoever stops the world waits for this thread.
    gate.lock();
  }
  Py_RETURN_NONE;
}

PyObject* end_fork_in_parent(PyObject* /*module*/, PyObject* /*unused*/)
    BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  if (forks != 0) {
    --forks;
    if (forks == 0) gate.unlock();
  }
  Py_RETURN_NONE;
}

PyObject* end_fork_in_child(PyObject* /*module*/, PyObject* /*unused*/)
    BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  // A fork that a hook of another one's made is the only one here.
  if (std::exchange(forks, 0) != 0) gate.unlock();
  Py_RETURN_NONE;
}

PyObject* entries_in_child(PyObject* /*module*/, PyObject* dict) noexcept {
  if (!PyDict_Check(dict)) {
    return PyErr_Format(PyExc_TypeError, "a dict was expected, got %R", dict);
  }
  // Before the loop: making it may collect garbage, and what that ends may change the dict.
  PyRef entries = PyRef::steal(PyList_New(PyDict_Size(dict) * 2));
  if (!entries) return nullptr;
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  Py_ssize_t position = 0;
  Py_ssize_t filled = 0;
  const Py_ssize_t room = PyList_GET_SIZE(entries.get());
  while (filled < room && PyDict_Next(dict, &position, &key, &value) != 0) {
    PyList_SET_ITEM(entries.get(), filled++, Py_NewRef(key));
    PyList_SET_ITEM(entries.get(), filled++, Py_NewRef(value));
  }
  // What a collection took away.
  if (PyList_SetSlice(entries.get(), filled, room, nullptr) != 0) return nullptr;
  return entries.release();
}

PyMethodDef functions[] = {
    {"_entries_in_child", entries_in_child, METH_O,
     PyDoc_STR("_entries_in_child(dict, /)\n--\n\n"
               "What is in it, as [key, value, key, value, …], without its lock.")},
    {"_begin_fork", begin_fork, METH_NOARGS,
     PyDoc_STR(
         "_begin_fork()\n--\n\nLet threads that are starting come so far, and hold new ones.")},
    {"_end_fork_in_parent", end_fork_in_parent, METH_NOARGS,
     PyDoc_STR("_end_fork_in_parent()\n--\n\nLet threads start again.")},
    {"_end_fork_in_child", end_fork_in_child, METH_NOARGS,
     PyDoc_STR("_end_fork_in_child()\n--\n\nLet threads start again.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyThreadState* make_thread_state(PyInterpreterState* interpreter) noexcept {
  if constexpr (!kFreeThreaded) return PyThreadState_New(interpreter);
  const MutexLock lock(gate);
  return PyThreadState_New(interpreter);
}

int fork_gate_register(PyObject* module, ModuleState& /*state*/) noexcept {
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python

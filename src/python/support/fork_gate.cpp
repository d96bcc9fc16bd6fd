#include <blitzio/base/mutex.hpp>
#include <python/support/fork_gate.hpp>
#include <python/support/ft.hpp>
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
  if (forks != 0 && --forks == 0) gate.unlock();
  Py_RETURN_NONE;
}

PyObject* end_fork_in_child(PyObject* /*module*/, PyObject* /*unused*/)
    BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  // A fork that a hook of another one's made is the only one here.
  if (std::exchange(forks, 0) != 0) gate.unlock();
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
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

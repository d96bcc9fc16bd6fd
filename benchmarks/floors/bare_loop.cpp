// The least that a loop written in C can do for asyncio's tasks: `call_soon` writes callback,
// argument and context into an array, and `run` calls them in order. No handle that can be
// cancelled, no timers, no descriptors, no checks. What a workload of tasks costs here no loop can
// save; floors.py builds this file and measures that.
//
// Not a loop to use: a callback takes at most two arguments, and an exception ends the run.
#include <Python.h>

#include <array>
#include <cstddef>

namespace {

struct Entry {
  PyObject* callback;
  PyObject* context;  // null: the current one, at the time of the call
  std::array<PyObject*, 2> args;
  std::size_t arg_count;
};

// A power of two; more callbacks at a time than any workload has.
constexpr std::size_t kEntries = 4096;

struct Loop {
  PyObject_HEAD PyObject* handle;  // what every call returns
  PyObject* task_type;
  PyObject* future_type;
  PyObject* keywords;  // {"loop": self}
  std::size_t head;
  std::size_t tail;
  bool stopping;
  std::array<Entry, kEntries> entries;
};

Loop& as_loop(PyObject* self) {
  return *reinterpret_cast<Loop*>(self);
}

PyObject* nothing(PyObject* /*self*/, PyObject* /*unused*/) {
  Py_RETURN_NONE;
}

PyObject* call_soon(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Loop& loop = as_loop(self);
  if (count < 1 || count > 3 || loop.tail - loop.head == kEntries) {
    return PyErr_Format(PyExc_RuntimeError, "more than the bare loop can take");
  }
  Entry& entry = loop.entries[loop.tail++ % kEntries];
  entry.callback = Py_NewRef(args[0]);
  entry.context = names == nullptr ? nullptr : Py_NewRef(args[count]);
  entry.arg_count = static_cast<std::size_t>(count - 1);
  for (std::size_t i = 0; i < entry.arg_count; ++i) entry.args[i] = Py_NewRef(args[i + 1]);
  return Py_NewRef(loop.handle);
}

PyObject* call_later(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*count*/,
                     PyObject* /*names*/) {
  return Py_NewRef(as_loop(self).handle);
}

PyObject* create_task(PyObject* self, PyObject* const* args, Py_ssize_t /*count*/,
                      PyObject* /*names*/) {
  PyObject* positional = PyTuple_Pack(1, args[0]);
  if (positional == nullptr) return nullptr;
  PyObject* task = PyObject_Call(as_loop(self).task_type, positional, as_loop(self).keywords);
  Py_DECREF(positional);
  return task;
}

PyObject* create_future(PyObject* self, PyObject* /*unused*/) {
  return PyObject_VectorcallDict(as_loop(self).future_type, nullptr, 0, as_loop(self).keywords);
}

PyObject* time_now(PyObject* /*self*/, PyObject* /*unused*/) {
  return PyFloat_FromDouble(0);
}

PyObject* is_debug(PyObject* /*self*/, PyObject* /*unused*/) {
  Py_RETURN_FALSE;
}

// Always: nothing asks it but what runs on it. Tasks that start at once ask.
PyObject* is_running(PyObject* /*self*/, PyObject* /*unused*/) {
  Py_RETURN_TRUE;
}

// What a task failed with that nobody asks for would be missed.
PyObject* call_exception_handler(PyObject* /*self*/, PyObject* context) {
  PySys_FormatStderr("%S\n", context);
  Py_RETURN_NONE;
}

PyObject* stop(PyObject* self, PyObject* /*unused*/) {
  as_loop(self).stopping = true;
  Py_RETURN_NONE;
}

bool run_entry(Entry entry) {
  PyObject* result = nullptr;
  if (entry.context == nullptr || PyContext_Enter(entry.context) == 0) {
    result = PyObject_Vectorcall(entry.callback, entry.args.data(), entry.arg_count, nullptr);
    if (result != nullptr && entry.context != nullptr) PyContext_Exit(entry.context);
  }
  for (std::size_t i = 0; i < entry.arg_count; ++i) Py_DECREF(entry.args[i]);
  Py_DECREF(entry.callback);
  Py_XDECREF(entry.context);
  Py_XDECREF(result);
  return result != nullptr;
}

PyObject* run(PyObject* self, PyObject* /*unused*/) {
  Loop& loop = as_loop(self);
  while (!loop.stopping && loop.head != loop.tail) {
    if (!run_entry(loop.entries[loop.head++ % kEntries])) return nullptr;
  }
  Py_RETURN_NONE;
}

template <class Function>
PyCFunction erased(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef loop_methods[] = {
    {"call_soon", erased(call_soon), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"call_at", erased(call_later), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"call_later", erased(call_later), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"create_task", erased(create_task), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"create_future", create_future, METH_NOARGS, nullptr},
    {"time", time_now, METH_NOARGS, nullptr},
    {"get_debug", is_debug, METH_NOARGS, nullptr},
    {"is_running", is_running, METH_NOARGS, nullptr},
    {"call_exception_handler", call_exception_handler, METH_O, nullptr},
    {"stop", stop, METH_NOARGS, nullptr},
    {"run", run, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef handle_methods[] = {
    {"cancel", nothing, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

int loop_init(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  Loop& loop = as_loop(self);
  if (PyArg_ParseTuple(args, "OOO", &loop.handle, &loop.task_type, &loop.future_type) == 0) {
    return -1;
  }
  // Borrowed from here on would do as well: one loop lives as long as the process.
  Py_INCREF(loop.handle);
  Py_INCREF(loop.task_type);
  Py_INCREF(loop.future_type);
  loop.keywords = PyDict_New();
  return loop.keywords == nullptr ? -1 : PyDict_SetItemString(loop.keywords, "loop", self);
}

PyType_Slot loop_slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(loop_init)},
    {Py_tp_methods, loop_methods},
    {0, nullptr},
};
PyType_Spec loop_spec{"bare_loop.Loop", sizeof(Loop), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                      loop_slots};

PyType_Slot handle_slots[] = {{Py_tp_methods, handle_methods}, {0, nullptr}};
PyType_Spec handle_spec{"bare_loop.Handle", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, handle_slots};

PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "bare_loop", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bare_loop() {
  PyObject* module = PyModule_Create(&definition);
  if (module == nullptr) return nullptr;
  PyObject* loop = PyType_FromSpec(&loop_spec);
  PyObject* handle = PyType_FromSpec(&handle_spec);
  if (loop == nullptr || handle == nullptr || PyModule_AddObject(module, "Loop", loop) != 0 ||
      PyModule_AddObject(module, "Handle", handle) != 0) {
    return nullptr;
  }
  return module;
}

// The extension module `blitzio._native`: multi-phase initialisation, per-module state, and one
// register call per type of the loop. Nothing else happens here; second_half.hpp makes the rest.
#include <python/loop/child_output.hpp>
#include <python/loop/connect_operation.hpp>
#include <python/loop/datagram_transport.hpp>
#include <python/loop/handle.hpp>
#include <python/loop/job.hpp>
#include <python/loop/listener.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/names.hpp>
#include <python/loop/pipe_transport.hpp>
#include <python/loop/server_base.hpp>
#include <python/loop/sock_operation.hpp>
#include <python/loop/stream_transport.hpp>
#include <python/loop/tls_protocol.hpp>
#include <python/second_half.hpp>
#include <python/support/exit.hpp>
#include <python/support/fork_gate.hpp>
#include <python/support/running_loop.hpp>
#include <python/support/state.hpp>

#include <new>
#include <span>
#include <utility>

namespace blitzio::python {

namespace {

ModuleState* state_of(PyObject* module) noexcept {
  return static_cast<ModuleState*>(PyModule_GetState(module));
}

/// Fetches `module.attribute` into `*target`. Returns false with an error set.
bool fetch(const char* module_name, const char* attribute, PyObject** target) noexcept {
  const PyRef module = PyRef::steal(PyImport_ImportModule(module_name));
  if (!module) return false;
  *target = PyObject_GetAttrString(module.get(), attribute);
  return *target != nullptr;
}

/// That, of a class; ImportError if it is none: somebody has replaced it.
bool fetch_class(const char* module_name, const char* attribute, PyObject** target) noexcept {
  if (!fetch(module_name, attribute, target)) return false;
  if (PyType_Check(*target)) return true;
  PyErr_Format(PyExc_ImportError, "%s.%s is no class, but %R", module_name, attribute, *target);
  return false;
}

bool intern_names(Names& names) noexcept {
#define BLITZIO_INTERN(n) \
  if ((names.n = PyUnicode_InternFromString(#n)) == nullptr) return false;
  BLITZIO_NAMES(BLITZIO_INTERN)
#undef BLITZIO_INTERN
  return true;
}

/// A tuple of `items` and, unless it is null, `last`; null with an error set.
PyObject* pack(std::span<PyObject* const> items, PyObject* last) noexcept {
  const std::size_t count = items.size() + (last == nullptr ? 0 : 1);
  PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(count));
  if (tuple == nullptr) return nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(tuple, static_cast<Py_ssize_t>(i),
                     Py_NewRef(i < items.size() ? items[i] : last));
  }
  return tuple;
}

bool fetch_objects(ModuleState& state) noexcept {
  const PyRef logging = PyRef::steal(PyImport_ImportModule("logging"));
  if (!logging) return false;
  state.logger = PyObject_CallMethod(logging.get(), "getLogger", "s", "asyncio");
  state.task_kwnames = PyTuple_Pack(2, state.names.loop, state.names.name);
  state.context_kwnames = PyTuple_Pack(1, state.names.context);
#if PY_VERSION_HEX >= 0x030C0000
  PyObject* const spawn[] = {state.names.loop, state.names.context, state.names.eager_start};
#elif PY_VERSION_HEX >= 0x030B0000
  PyObject* const spawn[] = {state.names.loop, state.names.context};
#else
  PyObject* const spawn[] = {state.names.loop};
#endif
  state.spawn_kwnames = pack(spawn, nullptr);
  state.spawn_named_kwnames = pack(spawn, state.names.name);
  return state.logger != nullptr && state.task_kwnames != nullptr &&
         state.context_kwnames != nullptr && state.spawn_kwnames != nullptr &&
         state.spawn_named_kwnames != nullptr &&
         fetch("asyncio", "_get_running_loop", &state.get_running_loop) &&
#if PY_VERSION_HEX >= 0x030C0000
         fetch("asyncio", "current_task", &state.current_task) &&
#else
         fetch("asyncio.tasks", "_current_tasks", &state.current_task) &&
         fetch("asyncio.tasks", "_leave_task", &state.leave_task) &&
         fetch("asyncio.tasks", "_enter_task", &state.enter_task) &&
#endif
         fetch_class("asyncio", "Future", &state.asyncio_future) &&
         fetch_class("asyncio", "Task", &state.asyncio_task) &&
         fetch_class("asyncio", "Transport", &state.asyncio_transport) &&
         fetch_class("asyncio", "DatagramTransport", &state.asyncio_datagram) &&
         fetch_class("asyncio", "Protocol", &state.asyncio_protocol) &&
         fetch_class("asyncio", "BufferedProtocol", &state.buffered_protocol) &&
         fetch_class("asyncio", "CancelledError", &state.cancelled_error) &&
         fetch_class("asyncio", "InvalidStateError", &state.invalid_state_error) &&
         fetch("asyncio.format_helpers", "extract_stack", &state.extract_stack) &&
         fetch("asyncio.format_helpers", "_format_callback_source",
               &state.format_callback_source) &&
         fetch_class("socket", "socket", &state.socket_type) &&
         fetch_class("asyncio.trsock", "TransportSocket", &state.transport_socket) &&
         running_loop_probe(state);
}

/// Before 3.12 what pybind11 stands on (PyGILState) knows the main interpreter alone, and waits for
/// ever in any other. Returns false with ImportError set.
bool check_interpreter() noexcept {
#if PY_VERSION_HEX < 0x030C0000
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_ImportError, "blitzio supports sub-interpreters from Python 3.12 on");
    return false;
  }
#endif
  return true;
}

int module_exec(PyObject* module) {
  ModuleState& state = *new (state_of(module)) ModuleState();
  state.module = module;
  if (!check_interpreter() || !intern_names(state.names) || !fetch_objects(state)) return -1;
  for (const auto add :
       {handle_register, loop_register, stream_transport_register, datagram_transport_register,
        pipe_transport_register, tls_register, listener_register, server_base_register,
        child_output_register, sock_register, connect_operation_register, names_register,
        fork_gate_register, exit_register, job_register}) {
    if (add(module, state) != 0) return -1;
  }
  return PyModule_AddStringConstant(module, "__version__", BLITZIO_VERSION);
}

int module_traverse(PyObject* module, visitproc visit, void* arg) {
  ModuleState* state = state_of(module);
  if (state == nullptr) return 0;
#define BLITZIO_VISIT(n) Py_VISIT(state->n);
  BLITZIO_TYPES(BLITZIO_VISIT)
  BLITZIO_OBJECTS(BLITZIO_VISIT)
#undef BLITZIO_VISIT
  return 0;
}

void free_spare_context(ModuleState& state) noexcept {
  if (state.spare_context != nullptr) PyObject_GC_Del(std::exchange(state.spare_context, nullptr));
}

int module_clear(PyObject* module) {
  ModuleState* state = state_of(module);
  if (state == nullptr) return 0;
  state->handles.clear();
  state->timer_handles.clear();
  free_spare_context(*state);
#define BLITZIO_CLEAR(n) Py_CLEAR(state->n);
  BLITZIO_TYPES(BLITZIO_CLEAR)
  BLITZIO_OBJECTS(BLITZIO_CLEAR)
#undef BLITZIO_CLEAR
  return 0;
}

void module_free(void* module) {
  auto* object = static_cast<PyObject*>(module);
  ModuleState* state = state_of(object);
  if (state == nullptr) return;
  module_clear(object);
  Py_CLEAR(state->task_kwnames);
  Py_CLEAR(state->context_kwnames);
  Py_CLEAR(state->spawn_kwnames);
  Py_CLEAR(state->spawn_named_kwnames);
#define BLITZIO_DROP(n) Py_CLEAR(state->names.n);
  BLITZIO_NAMES(BLITZIO_DROP)
#undef BLITZIO_DROP
  // A loop that outlives the module's clearing may still have given handles back.
  state->handles.clear();
  state->timer_handles.clear();
  free_spare_context(*state);
  job_registry_free(*state);
  state->~ModuleState();
}

PyMethodDef module_methods[] = {
    {"__getattr__", second_half_getattr, METH_O, nullptr},
    {"__dir__", second_half_dir, METH_NOARGS, nullptr},
    {"_forget_maker", second_half_forget_maker, METH_NOARGS,
     PyDoc_STR("_forget_maker()\n--\n\nIn a forked child: who makes the module is not here.")},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(module_exec)},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};

PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "blitzio._native",
    .m_doc = "The native half of blitzio.",
    .m_size = sizeof(ModuleState),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

}  // namespace

}  // namespace blitzio::python

PyMODINIT_FUNC PyInit__native() {
  return PyModuleDef_Init(&blitzio::python::module_definition);
}

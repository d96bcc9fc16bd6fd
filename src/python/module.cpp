// The extension module `blitzio._native`: multi-phase initialisation, per-module state, and one
// register call per type. Nothing else happens here.
#include <python/bindings/info.hpp>
#include <python/bindings/thread_pool.hpp>
#include <python/loop/datagram_transport.hpp>
#include <python/loop/handle.hpp>
#include <python/loop/job.hpp>
#include <python/loop/listener.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/names.hpp>
#include <python/loop/pipe_transport.hpp>
#include <python/loop/sock_operation.hpp>
#include <python/loop/stream_transport.hpp>
#include <python/loop/tls_protocol.hpp>
#include <python/support/state.hpp>

#include <new>

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

bool intern_names(Names& names) noexcept {
#define BLITZIO_INTERN(n) \
  if ((names.n = PyUnicode_InternFromString(#n)) == nullptr) return false;
  BLITZIO_NAMES(BLITZIO_INTERN)
#undef BLITZIO_INTERN
  return true;
}

bool fetch_objects(ModuleState& state) noexcept {
  const PyRef logging = PyRef::steal(PyImport_ImportModule("logging"));
  if (!logging) return false;
  state.logger = PyObject_CallMethod(logging.get(), "getLogger", "s", "asyncio");
  state.future_kwnames = PyTuple_Pack(1, state.names.loop);
  state.task_kwnames = PyTuple_Pack(2, state.names.loop, state.names.name);
  return state.logger != nullptr && state.future_kwnames != nullptr &&
         state.task_kwnames != nullptr && fetch("asyncio", "Future", &state.asyncio_future) &&
         fetch("asyncio", "Task", &state.asyncio_task) &&
         fetch("asyncio", "Transport", &state.asyncio_transport) &&
         fetch("asyncio", "DatagramTransport", &state.asyncio_datagram) &&
         fetch("asyncio", "BufferedProtocol", &state.buffered_protocol) &&
         fetch("asyncio", "CancelledError", &state.cancelled_error) &&
         fetch("asyncio", "InvalidStateError", &state.invalid_state_error) &&
         fetch("asyncio.format_helpers", "extract_stack", &state.extract_stack) &&
         fetch("asyncio.format_helpers", "_format_callback_source",
               &state.format_callback_source) &&
         fetch("socket", "socket", &state.socket_type);
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
  if (!check_interpreter() || !intern_names(state.names) || !fetch_objects(state)) return -1;
  for (const auto add :
       {handle_register, loop_register, stream_transport_register, datagram_transport_register,
        pipe_transport_register, tls_register, listener_register, sock_register, names_register,
        job_register, thread_pool_register, info_register}) {
    if (add(module, state) != 0) return -1;
  }
  return PyModule_AddStringConstant(module, "__version__", BLITZIO_VERSION);
}

int module_traverse(PyObject* module, visitproc visit, void* arg) {
  ModuleState* state = state_of(module);
  if (state == nullptr) return 0;
  Py_VISIT(state->loop_type);
  Py_VISIT(state->handle_type);
  Py_VISIT(state->timer_handle_type);
  Py_VISIT(state->stream_transport_type);
  Py_VISIT(state->datagram_transport_type);
  Py_VISIT(state->listener_type);
  Py_VISIT(state->sock_operation_type);
  Py_VISIT(state->tls_protocol_type);
  Py_VISIT(state->tls_transport_type);
  Py_VISIT(state->tls_window_type);
  Py_VISIT(state->thread_pool_type);
  Py_VISIT(state->asyncio_future);
  Py_VISIT(state->asyncio_task);
  Py_VISIT(state->asyncio_transport);
  Py_VISIT(state->asyncio_datagram);
  Py_VISIT(state->buffered_protocol);
  Py_VISIT(state->cancelled_error);
  Py_VISIT(state->invalid_state_error);
  Py_VISIT(state->extract_stack);
  Py_VISIT(state->format_callback_source);
  Py_VISIT(state->socket_type);
  Py_VISIT(state->logger);
  Py_VISIT(state->socket_numbers);
  Py_VISIT(state->ssl_error);
  Py_VISIT(state->ssl_closed_error);
  Py_VISIT(state->ssl_again_errors);
  return 0;
}

int module_clear(PyObject* module) {
  ModuleState* state = state_of(module);
  if (state == nullptr) return 0;
  state->handles.clear();
  state->timer_handles.clear();
  Py_CLEAR(state->loop_type);
  Py_CLEAR(state->handle_type);
  Py_CLEAR(state->timer_handle_type);
  Py_CLEAR(state->stream_transport_type);
  Py_CLEAR(state->datagram_transport_type);
  Py_CLEAR(state->listener_type);
  Py_CLEAR(state->sock_operation_type);
  Py_CLEAR(state->tls_protocol_type);
  Py_CLEAR(state->tls_transport_type);
  Py_CLEAR(state->tls_window_type);
  Py_CLEAR(state->thread_pool_type);
  Py_CLEAR(state->asyncio_future);
  Py_CLEAR(state->asyncio_task);
  Py_CLEAR(state->asyncio_transport);
  Py_CLEAR(state->asyncio_datagram);
  Py_CLEAR(state->buffered_protocol);
  Py_CLEAR(state->cancelled_error);
  Py_CLEAR(state->invalid_state_error);
  Py_CLEAR(state->extract_stack);
  Py_CLEAR(state->format_callback_source);
  Py_CLEAR(state->socket_type);
  Py_CLEAR(state->logger);
  Py_CLEAR(state->socket_numbers);
  Py_CLEAR(state->ssl_error);
  Py_CLEAR(state->ssl_closed_error);
  Py_CLEAR(state->ssl_again_errors);
  return 0;
}

void module_free(void* module) {
  auto* object = static_cast<PyObject*>(module);
  ModuleState* state = state_of(object);
  if (state == nullptr) return;
  module_clear(object);
  Py_CLEAR(state->future_kwnames);
  Py_CLEAR(state->task_kwnames);
#define BLITZIO_DROP(n) Py_CLEAR(state->names.n);
  BLITZIO_NAMES(BLITZIO_DROP)
#undef BLITZIO_DROP
  // A loop that outlives the module's clearing may still have given handles back.
  state->handles.clear();
  state->timer_handles.clear();
  job_registry_free(*state);
  state->~ModuleState();
}

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
    .m_methods = nullptr,
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

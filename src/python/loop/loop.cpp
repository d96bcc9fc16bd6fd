#include <python/loop/connect_operation.hpp>
#include <python/loop/fd_watch.hpp>
#include <python/loop/job.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/loop_call.hpp>
#include <python/loop/loop_config.hpp>
#include <python/loop/loop_gate.hpp>
#include <python/loop/loop_run.hpp>
#include <python/loop/loop_use.hpp>
#include <python/loop/sock_methods.hpp>
#include <python/loop/sock_operation.hpp>
#include <python/loop/socket_transport.hpp>
#include <python/loop/soon_method.hpp>
#include <python/loop/stream_transport.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>
#include <map>
#include <new>
#include <string>
#include <string_view>

// offsetof of a class with C++ members is conditionally supported: GCC and Clang define it for
// every class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace blitzio::python {

namespace {

LoopObject& as_loop(PyObject* self) noexcept {
  return *reinterpret_cast<LoopObject*>(self);
}

// ---- lifetime -----------------------------------------------------------------------------------

void loop_dealloc(PyObject* self);

PyObject* loop_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyObject* module = PyType_GetModule(native_type(type, loop_dealloc));
  if (module == nullptr) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  LoopObject& loop = as_loop(self);
  loop.module = Py_NewRef(module);
  loop.state = static_cast<ModuleState*>(PyModule_GetState(module));
  loop.slow_callback_duration = 0.1;
  loop.closed = true;  // until __init__
  new (&loop.thread) Atomic<unsigned long>(0);
  new (&loop.lock_sharing) LockSharing();
  new (&loop.beginning) ReadyQueue();
  new (&loop.ready) ReadyQueue();
  new (&loop.arrived) ReadyQueue();
  new (&loop.due) ReadyQueue();
  new (&loop.flush_list) decltype(loop.flush_list)();
  new (&loop.pausing) decltype(loop.pausing)();
  new (&loop.watches) decltype(loop.watches)();
  new (&loop.rearm_list) decltype(loop.rearm_list)();
  new (&loop.sock_waits) decltype(loop.sock_waits)();
  new (&loop.transports) decltype(loop.transports)();
  new (&loop.in_flight) decltype(loop.in_flight)();
  new (&loop.datagram_scratch) decltype(loop.datagram_scratch)();
  new (&loop.tls_scratch) decltype(loop.tls_scratch)();
  new (&loop.spare_bytes) SpareBytes();
#if BLITZIO_FREE_THREADED
  new (&loop.users) decltype(loop.users)();
#endif
  return self;
}

int loop_init(PyObject* self, PyObject* args, PyObject* kwargs) {
  LoopObject& loop = as_loop(self);
  LoopConfig config;
  if (!loop_parse_config(args, kwargs, config)) return -1;
  if (loop.initialised) {  // Now, for code of one of the arguments may have done it.
    PyErr_SetString(PyExc_RuntimeError, "the loop is initialised already");
    return -1;
  }
  Result<std::unique_ptr<LocalExecutor>> executor =
      LocalExecutor::create(config.driver, Duration::from_secs_f64(config.timer_tick),
                            static_cast<std::size_t>(config.timers_max));
  if (!executor) {
    if (executor.error().is(RuntimeErrc::backend_unavailable)) {
      loop_raise_unavailable(config.driver.backend);
    } else {
      raise_error(executor.error(), "new_event_loop");
    }
    return -1;
  }
  loop.gate = new (std::nothrow) NativeGate((*executor)->driver());
  if (loop.gate == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  loop.executor = executor->release();
  loop.initialised = true;
  loop.closed = false;
  return 0;
}

int visit_in_flight(LoopObject& loop, visitproc visit, void* arg) noexcept {
  int outcome = 0;
  loop.in_flight.for_each([&](InFlight& reference) {
    if (outcome == 0) outcome = visit(reference.object(), arg);
  });
  for (const auto& [fd, transport] : loop.transports) {
    if (outcome == 0) outcome = transport_visit_in_flight(*transport, visit, arg);
  }
  return outcome;
}

int loop_traverse(PyObject* self, visitproc visit, void* arg) {
  LoopObject& loop = as_loop(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(loop.module);
  Py_VISIT(loop.dict);
  Py_VISIT(loop.task_factory);
  Py_VISIT(loop.default_executor);
  Py_VISIT(loop.fatal);
  Py_VISIT(loop.keywords);
  Py_VISIT(loop.turn_context);
  Py_VISIT(loop.bound_soon);
  Py_VISIT(loop.before_wait);
  if (BLITZIO_UNLIKELY(loop.stranded)) return 0;  // What it holds will never be let go.
  for (const ReadyQueue* queue : {&loop.beginning, &loop.ready, &loop.arrived, &loop.due}) {
    for (std::size_t i = 0; i < queue->size(); ++i) {
      if (const int stop = handle_visit_ready(*queue->at(i), visit, arg)) return stop;
    }
  }
#if BLITZIO_FREE_THREADED
  // The collector has stopped the world, so nobody is adding to it.
  for (HandleObject* each = loop.inbox_first; each != nullptr; each = each->inbox_next) {
    if (const int stop = handle_visit_held(*each, 1, visit, arg)) return stop;
  }
#endif
  if (loop.executor != nullptr) {
    const int stop = loop.executor->wheel().visit([&](time::TimerEntry& entry) {
      TimerHandleObject* timer = timer_handle_of(entry);
      return timer == nullptr ? 0 : handle_visit_held(timer->handle, 1, visit, arg);
    });
    if (stop != 0) return stop;
  }
  if (const int outcome = job_traverse(loop, visit, arg); outcome != 0) return outcome;
  if (loop.gate != nullptr) {
    if (const int outcome = loop.gate->traverse(visit, arg); outcome != 0) return outcome;
  }
  if (const int outcome = sock_wait_traverse(loop, visit, arg); outcome != 0) return outcome;
  if (const int outcome = visit_in_flight(loop, visit, arg); outcome != 0) return outcome;
  return fd_watch_traverse(loop, visit, arg);
}

int loop_clear(PyObject* self) {
  LoopObject& loop = as_loop(self);
  loop_shut_down(loop);
  // call_soon() finds a loop open that is closed by what it runs itself: a collection, debug mode's
  // checks. As with asyncio its handle never runs.
  if (!loop.stranded) loop_drop_queued(loop);
  Py_CLEAR(loop.task_factory);
  Py_CLEAR(loop.default_executor);
  Py_CLEAR(loop.fatal);
  Py_CLEAR(loop.keywords);
  Py_CLEAR(loop.turn_context);
  Py_CLEAR(loop.bound_soon);
  Py_CLEAR(loop.before_wait);
  Py_CLEAR(loop.dict);
  return 0;
}

void loop_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  LoopObject& loop = as_loop(self);
  if (loop.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  loop_clear(self);
  job_pool_release(loop);
  if (loop.gate != nullptr && !loop.stranded) loop.gate->release_ref();
#if BLITZIO_FREE_THREADED
  loop.users.~IntrusiveList();
#endif
  loop.tls_scratch.~unique_ptr();
  loop.spare_bytes.~SpareBytes();
  if (!loop.stranded) {
    loop.datagram_scratch.~unique_ptr();
    loop.in_flight.~IntrusiveList();
    loop.transports.~unordered_map();
    loop.sock_waits.~IntrusiveList();
    loop.rearm_list.~IntrusiveList();
    loop.watches.~unordered_map();
    loop.pausing.~IntrusiveList();
    loop.flush_list.~IntrusiveList();
    loop.due.~ReadyQueue();
    loop.arrived.~ReadyQueue();
    loop.ready.~ReadyQueue();
    loop.beginning.~ReadyQueue();
  }
  PyObject* module = loop.module;
  free_instance(self);
  Py_DECREF(module);  // The state may go with it.
}

// ---- small methods ------------------------------------------------------------------------------

PyObject* method_stop(PyObject* self, PyObject* /*unused*/) {
  as_loop(self).stopping = true;
  Py_RETURN_NONE;
}

PyObject* method_is_running(PyObject* self, PyObject* /*unused*/) {
  const LoopObject& loop = as_loop(self);
  // Relaxed: a snapshot.
  const bool has_thread = loop.thread.load(std::memory_order_relaxed) != 0;
  return PyBool_FromLong((loop.forked ? loop.in_run : has_thread) ? 1 : 0);
}

PyObject* method_is_closed(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(as_loop(self).closed ? 1 : 0);
}

PyObject* method_check_closed(PyObject* self, PyObject* /*unused*/) {
  if (loop_check_closed(as_loop(self)) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_disown(PyObject* self, PyObject* /*unused*/) {
  loop_disown(as_loop(self));
  Py_RETURN_NONE;
}

PyObject* method_get_debug(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(as_loop(self).debug ? 1 : 0);
}

/// The only argument of a method, by position or by name. Null with TypeError set.
PyObject* only_argument(const char* method, const char* name, PyObject* const* args,
                        Py_ssize_t nargs, PyObject* kwnames) noexcept {
  if (nargs + (kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames)) > 1) {
    return PyErr_Format(PyExc_TypeError, "%s() takes exactly one argument", method);
  }
  Arguments arguments(args, nargs, kwnames);
  return arguments.bind(method, {&name, 1}) ? arguments[0] : nullptr;
}

PyObject* method_set_debug(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) {
  PyObject* enabled = only_argument("set_debug", "enabled", args, nargs, kwnames);
  if (enabled == nullptr) return nullptr;
  const int truth = PyObject_IsTrue(enabled);
  if (truth < 0) return nullptr;
  as_loop(self).debug = truth != 0;
  Py_RETURN_NONE;
}

PyObject* method_get_task_factory(PyObject* self, PyObject* /*unused*/) {
  PyObject* factory = as_loop(self).task_factory;
  return Py_NewRef(factory == nullptr ? Py_None : factory);
}

PyObject* method_set_task_factory(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                  PyObject* kwnames) {
  PyObject* factory = only_argument("set_task_factory", "factory", args, nargs, kwnames);
  if (factory == nullptr) return nullptr;
  if (factory != Py_None && PyCallable_Check(factory) == 0) {
    PyErr_SetString(PyExc_TypeError, "task factory must be a callable or None");
    return nullptr;
  }
  Py_XSETREF(as_loop(self).task_factory, factory == Py_None ? nullptr : Py_NewRef(factory));
  Py_RETURN_NONE;
}

PyObject* method_wake(PyObject* self, PyObject* /*unused*/) {
  LoopObject& loop = as_loop(self);
  const ObjectLock lock(self);
  if (loop.executor != nullptr) loop_driver(loop).wake();
  Py_RETURN_NONE;
}

bool add_number(PyObject* dict, const char* name, std::uint64_t value) noexcept {
  const PyRef number = PyRef::steal(PyLong_FromUnsignedLongLong(value));
  return number && PyDict_SetItemString(dict, name, number.get()) == 0;
}

PyObject* method_metrics(PyObject* self, PyObject* /*unused*/) {
  LoopObject& loop = as_loop(self);
  PyRef dict = PyRef::steal(PyDict_New());
  if (!dict || loop_check_closed(loop) != 0) return nullptr;
  // Counted first: making Python's objects may collect garbage, and that close the loop.
  const driver::Metrics io = loop_driver(loop).metrics();
  const BlockingPool::Metrics pool = job_pool_metrics(loop);
  const std::size_t ready =
      loop.beginning.size() + loop.ready.size() + loop.arrived.size() + loop.due.size();
  const std::size_t timers = loop.executor->wheel().size();
  const std::size_t transports = loop.transports.size();
  const bool complete =
      add_number(dict.get(), "io_submitted", io.submitted) &&
      add_number(dict.get(), "io_completed", io.completed) &&
      add_number(dict.get(), "io_syscalls", io.syscalls) &&
      add_number(dict.get(), "waits", io.waits) && add_number(dict.get(), "wakes", io.wakes) &&
      add_number(dict.get(), "buffers_exhausted", io.buffers_exhausted) &&
      add_number(dict.get(), "ready", ready) && add_number(dict.get(), "timers", timers) &&
      add_number(dict.get(), "transports", transports) &&
      add_number(dict.get(), "blocking_threads", pool.threads) &&
      add_number(dict.get(), "blocking_idle", pool.idle) &&
      add_number(dict.get(), "blocking_queued", pool.queued);
  return complete ? dict.release() : nullptr;
}

PyObject* method_transport_kinds(PyObject* self, PyObject* /*unused*/) {
  LoopObject& loop = as_loop(self);
  if (loop_check_closed(loop) != 0) return nullptr;
  // Counted first: making Python's objects may collect garbage, and that close transports.
  std::map<std::string, std::uint64_t> counts;
  try {
    for (const auto& [fd, transport] : loop.transports) {
      const std::string_view name = Py_TYPE(as_object(*transport))->tp_name;
      ++counts[std::string(name.substr(name.rfind('.') + 1))];
    }
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
  PyRef dict = PyRef::steal(PyDict_New());
  if (!dict) return nullptr;
  for (const auto& [name, count] : counts) {
    if (!add_number(dict.get(), name.c_str(), count)) return nullptr;
  }
  return dict.release();
}

PyObject* get_backend(PyObject* self, void* /*unused*/) {
  LoopObject& loop = as_loop(self);
  if (loop_check_closed(loop) != 0) return nullptr;
  const std::string_view name = driver::name(loop_driver(loop).backend());
  return PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size()));
}

PyObject* get_thread_id(PyObject* self, void* /*unused*/) {
  // Relaxed: a snapshot.
  const unsigned long thread = as_loop(self).thread.load(std::memory_order_relaxed);
  if (thread == 0 || thread == kParentsThread) Py_RETURN_NONE;
  return PyLong_FromUnsignedLong(thread);
}

PyObject* get_current_handle(PyObject* self, void* /*unused*/) {
  const LoopObject& loop = as_loop(self);
  // Relaxed: of interest is only whether it is this thread.
  const bool is_runner = loop.thread.load(std::memory_order_relaxed) == PyThread_get_thread_ident();
  PyObject* handle = is_runner ? reinterpret_cast<PyObject*>(loop.current) : nullptr;
  return Py_NewRef(handle == nullptr ? Py_None : handle);
}

constexpr int kFastKeywords = METH_FASTCALL | METH_KEYWORDS;

PyObject* method_redefine_in(PyObject* self, PyObject* type);

PyMethodDef loop_methods[] = {
    {"call_soon", fast(method_call_soon), kFastKeywords,
     PyDoc_STR("call_soon($self, callback, *args, context=None)\n--\n\n"
               "Run callback(*args) in the next turn. Returns a Handle.")},
    {"call_soon_threadsafe", fast(method_call_soon_threadsafe), kFastKeywords,
     PyDoc_STR("call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n"
               "call_soon() from any thread; wakes the loop.")},
    {"call_later", fast(loop_method<method_call_later>), kFastKeywords,
     PyDoc_STR("call_later($self, delay, callback, *args, context=None)\n--\n\n"
               "Run callback(*args) after `delay` seconds. Returns a TimerHandle.")},
    {"call_at", fast(loop_method<method_call_at>), kFastKeywords,
     PyDoc_STR("call_at($self, when, callback, *args, context=None)\n--\n\n"
               "Run callback(*args) at `when`, seconds on time()'s clock.")},
    {"create_task", fast(loop_method<method_create_task>), kFastKeywords,
     PyDoc_STR("create_task($self, coro, *, name=None, context=None, **kwargs)\n--\n\n"
               "Schedule a coroutine; returns an asyncio.Task.")},
    {"create_future", method_create_future, METH_NOARGS,
     PyDoc_STR("create_future($self)\n--\n\nA new asyncio.Future of this loop.")},
    {"time", method_time, METH_NOARGS,
     PyDoc_STR("time($self)\n--\n\nSeconds on the monotonic clock.")},
    {"stop", method_stop, METH_NOARGS,
     PyDoc_STR("stop($self)\n--\n\nEnd run_forever() after the current turn.")},
    {"is_running", method_is_running, METH_NOARGS, PyDoc_STR("is_running($self)\n--\n\n")},
    {"is_closed", method_is_closed, METH_NOARGS, PyDoc_STR("is_closed($self)\n--\n\n")},
    {"get_debug", method_get_debug, METH_NOARGS, PyDoc_STR("get_debug($self)\n--\n\n")},
    {"set_debug", fast(method_set_debug), kFastKeywords,
     PyDoc_STR("set_debug($self, enabled)\n--\n\n")},
    {"get_task_factory", loop_method<method_get_task_factory>, METH_NOARGS,
     PyDoc_STR("get_task_factory($self)\n--\n\n")},
    {"set_task_factory", fast(loop_method<method_set_task_factory>), kFastKeywords,
     PyDoc_STR("set_task_factory($self, factory)\n--\n\n")},
    {"metrics", loop_method<method_metrics>, METH_NOARGS,
     PyDoc_STR("metrics($self)\n--\n\nCounters and queue lengths of this loop, by name.")},
    {"_transport_kinds", loop_method<method_transport_kinds>, METH_NOARGS,
     PyDoc_STR("_transport_kinds($self)\n--\n\nHow many transports are open, by their type.")},
    BLITZIO_FD_WATCH_METHODS,
    BLITZIO_SOCK_METHODS,
    BLITZIO_CONNECT_METHODS,
    BLITZIO_JOB_METHODS,
    {"_run", method_run, METH_NOARGS, PyDoc_STR("Run turns until stop().")},
    {"_close", loop_method<method_close>, METH_NOARGS,
     PyDoc_STR("Free the native core. Idempotent.")},
    {"_flush", loop_method<method_flush>, METH_NOARGS,
     PyDoc_STR("_flush($self)\n--\n\nHand over what transports have gathered in this turn.")},
    {"_set_before_wait", loop_method<method_set_before_wait>, METH_O,
     PyDoc_STR(
         "_set_before_wait($self, hook, /)\n--\n\n"
         "Call hook() before each wait that may block; None: nothing. What it schedules keeps "
         "the loop awake.")},
    {"_check_closed", method_check_closed, METH_NOARGS,
     PyDoc_STR("Raise RuntimeError if the loop is closed.")},
    {"_disown", method_disown, METH_NOARGS,
     PyDoc_STR("In a forked child: this loop is the parent's from now on.")},
    {"_wake", method_wake, METH_NOARGS, PyDoc_STR("End the loop's wait. Any thread.")},
    {"_redefine_in", method_redefine_in, METH_O | METH_CLASS,
     PyDoc_STR("_redefine_in($type, subclass, /)\n--\n\n"
               "Define this class's methods on `subclass` itself: they are called faster there.")},
    {nullptr, nullptr, 0, nullptr},
};

PyRef make_descriptor(PyTypeObject* type, PyMethodDef& definition) noexcept {
#if BLITZIO_KEEPS_BOUND_SOON
  if (definition.ml_meth == fast(method_call_soon)) return soon_method_new(type, definition);
#endif
  return PyRef::steal(PyDescr_NewMethod(type, &definition));
}

/// Defines these methods on `type`, a subclass, unless it or a base overrides them. CPython calls a
/// native method in line only if the object's very type defines it, and else looks for it in all of
/// the bases at each call: a tenth of a `call_soon`. Python sees the same functions either way.
PyObject* method_redefine_in(PyObject* self, PyObject* type) {
  if (!PyType_Check(type) || PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type),
                                              reinterpret_cast<PyTypeObject*>(self)) == 0) {
    return PyErr_Format(PyExc_TypeError, "a subclass of %R was expected, not %R", self, type);
  }
  for (PyMethodDef* each = loop_methods; each->ml_name != nullptr; ++each) {
    const PyRef ours = PyRef::steal(PyObject_GetAttrString(self, each->ml_name));
    const PyRef theirs = PyRef::steal(PyObject_GetAttrString(type, each->ml_name));
    if (!ours || !theirs) return nullptr;
    if (ours.get() != theirs.get()) continue;
    const PyRef method = make_descriptor(reinterpret_cast<PyTypeObject*>(type), *each);
    if (!method || PyObject_SetAttrString(type, each->ml_name, method.get()) != 0) return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* get_closed(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(as_loop(self).closed ? 1 : 0);
}
/// asyncio's is an attribute like any other, and a subclass's __init__ may set it; what it says is
/// close()'s to decide.
int set_closed(PyObject* /*self*/, PyObject* /*value*/, void* /*unused*/) {
  return 0;
}

PyGetSetDef loop_getset[] = {
    {"backend", get_backend, nullptr,
     PyDoc_STR("The driver in use: 'io_uring', 'epoll' or 'poll'."), nullptr},
    {"_closed", get_closed, set_closed, nullptr, nullptr},
    {"_thread_id", get_thread_id, nullptr, nullptr, nullptr},
    {"_current_handle", get_current_handle, nullptr, nullptr, nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef loop_members[] = {
    {"slow_callback_duration", T_DOUBLE, offsetof(LoopObject, slow_callback_duration), 0,
     PyDoc_STR("Debug mode warns of callbacks that take longer; seconds.")},
    {"_debug", T_BOOL, offsetof(LoopObject, debug), READONLY, nullptr},
    {"_stopping", T_BOOL, offsetof(LoopObject, stopping), 0, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(LoopObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(LoopObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

bool loop_check(const ModuleState& state, PyObject* object) noexcept {
  return PyObject_TypeCheck(object, state.loop_type) != 0;
}

int loop_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc,
       const_cast<char*>(
           "LoopBase(*, backend='auto', ring_entries=0, buffer_bytes=16384, "
           "buffer_count=16, buffer_count_max=4096, sqpoll=False, iopoll=False, "
           "single_issuer=None, defer_taskrun=None, registered_buffers=None, "
           "registered_files=None, ring_files=None, timer_tick=0.001, timers_max=0)\n--\n\n"
           "The native half of blitzio.Loop.")},
      {Py_tp_new, slot(loop_new)},
      {Py_tp_init, slot(loop_init)},
      {Py_tp_dealloc, slot(loop_dealloc)},
      {Py_tp_traverse, slot(loop_traverse)},
      {Py_tp_clear, slot(loop_clear)},
      {Py_tp_methods, loop_methods},
      {Py_tp_getset, loop_getset},
      {Py_tp_members, loop_members},
      {0, nullptr},
  };
  return add_type(module, &state.loop_type,
                  {.name = "blitzio._native.LoopBase",
                   .bytes = sizeof(LoopObject),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                   .slots = slots});
}

}  // namespace blitzio::python

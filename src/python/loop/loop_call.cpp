#include <blitzio/base/deadline_clock.hpp>
#include <python/loop/loop_call.hpp>
#include <python/support/arguments.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::python {

namespace {

LoopObject& as_loop(PyObject* self) noexcept {
  return *reinterpret_cast<LoopObject*>(self);
}

constexpr std::array kSoonParameters{"callback"};
constexpr std::array kLaterParameters{"delay", "callback"};
constexpr std::array kAtParameters{"when", "callback"};

/// Binds the arguments and checks the context. Returns false with an error set.
bool bind_call(const LoopObject& loop, Arguments& arguments, const char* method,
               std::span<const char* const> parameters) noexcept {
  if (!arguments.bind(method, parameters, "context", loop.state->names.context)) return false;
  PyObject* context = arguments.extra();
  if (BLITZIO_LIKELY(context == nullptr || PyContext_CheckExact(context))) return true;
  PyErr_Format(PyExc_TypeError, "%s(): context must be a contextvars.Context, got %R", method,
               context);
  return false;
}

bool is_runner(const LoopObject& loop) noexcept {
  // Relaxed: a thread compares with its own number, which no other thread ever stores.
  return loop.thread.load(std::memory_order_relaxed) == current_thread();
}

BLITZIO_COLD bool debug_check(const LoopObject& loop, const char* method, PyObject* callback,
                              bool check_thread) noexcept {
  if (check_thread && loop.thread.load(std::memory_order_relaxed) != 0 && !is_runner(loop)) {
    PyErr_SetString(
        PyExc_RuntimeError,
        "Non-thread-safe operation invoked on an event loop other than the current one");
    return false;
  }
  // asyncio's own second test also knows functions that are marked, and is deprecated from 3.14 on.
  constexpr const char* kFunctions =
      PY_VERSION_HEX >= 0x030E0000 ? "inspect" : "asyncio.coroutines";
  constexpr std::pair<const char*, const char*> kTests[] = {{"asyncio.coroutines", "iscoroutine"},
                                                            {kFunctions, "iscoroutinefunction"}};
  for (const auto& [module, test] : kTests) {
    const PyRef home = PyRef::steal(PyImport_ImportModule(module));
    const PyRef answer =
        home ? PyRef::steal(PyObject_CallMethod(home.get(), test, "O", callback)) : PyRef();
    const int is_coroutine = answer ? PyObject_IsTrue(answer.get()) : -1;
    if (is_coroutine < 0) return false;
    if (is_coroutine != 0) {
      PyErr_Format(PyExc_TypeError, "coroutines cannot be used with %s()", method);
      return false;
    }
  }
  if (PyCallable_Check(callback) == 0) {
    PyErr_Format(PyExc_TypeError, "a callable object was expected by %s(), got %R", method,
                 callback);
    return false;
  }
  return true;
}

bool check_call(const LoopObject& loop, const char* method, PyObject* callback,
                bool check_thread = true) noexcept {
  if (BLITZIO_UNLIKELY(loop.closed) && loop_check_closed(loop) != 0) return false;
  return BLITZIO_LIKELY(!loop.debug) || debug_check(loop, method, callback, check_thread);
}

#if BLITZIO_FREE_THREADED
void push_inbox(LoopObject& loop, HandleObject* handle) noexcept {
  PyMutex_Lock(&loop.inbox_lock);
  if (loop.inbox_last == nullptr) {
    loop.inbox_first = handle;
  } else {
    loop.inbox_last->inbox_next = handle;
  }
  loop.inbox_last = handle;
  PyMutex_Unlock(&loop.inbox_lock);
}
#endif

/// Puts a reference to `handle` into the queue. From the runner, or under the interpreter lock from
/// anybody. Returns false with MemoryError set.
bool enqueue(LoopObject& loop, HandleObject* handle) noexcept {
#if BLITZIO_FREE_THREADED
  if (!is_runner(loop)) {
    Py_INCREF(handle);
    push_inbox(loop, handle);
    return true;
  }
#endif
  if (BLITZIO_UNLIKELY(!loop.ready.push(handle))) {
    PyErr_NoMemory();
    return false;
  }
  Py_INCREF(handle);
  return true;
}

PyObject* missing_argument(const char* method, const char* what) noexcept {
  return PyErr_Format(PyExc_TypeError, "%s() missing required argument: %s", method, what);
}

/// call_soon and call_soon_threadsafe, which differ in checks and in the wake-up.
PyObject* soon(LoopObject& loop, const char* method, bool check_thread, PyObject* const* args,
               Py_ssize_t nargs, PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  if (BLITZIO_UNLIKELY(!bind_call(loop, arguments, method, kSoonParameters))) return nullptr;
  PyObject* callback = arguments[0];
  if (!check_call(loop, method, callback, check_thread)) return nullptr;
  const std::span<PyObject* const> rest = arguments.from(1);
  HandleObject* handle = handle_new(loop, callback, rest.data(),
                                    static_cast<Py_ssize_t>(rest.size()), arguments.extra());
  if (BLITZIO_UNLIKELY(handle == nullptr)) return nullptr;
  if (!enqueue(loop, handle)) {
    Py_DECREF(handle);
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(handle);
}

/// The first instant at which time() is `when`, or past it.
Instant instant_of(double when) noexcept {
  return Instant::from_nanos(Duration::from_secs_f64(when).as_nanos());
}

/// Hands a reference to the wheel. From the runner, or from the one user of an idle loop.
/// Returns false with MemoryError set: when it fires there is nobody to raise to, so that the room
/// it will need is had now.
bool arm(LoopObject& loop, TimerHandleObject& timer, Instant deadline) noexcept {
  time::TimerWheel& wheel = loop.executor->wheel();
  if (BLITZIO_UNLIKELY(!loop.due.reserve(loop.due.size() + wheel.size() + 1))) {
    PyErr_NoMemory();
    return false;
  }
  wheel.insert(timer.timer, deadline);
  return true;
}

/// `deadline`: `when`, to a nanosecond.
PyObject* at(LoopObject& loop, double when, Instant deadline, const Arguments& arguments) noexcept {
  PyObject* callback = arguments[1];
  // asyncio checks in call_at(), which call_later() goes through, and so words it.
  if (!check_call(loop, "call_at", callback)) return nullptr;
  if (BLITZIO_UNLIKELY(loop.executor != nullptr && !loop.executor->has_timer_room())) {
    return PyErr_Format(PyExc_RuntimeError,
                        "the loop has as many timers as its Config.timers_max allows");
  }
  const std::span<PyObject* const> rest = arguments.from(2);
  TimerHandleObject* timer = timer_handle_new(
      loop, when, callback, rest.data(), static_cast<Py_ssize_t>(rest.size()), arguments.extra());
  if (BLITZIO_UNLIKELY(timer == nullptr)) return nullptr;
  if (BLITZIO_UNLIKELY(loop.closed)) {
    // By what ran meanwhile: debug mode's checks, a collection.
    Py_DECREF(reinterpret_cast<PyObject*>(timer));
    static_cast<void>(loop_check_closed(loop));
    return nullptr;
  }
  Py_INCREF(timer);
#if BLITZIO_FREE_THREADED
  // Relaxed: as in is_runner().
  if (loop.thread.load(std::memory_order_relaxed) != 0 && !is_runner(loop)) {
    // As with asyncio, another thread gets away with it outside of debug mode, and does not wake
    // the loop.
    push_inbox(loop, &timer->handle);
    return reinterpret_cast<PyObject*>(timer);
  }
#endif
  if (BLITZIO_UNLIKELY(!arm(loop, *timer, deadline))) {
    Py_DECREF(reinterpret_cast<PyObject*>(timer));
    Py_DECREF(reinterpret_cast<PyObject*>(timer));
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(timer);
}

double as_loop_time(Instant at) noexcept {
  return static_cast<double>(at.as_nanos()) / 1e9;
}

/// A number of seconds, or -1 with an error set.
double parse_seconds(PyObject* value, const char* none_message) noexcept {
  if (value == Py_None) {
    PyErr_SetString(PyExc_TypeError, none_message);
    return -1;
  }
  // PyFloat_AsDouble() makes a float of an int first.
  return PyLong_CheckExact(value) ? PyLong_AsDouble(value) : PyFloat_AsDouble(value);
}

}  // namespace

#if BLITZIO_FREE_THREADED
void loop_take_inbox(LoopObject& loop) noexcept {
  PyMutex_Lock(&loop.inbox_lock);
  HandleObject* handle = loop.inbox_first;
  loop.inbox_first = loop.inbox_last = nullptr;
  PyMutex_Unlock(&loop.inbox_lock);
  while (handle != nullptr) {
    HandleObject* next = std::exchange(handle->inbox_next, nullptr);
    TimerHandleObject* timer = handle_as_timer(*handle);
    // One that was cancelled on its way finds out when it is due.
    const bool is_taken =
        timer != nullptr ? arm(loop, *timer, instant_of(timer->when)) : loop.ready.push(handle);
    if (BLITZIO_UNLIKELY(!is_taken)) {
      PyErr_NoMemory();
      loop_set_fatal(loop, PyRef::steal(PyErr_GetRaisedException()));
      Py_DECREF(handle);
    }
    handle = next;
  }
}
#endif

bool loop_check_callback(const LoopObject& loop, const char* method, PyObject* callback) noexcept {
  return debug_check(loop, method, callback, false);
}

int loop_call_soon(LoopObject& loop, PyObject* callback, PyObject* const* args,
                   Py_ssize_t arg_count, PyObject* context) noexcept {
  HandleObject* handle = handle_new(loop, callback, args, arg_count, context);
  if (handle == nullptr) return -1;
  const bool queued = enqueue(loop, handle);
  Py_DECREF(handle);
  return queued ? 0 : -1;
}

int loop_call_before_look(LoopObject& loop, PyObject* callback, PyObject* context) noexcept {
  HandleObject* handle = handle_new(loop, callback, nullptr, 0, context);
  if (handle == nullptr) return -1;
  if (loop.beginning.push(handle)) return 0;
  Py_DECREF(handle);
  PyErr_NoMemory();
  return -1;
}

PyRef loop_call_type(LoopObject& loop, PyObject* type, PyObject* args) noexcept {
  PyRef keywords = PyRef::borrow(loop.keywords);
  if (BLITZIO_UNLIKELY(!keywords)) {
    keywords = PyRef::steal(PyDict_New());
    if (!keywords || PyDict_SetItem(keywords.get(), loop.state->names.loop,
                                    reinterpret_cast<PyObject*>(&loop)) != 0) {
      return {};
    }
    // Without the lock other threads might read it meanwhile.
    if (!kFreeThreaded && loop.in_run) loop.keywords = Py_NewRef(keywords.get());
  }
  return PyRef::steal(PyObject_Call(type, args, keywords.get()));
}

PyRef loop_create_future(LoopObject& loop) noexcept {
  const PyRef none = PyRef::steal(PyTuple_New(0));
  return none ? loop_call_type(loop, loop.state->asyncio_future, none.get()) : PyRef();
}

PyObject* method_call_soon(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept {
  return soon(as_loop(self), "call_soon", true, args, nargs, kwnames);
}

PyObject* method_call_soon_threadsafe(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                      PyObject* kwnames) noexcept {
  LoopObject& loop = as_loop(self);
  PyObject* handle = soon(loop, "call_soon_threadsafe", false, args, nargs, kwnames);
  // The closed check is inside soon(); the lock on free-threaded builds keeps close() away.
  if (handle != nullptr) {
    const ObjectLock lock(self);
    if (loop.executor != nullptr) loop_driver(loop).wake();
  }
  return handle;
}

PyObject* method_call_later(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  if (!bind_call(as_loop(self), arguments, "call_later", kLaterParameters)) return nullptr;
  const double delay = parse_seconds(arguments[0], "delay must not be None");
  if (delay == -1 && PyErr_Occurred() != nullptr) return nullptr;
  const Instant now = DeadlineClock::now();
  // The deadline is not reckoned from `when`: of all that a timer takes, the conversions there and
  // back, each of which waits for the one before, were a sixth.
  // One that is given this one's when(), which may be rounded down, is rounded up, and comes
  // behind.
  const Instant deadline = now + Duration::from_secs_f64(delay) - Duration::from_nanos(1);
  return at(as_loop(self), as_loop_time(now) + delay, deadline, arguments);
}

PyObject* method_call_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                         PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  if (!bind_call(as_loop(self), arguments, "call_at", kAtParameters)) return nullptr;
  const double when = parse_seconds(arguments[0], "when cannot be None");
  if (when == -1 && PyErr_Occurred() != nullptr) return nullptr;
  return at(as_loop(self), when, instant_of(when), arguments);
}

PyObject* method_time(PyObject* /*self*/, PyObject* /*unused*/) noexcept {
  return PyFloat_FromDouble(as_loop_time(Instant::now()));
}

PyObject* method_create_future(PyObject* self, PyObject* /*unused*/) noexcept {
  return loop_create_future(as_loop(self)).release();
}

namespace {

/// Calls asyncio.Task(coro, *, loop=self, **keywords), leaving out keywords that are None: they are
/// the defaults, and asyncio.create_task() always passes `name`.
PyObject* make_task(LoopObject& loop, PyObject* coro, PyObject* const* values,
                    PyObject* kwnames) noexcept {
  ModuleState& state = *loop.state;
  PyObject* self = reinterpret_cast<PyObject*>(&loop);
  const Py_ssize_t given = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  constexpr Py_ssize_t kKeywordsMax = 6;
  if (given > kKeywordsMax) {
    return PyErr_Format(PyExc_TypeError, "create_task() got too many keyword arguments");
  }
  std::array<PyObject*, kKeywordsMax + 3> call{nullptr, coro, self};
  std::array<PyObject*, kKeywordsMax> names{};
  Py_ssize_t kept = 0;
  for (Py_ssize_t i = 0; i < given; ++i) {
    if (values[i] == Py_None) continue;
    names[kept] = PyTuple_GET_ITEM(kwnames, i);
    call[3 + kept++] = values[i];
  }
  if (kept == 0) {
    const PyRef args = PyRef::steal(PyTuple_Pack(1, coro));
    return args ? loop_call_type(loop, state.asyncio_task, args.get()).release() : nullptr;
  }
  PyRef built;
  PyObject* keywords = state.task_kwnames;  // ("loop", "name")
  if (kept != 1 || names[0] != state.names.name) {
    built = PyRef::steal(PyTuple_New(kept + 1));
    if (!built) return nullptr;
    PyTuple_SET_ITEM(built.get(), 0, Py_NewRef(state.names.loop));
    for (Py_ssize_t i = 0; i < kept; ++i) PyTuple_SET_ITEM(built.get(), i + 1, Py_NewRef(names[i]));
    keywords = built.get();
  }
  return PyObject_Vectorcall(state.asyncio_task, call.data() + 1,
                             1 | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);
}

/// The rare way, in Python: factories differ between CPython's versions.
PyObject* make_task_with_factory(LoopObject& loop, PyObject* coro, PyObject* const* values,
                                 PyObject* kwnames) noexcept {
  const Py_ssize_t given = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  const PyRef factory = PyRef::borrow(loop.task_factory);
  try {
    std::vector<PyObject*> call{reinterpret_cast<PyObject*>(&loop), factory.get(), coro};
    call.insert(call.end(), values, values + given);
    return PyObject_VectorcallMethod(loop.state->names._create_task_with_factory, call.data(), 3,
                                     kwnames);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

/// kwnames and their values without `coro`, which is taken out.
struct Keywords {
  PyObject* coro = nullptr;
  PyRef names;
  std::vector<PyObject*> values;
};

/// Returns false with MemoryError set.
bool take_coro_out(PyObject* const* values, PyObject* kwnames, Keywords& taken) noexcept {
  try {
    std::vector<PyObject*> names;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); ++i) {
      PyObject* name = PyTuple_GET_ITEM(kwnames, i);
      if (PyUnicode_CompareWithASCIIString(name, "coro") == 0) {
        taken.coro = values[i];
      } else {
        names.push_back(name);
        taken.values.push_back(values[i]);
      }
    }
    taken.names = PyRef::steal(PyTuple_New(static_cast<Py_ssize_t>(names.size())));
    if (!taken.names) return false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      PyTuple_SET_ITEM(taken.names.get(), static_cast<Py_ssize_t>(i), Py_NewRef(names[i]));
    }
    return true;
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return false;
  }
}

}  // namespace

PyObject* method_create_task(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept {
  LoopObject& loop = as_loop(self);
  if (nargs > 1) {
    return PyErr_Format(PyExc_TypeError,
                        "create_task() takes 1 positional argument but %zd were given", nargs);
  }
  PyObject* coro = nargs == 1 ? args[0] : nullptr;
  PyObject* const* values = args + nargs;
  Keywords rest;
  if (coro == nullptr && kwnames != nullptr) {
    if (!take_coro_out(values, kwnames, rest)) return nullptr;
    coro = rest.coro;
    values = rest.values.data();
    kwnames = rest.names.get();
  }
  if (coro == nullptr) return missing_argument("create_task", "'coro'");
  if (loop.closed && loop_check_closed(loop) != 0) return nullptr;
  return loop.task_factory == nullptr ? make_task(loop, coro, values, kwnames)
                                      : make_task_with_factory(loop, coro, values, kwnames);
}

}  // namespace blitzio::python

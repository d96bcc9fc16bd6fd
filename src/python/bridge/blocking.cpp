#include <blitzio/executor/thread_poll.hpp>
#include <blitzio/task/thread_parker.hpp>
#include <python/bridge/blocking.hpp>
#include <python/bridge/foreign_loop.hpp>
#include <python/support/arguments.hpp>
#include <python/support/duration.hpp>
#include <python/support/signal_look.hpp>
#include <python/support/thread_state.hpp>

#include <cmath>
#include <utility>

namespace blitzio::python {

namespace {

/// A number of seconds; also of a Duration or a timedelta. -1 with an error set.
double seconds_of(PyObject* timeout) noexcept {
  const bool is_number =
      PyFloat_Check(timeout) || (PyLong_Check(timeout) && !PyBool_Check(timeout));
  if (is_number) return PyFloat_AsDouble(timeout);
  Duration duration;
  return to_duration(timeout, &duration) ? duration.as_secs_f64() : -1;
}

}  // namespace

bool parse_timeout(PyObject* timeout, TimeLimit* limit) noexcept {
  *limit = {};
  if (timeout == nullptr || timeout == Py_None) return true;
  const double seconds = seconds_of(timeout);
  if (seconds == -1 && PyErr_Occurred() != nullptr) return false;
  if (std::isnan(seconds) || seconds < 0) {
    PyErr_Format(PyExc_ValueError, "timeout must be None or seconds from 0 on, got %R", timeout);
    return false;
  }
  const Duration wait = Duration::from_secs_f64(seconds);
  limit->seconds = seconds;
  if (wait != Duration::max()) limit->deadline = Instant::now() + wait;
  return true;
}

bool parse_timeout(const char* method, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                   TimeLimit* limit) noexcept {
  static constexpr std::array kParameters{"timeout"};
  Arguments arguments(args, nargs, kwnames);
  return arguments.bind_all(method, kParameters, 0) && parse_timeout(arguments[0], limit);
}

PyObject* BlockingName::raise_may_not_block() const noexcept {
  return PyErr_Format(PyExc_RuntimeError,
                      "%s%s%s() would block the event loop of this thread; await the form "
                      "without blocking_, or use `async with`",
                      owner_ == nullptr ? "" : owner_, owner_ == nullptr ? "" : ".", call_);
}

PyObject* BlockingName::raise_timeout(double seconds) const noexcept {
  char* const digits = PyOS_double_to_string(seconds, 'g', 15, 0, nullptr);
  if (digits == nullptr) return nullptr;
  if (work_ != nullptr) {
    PyErr_Format(PyExc_TimeoutError, "%R did not end within %s seconds", work_, digits);
  } else {
    PyErr_Format(PyExc_TimeoutError, "%s%s%s() did not end within %s seconds",
                 owner_ == nullptr ? "" : owner_, owner_ == nullptr ? "" : ".", call_, digits);
  }
  PyMem_Free(digits);
  return nullptr;
}

bool may_block(ModuleState& state, BlockingName name) noexcept {
  const int in_loop = has_running_loop(state);
  if (in_loop > 0) name.raise_may_not_block();
  return in_loop == 0;
}

PyObject* detail::wait_blocking(ModuleState& state, BlockingName name, const AwaitableKind& kind,
                                void* future, const TimeLimit& limit,
                                PyRef* interruption) noexcept {
  if (!may_block(state, name)) return nullptr;
  ThreadParker& parker = ThreadParker::current();
  ThreadPoll descriptors;
  const Waker waker = parker.waker();
  Context context(waker);
  PyObject* result = nullptr;
  while (true) {
    // Before the poll: one that comes at the deadline still finds what was granted.
    const bool is_late = limit.deadline != Instant::max() && Instant::now() >= limit.deadline;
    {
      const ThreadPoll::Scope scope(descriptors);
      if (kind.poll(future, context, &result)) return result;
    }
    if (is_late) return name.raise_timeout(limit.seconds);
    Result<void> parked;
    {
      const Detached detached;
      parked = descriptors.park_until(parker, until_next_look(limit.deadline));
    }
    if (!parked) return raise_error(parked.error(), name.call());
    if (PyErr_CheckSignals() == 0) continue;
    if (interruption == nullptr) return nullptr;
    PyRef raised = take_exception();
    if (*interruption && interruption->get() != raised.get() &&
        !PyRef::steal(PyException_GetContext(raised.get()))) {
      PyException_SetContext(raised.get(), interruption->release());
    }
    *interruption = std::move(raised);
  }
}

namespace {

/// What an awaitable stands for, as a future.
class AwaitablePoll {
 public:
  using Output = PyObject*;
  explicit AwaitablePoll(PyRef awaitable) noexcept : awaitable_(std::move(awaitable)) {}
  AwaitablePoll(AwaitablePoll&&) noexcept = default;
  AwaitablePoll(const AwaitablePoll&) = delete;
  AwaitablePoll& operator=(const AwaitablePoll&) = delete;
  AwaitablePoll& operator=(AwaitablePoll&&) = delete;
  ~AwaitablePoll() {
    if (awaitable_) awaitable_close(awaitable_.get(), is_taken_);
  }
  Poll<PyObject*> poll(Context& context) noexcept {
    PyObject* result = nullptr;
    if (!is_taken_ && !(is_taken_ = awaitable_take(awaitable_.get()))) return nullptr;
    if (!awaitable_poll(awaitable_.get(), context, &result)) return pending;
    return result;
  }

 private:
  PyRef awaitable_;
  bool is_taken_ = false;
};

}  // namespace

PyObject* wait_blocking(ModuleState& state, BlockingName name, PyRef awaitable,
                        const TimeLimit& limit) noexcept {
  return wait_blocking(state, name, AwaitablePoll(std::move(awaitable)), limit,
                       [](PyObject* result) noexcept { return result; });
}

namespace {

PyObject* py_wait_blocking(PyObject* module, PyObject* args) noexcept {
  ModuleState& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PyObject* awaitable = nullptr;
  const char* name = nullptr;
  PyObject* timeout = nullptr;
  PyObject* whole = nullptr;
  TimeLimit limit;
  if (PyArg_ParseTuple(args, "O!sO|O:_wait_blocking", state.awaitable_type, &awaitable, &name,
                       &timeout, &whole) == 0) {
    return nullptr;
  }
  PyRef held = PyRef::borrow(awaitable);
  TimeLimit told;
  if (!parse_timeout(timeout, &limit) || (whole != nullptr && !parse_timeout(whole, &told))) {
    // What nobody has awaited is dropped without a warning.
    PyRef error = take_exception();
    awaitable_close(held.get(), false);
    restore_exception(std::move(error));
    return nullptr;
  }
  if (whole != nullptr) limit.seconds = told.seconds;
  return wait_blocking(state, name, std::move(held), limit);
}

PyMethodDef functions[] = {
    {"_wait_blocking", py_wait_blocking, METH_VARARGS,
     PyDoc_STR("_wait_blocking(awaitable, name, timeout, whole=None, /)\n--\n\n"
               "Wait in a thread for what a primitive has returned, for a call named `name`.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int blocking_register(PyObject* module, ModuleState& /*state*/) noexcept {
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python

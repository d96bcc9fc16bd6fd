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
  if (PyFloat_Check(timeout) || PyLong_Check(timeout)) return PyFloat_AsDouble(timeout);
  Duration duration;
  return to_duration(timeout, &duration) ? duration.as_secs_f64() : -1;
}

}  // namespace

bool parse_timeout(PyObject* timeout, Instant* deadline) noexcept {
  *deadline = Instant::max();
  if (timeout == nullptr || timeout == Py_None) return true;
  const double seconds = seconds_of(timeout);
  if (seconds == -1 && PyErr_Occurred() != nullptr) return false;
  if (std::isnan(seconds) || seconds < 0) {
    PyErr_Format(PyExc_ValueError, "timeout must be None or seconds from 0 on, got %R", timeout);
    return false;
  }
  const Duration wait = Duration::from_secs_f64(seconds);
  if (wait != Duration::max()) *deadline = Instant::now() + wait;
  return true;
}

bool parse_timeout(const char* method, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                   Instant* deadline) noexcept {
  static constexpr std::array kParameters{"timeout"};
  Arguments arguments(args, nargs, kwnames);
  return arguments.bind_all(method, kParameters, 0) && parse_timeout(arguments[0], deadline);
}

bool may_block(ModuleState& state, const char* name) noexcept {
  const int in_loop = has_running_loop(state);
  if (in_loop > 0) {
    PyErr_Format(PyExc_RuntimeError,
                 "%s() would block the event loop that runs in this thread; await the form "
                 "without blocking_",
                 name);
  }
  return in_loop == 0;
}

PyObject* detail::wait_blocking(ModuleState& state, const char* name, const AwaitableKind& kind,
                                void* future, Instant deadline) noexcept {
  if (!may_block(state, name)) return nullptr;
  ThreadParker& parker = ThreadParker::current();
  ThreadPoll descriptors;
  const Waker waker = parker.waker();
  Context context(waker);
  PyObject* result = nullptr;
  while (true) {
    // Before the poll: one that comes at the deadline still finds what was granted.
    const bool is_late = deadline != Instant::max() && Instant::now() >= deadline;
    {
      const ThreadPoll::Scope scope(descriptors);
      if (kind.poll(future, context, &result)) return result;
    }
    if (is_late) {
      return PyErr_Format(PyExc_TimeoutError, "%s() timed out", name);
    }
    Result<void> parked;
    {
      const Detached detached;
      parked = descriptors.park_until(parker, until_next_look(deadline));
    }
    if (!parked) return raise_error(parked.error(), name);
    if (PyErr_CheckSignals() != 0) return nullptr;
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

PyObject* wait_blocking(ModuleState& state, const char* name, PyRef awaitable,
                        Instant deadline) noexcept {
  return wait_blocking(state, name, AwaitablePoll(std::move(awaitable)), deadline,
                       [](PyObject* result) noexcept { return result; });
}

}  // namespace blitzio::python

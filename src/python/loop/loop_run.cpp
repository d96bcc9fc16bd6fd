#include <python/loop/fd_watch.hpp>
#include <python/loop/job.hpp>
#include <python/loop/loop_call.hpp>
#include <python/loop/loop_gate.hpp>
#include <python/loop/loop_run.hpp>
#include <python/loop/loop_use.hpp>
#include <python/loop/stream_transport.hpp>
#include <python/support/error.hpp>

#include <ctime>

namespace blitzio::python {

namespace {

LoopObject& as_loop(PyObject* self) noexcept {
  return *reinterpret_cast<LoopObject*>(self);
}

/// Gives whoever asked for it a last chance to find work. What it queues keeps the loop awake.
BLITZIO_COLD void call_before_wait(LoopObject& loop) noexcept {
  const PyRef hook = PyRef::borrow(loop.before_wait);
  const PyRef done = PyRef::steal(PyObject_CallNoArgs(hook.get()));
  if (!done) loop_report_exception(loop, "Exception in the function called before waiting");
  // The wait that is about to begin ends at once.
  if (!loop.ready.is_empty()) loop_driver(loop).wake();
}

/// Whatever ended the wait, this loop's thread runs now: nobody is to wake it in place of another.
void clear_waiting_bit(LoopObject& loop) noexcept {
  // Relaxed: this thread has set it; only others may have cleared it.
  if (loop.waiting == nullptr ||
      (loop.waiting->load(std::memory_order_relaxed) & loop.waiting_bit) == 0) {
    return;
  }
  loop.waiting->fetch_and(~loop.waiting_bit, std::memory_order_seq_cst);
}

/// Gives the interpreter lock up around a wait that may block.
struct LockRelease {
  LoopObject& loop;
  PyThreadState* thread_state = nullptr;
  bool waited = false;

  static void before_wait(void* self) noexcept {
    auto* release = static_cast<LockRelease*>(self);
    if (release->loop.before_wait != nullptr) {
      call_before_wait(release->loop);
      stream_settle_pauses(release->loop, false);
    }
    release->thread_state = PyEval_SaveThread();
    release->loop.gate->set_waiting(true);
  }
  static void after_wait(void* self) noexcept {
    auto* release = static_cast<LockRelease*>(self);
    release->loop.gate->set_waiting(false);
    // Before the interpreter is had back, which may take long.
    clear_waiting_bit(release->loop);
    PyEval_RestoreThread(release->thread_state);
    release->waited = true;
  }
};

/// What asyncio's debug mode calls `handle`, which ran `callback`: the task whose step it was, or
/// the handle itself. Null with an error set.
PyRef describe_call(LoopObject& loop, HandleObject& handle, PyObject* callback) noexcept {
  const PyRef owner = PyRef::steal(PyObject_GetAttr(callback, loop.state->names.__self__));
  // A plain function, as a rule; nobody's method in any case.
  if (!owner && !drop_exception()) return {};
  const int is_step = owner ? PyObject_IsInstance(owner.get(), loop.state->asyncio_task) : 0;
  if (is_step < 0) return {};
  return PyRef::steal(is_step != 0 ? PyObject_Repr(owner.get())
                                   : PyObject_Str(reinterpret_cast<PyObject*>(&handle)));
}

/// "Executing <Handle …> took 0.123 seconds", as asyncio's debug mode says it.
BLITZIO_COLD int run_timed(LoopObject& loop, HandleObject& handle) noexcept {
  // A handle that has run no longer knows what.
  const PyRef callback = PyRef::borrow(handle.callback == nullptr ? Py_None : handle.callback);
  const Instant start = Instant::now();
  loop.current = &handle;  // An error report tells where it was made.
  const int outcome = handle_run(handle);
  loop.current = nullptr;
  const double seconds = (Instant::now() - start).as_secs_f64();
  if (outcome != 0 || seconds < loop.slow_callback_duration) return outcome;
  const PyRef text = describe_call(loop, handle, callback.get());
  const PyRef logged =
      text
          ? PyRef::steal(PyObject_CallMethod(loop.state->logger, "warning", "sOd",
                                             "Executing %s took %.3f seconds", text.get(), seconds))
          : PyRef();
  if (logged) return 0;
  if (PyErr_ExceptionMatches(PyExc_Exception) == 0) return -1;
  PyErr_WriteUnraisable(reinterpret_cast<PyObject*>(&loop));
  return 0;
}

constexpr std::size_t kFetchAhead = 6;  // callbacks that take as long as memory does

/// Asks for the memory of a handle that runs soon: a timer's has slept, many do not fit the cache.
void fetch(const HandleObject& handle) noexcept {
  constexpr std::ptrdiff_t kCacheLine = 64;
  constexpr std::ptrdiff_t kCollectorsHead = 16;
  const char* start = reinterpret_cast<const char*>(&handle) - kCollectorsHead;
  BLITZIO_PREFETCH(start);
  BLITZIO_PREFETCH(start + kCacheLine);
  BLITZIO_PREFETCH(start + 2 * kCacheLine);
}

/// Runs the handles that are in `queue` now. Returns -1 with a fatal exception set; the rest stays
/// queued.
int run_batch(LoopObject& loop, ReadyQueue& queue) noexcept {
  queue.begin_batch();
  while (const std::size_t left = queue.batch_size()) {
    if (left > kFetchAhead) fetch(*queue.at(kFetchAhead));
    HandleObject* handle = queue.pop();
    const int outcome =
        BLITZIO_UNLIKELY(loop.debug) ? run_timed(loop, *handle) : handle_run(*handle);
    Py_DECREF(reinterpret_cast<PyObject*>(handle));
    if (BLITZIO_UNLIKELY(outcome != 0)) return -1;
    // Something below a callback that could not raise by itself (a transport's event).
    if (BLITZIO_UNLIKELY(loop.fatal != nullptr)) break;
  }
  return 0;
}

bool has_queued(const LoopObject& loop) noexcept {
  return !loop.ready.is_empty() || !loop.arrived.is_empty() || !loop.due.is_empty();
}

/// What there is to run in this turn, in order, up to a fatal exception; see the top of loop.hpp.
/// Returns  0, perhaps with loop.fatal, or -1 with the exception set.
int run_turn(LoopObject& loop) noexcept {
  if (loop.fatal == nullptr && run_batch(loop, loop.ready) != 0) return -1;
  if (loop.fatal == nullptr) loop.executor->dispatch();
  for (ReadyQueue* queue : {&loop.arrived, &loop.due}) {
    if (queue->is_empty()) continue;  // As in most turns.
    if (loop.fatal == nullptr && run_batch(loop, *queue) != 0) return -1;
  }
  if (loop.fatal == nullptr) loop.executor->run_tasks();
  return 0;
}

/// Lets go of what is kept for one turn.
void end_turn(LoopObject& loop) noexcept {
  handle_settle_doubt(loop);
  Py_CLEAR(loop.turn_context);
  loop.turn_bytes = 0;
  ++loop.turn_number;
}

/// Returns 0, or -1 with the exception set that ends the run.
int run_once(LoopObject& loop) noexcept {
  loop_flush(loop);
  fd_watch_rearm(loop);
  if (BLITZIO_UNLIKELY(!loop.beginning.is_empty()) && run_batch(loop, loop.beginning) != 0) {
    return -1;
  }
#if BLITZIO_FREE_THREADED
  loop_take_inbox(loop);
#endif
  LockRelease release{loop};
  const bool busy = has_queued(loop) || loop.stopping || loop.fatal != nullptr;
  if (BLITZIO_UNLIKELY(!loop.pausing.is_empty())) stream_settle_pauses(loop, busy);
  LocalExecutor& executor = *loop.executor;
  executor.gather(busy ? Duration::zero() : Duration::max(),
                  {LockRelease::before_wait, LockRelease::after_wait, &release});
  // A signal may have ended the wait; its Python handler runs here, not at the next event.
  if (loop.lock_sharing.after_turn(release.waited) && PyErr_CheckSignals() != 0) return -1;
  executor.fire_timers();
  const int outcome = run_turn(loop);
  end_turn(loop);
  if (outcome != 0) return -1;
  if (BLITZIO_UNLIKELY(loop.fatal != nullptr)) {
    restore_exception(PyRef::steal(std::exchange(loop.fatal, nullptr)));
    return -1;
  }
  return 0;
}

}  // namespace

void loop_flush(LoopObject& loop) noexcept {
  while (Flushable* flushable = loop.flush_list.pop_front()) flushable->flush();
}

namespace {

#if BLITZIO_FREE_THREADED

/// Whether another thread is in the middle of a call, whose lock it gave up as it had to wait.
bool has_other_users(LoopObject& loop) noexcept {
  bool has = false;
  loop.users.for_each([&](LoopUser& user) { has = has || user.thread != current_thread(); });
  return has;
}

/// With the loop's lock held, which waiting gives up: returns when the caller alone uses the idle
/// loop, or when somebody runs it; -1 with what a signal's handler raised.
int wait_for_other_users(LoopObject& loop) noexcept {
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 50'000};
  // Relaxed: written with the lock held, but for a run's end, which the next look finds.
  while (loop.thread.load(std::memory_order_relaxed) == 0 && has_other_users(loop)) {
    PyThreadState* thread_state = PyEval_SaveThread();
    ::nanosleep(&kPause, nullptr);
    PyEval_RestoreThread(thread_state);
    if (PyErr_CheckSignals() != 0) return -1;
  }
  return 0;
}

#else

int wait_for_other_users(LoopObject& /*loop*/) noexcept {
  return 0;
}

#endif

}  // namespace

PyObject* method_run(PyObject* self, PyObject* /*unused*/) noexcept {
  LoopObject& loop = as_loop(self);
  {
    const LoopUse use(&loop);  // Whoever uses the idle loop comes to the end of that first.
    if (wait_for_other_users(loop) != 0 || loop_check_closed(loop) != 0) return nullptr;
    unsigned long nobody = 0;
    // Relaxed: the number orders nothing; the interpreter hands the loop from thread to thread.
    if (!loop.thread.compare_exchange_strong(nobody, current_thread(), std::memory_order_relaxed)) {
      PyErr_SetString(PyExc_RuntimeError, "This event loop is already running");
      return nullptr;
    }
  }
  const PyRef keep = PyRef::borrow(self);
  int outcome = 0;
  loop.in_run = true;
  loop.gate->set_running(true);
  const Result<void> bound = loop.executor->bind();
  if (!bound) {
    raise_error(bound.error(), "run_forever");
    outcome = -1;
  } else {
    do {
      outcome = run_once(loop);
    } while (outcome == 0 && !loop.stopping);
    loop.stopping = false;
    // What the last callbacks wrote must not wait for a run that may never come.
    PyRef exception = take_exception();
    loop_flush(loop);
    loop.executor->unbind();
    if (exception) restore_exception(std::move(exception));
  }
  loop.gate->set_running(false);
  loop.in_run = false;
  Py_CLEAR(loop.keywords);
  Py_CLEAR(loop.bound_soon);
  end_turn(loop);
  // Relaxed: as above.
  loop.thread.store(loop.forked ? kParentsThread : 0, std::memory_order_relaxed);
  if (outcome != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_flush(PyObject* self, PyObject* /*unused*/) noexcept {
  LoopObject& loop = as_loop(self);
  if (loop_check_closed(loop) != 0 || loop_check_owner(loop) != 0) return nullptr;
  loop_flush(loop);
  Py_RETURN_NONE;
}

PyObject* method_set_before_wait(PyObject* self, PyObject* hook) noexcept {
  LoopObject& loop = as_loop(self);
  if (hook != Py_None && PyCallable_Check(hook) == 0) {
    return PyErr_Format(PyExc_TypeError, "a callable or None was expected, not %R", hook);
  }
  PyObject* old = std::exchange(loop.before_wait, hook == Py_None ? nullptr : Py_NewRef(hook));
  Py_XDECREF(old);
  Py_RETURN_NONE;
}

namespace {

void drop_queued(HandleObject* handle) noexcept {
  handle_drop_call(*handle);
  Py_DECREF(reinterpret_cast<PyObject*>(handle));
}

}  // namespace

void loop_drop_queued(LoopObject& loop) noexcept {
  for (ReadyQueue* queue : {&loop.beginning, &loop.ready, &loop.arrived, &loop.due}) {
    // One by one: the arguments of each may be the handle before it, and a long chain of handles
    // must not be freed by recursion.
    while (!queue->is_empty()) drop_queued(queue->pop());
  }
#if BLITZIO_FREE_THREADED
  PyMutex_Lock(&loop.inbox_lock);
  HandleObject* handle = std::exchange(loop.inbox_first, nullptr);
  loop.inbox_last = nullptr;
  PyMutex_Unlock(&loop.inbox_lock);
  while (handle != nullptr) {
    HandleObject* next = std::exchange(handle->inbox_next, nullptr);
    drop_queued(handle);
    handle = next;
  }
#endif
}

void loop_shut_down(LoopObject& loop) noexcept {
  loop.closed = true;
  // Begun already: this very function, further up, ran a finaliser that led here.
  if (loop.executor == nullptr || loop.stranded || std::exchange(loop.shut_down, true)) return;
  PyRef exception = take_exception();
#if BLITZIO_FREE_THREADED
  loop_take_inbox(loop);
#endif
  // Firing puts the wheel's references where the next loop drops them; nothing is run.
  loop.executor->wheel().advance(Instant::max());
  fd_watch_clear_all(loop);
  loop.gate->close();
  loop.executor->shutdown();
  loop_drop_queued(loop);
  while (loop.flush_list.pop_front() != nullptr) {
  }
  LocalExecutor* executor = nullptr;
  {
    // Whoever wakes the loop, from any thread, holds the lock while it uses the driver.
    const ObjectLock lock(reinterpret_cast<PyObject*>(&loop));
    std::swap(executor, loop.executor);
  }
  delete executor;
  loop.datagram_scratch.reset();
  loop.spare_bytes.clear();
  if (exception) restore_exception(std::move(exception));
}

PyObject* method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  LoopObject& loop = as_loop(self);
  // Relaxed: see method_run().
  const bool has_thread = loop.thread.load(std::memory_order_relaxed) != 0;
  if (loop.forked ? loop.in_run : has_thread) {
    PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
    return nullptr;
  }
  loop_shut_down(loop);
  Py_RETURN_NONE;
}

}  // namespace blitzio::python

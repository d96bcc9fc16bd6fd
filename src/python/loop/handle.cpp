#include <blitzio/executor/local_executor.hpp>
#include <python/loop/callback_context.hpp>
#include <python/loop/handle_internal.hpp>
#include <python/support/error.hpp>

#include <algorithm>
#include <array>
#include <new>

namespace blitzio::python {

namespace {

/// Whether the calling thread may change what the loop's thread uses. Always, under the interpreter
/// lock; on free-threaded builds only the runner itself, or anybody while nobody runs the loop.
bool may_touch_loop(const LoopObject& loop) noexcept {
  if constexpr (!kFreeThreaded) return true;
  // Relaxed: a thread compares with its own number, which no other thread ever stores.
  const unsigned long runner = loop.thread.load(std::memory_order_relaxed);
  return runner == 0 || runner == current_thread();
}

Py_ssize_t stored_args(const HandleObject& handle) noexcept {
  return handle.arg_count > kInlineArgs ? 1 : handle.arg_count;
}

#if BLITZIO_FREE_THREADED
/// drop_call() of a handle that other threads may look at, with its lock held.
BLITZIO_COLD void drop_shared_call(HandleObject& handle) noexcept {
  PyRef callback;
  std::array<PyRef, kInlineArgs> args;
  const ObjectLock lock(as_object(handle));
  const Py_ssize_t count = stored_args(handle);
  handle.arg_count = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    args[static_cast<std::size_t>(i)] = PyRef::steal(std::exchange(handle.args[i], nullptr));
  }
  callback = PyRef::steal(std::exchange(handle.callback, nullptr));
}
#endif

void drop_call(HandleObject& handle) noexcept {
#if BLITZIO_FREE_THREADED
  // A weak reference may become another one at any time.
  if (Py_REFCNT(as_object(handle)) > 1 || handle.weakrefs != nullptr) {
    return drop_shared_call(handle);
  }
#endif
  const Py_ssize_t count = stored_args(handle);
  handle.arg_count = 0;
  for (Py_ssize_t i = 0; i < count; ++i) Py_CLEAR(handle.args[i]);
  Py_CLEAR(handle.callback);
}

/// The loop has no more use for the handle. What others hold may be part of a cycle: through its
/// context, which has the program's variables, or its loop, which has what the program gave it.
void track_if_held(HandleObject& handle) noexcept {
  if (Py_REFCNT(as_object(handle)) > 1) handle_track(handle);
}

int visit_contents(HandleObject& handle, visitproc visit, void* arg) noexcept {
  Py_VISIT(handle.loop);
  Py_VISIT(handle.callback);
  Py_VISIT(handle.context);
  Py_VISIT(handle.source_traceback);
  const Py_ssize_t count = stored_args(handle);
  for (Py_ssize_t i = 0; i < count; ++i) Py_VISIT(handle.args[i]);
  return 0;
}

}  // namespace

void handle_track(HandleObject& handle) noexcept {
  if (handle.tracked) return;
  handle.tracked = true;
  PyObject_GC_Track(as_object(handle));
}

PyRef held_callback(HandleObject& handle) noexcept {
  const ObjectLock lock(as_object(handle));
  return PyRef::borrow(handle.callback);
}

PyRef args_tuple(HandleObject& handle) noexcept {
  // Held first: making a tuple may collect garbage, whose finalisers may cancel the handle.
  std::array<PyRef, kInlineArgs> held;
  Py_ssize_t count = 0;
  {
    const ObjectLock lock(as_object(handle));
    if (handle.callback == nullptr) return PyRef::borrow(Py_None);
    if (handle.arg_count > kInlineArgs) return PyRef::borrow(handle.args[0]);
    count = handle.arg_count;
    for (Py_ssize_t i = 0; i < count; ++i) {
      held[static_cast<std::size_t>(i)] = PyRef::borrow(handle.args[i]);
    }
  }
  PyRef tuple = PyRef::steal(PyTuple_New(count));
  if (!tuple) return tuple;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(tuple.get(), i, held[static_cast<std::size_t>(i)].release());
  }
  return tuple;
}

PyRef callback_source(HandleObject& handle, PyObject* callback) noexcept {
  const PyRef args = args_tuple(handle);
  const PyRef call = args ? PyRef::steal(PyTuple_Pack(2, callback, args.get())) : PyRef();
  if (!call) return {};
  PyRef keywords;
#if PY_VERSION_HEX >= 0x030D0000
  // From 3.13 on arguments may be secrets, and debug mode alone shows them.
  keywords = PyRef::steal(Py_BuildValue("{sO}", "debug", handle.loop->debug ? Py_True : Py_False));
  if (!keywords) return {};
#endif
  return PyRef::steal(
      PyObject_Call(handle.loop->state->format_callback_source, call.get(), keywords.get()));
}

namespace {

/// callback_context_new(), which the loop keeps for the rest of its turn: what is scheduled and
/// cancelled at once, again and again, makes one. New reference; null with an error set.
PyObject* current_context(LoopObject& loop) noexcept {
  PyObject* context = callback_context_new(*loop.state);
  if (!kFreeThreaded && loop.in_run && context != loop.turn_context) {
    Py_XSETREF(loop.turn_context, Py_XNewRef(context));
  }
  return context;
}

/// Fills everything but a timer's own fields. Returns -1 on error.
int fill(HandleObject& handle, LoopObject& loop, PyObject* callback, PyObject* const* args,
         Py_ssize_t arg_count, PyObject* context) noexcept {
  handle.loop = reinterpret_cast<LoopObject*>(Py_NewRef(reinterpret_cast<PyObject*>(&loop)));
  handle.callback = Py_NewRef(callback);
  handle.context = context == nullptr ? current_context(loop) : Py_NewRef(context);
  handle.scratch = nullptr;
  handle.source_traceback = nullptr;
  handle.repr_info = nullptr;
  handle.weakrefs = nullptr;
#if BLITZIO_FREE_THREADED
  handle.inbox_next = nullptr;
#endif
  // Relaxed: nobody else knows the handle yet.
  handle.cancelled.store(false, std::memory_order_relaxed);
  handle.repeats = false;
  handle.run = HandleRun::none;
  handle.arg_count = 0;
  if (handle.context == nullptr) return -1;
  if (arg_count <= kInlineArgs) {
    for (Py_ssize_t i = 0; i < arg_count; ++i) handle.args[i] = Py_NewRef(args[i]);
  } else {
    PyObject* tuple = PyTuple_New(arg_count);
    if (tuple == nullptr) return -1;
    for (Py_ssize_t i = 0; i < arg_count; ++i) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    handle.args[0] = tuple;
  }
  handle.arg_count = static_cast<std::uint8_t>(std::min(arg_count, kInlineArgs + 1));
  if (BLITZIO_UNLIKELY(loop.debug)) {
    // Called from C, the newest Python frame is the caller's: the one to show.
    PyObject* frame = reinterpret_cast<PyObject*>(PyEval_GetFrame());
    handle.source_traceback =
        PyObject_CallOneArg(loop.state->extract_stack, frame == nullptr ? Py_None : frame);
    if (handle.source_traceback == nullptr) return -1;
  }
  return 0;
}

/// A dead object of exactly `type`, revived or new, with refcount 1, which the collector does not
/// know; its fields but `tracked` are undefined. One of another type is zeroed and tracked.
template <class Object, class List>
Object* revive(PyTypeObject* type, PyTypeObject* listed, List& list) noexcept {
  const bool is_ours = type == listed;
  PyObject* object = is_ours ? list.take() : type->tp_alloc(type, 0);
  if (is_ours && object != nullptr) {
    PyObject_Init(object, type);
  } else if (is_ours) {
    object = reinterpret_cast<PyObject*>(PyObject_GC_New(Object, type));
  }
  if (object != nullptr) as_handle(object).tracked = !is_ours;
  return reinterpret_cast<Object*>(object);
}

}  // namespace

HandleObject* make_handle(PyTypeObject* type, LoopObject& loop, PyObject* callback,
                          PyObject* const* args, Py_ssize_t arg_count, PyObject* context) noexcept {
  ModuleState& state = *loop.state;
  auto* handle = revive<HandleObject>(type, state.handle_type, state.handles);
  if (handle == nullptr) return nullptr;
  handle->is_timer = false;
  const int failed = fill(*handle, loop, callback, args, arg_count, context);
  if (failed != 0) {
    Py_DECREF(as_object(*handle));
    return nullptr;
  }
  return handle;
}

TimerHandleObject* make_timer(PyTypeObject* type, LoopObject& loop, double when, PyObject* callback,
                              PyObject* const* args, Py_ssize_t arg_count,
                              PyObject* context) noexcept {
  ModuleState& state = *loop.state;
  auto* timer = revive<TimerHandleObject>(type, state.timer_handle_type, state.timer_handles);
  if (timer == nullptr) return nullptr;
  timer->handle.is_timer = true;
  timer->when = when;
  new (&timer->timer) HandleTimer(*timer, loop);
  const int failed = fill(timer->handle, loop, callback, args, arg_count, context);
  if (failed != 0) {
    Py_DECREF(as_object(timer->handle));
    return nullptr;
  }
  return timer;
}

namespace {

/// The wheel's reference goes to the queue of this turn's timers. That another thread cancelled the
/// handle shows when its turn comes.
void on_timer(time::TimerEntry& entry) noexcept {
  HandleTimer& timer = static_cast<HandleTimer&>(entry);
  const bool has_room = timer.loop().due.push(&timer.owner().handle);
  BLITZIO_CHECK(has_room);  // Reserved when it was armed.
}

// ---- lifetime -----------------------------------------------------------------------------------

void clear(HandleObject& handle) noexcept {
  drop_call(handle);
  Py_CLEAR(handle.context);
  Py_CLEAR(handle.source_traceback);
  Py_CLEAR(handle.repr_info);
}

void release(PyObject* self, FreeList<256>& list, PyTypeObject* listed) noexcept {
  HandleObject& handle = as_handle(self);
  if (handle.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  clear(handle);
  PyTypeObject* type = Py_TYPE(self);
  // The loop goes last: it may be the last reference to the module's state.
  LoopObject* loop = handle.loop;
  if (type != listed || !list.give(self)) type->tp_free(self);
  Py_DECREF(type);
  Py_XDECREF(reinterpret_cast<PyObject*>(loop));
}

void free_handle(PyObject* self) noexcept {
  ModuleState& state = *as_handle(self).loop->state;
  release(self, state.handles, state.handle_type);
}

void free_timer(PyObject* self) noexcept {
  ModuleState& state = *as_handle(self).loop->state;
  as_timer(self).timer.~HandleTimer();
  release(self, state.timer_handles, state.timer_handle_type);
}

/// Deallocations of handles under way on this thread's stack, and the dead handles that wait for
/// the outermost, linked through `scratch`.
struct Drops {
  unsigned depth = 0;
  PyObject* waiting = nullptr;
};
constexpr unsigned kNestedDropsMax = 50;
[[gnu::tls_model("initial-exec")]] thread_local constinit Drops drops;

BLITZIO_COLD void free_waiting() noexcept {
  while (drops.waiting != nullptr) {
    PyObject* next = drops.waiting;
    drops.waiting = std::exchange(as_handle(next).scratch, nullptr);
    ++drops.depth;
    (as_handle(next).is_timer ? free_timer : free_handle)(next);
    --drops.depth;
  }
}

template <void (*Free)(PyObject*) noexcept>
void drop(PyObject* self) noexcept {
  if (as_handle(self).tracked) PyObject_GC_UnTrack(self);
  if (BLITZIO_UNLIKELY(drops.depth == kNestedDropsMax)) {
    as_handle(self).scratch = std::exchange(drops.waiting, self);
    return;
  }
  ++drops.depth;
  Free(self);
  if (--drops.depth == 0 && BLITZIO_UNLIKELY(drops.waiting != nullptr)) free_waiting();
}

}  // namespace

void handle_dealloc(PyObject* self) {
  drop<free_handle>(self);
}

void timer_dealloc(PyObject* self) {
  // First: one that waits to be freed is dead already.
  LoopObject& loop = *as_handle(self).loop;
  if (loop.doubtful == &as_handle(self)) loop.doubtful = nullptr;
  drop<free_timer>(self);
}

int handle_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return visit_contents(as_handle(self), visit, arg);
}

int handle_clear(PyObject* self) {
  clear(as_handle(self));
  return 0;
}

HandleTimer::HandleTimer(TimerHandleObject& object, LoopObject& loop) noexcept
    : time::TimerEntry(on_timer), loop_(&loop) {
  BLITZIO_DCHECK(&owner() == &object);
}

TimerHandleObject* timer_handle_of(time::TimerEntry& entry) noexcept {
  if (entry.fire_function() != on_timer) return nullptr;
  return &static_cast<HandleTimer&>(entry).owner();
}

TimerHandleObject* handle_as_timer(HandleObject& handle) noexcept {
  return handle.is_timer ? &as_timer(as_object(handle)) : nullptr;
}

HandleObject* handle_new(LoopObject& loop, PyObject* callback, PyObject* const* args,
                         Py_ssize_t arg_count, PyObject* context) noexcept {
  return make_handle(loop.state->handle_type, loop, callback, args, arg_count, context);
}

TimerHandleObject* timer_handle_new(LoopObject& loop, double when, PyObject* callback,
                                    PyObject* const* args, Py_ssize_t arg_count,
                                    PyObject* context) noexcept {
  return make_timer(loop.state->timer_handle_type, loop, when, callback, args, arg_count, context);
}

namespace {

/// A callback whose repr fails has none; but an interrupt in it ends the run.
void drop_repr_error(LoopObject& loop) noexcept {
  if (!drop_exception()) loop_set_fatal(loop, take_exception());
}

/// Debug mode: what the handle was shall be seen after its callback is gone.
BLITZIO_COLD void keep_repr(HandleObject& handle) noexcept {
  if (handle.repr_info != nullptr) return;
  PyRef exception = take_exception();
  handle.repr_info = handle_repr(as_object(handle));
  drop_repr_error(*handle.loop);
  if (exception) restore_exception(std::move(exception));
}

/// Hands the current exception of `handle`'s callback to the loop's exception handler.
void report_callback_exception(HandleObject& handle) noexcept {
  LoopObject& loop = *handle.loop;
  PyRef exception = take_exception();
  const PyRef callback = held_callback(handle);
  const PyRef source = callback ? callback_source(handle, callback.get()) : PyRef();
  drop_repr_error(loop);
  const PyRef message =
      source ? PyRef::steal(PyUnicode_FromFormat("Exception in callback %U", source.get()))
             : PyRef::steal(PyUnicode_FromString("Exception in callback"));
  const char* text = message ? PyUnicode_AsUTF8(message.get()) : nullptr;
  drop_repr_error(loop);
  restore_exception(std::move(exception));
  const Names& names = loop.state->names;
  loop_report_exception(
      loop, text == nullptr ? "Exception in callback" : text,
      {{names.handle, as_object(handle)}, {names.source_traceback, handle.source_traceback}});
}

}  // namespace

int handle_run(HandleObject& handle) noexcept {
  if (handle.run != HandleRun::none) return 0;
  if (is_cancelled(handle)) {
    handle_drop_call(handle);  // What another thread's cancel() left to us.
    return 0;
  }
  if (handle.callback == nullptr) return 0;
  handle.run = HandleRun::called;
  PyObject* result = nullptr;
  CallbackContextScope scope(*handle.loop->state, handle.context);
  if (BLITZIO_LIKELY(scope.is_entered())) {
    if (BLITZIO_LIKELY(handle.arg_count <= kInlineArgs)) {
      result = PyObject_Vectorcall(handle.callback, handle.args,
                                   handle.arg_count | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    } else {
      result = PyObject_Call(handle.callback, handle.args[0], nullptr);
    }
    // Leaving cannot fail for a context that was entered here; it must not disturb an exception.
    if (BLITZIO_UNLIKELY(result == nullptr)) {
      PyRef exception = take_exception();
      if (!scope.leave()) PyErr_Clear();  // The callback's own exception counts.
      restore_exception(std::move(exception));
    } else if (!scope.leave()) {
      Py_CLEAR(result);
    }
  }
  handle.run = HandleRun::ending;
  int outcome = 0;
  if (BLITZIO_LIKELY(result != nullptr)) {
    Py_DECREF(result);
  } else if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) != 0 ||
             PyErr_ExceptionMatches(PyExc_SystemExit) != 0) {
    outcome = -1;
  } else {
    report_callback_exception(handle);
  }
  if (handle.repeats && !is_cancelled(handle)) {
    handle.run = HandleRun::none;
    return outcome;
  }
  if (BLITZIO_UNLIKELY(handle.source_traceback != nullptr)) keep_repr(handle);
  handle.run = HandleRun::none;
  drop_call(handle);
  track_if_held(handle);
  return outcome;
}

namespace {

/// Sets the mark. Returns whether it was set before.
bool mark_cancelled(HandleObject& handle) noexcept {
  // Relaxed: a mark, nothing is published through it.
  if constexpr (kFreeThreaded) return handle.cancelled.exchange(true, std::memory_order_relaxed);
  // The interpreter lock keeps others away, and an exchange would lock the cache line.
  const bool was_cancelled = is_cancelled(handle);
  handle.cancelled.store(true, std::memory_order_relaxed);  // Relaxed: as above.
  return was_cancelled;
}

/// Takes the timer of a cancelled handle out of the wheel, whose reference goes last.
void disarm(LoopObject& loop, TimerHandleObject& timer) noexcept {
  HandleObject& handle = timer.handle;
  loop.executor->wheel().cancel(timer.timer);
  if (kFreeThreaded || !loop.in_run) {
    track_if_held(handle);
  } else if (!handle.tracked) {
    handle_settle_doubt(loop);
    loop.doubtful = &handle;
  }
  Py_DECREF(as_object(handle));
}

}  // namespace

void handle_settle_doubt(LoopObject& loop) noexcept {
  if (loop.doubtful != nullptr) handle_track(*std::exchange(loop.doubtful, nullptr));
}

void handle_cancel(HandleObject& handle) noexcept {
  if (mark_cancelled(handle)) return;
  LoopObject& loop = *handle.loop;
  // Another thread leaves the rest to the loop, which finds the mark when the handle's turn comes.
  if (!may_touch_loop(loop)) return;
  if (BLITZIO_UNLIKELY(loop.debug)) keep_repr(handle);
  if (handle.run == HandleRun::none) drop_call(handle);
  // Asked only now: what the callback took with it may have closed the loop.
  if (handle.is_timer && as_timer(as_object(handle)).timer.is_armed()) {
    disarm(loop, as_timer(as_object(handle)));
  } else if (handle.run == HandleRun::none) {
    track_if_held(handle);
  }
}

void handle_drop_call(HandleObject& handle) noexcept {
  if (handle.run != HandleRun::none) return;
  drop_call(handle);
  track_if_held(handle);
}

int handle_visit_held(HandleObject& handle, Py_ssize_t references, visitproc visit,
                      void* arg) noexcept {
  if (handle.tracked) {
    Py_VISIT(as_object(handle));
    return 0;
  }
  return Py_REFCNT(as_object(handle)) == references ? visit_contents(handle, visit, arg) : 0;
}

int handle_visit_ready(HandleObject& handle, visitproc visit, void* arg) noexcept {
  const bool is_watched = handle.repeats && !is_cancelled(handle);
  return handle_visit_held(handle, is_watched ? 2 : 1, visit, arg);
}

}  // namespace blitzio::python

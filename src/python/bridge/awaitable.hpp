// `Awaitable`: a native future as a Python awaitable, on any asyncio loop: what the awaitable
// functions of blitzio's modules return.
//
//     PyObject* lock(PyObject* self) {   // "Mutex.lock": named in warnings and repr()
//       return awaitable_new(state, "Mutex.lock", self, mutex.lock(), [](MutexGuard guard) {…});
//     }
//
// It is a coroutine without a Python frame, and while it waits also the future that its task waits
// for:
//
//           take             poll: ready, close
//   created ────▶ taken ───────────────────────▶ finished ◀── close ── created
//
//             send: ready                                    send(None): pending again
//   created ───────────────────────────▶ finished            ┌────────────────┐
//      │    ╲ send: pending, yields itself   ▲  ▲            ▼                │
//      │     ╲─────────────────────────▶ suspended ──── wake ───▶ signalled ──┤
//      │                                     │  │                   │   ready │
//      │ throw, close                        │  └──── cancel ──▶ cancelled ───┤
//      └─────────────────────────────────────┴───── throw, close, loop closed ┴▶ finished
//
// created    nothing has happened; the future is polled by the first send(None). If that finds it
//            ready, as an uncontended lock is, the task goes on at once: no loop is looked for, no
//            future is made, nothing is allocated but the result.
// suspended  a task waits. asyncio.isfuture() says yes: the awaitable has the interface of
//            asyncio.Future, and the task adds its wake-up as the done-callback. The loop keeps the
//            awaitable alive (LoopWait), as it does whatever waits for a timer or a socket.
// signalled  woken: the callbacks are scheduled; the task polls again in its turn.
// cancelled  by Future.cancel(), which Task.cancel() calls: the task will be resumed by throw().
// finished   the native future is destroyed. Where it had been granted something already, its
//            destructor hands that on: see the header of each future.
//
// taken      a part of another future, which polls it (awaitable_take()): from then on neither
//            coroutine nor future.
//
// The value leaves the native future in the very poll that resumes the task, so there is no moment
// in which a cancellation could lose it.
//
// Threads: the loop's, as with coroutines; wakers (WakeNode) any.
#pragma once

#include <blitzio/task/future.hpp>
#include <python/support/error.hpp>
#include <python/support/state.hpp>

#include <cstddef>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::python {

/// How a kind of future is polled and destroyed; one per (future, conversion).
struct AwaitableKind {
  /// Returns whether it is ready: then `*result` is a new reference, or null with an error set.
  bool (*poll)(void* future, Context& context, PyObject** result) noexcept;
  /// Any code may run: what the future held is let go.
  void (*destroy)(void* future) noexcept;
  int (*traverse)(void* future, visitproc visit, void* arg) noexcept;
  /// An exception was thrown in, and `future` was polled before. Returns true if it has to go on
  /// first; it is polled until it is ready, then the exception is raised.
  bool (*unwind)(void* future) noexcept;
  /// It is one of several, the first of which ends the wait. Before it is polled.
  void (*join_rivals)(void* future) noexcept;
};

/// For a callback of the loop that wakes who waits as its last act: the first done-callback that a
/// wake in this thread would schedule while it lives is kept, for run() to call there and then.
/// That saves a callback of the loop, and on some loops a turn. Not in a task's step: the callback
/// would step a task within another.
class WakeInPlace {
 public:
  WakeInPlace() noexcept : outer_(std::exchange(current_, this)) {}
  WakeInPlace(const WakeInPlace&) = delete;
  WakeInPlace& operator=(const WakeInPlace&) = delete;
  ~WakeInPlace() { current_ = outer_; }

  /// Calls the callback, if one was kept. Returns false with the error set that it raised.
  [[nodiscard]] bool run() noexcept;

  /// Keeps the call callback(argument) in `context` if somebody wants it. Returns whether it did.
  [[nodiscard]] static bool keep(PyObject* callback, PyObject* argument,
                                 PyObject* context) noexcept;

 private:
  static thread_local WakeInPlace* current_;

  WakeInPlace* outer_;
  PyRef callback_;
  PyRef argument_;
  PyRef context_;
};

namespace detail {

/// Sets the Python error for the C++ exception in flight.
void raise_current_exception() noexcept;

/// A future and what makes a Python object of its output.
template <Future F, class Convert>
struct BoundFuture {
  F future;
  [[no_unique_address]] Convert convert;

  static BoundFuture& of(void* self) noexcept { return *static_cast<BoundFuture*>(self); }

  static bool poll(void* self, Context& context, PyObject** result) noexcept {
    BoundFuture& bound = of(self);
    try {
      auto answer = bound.future.poll(context);
      if (answer.is_pending()) return false;
      if constexpr (std::is_void_v<OutputOf<F>>) {
        *result = bound.convert();
      } else {
        *result = bound.convert(std::move(answer).take());
      }
    } catch (...) {
      *result = nullptr;
      raise_current_exception();
    }
    return true;
  }
  static void destroy(void* self) noexcept { of(self).~BoundFuture(); }
  static int traverse(void* self, visitproc visit, void* arg) noexcept {
    if constexpr (requires(F& f) { f.traverse(visit, arg); })
      return of(self).future.traverse(visit, arg);
    return 0;
  }
  static bool unwind(void* self) noexcept {
    if constexpr (requires(F& f) { f.unwind(); }) return of(self).future.unwind();
    return false;
  }
  static void join_rivals(void* self) noexcept {
    if constexpr (requires(F& f) { f.join_rivals(); }) of(self).future.join_rivals();
  }
  static constexpr AwaitableKind kKind{poll, destroy, traverse, unwind, join_rivals};
};

/// The conversion of futures without a value.
struct ReturnNone {
  PyObject* operator()() const noexcept { return Py_NewRef(Py_None); }
};

inline constexpr std::size_t kAwaitableInlineBytes = 128;

/// A new awaitable in state created, without its future: where to construct that is returned
/// through `storage`, and awaitable_arm() must follow. Null with an error set.
[[nodiscard]] PyObject* awaitable_allocate(ModuleState& state, const char* name, PyObject* owner,
                                           std::size_t bytes, void** storage) noexcept;
void awaitable_arm(PyObject* awaitable, const AwaitableKind& kind) noexcept;

}  // namespace detail

/// A new awaitable for `future`.
/// `name`     "Mutex.lock"; a string literal.
/// `owner`    kept alive as long as the future, for what the future points into. May be null.
/// `convert`  makes a new reference of the output, or returns null with an error set; called as
///            convert(output), without argument if there is none. Exceptions of C++ are translated.
/// A future that holds Python objects has `int traverse(visitproc, void*)`. One that has work to do
/// before it may be dropped has `bool unwind()`, and one that waits otherwise beside others `void
/// join_rivals()`: see AwaitableKind.
/// Returns  null with an error set if memory is short.
template <Future F, class Convert = detail::ReturnNone>
[[nodiscard]] PyObject* awaitable_new(ModuleState& state, const char* name, PyObject* owner,
                                      F future, Convert convert = {}) noexcept {
  using Bound = detail::BoundFuture<F, Convert>;
  static_assert(alignof(Bound) <= alignof(std::max_align_t));
  void* storage = nullptr;
  PyObject* self = detail::awaitable_allocate(state, name, owner, sizeof(Bound), &storage);
  if (self == nullptr) return nullptr;
  new (storage) Bound{std::move(future), std::move(convert)};
  detail::awaitable_arm(self, Bound::kKind);
  return self;
}

/// Whether `object` is an awaitable of this kind, so that awaitable_poll() may be used.
[[nodiscard]] bool awaitable_check(const ModuleState& state, PyObject* object) noexcept;

/// For native futures that are made of others, such as select(): created → taken. Nobody else can
/// go on with it any more.
/// `has_rivals`  the first of several ends the caller's wait, and this is one.
/// Returns  false with RuntimeError set if it is somebody's already, or finished.
[[nodiscard]] bool awaitable_take(PyObject* awaitable, bool has_rivals = false) noexcept;
/// Polls one that the caller has taken, with the caller's context.
/// Returns  whether it is finished: then `*result` is a new reference, or null with an error set.
[[nodiscard]] bool awaitable_poll(PyObject* awaitable, Context& context,
                                  PyObject** result) noexcept;
/// Drops it, which loses nothing: one that the caller has taken, else one that is nobody's.
void awaitable_close(PyObject* awaitable, bool is_taken) noexcept;

[[nodiscard]] int awaitable_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

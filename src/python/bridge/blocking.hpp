// `wait_blocking()`: a native future on a plain thread: what the `blocking_x(timeout=None)` forms
// of blitzio's functions do.
//
// The thread gives up the interpreter while it waits. In the main thread a signal's Python handler
// runs at once, and what it raises (KeyboardInterrupt) ends the wait. However the wait ends,
// without a result the future is dropped, and what it had been granted goes on to the next.
//
// Descriptors that the future waits for, the thread waits for by itself (ThreadPoll).
//
// The future is on the heap: what it waits for points to it. In a forked child the stack of a
// thread that waited is not there, or another thread's by now, and whoever wakes writes there.
//
// Refused in a thread whose event loop is running, even if it would not have to wait: such code
// works until the day on which it stops the loop.
#pragma once

#include <blitzio/base/frame_pool.hpp>
#include <blitzio/base/instant.hpp>
#include <python/bridge/awaitable.hpp>

#include <cstddef>
#include <new>

namespace blitzio::python {

/// How long a call may block: what its `timeout` says.
struct TimeLimit {
  Instant deadline = Instant::max();
  double seconds = 0;  ///< as they were given, which errors tell
};

/// What errors call a call that blocks: "TcpStream.blocking_read()" or, of work, its repr.
class BlockingName {
 public:
  constexpr BlockingName(const char* call) noexcept  // NOLINT(google-explicit-constructor)
      : call_(call) {}
  constexpr BlockingName(const char* owner, const char* call) noexcept
      : owner_(owner), call_(call) {}
  /// `work`  what is waited for; its repr is made where it is needed.
  constexpr BlockingName(const char* call, PyObject* work) noexcept : call_(call), work_(work) {}

  [[nodiscard]] constexpr const char* call() const noexcept { return call_; }
  PyObject* raise_may_not_block() const noexcept;
  PyObject* raise_timeout(double seconds) const noexcept;

 private:
  const char* owner_ = nullptr;
  const char* call_;
  PyObject* work_ = nullptr;
};

/// Reads a `timeout` argument: None, or null, is no timeout; else seconds from now, at least 0, as
/// a number, a Duration or a timedelta.
/// Returns  false with TypeError or ValueError set.
[[nodiscard]] bool parse_timeout(PyObject* timeout, TimeLimit* limit) noexcept;

/// That, for a METH_FASTCALL | METH_KEYWORDS method whose only parameter it is.
[[nodiscard]] bool parse_timeout(const char* method, PyObject* const* args, Py_ssize_t nargs,
                                 PyObject* kwnames, TimeLimit* limit) noexcept;

/// Whether the call `name` may block this thread. False with RuntimeError set where an event loop
/// is running.
[[nodiscard]] bool may_block(ModuleState& state, BlockingName name) noexcept;

namespace detail {

[[nodiscard]] PyObject* wait_blocking(ModuleState& state, BlockingName name,
                                      const AwaitableKind& kind, void* future,
                                      const TimeLimit& limit, PyRef* interruption) noexcept;

}  // namespace detail

/// Waits for `future` and returns convert(output), as awaitable_new() would give it.
/// `interruption`  null, or where what a signal's handler raises is kept instead of ending the
///                 wait: the last one, with those before it as its context.
/// Errors   TimeoutError at the limit; what a signal's handler raised; RuntimeError in a thread
///          with a running event loop.
template <Future F, class Convert = detail::ReturnNone>
[[nodiscard]] PyObject* wait_blocking(ModuleState& state, BlockingName name, F future,
                                      const TimeLimit& limit, Convert convert = {},
                                      PyRef* interruption = nullptr) noexcept {
  using Bound = detail::BoundFuture<F, Convert>;
  static_assert(alignof(Bound) <= alignof(std::max_align_t));
  void* memory = nullptr;
  try {
    memory = FramePool::allocate(sizeof(Bound));
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
  auto* const bound = new (memory) Bound{std::move(future), std::move(convert)};
  PyObject* const result =
      detail::wait_blocking(state, name, Bound::kKind, bound, limit, interruption);
  bound->~Bound();
  FramePool::free(memory, sizeof(Bound));
  return result;
}

/// Waits for `awaitable`, which nobody awaits, and drops it; see awaitable_poll().
/// Returns  its result, or null with an error set, as above.
[[nodiscard]] PyObject* wait_blocking(ModuleState& state, BlockingName name, PyRef awaitable,
                                      const TimeLimit& limit) noexcept;

[[nodiscard]] int blocking_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

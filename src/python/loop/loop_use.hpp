// `LoopUse` and `one_user`: a loop that nobody runs is used by one thread at a time.
//
// Which thread may use a loop is told in loop.hpp: the one that runs it, or any while nobody does.
// With the interpreter lock no two of those are in the middle of a call at once. On free-threaded
// builds the loop's own lock (a critical section) takes care of that: a method of the loop, its
// handles and transports holds it unless its caller runs the loop, and a run begins under it. As
// the interpreter lock, it is given up wherever the thread would block, as the user's code may in
// the middle of a call: so a run waits for who stands there, but for its own thread's calls.
//
// With the interpreter lock all this is nothing: `one_user` is the function itself.
#pragma once

#include <python/loop/loop.hpp>
#include <python/support/ft.hpp>

namespace blitzio::python {

#if BLITZIO_FREE_THREADED

/// Holds the lock of `loop` for the scope, unless the caller runs it. Null: nothing to hold.
class LoopUse {
 public:
  explicit LoopUse(LoopObject* loop) noexcept : user_(current_thread()) {
    // Relaxed: a thread compares with its own number, which no other thread ever stores.
    if (loop == nullptr || loop->thread.load(std::memory_order_relaxed) == user_.thread) return;
    PyCriticalSection_Begin(&section_, reinterpret_cast<PyObject*>(loop));
    loop->users.push_back(user_);
  }
  ~LoopUse() {
    if (!user_.is_linked()) return;
    user_.unlink();
    PyCriticalSection_End(&section_);
  }
  LoopUse(const LoopUse&) = delete;
  LoopUse& operator=(const LoopUse&) = delete;

 private:
  mutable LoopUser user_;  // others' neighbour
  PyCriticalSection section_{};
};

namespace detail {

template <auto Find, auto Function, class... Rest>
struct AsUser {
  static PyObject* call(PyObject* self, Rest... rest) noexcept {
    const LoopUse use(Find(self));
    return Function(self, rest...);
  }
};

template <auto Find, auto Function, class... Rest>
constexpr auto as_user(PyObject* (* /*unused*/)(PyObject*, Rest...)) noexcept {
  return &AsUser<Find, Function, Rest...>::call;
}

}  // namespace detail

/// `Function`, a method of any of the METH_ signatures, a getter or another slot that returns an
/// object, with the lock held of the loop that `Find(self)` gives, or null.
template <auto Find, auto Function>
inline constexpr auto one_user = detail::as_user<Find, Function>(Function);

#else

class LoopUse {
 public:
  explicit LoopUse(LoopObject* /*loop*/) noexcept {}
  LoopUse(const LoopUse&) = delete;
  LoopUse& operator=(const LoopUse&) = delete;
};

template <auto Find, auto Function>
inline constexpr auto one_user = Function;

#endif

/// For methods of the loop itself.
inline LoopObject* loop_of_loop(PyObject* self) noexcept {
  return reinterpret_cast<LoopObject*>(self);
}
template <auto Function>
inline constexpr auto loop_method = one_user<loop_of_loop, Function>;

}  // namespace blitzio::python

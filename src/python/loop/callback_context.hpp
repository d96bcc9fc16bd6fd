// The context that a callback is scheduled in: asyncio promises it a copy of the current one.
// Making a copy per callback costs an object that the garbage collector tracks, 72 bytes per
// pending timer and a sixth of a `call_soon`. Nearly always nobody could tell such copies apart:
// they hold the same variables, and nothing sets one of them. So handles scheduled with the same
// variables share one, through a `SharedContext`:
//
//             handle scheduled                 its turn comes
//   (none) ────────────────────▶ shared ──────────────────────▶ entered
//                                  ▲ ▲                             │
//                                  │ └───── nothing was set ───────┤
//                                  └─ set: the handle keeps it; ───┘
//                                     the others get a fresh one
//
// shared   `run` holds the variables `vars`, and only the SharedContext refers to it.
// entered  a callback runs in `run` and may set variables there. A handle that shares `run` as well
//          still needs what it was before: that is `pristine`, which is never entered. It is made
//          before the first callback of several runs, or when one is scheduled while another runs.
//
// Whether something was set shows in the context's mapping, which is immutable and replaced as a
// whole. The C-API does not give it out, so it is read from where CPython keeps it; whether that is
// so is tried when the module is imported, and where it is not, every handle has a copy of its own.
//
// Python code sees the shared context of a callback nowhere: get_context() makes it the handle's
// own. What holds on to it all the same (a greenlet that began in the callback) makes it unshared.
//
// Threads: the interpreter lock protects everything. Free-threaded builds share nothing.
#pragma once

#include <python/support/py_ref.hpp>
#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int callback_context_register(PyObject* module, ModuleState& state) noexcept;

/// What a handle holds: a contextvars.Context that is a copy of the current one, or a
/// SharedContext. New reference; null with an error set.
[[nodiscard]] PyObject* callback_context_new(ModuleState& state) noexcept;

/// The context that `held` (a handle's; replaced if need be) stands for, made the handle's own:
/// what happens in it afterwards is seen by no other handle. If the handle `is_running`, it is the
/// one that it runs in. Borrowed; null with an error set.
[[nodiscard]] PyObject* callback_context_own(const ModuleState& state, PyObject*& held,
                                             bool is_running) noexcept;

/// Enters the context that a handle holds, for the scope. `held` may change meanwhile.
class CallbackContextScope {
 public:
  CallbackContextScope(const ModuleState& state, PyObject*& held) noexcept;
  CallbackContextScope(const CallbackContextScope&) = delete;
  CallbackContextScope& operator=(const CallbackContextScope&) = delete;
  ~CallbackContextScope() = default;

  /// False: an error is set, and there is nothing to leave.
  [[nodiscard]] bool is_entered() const noexcept { return is_entered_; }
  /// To be called once, with no error set. Returns false with an error set.
  [[nodiscard]] bool leave() noexcept;

 private:
  /// Which one to enter, if `held_` is a SharedContext. Returns false with an error set.
  bool choose() noexcept;

  PyRef shared_;   // or null
  PyRef context_;  // the one that is entered
  PyObject*& held_;
  bool is_entered_ = false;
};

}  // namespace blitzio::python

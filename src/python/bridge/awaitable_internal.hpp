// What awaitable.cpp (life: polling, waiting, ending) and awaitable_type.cpp (what Python sees)
// share.
#pragma once

#include <python/bridge/awaitable.hpp>
#include <python/bridge/wake_node.hpp>

namespace blitzio::python {

struct AwaitableObject {
  enum class State : std::uint8_t { created, running, suspended, taken, finished };
  /// Of a suspended one: whether its callbacks are scheduled, and why.
  enum class Wake : std::uint8_t { none, signalled, cancelled };

  PyObject_HEAD ModuleState* state;  ///< `module`'s
  PyObject* module;                  ///< strong
  PyObject* owner;                   ///< strong, or null
  const AwaitableKind* kind;         ///< null until armed and once finished
  void* future;                      ///< `inline_bytes`, or its own block
  const char* name;
  WakeNode* node;            ///< counted; made when a poll first keeps a waker
  PyObject* loop;            ///< strong; once `node` is made
  PyObject* callback;        ///< the first done-callback, as a rule the only one; or null
  PyObject* context;         ///< in which `callback` runs
  PyObject* more_callbacks;  ///< list of (callback, context), or null
  PyObject* cancel_message;  ///< of cancel(), or null
  PyObject* thrown;          ///< to be raised once an unwinding future is ready, or null
  State phase;
  Wake wake;
  bool blocking;       ///< _asyncio_future_blocking
  bool woken_in_poll;  ///< by the waker of the very poll
  alignas(std::max_align_t) std::byte inline_bytes[detail::kAwaitableInlineBytes];
};

/// Whether it is its poller's, who alone may go on with it.
[[nodiscard]] inline bool awaitable_is_busy(const AwaitableObject& self) noexcept {
  return self.phase == AwaitableObject::State::running ||
         self.phase == AwaitableObject::State::taken;
}
inline AwaitableObject& as_awaitable(PyObject* self) noexcept {
  return *reinterpret_cast<AwaitableObject*>(self);
}
inline PyObject* as_object(AwaitableObject& self) noexcept {
  return reinterpret_cast<PyObject*>(&self);
}

/// Any state → finished.
void awaitable_finish(AwaitableObject& self) noexcept;
/// Schedules `callback(self)` on the loop. Reports what goes wrong.
void awaitable_schedule(AwaitableObject& self, PyObject* callback, PyObject* context) noexcept;
/// Schedules all callbacks and forgets them.
void awaitable_schedule_all(AwaitableObject& self) noexcept;

// The type's slots.
PySendResult awaitable_send(PyObject* self, PyObject* value, PyObject** result);
PyObject* awaitable_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs);
int awaitable_traverse(PyObject* self, visitproc visit, void* arg);
int awaitable_clear(PyObject* self);
void awaitable_dealloc(PyObject* self);

}  // namespace blitzio::python

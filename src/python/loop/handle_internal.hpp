// What handle.cpp (life, running, cancelling) and handle_type.cpp (what Python sees) share.
#pragma once

#include <python/loop/handle.hpp>
#include <python/loop/loop.hpp>

namespace blitzio::python {

inline HandleObject& as_handle(PyObject* self) noexcept {
  return *reinterpret_cast<HandleObject*>(self);
}
inline TimerHandleObject& as_timer(PyObject* self) noexcept {
  return *reinterpret_cast<TimerHandleObject*>(self);
}
inline PyObject* as_object(HandleObject& handle) noexcept {
  return reinterpret_cast<PyObject*>(&handle);
}

inline bool is_cancelled(const HandleObject& handle) noexcept {
  // Relaxed: a mark, nothing is published through it.
  return handle.cancelled.load(std::memory_order_relaxed);
}
/// Lets the collector know the handle, which then visits what it refers to.
void handle_track(HandleObject& handle) noexcept;
// These may be asked from any thread, while another runs the handle.
/// The callback; null once cancelled or run.
[[nodiscard]] PyRef held_callback(HandleObject& handle) noexcept;
/// The arguments as asyncio keeps them: a tuple, or None once cancelled. New reference.
[[nodiscard]] PyRef args_tuple(HandleObject& handle) noexcept;
/// `callback`, which is the handle's, its arguments and where it is defined, in asyncio's words. A
/// new string, or null with an error set (a repr that fails).
[[nodiscard]] PyRef callback_source(HandleObject& handle, PyObject* callback) noexcept;

/// As handle_new() and timer_handle_new(), of `type`: Handle, TimerHandle or a subclass.
[[nodiscard]] HandleObject* make_handle(PyTypeObject* type, LoopObject& loop, PyObject* callback,
                                        PyObject* const* args, Py_ssize_t arg_count,
                                        PyObject* context) noexcept;
[[nodiscard]] TimerHandleObject* make_timer(PyTypeObject* type, LoopObject& loop, double when,
                                            PyObject* callback, PyObject* const* args,
                                            Py_ssize_t arg_count, PyObject* context) noexcept;

// The types' slots.
void handle_dealloc(PyObject* self);
void timer_dealloc(PyObject* self);
int handle_traverse(PyObject* self, visitproc visit, void* arg);
int handle_clear(PyObject* self);
PyObject* handle_repr(PyObject* self);

}  // namespace blitzio::python

#include <python/bindings/async_fd.hpp>
#include <python/bindings/capi.hpp>
#include <python/bindings/channel.hpp>
#include <python/bindings/fs.hpp>
#include <python/bindings/info.hpp>
#include <python/bindings/net.hpp>
#include <python/bindings/process.hpp>
#include <python/bindings/select.hpp>
#include <python/bindings/signal.hpp>
#include <python/bindings/sync.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/bridge/foreign_loop.hpp>
#include <python/bridge/ready.hpp>
#include <python/runtime/join_handle.hpp>
#include <python/runtime/scheduler.hpp>
#include <python/runtime/spawn.hpp>
#include <python/runtime/thread_pool.hpp>
#include <python/second_half.hpp>
#include <python/support/ft.hpp>
#include <python/support/py_ref.hpp>
#include <python/support/state.hpp>
#include <python/support/thread_state.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>

namespace blitzio::python {

namespace {

/// Holds the half's mutex. Waits detached.
class Turn {
 public:
  explicit Turn(std::mutex& mutex) : mutex_(mutex) {
    if (mutex_.try_lock()) return;
    const Detached detached;
    mutex_.lock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { mutex_.unlock(); }

 private:
  std::mutex& mutex_;
};

// What others raise, return or stand on comes first.
constexpr std::array kSteps = {foreign_loop_register, awaitable_register,   ready_register,
                               join_handle_register,  thread_pool_register, scheduler_register,
                               spawn_register,        channel_register,     sync_register,
                               net_register,          async_fd_register,    process_register,
                               signal_register,       fs_register,          select_register,
                               info_register,         capi_register,        blocking_register};

/// Returns false with an error set.
bool make(PyObject* module, ModuleState& state) noexcept {
  for (std::size_t& done = state.second_half.steps_done; done < kSteps.size(); ++done) {
    if (kSteps[done](module, state) != 0) return false;
  }
  return true;
}

/// Returns false with an error set.
bool ensure(PyObject* module) noexcept {
  auto* const found = static_cast<ModuleState*>(PyModule_GetState(module));
  // The last thing that the first half makes; the second one stands on all of that.
  if (found == nullptr || found->job_registry == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "module 'blitzio._native' is not initialised");
    return false;
  }
  ModuleState& state = *found;
  SecondHalf& half = state.second_half;
  if (half.is_made.load(std::memory_order_acquire)) return true;  // Pairs with the store below.
  // Relaxed: a thread compares with its own number, which no other thread ever stores.
  if (half.maker.load(std::memory_order_relaxed) == current_thread()) return true;
  const Turn turn(half.mutex);
  // Relaxed, both: stored under the mutex.
  if (half.is_made.load(std::memory_order_relaxed)) return true;
  half.maker.store(current_thread(), std::memory_order_relaxed);
  const bool is_made = make(module, state);
  half.maker.store(0, std::memory_order_relaxed);
  half.is_made.store(is_made, std::memory_order_release);  // Pairs with the load above.
  return is_made;
}

/// `__path__` and the like, which the import system looks for: the second half has none.
bool is_reserved(PyObject* name) noexcept {
  return PyUnicode_GET_LENGTH(name) > 2 && PyUnicode_READ_CHAR(name, 0) == '_' &&
         PyUnicode_READ_CHAR(name, 1) == '_';
}

}  // namespace

PyObject* second_half_getattr(PyObject* module, PyObject* name) noexcept {
  if (!PyUnicode_Check(name)) {
    return PyErr_Format(PyExc_TypeError, "attribute name must be string, not '%.200s'",
                        Py_TYPE(name)->tp_name);
  }
  if (!is_reserved(name)) {
    if (!ensure(module)) return nullptr;
    PyObject* value = PyObject_GetItem(PyModule_GetDict(module), name);
    if (value != nullptr || PyErr_ExceptionMatches(PyExc_KeyError) == 0) return value;
    PyErr_Clear();  // What is missing of a module is an attribute.
  }
  return PyErr_Format(PyExc_AttributeError, "module 'blitzio._native' has no attribute '%U'", name);
}

PyObject* second_half_forget_maker(PyObject* module, PyObject* /*unused*/) noexcept {
  auto* const state = static_cast<ModuleState*>(PyModule_GetState(module));
  if (state == nullptr) Py_RETURN_NONE;
  SecondHalf& half = state->second_half;
  // Relaxed: the child has a single thread. If that is the maker, it goes on here.
  if (half.maker.load(std::memory_order_relaxed) != current_thread()) {
    half.maker.store(0, std::memory_order_relaxed);
    std::construct_at(&half.mutex);
  }
  Py_RETURN_NONE;
}

PyObject* second_half_dir(PyObject* module, PyObject* /*unused*/) noexcept {
  return ensure(module) ? PyDict_Keys(PyModule_GetDict(module)) : nullptr;
}

}  // namespace blitzio::python

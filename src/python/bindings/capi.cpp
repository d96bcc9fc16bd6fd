#include <python/bindings/capi.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/support/error.hpp>

#include <blitzio_capi.h>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace blitzio::python {

namespace {

// C code uses a Waker as a BlitzioWaker.
static_assert(std::is_standard_layout_v<Waker> && std::is_standard_layout_v<WakerVTable>);
static_assert(sizeof(BlitzioWaker) == sizeof(Waker) && alignof(BlitzioWaker) == alignof(Waker));
static_assert(offsetof(BlitzioWaker, data) == 0);
static_assert(sizeof(BlitzioWakerVTable) == sizeof(WakerVTable));
static_assert(offsetof(BlitzioWakerVTable, clone) == offsetof(WakerVTable, clone));
static_assert(offsetof(BlitzioWakerVTable, wake) == offsetof(WakerVTable, wake));
static_assert(offsetof(BlitzioWakerVTable, wake_by_ref) == offsetof(WakerVTable, wake_by_ref));
static_assert(offsetof(BlitzioWakerVTable, drop) == offsetof(WakerVTable, drop));

/// A future whose functions are written in C. Drops its state once.
class ForeignFuture {
 public:
  using Output = PyObject*;  ///< a new reference, or null with an error set

  ForeignFuture(const BlitzioFutureOps& ops, void* state) noexcept : ops_(&ops), state_(state) {}
  ForeignFuture(ForeignFuture&& other) noexcept
      : ops_(std::exchange(other.ops_, nullptr)), state_(other.state_) {}
  ForeignFuture(const ForeignFuture&) = delete;
  ForeignFuture& operator=(const ForeignFuture&) = delete;
  ForeignFuture& operator=(ForeignFuture&&) = delete;
  ~ForeignFuture() {
    if (ops_ == nullptr) return;
    PyRef exception = take_exception();
    ops_->drop(state_);
    if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(nullptr);
    if (exception) restore_exception(std::move(exception));
  }

  Poll<PyObject*> poll(Context& context) noexcept {
    PyObject* value = nullptr;
    const auto* waker = reinterpret_cast<const BlitzioWaker*>(&context.waker());
    const int answer = ops_->poll(state_, waker, &value);
    PyRef result = PyRef::steal(value);
    const bool has_error = PyErr_Occurred() != nullptr;
    if (answer == BLITZIO_PENDING && !has_error && !result) return pending;
    if (answer == BLITZIO_READY && !has_error && result) return result.release();
    if (answer != BLITZIO_ERROR || !has_error || result) complain(answer, has_error, result);
    return static_cast<PyObject*>(nullptr);
  }
  int traverse(visitproc visit, void* arg) noexcept {
    return ops_ == nullptr || ops_->traverse == nullptr ? 0 : ops_->traverse(state_, visit, arg);
  }

 private:
  /// Sets SystemError for an answer that contradicts itself; what was raised is its cause.
  BLITZIO_COLD static void complain(int answer, bool has_error, const PyRef& result) noexcept {
    PyRef cause = take_exception();
    PyErr_Format(PyExc_SystemError,
                 "the poll of a future in C returned %d %s a result and %s an exception set",
                 answer, result ? "with" : "without", has_error ? "with" : "without");
    if (!cause) return;
    PyRef error = take_exception();
    PyException_SetCause(error.get(), cause.release());
    restore_exception(std::move(error));
  }

  const BlitzioFutureOps* ops_;  // null: moved from
  void* state_;
};

PyObject* give(PyObject* result) noexcept {
  return result;
}

ModuleState& state_of(PyObject* module) noexcept {
  return *static_cast<ModuleState*>(PyModule_GetState(module));
}

PyObject* new_awaitable(PyObject* module, const BlitzioFutureOps* ops, void* state, PyObject* owner,
                        const char* name) noexcept {
  return awaitable_new(state_of(module), name, owner, ForeignFuture(*ops, state), give);
}

PyObject* block_on(PyObject* module, const BlitzioFutureOps* ops, void* state, const char* name,
                   PyObject* timeout) noexcept {
  ForeignFuture future(*ops, state);
  TimeLimit limit;
  if (!parse_timeout(timeout, &limit)) return nullptr;
  return wait_blocking(state_of(module), name, std::move(future), limit, give);
}

constexpr BlitzioTable kTable{BLITZIO_CAPI_MAJOR, BLITZIO_CAPI_MINOR, new_awaitable, block_on};

}  // namespace

int capi_register(PyObject* module, ModuleState& /*state*/) noexcept {
  // A capsule's pointer is mutable; nobody writes through it.
  const PyRef capsule = PyRef::steal(
      PyCapsule_New(const_cast<BlitzioTable*>(&kTable), BLITZIO_CAPI_CAPSULE, nullptr));
  return capsule ? PyModule_AddObjectRef(module, "_C_API", capsule.get()) : -1;
}

}  // namespace blitzio::python

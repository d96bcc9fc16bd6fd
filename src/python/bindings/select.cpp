#include <python/bindings/select.hpp>
#include <python/bridge/awaitable.hpp>

#include <algorithm>
#include <memory>
#include <new>

namespace blitzio::python {

namespace {

constexpr const char* kWakerCapsule = "blitzio.select_waker";

/// What the done-callback of a future of asyncio's calls: (capsule of a Waker, future).
PyObject* wake(PyObject* capsule, PyObject* /*future*/) noexcept {
  const auto* waker = static_cast<const Waker*>(PyCapsule_GetPointer(capsule, kWakerCapsule));
  if (waker == nullptr) return nullptr;
  waker->wake_by_ref();
  Py_RETURN_NONE;
}

PyMethodDef wake_definition = {"wake", wake, METH_O, nullptr};

void free_waker(PyObject* capsule) noexcept {
  delete static_cast<Waker*>(PyCapsule_GetPointer(capsule, kWakerCapsule));
}

/// A callable that wakes `waker`; null with an error set.
PyRef make_callback(const Waker& waker) noexcept {
  std::unique_ptr<Waker> copy(new (std::nothrow) Waker(waker.clone()));
  if (copy == nullptr) {
    PyErr_NoMemory();
    return {};
  }
  const PyRef capsule = PyRef::steal(PyCapsule_New(copy.get(), kWakerCapsule, free_waker));
  if (!capsule) return {};
  static_cast<void>(copy.release());
  return PyRef::steal(PyCFunction_NewEx(&wake_definition, capsule.get(), nullptr));
}

/// How deep futures of this kind are polled, or ended, within each other: not so deep as to exhaust
/// the thread's stack.
class Nesting {
 public:
  Nesting() noexcept { ++depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --depth_; }
  [[nodiscard]] static bool is_too_deep() noexcept { return depth_ > kDepthMax; }

 private:
  static constexpr int kDepthMax = 100;
  static thread_local int depth_;
};

thread_local int Nesting::depth_ = 0;

/// Ready with the first of `branches` (a tuple) that is: its index and what it gave.
class SelectFuture {
 public:
  struct Output {
    Py_ssize_t index = 0;
    PyRef value;  ///< null: it failed, with the error set
  };

  SelectFuture(ModuleState& state, PyRef branches) noexcept
      : state_(&state), branches_(std::move(branches)) {}
  SelectFuture(SelectFuture&&) noexcept = default;
  SelectFuture(const SelectFuture&) = delete;
  SelectFuture& operator=(const SelectFuture&) = delete;
  SelectFuture& operator=(SelectFuture&&) = delete;
  ~SelectFuture() {
    if (branches_) close();
  }

  Poll<Output> poll(Context& context) noexcept {
    const Nesting nesting;
    if (Nesting::is_too_deep()) {
      PyErr_SetString(PyExc_RecursionError,
                      "too many waits for the first of several within each other");
      return Output{};
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(branches_.get()); ++i) {
      Output output{.index = i, .value = {}};
      if (!poll_branch(i, context, output.value)) continue;
      close();
      return output;
    }
    if (!callback_ && !listen(context.waker())) return Output{};
    return pending;
  }
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(branches_.get());
    Py_VISIT(callback_.get());
    return 0;
  }

 private:
  /// Returns whether the branch is ready; `value` is null with an error set if it failed.
  bool poll_branch(Py_ssize_t index, Context& context, PyRef& value) noexcept {
    PyObject* branch = PyTuple_GET_ITEM(branches_.get(), index);
    if (awaitable_check(*state_, branch)) {
      const bool has_rivals = PyTuple_GET_SIZE(branches_.get()) > 1;
      if (index >= taken_ && !awaitable_take(branch, has_rivals)) return true;
      taken_ = std::max(taken_, index + 1);
      PyObject* result = nullptr;
      if (!awaitable_poll(branch, context, &result)) return false;
      value = PyRef::steal(result);
      return true;
    }
    const PyRef done = PyRef::steal(PyObject_CallMethod(branch, "done", nullptr));
    const int is_done = done ? PyObject_IsTrue(done.get()) : -1;
    if (is_done == 0) return false;
    if (is_done > 0) value = PyRef::steal(PyObject_CallMethod(branch, "result", nullptr));
    return true;
  }

  /// Has every future of asyncio's wake `waker`. Returns false with an error set.
  bool listen(const Waker& waker) noexcept {
    callback_ = make_callback(waker);
    if (!callback_) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(branches_.get()); ++i) {
      PyObject* branch = PyTuple_GET_ITEM(branches_.get(), i);
      if (awaitable_check(*state_, branch)) continue;
      const PyRef added =
          PyRef::steal(PyObject_CallMethod(branch, "add_done_callback", "O", callback_.get()));
      if (!added) return false;
    }
    return true;
  }

  /// Drops all branches; keeps the current exception.
  void close() noexcept {
    const Nesting nesting;
    PyRef exception = take_exception();
    const PyRef branches = std::move(branches_);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(branches.get()); ++i) {
      PyObject* branch = PyTuple_GET_ITEM(branches.get(), i);
      if (awaitable_check(*state_, branch)) {
        // What is deeper ends with its last reference, which CPython keeps from nesting.
        if (!Nesting::is_too_deep()) awaitable_close(branch, i < taken_);
      } else if (callback_) {
        const PyRef removed =
            PyRef::steal(PyObject_CallMethod(branch, "remove_done_callback", "O", callback_.get()));
        if (!removed) PyErr_WriteUnraisable(branch);
      }
    }
    callback_.reset();
    if (exception) restore_exception(std::move(exception));
  }

  ModuleState* state_;
  PyRef branches_;
  Py_ssize_t taken_ = 0;  // before this one the awaitables are ours
  PyRef callback_;        // of asyncio's futures, once it is pending
};

PyObject* select_first(PyObject* module, PyObject* branches) noexcept {
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PyRef tuple = PyRef::steal(PySequence_Tuple(branches));
  if (!tuple) return nullptr;
  if (PyTuple_GET_SIZE(tuple.get()) == 0) {
    PyErr_SetString(PyExc_ValueError, "at least one awaitable is needed");
    return nullptr;
  }
  return awaitable_new(state, "select", nullptr, SelectFuture(state, std::move(tuple)),
                       [](SelectFuture::Output output) noexcept -> PyObject* {
                         if (!output.value) return nullptr;
                         return Py_BuildValue("(On)", output.value.get(), output.index);
                       });
}

PyObject* is_native_awaitable(PyObject* module, PyObject* object) noexcept {
  const auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  return PyBool_FromLong(awaitable_check(state, object) ? 1 : 0);
}

PyMethodDef functions[] = {
    {"_select_first", select_first, METH_O,
     PyDoc_STR("_select_first(branches, /)\n--\n\n"
               "Wait for the first of awaitables of this module's and futures of asyncio's.")},
    {"_is_native_awaitable", is_native_awaitable, METH_O,
     PyDoc_STR("_is_native_awaitable(object, /)\n--\n\n"
               "Whether it is an awaitable of this module's, which can be dropped at any time.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int select_register(PyObject* module, ModuleState& /*state*/) noexcept {
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python

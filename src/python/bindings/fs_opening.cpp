#include <python/bindings/descriptor.hpp>
#include <python/bindings/fs_opening.hpp>
#include <python/bridge/awaitable.hpp>

namespace blitzio::python {

namespace {

struct Opening {
  explicit Opening(PyObject* native) noexcept : awaitable(PyRef::steal(native)) {}

  PyRef awaitable;
  PyRef opened;  ///< its result, inside of `async with`

  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(awaitable.get());
    Py_VISIT(opened.get());
    return 0;
  }
  // The awaitable, which is always there, clears itself.
  void clear() noexcept { opened.reset(); }
};

Opening& opening_of(PyObject* self) noexcept {
  return Box<Opening>::of(self).value;
}

/// What `__aenter__` gives: the result, which is kept for `__aexit__`. Dropped before that, it
/// drops what it waits for.
class Enter {
 public:
  using Output = PyObject*;
  explicit Enter(PyObject* self) noexcept : self_(self) {}
  Enter(Enter&& other) noexcept : self_(other.self_) { BLITZIO_CHECK(!other.is_waiting_); }
  Enter(const Enter&) = delete;
  Enter& operator=(const Enter&) = delete;
  Enter& operator=(Enter&&) = delete;
  ~Enter() {
    if (is_waiting_) awaitable_close(opening_of(self_).awaitable.get(), true);
  }
  Poll<PyObject*> poll(Context& context) noexcept {
    Opening& opening = opening_of(self_);
    PyObject* result = nullptr;
    if (!is_waiting_ && !awaitable_take(opening.awaitable.get())) return nullptr;
    is_waiting_ = !awaitable_poll(opening.awaitable.get(), context, &result);
    if (is_waiting_) return pending;
    opening.opened = PyRef::borrow(result);
    return result;
  }

 private:
  PyObject* self_;
  bool is_waiting_ = false;
};

PyObject* opening_aenter(PyObject* self, PyObject* /*unused*/) {
  return awaitable_new(state_of_box(self), "__aenter__", self, Enter(self), AsIs());
}

PyObject* opening_aexit(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  const PyRef opened = std::move(opening_of(self).opened);
  if (!opened) {
    PyErr_SetString(PyExc_RuntimeError, "it was not entered");
    return nullptr;
  }
  const PyRef exit = PyRef::steal(PyObject_GetAttrString(opened.get(), "__aexit__"));
  if (!exit) return nullptr;
  return PyObject_Vectorcall(exit.get(), args, static_cast<std::size_t>(nargs), nullptr);
}

PyObject* opening_await(PyObject* self) {
  return Py_NewRef(opening_of(self).awaitable.get());
}

PySendResult opening_send(PyObject* self, PyObject* value, PyObject** result) {
  return PyIter_Send(opening_of(self).awaitable.get(), value, result);
}

// The rest of a coroutine, for create_task().
PyObject* method_send(PyObject* self, PyObject* value) {
  return PyObject_CallMethod(opening_of(self).awaitable.get(), "send", "O", value);
}
PyObject* method_throw(PyObject* self, PyObject* args) {
  const PyRef method =
      PyRef::steal(PyObject_GetAttrString(opening_of(self).awaitable.get(), "throw"));
  return method ? PyObject_Call(method.get(), args, nullptr) : nullptr;
}
PyObject* method_close(PyObject* self, PyObject* /*unused*/) {
  return PyObject_CallMethod(opening_of(self).awaitable.get(), "close", nullptr);
}

PyMethodDef methods[] = {
    {"send", method_send, METH_O, PyDoc_STR("As coroutine.send().")},
    {"throw", method_throw, METH_VARARGS, PyDoc_STR("As coroutine.throw().")},
    {"close", method_close, METH_NOARGS, PyDoc_STR("As coroutine.close().")},
    {"__aenter__", opening_aenter, METH_NOARGS, nullptr},
    {"__aexit__", fast(opening_aexit), METH_FASTCALL, nullptr},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_am_await, slot(opening_await)},
    {Py_am_send, slot(opening_send)},
    {0, nullptr},
};

}  // namespace

PyObject* make_opening(ModuleState& state, PyObject* awaitable) noexcept {
  if (awaitable == nullptr) return nullptr;
  return Box<Opening>::make(state, state.opening_type, awaitable);
}

int fs_opening_register(PyObject* module, ModuleState& state) noexcept {
  state.opening_type = box_register<Opening>(
      module, {.name = "blitzio.fs.Opening",
               .doc = "Await it for its result, or enter it with `async with`.",
               .methods = methods,
               .more = slots,
               .home = state.fs_module});
  return state.opening_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

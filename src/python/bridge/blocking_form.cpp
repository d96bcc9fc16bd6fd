#include <python/bridge/blocking_form.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace blitzio::python {

bool TimedArguments::take_timeout(const char* method, bool is_only) noexcept {
  if (is_only && count_ == 1 && !names_) {
    count_ = 0;
    return parse_timeout(args_[0], &limit_);
  }
  const Py_ssize_t names = names_ ? PyTuple_GET_SIZE(names_.get()) : 0;
  Py_ssize_t at = 0;
  while (at < names &&
         PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names_.get(), at), "timeout") != 0) {
    ++at;
  }
  if (at == names) return true;
  if (!parse_timeout(args_[count_ + at], &limit_)) return false;
  if (names == 1) {
    names_.reset();
    return true;
  }
  const Py_ssize_t values = count_ + names;
  if (values > static_cast<Py_ssize_t>(kept_.size())) {
    PyErr_Format(PyExc_TypeError, "%s() got too many arguments: %zd", method, values);
    return false;
  }
  std::copy_n(args_, count_ + at, kept_.begin());
  std::copy_n(args_ + count_ + at + 1, names - at - 1, kept_.begin() + count_ + at);
  args_ = kept_.data();
  PyRef others = PyRef::steal(PyTuple_New(names - 1));
  if (!others) return false;
  for (Py_ssize_t i = 0; i < names - 1; ++i) {
    PyTuple_SET_ITEM(others.get(), i,
                     Py_NewRef(PyTuple_GET_ITEM(names_.get(), i < at ? i : i + 1)));
  }
  names_ = std::move(others);
  return true;
}

bool TimedArguments::are_positional(const char* method, Py_ssize_t positional) const noexcept {
  if (names_) {
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", method,
                 PyTuple_GET_ITEM(names_.get(), 0));
    return false;
  }
  if (positional == kAnyCount || count_ == positional) return true;
  PyErr_Format(PyExc_TypeError, "%s() takes %zd positional arguments but %zd were given", method,
               positional, count_);
  return false;
}

namespace {

ModuleState& state_of_callee(PyObject* self) noexcept {
  if (PyModule_Check(self)) return *static_cast<ModuleState*>(PyModule_GetState(self));
  return state_of_type(PyType_Check(self) != 0 ? reinterpret_cast<PyTypeObject*>(self)
                                               : Py_TYPE(self));
}

BlockingName name_of(PyObject* self, const char* call) noexcept {
  if (PyModule_Check(self)) return call;
  const char* const type = PyType_Check(self) != 0 ? reinterpret_cast<PyTypeObject*>(self)->tp_name
                                                   : Py_TYPE(self)->tp_name;
  const char* const dot = std::strrchr(type, '.');
  return {dot == nullptr ? type : dot + 1, call};
}

}  // namespace

PyObject* detail::run_blocking_call(PyObject* self, const char* call, TimedArguments arguments,
                                    bool has_parameters, MakeAwaitable make) noexcept {
  ModuleState& state = state_of_callee(self);
  const BlockingName name = name_of(self, call);
  // Before the awaitable is made, which then would have been for nothing.
  if (!may_block(state, name) || !arguments.take_timeout(call, !has_parameters)) return nullptr;
  PyRef awaitable = PyRef::steal(make(self, arguments));
  if (!awaitable) return nullptr;
  return wait_blocking(state, name, std::move(awaitable), arguments.limit());
}

}  // namespace blitzio::python

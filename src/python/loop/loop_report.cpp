// What becomes of an exception that no caller of Python's is there for.
#include <python/loop/loop.hpp>
#include <python/support/error.hpp>

#include <initializer_list>
#include <utility>

namespace blitzio::python {

void loop_set_fatal(LoopObject& loop, PyRef exception) noexcept {
  if (loop.fatal == nullptr) loop.fatal = exception.release();
}

void loop_report_exception(LoopObject& loop, const char* message,
                           std::initializer_list<ContextItem> items) noexcept {
  PyRef exception = take_exception();
  if (!exception) return;
  if (is_fatal_exception(exception.get())) {
    loop_set_fatal(loop, std::move(exception));
    return;
  }
  const Names& names = loop.state->names;
  PyObject* self = reinterpret_cast<PyObject*>(&loop);
  const PyRef context = PyRef::steal(PyDict_New());
  const PyRef text = PyRef::steal(PyUnicode_FromString(message));
  bool complete = context && text &&
                  PyDict_SetItem(context.get(), names.message, text.get()) == 0 &&
                  PyDict_SetItem(context.get(), names.exception, exception.get()) == 0;
  for (const ContextItem& item : items) {
    if (!complete || item.value == nullptr) continue;
    complete = PyDict_SetItem(context.get(), item.key, item.value) == 0;
  }
  const PyRef done = complete ? PyRef::steal(PyObject_CallMethodOneArg(
                                    self, names.call_exception_handler, context.get()))
                              : PyRef();
  if (done) return;
  PyRef second = take_exception();
  if (second && is_fatal_exception(second.get())) {
    loop_set_fatal(loop, std::move(second));
  } else if (second) {
    restore_exception(std::move(second));
    PyErr_WriteUnraisable(self);
  }
}

}  // namespace blitzio::python

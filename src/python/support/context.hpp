// `call_in_context()`: what Context.run() does, for calls made natively.
#pragma once

#include <python/support/error.hpp>
#include <python/support/py_ref.hpp>

#include <utility>

namespace blitzio::python {

/// Returns call()'s new reference; null with its error set, or with RuntimeError if `context` has
/// been entered already.
template <class Call>
[[nodiscard]] PyRef call_in_context(PyObject* context, Call&& call) noexcept {
  if (PyContext_Enter(context) != 0) return {};
  PyRef result = std::forward<Call>(call)();
  PyRef exception = result ? PyRef() : take_exception();
  // Cannot fail for a context that was entered here.
  if (PyContext_Exit(context) != 0 && !exception) return {};
  if (exception) restore_exception(std::move(exception));
  return result;
}

}  // namespace blitzio::python

#include <python/bindings/signal.hpp>

#include <blitzio/signal/signal_set.hpp>
#include <python/bindings/box.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/support/error.hpp>
#include <python/support/ft.hpp>

#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace blitzio::python {

namespace {

/// The box holds a pointer: a set has listeners, which cannot move.
using SetBox = Box<std::unique_ptr<signal::SignalSet>>;

signal::SignalSet& set_of(PyObject* self) noexcept {
  return *SetBox::of(self).value;
}

signal::Former to_former(int is_silent) noexcept {
  return is_silent != 0 ? signal::Former::silent : signal::Former::called;
}

/// The signal's number, or None once closed.
constexpr auto kNumber = [](std::optional<int> number) noexcept {
  return number ? PyLong_FromLong(*number) : Py_NewRef(Py_None);
};

bool to_numbers(PyObject* object, std::vector<int>& numbers) {
  const PyRef sequence = PyRef::steal(PySequence_Tuple(object));
  if (!sequence) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sequence.get()); ++i) {
    int number = 0;
    if (PyArg_Parse(PyTuple_GET_ITEM(sequence.get(), i), "i", &number) == 0) return false;
    numbers.push_back(number);
  }
  return true;
}

PyObject* set_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"", "silent", nullptr};
  PyObject* given = nullptr;
  int is_silent = 0;
  if (PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p:SignalSet", const_cast<char**>(keywords),
                                  &given, &is_silent) == 0) {
    return nullptr;
  }
  try {
    std::vector<int> numbers;
    if (!to_numbers(given, numbers)) return nullptr;
    auto set = signal::SignalSet::listen(numbers, to_former(is_silent));
    if (!set) return raise_error(set.error(), "signal");
    return SetBox::make(state_of_type(type), type, std::move(*set));
  } catch (const std::exception&) {
    return PyErr_NoMemory();
  }
}

PyObject* set_next(PyObject* self, PyObject* /*unused*/) {
  return awaitable_new(*SetBox::of(self).state, "SignalSet.next", self, set_of(self).next(),
                       kNumber);
}

PyObject* set_try_next(PyObject* self, PyObject* /*unused*/) {
  return kNumber(set_of(self).try_next());
}

PyObject* set_take_back(PyObject* self, PyObject* args) {
  int number = 0;
  int is_silent = 0;
  if (PyArg_ParseTuple(args, "ip:take_back", &number, &is_silent) == 0) return nullptr;
  const ObjectLock lock(self);
  set_of(self).take_back(number, to_former(is_silent));
  Py_RETURN_NONE;
}

PyObject* set_close(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  set_of(self).close();
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"next", set_next, METH_NOARGS,
     PyDoc_STR("next($self)\n--\n\nWait for the next signal; None once closed.")},
    {"try_next", set_try_next, METH_NOARGS,
     PyDoc_STR("try_next($self)\n--\n\nA signal that has arrived, or None.")},
    {"take_back", set_take_back, METH_VARARGS,
     PyDoc_STR("take_back($self, number, silent, /)\n--\n\n"
               "Hear of a signal again after somebody has installed another handler.")},
    {"close", set_close, METH_NOARGS, PyDoc_STR("close($self)\n--\n\nStop listening.")},
    {nullptr, nullptr, 0, nullptr},
};

PyObject* in_main_interpreter(PyObject* /*module*/, PyObject* /*unused*/) noexcept {
  return PyBool_FromLong(PyInterpreterState_Get() == PyInterpreterState_Main() ? 1 : 0);
}

PyMethodDef functions[] = {
    {"_in_main_interpreter", in_main_interpreter, METH_NOARGS,
     PyDoc_STR(
         "_in_main_interpreter()\n--\n\nWhether signal handlers of Python are the caller's.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int signal_register(PyObject* module, ModuleState& state) noexcept {
  state.signal_set_type = box_register<std::unique_ptr<signal::SignalSet>>(
      module, {.name = "blitzio._native.SignalSet",
               .doc = "Hears of signals; see blitzio.signal.",
               .create = set_new,
               .methods = methods});
  if (state.signal_set_type == nullptr) return -1;
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python

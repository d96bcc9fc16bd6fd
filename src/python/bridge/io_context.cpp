#include <blitzio/driver/driver.hpp>
#include <python/bridge/io_context.hpp>
#include <python/bridge/per_loop.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/running_loop.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>
#include <memory>

// offsetof of a class with C++ members is conditionally supported: GCC and Clang define it for
// every class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace blitzio::python {

namespace {

struct ForeignDriverObject {
  PyObject_HEAD std::unique_ptr<driver::Driver>* driver;  ///< own
  PyObject* module;                                       ///< strong
  PyObject* weakrefs;
};

ForeignDriverObject& as_foreign(PyObject* self) noexcept {
  return *reinterpret_cast<ForeignDriverObject*>(self);
}

driver::Driver& driver_of(PyObject* self) noexcept {
  return **as_foreign(self).driver;
}

// The loop's reader: the epoll set has events.
PyObject* foreign_call(PyObject* self, PyObject* /*args*/, PyObject* /*kwargs*/) {
  const PyRef keep = PyRef::borrow(self);  // What is dispatched may close the loop.
  driver_of(self).nested_turn();
  Py_RETURN_NONE;
}

int foreign_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_foreign(self).module);
  return 0;
}

void foreign_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  ForeignDriverObject& foreign = as_foreign(self);
  if (foreign.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  PyRef exception = take_exception();
  // Ends what waits: its tasks are woken, and find the loop closed.
  delete foreign.driver;
  if (exception) restore_exception(std::move(exception));
  PyObject* module = foreign.module;
  free_instance(self);
  Py_DECREF(module);
}

/// A new ForeignDriver that `loop` watches. Null with an error set.
PyRef make_foreign_driver(ModuleState& state, PyObject* loop) noexcept {
  auto driver = driver::create({.backend = driver::Backend::epoll});
  if (!driver) return PyRef::steal(raise_error(driver.error(), "epoll"));
  PyRef self = PyRef::steal(state.foreign_driver_type->tp_alloc(state.foreign_driver_type, 0));
  if (!self) return self;
  as_foreign(self.get()).module = Py_NewRef(state.module);
  as_foreign(self.get()).driver =
      new (std::nothrow) std::unique_ptr<driver::Driver>(std::move(*driver));
  if (as_foreign(self.get()).driver == nullptr) return PyRef::steal(PyErr_NoMemory());
  if (auto bound = driver_of(self.get()).bind(); !bound) {
    return PyRef::steal(raise_error(bound.error(), "epoll"));
  }
  driver_of(self.get()).nested_turn();
  const PyRef added = PyRef::steal(
      PyObject_CallMethod(loop, "add_reader", "iO", driver_of(self.get()).nested_fd(), self.get()));
  if (!added) return {};
  return self;
}

PyMemberDef foreign_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ForeignDriverObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

void IoContext::enter_foreign(ModuleState& state) noexcept {
  const PyRef loop = running_loop(state);
  if (!loop) return;
  if (loop.get() == Py_None) {
    PyErr_SetString(PyExc_RuntimeError, "no running event loop");
    return;
  }
  const PyRef foreign = per_loop(state, state.foreign_drivers, loop.get(), make_foreign_driver);
  if (!foreign) return;
  // The loop keeps it: nothing that is polled can close a running loop.
  entered_ = &driver_of(foreign.get());
  scope_.enter(*entered_, true);
}

void IoContext::leave_foreign() noexcept {
  scope_.leave();
  // What completed at once is dispatched in a turn of its own.
  if (entered_->has_completions()) entered_->wake();
}

int io_context_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Waits for I/O below a loop of others.")},
      {Py_tp_dealloc, slot(foreign_dealloc)},
      {Py_tp_traverse, slot(foreign_traverse)},
      {Py_tp_call, slot(foreign_call)},
      {Py_tp_members, foreign_members},
      {0, nullptr},
  };
  if (make_type(module, &state.foreign_driver_type,
                {.name = "blitzio._native.ForeignDriver",
                 .bytes = sizeof(ForeignDriverObject),
                 .flags = kInternalType,
                 .slots = slots}) != 0) {
    return -1;
  }
  state.foreign_drivers = new_weak_values();
  return state.foreign_drivers == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/notify.hpp>
#include <python/bindings/box.hpp>
#include <python/bindings/sync_events.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/support/integer.hpp>

namespace blitzio::python {

namespace {

// ---- Notify -------------------------------------------------------------------------------------

using NotifyBox = Box<sync::Notify>;

PyObject* notify_wait(PyObject* self, PyObject* /*unused*/) {
  NotifyBox& box = NotifyBox::of(self);
  return awaitable_new(*box.state, "Notify.wait", self, box.value.wait());
}

PyObject* notify_blocking_wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                               PyObject* kwnames) {
  NotifyBox& box = NotifyBox::of(self);
  TimeLimit limit;
  if (!parse_timeout("blocking_wait", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(*box.state, "Notify.blocking_wait", box.value.wait(), limit);
}

PyObject* notify_try_wait(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(NotifyBox::of(self).value.try_wait() ? 1 : 0);
}

PyObject* notify_notify_one(PyObject* self, PyObject* /*unused*/) {
  NotifyBox::of(self).value.notify_one();
  Py_RETURN_NONE;
}

PyObject* notify_notify_all(PyObject* self, PyObject* /*unused*/) {
  NotifyBox::of(self).value.notify_all();
  Py_RETURN_NONE;
}

PyObject* notify_repr(PyObject* self) {
  sync::Notify& notify = NotifyBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.sync.Notify [%s, waiters:%zu]>",
                              notify.is_notified() ? "notified" : "empty", notify.waiter_count());
}

PyType_Slot notify_slots[] = {{Py_tp_repr, slot(notify_repr)}, {0, nullptr}};

PyMethodDef notify_methods[] = {
    {"wait", notify_wait, METH_NOARGS, PyDoc_STR("wait($self)\n--\n\nWait for a notification.")},
    {"try_wait", notify_try_wait, METH_NOARGS,
     PyDoc_STR("try_wait($self)\n--\n\nTake a remembered notification. Returns whether it did.")},
    {"blocking_wait", fast(notify_blocking_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_wait($self, timeout=None)\n--\n\nwait() for threads.")},
    {"notify_one", notify_notify_one, METH_NOARGS,
     PyDoc_STR("notify_one($self)\n--\n\nWake the first waiter, or let the next one not wait.")},
    {"notify_all", notify_notify_all, METH_NOARGS,
     PyDoc_STR("notify_all($self)\n--\n\nWake everybody who waits now.")},
    {nullptr, nullptr, 0, nullptr},
};

// ---- Event --------------------------------------------------------------------------------------

using EventBox = Box<sync::Event>;

PyObject* event_wait(PyObject* self, PyObject* /*unused*/) {
  EventBox& box = EventBox::of(self);
  return awaitable_new(*box.state, "Event.wait", self, box.value.wait());
}

PyObject* event_blocking_wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                              PyObject* kwnames) {
  EventBox& box = EventBox::of(self);
  TimeLimit limit;
  if (!parse_timeout("blocking_wait", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(*box.state, "Event.blocking_wait", box.value.wait(), limit);
}

PyObject* event_is_set(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(EventBox::of(self).value.is_set() ? 1 : 0);
}

PyObject* event_set(PyObject* self, PyObject* /*unused*/) {
  EventBox::of(self).value.set();
  Py_RETURN_NONE;
}

PyObject* event_clear(PyObject* self, PyObject* /*unused*/) {
  EventBox::of(self).value.clear();
  Py_RETURN_NONE;
}

PyObject* event_repr(PyObject* self) {
  sync::Event& event = EventBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.sync.Event [%s, waiters:%zu]>",
                              event.is_set() ? "set" : "unset", event.waiter_count());
}

PyType_Slot event_slots[] = {{Py_tp_repr, slot(event_repr)}, {0, nullptr}};

PyMethodDef event_methods[] = {
    {"wait", event_wait, METH_NOARGS, PyDoc_STR("wait($self)\n--\n\nWait until it is set.")},
    {"blocking_wait", fast(event_blocking_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_wait($self, timeout=None)\n--\n\nwait() for threads.")},
    {"is_set", event_is_set, METH_NOARGS, PyDoc_STR("is_set($self)\n--\n\n")},
    {"set", event_set, METH_NOARGS,
     PyDoc_STR("set($self)\n--\n\nLet everybody go who waits, and who comes until clear().")},
    {"clear", event_clear, METH_NOARGS,
     PyDoc_STR("clear($self)\n--\n\nWho comes from now on waits.")},
    {nullptr, nullptr, 0, nullptr},
};

// ---- Barrier ------------------------------------------------------------------------------------

using BarrierBox = Box<sync::Barrier>;

PyObject* barrier_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"parties", nullptr};
  PyObject* object = nullptr;
  std::uint32_t parties = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Barrier", const_cast<char**>(keywords),
                                   &object) ||
      !parse_integer(object, "parties", 1, INT32_MAX, &parties)) {
    return nullptr;
  }
  return BarrierBox::make(state_of_type(type), type, parties);
}

constexpr auto kIsLeader = [](sync::BarrierResult result) noexcept {
  return PyBool_FromLong(result.is_leader ? 1 : 0);
};

PyObject* barrier_wait(PyObject* self, PyObject* /*unused*/) {
  BarrierBox& box = BarrierBox::of(self);
  return awaitable_new(*box.state, "Barrier.wait", self, box.value.wait(), kIsLeader);
}

PyObject* barrier_blocking_wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) {
  BarrierBox& box = BarrierBox::of(self);
  TimeLimit limit;
  if (!parse_timeout("blocking_wait", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(*box.state, "Barrier.blocking_wait", box.value.wait(), limit, kIsLeader);
}

PyObject* barrier_parties(PyObject* self, void* /*unused*/) {
  return PyLong_FromUnsignedLong(BarrierBox::of(self).value.parties());
}

PyObject* barrier_repr(PyObject* self) {
  sync::Barrier& barrier = BarrierBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.sync.Barrier [waiters:%zu/%u]>", barrier.waiter_count(),
                              static_cast<unsigned>(barrier.parties()));
}

PyType_Slot barrier_slots[] = {{Py_tp_repr, slot(barrier_repr)}, {0, nullptr}};

PyMethodDef barrier_methods[] = {
    {"wait", barrier_wait, METH_NOARGS,
     PyDoc_STR("wait($self)\n--\n\nWait for all. True for the one that came last.")},
    {"blocking_wait", fast(barrier_blocking_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_wait($self, timeout=None)\n--\n\nwait() for threads.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef barrier_attributes[] = {
    {"parties", barrier_parties, nullptr, PyDoc_STR("How many go on together."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

int events_register(PyObject* module, ModuleState& /*state*/) noexcept {
  // The module keeps them.
  const PyRef notify = PyRef::steal(reinterpret_cast<PyObject*>(
      box_register<sync::Notify>(module, {.name = "blitzio.sync.Notify",
                                          .doc = "Notify()\n--\n\nWakes a waiter, or remembers to.",
                                          .create = box_new<sync::Notify>,
                                          .methods = notify_methods,
                                          .more = notify_slots})));
  const PyRef event = PyRef::steal(reinterpret_cast<PyObject*>(
      box_register<sync::Event>(module, {.name = "blitzio.sync.Event",
                                         .doc = "Event()\n--\n\nA flag that is waited for.",
                                         .create = box_new<sync::Event>,
                                         .methods = event_methods,
                                         .more = event_slots})));
  const PyRef barrier = PyRef::steal(reinterpret_cast<PyObject*>(box_register<sync::Barrier>(
      module, {.name = "blitzio.sync.Barrier",
               .doc = "Barrier(parties)\n--\n\nLets its parties go on together.",
               .create = barrier_new,
               .methods = barrier_methods,
               .attributes = barrier_attributes,
               .more = barrier_slots})));
  return notify && event && barrier ? 0 : -1;
}

}  // namespace blitzio::python

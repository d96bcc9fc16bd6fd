// `blitzio.channel.Watch` and its receivers.
#include <blitzio/channel/watch.hpp>
#include <python/bindings/channel_receiver.hpp>
#include <python/bindings/channel_values.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>

namespace blitzio::python {

namespace {

using Values = channel::Watch<SharedRef>;

class PyWatch {
 public:
  explicit PyWatch(PyObject* initial) noexcept : watch_(SharedRef(initial)) {}
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(look());
    return 0;
  }
  void clear() noexcept {
    // Nobody else can reach it any more, so the value may be taken out behind the core's back.
    const PyRef dropped = watch_.borrow(
        [](const SharedRef& value) noexcept { return const_cast<SharedRef&>(value).take(); });
  }
  [[nodiscard]] Values* operator->() noexcept { return &watch_; }

 private:
  /// Borrowed.
  PyObject* look() noexcept {
    return watch_.borrow([](const SharedRef& value) noexcept { return value.get(); });
  }
  Values watch_;
};

using WatchBox = Box<PyWatch>;

using PyReceiver = ChannelReceiver<PyWatch, Values::Receiver>;

using ReceiverBox = Box<PyReceiver>;

using Changed = ReceiverWait<Values::Receiver::Changed>;

Changed wait_for_change(PyObject* self) noexcept {
  return {self, ReceiverBox::of(self).value->changed()};
}

auto changed(ModuleState& state, const char* what) noexcept {
  return [&state, what](bool is_news) noexcept -> PyObject* {
    return is_news ? Py_NewRef(Py_None) : raise_closed(state, what);
  };
}

PyObject* receiver_changed(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = *ReceiverBox::of(self).state;
  return awaitable_new(state, "WatchReceiver.changed", self, wait_for_change(self),
                       changed(state, "changed"));
}

PyObject* receiver_blocking_changed(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                    PyObject* kwnames) {
  ModuleState& state = *ReceiverBox::of(self).state;
  TimeLimit limit;
  if (!parse_timeout("blocking_changed", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(state, "WatchReceiver.blocking_changed", wait_for_change(self), limit,
                       changed(state, "blocking_changed"));
}

PyObject* receiver_has_changed(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  return PyBool_FromLong(ReceiverBox::of(self).value->has_changed() ? 1 : 0);
}

PyObject* receiver_borrow(PyObject* self, PyObject* /*unused*/) {
  return ReceiverBox::of(self).value->get().to_python();
}

PyObject* receiver_borrow_and_update(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  return ReceiverBox::of(self).value->get_and_update().to_python();
}

PyObject* receiver_repr(PyObject* self) {
  const ObjectLock lock(self);
  const bool has_changed = ReceiverBox::of(self).value->has_changed();
  return PyUnicode_FromFormat("<blitzio.channel.WatchReceiver [%s]>",
                              has_changed ? "changed" : "unchanged");
}

PyType_Slot receiver_slots[] = {{Py_tp_repr, slot(receiver_repr)}, {0, nullptr}};

PyMethodDef receiver_methods[] = {
    {"changed", receiver_changed, METH_NOARGS,
     PyDoc_STR("changed($self)\n--\n\nWait for a value not seen yet; Closed.")},
    {"blocking_changed", fast(receiver_blocking_changed), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_changed($self, timeout=None)\n--\n\nchanged() for threads.")},
    {"has_changed", receiver_has_changed, METH_NOARGS,
     PyDoc_STR("has_changed($self)\n--\n\nWhether there is a value not seen yet.")},
    {"borrow", receiver_borrow, METH_NOARGS, PyDoc_STR("borrow($self)\n--\n\nThe value.")},
    {"borrow_and_update", receiver_borrow_and_update, METH_NOARGS,
     PyDoc_STR("borrow_and_update($self)\n--\n\nThe value, which is seen now.")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyObject* watch_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"initial", nullptr};
  PyObject* initial = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Watch", const_cast<char**>(keywords),
                                   &initial)) {
    return nullptr;
  }
  return WatchBox::make(state_of_type(type), type, initial);
}

PyObject* watch_send(PyObject* self, PyObject* value) {
  WatchBox& box = WatchBox::of(self);
  if (box.value->send(SharedRef(value))) Py_RETURN_NONE;
  return raise_closed(*box.state, "send");
}

/// Puts what `change(value)` gives in the value's place. The call is made without the core's lock,
/// so it is repeated where somebody else has sent meanwhile.
/// Returns  1, 0 if `is_optional` and it gave the value itself back, or -1 with an error set.
int replace(PyObject* self, const char* what, PyObject* change, bool is_optional) noexcept {
  WatchBox& box = WatchBox::of(self);
  for (;;) {
    if (box.value->is_closed()) break;
    const SharedRef before = box.value->get();
    PyObject* given = before.get() == nullptr ? Py_None : before.get();
    SharedRef after(PyRef::steal(PyObject_CallOneArg(change, given)));
    if (after.get() == nullptr) return -1;
    if (is_optional && after.get() == given) return 0;
    bool is_same = true;
    // Out of the lock, for its last reference may be this one.
    SharedRef replaced(nullptr);
    const bool is_sent = box.value->send_if_modified([&](SharedRef& current) noexcept {
      is_same = current.get() == before.get();
      if (is_same) replaced = std::exchange(current, std::move(after));
      return is_same;
    });
    if (is_sent) return 1;
    if (is_same) break;  // It was closed meanwhile.
  }
  raise_closed(*box.state, what);
  return -1;
}

PyObject* watch_send_modify(PyObject* self, PyObject* change) {
  return replace(self, "send_modify", change, false) < 0 ? nullptr : Py_NewRef(Py_None);
}

PyObject* watch_send_if_modified(PyObject* self, PyObject* change) {
  const int is_sent = replace(self, "send_if_modified", change, true);
  return is_sent < 0 ? nullptr : PyBool_FromLong(is_sent);
}

PyObject* watch_borrow(PyObject* self, PyObject* /*unused*/) {
  return WatchBox::of(self).value->get().to_python();
}

PyObject* watch_subscribe(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = *WatchBox::of(self).state;
  return ReceiverBox::make(state, state.watch_receiver_type, self);
}

PyObject* watch_close(PyObject* self, PyObject* /*unused*/) {
  WatchBox::of(self).value->close();
  Py_RETURN_NONE;
}

PyObject* watch_is_closed(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(WatchBox::of(self).value->is_closed() ? 1 : 0);
}

PyObject* watch_repr(PyObject* self) {
  return PyUnicode_FromFormat("<blitzio.channel.Watch [%s]>",
                              WatchBox::of(self).value->is_closed() ? "closed" : "open");
}

PyType_Slot watch_slots[] = {{Py_tp_repr, slot(watch_repr)}, {0, nullptr}};

PyMethodDef watch_methods[] = {
    {"send", watch_send, METH_O,
     PyDoc_STR("send($self, value, /)\n--\n\nReplace the value and tell the receivers; Closed.")},
    {"send_modify", watch_send_modify, METH_O,
     PyDoc_STR("send_modify($self, change, /)\n--\n\nReplace the value by change(value); Closed.")},
    {"send_if_modified", watch_send_if_modified, METH_O,
     PyDoc_STR("send_if_modified($self, change, /)\n--\n\n"
               "That, unless it is the same value; whether it was another.")},
    {"borrow", watch_borrow, METH_NOARGS, PyDoc_STR("borrow($self)\n--\n\nThe value.")},
    {"subscribe", watch_subscribe, METH_NOARGS,
     PyDoc_STR("subscribe($self)\n--\n\nA receiver that has seen the present value.")},
    {"close", watch_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nNo more values: who waits is told.")},
    {"is_closed", watch_is_closed, METH_NOARGS, PyDoc_STR("is_closed($self)\n--\n\n")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int watch_register(PyObject* module, ModuleState& state) noexcept {
  state.watch_receiver_type =
      box_register<PyReceiver>(module, {.name = "blitzio.channel.WatchReceiver",
                                        .doc = "Learns of the changes of a Watch.",
                                        .methods = receiver_methods,
                                        .more = receiver_slots});
  const PyRef type = PyRef::steal(reinterpret_cast<PyObject*>(
      box_register<PyWatch>(module, {.name = "blitzio.channel.Watch",
                                     .doc = "Watch(initial)\n--\n\nThe latest value of something.",
                                     .create = watch_new,
                                     .methods = watch_methods,
                                     .more = watch_slots})));
  return state.watch_receiver_type != nullptr && type ? 0 : -1;
}

}  // namespace blitzio::python

// `blitzio.channel.Broadcast` and its receivers.
#include <blitzio/channel/broadcast.hpp>
#include <python/bindings/channel_receiver.hpp>
#include <python/bindings/channel_values.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/support/integer.hpp>

namespace blitzio::python {

namespace {

using Values = channel::Broadcast<SharedRef>;
using Kind = channel::BroadcastError::Kind;

class PyBroadcast {
 public:
  explicit PyBroadcast(std::size_t capacity) : channel_(capacity) {}
  int traverse(visitproc visit, void* arg) noexcept {
    int outcome = 0;
    channel_.for_each([&](SharedRef& value) noexcept {
      if (outcome == 0 && value.get() != nullptr) outcome = visit(value.get(), arg);
    });
    return outcome;
  }
  void clear() noexcept {
    channel_.for_each([](SharedRef& value) noexcept { const PyRef dropped = value.take(); });
  }
  [[nodiscard]] Values* operator->() noexcept { return &channel_; }

 private:
  Values channel_;
};

using BroadcastBox = Box<PyBroadcast>;

using PyReceiver = ChannelReceiver<PyBroadcast, Values::Receiver>;

using ReceiverBox = Box<PyReceiver>;

using Receive = ReceiverWait<Values::Receiver::Recv>;

Receive receive(PyObject* self) noexcept {
  return {self, ReceiverBox::of(self).value->recv()};
}

PyObject* deliver(ModuleState& state, const char* what, Receive::Output&& value) noexcept {
  if (value) return std::move(*value).to_python();
  switch (value.error().kind) {
    case Kind::empty:
      return raise_empty(state, what);
    case Kind::closed:
      return raise_closed(state, what);
    case Kind::lagged:
      break;
  }
  return raise_lagged(state, value.error().missed);
}

auto received(ModuleState& state, const char* what) noexcept {
  return [&state, what](Receive::Output value) noexcept {
    return deliver(state, what, std::move(value));
  };
}

PyObject* receiver_recv(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = *ReceiverBox::of(self).state;
  return awaitable_new(state, "BroadcastReceiver.recv", self, receive(self),
                       received(state, "recv"));
}

PyObject* receiver_try_recv(PyObject* self, PyObject* /*unused*/) {
  ReceiverBox& box = ReceiverBox::of(self);
  const ObjectLock lock(self);
  return deliver(*box.state, "try_recv", box.value->try_recv());
}

PyObject* receiver_blocking_recv(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                 PyObject* kwnames) {
  ModuleState& state = *ReceiverBox::of(self).state;
  TimeLimit limit;
  if (!parse_timeout("blocking_recv", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(state, "BroadcastReceiver.blocking_recv", receive(self), limit,
                       received(state, "blocking_recv"));
}

PyObject* receiver_anext(PyObject* self) {
  ModuleState& state = *ReceiverBox::of(self).state;
  return awaitable_new(state, "BroadcastReceiver.__anext__", self, receive(self),
                       [&state](Receive::Output value) noexcept -> PyObject* {
                         if (value || value.error().kind != Kind::closed) {
                           return deliver(state, "__anext__", std::move(value));
                         }
                         PyErr_SetNone(PyExc_StopAsyncIteration);
                         return nullptr;
                       });
}

Py_ssize_t receiver_length(PyObject* self) {
  const ObjectLock lock(self);
  return static_cast<Py_ssize_t>(ReceiverBox::of(self).value->size());
}

PyMethodDef receiver_methods[] = {
    {"recv", receiver_recv, METH_NOARGS,
     PyDoc_STR("recv($self)\n--\n\nWait for the next value; Closed or Lagged.")},
    {"try_recv", receiver_try_recv, METH_NOARGS,
     PyDoc_STR("try_recv($self)\n--\n\nThe next value; Empty, Closed or Lagged.")},
    {"blocking_recv", fast(receiver_blocking_recv), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_recv($self, timeout=None)\n--\n\nrecv() for threads.")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyObject* receiver_repr(PyObject* self) {
  return PyUnicode_FromFormat("<blitzio.channel.BroadcastReceiver [values:%zd]>",
                              receiver_length(self));
}

PyType_Slot receiver_slots[] = {
    {Py_tp_repr, slot(receiver_repr)},   {Py_sq_length, slot(receiver_length)},
    {Py_nb_bool, slot(always_true)},     {Py_am_aiter, slot(PyObject_SelfIter)},
    {Py_am_anext, slot(receiver_anext)}, {0, nullptr},
};

PyObject* broadcast_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"capacity", nullptr};
  PyObject* object = nullptr;
  std::size_t capacity = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Broadcast", const_cast<char**>(keywords),
                                   &object) ||
      !parse_integer(object, "capacity", 1, kCapacityMax, &capacity)) {
    return nullptr;
  }
  try {
    return BroadcastBox::make(state_of_type(type), type, capacity);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

PyObject* broadcast_send(PyObject* self, PyObject* value) {
  BroadcastBox& box = BroadcastBox::of(self);
  if (box.value->send(SharedRef(value))) Py_RETURN_NONE;
  return raise_closed(*box.state, "send");
}

PyObject* broadcast_subscribe(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = *BroadcastBox::of(self).state;
  return ReceiverBox::make(state, state.broadcast_receiver_type, self);
}

PyObject* broadcast_close(PyObject* self, PyObject* /*unused*/) {
  BroadcastBox::of(self).value->close();
  Py_RETURN_NONE;
}

PyObject* broadcast_is_closed(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(BroadcastBox::of(self).value->is_closed() ? 1 : 0);
}

PyObject* broadcast_capacity(PyObject* self, void* /*unused*/) {
  return PyLong_FromSize_t(BroadcastBox::of(self).value->capacity());
}

PyObject* broadcast_repr(PyObject* self) {
  PyBroadcast& broadcast = BroadcastBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.channel.Broadcast [%s, capacity:%zu]>",
                              broadcast->is_closed() ? "closed" : "open", broadcast->capacity());
}

PyType_Slot broadcast_slots[] = {{Py_tp_repr, slot(broadcast_repr)}, {0, nullptr}};

PyMethodDef broadcast_methods[] = {
    {"send", broadcast_send, METH_O,
     PyDoc_STR("send($self, value, /)\n--\n\nSend to every receiver; never waits. Closed.")},
    {"subscribe", broadcast_subscribe, METH_NOARGS,
     PyDoc_STR("subscribe($self)\n--\n\nA receiver of what is sent from now on.")},
    {"close", broadcast_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nReceivers get what is left and are then told.")},
    {"is_closed", broadcast_is_closed, METH_NOARGS, PyDoc_STR("is_closed($self)\n--\n\n")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef broadcast_attributes[] = {
    {"capacity", broadcast_capacity, nullptr, PyDoc_STR("How many values it keeps."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

int broadcast_register(PyObject* module, ModuleState& state) noexcept {
  state.broadcast_receiver_type =
      box_register<PyReceiver>(module, {.name = "blitzio.channel.BroadcastReceiver",
                                        .doc = "Receives what is sent to a Broadcast.",
                                        .methods = receiver_methods,
                                        .more = receiver_slots});
  const PyRef type = PyRef::steal(reinterpret_cast<PyObject*>(box_register<PyBroadcast>(
      module, {.name = "blitzio.channel.Broadcast",
               .doc = "Broadcast(capacity)\n--\n\nEvery receiver gets every value.",
               .create = broadcast_new,
               .methods = broadcast_methods,
               .attributes = broadcast_attributes,
               .more = broadcast_slots})));
  return state.broadcast_receiver_type != nullptr && type ? 0 : -1;
}

}  // namespace blitzio::python

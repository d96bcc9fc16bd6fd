// `blitzio.channel.Channel`.
#include <blitzio/channel/channel.hpp>
#include <python/bindings/box.hpp>
#include <python/bindings/channel_values.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/support/arguments.hpp>
#include <python/support/integer.hpp>

#include <limits>

namespace blitzio::python {

namespace {

class PyChannel {
 public:
  explicit PyChannel(std::size_t capacity) : channel_(capacity) {}

  int traverse(visitproc visit, void* arg) noexcept {
    int outcome = 0;
    channel_.for_each([&](PyRef& value) noexcept {
      if (outcome == 0) outcome = visit(value.get(), arg);
    });
    return outcome;
  }
  void clear() noexcept {
    while (channel_.try_recv()) {
    }
  }
  [[nodiscard]] channel::Channel<PyRef>& operator*() noexcept { return channel_; }
  [[nodiscard]] channel::Channel<PyRef>* operator->() noexcept { return &channel_; }

 private:
  channel::Channel<PyRef> channel_;
};

using ChannelBox = Box<PyChannel>;

PyObject* channel_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"capacity", nullptr};
  PyObject* object = nullptr;
  std::size_t capacity = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Channel", const_cast<char**>(keywords),
                                   &object) ||
      !parse_integer(object, "capacity", 1, kCapacityMax, &capacity)) {
    return nullptr;
  }
  try {
    return ChannelBox::make(state_of_type(type), type, capacity);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

// ---- sending ------------------------------------------------------------------------------------

/// Shows the collector what has not been sent yet.
class Send : public channel::Channel<PyRef>::Send {
 public:
  explicit Send(channel::Channel<PyRef>::Send send) noexcept
      : channel::Channel<PyRef>::Send(std::move(send)) {}
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(value().get());
    return 0;
  }
};

auto sent(ModuleState& state, const char* what) noexcept {
  return [&state, what](std::expected<void, PyRef> done) noexcept -> PyObject* {
    return done ? Py_NewRef(Py_None) : raise_closed(state, what);
  };
}

PyObject* channel_send(PyObject* self, PyObject* value) {
  ChannelBox& box = ChannelBox::of(self);
  return awaitable_new(*box.state, "Channel.send", self,
                       Send(box.value->send(PyRef::borrow(value))), sent(*box.state, "send"));
}

PyObject* channel_try_send(PyObject* self, PyObject* value) {
  ChannelBox& box = ChannelBox::of(self);
  switch (box.value->try_send(PyRef::borrow(value))) {
    case channel::SendStatus::sent:
      Py_RETURN_NONE;
    case channel::SendStatus::full:
      return raise_full(*box.state, "try_send");
    case channel::SendStatus::closed:
      break;
  }
  return raise_closed(*box.state, "try_send");
}

PyObject* channel_blocking_send(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) {
  static constexpr std::array kParameters{"value", "timeout"};
  ChannelBox& box = ChannelBox::of(self);
  Arguments arguments(args, nargs, kwnames);
  TimeLimit limit;
  if (!arguments.bind_all("blocking_send", kParameters, 1) ||
      !parse_timeout(arguments[1], &limit)) {
    return nullptr;
  }
  return wait_blocking(*box.state, "Channel.blocking_send",
                       box.value->send(PyRef::borrow(arguments[0])), limit,
                       sent(*box.state, "blocking_send"));
}

// ---- receiving ----------------------------------------------------------------------------------

auto received(ModuleState& state, const char* what) noexcept {
  return [&state, what](std::optional<PyRef> value) noexcept -> PyObject* {
    return value ? value->release() : raise_closed(state, what);
  };
}

PyObject* channel_recv(PyObject* self, PyObject* /*unused*/) {
  ChannelBox& box = ChannelBox::of(self);
  return awaitable_new(*box.state, "Channel.recv", self, box.value->recv(),
                       received(*box.state, "recv"));
}

PyObject* channel_try_recv(PyObject* self, PyObject* /*unused*/) {
  ChannelBox& box = ChannelBox::of(self);
  std::expected<PyRef, channel::RecvStatus> value = box.value->try_recv();
  if (BLITZIO_LIKELY(value.has_value())) return value->release();
  return value.error() == channel::RecvStatus::empty ? raise_empty(*box.state, "try_recv")
                                                     : raise_closed(*box.state, "try_recv");
}

PyObject* channel_blocking_recv(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) {
  ChannelBox& box = ChannelBox::of(self);
  TimeLimit limit;
  if (!parse_timeout("blocking_recv", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(*box.state, "Channel.blocking_recv", box.value->recv(), limit,
                       received(*box.state, "blocking_recv"));
}

PyObject* channel_anext(PyObject* self) {
  ChannelBox& box = ChannelBox::of(self);
  return awaitable_new(*box.state, "Channel.__anext__", self, box.value->recv(),
                       [](std::optional<PyRef> value) noexcept -> PyObject* {
                         if (value) return value->release();
                         PyErr_SetNone(PyExc_StopAsyncIteration);
                         return nullptr;
                       });
}

// ---- the rest -----------------------------------------------------------------------------------

PyObject* channel_close(PyObject* self, PyObject* /*unused*/) {
  ChannelBox::of(self).value->close();
  Py_RETURN_NONE;
}

PyObject* channel_is_closed(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(ChannelBox::of(self).value->is_closed() ? 1 : 0);
}

PyObject* channel_is_empty(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(ChannelBox::of(self).value->is_empty() ? 1 : 0);
}

PyObject* channel_is_full(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(ChannelBox::of(self).value->is_full() ? 1 : 0);
}

PyObject* channel_capacity(PyObject* self, void* /*unused*/) {
  return PyLong_FromSize_t(ChannelBox::of(self).value->capacity());
}

Py_ssize_t channel_length(PyObject* self) {
  return static_cast<Py_ssize_t>(ChannelBox::of(self).value->size());
}

PyMethodDef channel_methods[] = {
    {"send", channel_send, METH_O,
     PyDoc_STR("send($self, value, /)\n--\n\nSend, after waiting for room.")},
    {"try_send", channel_try_send, METH_O,
     PyDoc_STR("try_send($self, value, /)\n--\n\nSend now; Full or Closed.")},
    {"blocking_send", fast(channel_blocking_send), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_send($self, value, timeout=None)\n--\n\nsend() for threads.")},
    {"recv", channel_recv, METH_NOARGS,
     PyDoc_STR("recv($self)\n--\n\nWait for the oldest value; Closed.")},
    {"try_recv", channel_try_recv, METH_NOARGS,
     PyDoc_STR("try_recv($self)\n--\n\nThe oldest value; Empty or Closed.")},
    {"blocking_recv", fast(channel_blocking_recv), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_recv($self, timeout=None)\n--\n\nrecv() for threads.")},
    {"close", channel_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nNothing more can be sent; what was sent can be received.")},
    {"is_closed", channel_is_closed, METH_NOARGS, PyDoc_STR("is_closed($self)\n--\n\n")},
    {"is_empty", channel_is_empty, METH_NOARGS, PyDoc_STR("is_empty($self)\n--\n\n")},
    {"is_full", channel_is_full, METH_NOARGS, PyDoc_STR("is_full($self)\n--\n\n")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef channel_attributes[] = {
    {"capacity", channel_capacity, nullptr, PyDoc_STR("How many values it holds."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* channel_repr(PyObject* self) {
  PyChannel& channel = ChannelBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.channel.Channel [%s, values:%zu/%zu]>",
                              channel->is_closed() ? "closed" : "open", channel->size(),
                              channel->capacity());
}

PyType_Slot channel_slots[] = {
    {Py_tp_repr, slot(channel_repr)},   {Py_sq_length, slot(channel_length)},
    {Py_nb_bool, slot(always_true)},    {Py_am_aiter, slot(PyObject_SelfIter)},
    {Py_am_anext, slot(channel_anext)}, {0, nullptr},
};

}  // namespace

int channel_queue_register(PyObject* module, ModuleState& /*state*/) noexcept {
  const PyRef type = PyRef::steal(reinterpret_cast<PyObject*>(box_register<PyChannel>(
      module, {.name = "blitzio.channel.Channel",
               .doc = "Channel(capacity)\n--\n\nA bounded queue between tasks, threads and loops.",
               .create = channel_new,
               .methods = channel_methods,
               .attributes = channel_attributes,
               .more = channel_slots})));
  return type ? 0 : -1;  // The module keeps it.
}

}  // namespace blitzio::python

// `blitzio.channel.Oneshot`.
#include <blitzio/channel/oneshot.hpp>
#include <python/bindings/box.hpp>
#include <python/bindings/channel_values.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>

namespace blitzio::python {

namespace {

/// The core's has one sender and one receiver; this one holds any number of callers to that.
class PyOneshot {
 public:
  int traverse(visitproc visit, void* arg) noexcept {
    const PyRef* value = channel_.held();
    return value == nullptr ? 0 : visit(value->get(), arg);
  }
  void clear() noexcept { static_cast<void>(channel_.try_recv()); }
  /// Whether the caller is the one to send.
  [[nodiscard]] bool begin_send() noexcept {
    // Relaxed: only picks one; the channel publishes.
    return !has_sender_.exchange(true, std::memory_order_relaxed);
  }
  /// Whether the caller may receive now; end_recv() follows.
  [[nodiscard]] bool begin_recv() noexcept {
    // Acquire: one receiver comes after the other; pairs with the release in end_recv().
    return !is_receiving_.exchange(true, std::memory_order_acquire);
  }
  void end_recv() noexcept {
    // Release: see begin_recv().
    is_receiving_.store(false, std::memory_order_release);
  }
  /// A snapshot.
  [[nodiscard]] const char* state_name() const noexcept {
    if (channel_.is_closed()) return "closed";
    // Relaxed: nothing rides on it.
    return has_sender_.load(std::memory_order_relaxed) ? "sent" : "empty";
  }
  [[nodiscard]] channel::Oneshot<PyRef>* operator->() noexcept { return &channel_; }

 private:
  channel::Oneshot<PyRef> channel_;
  Atomic<bool> has_sender_{false};
  Atomic<bool> is_receiving_{false};
};

/// Receives for one that begin_recv() let in.
class Receive {
 public:
  using Output = std::optional<PyRef>;
  explicit Receive(PyOneshot& oneshot) noexcept : oneshot_(&oneshot), recv_(oneshot->recv()) {}
  Receive(Receive&& other) noexcept
      : oneshot_(std::exchange(other.oneshot_, nullptr)), recv_(std::move(other.recv_)) {}
  Receive(const Receive&) = delete;
  Receive& operator=(const Receive&) = delete;
  Receive& operator=(Receive&&) = delete;
  ~Receive() {
    recv_.reset();
    if (oneshot_ != nullptr) oneshot_->end_recv();
  }
  Poll<Output> poll(Context& context) noexcept { return recv_->poll(context); }

 private:
  PyOneshot* oneshot_;
  std::optional<channel::Oneshot<PyRef>::Recv> recv_;
};

using OneshotBox = Box<PyOneshot>;

PyObject* oneshot_send(PyObject* self, PyObject* value) {
  OneshotBox& box = OneshotBox::of(self);
  PyRef object = PyRef::borrow(value);
  if (box.value.begin_send() && box.value->send(std::move(object))) Py_RETURN_NONE;
  return PyErr_Format(box.state->closed_error,
                      "send: the channel is closed, or has had its value already");
}

PyObject* raise_receiving() noexcept {
  PyErr_SetString(PyExc_RuntimeError, "somebody else is receiving from this Oneshot");
  return nullptr;
}

auto received(ModuleState& state) noexcept {
  return [&state](std::optional<PyRef> value) noexcept -> PyObject* {
    return value ? value->release() : raise_closed(state, "recv");
  };
}

PyObject* oneshot_recv(PyObject* self, PyObject* /*unused*/) {
  OneshotBox& box = OneshotBox::of(self);
  if (!box.value.begin_recv()) return raise_receiving();
  return awaitable_new(*box.state, "Oneshot.recv", self, Receive(box.value), received(*box.state));
}

PyObject* oneshot_try_recv(PyObject* self, PyObject* /*unused*/) {
  OneshotBox& box = OneshotBox::of(self);
  if (!box.value.begin_recv()) return raise_receiving();
  std::expected<PyRef, channel::OneshotStatus> value = box.value->try_recv();
  box.value.end_recv();
  if (value) return value->release();
  return value.error() == channel::OneshotStatus::empty ? raise_empty(*box.state, "try_recv")
                                                        : raise_closed(*box.state, "try_recv");
}

PyObject* oneshot_blocking_recv(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) {
  OneshotBox& box = OneshotBox::of(self);
  TimeLimit limit;
  if (!parse_timeout("blocking_recv", args, nargs, kwnames, &limit)) return nullptr;
  if (!box.value.begin_recv()) return raise_receiving();
  return wait_blocking(*box.state, "Oneshot.blocking_recv", Receive(box.value), limit,
                       received(*box.state));
}

PyObject* oneshot_close(PyObject* self, PyObject* /*unused*/) {
  OneshotBox::of(self).value->close();
  Py_RETURN_NONE;
}

PyObject* oneshot_is_closed(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(OneshotBox::of(self).value->is_closed() ? 1 : 0);
}

PyObject* oneshot_repr(PyObject* self) {
  return PyUnicode_FromFormat("<blitzio.channel.Oneshot [%s]>",
                              OneshotBox::of(self).value.state_name());
}

PyType_Slot oneshot_slots[] = {{Py_tp_repr, slot(oneshot_repr)}, {0, nullptr}};

PyMethodDef oneshot_methods[] = {
    {"send", oneshot_send, METH_O,
     PyDoc_STR("send($self, value, /)\n--\n\nSend the value; Closed if there was one.")},
    {"recv", oneshot_recv, METH_NOARGS, PyDoc_STR("recv($self)\n--\n\nWait for it; Closed.")},
    {"try_recv", oneshot_try_recv, METH_NOARGS,
     PyDoc_STR("try_recv($self)\n--\n\nThe value; Empty or Closed.")},
    {"blocking_recv", fast(oneshot_blocking_recv), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_recv($self, timeout=None)\n--\n\nrecv() for threads.")},
    {"close", oneshot_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nThere will be no value, if there is none yet.")},
    {"is_closed", oneshot_is_closed, METH_NOARGS,
     PyDoc_STR("is_closed($self)\n--\n\nWhether it was closed without a value.")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int oneshot_register(PyObject* module, ModuleState& /*state*/) noexcept {
  const PyRef type = PyRef::steal(reinterpret_cast<PyObject*>(box_register<PyOneshot>(
      module, {.name = "blitzio.channel.Oneshot",
               .doc = "Oneshot()\n--\n\nOne value, sent once and received once.",
               .create = box_new<PyOneshot>,
               .methods = oneshot_methods,
               .more = oneshot_slots})));
  return type ? 0 : -1;  // The module keeps it.
}

}  // namespace blitzio::python

#include <python/loop/datagram_transport.hpp>

#include <python/loop/datagram_internal.hpp>
#include <python/support/arguments.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <new>

namespace blitzio::python {

DatagramTransport::DatagramTransport(ModuleState& module_state) noexcept
    : SocketTransport(module_state, SocketKind::datagram),
      read(*this, datagram_on_read),
      writable(*this, datagram_on_writable),
      resume(*this, datagram_on_resume) {}

namespace {

// ---- lifetime -----------------------------------------------------------------------------------

void datagram_dealloc(PyObject* self) noexcept;

PyObject* datagram_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) noexcept {
  PyTypeObject* ours = native_type(type, datagram_dealloc);
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) new (&as_datagram(self)) DatagramTransport(state_of_type(ours));
  return self;
}

int datagram_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (const int stop = transport_traverse_base(t, visit, arg)) return stop;
  Py_VISIT(t.sock);
  Py_VISIT(t.address);
  if (const int stop = t.sender.traverse(visit, arg)) return stop;
  if (const int stop = t.recipient.traverse(visit, arg)) return stop;
  return t.queue.traverse(visit, arg);
}

int datagram_clear(PyObject* self) noexcept {
  DatagramTransport& t = as_datagram(self);
  transport_clear_base(t);
  Py_CLEAR(t.address);
  t.sender.clear();
  t.recipient.clear();
  t.queue.clear();
  return 0;
}

void datagram_dealloc(PyObject* self) noexcept {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;  // Revived, see datagram_finalize().
  PyObject_GC_UnTrack(self);
  if (head_of(self).weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  DatagramTransport& t = as_datagram(self);
  if (t.fd_state == FdState::open) {
    // The finaliser left it to a loop that was closed meanwhile.
    if (t.loop->executor == nullptr) datagram_release_fd(t);
    transport_forget_in_loop(t);
  }
  datagram_clear(self);
  Py_CLEAR(t.sock);
  Py_CLEAR(t.loop);
  t.~DatagramTransport();
  free_instance(self);
}

// ---- construction -------------------------------------------------------------------------------

struct Parts {
  PyObject* sock = nullptr;
  PyObject* protocol = nullptr;
  PyObject* address = Py_None;
  PyObject* waiter = Py_None;
  PyObject* extra = Py_None;
};

/// The address tells the family, too, unless there is none.
int ask_family(DatagramTransport& t, AddressBuffer& local) noexcept {
  if (::getsockname(t.fd, local.generic(), &local.length) == 0 &&
      is_plain_family(local.storage.ss_family)) {
    t.family = static_cast<std::int16_t>(local.storage.ss_family);
    return 0;
  }
  local.length = 0;
  int family = 0;
  socklen_t bytes = sizeof family;
  if (::getsockopt(t.fd, SOL_SOCKET, SO_DOMAIN, &family, &bytes) != 0) {
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
  }
  t.family = static_cast<std::int16_t>(family);
  return 0;
}

int take_socket(DatagramTransport& t, PyObject* sock, AddressBuffer& local) noexcept {
  t.fd = PyObject_AsFileDescriptor(sock);
  if (t.fd < 0) return -1;
  if (loop_check_closed(*t.loop) != 0) return -1;  // fileno() may run any code.
  if (ask_family(t, local) != 0) return -1;
  t.sock = Py_NewRef(sock);
  t.fd_state = FdState::open;
  return 0;
}

/// All that may fail, in asyncio's order.
int set_up(DatagramTransport& t, const Parts& parts) noexcept {
  PyObject* self = as_object(t);
  const Names& names = t.state->names;
  t.context = PyContext_CopyCurrent();
  AddressBuffer local{};
  if (t.context == nullptr || take_socket(t, parts.sock, local) != 0) return -1;
  head_of(self).extra = parts.extra == Py_None ? PyDict_New() : Py_NewRef(parts.extra);
  if (head_of(self).extra == nullptr || datagram_fill_extra(t, local) != 0) return -1;
  const int has_address = PyObject_IsTrue(parts.address);
  if (has_address < 0) return -1;
  if (has_address != 0) t.address = Py_NewRef(parts.address);
  t.protocol = Py_NewRef(parts.protocol);
  if (transport_enter_in_loop(t) != 0) return -1;
  if (transport_call_soon(t, parts.protocol, names.connection_made, self) != 0) return -1;
  return transport_schedule_start(t, parts.waiter);
}

/// On failure the transport lets go of the socket, which stays the caller's to close.
int initialise(DatagramTransport& t, LoopObject& loop, const Parts& parts) noexcept {
  t.loop = reinterpret_cast<LoopObject*>(Py_NewRef(reinterpret_cast<PyObject*>(&loop)));
  if (set_up(t, parts) == 0) return 0;
  PyRef exception = take_exception();
  t.closing = true;
  t.conn_lost = 1;
  if (t.fd_state == FdState::open) transport_give_socket_back(t);
  Py_CLEAR(t.protocol);
  restore_exception(std::move(exception));
  return -1;
}

int datagram_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"loop",   "sock",  "protocol", "address",
                                         "waiter", "extra", nullptr};
  DatagramTransport& t = as_datagram(self);
  PyObject* loop = nullptr;
  Parts parts;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO|OOO:DatagramTransport",
                                   const_cast<char**>(keywords), t.state->loop_type, &loop,
                                   &parts.sock, &parts.protocol, &parts.address, &parts.waiter,
                                   &parts.extra)) {
    return -1;
  }
  LoopObject& loop_object = *reinterpret_cast<LoopObject*>(loop);
  const LoopUse use(&loop_object);
  if (transport_may_begin(t, loop_object, parts.extra) != 0) return -1;
  return initialise(t, loop_object, parts);
}

// ---- the type -----------------------------------------------------------------------------------

constexpr int kFastKeywords = METH_FASTCALL | METH_KEYWORDS;
constexpr int kKeywords = METH_VARARGS | METH_KEYWORDS;

PyMethodDef datagram_methods[] = {
    {"sendto", fast(transport_method<datagram_sendto>), kFastKeywords,
     PyDoc_STR("sendto($self, data, addr=None)\n--\n\n"
               "Send `data` as one datagram, later if need be. Does not block.")},
    {"pause_reading", transport_method<datagram_pause_reading>, METH_NOARGS,
     PyDoc_STR("pause_reading($self)\n--\n\nNo datagram_received() until resume_reading().")},
    {"resume_reading", transport_method<datagram_resume_reading>, METH_NOARGS,
     PyDoc_STR("resume_reading($self)\n--\n\nUndo pause_reading().")},
    {"is_reading", transport_method<transport_method_is_reading<DatagramTransport>>, METH_NOARGS,
     PyDoc_STR("is_reading($self)\n--\n\n")},
    {"close", transport_method<datagram_method_close>, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nClose after what is queued was sent.")},
    {"abort", transport_method<datagram_method_abort>, METH_NOARGS,
     PyDoc_STR("abort($self)\n--\n\nClose now; what is queued is lost.")},
    {"is_closing", transport_method<transport_method_is_closing>, METH_NOARGS,
     PyDoc_STR("is_closing($self)\n--\n\n")},
    {"get_protocol", transport_method<transport_method_get_protocol>, METH_NOARGS,
     PyDoc_STR("get_protocol($self)\n--\n\n")},
    {"set_protocol",
     fast(
         transport_method<one_argument<transport_method_set_protocol, "set_protocol", "protocol">>),
     kFastKeywords, PyDoc_STR("set_protocol($self, protocol)\n--\n\n")},
    {"get_write_buffer_size", transport_method<datagram_get_write_buffer_size>, METH_NOARGS,
     PyDoc_STR("get_write_buffer_size($self)\n--\n\nBytes that the kernel has not taken yet.")},
    {"get_write_buffer_limits", transport_method<datagram_get_write_buffer_limits>, METH_NOARGS,
     PyDoc_STR("get_write_buffer_limits($self)\n--\n\n(low, high) in bytes.")},
    {"set_write_buffer_limits", fast(transport_method<datagram_set_write_buffer_limits>), kKeywords,
     PyDoc_STR("set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
               "When to call pause_writing() and resume_writing(), in bytes.")},
    {"_start_reading", transport_method<datagram_start_reading>, METH_NOARGS, nullptr},
    {"_wake_waiter", transport_method<transport_method_wake_waiter>, METH_O, nullptr},
    {"_call_connection_lost", transport_method<datagram_call_connection_lost>, METH_O, nullptr},
    {"_force_close", transport_method<datagram_method_force_close>, METH_O, nullptr},
    {"_fatal_error", fast(transport_method<datagram_method_fatal_error>), kKeywords, nullptr},
    {"_release_socket", transport_method<datagram_release_socket>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int datagram_visit_in_flight(DatagramTransport& t, visitproc visit, void* arg) noexcept {
  for (const DatagramOperation* operation : {&t.read, &t.writable, &t.resume}) {
    if (!operation->is_idle()) Py_VISIT(as_object(t));
  }
  return 0;
}

int datagram_transport_register(PyObject* module, ModuleState& state) noexcept {
  if (!transport_fits(reinterpret_cast<PyTypeObject*>(state.asyncio_transport)) ||
      !transport_fits(reinterpret_cast<PyTypeObject*>(state.asyncio_datagram))) {
    return -1;
  }
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The transport of a datagram socket.")},
      {Py_tp_new, slot(datagram_new)},
      {Py_tp_init, slot(datagram_init)},
      {Py_tp_dealloc, slot(datagram_dealloc)},
      {Py_tp_traverse, slot(datagram_traverse)},
      {Py_tp_clear, slot(datagram_clear)},
      {Py_tp_finalize, slot(datagram_finalize)},
      {Py_tp_repr, slot(transport_method<datagram_repr>)},
      {Py_tp_methods, datagram_methods},
      {Py_tp_members, transport_members},
      {Py_tp_getset, datagram_getset},
      {0, nullptr},
  };
  // asyncio's own is both, too, and its tests look at that.
  return add_type(module, &state.datagram_transport_type,
                  {.name = "blitzio._native.DatagramTransport",
                   .bytes = kDatagramBytes,
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                   .slots = slots,
                   .bases = {state.asyncio_transport, state.asyncio_datagram}});
}

}  // namespace blitzio::python

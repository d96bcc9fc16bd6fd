#include <python/loop/stream_transport.hpp>

#include <python/loop/stream_internal.hpp>
#include <python/loop/tls_protocol.hpp>
#include <python/support/arguments.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <netinet/tcp.h>
#include <unistd.h>

#include <cstddef>
#include <new>

namespace blitzio::python {

// Most of what an idle connection takes: with the head and the collector's part 432 bytes, which
// the interpreter's allocator has a size class for.
static_assert(sizeof(void*) != 8 || sizeof(StreamTransport) <= 376);

StreamTransport::StreamTransport(ModuleState& module_state) noexcept
    : SocketTransport(module_state, SocketKind::stream),
      Flushable(stream_on_flush),
      read(*this, stream_on_read) {}

namespace {

// ---- lifetime -----------------------------------------------------------------------------------

void stream_dealloc(PyObject* self) noexcept;

PyObject* stream_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) noexcept {
  PyTypeObject* ours = native_type(type, stream_dealloc);
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) new (&as_stream(self)) StreamTransport(state_of_type(ours));
  return self;
}

int stream_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  StreamTransport& t = as_stream(self);
  if (const int stop = transport_traverse_base(t, visit, arg)) return stop;
  Py_VISIT(t.sock);
  Py_VISIT(t.server);
  Py_VISIT(t.empty_waiter);
  return 0;
}

int stream_clear(PyObject* self) noexcept {
  StreamTransport& t = as_stream(self);
  transport_clear_base(t);
  Py_CLEAR(t.server);
  Py_CLEAR(t.empty_waiter);
  return 0;
}

void stream_dealloc(PyObject* self) noexcept {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;  // Revived, see stream_finalize().
  PyObject_GC_UnTrack(self);
  if (head_of(self).weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  StreamTransport& t = as_stream(self);
  if (t.fd_state == FdState::open) {
    // The finaliser left it to a loop that was closed meanwhile.
    if (t.loop->executor == nullptr) stream_release_fd(t);
    transport_forget_in_loop(t);
  }
  stream_clear(self);
  stream_drop_held(t);
  Py_CLEAR(t.sock);
  Py_CLEAR(t.loop);
  t.~StreamTransport();
  free_instance(self);
}

// ---- construction -------------------------------------------------------------------------------

int set_protocol(StreamTransport& t, PyObject* protocol) noexcept {
  const int is_buffered = is_buffered_protocol(*t.state, protocol);
  if (is_buffered < 0) return -1;
  t.is_buffered = is_buffered != 0;
  t.is_tls = tls_check(*t.state, protocol);
  Py_XSETREF(t.protocol, Py_NewRef(protocol));
  return 0;
}

/// Takes the descriptor of `parts`, or that of its socket.
int take_socket(StreamTransport& t, const StreamParts& parts) noexcept {
  // What a kernel knows; other numbers of a socket made of a descriptor only its `proto` shows.
  t.family = static_cast<std::int16_t>(parts.family);
  t.proto = static_cast<std::int16_t>(parts.proto);
  t.fd = parts.sock == nullptr ? parts.fd : PyObject_AsFileDescriptor(parts.sock);
  if (t.fd < 0) return -1;
  if (loop_check_closed(*t.loop) != 0) return -1;  // fileno() may run any code.
  const Result<void> attached = loop_driver(*t.loop).attach(t.fd);
  if (!attached) {
    raise_error(attached.error(), "StreamTransport");
    return -1;
  }
  t.sock = Py_XNewRef(parts.sock);
  t.fd_state = FdState::open;
  return 0;
}

/// All that may fail, in asyncio's order.
int set_up(StreamTransport& t, const StreamParts& parts) noexcept {
  PyObject* self = as_object(t);
  const Names& names = t.state->names;
  t.context = PyContext_CopyCurrent();
  if (t.context == nullptr || take_socket(t, parts) != 0) return -1;
  if (parts.extra != Py_None) head_of(self).extra = Py_XNewRef(parts.extra);
  if (stream_store_addresses(t, parts.peer) != 0 || set_protocol(t, parts.protocol) != 0 ||
      stream_attach_server(t, parts.server) != 0) {
    return -1;
  }
  if (BLITZIO_UNLIKELY(t.fd_state != FdState::open)) {
    PyErr_SetString(PyExc_RuntimeError, "the transport was ended while it was made");
    return -1;
  }
  if (transport_enter_in_loop(t) != 0) return -1;
  if (!parts.is_nodelay && (t.family == AF_INET || t.family == AF_INET6)) {
    // Fails for a stream protocol other than TCP, which has no such delay.
    const int enabled = 1;
    static_cast<void>(::setsockopt(t.fd, IPPROTO_TCP, TCP_NODELAY, &enabled, sizeof enabled));
  }
  if (parts.call_connection_made &&
      transport_call_soon(t, parts.protocol, names.connection_made, self) != 0) {
    return -1;
  }
  return transport_schedule_start(t, parts.waiter);
}

/// On failure the transport lets go of the socket, which stays the caller's to close (unless only
/// its number was given).
int initialise(StreamTransport& t, LoopObject& loop, const StreamParts& parts) noexcept {
  t.loop = reinterpret_cast<LoopObject*>(Py_NewRef(reinterpret_cast<PyObject*>(&loop)));
  if (set_up(t, parts) == 0) return 0;
  PyRef exception = take_exception();
  stream_detach_server(t);
  t.closing = true;
  t.conn_lost = 1;
  if (t.fd_state == FdState::open) {
    if (parts.sock != nullptr) {
      transport_give_socket_back(t);
    } else {
      stream_release_fd(t);
    }
  } else if (t.fd_state == FdState::none && parts.sock == nullptr) {
    ::close(parts.fd);  // Nobody else knows it.
  }
  Py_CLEAR(t.protocol);
  restore_exception(std::move(exception));
  return -1;
}

int stream_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {
      "loop", "sock", "protocol", "extra", "server", "waiter", "call_connection_made", nullptr};
  StreamTransport& t = as_stream(self);
  PyObject* loop = nullptr;
  StreamParts parts;
  int call_connection_made = 1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO|$OOOp:StreamTransport",
                                   const_cast<char**>(keywords), t.state->loop_type, &loop,
                                   &parts.sock, &parts.protocol, &parts.extra, &parts.server,
                                   &parts.waiter, &call_connection_made)) {
    return -1;
  }
  LoopObject& loop_object = *reinterpret_cast<LoopObject*>(loop);
  const LoopUse use(&loop_object);
  if (transport_may_begin(t, loop_object, parts.extra) != 0) return -1;
  parts.call_connection_made = call_connection_made != 0;
  return initialise(t, loop_object, parts);
}

// ---- small methods ------------------------------------------------------------------------------

PyObject* method_set_protocol(PyObject* self, PyObject* protocol) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0 || set_protocol(t, protocol) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_can_write_eof(PyObject* /*self*/, PyObject* /*unused*/) noexcept {
  Py_RETURN_TRUE;
}

constexpr int kFastKeywords = METH_FASTCALL | METH_KEYWORDS;
constexpr int kKeywords = METH_VARARGS | METH_KEYWORDS;

PyMethodDef stream_methods[] = {
    {"write", fast(transport_method<one_argument<stream_write, "write", "data">>), kFastKeywords,
     PyDoc_STR("write($self, data)\n--\n\nSend `data`, later if need be. Does not block.")},
    {"writelines",
     fast(transport_method<one_argument<stream_writelines, "writelines", "list_of_data">>),
     kFastKeywords,
     PyDoc_STR("writelines($self, list_of_data)\n--\n\nAs write() of each, in one send.")},
    {"write_eof", transport_method<stream_write_eof>, METH_NOARGS,
     PyDoc_STR("write_eof($self)\n--\n\nClose the write half after what is buffered was sent.")},
    {"can_write_eof", method_can_write_eof, METH_NOARGS,
     PyDoc_STR("can_write_eof($self)\n--\n\nTrue.")},
    {"pause_reading", transport_method<stream_pause_reading>, METH_NOARGS,
     PyDoc_STR("pause_reading($self)\n--\n\nNo data_received() until resume_reading().")},
    {"resume_reading", transport_method<stream_resume_reading>, METH_NOARGS,
     PyDoc_STR("resume_reading($self)\n--\n\nUndo pause_reading().")},
    {"is_reading", transport_method<transport_method_is_reading<StreamTransport>>, METH_NOARGS,
     PyDoc_STR("is_reading($self)\n--\n\n")},
    {"close", transport_method<stream_method_close>, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nClose after what is buffered was sent.")},
    {"abort", transport_method<stream_method_abort>, METH_NOARGS,
     PyDoc_STR("abort($self)\n--\n\nClose now; what is buffered is lost.")},
    {"is_closing", transport_method<transport_method_is_closing>, METH_NOARGS,
     PyDoc_STR("is_closing($self)\n--\n\n")},
    {"get_protocol", transport_method<transport_method_get_protocol>, METH_NOARGS,
     PyDoc_STR("get_protocol($self)\n--\n\n")},
    {"set_protocol",
     fast(transport_method<one_argument<method_set_protocol, "set_protocol", "protocol">>),
     kFastKeywords, PyDoc_STR("set_protocol($self, protocol)\n--\n\n")},
    {"get_extra_info", fast(transport_method<stream_get_extra_info>), kFastKeywords,
     PyDoc_STR("get_extra_info($self, name, default=None)\n--\n\n"
               "'socket', 'sockname', 'peername', or what the loop was given.")},
    {"get_write_buffer_size", transport_method<stream_get_write_buffer_size>, METH_NOARGS,
     PyDoc_STR("get_write_buffer_size($self)\n--\n\nBytes that the kernel has not taken yet.")},
    {"get_write_buffer_limits", transport_method<stream_get_write_buffer_limits>, METH_NOARGS,
     PyDoc_STR("get_write_buffer_limits($self)\n--\n\n(low, high) in bytes.")},
    {"set_write_buffer_limits", fast(transport_method<stream_set_write_buffer_limits>), kKeywords,
     PyDoc_STR("set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
               "When to call pause_writing() and resume_writing(), in bytes.")},
    {"_start_reading", transport_method<stream_start_reading>, METH_NOARGS, nullptr},
    {"_wake_waiter", transport_method<transport_method_wake_waiter>, METH_O, nullptr},
    {"_call_connection_lost", transport_method<stream_call_connection_lost>, METH_O, nullptr},
    {"_force_close", transport_method<stream_method_force_close>, METH_O, nullptr},
    {"_fatal_error", fast(transport_method<stream_method_fatal_error>), kKeywords, nullptr},
    {"_make_empty_waiter", transport_method<stream_make_empty_waiter>, METH_NOARGS, nullptr},
    {"_make_writable_waiter", transport_method<stream_make_writable_waiter>, METH_NOARGS, nullptr},
    {"_reset_empty_waiter", transport_method<stream_reset_empty_waiter>, METH_NOARGS, nullptr},
    {"_release_socket", transport_method<stream_release_socket>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

/// The marks by which asyncio knows what start_tls() and sendfile() may do with a transport.
int add_marks(PyTypeObject* type) noexcept {
  PyObject* object = reinterpret_cast<PyObject*>(type);
  if (PyObject_SetAttrString(object, "_start_tls_compatible", Py_True) != 0) return -1;
  const PyRef constants = PyRef::steal(PyImport_ImportModule("asyncio.constants"));
  if (!constants) return -1;
  const PyRef modes = PyRef::steal(PyObject_GetAttrString(constants.get(), "_SendfileMode"));
  if (!modes) return -1;
  const PyRef mode = PyRef::steal(PyObject_GetAttrString(modes.get(), "TRY_NATIVE"));
  return mode ? PyObject_SetAttrString(object, "_sendfile_compatible", mode.get()) : -1;
}

}  // namespace

PyRef stream_transport_new(LoopObject& loop, const StreamParts& parts) noexcept {
  PyRef self = PyRef::steal(stream_new(loop.state->stream_transport_type, nullptr, nullptr));
  if (!self) {
    if (parts.sock == nullptr) ::close(parts.fd);
    return self;
  }
  if (initialise(as_stream(self.get()), loop, parts) != 0) return {};
  return self;
}

int stream_visit_in_flight(StreamTransport& t, visitproc visit, void* arg) noexcept {
  const std::array<const StreamOperation*, 3> operations{&t.read, t.writable.get(), t.resume.get()};
  for (const StreamOperation* operation : operations) {
    if (operation != nullptr && !operation->is_idle()) Py_VISIT(as_object(t));
  }
  if (t.Flushable::is_linked()) Py_VISIT(as_object(t));
  return 0;
}

int stream_transport_register(PyObject* module, ModuleState& state) noexcept {
  if (!transport_fits(reinterpret_cast<PyTypeObject*>(state.asyncio_transport))) return -1;
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The transport of a connected stream socket.")},
      {Py_tp_new, slot(stream_new)},
      {Py_tp_init, slot(stream_init)},
      {Py_tp_dealloc, slot(stream_dealloc)},
      {Py_tp_traverse, slot(stream_traverse)},
      {Py_tp_clear, slot(stream_clear)},
      {Py_tp_finalize, slot(stream_finalize)},
      {Py_tp_repr, slot(transport_method<stream_repr>)},
      {Py_tp_methods, stream_methods},
      {Py_tp_members, transport_members},
      {Py_tp_getset, stream_getset},
      {0, nullptr},
  };
  if (add_type(module, &state.stream_transport_type,
               {.name = "blitzio._native.StreamTransport",
                .bytes = kStreamBytes,
                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                .slots = slots,
                .bases = {state.asyncio_transport}}) != 0) {
    return -1;
  }
  return add_marks(state.stream_transport_type);
}

}  // namespace blitzio::python

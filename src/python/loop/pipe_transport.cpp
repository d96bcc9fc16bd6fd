#include <python/loop/pipe_transport.hpp>

#include <python/loop/pipe_internal.hpp>
#include <python/loop/unclosed.hpp>
#include <python/support/heap_type.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <new>

namespace blitzio::python {

// ---- for the other files ------------------------------------------------------------------------

void pipe_submit(PipeOperation& operation) noexcept {
  LoopObject& loop = *operation.owner.loop;
  Py_INCREF(as_object(operation.owner));
  loop.in_flight.push_back(operation.reference);
  loop_driver(loop).submit(operation);
}

PyRef pipe_take_self(PipeOperation& operation) noexcept {
  operation.reference.unlink();
  return PyRef::steal(as_object(operation.owner));
}

namespace {

/// Ends what is in flight. The kernel holds the pipe no longer: whoever has a descriptor of it may
/// close that now, and block until the other end has seen it.
void stop(PipeTransport& t) noexcept {
  if (t.behaviour.stop(t)) loop_driver(*t.loop).hand_over();
}

}  // namespace

bool pipe_cancel(PipeOperation& operation) noexcept {
  if (operation.is_idle() || !is_loop_alive(operation.owner)) return false;
  loop_driver(*operation.owner.loop).cancel(operation);
  return true;
}

int pipe_lose(PipeTransport& t, PyObject* exception) noexcept {
  t.closing = true;
  if (t.is_lost) return 0;
  t.is_lost = true;
  stop(t);
  return transport_schedule_call_lost(t, exception);
}

void pipe_fatal_error(PipeTransport& t, PyRef exception, const char* message,
                      bool is_quiet) noexcept {
  if (is_quiet) {
    if (t.loop->debug) {
      log_transport_debug(*t.state, as_object(t), "%r: %s", message, exception.get());
    }
  } else {
    restore_exception(PyRef::borrow(exception.get()));
    transport_report(t, message);
  }
  if (pipe_lose(t, exception.get()) != 0) {
    loop_report_exception(*t.loop, "Fatal error on pipe transport");
  }
}

void pipe_log_end(PipeTransport& t) noexcept {
  if (!t.loop->debug) return;
  PyObject* self = as_object(t);
  const PyRef logged = PyRef::steal(
      PyObject_CallMethod(t.state->logger, "info", "sO", "%r was closed by peer", self));
  if (!logged) PyErr_WriteUnraisable(self);
}

// ---- methods that both have ---------------------------------------------------------------------

PyObject* pipe_method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  PipeTransport& t = as_pipe(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing) Py_RETURN_NONE;
  if (t.behaviour.close(t) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* pipe_method_start(PyObject* self, PyObject* /*unused*/) noexcept {
  PipeTransport& t = as_pipe(self);
  if (transport_check(t) != 0) return nullptr;
  t.started = true;
  t.behaviour.start(t);
  Py_RETURN_NONE;
}

/// As transport_method_wake_waiter().
PyObject* pipe_method_wake_waiter(PyObject* self, PyObject* waiter) noexcept {
  PipeTransport& t = as_pipe(self);
  if (transport_check(t) != 0) return nullptr;
  if (wake_waiter(*t.state, waiter) != 0) return nullptr;
  if (transport_call_before_look(t, t.state->names._start) != 0) return nullptr;
  Py_RETURN_NONE;
}

namespace {

/// connection_lost() was not scheduled: nothing may reach the protocol or the pipe, which are about
/// to go.
void stop_by_hand(PipeTransport& t) noexcept {
  t.closing = true;
  t.is_lost = true;
  stop(t);
}

/// Closes the pipe object. Returns -1 with an error set.
int release(PipeTransport& t) noexcept {
  t.is_released = true;
  const PyRef pipe = PyRef::steal(std::exchange(t.pipe, nullptr));
  if (!pipe) return 0;
  const PyRef closed = PyRef::steal(PyObject_CallMethodNoArgs(pipe.get(), t.state->names.close));
  return closed ? 0 : -1;
}

}  // namespace

PyObject* pipe_method_call_connection_lost(PyObject* self, PyObject* exception) noexcept {
  PipeTransport& t = as_pipe(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.is_released) Py_RETURN_NONE;
  if (!t.is_lost) stop_by_hand(t);
  PyRef error;
  if (t.protocol != nullptr) {
    const PyRef result = protocol_call(t.protocol, t.state->names.connection_lost, exception);
    if (!result) error = take_exception();
  }
  const int outcome = release(t);
  Py_CLEAR(t.protocol);
  if (error) {
    if (outcome != 0) loop_report_exception(*t.loop, "Fatal error on pipe transport");
    restore_exception(std::move(error));
    return nullptr;
  }
  if (outcome != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* pipe_get_pipe(PyObject* self, void* /*unused*/) noexcept {
  return or_none(as_pipe(self).pipe);
}

// ---- construction -------------------------------------------------------------------------------

namespace {

/// Finds out what the descriptor is, and makes it non-blocking. Returns -1 with an error set.
int examine(PipeTransport& t, const char* refusal) noexcept {
  struct stat status{};
  if (::fstat(t.fd, &status) != 0) {
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
  }
  if (S_ISFIFO(status.st_mode)) {
    t.kind = PipeKind::fifo;
  } else if (S_ISSOCK(status.st_mode)) {
    t.kind = PipeKind::socket;
  } else if (S_ISCHR(status.st_mode)) {
    t.kind = PipeKind::device;
  } else {
    PyErr_SetString(PyExc_ValueError, refusal);
    return -1;
  }
  const int flags = ::fcntl(t.fd, F_GETFL);
  if (flags < 0 || ((flags & O_NONBLOCK) == 0 && ::fcntl(t.fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
  }
  return 0;
}

/// All that may fail, in asyncio's order. The pipe stays the caller's to close if it does.
int set_up(PipeTransport& t, PyObject* pipe, PyObject* protocol, PyObject* waiter, PyObject* extra,
           const char* refusal) noexcept {
  PyObject* self = as_object(t);
  const Names& names = t.state->names;
  head_of(self).extra = extra == Py_None ? PyDict_New() : PyDict_Copy(extra);
  if (head_of(self).extra == nullptr ||
      PyDict_SetItem(head_of(self).extra, names.pipe, pipe) != 0) {
    return -1;
  }
  const PyRef number = PyRef::steal(PyObject_CallMethodNoArgs(pipe, names.fileno));
  if (!number) return -1;
  t.fd = PyObject_AsFileDescriptor(number.get());
  if (t.fd < 0 || examine(t, refusal) != 0) return -1;
  t.context = PyContext_CopyCurrent();
  if (t.context == nullptr || loop_check_closed(*t.loop) != 0) return -1;
  t.protocol = Py_NewRef(protocol);
  if (transport_call_soon(t, protocol, names.connection_made, self) != 0) return -1;
  const int scheduled = waiter == Py_None
                            ? transport_call_soon(t, self, names._start)
                            : transport_call_soon(t, self, names._wake_waiter, waiter);
  if (scheduled == 0) t.pipe = Py_NewRef(pipe);
  return scheduled;
}

int initialise(PyObject* self, PyObject* args, PyObject* kwargs, const char* format,
               const char* refusal) noexcept {
  static const char* const keywords[] = {"loop", "pipe", "protocol", "waiter", "extra", nullptr};
  PipeTransport& t = as_pipe(self);
  PyObject *loop = nullptr, *pipe = nullptr, *protocol = nullptr;
  PyObject *waiter = Py_None, *extra = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, const_cast<char**>(keywords),
                                   t.state->loop_type, &loop, &pipe, &protocol, &waiter, &extra)) {
    return -1;
  }
  const LoopUse use(reinterpret_cast<LoopObject*>(loop));
  if (transport_may_begin(t, *reinterpret_cast<LoopObject*>(loop), extra) != 0) return -1;
  t.loop = reinterpret_cast<LoopObject*>(Py_NewRef(loop));
  if (set_up(t, pipe, protocol, waiter, extra, refusal) == 0) return 0;
  t.closing = t.is_lost = t.is_released = true;
  Py_CLEAR(t.protocol);
  return -1;
}

int read_pipe_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  return initialise(self, args, kwargs, "O!OO|OO:ReadPipeTransport",
                    "Pipe transport is for pipes/sockets only.");
}

int write_pipe_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  return initialise(self, args, kwargs, "O!OO|OO:WritePipeTransport",
                    "Pipe transport is only for pipes, sockets and character devices");
}

// ---- lifetime -----------------------------------------------------------------------------------

template <class Transport>
PyObject* pipe_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) noexcept {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) new (&transport_of<Transport>(self)) Transport(state_of_type(type));
  return self;
}

int pipe_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  PipeTransport& t = as_pipe(self);
  Py_VISIT(t.pipe);
  return transport_traverse_base(t, visit, arg);
}

// `pipe` stays until dealloc: every cycle through it has another member to cut.
int pipe_clear(PyObject* self) noexcept {
  transport_clear_base(as_pipe(self));
  return 0;
}

// The collector or the last reference ends a transport that nobody closed. Nothing is in flight:
// that would own a reference.
void pipe_finalize(PyObject* self) noexcept {
  PipeTransport& t = as_pipe(self);
  if (t.pipe == nullptr) return;
  const LoopUse use(t.loop);
  finalize_unclosed(self, [&] {
    // Something is in flight only if this was called by hand, as by who may use the loop.
    if (loop_may_use_driver(*t.loop)) stop_by_hand(t);
    t.closing = t.is_lost = true;
    if (release(t) != 0) PyErr_WriteUnraisable(self);
  });
}

template <class Transport>
void pipe_dealloc(PyObject* self) noexcept {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;  // Revived by the warning.
  PyObject_GC_UnTrack(self);
  if (head_of(self).weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  Transport& t = transport_of<Transport>(self);
  pipe_clear(self);
  Py_CLEAR(t.pipe);
  Py_CLEAR(t.loop);
  t.~Transport();
  free_instance(self);
}

// ---- the types ----------------------------------------------------------------------------------

struct TypeParts {
  const char* name;
  const char* doc;
  const char* base;
  std::size_t bytes;
  newfunc make;
  initproc init;
  destructor dealloc;
  reprfunc repr;
  PyMethodDef* methods;
  PyGetSetDef* attributes;
};

/// Makes a type and adds it to the module. Returns 0, or -1 with an error set.
int add_pipe_type(PyObject* module, const TypeParts& parts) noexcept {
  const PyRef transports = PyRef::steal(PyImport_ImportModule("asyncio.transports"));
  const PyRef base =
      transports ? PyRef::steal(PyObject_GetAttrString(transports.get(), parts.base)) : PyRef();
  if (!base) return -1;
  if (!transport_fits(reinterpret_cast<PyTypeObject*>(base.get()))) return -1;
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>(parts.doc)},
      {Py_tp_new, slot(parts.make)},
      {Py_tp_init, slot(parts.init)},
      {Py_tp_dealloc, slot(parts.dealloc)},
      {Py_tp_traverse, slot(pipe_traverse)},
      {Py_tp_clear, slot(pipe_clear)},
      {Py_tp_finalize, slot(pipe_finalize)},
      {Py_tp_repr, slot(parts.repr)},
      {Py_tp_methods, parts.methods},
      {Py_tp_members, transport_members},
      {Py_tp_getset, parts.attributes},
      {0, nullptr},
  };
  PyTypeObject* made = nullptr;
  const int added = add_type(module, &made,
                             {.name = parts.name,
                              .bytes = kTransportOffset + parts.bytes,
                              .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                              .slots = slots,
                              .bases = {base.get()}});
  Py_XDECREF(reinterpret_cast<PyObject*>(made));  // the module's from here on
  return added;
}

}  // namespace

int pipe_transport_register(PyObject* module, ModuleState& /*state*/) noexcept {
  const int reader = add_pipe_type(module, {.name = "blitzio._native.ReadPipeTransport",
                                            .doc = "The transport of a pipe's reading end.",
                                            .base = "ReadTransport",
                                            .bytes = sizeof(ReadPipe),
                                            .make = pipe_new<ReadPipe>,
                                            .init = read_pipe_init,
                                            .dealloc = pipe_dealloc<ReadPipe>,
                                            .repr = transport_method<read_pipe_repr>,
                                            .methods = read_pipe_methods,
                                            .attributes = read_pipe_attributes});
  if (reader != 0) return -1;
  // Both ways, though it reads nothing: so asyncio's is, and programs ask for the reading half.
  return add_pipe_type(module, {.name = "blitzio._native.WritePipeTransport",
                                .doc = "The transport of a pipe's writing end.",
                                .base = "Transport",
                                .bytes = sizeof(WritePipe),
                                .make = pipe_new<WritePipe>,
                                .init = write_pipe_init,
                                .dealloc = pipe_dealloc<WritePipe>,
                                .repr = transport_method<write_pipe_repr>,
                                .methods = write_pipe_methods,
                                .attributes = write_pipe_attributes});
}

}  // namespace blitzio::python

#include <blitzio/base/inbox.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <python/bridge/foreign_loop.hpp>
#include <python/bridge/per_loop.hpp>
#include <python/loop/loop.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/running_loop.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <new>

// offsetof of a class with C++ members is conditionally supported: GCC and Clang define it for
// every class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace blitzio::python {

namespace {

class ForeignGate final : public LoopGate {
 public:
  ForeignGate(ModuleState& state, PyObject* loop, OwnedFd fd) noexcept
      : state_(state), interpreter_(PyInterpreterState_Get()), loop_(loop), fd_(std::move(fd)) {}

  [[nodiscard]] bool is_here() const noexcept override;
  [[nodiscard]] int call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                              PyObject* context) noexcept override;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Whether it is that of `loop`, which lives, in the module of `state`.
  [[nodiscard]] bool is_of(const ModuleState& state, PyObject* loop) const noexcept {
    // Acquire: as in is_here(). A loop at the address of one that ended is not taken for it.
    return &state_ == &state && loop_.load(std::memory_order_acquire) == loop;
  }
  /// Delivers what was posted.
  void drain() noexcept;
  /// The loop lets go of its reader: closed, or gone.
  void end() noexcept;

 private:
  void send(driver::Message& message) noexcept override;

  ModuleState& state_;  // there while the gate is open
  PyInterpreterState* const interpreter_;
  // Compared with the running loop, never followed. Null once ended. Attached threads only.
  Atomic<PyObject*> loop_;
  OwnedFd fd_;
  Inbox<driver::Message> inbox_;
};

bool ForeignGate::is_here() const noexcept {
  PyThreadState* thread = attached_thread_state();
  if (thread == nullptr || PyThreadState_GetInterpreter(thread) != interpreter_) return false;
  // Acquire: the module's state is there if the loop is; pairs with the release in end().
  PyObject* loop = loop_.load(std::memory_order_acquire);
  if (loop == nullptr) return false;
  PyRef exception = take_exception();
  const PyRef running = running_loop(state_);
  PyErr_Clear();  // Then the wake goes the long way.
  if (exception) restore_exception(std::move(exception));
  return running.get() == loop;
}

int ForeignGate::call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                           PyObject* context) noexcept {
  PyObject* const args[] = {loop, callback, argument, context};
  const PyRef handle = PyRef::steal(PyObject_VectorcallMethod(
      state_.names.call_soon, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, state_.context_kwnames));
  return handle ? 0 : -1;
}

void ForeignGate::send(driver::Message& message) noexcept {
  if (!inbox_.push(message)) return;
  const std::uint64_t one = 1;
  // Cannot fail but for a full counter, which has the loop awake already.
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}

void ForeignGate::drain() noexcept {
  std::uint64_t count = 0;
  // Before the inbox is emptied: a push that comes later writes again.
  [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &count, sizeof count);
  inbox_.take_all([](driver::Message& message) { message.deliver(); });
}

void ForeignGate::end() noexcept {
  // Release: see is_here().
  loop_.store(nullptr, std::memory_order_release);
  close();
  inbox_.take_all([](driver::Message& message) { message.deliver(); });
  fd_.reset();
}

/// The gate that was last looked for in this thread, as a rule the one that is looked for next: to
/// find it among all is a call of Python.
class LatestGate {
 public:
  LatestGate() noexcept = default;
  LatestGate(const LatestGate&) = delete;
  LatestGate& operator=(const LatestGate&) = delete;
  ~LatestGate() { set(nullptr); }

  [[nodiscard]] ForeignGate* get() const noexcept { return gate_; }
  void set(ForeignGate* gate) noexcept {
    if (gate != nullptr) gate->add_ref();
    if (ForeignGate* old = std::exchange(gate_, gate)) old->release_ref();
  }

 private:
  ForeignGate* gate_ = nullptr;  // counted
};

thread_local LatestGate latest_gate;

struct ForeignLoopObject {
  PyObject_HEAD ForeignGate* gate;  ///< counted
  PyObject* module;                 ///< strong
  PyObject* weakrefs;
};

ForeignLoopObject& as_foreign(PyObject* self) noexcept {
  return *reinterpret_cast<ForeignLoopObject*>(self);
}

PyObject* foreign_call(PyObject* self, PyObject* /*args*/, PyObject* /*kwargs*/) {
  const PyRef keep = PyRef::borrow(self);  // What is delivered may close the loop.
  as_foreign(self).gate->drain();
  Py_RETURN_NONE;
}

int foreign_traverse(PyObject* self, visitproc visit, void* arg) {
  ForeignLoopObject& foreign = as_foreign(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(foreign.module);
  return foreign.gate == nullptr ? 0 : foreign.gate->traverse(visit, arg);
}

int foreign_clear(PyObject* self) {
  PyRef exception = take_exception();
  if (as_foreign(self).gate != nullptr) as_foreign(self).gate->end();
  if (exception) restore_exception(std::move(exception));
  return 0;
}

void foreign_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  ForeignLoopObject& foreign = as_foreign(self);
  if (foreign.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  foreign_clear(self);
  if (foreign.gate != nullptr) foreign.gate->release_ref();
  PyObject* module = foreign.module;
  free_instance(self);
  Py_DECREF(module);
}

/// A new ForeignLoop that `loop` watches. Null with an error set.
PyRef make_foreign_loop(ModuleState& state, PyObject* loop) noexcept {
  OwnedFd fd = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return PyRef::steal(PyErr_SetFromErrno(PyExc_OSError));
  PyRef self = PyRef::steal(state.foreign_loop_type->tp_alloc(state.foreign_loop_type, 0));
  if (!self) return self;
  ForeignLoopObject& foreign = as_foreign(self.get());
  foreign.module = Py_NewRef(state.module);
  foreign.gate = new (std::nothrow) ForeignGate(state, loop, std::move(fd));
  if (foreign.gate == nullptr) return PyRef::steal(PyErr_NoMemory());
  const PyRef added =
      PyRef::steal(PyObject_CallMethod(loop, "add_reader", "iO", foreign.gate->fd(), self.get()));
  if (!added) return {};
  return self;
}

PyMemberDef foreign_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ForeignLoopObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

LoopGate* gate_of(ModuleState& state, PyObject* loop) noexcept {
  if (loop_check(state, loop)) {
    auto& native = *reinterpret_cast<LoopObject*>(loop);
    return loop_check_closed(native) == 0 ? native.gate : nullptr;
  }
  if (ForeignGate* latest = latest_gate.get(); latest != nullptr && latest->is_of(state, loop)) {
    return latest;
  }
  const PyRef foreign = per_loop(state, state.foreign_loops, loop, make_foreign_loop);
  if (!foreign) return nullptr;
  latest_gate.set(as_foreign(foreign.get()).gate);
  return latest_gate.get();
}

RunningLoop find_running_loop(ModuleState& state) noexcept {
  PyRef loop = running_loop(state);
  if (!loop) return {};
  if (loop.get() == Py_None) {
    PyErr_SetString(PyExc_RuntimeError, "no running event loop");
    return {};
  }
  LoopGate* gate = gate_of(state, loop.get());
  if (gate == nullptr) return {};
  return {std::move(loop), gate};
}

int has_running_loop(ModuleState& state) noexcept {
  const PyRef loop = running_loop(state);
  if (!loop) return -1;
  return loop.get() == Py_None ? 0 : 1;
}

int foreign_loop_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Brings wakes from other threads to a loop of others.")},
      {Py_tp_dealloc, slot(foreign_dealloc)},
      {Py_tp_traverse, slot(foreign_traverse)},
      {Py_tp_clear, slot(foreign_clear)},
      {Py_tp_call, slot(foreign_call)},
      {Py_tp_members, foreign_members},
      {0, nullptr},
  };
  if (make_type(module, &state.foreign_loop_type,
                {.name = "blitzio._native.ForeignLoop",
                 .bytes = sizeof(ForeignLoopObject),
                 .flags = kInternalType,
                 .slots = slots}) != 0) {
    return -1;
  }
  state.foreign_loops = new_weak_values();
  return state.foreign_loops == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

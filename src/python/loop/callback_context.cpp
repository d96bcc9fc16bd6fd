#include <python/loop/callback_context.hpp>

#include <blitzio/base/platform.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <cstddef>
#include <cstring>
#include <utility>

namespace blitzio::python {

/// See the header for the states. No tp_clear: a cycle through it leads through a handle, and so
/// through a loop, which breaks it.
struct SharedContext {
  PyObject_HEAD PyObject* run;  ///< null: what was there has become a handle's own
  PyObject* pristine;           ///< or null
  PyObject* vars;               ///< the mapping that those who share agree on
  ModuleState* state;
  PyObject* module;  ///< strong until dealloc: it has `state`
  bool in_use;       ///< a callback runs in `run`
};

namespace {

SharedContext& as_shared(PyObject* self) noexcept {
  return *reinterpret_cast<SharedContext*>(self);
}

bool is_shared(const ModuleState& state, PyObject* held) noexcept {
  return Py_TYPE(held) == state.shared_context_type;
}

/// The mapping of a context, borrowed: the second word of what follows the object's head, in every
/// version from 3.7 on; can_share() makes sure of it.
PyObject* vars_of(PyObject* context) noexcept {
  constexpr std::size_t kOffset = sizeof(PyObject) + sizeof(PyObject*);
  PyObject* vars = nullptr;
  std::memcpy(static_cast<void*>(&vars), reinterpret_cast<const std::byte*>(context) + kOffset,
              sizeof(PyObject*));
  return vars;
}

/// The current context, borrowed; null if the thread has none yet.
PyObject* current_context() noexcept {
  return PyThreadState_Get()->context;
}

/// In `context`, which is empty: whether a variable that is set shows as vars_of() expects.
bool is_as_expected(PyObject* context) noexcept {
  PyObject* empty = vars_of(context);
  if (empty == nullptr || std::strcmp(Py_TYPE(empty)->tp_name, "hamt") != 0) return false;
  const PyRef variable = PyRef::steal(PyContextVar_New("blitzio", nullptr));
  const PyRef token = variable ? PyRef::steal(PyContextVar_Set(variable.get(), Py_None)) : PyRef();
  const PyRef copy = token ? PyRef::steal(PyContext_CopyCurrent()) : PyRef();
  return copy && current_context() == context && vars_of(context) != empty &&
         vars_of(copy.get()) == vars_of(context);
}

/// Whether contexts are laid out as they were from 3.7 to 3.14.
bool can_share() noexcept {
  if constexpr (kFreeThreaded || PY_VERSION_HEX >= 0x030F0000) return false;
  const PyRef context = PyRef::steal(PyContext_New());
  bool expected = false;
  if (context &&
      Py_TYPE(context.get())->tp_basicsize >=
          static_cast<Py_ssize_t>(sizeof(PyObject) + 2 * sizeof(PyObject*)) &&
      PyContext_Enter(context.get()) == 0) {
    expected = is_as_expected(context.get());
    PyErr_Clear();  // What failed there is an answer, too.
    if (PyContext_Exit(context.get()) != 0) expected = false;
  }
  PyErr_Clear();  // As above, of the context itself.
  return expected;
}

int shared_traverse(PyObject* self, visitproc visit, void* arg) {
  SharedContext& shared = as_shared(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(shared.module);
  Py_VISIT(shared.run);
  Py_VISIT(shared.pristine);
  Py_VISIT(shared.vars);
  return 0;
}

void shared_dealloc(PyObject* self) {
  SharedContext& shared = as_shared(self);
  PyObject_GC_UnTrack(self);
  ModuleState& state = *shared.state;
  PyTypeObject* type = Py_TYPE(self);
  PyObject* module = shared.module;
  if (state.latest_context == self) state.latest_context = nullptr;
  Py_CLEAR(shared.run);
  Py_CLEAR(shared.pristine);
  Py_CLEAR(shared.vars);
  // One is kept: as a rule there is one at a time, and it lasts for a turn.
  if (state.spare_context == nullptr) {
    state.spare_context = self;
  } else {
    PyObject_GC_Del(self);
  }
  Py_DECREF(type);
  Py_DECREF(module);
}

PyObject* make_shared_context(ModuleState& state) noexcept {
  PyRef run = PyRef::steal(PyContext_CopyCurrent());
  if (!run) return nullptr;
  PyObject* self = std::exchange(state.spare_context, nullptr);
  if (self != nullptr) {
    PyObject_Init(self, state.shared_context_type);
  } else {
    self = reinterpret_cast<PyObject*>(PyObject_GC_New(SharedContext, state.shared_context_type));
    if (self == nullptr) return nullptr;
  }
  SharedContext& shared = as_shared(self);
  shared.vars = Py_NewRef(vars_of(run.get()));
  shared.run = run.release();
  shared.pristine = nullptr;
  shared.state = &state;
  shared.module = Py_NewRef(state.module);
  shared.in_use = false;
  PyObject_GC_Track(self);
  state.latest_context = self;
  return self;
}

}  // namespace

int callback_context_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, slot(shared_dealloc)},
      {Py_tp_traverse, slot(shared_traverse)},
      {0, nullptr},
  };
  if (make_type(
          module, &state.shared_context_type,
          {.name = "blitzio._native.SharedContext",
           .bytes = sizeof(SharedContext),
           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
           .slots = slots}) != 0) {
    return -1;
  }
  state.shares_contexts = can_share();
  return 0;
}

PyObject* callback_context_new(ModuleState& state) noexcept {
  if (BLITZIO_UNLIKELY(!state.shares_contexts)) return PyContext_CopyCurrent();
  PyObject* current = current_context();
  PyObject* latest = state.latest_context;
  if (latest == nullptr || current == nullptr || vars_of(current) != as_shared(latest).vars) {
    return make_shared_context(state);
  }
  SharedContext& shared = as_shared(latest);
  if (BLITZIO_UNLIKELY(shared.in_use && shared.pristine == nullptr)) {
    shared.pristine = PyContext_CopyCurrent();
    if (shared.pristine == nullptr) return nullptr;
  }
  return Py_NewRef(latest);
}

PyObject* callback_context_own(const ModuleState& state, PyObject*& held,
                               bool is_running) noexcept {
  if (!is_shared(state, held)) return held;
  SharedContext& shared = as_shared(held);
  PyObject* own = is_running                   ? Py_NewRef(shared.run)
                  : shared.pristine != nullptr ? PyContext_Copy(shared.pristine)
                                               : PyContext_Copy(shared.run);
  if (own == nullptr) return nullptr;
  Py_SETREF(held, own);
  return own;
}

CallbackContextScope::CallbackContextScope(const ModuleState& state, PyObject*& held) noexcept
    : held_(held) {
  if (is_shared(state, held)) {
    is_entered_ = choose();
    if (!is_entered_) return;
  } else {
    context_ = PyRef::borrow(held);
  }
  is_entered_ = PyContext_Enter(context_.get()) == 0;
  if (BLITZIO_UNLIKELY(!is_entered_) && shared_) as_shared(shared_.get()).in_use = false;
}

bool CallbackContextScope::choose() noexcept {
  SharedContext& shared = as_shared(held_);
  if (BLITZIO_UNLIKELY(shared.in_use)) {
    // A callback that runs the loop, or another loop's: this one has a copy of its own.
    PyObject* own = PyContext_Copy(shared.pristine);
    if (own == nullptr) return false;
    context_ = PyRef::borrow(own);
    Py_SETREF(held_, own);
    return true;
  }
  const bool is_last = Py_REFCNT(held_) == 1;
  if (shared.run == nullptr) {
    shared.run =
        is_last ? std::exchange(shared.pristine, nullptr) : PyContext_Copy(shared.pristine);
  } else if (!is_last && shared.pristine == nullptr) {
    shared.pristine = PyContext_Copy(shared.run);
    if (shared.pristine == nullptr) return false;
  }
  if (shared.run == nullptr) return false;
  shared.in_use = true;
  shared_ = PyRef::borrow(held_);
  context_ = PyRef::borrow(shared.run);
  return true;
}

bool CallbackContextScope::leave() noexcept {
  if (BLITZIO_UNLIKELY(PyContext_Exit(context_.get()) != 0)) return false;
  if (!shared_) return true;
  SharedContext& shared = as_shared(shared_.get());
  shared.in_use = false;
  // Two: of `shared` and of this scope.
  if (BLITZIO_LIKELY(vars_of(context_.get()) == shared.vars && Py_REFCNT(context_.get()) == 2)) {
    return true;
  }
  Py_CLEAR(shared.run);
  if (shared.pristine == nullptr && shared.state->latest_context == shared_.get()) {
    shared.state->latest_context = nullptr;  // Nobody else has it, and nobody can any more.
  }
  if (held_ == shared_.get()) Py_SETREF(held_, context_.release());
  return true;
}

}  // namespace blitzio::python

#include <python/bindings/descriptor.hpp>
#include <python/bindings/sync_guard.hpp>
#include <python/bindings/sync_semaphore.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/bridge/ready.hpp>
#include <python/support/arguments.hpp>
#include <python/support/integer.hpp>

namespace blitzio::python {

namespace {

/// A number of permits, 1 if `value` is null. Returns false with TypeError or ValueError set.
bool parse_count(PyObject* value, std::uint32_t* count) noexcept {
  *count = 1;
  return value == nullptr || parse_integer(value, "count", 1, sync::Semaphore::kMaxPermits, count);
}

/// `count=1` and, after it, `timeout=None`.
bool parse_count(const char* method, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                 std::uint32_t* count, TimeLimit* limit = nullptr) noexcept {
  static constexpr std::array<const char*, 2> kParameters{"count", "timeout"};
  Arguments arguments(args, nargs, kwnames);
  if (args == nullptr) return true;  // From `with`: the defaults.
  const std::span<const char* const> parameters(kParameters.data(), limit == nullptr ? 1 : 2);
  return arguments.bind_all(method, parameters, 0) && parse_count(arguments[0], count) &&
         (limit == nullptr || parse_timeout(arguments[1], limit));
}

/// The permits stay taken: release() is the caller's.
constexpr auto kKeepPermits = [](Result<sync::Permit> permit) noexcept -> PyObject* {
  if (!permit) return raise_error(permit.error(), "Semaphore.acquire");
  permit->forget();
  return Py_NewRef(Py_None);
};

PyObject* raise_too_many() noexcept {
  return PyErr_Format(PyExc_ValueError, "a Semaphore has at most %u permits",
                      sync::Semaphore::kMaxPermits);
}

/// What makes a guard, and what waits for one in a thread.
struct Calls {
  const char* make;
  BlockingName wait;
};
constexpr Calls calls_of(GuardKind kind) noexcept {
  switch (kind) {
    case GuardKind::read:
      return {"RwLock.read", {"RwLock", "blocking_read"}};
    case GuardKind::write:
      return {"RwLock.write", {"RwLock", "blocking_write"}};
    case GuardKind::permits:
      return {"Semaphore.permit", "Semaphore.permit"};
  }
  return {"", ""};
}

/// Acquires for a guard in state acquiring, which it leaves as held or entered or, dropped or
/// refused, as free.
template <class F>
class AcquireGuard {
 public:
  using Output = Result<void>;
  AcquireGuard(PyGuard& guard, F future, GuardState granted) noexcept
      : guard_(&guard), future_(std::move(future)), granted_(granted) {}
  AcquireGuard(AcquireGuard&& other) noexcept
      : guard_(std::exchange(other.guard_, nullptr)),
        future_(std::move(other.future_)),
        granted_(other.granted_) {}
  AcquireGuard(const AcquireGuard&) = delete;
  AcquireGuard& operator=(const AcquireGuard&) = delete;
  AcquireGuard& operator=(AcquireGuard&&) = delete;
  ~AcquireGuard() {
    if (guard_ != nullptr) static_cast<void>(guard_->step(GuardState::acquiring, GuardState::free));
  }
  Poll<Output> poll(Context& context) noexcept {
    auto answer = future_.poll(context);
    if (answer.is_pending()) return pending;
    const Output kept = keep(std::move(answer).take());
    static_cast<void>(std::exchange(guard_, nullptr)
                          ->step(GuardState::acquiring, kept ? granted_ : GuardState::free));
    return kept;
  }

 private:
  template <class G>
  static Output keep(G guard) noexcept {
    guard.forget();
    return {};
  }
  static Output keep(Result<sync::Permit> permit) noexcept {
    if (!permit) return fail(permit.error());
    permit->forget();
    return {};
  }

  PyGuard* guard_;
  F future_;
  GuardState granted_;
};

/// What acquiring gives: the guard itself.
auto give_guard(PyObject* self) noexcept {
  return [self](Result<void> acquired) noexcept -> PyObject* {
    if (!acquired) {
      return raise_error(acquired.error(), calls_of(GuardBox::of(self).value.kind()).make);
    }
    return Py_NewRef(self);
  };
}

/// free → acquiring, then `use(future)`, which returns a new reference or null; → `granted` with
/// it.
template <class Use>
PyObject* acquire(PyObject* self, GuardState granted, Use use) noexcept {
  PyGuard& guard = GuardBox::of(self).value;
  if (!guard.step(GuardState::free, GuardState::acquiring)) {
    PyErr_SetString(PyExc_RuntimeError, "the guard is in use already: make one for each holder");
    return nullptr;
  }
  switch (guard.kind()) {
    case GuardKind::read:
      return use(AcquireGuard(guard, guard.rw_lock().read(), granted));
    case GuardKind::write:
      return use(AcquireGuard(guard, guard.rw_lock().write(), granted));
    case GuardKind::permits:
      return use(AcquireGuard(guard, guard.semaphore().acquire(guard.count()), granted));
  }
  return nullptr;
}

PyObject* guard_acquire(PyObject* self, GuardState granted) noexcept {
  return acquire(self, granted, [&](auto future) noexcept {
    GuardBox& box = GuardBox::of(self);
    return awaitable_new(*box.state, calls_of(box.value.kind()).make, self, std::move(future),
                         give_guard(self));
  });
}

PyObject* guard_acquire_blocking(PyObject* self, const TimeLimit& limit,
                                 GuardState granted) noexcept {
  return acquire(self, granted, [&](auto future) noexcept {
    GuardBox& box = GuardBox::of(self);
    return wait_blocking(*box.state, calls_of(box.value.kind()).wait, std::move(future), limit,
                         give_guard(self));
  });
}

PyObject* guard_release(PyObject* self, PyObject* /*unused*/) {
  PyGuard& guard = GuardBox::of(self).value;
  if (!guard.let_go()) {
    PyErr_SetString(PyExc_RuntimeError, "release() of a guard that holds nothing");
    return nullptr;
  }
  return guard.give_back() ? Py_NewRef(Py_None) : raise_too_many();
}

PyObject* guard_forget(PyObject* self, PyObject* /*unused*/) {
  PyGuard& guard = GuardBox::of(self).value;
  if (guard.kind() == GuardKind::permits && guard.let_go()) Py_RETURN_NONE;
  PyErr_SetString(PyExc_RuntimeError, "forget() of a guard that holds no permits");
  return nullptr;
}

PyObject* guard_downgrade(PyObject* self, PyObject* /*unused*/) {
  if (!GuardBox::of(self).value.downgrade()) {
    PyErr_SetString(PyExc_RuntimeError, "downgrade() of a guard that holds no write lock");
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* guard_held(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(GuardBox::of(self).value.is_held() ? 1 : 0);
}

PyObject* guard_count(PyObject* self, void* /*unused*/) {
  return PyLong_FromUnsignedLong(GuardBox::of(self).value.count());
}

PyObject* guard_await(PyObject* self) {
  return guard_acquire(self, GuardState::held);  // An awaitable is its own iterator.
}

/// held → entered, for a `with` that need not acquire.
bool guard_enter_held(PyObject* self) noexcept {
  return GuardBox::of(self).value.step(GuardState::held, GuardState::entered);
}

PyObject* guard_aenter(PyObject* self, PyObject* /*unused*/) {
  if (!guard_enter_held(self)) return guard_acquire(self, GuardState::entered);
  return awaitable_new(*GuardBox::of(self).state, "Guard.__aenter__", self, GiveSelf{self}, AsIs());
}

/// Gives back what it holds still.
PyObject* guard_exit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  return GuardBox::of(self).value.is_held() ? guard_release(self, nullptr) : Py_NewRef(Py_None);
}

PyObject* guard_aexit(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  const PyRef done = PyRef::steal(guard_exit(self, args, nargs));
  return done ? ready_none(*GuardBox::of(self).state) : nullptr;
}

PyObject* guard_enter(PyObject* self, PyObject* /*unused*/) {
  if (guard_enter_held(self)) return Py_NewRef(self);
  return guard_acquire_blocking(self, TimeLimit{}, GuardState::entered);
}

PyMethodDef guard_methods[] = {
    {"release", guard_release, METH_NOARGS,
     PyDoc_STR("release($self)\n--\n\nGive back what it holds.")},
    {"forget", guard_forget, METH_NOARGS,
     PyDoc_STR("forget($self)\n--\n\nTake its permits out of the semaphore for good.")},
    {"downgrade", guard_downgrade, METH_NOARGS,
     PyDoc_STR("downgrade($self)\n--\n\nTurn the write lock that it holds into a read lock.")},
    {"held", guard_held, METH_NOARGS, PyDoc_STR("held($self)\n--\n\nWhether it holds it.")},
    {"__aenter__", guard_aenter, METH_NOARGS, nullptr},
    {"__aexit__", fast(guard_aexit), METH_FASTCALL, nullptr},
    {"__enter__", guard_enter, METH_NOARGS, nullptr},
    {"__exit__", fast(guard_exit), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef guard_attributes[] = {
    {"count", guard_count, nullptr, PyDoc_STR("How many permits it is for; of a lock 1."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* guard_repr(PyObject* self) {
  PyGuard& guard = GuardBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.sync.Guard [%s, %s, count:%u]>",
                              calls_of(guard.kind()).make, guard.is_held() ? "held" : "not held",
                              static_cast<unsigned>(guard.count()));
}

PyType_Slot guard_slots[] = {
    {Py_tp_repr, slot(guard_repr)},
    {Py_am_await, slot(guard_await)},
    {0, nullptr},
};

PyObject* guard_new(ModuleState& state, PyObject* lock, GuardKind kind,
                    std::uint32_t count = 1) noexcept {
  return GuardBox::make(state, state.sync_guard_type, lock, kind, count);
}

/// A held guard, or None if it cannot be had now.
PyObject* guard_try(ModuleState& state, PyObject* lock, GuardKind kind) noexcept {
  PyRef guard = PyRef::steal(guard_new(state, lock, kind));
  if (!guard) return nullptr;
  PyGuard& value = GuardBox::of(guard.get()).value;
  if (!value.try_acquire()) Py_RETURN_NONE;
  static_cast<void>(value.step(GuardState::free, GuardState::held));
  return guard.release();
}

// ---- RwLock -------------------------------------------------------------------------------------

template <GuardKind kind>
PyObject* rw_lock_guard(PyObject* self, PyObject* /*unused*/) {
  return guard_new(*RwLockBox::of(self).state, self, kind);
}

template <GuardKind kind>
PyObject* rw_lock_try(PyObject* self, PyObject* /*unused*/) {
  return guard_try(*RwLockBox::of(self).state, self, kind);
}

template <GuardKind kind>
PyObject* rw_lock_blocking(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) {
  TimeLimit limit;
  constexpr const char* kName = calls_of(kind).wait.call();
  if (!parse_timeout(kName, args, nargs, kwnames, &limit)) return nullptr;
  const PyRef guard = PyRef::steal(rw_lock_guard<kind>(self, nullptr));
  return guard ? guard_acquire_blocking(guard.get(), limit, GuardState::held) : nullptr;
}

PyObject* rw_lock_repr(PyObject* self) {
  sync::RwLock& lock = RwLockBox::of(self).value;
  return PyUnicode_FromFormat("<blitzio.sync.RwLock [%s, waiters:%zu]>",
                              lock.is_locked() ? "locked" : "unlocked", lock.waiter_count());
}

PyType_Slot rw_lock_slots[] = {{Py_tp_repr, slot(rw_lock_repr)}, {0, nullptr}};

PyMethodDef rw_lock_methods[] = {
    {"read", rw_lock_guard<GuardKind::read>, METH_NOARGS,
     PyDoc_STR("read($self)\n--\n\nA guard to be entered or awaited, shared with readers.")},
    {"write", rw_lock_guard<GuardKind::write>, METH_NOARGS,
     PyDoc_STR("write($self)\n--\n\nA guard to be entered or awaited, shared with nobody.")},
    {"try_read", rw_lock_try<GuardKind::read>, METH_NOARGS,
     PyDoc_STR("try_read($self)\n--\n\nA held guard, or None.")},
    {"try_write", rw_lock_try<GuardKind::write>, METH_NOARGS,
     PyDoc_STR("try_write($self)\n--\n\nA held guard, or None.")},
    {"blocking_read", fast(rw_lock_blocking<GuardKind::read>), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_read($self, timeout=None)\n--\n\nread() for threads: a held guard.")},
    {"blocking_write", fast(rw_lock_blocking<GuardKind::write>), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_write($self, timeout=None)\n--\n\nwrite() for threads: a held guard.")},
    {nullptr, nullptr, 0, nullptr},
};

// ---- Semaphore ----------------------------------------------------------------------------------

PyObject* semaphore_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"permits", nullptr};
  PyObject* object = nullptr;
  std::uint32_t permits = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Semaphore", const_cast<char**>(keywords),
                                   &object) ||
      !parse_integer(object, "permits", 0, sync::Semaphore::kMaxPermits, &permits)) {
    return nullptr;
  }
  return SemaphoreBox::make(state_of_type(type), type, permits);
}

PyObject* semaphore_acquire(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) {
  SemaphoreBox& box = SemaphoreBox::of(self);
  std::uint32_t count = 1;
  if (!parse_count("acquire", args, nargs, kwnames, &count)) return nullptr;
  return awaitable_new(*box.state, "Semaphore.acquire", self, box.value.acquire(count),
                       kKeepPermits);
}

PyObject* semaphore_try_acquire(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) {
  std::uint32_t count = 1;
  if (!parse_count("try_acquire", args, nargs, kwnames, &count)) return nullptr;
  return PyBool_FromLong(SemaphoreBox::of(self).value.try_acquire(count) ? 1 : 0);
}

PyObject* semaphore_blocking_acquire(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                     PyObject* kwnames) {
  SemaphoreBox& box = SemaphoreBox::of(self);
  std::uint32_t count = 1;
  TimeLimit limit;
  if (!parse_count("blocking_acquire", args, nargs, kwnames, &count, &limit)) return nullptr;
  return wait_blocking(*box.state, "Semaphore.blocking_acquire", box.value.acquire(count), limit,
                       kKeepPermits);
}

PyObject* semaphore_release(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) {
  std::uint32_t count = 1;
  if (!parse_count("release", args, nargs, kwnames, &count)) return nullptr;
  return release_permits(self, count) ? Py_NewRef(Py_None) : raise_too_many();
}

PyObject* semaphore_permit(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) {
  std::uint32_t count = 1;
  if (!parse_count("permit", args, nargs, kwnames, &count)) return nullptr;
  return guard_new(*SemaphoreBox::of(self).state, self, GuardKind::permits, count);
}

PyObject* semaphore_adopt(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) {
  std::uint32_t count = 1;
  if (!parse_count("adopt", args, nargs, kwnames, &count)) return nullptr;
  PyObject* guard = guard_new(*SemaphoreBox::of(self).state, self, GuardKind::permits, count);
  if (guard != nullptr) {
    static_cast<void>(GuardBox::of(guard).value.step(GuardState::free, GuardState::held));
  }
  return guard;
}

PyObject* semaphore_aenter(PyObject* self, PyObject* /*unused*/) {
  SemaphoreBox& box = SemaphoreBox::of(self);
  // `async with` awaits what this returns at once, so taking the permit need not wait for that.
  return box.value.try_acquire() ? ready_none(*box.state)
                                 : semaphore_acquire(self, nullptr, 0, nullptr);
}

PyObject* semaphore_exit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  return release_permits(self, 1) ? Py_NewRef(Py_None) : raise_too_many();
}

PyObject* semaphore_aexit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  return release_permits(self, 1) ? ready_none(*SemaphoreBox::of(self).state) : raise_too_many();
}

PyObject* semaphore_enter(PyObject* self, PyObject* /*unused*/) {
  return semaphore_blocking_acquire(self, nullptr, 0, nullptr);
}

PyObject* semaphore_close(PyObject* self, PyObject* /*unused*/) {
  SemaphoreBox::of(self).value.close();
  Py_RETURN_NONE;
}

PyObject* semaphore_is_closed(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(SemaphoreBox::of(self).value.is_closed() ? 1 : 0);
}

PyObject* semaphore_available(PyObject* self, void* /*unused*/) {
  return PyLong_FromUnsignedLong(SemaphoreBox::of(self).value.available_permits());
}

PyObject* semaphore_repr(PyObject* self) {
  sync::Semaphore& semaphore = SemaphoreBox::of(self).value;
  const auto permits = static_cast<unsigned>(semaphore.available_permits());
  const char* const state = permits == 0 ? "locked" : "unlocked";
  return PyUnicode_FromFormat("<blitzio.sync.Semaphore [%s, value:%u, waiters:%zu]>",
                              semaphore.is_closed() ? "closed" : state, permits,
                              semaphore.waiter_count());
}

PyType_Slot semaphore_slots[] = {{Py_tp_repr, slot(semaphore_repr)}, {0, nullptr}};

PyMethodDef semaphore_methods[] = {
    {"acquire", fast(semaphore_acquire), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("acquire($self, count=1)\n--\n\nWait for `count` permits.")},
    {"try_acquire", fast(semaphore_try_acquire), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("try_acquire($self, count=1)\n--\n\nTake them if that is possible now.")},
    {"blocking_acquire", fast(semaphore_blocking_acquire), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_acquire($self, count=1, timeout=None)\n--\n\nacquire() for threads.")},
    {"release", fast(semaphore_release), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("release($self, count=1)\n--\n\nGive permits back, or add new ones.")},
    {"close", semaphore_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nHave whoever waits, now and later, fail with RuntimeError.")},
    {"permit", fast(semaphore_permit), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("permit($self, count=1)\n--\n\nA guard for `count` permits, to be entered.")},
    {"adopt", fast(semaphore_adopt), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("adopt($self, count=1)\n--\n\nA held guard for permits that are taken already.")},
    {"__aenter__", semaphore_aenter, METH_NOARGS, nullptr},
    {"__aexit__", fast(semaphore_aexit), METH_FASTCALL, nullptr},
    {"__enter__", semaphore_enter, METH_NOARGS, nullptr},
    {"__exit__", fast(semaphore_exit), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef semaphore_attributes[] = {
    {"available_permits", semaphore_available, nullptr, PyDoc_STR("How many are free."), nullptr},
    {"is_closed", semaphore_is_closed, nullptr, PyDoc_STR("Whether close() was called."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

int semaphore_register(PyObject* module, ModuleState& state) noexcept {
  state.sync_guard_type =
      box_register<PyGuard>(module, {.name = "blitzio.sync.Guard",
                                     .doc = "Holds a RwLock or permits of a Semaphore.",
                                     .methods = guard_methods,
                                     .attributes = guard_attributes,
                                     .more = guard_slots});
  // The module keeps them.
  const PyRef rw_lock = PyRef::steal(reinterpret_cast<PyObject*>(box_register<sync::RwLock>(
      module, {.name = "blitzio.sync.RwLock",
               .doc = "RwLock()\n--\n\nAny number of readers or one writer.",
               .create = box_new<sync::RwLock>,
               .methods = rw_lock_methods,
               .more = rw_lock_slots})));
  const PyRef semaphore = PyRef::steal(reinterpret_cast<PyObject*>(box_register<sync::Semaphore>(
      module, {.name = "blitzio.sync.Semaphore",
               .doc = "Semaphore(permits)\n--\n\nA number of permits.",
               .create = semaphore_new,
               .methods = semaphore_methods,
               .attributes = semaphore_attributes,
               .more = semaphore_slots})));
  return state.sync_guard_type != nullptr && rw_lock && semaphore ? 0 : -1;
}

}  // namespace blitzio::python

#include <python/bindings/sync_mutex.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/bridge/ready.hpp>

namespace blitzio::python {

namespace {

using MutexBox = Box<PyMutexLock>;

PyObject* mutex_lock(PyObject* self, PyObject* /*unused*/) {
  MutexBox& box = MutexBox::of(self);
  return awaitable_new(*box.state, "Mutex.lock", self, LockMutex(box.value));
}

PyObject* mutex_try_lock(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(MutexBox::of(self).value.try_lock() ? 1 : 0);
}

PyObject* lock_blocking(MutexBox& box, const TimeLimit& limit) noexcept {
  return wait_blocking(*box.state, "Mutex.blocking_lock", LockMutex(box.value), limit);
}

PyObject* mutex_blocking_lock(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                              PyObject* kwnames) {
  TimeLimit limit;
  if (!parse_timeout("blocking_lock", args, nargs, kwnames, &limit)) return nullptr;
  return lock_blocking(MutexBox::of(self), limit);
}

/// For a Condition, whose caller counts on the mutex: it is locked when what a signal's handler
/// raised meanwhile is raised. But not where waiting is impossible: without memory, or where
/// nothing may block.
PyObject* mutex_lock_again(PyObject* self, PyObject* /*unused*/) {
  MutexBox& box = MutexBox::of(self);
  PyRef raised;
  PyRef locked = PyRef::steal(wait_blocking(*box.state, "Mutex.blocking_lock", LockMutex(box.value),
                                            TimeLimit{}, detail::ReturnNone(), &raised));
  if (!locked || !raised) return locked.release();
  restore_exception(std::move(raised));
  return nullptr;
}

PyObject* mutex_unlock(PyObject* self, PyObject* /*unused*/) {
  MutexBox& box = MutexBox::of(self);
  if (BLITZIO_UNLIKELY(!box.value.take_held())) {
    PyErr_SetString(PyExc_RuntimeError, "unlock() of a Mutex that is not locked");
    return nullptr;
  }
  box.value.mutex().unlock();
  Py_RETURN_NONE;
}

PyObject* mutex_locked(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(MutexBox::of(self).value.mutex().is_locked() ? 1 : 0);
}

PyObject* mutex_aenter(PyObject* self, PyObject* unused) {
  MutexBox& box = MutexBox::of(self);
  // `async with` awaits what this returns at once, so locking need not wait for that.
  return box.value.try_lock() ? ready_none(*box.state) : mutex_lock(self, unused);
}

PyObject* mutex_aexit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  const PyRef done = PyRef::steal(mutex_unlock(self, nullptr));
  return done ? ready_none(*MutexBox::of(self).state) : nullptr;
}

PyObject* mutex_enter(PyObject* self, PyObject* /*unused*/) {
  return lock_blocking(MutexBox::of(self), TimeLimit{});
}

PyObject* mutex_exit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  return mutex_unlock(self, nullptr);
}

PyObject* mutex_repr(PyObject* self) {
  sync::Mutex& mutex = MutexBox::of(self).value.mutex();
  return PyUnicode_FromFormat("<blitzio.sync.Mutex [%s, waiters:%zu]>",
                              mutex.is_locked() ? "locked" : "unlocked", mutex.waiter_count());
}

PyMethodDef mutex_methods[] = {
    {"lock", mutex_lock, METH_NOARGS, PyDoc_STR("lock($self)\n--\n\nWait for the lock.")},
    {"try_lock", mutex_try_lock, METH_NOARGS,
     PyDoc_STR("try_lock($self)\n--\n\nLock if that is possible now. Returns whether it was.")},
    {"blocking_lock", fast(mutex_blocking_lock), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_lock($self, timeout=None)\n--\n\nlock() for threads.")},
    {"_lock_again", mutex_lock_again, METH_NOARGS,
     PyDoc_STR("_lock_again($self)\n--\n\nblocking_lock() that nothing interrupts.")},
    {"unlock", mutex_unlock, METH_NOARGS,
     PyDoc_STR("unlock($self)\n--\n\nHand the lock to the waiter that came first.")},
    {"locked", mutex_locked, METH_NOARGS,
     PyDoc_STR("locked($self)\n--\n\nWhether somebody holds it.")},
    {"__aenter__", mutex_aenter, METH_NOARGS, nullptr},
    {"__aexit__", fast(mutex_aexit), METH_FASTCALL, nullptr},
    {"__enter__", mutex_enter, METH_NOARGS, nullptr},
    {"__exit__", fast(mutex_exit), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot mutex_slots[] = {
    {Py_tp_repr, slot(mutex_repr)},
    {0, nullptr},
};

}  // namespace

int mutex_register(PyObject* module, ModuleState& state) noexcept {
  state.mutex_type = box_register<PyMutexLock>(
      module, {.name = "blitzio.sync.Mutex",
               .doc = "Mutex()\n--\n\nMutual exclusion between tasks, threads and loops.",
               .create = box_new<PyMutexLock>,
               .methods = mutex_methods,
               .more = mutex_slots});
  return state.mutex_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

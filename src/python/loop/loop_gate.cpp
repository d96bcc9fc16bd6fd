#include <python/loop/loop.hpp>
#include <python/loop/loop_gate.hpp>

#include <utility>

namespace blitzio::python {

bool LoopGate::post(driver::Message& message) noexcept {
  // First: another thread may have held the lock at the fork.
  if (in_child()) return false;
  const MutexLock lock(mutex_);
  if (!is_open_) return false;
  send(message);
  return true;
}

/// Protects `waits_` on free-threaded builds; the interpreter lock does it elsewhere.
class LoopGate::WaitsLock {
 public:
#if BLITZIO_FREE_THREADED
  explicit WaitsLock(LoopGate& gate) noexcept : gate_(gate) { PyMutex_Lock(&gate_.waits_lock_); }
  ~WaitsLock() { PyMutex_Unlock(&gate_.waits_lock_); }
#else
  explicit WaitsLock(LoopGate& /*gate*/) noexcept {}
#endif
  WaitsLock(const WaitsLock&) = delete;
  WaitsLock& operator=(const WaitsLock&) = delete;

 private:
#if BLITZIO_FREE_THREADED
  LoopGate& gate_;
#endif
};

void LoopGate::add(LoopWait& wait, PyObject* object) noexcept {
  const WaitsLock lock(*this);
  wait.object_ = Py_NewRef(object);
  waits_.push_back(wait);
}

PyRef LoopGate::object_of(const LoopWait& wait) noexcept {
  const WaitsLock lock(*this);
  return PyRef::borrow(wait.object_);
}

PyRef LoopGate::remove(LoopWait& wait) noexcept {
  const WaitsLock lock(*this);
  if (wait.is_linked()) wait.unlink();
  return PyRef::steal(std::exchange(wait.object_, nullptr));
}

int LoopGate::traverse(visitproc visit, void* arg) noexcept {
  int outcome = 0;
  waits_.for_each([&](LoopWait& wait) {
    if (outcome == 0) outcome = visit(wait.object_, arg);
  });
  return outcome;
}

void LoopGate::close() noexcept {
  if (!in_child()) {  // There post() refuses anyway, and another thread may have held the lock.
    const MutexLock lock(mutex_);
    is_open_ = false;
  }
  for (;;) {
    LoopWait::Abandon abandon = nullptr;
    PyRef object;
    {
      const WaitsLock lock(*this);
      LoopWait* wait = waits_.pop_front();
      if (wait == nullptr) return;
      abandon = wait->abandon_;
      object = PyRef::steal(std::exchange(wait->object_, nullptr));
    }
    abandon(object.get());  // The wait may be gone now.
  }
}

int NativeGate::call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                          PyObject* context) noexcept {
  return loop_call_soon(*reinterpret_cast<LoopObject*>(loop), callback, &argument, 1, context);
}

}  // namespace blitzio::python

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

void LoopGate::add(LoopWait& wait, PyObject* object) noexcept {
  wait.object_ = Py_NewRef(object);
  waits_.push_back(wait);
}

PyRef LoopGate::remove(LoopWait& wait) noexcept {
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
  while (!waits_.is_empty()) {
    LoopWait& wait = waits_.front();
    const LoopWait::Abandon abandon = wait.abandon_;
    const PyRef object = remove(wait);
    abandon(object.get());  // The wait may be gone now.
  }
}

int NativeGate::call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                          PyObject* context) noexcept {
  return loop_call_soon(*reinterpret_cast<LoopObject*>(loop), callback, &argument, 1, context);
}

}  // namespace blitzio::python

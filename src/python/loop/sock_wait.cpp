#include <python/loop/sock_operation.hpp>
#include <python/loop/sock_wait.hpp>
#include <python/support/error.hpp>

#include <cerrno>
#include <new>

namespace blitzio::python {

namespace {

void wake(LoopObject& loop, PyObject* future) noexcept {
  const PyRef done =
      PyRef::steal(PyObject_CallMethodOneArg(future, loop.state->names.set_result, Py_None));
  if (BLITZIO_LIKELY(static_cast<bool>(done))) return;
  // The task was cancelled in this very turn, and with it the future: it needs no waking.
  if (PyErr_ExceptionMatches(loop.state->invalid_state_error) != 0) {
    PyErr_Clear();
    return;
  }
  loop_report_exception(loop, "A socket operation could not be resumed",
                        {{loop.state->names.future, future}});
}

}  // namespace

SockWait::SockWait(SockOperationObject& owner, PyRef future) noexcept
    : loop_(*owner.loop), owner_(&owner), future_(std::move(future)), poll_(*this) {}

bool SockWait::start(SockOperationObject& owner, int fd, std::uint32_t events, PyRef future,
                     OwnedFd other) noexcept {
  auto* wait = new (std::nothrow) SockWait(owner, std::move(future));
  if (wait == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  owner.wait = wait;
  wait->loop_.sock_waits.push_back(*wait);
  wait->other_ = std::move(other);
  wait->poll_.poll(wait->other_ ? wait->other_.get() : fd, events);
  loop_driver(wait->loop_).submit(wait->poll_);
  return true;
}

void SockWait::abandon() noexcept {
  std::exchange(owner_, nullptr)->wait = nullptr;
  unlink();
  if (loop_.executor != nullptr && !loop_.forked) {
    loop_driver(loop_).cancel(poll_);
    // The socket may be closed next, by who then blocks until the other end has seen that.
    if (loop_may_use_driver(loop_)) loop_driver(loop_).hand_over();
  }
  // Last: dropping the future may run any code.
  const PyRef future = std::move(future_);
}

int SockWait::traverse(visitproc visit, void* arg) noexcept {
  Py_VISIT(future_.get());
  return 0;
}

void SockWait::on_poll(driver::Operation& operation,
                       const driver::Completion& completion) noexcept {
  SockWait& wait = static_cast<Poll&>(operation).wait;
  SockOperationObject* owner = wait.owner_;
  if (owner != nullptr) {
    owner->wait = nullptr;
    owner->poll_error = completion.result == -EINTR ? 0 : completion.error_code();
    wait.unlink();
  }
  LoopObject& loop = wait.loop_;
  const PyRef future = std::move(wait.future_);
  delete &wait;
  if (owner == nullptr) return;
  if (completion.result != -ECANCELED && !loop.closed) {
    wake(loop, future.get());
    return;
  }
  // Cancelled by nobody but the driver, which shuts down: the future stays pending, as on a closed
  // asyncio loop, and the socket is no longer needed. The owner may be about to be freed by another
  // thread, which waits for the loop's lock: it gets no reference.
  sock_release(*owner);
}

int sock_wait_traverse(LoopObject& loop, visitproc visit, void* arg) noexcept {
  int outcome = 0;
  loop.sock_waits.for_each([&](SockWait& wait) {
    if (outcome == 0) outcome = wait.traverse(visit, arg);
  });
  return outcome;
}

}  // namespace blitzio::python

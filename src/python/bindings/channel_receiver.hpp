// What the receivers of `Broadcast` and `Watch` share: how they keep their channel, and whose turn
// it is.
//
// Threads: any; each call of a receiver is made under the lock of its Python object.
#pragma once

#include <python/bindings/box.hpp>
#include <python/support/ft.hpp>

#include <utility>

namespace blitzio::python {

/// The value in a receiver's box; `Channel` is that in its channel's, which has subscribe(). Keeps
/// the channel until it dies: a pending wait, collected with it, still needs that.
template <class Channel, class Receiver>
class ChannelReceiver {
 public:
  explicit ChannelReceiver(PyObject* owner) noexcept
      : owner_(PyRef::borrow(owner)), receiver_(Box<Channel>::of(owner).value->subscribe()) {}
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(owner_.get());
    return 0;
  }
  [[nodiscard]] Receiver* operator->() noexcept { return &receiver_; }

 private:
  PyRef owner_;
  Receiver receiver_;
};

/// A future of a receiver. A receiver is for one at a time: several take turns, poll by poll.
template <class Future>
class ReceiverWait {
 public:
  using Output = typename Future::Output;
  ReceiverWait(PyObject* self, Future future) noexcept : self_(self), future_(std::move(future)) {}
  Poll<Output> poll(Context& context) noexcept(noexcept(future_.poll(context))) {
    const ObjectLock lock(self_);
    return future_.poll(context);
  }

 private:
  PyObject* self_;  // the awaitable's owner
  Future future_;
};

}  // namespace blitzio::python

#include <python/bridge/wake_node.hpp>

namespace blitzio::python {

WakeNode::WakeNode(LoopGate& gate, Signal on_signal, Abandon on_abandon) noexcept
    : driver::Message(on_delivery), LoopWait(on_abandon), gate_(gate), signal_(on_signal) {
  gate_.add_ref();
}

WakeNode::~WakeNode() {
  gate_.release_ref();
}

void WakeNode::wake() noexcept {
  if (gate_.is_here()) {
    deliver();
    return;
  }
  // Acquire-release: publishes what the waker did, pairs with the exchange in on_delivery(); the
  // acquire half carries on an earlier waker's release.
  if (queued_.exchange(true, std::memory_order_acq_rel)) return;
  add_ref();
  // A closed loop abandons what waits on it by itself.
  if (!gate_.post(*this)) release_ref();
}

void WakeNode::on_delivery(driver::Message& message) noexcept {
  auto& node = static_cast<WakeNode&>(message);
  // Acquire-release: what the wakers did comes before the poll that follows; pairs with the
  // exchange in wake().
  node.queued_.exchange(false, std::memory_order_acq_rel);
  node.deliver();
  node.release_ref();
}

void WakeNode::deliver() noexcept {
  // The loop's reference is the only one to count on, and the signal may end it.
  const PyRef object = gate_.object_of(*this);
  if (object) {
    signal_(object.get());
  } else {
    woken_ = true;
  }
}

}  // namespace blitzio::python

#include <blitzio/executor/op_future.hpp>

namespace blitzio::detail {

bool OpBlock::poll(Context& context) noexcept {
  if (phase_ == Phase::done) return true;
  if (!waker_.will_wake_same(context.waker())) waker_ = context.waker().clone();
  if (phase_ == Phase::idle) {
    LocalExecutor* executor = LocalExecutor::current();
    BLITZIO_CHECK(executor != nullptr);  // there is no executor on this thread
    driver_ = &executor->driver();
    prepare();
    phase_ = Phase::in_flight;
    driver_->submit(*this);
  }
  return false;
}

void OpBlock::let_go() noexcept {
  if (phase_ != Phase::in_flight) {
    if (phase_ == Phase::done) discard(result_);
    delete this;
    return;
  }
  phase_ = Phase::abandoned;
  waker_.reset();
  driver_->cancel(*this);
}

void OpBlock::on_completion(Operation& operation, const driver::Completion& completion) noexcept {
  auto& self = static_cast<OpBlock&>(operation);
  BLITZIO_CHECK(!completion.more, completion.result);
  if (self.phase_ == Phase::abandoned) {
    self.discard(completion.result);
    delete &self;
    return;
  }
  self.phase_ = Phase::done;
  self.result_ = completion.result;
  // Waking may drop the future and this block with it, so the waker leaves first.
  Waker waker = std::move(self.waker_);
  waker.wake();
}

}  // namespace blitzio::detail

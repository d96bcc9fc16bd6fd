// `OpFuture<Request>`: one driver operation as a future.
//
// The kernel may use an operation and its buffer until the last completion, long after a future was
// dropped. So both live in a block of their own on the heap, and a future that is dropped in flight
// only lets go of it:
//
//          first poll            completion             poll
//   idle ─────────────▶ in_flight ─────────▶ done ─────────────▶ taken
//                           │
//                           │ the future is dropped: the operation is cancelled
//                           ▼          completion
//                       abandoned ───────────────▶ (discards the result, frees itself)
//
// In every other state the block goes with the future; dropped when done but not taken, it discards
// the result first.
//
// That is also why requests own their buffers: memory lent by a coroutine's frame would be gone
// while the kernel writes to it. A discarded result is not leaked (an accepted connection is
// closed), but bytes that a discarded recv or read took from the kernel are gone with it; who must
// not lose any waits with op::poll() and then reads without waiting.
//
// Threads: the thread whose executor polls it first, from then on.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>

namespace blitzio {

/// What an OpFuture asks for and what it makes of the answer. It does not move once prepared.
template <class R>
concept OpRequest = requires(R& request, driver::Operation& operation, std::int32_t result) {
  typename R::Output;
  { request.prepare(operation) } noexcept -> std::same_as<void>;
  { request.finish(result) } noexcept -> std::same_as<typename R::Output>;
  // Instead of finish(), if nobody waits for the answer any more.
  { request.discard(result) } noexcept -> std::same_as<void>;
};

namespace detail {

class OpBlock : public driver::Operation {
 public:
  enum class Phase : std::uint8_t { idle, in_flight, done, taken, abandoned };

  virtual ~OpBlock() = default;

  /// Starts it, or waits on. True if the result is there.
  bool poll(Context& context) noexcept;
  /// The future is gone: frees itself now or with the completion.
  void let_go() noexcept;
  /// done → taken.
  [[nodiscard]] std::int32_t take() noexcept {
    BLITZIO_CHECK(phase_ == Phase::done, phase_);
    phase_ = Phase::taken;
    return result_;
  }

 protected:
  OpBlock() noexcept : Operation(on_completion) {}
  virtual void prepare() noexcept = 0;
  virtual void discard(std::int32_t result) noexcept = 0;

 private:
  static void on_completion(Operation& operation, const driver::Completion& completion) noexcept;

  driver::Driver* driver_ = nullptr;
  Waker waker_;
  std::int32_t result_ = 0;
  Phase phase_ = Phase::idle;
};

template <OpRequest R>
class OpBlockOf final : public OpBlock {
 public:
  explicit OpBlockOf(R request_in) noexcept : request(std::move(request_in)) {}
  R request;

 private:
  void prepare() noexcept override { request.prepare(*this); }
  void discard(std::int32_t result) noexcept override { request.discard(result); }
};

}  // namespace detail

/// Cancel   dropping it cancels the operation, see above.   Cost   one allocation.
template <OpRequest R>
class [[nodiscard]] OpFuture {
 public:
  using Output = typename R::Output;

  explicit OpFuture(R request) : block_(new detail::OpBlockOf<R>(std::move(request))) {}

  Poll<Output> poll(Context& context) noexcept {
    BLITZIO_CHECK(block_ != nullptr);
    if (!block_->poll(context)) return pending;
    Output output = block_->request.finish(block_->take());
    block_.reset();
    return output;
  }

 private:
  struct LetGo {
    void operator()(detail::OpBlock* block) const noexcept { block->let_go(); }
  };
  std::unique_ptr<detail::OpBlockOf<R>, LetGo> block_;
};

}  // namespace blitzio

// `RingCall<Job>`: a file operation in the ring of the thread that polled it first.
//
// What the kernel may use until the operation ends (the job's path, buffer and descriptor) lives
// with it in a block on the heap; a future that is dropped only lets go of it. The future may be
// polled and dropped on any thread, as a task that another worker has stolen does; the operation
// belongs to the driver it was submitted to, the home:
//
//                          completion                poll
//     submit ──▶ in_flight ──────────▶ done ─────────────────▶ taken
//                   │                  │ dropped: the result is discarded
//                   │ dropped: cancelled, elsewhere than at home by a message
//                   ▼                  completion, and the message if any
//               abandoned ─────────────────────────────────────▶ discards the result
//
// The future and the home each hold the block, until the last access of either.
//
// detach() abandons without cancelling.
//
// A driver that is shut down ends what it has in flight without its owner having asked: then the
// call says `is_dismissed`, and has to be made elsewhere. Of a detached one it sees to that itself.
//
// Threads: as said; `phase_` and `waker_` belong to the lock, the home's thread alone completes.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/executor/process_pool.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace blitzio::fs::detail {

class RingCallBase : public driver::Operation, public driver::Message {
 public:
  RingCallBase(const RingCallBase&) = delete;
  RingCallBase& operator=(const RingCallBase&) = delete;

  /// On the thread of `home`, prepared.
  void submit(driver::Driver& home) noexcept;
  /// True if the result is there; else wakes when it is.
  [[nodiscard]] bool poll(Context& context) noexcept BLITZIO_EXCLUDES(mutex_);
  /// Done: not by the kernel, but because the driver was shut down.
  [[nodiscard]] bool is_dismissed() const noexcept { return is_dismissed_; }
  /// done → taken.
  [[nodiscard]] std::int32_t take() noexcept BLITZIO_EXCLUDES(mutex_);
  /// The future is gone.
  void let_go() noexcept BLITZIO_EXCLUDES(mutex_) { abandon(true); }
  /// The same, but the operation goes on.
  void detach() noexcept BLITZIO_EXCLUDES(mutex_) { abandon(false); }

 protected:
  RingCallBase() noexcept : Operation(on_completion), Message(on_message) {}
  virtual ~RingCallBase() = default;

 private:
  enum class Phase : std::uint8_t { in_flight, done, taken, abandoned };

  static void on_completion(Operation& operation, const driver::Completion& completion) noexcept;
  static void on_message(Message& message) noexcept;

  void abandon(bool cancels) noexcept BLITZIO_EXCLUDES(mutex_);
  void release_ref() noexcept;
  /// Nobody takes the result.
  virtual void discard(std::int32_t result) noexcept = 0;
  /// Makes the call elsewhere, with nobody waiting.
  virtual void move_on() noexcept = 0;

  driver::Driver* home_ = nullptr;
  std::int32_t result_ = 0;    // Written before `done`.
  bool is_dismissed_ = false;  // As well.
  bool is_detached_ = false;   // Written before `abandoned`.
  bool is_completed_ = false;  // Of the home's thread, as the next.
  Atomic<unsigned> refs_{2};   // Of the future and the home.
  Mutex mutex_{LockRank::ring_call};
  Phase phase_ BLITZIO_GUARDED_BY(mutex_) = Phase::in_flight;
  bool is_posted_ BLITZIO_GUARDED_BY(mutex_) = false;
  Waker waker_ BLITZIO_GUARDED_BY(mutex_);
};

/// A job that the ring has an operation for.
template <class Job>
concept RingJob = requires(Job& job, driver::Operation& operation, std::int32_t result) {
  // Errors: what the kernel cannot be asked. The job does not move afterwards.
  { job.prepare(operation) } noexcept -> std::same_as<Result<void>>;
  { job.finish(result) } noexcept -> std::same_as<std::invoke_result_t<Job&>>;
};

template <RingJob Job>
class RingCall final : public RingCallBase {
 public:
  struct LetGo {
    void operator()(RingCall* call) const noexcept { call->let_go(); }
  };
  using Handle = std::unique_ptr<RingCall, LetGo>;

  /// Errors   as Job::prepare().
  [[nodiscard]] static Result<Handle> start(Job job, driver::Driver& home) {
    std::unique_ptr<RingCall> call(new RingCall(std::move(job)));
    if (auto prepared = call->job.prepare(*call); !prepared) return fail(prepared.error());
    call->submit(home);
    return Handle(call.release());
  }

  Job job;

 private:
  friend struct std::default_delete<RingCall>;
  explicit RingCall(Job job_in) noexcept : job(std::move(job_in)) {}
  ~RingCall() override = default;

  void discard(std::int32_t result) noexcept override { static_cast<void>(job.finish(result)); }
  void move_on() noexcept override {
    try {
      static_cast<void>(blitzio::detail::spawn_on_process_pool(std::move(job)));
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): see below
      // As where the pool can have no thread: it is not done, and nobody waits to be told.
    }
  }
};

}  // namespace blitzio::fs::detail

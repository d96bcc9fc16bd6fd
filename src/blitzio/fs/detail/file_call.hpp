// `FileCall<Job>`: a file operation as a future. It is tried on the spot, and waits in the ring or
// in a thread if that would block; way.hpp decides.
//
//     struct Job {
//       Now<T> try_now() noexcept;           // optional: the answer, if it may be had on the spot
//       Result<T> operator()() noexcept;     // where it may block
//       // Optional, for the ring (RingJob); no use: not this time.
//       std::optional<RingUse> ring_use() const noexcept;
//       Result<void> prepare(driver::Operation& operation) noexcept;
//       Result<T> finish(std::int32_t result) noexcept;
//     };
//
//            first poll: the job has the answer
//     idle ─────────────────────────────────────────────────────▶ ready
//       ├──────────────▶ in the ring ────── completion ───────────▶│
//       │                    │ its driver was shut down            │
//       │                    ▼                                     │
//       └──────────────▶ in a thread ───── done ─────────────────▶─┘
//
// Dropping it: a job in the ring is cancelled, one in a thread as BlockingCall. A job owns what it
// uses.   Threads: any, one at a time; it may migrate between polls.
#pragma once

#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/ring_call.hpp>
#include <blitzio/fs/detail/way.hpp>
#include <blitzio/task/future.hpp>

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio::fs::detail {

template <class Job>
class [[nodiscard]] FileCall {
  struct NoRing {};
  static auto ring_handle() noexcept {
    if constexpr (RingJob<Job>) {
      return std::type_identity<typename RingCall<Job>::Handle>();
    } else {
      return std::type_identity<NoRing>();
    }
  }
  using InRing = typename decltype(ring_handle())::type;
  using InThread = BlockingCall<Job>;

 public:
  using Output = std::invoke_result_t<Job&>;

  explicit FileCall(Job job) noexcept(std::is_nothrow_move_constructible_v<Job>)
      : state_(std::in_place_type<Job>, std::move(job)) {}

  Poll<Output> poll(Context& context) {
    if (Job* job = std::get_if<Job>(&state_)) {
      if constexpr (requires { job->try_now(); }) {
        if (!(RingJob<Job> && is_for_ring_alone())) {
          if (std::optional<Output> answer = job->try_now()) return std::move(*answer);
        }
      }
      if (auto started = start(); !started) return Output(fail(started.error()));
    }
    if constexpr (RingJob<Job>) {
      if (InRing* ring = std::get_if<InRing>(&state_)) {
        if (!(*ring)->poll(context)) return pending;
        const std::int32_t result = (*ring)->take();
        // Out of the call, which may outlive this: a file that is kept there would not be closed.
        Job job = std::move((*ring)->job);
        if (!(*ring)->is_dismissed()) return job.finish(result);
        state_.template emplace<InThread>(std::move(job));
      }
    }
    return std::get<InThread>(state_).poll(context);
  }

  /// Whether the ring has it: then dropping this ends it.
  [[nodiscard]] bool is_in_ring() const noexcept { return std::holds_alternative<InRing>(state_); }
  /// Leaves the operation, once a poll has begun to wait for it, to run with nobody waiting.
  void detach() noexcept {
    if (InThread* thread = std::get_if<InThread>(&state_)) thread->detach();
    if constexpr (RingJob<Job>) {
      if (InRing* ring = std::get_if<InRing>(&state_)) ring->release()->detach();
    }
  }

 private:
  /// Errors   of a job that the kernel cannot be asked to do.
  Result<void> start() {
    Job job = std::move(std::get<Job>(state_));
    if constexpr (RingJob<Job>) {
      const std::optional<RingUse> use = job.ring_use();
      if (driver::Driver* home = use ? ring_for(*use) : nullptr) {
        auto call = RingCall<Job>::start(std::move(job), *home);
        if (!call) return fail(call.error());
        state_.template emplace<InRing>(std::move(*call));
        return {};
      }
    }
    state_.template emplace<InThread>(std::move(job));
    return {};
  }

  std::variant<Job, InRing, InThread> state_;
};

}  // namespace blitzio::fs::detail

// `Ring`: one io_uring instance: set-up, the two shared queues, the enter syscall, teardown.
//
// It keeps the queue indices itself instead of using liburing's: the driver needs to know which
// entries the kernel has consumed (to refill), to read the completion tail once per dispatch, and
// to give back each completion slot before it runs a completion function.
//
//   submission:  kernel head ──consumed── … ──prepared── tail_      (published by enter())
//   completion:  head ──ours to read── … ── kernel tail             (given back one by one)
//
// A ring is created disabled; enable() makes the calling thread its only issuer, for good: with
// SINGLE_ISSUER another thread gets EEXIST. Owner thread only; close() from any thread once no
// request is in flight.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/driver/io_uring/kernel_abi.hpp>

#include <atomic>
#include <cstdint>
#include <memory>

namespace blitzio::driver::io_uring {

/// A completion queue entry, copied out.
struct Cqe {
  std::uint64_t user_data;
  std::int32_t result;
  std::uint32_t flags;
};

class Ring {
 public:
  Ring() noexcept = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { close(); }

  /// Creates the ring, disabled. `entries` is rounded up to a power of two; the completion queue is
  /// four times as long, because multishot requests complete more often than they are submitted.
  /// Errors   what io_uring_setup and mmap give (EPERM, ENOSYS, ENOMEM, EMFILE, EINVAL for flags).
  [[nodiscard]] Result<void> open(std::uint32_t entries, std::uint32_t setup_flags) noexcept;
  /// Makes the calling thread the issuer, which joins as join_thread() has it.
  [[nodiscard]] Result<void> enable(bool may_register) noexcept;
  /// Frees what the issuing thread holds for this ring (its registered fd). Issuer only.
  void leave_thread() noexcept;
  /// The issuing thread begins to use the ring. If it may, it registers the ring's fd once it has
  /// entered so often that this pays.
  void join_thread(bool may_register) noexcept;
  /// Registers it now. False if the thread or the kernel can not.
  bool register_fd() noexcept;
  /// Gives everything back to the kernel. Requests in flight are cancelled some time later.
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  [[nodiscard]] bool is_polled() const noexcept { return is_polled_; }
  [[nodiscard]] ::io_uring& raw() noexcept { return ring_; }

  // ---- submission
  // --------------------------------------------------------------------------------

  /// The next entry, to be filled completely; null while the queue is full.
  [[nodiscard]] io_uring_sqe* next_sqe() noexcept {
    if (unsubmitted() > sq_mask_) return nullptr;
    return &ring_.sq.sqes[tail_++ & sq_mask_];
  }
  /// Memory that lives as long as `sqe` does, for a timeout's deadline.
  [[nodiscard]] __kernel_timespec& timespec_of(const io_uring_sqe& sqe) noexcept {
    return timespecs_[&sqe - ring_.sq.sqes];
  }
  [[nodiscard]] std::uint32_t unsubmitted() const noexcept {
    // Acquire: pairs with the kernel's release of the head, so that a consumed entry may be reused.
    return tail_ - std::atomic_ref(*ring_.sq.khead).load(std::memory_order_acquire);
  }
  /// Whether the kernel holds completions back until it is entered: deferred task work, or a
  /// completion queue that overflowed.
  [[nodiscard]] bool needs_enter() const noexcept {
    // Acquire: pairs with the kernel's release of the flags; whatever completion it announces is
    // then visible to the enter that follows.
    const auto flags = std::atomic_ref(*ring_.sq.kflags).load(std::memory_order_acquire);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }

  /// io_uring_enter: submits what is prepared, runs deferred work, waits for `wait_for` completions
  /// at most `timeout` long (null: for ever). With SQPOLL the kernel's thread submits, some time
  /// later, and if there is nothing to wait for and the thread is awake there is no system call.
  /// Returns  the number of entries submitted, or a negative errno.
  int enter(std::uint32_t wait_for, const __kernel_timespec* timeout) noexcept;

  // ---- completion
  // --------------------------------------------------------------------------------

  [[nodiscard]] bool has_completions() const noexcept { return head_ != cq_tail(); }
  [[nodiscard]] std::uint32_t cq_head() const noexcept { return head_; }
  [[nodiscard]] std::uint32_t cq_tail() const noexcept {
    // Acquire: pairs with the kernel's release of the tail; the entries before it are complete.
    return std::atomic_ref(*ring_.cq.ktail).load(std::memory_order_acquire);
  }
  /// Copies out the oldest completion and gives its slot back. There must be one.
  [[nodiscard]] Cqe take() noexcept {
    const io_uring_cqe& cqe = ring_.cq.cqes[head_ & cq_mask_];
    const Cqe copy{cqe.user_data, cqe.res, cqe.flags};
    ++head_;
    // Release: pairs with the kernel's acquire of the head; the slot has been read.
    std::atomic_ref(*ring_.cq.khead).store(head_, std::memory_order_release);
    return copy;
  }

 private:
  ::io_uring ring_{};
  std::uint32_t tail_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t sq_mask_ = 0;
  std::uint32_t cq_mask_ = 0;
  bool open_ = false;
  bool registered_fd_ = false;
  std::uint32_t enters_to_registration_ = 0;  ///< 0: registered, or not to be
  bool is_polled_ = false;                    ///< by SQPOLL's thread
  std::unique_ptr<__kernel_timespec[]> timespecs_;
};

}  // namespace blitzio::driver::io_uring

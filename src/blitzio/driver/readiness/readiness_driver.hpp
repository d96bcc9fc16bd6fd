// `ReadinessDriver`: completion on top of a kernel that only says "ready". epoll and poll derive
// from it and add how to ask (arm, gather, …); everything an operation goes through is here.
//
// Try the system call first, wait only when it would block:
//
//               would block                        event, still blocked
//   start ──────────────────────▶ waiting ◀──────────────────────────────────┐
//     │ result                     │   │ event                               │
//     │            cancel          │   ├── one-shot: performed again ────────┤
//     ▼ ◀──────────────────────────┘   │                                     │
//   done ◀──────────── result ─────────┤                                     │
//     │  ▲                             └── multishot ──▶ runnable            │
//     │  │ cancel                                         │     ▲            │
//     │  ├─────────────────────────────────────◀──────────┤     │ turn's     │
//     │  │ cancel by a completion                dispatch │     │ share used │
//     │  └───────────────────────────────────── running ◀─┘     │            │
//     ▼ dispatch                                  │  ├─────────┘            │
//   idle ◀──────────────── last completion ───────┘  └────── would block ────┘
//
// waiting   in its descriptor's queue (timeouts: in the heap); nothing was consumed.
// done      in ready_ with its result; a cancel changes nothing any more, so bytes received and
//           connections accepted are never dropped.
// runnable  a multishot operation in ready_: it performs in dispatch(), because what brings data
//           hands out the driver's one buffer.
// running   in no list: dispatch() is performing it, a completion function may be on the stack.
// The phase is in Operation::backend_word, the result of `done` in backend_result.
//
// Readiness is remembered for attached descriptors alone (FdEntry::read_ready, write_ready): after
// EAGAIN the bit is clear and submitting waits without a try; an event sets it. No edge is lost,
// because a bit is cleared only by what happened before the clearing, while an edge of later is
// still in the kernel: only gather() takes edges out, never a system call of an operation.
//
// When an unattached descriptor is closed behind our back, its operations wait until cancelled.
// Submitting on an unattached descriptor always asks the kernel anew, so a reused number works.
//
// In a forked child nothing leads to the backend or to perform(): an epoll set is shared with the
// parent, and so is whatever waits in a descriptor.
#pragma once

#include <blitzio/driver/driver.hpp>
#include <blitzio/driver/readiness/fd_table.hpp>
#include <blitzio/driver/readiness/timeout_heap.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

namespace blitzio::driver::readiness {

class ReadinessDriver : public Driver {
 public:
  [[nodiscard]] Result<void> bind() noexcept final;
  void unbind() noexcept final;
  [[nodiscard]] Result<void> attach(int fd) noexcept final;
  void detach(int fd) noexcept final { detach(fd, false); }
  void detach_last(int fd) noexcept final { detach(fd, true); }
  /// Nothing to do: no operation lies in the kernel.
  void hand_over() noexcept final {}
  void collect() noexcept final;
  void wait(Duration timeout) noexcept final;
  [[nodiscard]] bool has_completions() const noexcept final {
    return !ready_.is_empty() || !inbox_.is_empty() || has_held();
  }
  std::size_t dispatch() noexcept final;
  void shutdown() noexcept final;

 protected:
  /// What brings data reads into one buffer of this size; a read that fills it is followed by more.
  static constexpr std::size_t kReceiveBytes = 64 * 1024;
  // The share of one multishot operation per dispatch(); then the others get their turn.
  static constexpr int kReceivesPerTurn = 16;
  static constexpr int kAcceptsPerTurn = 64;

  ReadinessDriver() noexcept = default;

  /// Allocates what operations must not. Returns 0 or ENOMEM. Once, before anything else.
  [[nodiscard]] int allocate() noexcept;

  // ---- what a backend adds; owner thread unless said otherwise ---------------------------------

  /// Has the kernel report what entry.interest() asks. `fresh`: for a new waiter, so the kernel
  /// must be asked whatever we believe (the fd may be another one than last time) and must report
  /// what is ready already; otherwise only if the present registration does not cover it. Returns 0
  /// or an errno; EPERM: this kind of file is always ready.
  [[nodiscard]] virtual int arm(int fd, FdEntry& entry, bool fresh) noexcept = 0;
  /// An event came and nobody waits (any more): ends such events. Must not fail.
  virtual void disarm(int fd, FdEntry& entry) noexcept = 0;
  /// Returns 0 or an errno.
  [[nodiscard]] virtual int attach_in_kernel(int fd, FdEntry& entry) noexcept = 0;
  /// `is_last`: as detach_last().
  virtual void detach_in_kernel(int fd, FdEntry& entry, bool is_last) noexcept = 0;
  /// Asks the kernel for events, blocking up to `timeout` (as wait() has it), and hands each to
  /// on_event().
  virtual void gather(Duration timeout) noexcept = 0;

  void on_event(int fd, FdEntry& entry, std::uint32_t events) noexcept;

  FdTable table_;

 private:
  // backend_word of an operation; smaller values are heap indices of waiting timeouts.
  static constexpr std::uint32_t kDone = 0xFFFF'FFFF;
  static constexpr std::uint32_t kRunnable = 0xFFFF'FFFE;
  static constexpr std::uint32_t kRunning = 0xFFFF'FFFD;
  static constexpr std::uint32_t kWaiting = 0xFFFF'FFFC;
  static constexpr std::uint32_t kLargestHeapIndex = 0xFFFF'FFFB;

  // backend_result of a multishot operation that receives or accepts and is not done: its first
  // wait must reach the kernel, later ones only if the registration was lost.
  static constexpr std::int32_t kNeverWaited = 0;
  static constexpr std::int32_t kHasWaited = 1;

  void start(Operation& operation) noexcept final;
  void stop(Operation& operation) noexcept final;

  void detach(int fd, bool is_last) noexcept;

  void start_timeout(Operation& operation) noexcept;
  void start_poll(Operation& operation) noexcept;
  void start_multishot(Operation& operation) noexcept;
  void start_one_shot(Operation& operation) noexcept;

  // The edges of the diagram.
  void to_done(Operation& operation, std::int32_t result) noexcept;
  void to_runnable(Operation& operation) noexcept;
  void to_waiting(Operation& operation, FdEntry& entry) noexcept;
  void leave_waiting(Operation& operation) noexcept;
  /// to_waiting() and arm(); what arming fails with becomes the result.
  void wait_for(Operation& operation, FdEntry& entry, bool fresh) noexcept;
  void wait_for(Operation& operation) noexcept;
  /// Back to waiting from running.
  void wait_again(Operation& operation) noexcept;

  /// Tries the ordinary ones again, oldest first, until one would block.
  void retry(WaitQueue& queue, FdEntry& entry) noexcept;
  /// Tries each reader of urgent data or the error queue again.
  void retry_special(FdEntry& entry) noexcept;
  void notify_pollers(FdEntry& entry, std::uint32_t events) noexcept;
  void wake_next_reader(int fd) noexcept;
  void rearm(int fd, FdEntry& entry, bool fresh) noexcept;
  void expire_timeouts() noexcept;
  void note_outcome(FdEntry& entry, const Operation& operation, std::int32_t result) noexcept;
  static constexpr ShortRead kMayDrain = ShortRead::drains_unless_it_took_fds;
  /// What a short read tells of `fd`; says_nothing unless it is attached.
  [[nodiscard]] static ShortRead ask(FdEntry& entry, int fd) noexcept;

  std::size_t run_ready() noexcept;
  void run(Operation& operation) noexcept;
  void run_arrivals(Operation& operation) noexcept;
  void run_accept(Operation& operation) noexcept;
  void run_poll(Operation& operation) noexcept;
  /// One completion of a running multishot operation, which may have been cancelled by it.
  /// Returns whether it is still running.
  [[nodiscard]] bool report(Operation& operation, const Completion& completion) noexcept;

  void check_owner() const noexcept { BLITZIO_DCHECK(owner_ == std::this_thread::get_id()); }

  /// done and runnable, in order of arrival; what dispatch() will run.
  WaitQueue ready_;
  /// What the present dispatch() runs. A member, so that shutdown() inside a completion function
  /// finds it.
  WaitQueue batch_;
  TimeoutHeap timeouts_;
  std::unique_ptr<std::byte[]> receive_buffer_;
  /// Operations in descriptors' queues: with none, the kernel has nothing to tell.
  std::size_t foreground_waiting_ = 0;
  std::uint32_t collects_skipped_ = 0;
  bool shutting_down_ = false;
  std::thread::id owner_;
};

}  // namespace blitzio::driver::readiness

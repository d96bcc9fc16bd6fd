// `IoUringDriver`: the completion interface on io_uring.
//
// A turn costs at most one io_uring_enter when it does not block: it submits, lets the kernel run
// deferred completions, and is skipped when there is nothing to submit and the ring's flags
// announce nothing. A turn that blocks enters once more, or once only if collect() had nothing.
//
// Where an operation is (Place, kept in Operation::backend_word):
//
//                     ┌────────── restart (EAGAIN, re-arm) ───────────┐
//                     ▼                                               │
//   start ──▶ in the kernel ──last CQE──▶ being delivered ──────▶ completed
//     │          ▲       │ last CQE while reclaiming                  ▲
//     │ no room, │       ▼                                            │
//     │ unbound  │     saved ──────────────dispatch───────────────────┤
//     └─────▶ backlog ◀── cancelled by reclaiming, not by its owner   │
//                │        starved ◀── ENOBUFS                         │
//                │ cancel    │ cancel                                 │
//                └───────────┴──────▶ ready ────────dispatch──────────┘
//
// kernel    prepared or submitted; counted in kernel_count_. Never moved or freed.
// backlog   waits for room in the submission queue, or for bind(). An operation in the background
//           waits until the thread is about to sleep, or has been busy for 32 turns: a run that
//           never sleeps mostly spares submitting it and taking it back.
// starved   one that brings_data() without a provided buffer; goes back once buffers have returned.
// ready     has its result in backend_result and waits for dispatch().
// saved     its last CQE lies in saved_, taken out of the ring by reclaim().
//
// Threads. Requests belong to the thread that submitted them: they die with it, and SINGLE_ISSUER
// lets no other thread enter. So unbind() *reclaims*: it cancels all requests and takes every CQE
// out of the ring; results wait for dispatch(), what was cancelled only for this reason waits in
// the backlog for bind(). bind() on another thread makes a new ring.
//
// Multishot. The kernel may end a multishot request at any time without an error (its queue
// overflowed, it ran out of buffers, it is too old for multishot); the driver arms it again after
// the last CQE, which keeps the order of data, and its owner sees nothing of it.
//
// Wake-up: an eventfd that is never read, with a multishot poll on it from the first sleep on;
// each write is one CQE.
//
// Cancel requests name the operation's address. They can not hit a later operation at the same
// address, because both go through the same queue: the older request is looked at first.
//
// In a forked child the ring's shared memory still belongs to the parent: an entry that the child
// prepared would be submitted by the parent, a completion that it took would be lost to it. The
// rings are deliberately not MADV_DONTFORK: a child may then unmap them without asking what else
// was mapped there since. The provided buffers are private memory, so the child has its own copies;
// the kernel copies pinned pages at fork, so the parent keeps those it registered.
//
// An entry prepared for an fd means whatever that number is when the entry is submitted; so an fd
// may only be closed when none is left to submit, as Driver::detach() asks.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/driver/io_uring/buffer_ring.hpp>
#include <blitzio/driver/io_uring/file_table.hpp>
#include <blitzio/driver/io_uring/prepare.hpp>
#include <blitzio/driver/io_uring/probe.hpp>
#include <blitzio/driver/io_uring/ring.hpp>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <vector>

namespace blitzio::driver::io_uring {

class IoUringDriver final : public Driver {
 public:
  IoUringDriver(const Config& config, const Features& features, OwnedFd wake_fd) noexcept;
  ~IoUringDriver() override;

  /// Creates the ring. Before anything else.
  [[nodiscard]] Result<void> open() noexcept;

  [[nodiscard]] Backend backend() const noexcept override { return Backend::io_uring; }
  [[nodiscard]] bool has_kernel_reads() const noexcept override {
    return features_.multishot_read && has_provided_buffers() && config_.buffer_bytes >= PIPE_BUF;
  }
  [[nodiscard]] Result<void> bind() noexcept override;
  void unbind() noexcept override;
  /// Registers it with the ring, if the Config says so; else there is nothing to do.
  [[nodiscard]] Result<void> attach(int fd) noexcept override;
  void detach(int fd) noexcept override;
  void hand_over() noexcept override;
  void collect() noexcept override;
  void wait(Duration timeout) noexcept override;
  [[nodiscard]] bool has_completions() const noexcept override;
  std::size_t dispatch() noexcept override;
  void shutdown() noexcept override;

 protected:
  void start(Operation& operation) noexcept override;
  void stop(Operation& operation) noexcept override;
  void interrupt() noexcept override;

 private:
  // Operation::backend_word: the place, and whether the operation waits for readiness first.
  enum class Place : std::uint32_t { none, kernel, backlog, starved, ready, saved };
  static constexpr std::uint32_t kReadinessFirst = 1U << 8;

  static Place place(const Operation& operation) noexcept {
    return static_cast<Place>(operation.backend_word & ~kReadinessFirst);
  }
  static void set_place(Operation& operation, Place place) noexcept {
    operation.backend_word =
        (operation.backend_word & kReadinessFirst) | static_cast<std::uint32_t>(place);
  }
  static bool readiness_first(const Operation& operation) noexcept {
    return (operation.backend_word & kReadinessFirst) != 0;
  }
  static std::uint64_t kernel_name(const Operation& operation) noexcept {
    return user_data_of(operation, readiness_first(operation) ? Tag::readiness : Tag::operation);
  }
  static bool is_cancelling(const Operation& operation) noexcept {
    return operation.state() == Operation::State::cancelling;
  }

  // A signal, or a cancel request to a blocked worker thread of the kernel, came before anything
  // was done. Not for close: the fd is gone even so.
  static bool is_interrupted(const Operation& operation, std::int32_t result) noexcept {
    return result == -EINTR && operation.kind() != OpKind::close;
  }

  // For injected faults (base/faults.hpp): of sockets, where waiting for readiness is as good as
  // waiting for the operation; and operations that the kernel allocates something for.
  static bool may_say_would_block(const Operation& operation) noexcept {
    const bool is_plain_transfer =
        (operation.kind() == OpKind::recv || operation.kind() == OpKind::send) &&
        (operation.args().socket_buffer.flags & ~MSG_NOSIGNAL) == 0;
    return is_plain_transfer || operation.brings_data() || operation.kind() == OpKind::accept ||
           operation.kind() == OpKind::accept_multishot;
  }
  static bool may_run_out_of_memory(const Operation& operation) noexcept {
    return operation.is_multishot() || operation.kind() == OpKind::accept;
  }

  // ---- towards the kernel (io_uring_driver.cpp)
  [[nodiscard]] bool can_reach_kernel() const noexcept {
    return bound_ && ring_.is_open() && !in_child();
  }
  [[nodiscard]] bool registers_files() const noexcept {
    return config_.registered_files == Use::always;
  }
  [[nodiscard]] bool has_provided_buffers() const noexcept {
    return config_.registered_buffers != Use::never;
  }
  void restart(Operation& operation) noexcept;
  void start_over(Operation& operation) noexcept;
  [[nodiscard]] bool try_prepare(Operation& operation) noexcept;
  void make_ready(Operation& operation, std::int32_t result) noexcept;
  [[nodiscard]] io_uring_sqe* sqe_or_flush() noexcept;
  void flush_backlog() noexcept;
  void bring_forward() noexcept;
  [[nodiscard]] bool arm_wake() noexcept;
  void enter(std::uint32_t wait_for, const __kernel_timespec* timeout) noexcept;
  void reclaim() noexcept;
  void save_completions() noexcept;
  [[nodiscard]] Result<void> replace_ring() noexcept;
  [[nodiscard]] bool inject_before_wait() noexcept;

  // ---- towards the owners (deliver.cpp). They return the number of completion functions run.
  Cqe take() noexcept;
  std::size_t deliver(const Cqe& cqe) noexcept;
  std::size_t deliver_result(Operation& operation, std::int32_t result, bool more) noexcept;
  std::size_t deliver_urgent(Operation& operation, std::int32_t result, bool more) noexcept;
  std::size_t deliver_bytes(Operation& operation, const Cqe& cqe) noexcept;
  std::size_t deliver_readiness(Operation& operation, std::int32_t result) noexcept;
  std::size_t receive_now(Operation& operation) noexcept;
  std::size_t deliver_last(Operation& operation, std::int32_t result) noexcept;
  std::size_t deliver_saved() noexcept;
  void starve(Operation& operation) noexcept;
  void feed_starved(std::uint32_t buffers) noexcept;
  void recycle(const Cqe& cqe) noexcept;

  Config config_;
  const Features features_;
  const OwnedFd wake_fd_;
  Ring ring_;
  BufferRing buffers_;
  FileTable files_;
  /// What those that bring data use without provided buffers.
  Mapping scratch_;
  bool bound_ = false;
  bool shutting_down_ = false;
  bool dispatching_ = false;
  bool wake_armed_ = false;
  /// How often collect() has left background_ where it is. Not from unbind() on anew: an owner that
  /// binds for a turn at a time is to notice it, too.
  std::uint32_t left_behind_ = 0;
  /// The thread that the ring was enabled for; 0: none yet. Serial numbers, because the kernel and
  /// the C++ library use the ids of threads that ended again.
  std::uint64_t ring_thread_ = 0;
  /// Operations prepared or submitted whose last CQE has not been taken.
  std::size_t kernel_count_ = 0;
  IntrusiveList<Operation, QueueTag> backlog_;
  IntrusiveList<Operation, QueueTag> background_;
  /// In the kernel, cancelled, but there was no room for the cancel request.
  IntrusiveList<Operation, QueueTag> uncancelled_;
  IntrusiveList<Operation, QueueTag> ready_;
  IntrusiveList<Operation, QueueTag> starved_;
  std::size_t starved_count_ = 0;
  /// Buffers that came back during this dispatch().
  std::uint32_t recycled_ = 0;
  bool grow_buffers_ = false;
  /// What reclaim() took out of the ring, oldest first. Received bytes stay in their buffers.
  std::vector<Cqe> saved_;
};

}  // namespace blitzio::driver::io_uring

#include <blitzio/driver/io_uring/io_uring_driver.hpp>

#include <blitzio/driver/io_uring/driver_impl.hpp>

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace blitzio::driver {

Result<std::unique_ptr<Driver>> make_io_uring(const Config& config) noexcept {
  if (const auto valid = validate(config); !valid) return fail(valid.error());
  const io_uring::ProbeResult& probed = io_uring::probe();
  if (!probed.usable) return fail(Error::runtime(RuntimeErrc::backend_unavailable));
  OwnedFd wake_fd = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_fd) return fail(Error::os(errno));
  std::unique_ptr<io_uring::IoUringDriver> driver(
      new (std::nothrow) io_uring::IoUringDriver(config, probed.features, std::move(wake_fd)));
  if (!driver) return fail(Error::os(ENOMEM));
  if (const auto opened = driver->open(); !opened) return fail(opened.error());
  return driver;
}

namespace io_uring {

namespace {

// With as many, a turn of a busy server submits once; a small machine has less to spare.
constexpr std::uint32_t kDefaultEntriesMin = 64;
constexpr std::uint32_t kDefaultEntriesMax = 256;
constexpr std::uint64_t kMemoryPerEntry = 16 * 1024 * 1024;
// How long reclaiming waits before it asks again: a request that was just changing hands inside the
// kernel is missed by a cancel request, and one that the kernel would not take yet was never asked.
constexpr std::int64_t kReclaimPatienceNs = 10'000'000;
// How often a kernel that takes no requests is asked again before they are left for the next turn.
constexpr int kHandOverAttempts = 1'000;
// How many turns of a busy thread an operation in the background waits for.
constexpr std::uint32_t kBackgroundTurns = 32;
// The kernel adds a timeout to its clock: one near the end of the numbers would lie in the past. A
// wait may end early, so a longer one ends after this.
constexpr Duration kWaitMax = Duration::from_secs(std::int64_t{365} * 24 * 3600);

// Numbers threads from 1, never reusing a number.
std::uint64_t this_thread_serial() noexcept {
  // Counts threads that ever asked. Relaxed: only uniqueness matters.
  static Atomic<std::uint64_t> count{0};
  thread_local const std::uint64_t serial = count.fetch_add(1, std::memory_order_relaxed) + 1;
  return serial;
}

std::uint32_t entries_for_memory() noexcept {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kDefaultEntriesMin;
  const std::uint64_t memory =
      static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(memory / kMemoryPerEntry, kDefaultEntriesMin, kDefaultEntriesMax));
}

// The memory of the machine is asked for once.
std::uint32_t default_entries() noexcept {
  static const std::uint32_t entries = entries_for_memory();
  return entries;
}

// What to ask the ring for: the best that the kernel has and the user does not forbid.
std::uint32_t setup_flags(const Config& config, const Features& features) noexcept {
  const bool is_single = features.single_issuer && config.single_issuer != Use::never;
  const std::uint32_t issuer = is_single ? IORING_SETUP_SINGLE_ISSUER : 0U;
  // Its thread runs what is left of the kernel's work, and none is held back.
  if (config.sqpoll) return issuer | IORING_SETUP_SQPOLL;
  const bool is_deferred =
      is_single && features.defer_taskrun && config.defer_taskrun != Use::never;
  return issuer | IORING_SETUP_TASKRUN_FLAG |
         (is_deferred ? IORING_SETUP_DEFER_TASKRUN : IORING_SETUP_COOP_TASKRUN);
}

__kernel_timespec to_timespec(Duration span) noexcept {
  return {span.as_nanos() / 1'000'000'000, span.as_nanos() % 1'000'000'000};
}

}  // namespace

IoUringDriver::IoUringDriver(const Config& config, const Features& features,
                             OwnedFd wake_fd) noexcept
    : config_(config),
      features_(features),
      wake_fd_(std::move(wake_fd)),
      buffers_(config.buffer_bytes, config.buffer_count, config.buffer_count_max) {
  ring_files_ = config.ring_files;
}

IoUringDriver::~IoUringDriver() {
  shutdown();
}

Result<void> IoUringDriver::open() noexcept {
  return ring_.open(config_.ring_entries == 0 ? default_entries() : config_.ring_entries,
                    setup_flags(config_, features_));
}

// ---- ownership ----------------------------------------------------------------------------------

Result<void> IoUringDriver::bind() noexcept {
  BLITZIO_CHECK(!bound_);
  if (in_child()) return fail(Error::runtime(RuntimeErrc::closed));
  if (shutting_down_) {
    bound_ = true;
    return {};
  }
  const std::uint64_t thread = this_thread_serial();
  if (ring_thread_ == thread) {
    ring_.join_thread(features_.registered_ring_fd);
  } else {
    if (ring_thread_ != 0 || !ring_.is_open()) {
      if (const auto replaced = replace_ring(); !replaced) return replaced;
    }
    if (const auto enabled = ring_.enable(features_.registered_ring_fd); !enabled) {
      // Enabled for nobody: the next bind() makes another.
      ring_.close();
      return enabled;
    }
    if (registers_files()) {
      if (const auto opened = files_.open(ring_); !opened) {
        ring_.close();
        return opened;
      }
    }
    ring_thread_ = thread;
  }
  bound_ = true;
  if (registers_files()) files_.sync(ring_);
  flush_backlog();
  return {};
}

Result<void> IoUringDriver::replace_ring() noexcept {
  BLITZIO_CHECK(kernel_count_ == 0, kernel_count_);
  ring_.close();
  buffers_.detach();
  files_.forget();
  wake_armed_ = false;
  ring_thread_ = 0;
  return open();
}

void IoUringDriver::unbind() noexcept {
  BLITZIO_CHECK(bound_);
  BLITZIO_DCHECK(!dispatching_);
  const bool reachable = can_reach_kernel();
  // First, so that what reclaiming ends stays in the backlog.
  bound_ = false;
  if (!reachable) return;
  reclaim();
  ring_.leave_thread();
}

Result<void> IoUringDriver::attach(int fd) noexcept {
  if (registers_files()) files_.attach(can_reach_kernel() ? &ring_ : nullptr, fd);
  return {};
}

void IoUringDriver::detach(int fd) noexcept {
  if (registers_files()) files_.detach(can_reach_kernel() ? &ring_ : nullptr, fd);
}

// What another thread's bind() would do to the operations; and a wait that ends for no reason.
// Returns whether the wait is over.
bool IoUringDriver::inject_before_wait() noexcept {
  if (faults::hit(faults::Fault::reclaimed)) {
    bound_ = false;  // So that what reclaiming ends stays in the backlog.
    reclaim();
    bound_ = true;
    flush_backlog();
  }
  if (!faults::hit(faults::Fault::spurious_wake)) return false;
  collect();
  return true;
}

// Takes every operation back from the kernel: afterwards kernel_count_ is zero. One request per
// operation, because "cancel all" starts its search anew for each one it finds: 50 ms for 3,000
// operations, and four times that for twice as many.
void IoUringDriver::reclaim() noexcept {
  const __kernel_timespec patience{0, kReclaimPatienceNs};
  save_completions();
  while (kernel_count_ != 0) {
    in_flight_.for_each([this](Operation& operation) {
      io_uring_sqe* sqe = place(operation) == Place::kernel ? sqe_or_flush() : nullptr;
      if (sqe != nullptr) prepare_cancel(*sqe, kernel_name(operation));
    });
    for (std::size_t before = 0; kernel_count_ != 0 && kernel_count_ != before;) {
      before = kernel_count_;
      enter(1, &patience);
      save_completions();
    }
  }
}

void IoUringDriver::save_completions() noexcept {
  while (ring_.has_completions()) {
    const Cqe cqe = take();
    const Tag tag = tag_of(cqe.user_data);
    if (tag == Tag::ignored) continue;
    if (tag != Tag::wake && (cqe.flags & IORING_CQE_F_MORE) == 0) {
      Operation& operation = operation_of(cqe.user_data);
      // Reclaiming ended it, its owner did not: it starts again in bind().
      if (!is_cancelling(operation) &&
          (cqe.result == -ECANCELED || is_interrupted(operation, cqe.result))) {
        start_over(operation);
        continue;
      }
      set_place(operation, Place::saved);
    }
    saved_.push_back(cqe);
  }
}

void IoUringDriver::shutdown() noexcept {
  if (shutting_down_) return;
  BLITZIO_DCHECK(!dispatching_);
  deliver_held(true);
  shutting_down_ = true;
  in_flight_.for_each([](Operation& operation) { (void)operation.mark_cancelling(); });
  if (!in_child()) {
    if (kernel_count_ != 0) {
      // Only the issuer can take requests back.
      BLITZIO_CHECK(bound_ && ring_thread_ == this_thread_serial());
      reclaim();
    }
    if (bound_) ring_.leave_thread();
    deliver_saved();
  }
  saved_.clear();
  // What remains never reached the kernel, or, in a forked child, belongs to the parent's. Messages
  // may submit and post anew.
  do {
    while (!in_flight_.is_empty()) {
      Operation& operation = in_flight_.front();
      ListNode<QueueTag>& node = operation;
      if (node.is_linked()) node.unlink();
      deliver_last(operation,
                   place(operation) == Place::ready ? operation.backend_result : -ECANCELED);
    }
  } while (deliver_messages() != 0 || !in_flight_.is_empty());
  starved_count_ = 0;
  kernel_count_ = 0;
  ring_.close();
  buffers_.detach();
}

// ---- submission ---------------------------------------------------------------------------------

void IoUringDriver::start(Operation& operation) noexcept {
  operation.backend_word = 0;
  if constexpr (faults::kBuiltIn) {
    if (may_say_would_block(operation) &&
        faults::refuses(operation.fd(), static_cast<short>(readiness_events(operation.kind())))) {
      operation.backend_word |= kReadinessFirst;
    }
  }
  restart(operation);
}

// Starts an operation again that ended before it had an outcome.
void IoUringDriver::start_over(Operation& operation) noexcept {
  // A connection attempt goes on without its request; asking again before it has an outcome would
  // give EALREADY.
  if (operation.kind() == OpKind::connect) operation.backend_word |= kReadinessFirst;
  restart(operation);
}

// Hands the operation to the kernel, or queues it until that is possible.
void IoUringDriver::restart(Operation& operation) noexcept {
  if (BLITZIO_UNLIKELY(shutting_down_ || in_child())) {
    make_ready(operation, -ECANCELED);
    return;
  }
  if constexpr (faults::kBuiltIn) {
    if (bound_ && operation.brings_data() && has_provided_buffers() &&
        !readiness_first(operation) && faults::hit(faults::Fault::no_buffer)) {
      starve(operation);
      return;
    }
  }
  if (BLITZIO_UNLIKELY(operation.is_background())) {
    set_place(operation, Place::backlog);
    background_.push_back(operation);
    return;
  }
  // Behind what waits already, so that operations start in the order of submission.
  if (BLITZIO_LIKELY(bound_ && backlog_.is_empty()) && try_prepare(operation)) return;
  set_place(operation, Place::backlog);
  backlog_.push_back(operation);
}

// Returns false if there is no room; true if the operation is on its way, be it to a failure.
bool IoUringDriver::try_prepare(Operation& operation) noexcept {
  if (operation.brings_data() && has_provided_buffers() &&
      BLITZIO_UNLIKELY(!buffers_.is_attached())) {
    std::vector<bool> held;
    for (const Cqe& cqe : saved_) {
      if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) continue;
      const std::size_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
      held.resize(std::max(held.size(), id + 1));
      held[id] = true;
    }
    if (const auto attached = buffers_.attach(ring_, held); !attached) {
      if (config_.registered_buffers == Use::always) {
        make_ready(operation, -attached.error().code());
        return true;
      }
      // The limit of locked memory, as a rule: from now on as with `never`.
      config_.registered_buffers = Use::never;
    }
  }
  if (operation.brings_data() && BLITZIO_UNLIKELY(!has_provided_buffers())) {
    operation.backend_word |= kReadinessFirst;
  }
  if constexpr (faults::kBuiltIn) {
    if (may_run_out_of_memory(operation) && faults::hit(faults::Fault::no_memory)) {
      make_ready(operation, -ENOMEM);
      return true;
    }
  }
  io_uring_sqe* sqe = sqe_or_flush();
  if (BLITZIO_UNLIKELY(sqe == nullptr)) return false;
  if (BLITZIO_UNLIKELY(readiness_first(operation))) {
    prepare_readiness(*sqe, operation);
  } else {
    const bool is_single = faults::hit(faults::Fault::single_shot);
    prepare(*sqe, operation,
            {features_.multishot_accept && !is_single, features_.multishot_recv && !is_single,
             features_.multishot_read && !is_single},
            ring_.timespec_of(*sqe));
  }
  if (files_.has(operation.fd()) && takes_registered_file(operation.kind())) {
    sqe->flags |= IOSQE_FIXED_FILE;
  }
  set_place(operation, Place::kernel);
  ++kernel_count_;
  return true;
}

void IoUringDriver::make_ready(Operation& operation, std::int32_t result) noexcept {
  operation.backend_result = result;
  set_place(operation, Place::ready);
  ready_.push_back(operation);
}

void IoUringDriver::stop(Operation& operation) noexcept {
  ListNode<QueueTag>& node = operation;
  switch (place(operation)) {
    case Place::kernel: {
      if (BLITZIO_UNLIKELY(!can_reach_kernel())) {
        // Only in a forked child: unbinding leaves nothing in the kernel.
        BLITZIO_DCHECK(in_child());
        make_ready(operation, -ECANCELED);
        return;
      }
      io_uring_sqe* sqe = sqe_or_flush();
      if (BLITZIO_LIKELY(sqe != nullptr)) {
        prepare_cancel(*sqe, kernel_name(operation));
      } else {
        uncancelled_.push_back(operation);
      }
      return;
    }
    case Place::starved:
      --starved_count_;
      [[fallthrough]];
    case Place::backlog:
      node.unlink();
      make_ready(operation, -ECANCELED);
      return;
    case Place::ready:
    case Place::saved:
    case Place::none:
      // Its last completion is under way.
      return;
  }
}

// An entry to fill, after submitting what fills the queue if need be; null if the kernel takes no
// more for now (EBUSY while completions overflow, EAGAIN without memory).
io_uring_sqe* IoUringDriver::sqe_or_flush() noexcept {
  io_uring_sqe* sqe = ring_.next_sqe();
  if (BLITZIO_LIKELY(sqe != nullptr)) return sqe;
  enter(0, nullptr);
  return ring_.next_sqe();
}

void IoUringDriver::flush_backlog() noexcept {
  while (!uncancelled_.is_empty()) {
    io_uring_sqe* sqe = sqe_or_flush();
    if (sqe == nullptr) return;
    prepare_cancel(*sqe, kernel_name(*uncancelled_.pop_front()));
  }
  while (!backlog_.is_empty()) {
    Operation& operation = *backlog_.pop_front();
    if (!try_prepare(operation)) {
      backlog_.push_front(operation);
      return;
    }
  }
}

void IoUringDriver::bring_forward() noexcept {
  left_behind_ = 0;
  while (!background_.is_empty()) backlog_.push_back(*background_.pop_front());
}

// False if there is no room now.
bool IoUringDriver::arm_wake() noexcept {
  io_uring_sqe* sqe = sqe_or_flush();
  if (sqe == nullptr) return false;
  prepare_wake(*sqe, wake_fd_.get());
  wake_armed_ = true;
  // Flushing for room may have brought completions.
  return !has_completions();
}

void IoUringDriver::interrupt() noexcept {
  const std::uint64_t one = 1;
  // EAGAIN, the only failure of a valid eventfd, would mean 2^64 wakes.
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
}

// ---- the turn -----------------------------------------------------------------------------------

void IoUringDriver::enter(std::uint32_t wait_for, const __kernel_timespec* timeout) noexcept {
  ++metrics_.syscalls;
  const int result = faults::hit(faults::Fault::busy) ? (faults::below(2) == 0 ? -EAGAIN : -EINTR)
                                                      : ring_.enter(wait_for, timeout);
  if (result >= 0) return;
  switch (-result) {
    case EINTR:   // a signal: the caller's turn ends early
    case ETIME:   // the timeout
    case EAGAIN:  // no memory for requests: what was not submitted stays in the queue
    case ENOMEM:
    case EBUSY:  // completions overflow: dispatch() makes room first
      return;
    default:
      // EBADR says that the kernel lost a completion for want of memory, after which nothing can be
      // trusted to end; the others would be our own mistake.
      BLITZIO_CHECK(result >= 0, result);
  }
}

bool IoUringDriver::has_completions() const noexcept {
  if (ring_.is_open() && !in_child() && ring_.has_completions()) return true;
  return !saved_.empty() || !ready_.is_empty() || !inbox_.is_empty() || has_held();
}

void IoUringDriver::hand_over() noexcept {
  // Unbound, or in a forked child: nothing lies in the kernel.
  if (!can_reach_kernel()) return;
  bring_forward();
  // A kernel that is short of memory, or interrupted, takes nothing this time; what it left would
  // reach it when the caller has closed the descriptor, and the number is perhaps another's.
  for (int attempt = 0; attempt < kHandOverAttempts; ++attempt) {
    if (!backlog_.is_empty() || !uncancelled_.is_empty()) flush_backlog();
    if (ring_.unsubmitted() != 0) enter(0, nullptr);
    // The kernel's thread takes it in a moment.
    while (ring_.is_polled() && ring_.unsubmitted() != 0) sched_yield();
    if (ring_.unsubmitted() == 0 && backlog_.is_empty() && uncancelled_.is_empty()) return;
    sched_yield();
  }
}

void IoUringDriver::collect() noexcept {
  if (BLITZIO_UNLIKELY(!can_reach_kernel())) return;
  if (BLITZIO_UNLIKELY(!background_.is_empty()) && ++left_behind_ == kBackgroundTurns) {
    bring_forward();
  }
  if (BLITZIO_UNLIKELY(!backlog_.is_empty() || !uncancelled_.is_empty())) flush_backlog();
  // A busy owner does not wait(), and buffers may have come back before the kernel said that there
  // were none: a receive must not depend on the arrivals of others.
  if (BLITZIO_UNLIKELY(!starved_.is_empty())) feed_starved(1);
  if (ring_.unsubmitted() != 0 || ring_.needs_enter()) enter(0, nullptr);
}

void IoUringDriver::wait(Duration timeout) noexcept {
  if (BLITZIO_UNLIKELY(!can_reach_kernel())) return;
  if constexpr (faults::kBuiltIn) {
    if (inject_before_wait()) return;
  }
  // Every connection that found no buffer has to be armed again before the thread sleeps. A batch
  // either yields completions, and then there is no sleep, or leaves its buffers for the next.
  while (BLITZIO_UNLIKELY(!starved_.is_empty()) && !has_completions()) {
    feed_starved(buffers_.count());
    collect();
  }
  if (BLITZIO_UNLIKELY(!background_.is_empty()) && timeout > Duration::zero() &&
      !has_completions()) {
    bring_forward();
    flush_backlog();
  }
  bool may_sleep = timeout > Duration::zero() && !has_completions() && backlog_.is_empty() &&
                   uncancelled_.is_empty();
  // Only who sleeps is interrupted: a ring that never does has nothing to arm, or to take back.
  if (BLITZIO_UNLIKELY(!wake_armed_) && may_sleep) may_sleep = arm_wake();
  if (!may_sleep) {
    collect();
    return;
  }
  if (!begin_sleep(timeout, ring_.unsubmitted() != 0)) {
    collect();
    return;
  }
  ++metrics_.waits;
  const __kernel_timespec limit = to_timespec(std::min(timeout, kWaitMax));
  enter(1, timeout.is_forever() ? nullptr : &limit);
  end_sleep();
}

}  // namespace io_uring

}  // namespace blitzio::driver

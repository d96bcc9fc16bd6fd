#include <blitzio/driver/io_uring/ring.hpp>

#include <blitzio/base/check.hpp>

#include <csignal>
#include <new>

namespace blitzio::driver::io_uring {

namespace {

constexpr std::uint32_t kCompletionsPerEntry = 4;
constexpr std::uint32_t kPollIdleMs = 50;
/// Registering the fd, and taking that back, costs as much as it spares in some thirty enters.
constexpr std::uint32_t kEntersToRegistration = 32;

}  // namespace

Result<void> Ring::open(std::uint32_t entries, std::uint32_t setup_flags) noexcept {
  BLITZIO_CHECK(!open_);
  io_uring_params params{};
  params.flags = setup_flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                 IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = entries * kCompletionsPerEntry;
  params.sq_thread_idle = kPollIdleMs;  // only with SQPOLL
  if (const int result = io_uring_queue_init_params(entries, &ring_, &params); result < 0) {
    return fail(Error::os(-result));
  }
  open_ = true;
  registered_fd_ = false;
  is_polled_ = (setup_flags & IORING_SETUP_SQPOLL) != 0;
  tail_ = 0;
  head_ = 0;
  sq_mask_ = params.sq_entries - 1;
  cq_mask_ = params.cq_entries - 1;
  timespecs_.reset(new (std::nothrow) __kernel_timespec[params.sq_entries]);
  if (!timespecs_) {
    close();
    return fail(Error::os(ENOMEM));
  }
  // Entries are used in order, so the indirection array stays the identity.
  for (std::uint32_t i = 0; i < params.sq_entries; ++i) ring_.sq.array[i] = i;
  return {};
}

Result<void> Ring::enable(bool may_register) noexcept {
  // By hand: liburing 2.3 declares io_uring_enable_rings but its shared library does not export it.
  const int result = io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                       IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (result < 0) return fail(Error::os(-result));
  join_thread(may_register);
  return {};
}

void Ring::join_thread(bool may_register) noexcept {
  enters_to_registration_ = may_register && !registered_fd_ ? kEntersToRegistration : 0;
}

bool Ring::register_fd() noexcept {
  // A thread may register sixteen rings; beyond that the plain fd serves, a little slower.
  if (!registered_fd_) registered_fd_ = io_uring_register_ring_fd(&ring_) == 1;
  return registered_fd_;
}

void Ring::leave_thread() noexcept {
  // Fails only if the slot is not ours any more, and then there is nothing to free.
  if (registered_fd_) io_uring_unregister_ring_fd(&ring_);
  registered_fd_ = false;
}

void Ring::close() noexcept {
  if (!open_) return;
  io_uring_queue_exit(&ring_);
  ring_ = {};
  open_ = false;
  registered_fd_ = false;
}

int Ring::enter(std::uint32_t wait_for, const __kernel_timespec* timeout) noexcept {
  const std::uint32_t to_submit = unsubmitted();
  std::uint32_t flags = IORING_ENTER_GETEVENTS;
  if (is_polled_) {
    // Seq_cst, both: the thread says that it sleeps and then looks at the tail once more; we move
    // the tail and then look whether it sleeps. (The tail also publishes the entries before it.)
    std::atomic_ref(*ring_.sq.ktail).exchange(tail_, std::memory_order_seq_cst);
    const auto state = std::atomic_ref(*ring_.sq.kflags).load(std::memory_order_seq_cst);
    if ((state & IORING_SQ_NEED_WAKEUP) != 0) flags |= IORING_ENTER_SQ_WAKEUP;
    if (to_submit > sq_mask_) flags |= IORING_ENTER_SQ_WAIT;
    if (flags == IORING_ENTER_GETEVENTS && wait_for == 0 && !needs_enter()) return 0;
  } else {
    // Release: pairs with the kernel's acquire of the tail; the entries before it are filled.
    std::atomic_ref(*ring_.sq.ktail).store(tail_, std::memory_order_release);
  }
  if (enters_to_registration_ != 0) {
    --enters_to_registration_;
    if (enters_to_registration_ == 0) register_fd();
  }
  if (registered_fd_) flags |= IORING_ENTER_REGISTERED_RING;
  if (timeout == nullptr) {
    return io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), to_submit, wait_for, flags,
                           nullptr, _NSIG / 8);
  }
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<std::uintptr_t>(timeout);
  return io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), to_submit, wait_for,
                         flags | IORING_ENTER_EXT_ARG, reinterpret_cast<sigset_t*>(&argument),
                         sizeof argument);
}

}  // namespace blitzio::driver::io_uring

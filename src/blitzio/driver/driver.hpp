// `Driver`: the completion interface to the kernel. One driver per thread that polls.
//
// A turn of an event loop is
//
//     driver.collect();                          // never blocks; hands over what was submitted
//     if (!driver.has_completions()) driver.wait(until);   // may block: give up locks around it
//     driver.dispatch();                         // runs completion functions
//
// wait() and collect() run no completion function, so an embedder that holds a lock (Python's GIL)
// may release it around wait() alone.
//
// Threads: the owner is the thread between bind() and unbind(); it alone calls collect(), wait(),
// dispatch(). submit(), cancel(), attach(), detach() come from the owner, or from any single thread
// while the driver is unbound. wake() and post() come from any thread at any time.
//
// Forking: in a forked child the driver still belongs to the parent, with whom the child shares its
// kernel objects. There it touches neither these nor any operation's descriptor: submitting gives
// -ECANCELED, collect() and wait() do nothing, bind() fails, and shutdown() completes with
// -ECANCELED what the child has copies of. A turn that forks ends in the child after the completion
// function that did it. A driver that another thread was using at the fork is good for nothing in
// the child, not even its destructor: it may be half way through a change.
#pragma once

#include <blitzio/base/adaptive_spin.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/faults.hpp>
#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/park_word.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/driver/operation.hpp>
#if BLITZIO_FAULTS
#include <blitzio/driver/faults/held.hpp>
#endif

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::driver {

enum class Backend : std::uint8_t { automatic, io_uring, epoll, poll };

/// "auto", "io_uring", "epoll", "poll".
[[nodiscard]] std::string_view name(Backend backend) noexcept;
/// The inverse of name(); Errors: invalid_argument for any other text.
[[nodiscard]] Result<Backend> parse_backend(std::string_view text) noexcept;

/// A message to another thread's driver: delivered on that driver's thread, from dispatch(), in the
/// order of arrival. The sender keeps it alive until then; posting allocates nothing.
class Message : public InboxNode {
 public:
  using Deliver = void (*)(Message& message) noexcept;
  explicit Message(Deliver on_delivery) noexcept : deliver_(on_delivery) {}
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  void deliver() noexcept { deliver_(*this); }
  /// Tells whose message it is.
  [[nodiscard]] bool is_delivered_by(Deliver function) const noexcept {
    return deliver_ == function;
  }

 private:
  Deliver deliver_;
};

/// Whether to use what a kernel may lack.
enum class Use : std::uint8_t {
  automatic,  ///< where it is
  always,     ///< and refuse to go on without
  never,
};

/// Other backends than io_uring have none of what is marked so, and refuse it.
struct Config {
  Backend backend = Backend::automatic;
  /// io_uring: submission entries, a power of two up to 32,768. 0: by the machine's memory, one for
  /// every 16 MiB, from 64 to 256.
  std::uint32_t ring_entries = 0;
  /// io_uring: a thread of the kernel takes submissions, so that handing them over costs no system
  /// call; it keeps a processor busy while there are any, and for 50 ms after. Excludes
  /// defer_taskrun.
  bool sqpoll = false;
  /// io_uring: completions of files are polled for. No backend has it: its ring also waits for
  /// sockets, timers and wake-ups, which cannot be polled.
  bool iopoll = false;
  /// io_uring: tells the kernel that one thread submits, which saves it a lock.
  Use single_issuer = Use::automatic;
  /// io_uring: the kernel leaves the rest of its work to the thread that waits, instead of
  /// interrupting it. Needs single_issuer.
  Use defer_taskrun = Use::automatic;
  /// io_uring: recv_multishot and read_multishot receive into buffers that were registered with the
  /// ring, so idle connections hold none. Without it is as with the other backends: the driver
  /// waits, then reads. So it goes on with `automatic`, too, where they cannot be registered.
  Use registered_buffers = Use::automatic;
  /// io_uring: attached descriptors are registered with the ring, which saves looking them up each
  /// time, and costs two system calls for each. `automatic` does not.
  Use registered_files = Use::automatic;
  /// io_uring: which way fs goes in tasks of the driver's thread. `automatic`: what should not wait
  /// is done on the spot; what waits does so in the ring or in a thread of a pool, as suits it.
  /// `always`: everything that io_uring has an operation for goes to the ring, so the thread itself
  /// calls nothing. `never`: nothing does.
  Use ring_files = Use::automatic;
  /// io_uring: the size and number of the buffers above. The pool starts small and grows on ENOBUFS
  /// up to `buffer_count_max`: 64 MiB. Powers of two.
  std::uint32_t buffer_bytes = 16 * 1024;
  std::uint32_t buffer_count = 16;
  std::uint32_t buffer_count_max = 4096;
};

/// What is wrong with a configuration.
struct Problem {
  RuntimeErrc code;  ///< invalid_argument or unsupported
  std::string text;  ///< a sentence with the field, its value and its range
};
/// The first field that is out of range (invalid_argument), or asks for what the chosen backend
/// lacks here (unsupported).
[[nodiscard]] std::optional<Problem> problem_in(const Config& config);
/// Errors   as problem_in().
[[nodiscard]] Result<void> validate(const Config& config) noexcept;

/// Counters since creation; plain numbers, owner thread.
struct Metrics {
  std::uint64_t submitted = 0;          ///< operations given to submit()
  std::uint64_t completed = 0;          ///< completion functions run
  std::uint64_t syscalls = 0;           ///< io_uring_enter, epoll_wait, epoll_ctl, poll calls
  std::uint64_t waits = 0;              ///< calls of wait() that could block
  std::uint64_t wakes = 0;              ///< wake-ups from other threads that needed a syscall
  std::uint64_t buffers_exhausted = 0;  ///< multishot receives restarted after ENOBUFS
};

class Driver {
 public:
  Driver() noexcept = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  /// Backends call shutdown() in their destructor, while they can still reach the kernel.
  virtual ~Driver();

  /// Never `automatic`.
  [[nodiscard]] virtual Backend backend() const noexcept = 0;
  /// Config::ring_files; `never` of backends that have no ring.
  [[nodiscard]] Use ring_files() const noexcept { return ring_files_; }

  /// Whether a read_multishot costs no system call per read, and leaves nothing of a packet behind
  /// that a pipe can have. May become false, see Config::registered_buffers.
  [[nodiscard]] virtual bool has_kernel_reads() const noexcept { return false; }

  /// Makes the calling thread the owner. Must be unbound.
  /// Errors   what re-creating a ring for a new thread gives (ENOMEM, EMFILE, …), closed in a
  ///          forked child; still unbound.
  [[nodiscard]] virtual Result<void> bind() noexcept = 0;
  /// Ends ownership, so that another thread may bind(). Operations in flight stay in flight from
  /// their owners' view; a backend whose kernel state is tied to the thread takes them back and
  /// resubmits them in bind(). Completions that arrived meanwhile are kept for dispatch().
  virtual void unbind() noexcept = 0;

  /// Starts an idle, prepared operation. Cannot fail: what goes wrong arrives as its completion.
  void submit(Operation& operation) noexcept {
    operation.mark_submitted();
#if BLITZIO_FAULTS
    perhaps_shorten(operation);
#endif
    in_flight_.push_back(operation);
    ++metrics_.submitted;
    start(operation);
  }
  /// Asks for an early end; the last completion still arrives through dispatch(), with -ECANCELED
  /// or with what had happened already. Does nothing for an idle or already cancelled operation.
  void cancel(Operation& operation) noexcept {
    if (!operation.mark_cancelling()) return;
#if BLITZIO_FAULTS
    if (held_.has_last(operation)) return;
#endif
    stop(operation);
  }

  /// Promises that `fd` will not be closed or reused before detach(fd): a backend may then keep
  /// state for it (epoll: one edge-triggered registration instead of one per wait). Optional: any
  /// pollable fd works unattached. Errors: what registering gives (EPERM for regular files).
  [[nodiscard]] virtual Result<void> attach(int fd) noexcept = 0;
  /// Must have no operation in flight but cancelled ones, after hand_over(). Call it before the fd
  /// is closed. Also for an fd that was not attached, if its file outlives it: else the kernel may
  /// go on reporting what happens to that.
  virtual void detach(int fd) noexcept = 0;
  /// As detach(), by who closes `fd` next and knows that nobody else has a descriptor of its file:
  /// what the kernel had registered ends with the file, and need not be taken back. After a fork a
  /// child may have one all the same: what that brings is ignored, at the cost of early wake-ups.
  virtual void detach_last(int fd) noexcept { detach(fd); }

  /// Hands what was submitted and cancelled to the kernel now rather than in the next collect(), so
  /// that it holds a descriptor with nothing but cancelled operations no longer when this returns.
  /// Their completions still arrive through dispatch(). Also from a completion function.
  virtual void hand_over() noexcept = 0;
  /// Hands submitted operations to the kernel and collects what is complete; never blocks, and
  /// makes a syscall only when there may be something to hand over or collect.
  virtual void collect() noexcept = 0;
  /// collect(), and if nothing has completed blocks until something does, wake() is called, a
  /// signal arrives, or `timeout` has passed (zero or less: does not block; Duration::max(): for
  /// ever). May return early.
  virtual void wait(Duration timeout) noexcept = 0;
  /// Whether dispatch() has anything to do.
  [[nodiscard]] virtual bool has_completions() const noexcept = 0;
  /// Runs the completion functions of what was collected before the call, and delivers messages.
  /// What these start is left for the next dispatch(), so a turn always ends.
  /// Returns the number of functions run.
  virtual std::size_t dispatch() noexcept = 0;

  // ---- below a loop of others ----------------------------------------------------------------
  // A thread that waits in somebody else's loop has that watch nested_fd(), and calls nested_turn()
  // when it is readable, once at the beginning, and after submitting what completes at once.

  /// A descriptor that is readable as long as there is something to do; -1 if this backend has
  /// none: only epoll has.
  [[nodiscard]] virtual int nested_fd() const noexcept { return -1; }
  /// collect() and dispatch(), and then wakes make nested_fd() readable. Bound, of a backend that
  /// has one.
  virtual void nested_turn() noexcept { BLITZIO_CHECK(nested_fd() >= 0); }

  /// Ends the current or next wait(). Any thread; at most one wake-up is in flight, and none is
  /// sent while the owner is awake.
  void wake() noexcept {
    if (park_.notify() && !in_child()) interrupt();
  }
  /// Queues `message` for dispatch() and wakes the owner. Any thread, allocates nothing.
  void post(Message& message) noexcept {
    inbox_.push(message);
    wake();
  }

  /// Calls `visit(Message&)` on each that was posted and not delivered; it may change none. From
  /// the owner, or from any thread while the owner does not dispatch.
  template <class Visit>
  void for_each_message(Visit&& visit) const {
    inbox_.for_each(visit);
  }

  /// Cancels everything and completes it (-ECANCELED, or what had happened) before it returns.
  /// Completion functions that submit anew see those operations cancelled too. Delivers what was
  /// posted. From the owner, or from any thread while unbound, but not from a completion function
  /// or a message. Idempotent; afterwards the driver is good for its destructor only.
  virtual void shutdown() noexcept = 0;

  [[nodiscard]] bool has_in_flight() const noexcept { return !in_flight_.is_empty(); }
  [[nodiscard]] const Metrics& metrics() const noexcept { return metrics_; }
  /// Whether this is a forked child of the process that made the driver; see the top.
  [[nodiscard]] bool in_child() const noexcept { return fork_guard_.in_child(); }

 protected:
  virtual void start(Operation& operation) noexcept = 0;
  virtual void stop(Operation& operation) noexcept = 0;
  /// Makes a blocked wait() return. Any thread.
  virtual void interrupt() noexcept = 0;

  /// Unlinks (unless more follow) and completes, at once except for injected delays.
  void finish(Operation& operation, const Completion& completion) noexcept {
#if BLITZIO_FAULTS
    Completion now = completion;
    if (!held_.keep(operation, now)) complete(operation, now);
#else
    complete(operation, completion);
#endif
  }
  /// Completes what was held back: what is due now, or, before shutting down, all of it. In
  /// ordinary builds there is never anything.
  std::size_t deliver_held(bool all = false) noexcept;
  [[nodiscard]] bool has_held() const noexcept {
#if BLITZIO_FAULTS
    return !held_.is_empty();
#else
    return false;
#endif
  }
  std::size_t deliver_messages() noexcept;

  /// Announces that wait() is about to block. False: there was a wake, so it must not. Those who
  /// ended the last wait may soon wake again: then it looks for a moment whether they do, if
  /// nothing is kept waiting by that.
  [[nodiscard]] bool begin_sleep(Duration timeout, bool has_to_hand_over) noexcept {
    if (was_woken_ && timeout > kWorthALook && !has_to_hand_over) {
      static_cast<void>(spin_.until([this] { return park_.is_notified(); }));
    }
    was_woken_ = !park_.begin_sleep();
    return !was_woken_;
  }
  void end_sleep() noexcept { was_woken_ = park_.end_sleep(); }

  ParkWord park_;
  Inbox<Message> inbox_;
  IntrusiveList<Operation, InFlightTag> in_flight_;
  Metrics metrics_;
  const ForkGuard fork_guard_;
  Use ring_files_ = Use::never;

 private:
  void complete(Operation& operation, const Completion& completion) noexcept {
    if (!completion.more) static_cast<ListNode<InFlightTag>&>(operation).unlink();
    ++metrics_.completed;
    operation.finish(completion);
  }

  /// Shorter waits had better not be delayed.
  static constexpr Duration kWorthALook = Duration::from_millis(1);

  AdaptiveSpin spin_;
  bool was_woken_ = false;  ///< from the last wait
#if BLITZIO_FAULTS
  HeldCompletions held_;
#endif
};

/// Whether a backend can run here, and if not, why, in a sentence ("io_uring_setup: Operation not
/// permitted; a seccomp filter or kernel.io_uring_disabled forbids it").
struct Availability {
  Backend backend;
  bool usable;
  std::string reason;                 ///< empty if usable
  std::vector<std::string> features;  ///< optional kernel features found, by name
};
/// Probes each backend once per process; in order of preference.
[[nodiscard]] const std::vector<Availability>& detect() noexcept;

/// Makes an unbound driver. `automatic` takes the first usable backend of detect() that has what
/// the Config asks for, and the next one if its creation fails after all.
/// Errors   backend_unavailable if the named backend cannot run here (detect() says why); os errors
///          (EMFILE, ENOMEM) from its creation; as problem_in().
[[nodiscard]] Result<std::unique_ptr<Driver>> create(const Config& config = {}) noexcept;

}  // namespace blitzio::driver

// `LoopBase`: the native half of `blitzio.Loop`: what runs once per callback, packet or turn. The
// Python half (python/blitzio/_loop/) subclasses it and does what happens once per connection or
// run.
//
// One turn (run_once in loop.cpp):
//
//   flush transports, rearm watches, run what stood in `beginning`
//        ▼
//   gather: take what is complete, or wait for it; put due timers into `due`
//        ▼
//   run what stood in `ready`
//        ▼
//   dispatch: completions call protocols, or put readers' and writers' handles into `arrived`
//        ▼
//   run `arrived`, then `due`, then the core's tasks
//
// That is asyncio's order: what was scheduled before the loop looked for events, the events, the
// timers; and what all these schedule waits for the next turn, also for what that finds. Protocols
// are called without a handle between, and before the readers' callbacks of the same turn.
// The GIL is released in one place only: around a wait that may block (WaitHooks), or in its stead
// after many turns that found something to do.
//
// Threads: the loop belongs to the thread that runs it (`thread`), or to nobody.
// call_soon_threadsafe, stop from a callback and _wake come from anywhere. With the interpreter
// lock, other calls from a foreign thread touch only what the lock protects; on free-threaded
// builds they raise RuntimeError.
//
// Forking. In a forked child the loop still belongs to the parent. python/blitzio/_loop/forking.py
// has every loop disowned there (loop_disown()): it counts as closed, its methods raise
// RuntimeError, a run ends after the callback that forked, and closing or dropping it frees the
// child's copies without a word to the kernel. If another thread was running it, that copy may be
// half way through a change: it is *stranded*, and never freed.
#pragma once

#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <python/loop/handle.hpp>
#include <python/loop/lock_sharing.hpp>
#include <python/loop/ready_queue.hpp>
#include <python/loop/spare_bytes.hpp>
#include <python/support/state.hpp>

#include <cstddef>
#include <memory>
#include <unordered_map>

namespace blitzio::python {

/// Something with output to hand over before the loop waits: a transport that gathered writes.
struct FlushTag;
class Flushable : public ListNode<FlushTag> {
 public:
  using Flush = void (*)(Flushable&) noexcept;
  explicit Flushable(Flush on_flush) noexcept : flush_(on_flush) {}
  void flush() noexcept { flush_(*this); }

 private:
  Flush flush_;
};

struct PauseTag;
struct SocketTransport;
struct StreamTransport;

/// The reference that an operation in flight has to a Python object. Linked while it has one, so
/// that the collector can tell it from a reference of the program: else an abandoned loop would
/// live.
struct InFlightTag;
class InFlight : public ListNode<InFlightTag> {
 public:
  explicit InFlight(PyObject* object) noexcept : object_(object) {}
  [[nodiscard]] PyObject* object() const noexcept { return object_; }

 private:
  PyObject* object_;
};

class FdWatch;     // fd_watch.hpp
class JobPool;     // job.hpp
class NativeGate;  // loop_gate.hpp
class SockWait;    // sock_wait.hpp
struct SockWaitTag;

#if BLITZIO_FREE_THREADED
/// A thread in the middle of a call on a loop that it does not run; see loop_use.hpp.
struct LoopUserTag;
struct LoopUser : ListNode<LoopUserTag> {
  explicit LoopUser(unsigned long number) noexcept : thread(number) {}
  const unsigned long thread;
};
#endif

struct LoopObject {
  PyObject_HEAD PyObject* dict;
  PyObject* weakrefs;
  PyObject* module;  ///< strong until dealloc: it has `state`
  ModuleState* state;
  LocalExecutor* executor;     ///< owned; null once closed (and before __init__)
  NativeGate* gate;            ///< counted; there from __init__ on
  JobPool* pool;               ///< made by the first run_in_executor(None, …); see job.hpp
  PyObject* task_factory;      ///< or null
  PyObject* default_executor;  ///< set by the user, or null: the native pool
  PyObject* fatal;             ///< exception that ends this run, or null
  PyObject* keywords;          ///< {"loop": self}, while it runs (else a cycle), or null
  PyObject* bound_soon;        ///< its call_soon, while it runs, or null: soon_method.hpp
  PyObject* turn_context;      ///< that of the newest handle of this turn, or null: handle.cpp
  /// The timer that was cancelled last in this turn, if it lives still and the collector does not
  /// know it; borrowed. Without the interpreter lock, and while nobody runs the loop: null.
  HandleObject* doubtful;
  HandleObject* current;  ///< in debug mode: what runs now, or null; borrowed, the runner's alone
  PyObject* before_wait;  ///< called before a wait that may block, or null
  /// Of a scheduler's: where `waiting_bit` is cleared after a wait, by the running thread; or null.
  Atomic<std::uint64_t>* waiting;
  std::uint64_t waiting_bit;
  double slow_callback_duration;
  Atomic<unsigned long> thread;  ///< who runs the loop, 0: nobody. Written by the runner alone.
                                 ///< In a forked child kParentsThread.
  LockSharing lock_sharing;
  // Of connections that deliver much at once: stream_read.cpp.
  std::size_t turn_bytes;     ///< received in this turn
  std::uint32_t turn_number;  ///< which it is, for stream_deliver.cpp and stream_write.cpp; wraps
  std::size_t unfinished_reads;  ///< those that go on in the next
  bool initialised;
  bool stopping;
  bool closed;
  bool debug;
  bool executor_shut_down;  ///< shutdown_default_executor() was called
  bool in_run;              ///< _run() is on a stack of this process
  bool shut_down;           ///< loop_shut_down() has begun
  bool forked;              ///< the parent's, in a forked child; then `closed` as well
  bool stranded;            ///< forked, and run by a thread that the child does not have

  // C++ members: constructed in tp_new, destroyed in tp_dealloc.
  // Queues of strong references; see the top of the file.
  ReadyQueue beginning;  ///< transports' that begin to read with the next turn
  ReadyQueue ready;      ///< from call_soon
  ReadyQueue arrived;    ///< readers' and writers', in this turn
  ReadyQueue due;        ///< timers', in this turn
  IntrusiveList<Flushable, FlushTag> flush_list;
  IntrusiveList<StreamTransport, PauseTag>
      pausing;                 ///< reading waits on; see stream_settle_pauses()
  std::size_t gathered_bytes;  ///< by connections, for the end of the turn
  std::unordered_map<int, std::unique_ptr<FdWatch>> watches;  ///< add_reader/add_writer, by fd
  IntrusiveList<FdWatch> rearm_list;                ///< fired in this turn, to be armed again
  IntrusiveList<SockWait, SockWaitTag> sock_waits;  ///< sock_* coroutines that wait
  /// The open ones, by fd; borrowed. Whoever wants the descriptor for itself is told, and the
  /// collector learns of the references that their operations in flight have.
  std::unordered_map<int, SocketTransport*> transports;
  IntrusiveList<InFlight, InFlightTag> in_flight;  ///< listeners that accept
  /// Made by the first receive; see datagram_receive.cpp.
  std::unique_ptr<std::byte[]> datagram_scratch;
  /// Made by the first large receive; see stream_read.cpp.
  std::unique_ptr<std::byte[]> tls_scratch;
  SpareBytes spare_bytes;
#if BLITZIO_FREE_THREADED
  IntrusiveList<LoopUser, LoopUserTag> users;  ///< guarded by the loop's own lock
  PyMutex inbox_lock;
  HandleObject* inbox_first;  ///< from other threads, oldest first; strong
  HandleObject* inbox_last;
#endif
};

/// No thread's number.
inline constexpr unsigned long kParentsThread = ~0UL;

[[nodiscard]] int loop_register(PyObject* module, ModuleState& state) noexcept;

/// Whether `object` is a LoopBase (or of a subclass).
[[nodiscard]] bool loop_check(const ModuleState& state, PyObject* object) noexcept;

/// Raises RuntimeError('Event loop is closed') and returns -1 if it is, in other words if it is the
/// parent's.
[[nodiscard]] int loop_check_closed(const LoopObject& loop) noexcept;

/// For calls that touch the driver: -1 with RuntimeError if another thread is running the loop, or
/// if it is the parent's.
[[nodiscard]] int loop_check_owner(const LoopObject& loop) noexcept;
/// For finalisers, and what else has another way: whether this thread may use the driver. In a
/// forked child it may: nothing that it does there reaches the kernel.
[[nodiscard]] bool loop_may_use_driver(const LoopObject& loop) noexcept;

/// In a forked child: the loop is the parent's from now on.
void loop_disown(LoopObject& loop) noexcept;

[[nodiscard]] inline driver::Driver& loop_driver(LoopObject& loop) noexcept {
  return loop.executor->driver();
}

/// Schedules `callback(*args)` for the next turn, in `context` (null: the current one). Owner only.
/// Returns  0, or -1 with an error set.
[[nodiscard]] int loop_call_soon(LoopObject& loop, PyObject* callback, PyObject* const* args,
                                 Py_ssize_t arg_count, PyObject* context) noexcept;

/// As loop_call_soon(), but before the next turn looks for events: what `callback` begins is found
/// by that look, and told behind what is in the queue by then. Runner only.
[[nodiscard]] int loop_call_before_look(LoopObject& loop, PyObject* callback,
                                        PyObject* context) noexcept;

/// asyncio.Task(*args, loop=self) or asyncio.Future(loop=self), where a dict of keywords made for
/// each call would be a tenth of the cost. `args`: a tuple. Null with an error set.
[[nodiscard]] PyRef loop_call_type(LoopObject& loop, PyObject* type, PyObject* args) noexcept;

/// A new asyncio.Future of this loop; null with an error set.
[[nodiscard]] PyRef loop_create_future(LoopObject& loop) noexcept;

/// Asks for `flushable.flush()` before the loop waits. Owner only; may be asked for many times.
inline void loop_request_flush(LoopObject& loop, Flushable& flushable) noexcept {
  if (!flushable.is_linked()) loop.flush_list.push_back(flushable);
}

/// Does what was asked for. Owner only.
void loop_flush(LoopObject& loop) noexcept;

/// Reports the current Python exception: a fatal one (KeyboardInterrupt, SystemExit) ends the run
/// after this turn, any other goes to call_exception_handler with `message` and up to three pairs
/// of key and value (null key ends them). Clears the exception. Never fails: what the handler
/// itself raises is fatal or written as unraisable.
struct ContextItem {
  PyObject* key;
  PyObject* value;
};
void loop_report_exception(LoopObject& loop, const char* message,
                           std::initializer_list<ContextItem> items = {}) noexcept;

/// Keeps `exception` to be raised from run_forever(), which ends after this turn. The first wins.
void loop_set_fatal(LoopObject& loop, PyRef exception) noexcept;

}  // namespace blitzio::python

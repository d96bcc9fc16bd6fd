// `SchedulerBase` and `WorkerBase`: the native half of a Runtime's scheduling: queues of work that
// has not started, who is idle, whom to wake. Threads and loops are made and ended in Python
// (blitzio/_runtime/).
//
//     spawn on a worker    ─▶ that worker's queue
//     spawn from elsewhere ─▶ `injected`; an idle worker is woken, else the next in turn
//                             (with thread_per_core: the queue of the next in turn)
//
// Work becomes a task of the loop of whichever worker takes it out of a queue, and stays there, for
// what it makes (futures, transports) belongs to that loop. Until then anybody may take it: an idle
// worker steals half of another's queue.
//
//     push ─▶ queue ─▶ drain: start up to kBudget ─▶ more? again in the next turn
//               ▲                    │ empty
//      injected ┘◀── steal half ◀────┘
//
// Sleeping. Before its loop waits, a worker sets its bit in `idle` and then looks at every queue
// once more; who queues work looks at `idle` afterwards. Both look at a queue under its lock, so
// either the worker sees the work, or the spawner comes later and sees the bit.
//
// Waking. At most one message to a worker is under way (`wake_is_due`); it takes no interpreter and
// no allocation.
//
// Threads: any, attached, except where a member says more.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/loop_gate.hpp>
#include <python/runtime/work_queue.hpp>

#include <cstdint>
#include <vector>

namespace blitzio::python {

struct SchedulerObject;

/// Has a worker look at the queues. The message holds a reference to the worker.
struct WorkerObject;
class WakeMessage final : public driver::Message {
 public:
  explicit WakeMessage(WorkerObject& worker) noexcept
      : driver::Message(on_delivery), worker_(worker) {}

 private:
  static void on_delivery(driver::Message& message) noexcept;

  WorkerObject& worker_;
};

struct WorkerObject {
  PyObject_HEAD ModuleState* state;
  PyObject* module;            ///< strong: it has `state`
  SchedulerObject* scheduler;  ///< strong; null before __init__
  LoopObject* loop;            ///< strong
  PyObject* drain;             ///< drain(), bound to this worker by a borrowed reference
  PyObject* context;           ///< an empty one, for that callback
  std::uint32_t index;         ///< its bit in `idle`

  // Its own thread's.
  bool drain_is_due;
  std::uint32_t tick;
  std::uint32_t random;

  // Counters: written by its own thread, read by metrics().
  Atomic<std::uint64_t> polls;
  Atomic<std::uint64_t> steals;
  Atomic<std::uint64_t> parks;
  Atomic<std::uint64_t> yields;

  WorkQueue queue;
  Atomic<bool> wake_is_due;  ///< by wakers; cleared on delivery
  WakeMessage wake_message;
};

struct SchedulerObject {
  PyObject_HEAD ModuleState* state;
  PyObject* module;    ///< strong: it has `state`
  PyObject* blocking;  ///< strong: the ThreadPool of spawn_blocking(), or null
  bool is_stealing;
  bool keeps_work;  ///< work stays with the worker that it was given to
  bool is_parents;  ///< in a forked child, which has none of the threads
  Atomic<bool> is_stopping;
  Atomic<std::uint32_t> turn;  ///< whose turn it is, of the workers
  Atomic<std::uint64_t> idle;  ///< a bit per worker that waits, or is about to
  WorkQueue injected;
  std::vector<PyRef> workers;  ///< WorkerObjects; complete before the first spawn
};

/// Who is to start what is spawned.
enum class Starter : std::uint8_t {
  any,      ///< the calling worker when it waits next, if nobody is earlier
  another,  ///< another worker at once, for the calling one may not wait soon; needs two
};

/// Queues work that the calling thread has spawned.
/// Returns  false with RuntimeError set if the runtime has shut down: the work is cancelled.
[[nodiscard]] bool scheduler_spawn(SchedulerObject& scheduler, PyRef handle,
                                   Starter starter = Starter::any) noexcept;

/// The worker of this interpreter that the calling thread is, or null.
[[nodiscard]] WorkerObject* current_worker(const ModuleState& state) noexcept;

[[nodiscard]] int scheduler_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

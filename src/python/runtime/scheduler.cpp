#include <python/runtime/scheduler_internal.hpp>
#include <python/runtime/start_awaited.hpp>
#include <python/support/error.hpp>

#include <bit>
#include <utility>

namespace blitzio::python {

namespace {

/// Starts in a row before the loop gets to I/O and timers again: the scheduler's budget in C++.
constexpr int kBudget = 128;
/// Every so many starts the queue from outside goes first, so that it is not starved.
constexpr std::uint32_t kInjectedInterval = 61;

/// That the calling thread is, or null. Strong: whoever does not leave stays one.
thread_local WorkerObject* own_worker = nullptr;

void set_own_worker(WorkerObject* worker) noexcept {
  if (worker != nullptr) Py_INCREF(as_object(*worker));
  WorkerObject* old = std::exchange(own_worker, worker);
  if (old != nullptr) Py_DECREF(as_object(*old));
}

WorkerObject& worker_at(const SchedulerObject& scheduler, std::size_t index) noexcept {
  return as_worker(scheduler.workers[index].get());
}

std::uint64_t bit_of(const WorkerObject& worker) noexcept {
  return std::uint64_t{1} << worker.index;
}

/// For counters that only their worker writes.
void count(Atomic<std::uint64_t>& counter) noexcept {
  // Relaxed, both: one writer, and nothing is published through it.
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

bool is_stopping(const SchedulerObject& scheduler) noexcept {
  // Seq_cst: see scheduler_spawn().
  return scheduler.is_stopping.load(std::memory_order_seq_cst);
}

void wake(WorkerObject& worker) noexcept {
  // Acquire-release: publishes the work that was queued before, pairs with the exchange on
  // delivery; the acquire half carries on an earlier waker's release.
  if (worker.wake_is_due.exchange(true, std::memory_order_acq_rel)) return;
  Py_INCREF(as_object(worker));
  if (worker.loop->gate->post(worker.wake_message)) return;
  // The runtime has shut down, and whoever did that drops what is queued.
  Py_DECREF(as_object(worker));
}

/// Wakes one idle worker, if there is one.
bool wake_idle(SchedulerObject& scheduler) noexcept {
  // Seq_cst, both: after the work was queued; see the top of the header.
  std::uint64_t idle = scheduler.idle.load(std::memory_order_seq_cst);
  while (idle != 0) {
    const auto index = static_cast<unsigned>(std::countr_zero(idle));
    const std::uint64_t bit = std::uint64_t{1} << index;
    if (scheduler.idle.compare_exchange_weak(idle, idle & ~bit, std::memory_order_seq_cst)) {
      wake(worker_at(scheduler, index));
      return true;
    }
  }
  return false;
}

bool has_work_for(const WorkerObject& worker) noexcept {
  const SchedulerObject& scheduler = *worker.scheduler;
  if (worker.queue.size() != 0 || scheduler.injected.size() != 0) return true;
  if (!scheduler.is_stealing) return false;
  for (const PyRef& other : scheduler.workers) {
    if (as_worker(other.get()).queue.size() != 0) return true;
  }
  return false;
}

// ---- on the worker's thread ---------------------------------------------------------------------

void schedule_drain(WorkerObject& worker) noexcept {
  if (BLITZIO_UNLIKELY(worker.drain == nullptr)) return;  // It was left by what it ran.
  worker.drain_is_due = true;
  if (loop_call_soon(*worker.loop, worker.drain, nullptr, 0, worker.context) == 0) return;
  worker.drain_is_due = false;
  PyErr_WriteUnraisable(as_object(worker));  // No memory; the next spawn tries again.
}

/// Queues work that was spawned here.
void push(WorkerObject& worker, PyRef handle) noexcept {
  const std::size_t queued = worker.queue.push(std::move(handle));
  SchedulerObject& scheduler = *worker.scheduler;
  if (!worker.drain_is_due) {
    schedule_drain(worker);
  } else if (queued > 1 && scheduler.is_stealing) {
    // This worker starts one as soon as the running task waits; a second one is worth another's
    // waking.
    static_cast<void>(wake_idle(scheduler));
  }
}

PyRef take_injected(WorkerObject& worker) noexcept {
  SchedulerObject& scheduler = *worker.scheduler;
  if (scheduler.injected.seems_empty()) return {};
  return scheduler.injected.pop_share(scheduler.workers.size(), worker.queue);
}

/// Takes half of somebody's queue: one to start, the others into its own.
PyRef steal(WorkerObject& worker) noexcept {
  const SchedulerObject& scheduler = *worker.scheduler;
  const std::size_t workers = scheduler.workers.size();
  worker.random = worker.random * 1664525U + 1013904223U;
  const std::size_t start = worker.random >> 8;
  for (std::size_t i = 0; i < workers; ++i) {
    WorkerObject& victim = worker_at(scheduler, (start + i) % workers);
    if (&victim == &worker || victim.queue.seems_empty()) continue;
    PyRef first = victim.queue.pop_share(2, worker.queue);
    if (!first) continue;
    count(worker.steals);
    return first;
  }
  return {};
}

PyRef take(WorkerObject& worker) noexcept {
  if (++worker.tick % kInjectedInterval == 0) {
    if (PyRef injected = take_injected(worker)) return injected;
  }
  if (!worker.queue.seems_empty()) {
    if (PyRef own = worker.queue.pop()) return own;
  }
  if (PyRef injected = take_injected(worker)) return injected;
  return worker.scheduler->is_stealing ? steal(worker) : PyRef();
}

void drain(WorkerObject& worker) noexcept {
  worker.drain_is_due = false;
  allow_starting_awaited();
  LoopObject& loop = *worker.loop;
  for (int i = 0; i < kBudget && loop.fatal == nullptr; ++i) {
    const PyRef handle = take(worker);
    if (!handle) return;
    count(worker.polls);
    join_handle_start(as_join_handle(handle.get()), reinterpret_cast<PyObject*>(&loop), *loop.gate);
  }
  count(worker.yields);
  if (has_work_for(worker) && !worker.drain_is_due) schedule_drain(worker);
}

PyObject* call_drain(PyObject* self, PyObject* /*unused*/) noexcept {
  if (own_worker == &as_worker(self)) drain(as_worker(self));
  Py_RETURN_NONE;
}

/// Called by the loop before it waits: queues a drain if there is work after all.
PyObject* before_wait(PyObject* self, PyObject* /*unused*/) noexcept {
  WorkerObject& worker = as_worker(self);
  SchedulerObject& scheduler = *worker.scheduler;
  if (is_stopping(scheduler)) Py_RETURN_NONE;
  // Seq_cst: before the queues are looked at; see the top of the header.
  scheduler.idle.fetch_or(bit_of(worker), std::memory_order_seq_cst);
  if (!has_work_for(worker)) {
    count(worker.parks);
    Py_RETURN_NONE;
  }
  scheduler.idle.fetch_and(~bit_of(worker), std::memory_order_seq_cst);
  if (!worker.drain_is_due) schedule_drain(worker);
  Py_RETURN_NONE;
}

PyMethodDef drain_definition = {"drain", call_drain, METH_NOARGS, nullptr};
PyMethodDef before_wait_definition = {"before_wait", before_wait, METH_NOARGS, nullptr};

}  // namespace

void WakeMessage::on_delivery(driver::Message& message) noexcept {
  WorkerObject& worker = static_cast<WakeMessage&>(message).worker_;
  const PyRef sent = PyRef::steal(as_object(worker));
  // Acquire-release: what the wakers queued is seen; pairs with the exchange in wake().
  worker.wake_is_due.exchange(false, std::memory_order_acq_rel);
  if (worker.loop->closed || own_worker != &worker) return;
  if (!worker.drain_is_due) drain(worker);
}

WorkerObject* current_worker(const ModuleState& state) noexcept {
  return own_worker != nullptr && own_worker->state == &state ? own_worker : nullptr;
}

void scheduler_drop_queued(SchedulerObject& scheduler) noexcept {
  const auto drop_all = [](WorkQueue& queue) {
    while (const PyRef handle = queue.pop()) {
      static_cast<void>(join_handle_cancel(as_join_handle(handle.get())));
    }
  };
  drop_all(scheduler.injected);
  for (const PyRef& worker : scheduler.workers) drop_all(as_worker(worker.get()).queue);
}

bool scheduler_spawn(SchedulerObject& scheduler, PyRef handle, Starter starter) noexcept {
  if (is_stopping(scheduler) || scheduler.workers.empty()) {
    static_cast<void>(join_handle_cancel(as_join_handle(handle.get())));
    PyErr_SetString(PyExc_RuntimeError, scheduler.is_parents
                                            ? "this Runtime belongs to the parent process"
                                            : "cannot spawn on a Runtime that has shut down");
    return false;
  }
  WorkerObject* own = current_worker(*scheduler.state);
  if (own != nullptr && own->scheduler != &scheduler) own = nullptr;
  if (own != nullptr && starter == Starter::any) {
    as_join_handle(handle.get()).home =
        scheduler.keeps_work ? static_cast<const void*>(own) : &scheduler;
    push(*own, std::move(handle));
    return true;
  }
  const auto next_in_turn = [&]() -> WorkerObject& {
    // Relaxed: only divides the load.
    const std::size_t turn = scheduler.turn.fetch_add(1, std::memory_order_relaxed);
    WorkerObject& next = worker_at(scheduler, turn % scheduler.workers.size());
    return &next != own ? next : worker_at(scheduler, (turn + 1) % scheduler.workers.size());
  };
  if (scheduler.keeps_work) {
    WorkerObject& worker = next_in_turn();
    as_join_handle(handle.get()).home = &worker;
    worker.queue.push(std::move(handle));
    wake(worker);
  } else {
    as_join_handle(handle.get()).home = &scheduler;
    scheduler.injected.push(std::move(handle));
    const bool is_woken = wake_idle(scheduler);
    // One that is about to run something else, and perhaps for long, may still count as idle.
    while (starter == Starter::another && wake_idle(scheduler)) {
    }
    if (!is_woken) wake(next_in_turn());
  }
  // Seq_cst: after the work was queued. Either this sees the end, or whoever drops what is left,
  // after the end was announced, sees the work.
  if (is_stopping(scheduler)) scheduler_drop_queued(scheduler);
  return true;
}

bool worker_enter(WorkerObject& worker) noexcept {
  const PyRef hook =
      PyRef::steal(PyCFunction_NewEx(&before_wait_definition, as_object(worker), nullptr));
  Py_XSETREF(worker.drain, PyCFunction_NewEx(&drain_definition, as_object(worker), nullptr));
  Py_XSETREF(worker.context, PyContext_New());
  if (!hook || worker.drain == nullptr || worker.context == nullptr) return false;
  if (!PyRef::steal(PyObject_CallMethod(reinterpret_cast<PyObject*>(worker.loop),
                                        "_set_before_wait", "O", hook.get()))) {
    return false;
  }
  worker.loop->waiting_bit = bit_of(worker);
  worker.loop->waiting = &worker.scheduler->idle;
  set_own_worker(&worker);
  return true;
}

bool worker_leave(WorkerObject& worker) noexcept {
  if (own_worker == &worker) set_own_worker(nullptr);
  worker.loop->waiting = nullptr;
  Py_CLEAR(worker.drain);
  Py_CLEAR(worker.context);
  return static_cast<bool>(PyRef::steal(PyObject_CallMethod(
      reinterpret_cast<PyObject*>(worker.loop), "_set_before_wait", "O", Py_None)));
}

void forget_current_worker() noexcept {
  own_worker = nullptr;
}

}  // namespace blitzio::python

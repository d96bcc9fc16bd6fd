// What blocks a thread: locks, conditions, events, waiting for an atomic, yielding, joining.
#include <model/explorer/execution.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::model {

// ---- locks -----------------------------------------------------------------------------------

void Execution::lock(const void* mutex, Where where) {
  const arena::Closed closed;
  turn("lock", where, {.need = Need::mutex, .object = &find(mutex, ObjectKind::mutex)});
  Object& object = use(mutex, ObjectKind::mutex);
  depend(object, Conflict::write);
  object.holder = running_;
  me().current.join(object.view);
  me().reads.push_back({object.number, object.stores});
  log(short_name(where), "  #", std::to_string(object.number), " lock");
  tick();
}

void Execution::unlock(const void* mutex, Where where) {
  const arena::Closed closed;
  turn("unlock", where);
  Object& object = use(mutex, ObjectKind::mutex);
  if (object.holder != running_)
    fail("T" + std::to_string(running_) + " unlocks what it does not hold");
  depend(object, Conflict::ordered);
  object.holder = Object::kNobody;
  ++object.stores;
  object.view = me().current;
  log(short_name(where), "  #", std::to_string(object.number), " unlock");
  tick();
}

bool Execution::wait_for(const void* condition, const void* mutex, bool can_time_out, Where where) {
  {
    const arena::Closed closed;
    turn("wait", where);
    Object& object = use(condition, ObjectKind::condition);
    depend(object, Conflict::write);
    object.waiting.push_back(running_);
    me().is_notified = false;
    log(short_name(where), "  #", std::to_string(object.number), " wait");
    tick();
  }
  unlock(mutex, where);
  {
    const arena::Closed closed;
    turn("wait", where, {.need = Need::wake, .can_time_out = can_time_out});
    Object& object = use(condition, ObjectKind::condition);
    depend(object, Conflict::ordered);
    if (!me().is_notified) std::erase(object.waiting, running_);
    tick();
  }
  const bool is_notified = me().is_notified;
  lock(mutex, where);
  return is_notified;
}

void Execution::notify_condition(const void* condition, bool everybody, Where where) {
  const arena::Closed closed;
  turn("notify", where);
  Object& object = use(condition, ObjectKind::condition);
  depend(object, Conflict::write);
  log(short_name(where), "  #", std::to_string(object.number), " notify");
  while (!object.waiting.empty()) {
    const auto chosen = object.waiting.begin() + (everybody ? 0 : choose(object.waiting.size()));
    const ThreadId thread = *chosen;
    object.waiting.erase(chosen);
    notify_thread(thread);
    if (!everybody) break;
  }
  tick();
}

void Execution::notify_thread(ThreadId thread) {
  threads_[thread]->is_notified = true;
  threads_[thread]->steps.join(me().steps);
}

// ---- waiting for an atomic -------------------------------------------------------------------

bool Execution::wait(AtomicRef atomic, std::uint64_t old, std::memory_order order,
                     bool can_time_out, Where where) {
  const arena::Closed closed;
  order = effective(Access::load, order, where);
  for (;;) {
    Object& object = step_on(atomic, "atomic wait", Conflict::write, order, where);
    // As the system does it: the last look at the value and going to sleep are one step, and that
    // look sees the latest. Before it a stale value may have been read that ends the wait.
    const std::size_t index = pick_readable(object, oldest_readable(object, order), &old);
    if (object.history[index].value != old) {
      take(object, index, order);
      log(short_name(where), "  #", std::to_string(object.number), " wait is over");
      tick();
      return true;
    }
    object.waiting.push_back(running_);
    me().is_notified = false;
    log(short_name(where), "  #", std::to_string(object.number), " waits");
    tick();
    turn("atomic wait", where, {.need = Need::wake, .can_time_out = can_time_out});
    const bool is_notified = me().is_notified;
    if (!is_notified) std::erase(object.waiting, running_);
    tick();
    if (!is_notified) return false;
  }
}

void Execution::notify(const void* atomic, bool everybody, Where where) {
  const arena::Closed closed;
  turn("atomic notify", where);
  // The address is all that counts: it may be gone, if who waited there saw the new value before.
  const auto found = by_address_.find(atomic);
  if (found != by_address_.end()) {
    Object& object = *found->second;
    depend(object, Conflict::write);
    log(short_name(where), "  #", std::to_string(object.number), " notify");
    while (!object.waiting.empty()) {
      const auto chosen = object.waiting.begin() + (everybody ? 0 : choose(object.waiting.size()));
      const ThreadId thread = *chosen;
      object.waiting.erase(chosen);
      notify_thread(thread);
      if (!everybody) break;
    }
  }
  tick();
}

// ---- events: what a system call would sleep for; no happens-before comes of it ---------------

void Execution::signal(const void* event, Where where) {
  const arena::Closed closed;
  turn("signal", where);
  Object& object = use(event, ObjectKind::event);
  depend(object, Conflict::write);
  ++object.signals;
  log(short_name(where), "  #", std::to_string(object.number), " signal");
  tick();
}

bool Execution::await(const void* event, bool can_time_out, Where where) {
  const arena::Closed closed;
  turn("await", where,
       {.need = Need::event,
        .object = &find(event, ObjectKind::event),
        .can_time_out = can_time_out});
  Object& object = use(event, ObjectKind::event);
  depend(object, Conflict::write);
  const bool is_signalled = object.signals != 0;
  object.signals = 0;
  log(short_name(where), "  #", std::to_string(object.number),
      is_signalled ? " awaited" : " timed out");
  tick();
  return is_signalled;
}

// ---- threads ---------------------------------------------------------------------------------

void Execution::yield(Where where) {
  const arena::Closed closed;
  turn("yield", where, {.need = Need::news});
  ThreadState& self = me();
  for (const ThreadState::Read& read : self.reads) {
    const Object& object = objects_[read.object];
    if (object.kind == ObjectKind::atomic && object.stores > read.index + 1) {
      self.patience.raise(read.object, static_cast<std::uint32_t>(read.index + 1));
    }
  }
  self.reads.clear();
  log(short_name(where), "  yield");
  tick();
}

ThreadId Execution::spawn(std::function<void()> body, Where where) {
  const arena::Closed closed;
  turn("spawn", where);
  if (thread_count_ == kThreadsMax)
    fail("a scenario has at most " + std::to_string(kThreadsMax) + " threads");
  ThreadState& self = me();
  ThreadState& thread = start_thread(std::move(body));
  const std::uint32_t own = thread.current.clock[thread.id];
  thread.current.join(self.current);
  thread.current.clock[thread.id] = own;
  thread.steps.join(self.steps);
  log(short_name(where), "  spawns T", std::to_string(thread.id));
  tick();
  return thread.id;
}

void Execution::join(ThreadId thread, Where where) {
  const arena::Closed closed;
  turn("join", where, {.need = Need::join, .joined = thread});
  me().current.join(threads_[thread]->current);
  me().steps.join(threads_[thread]->steps);
  log(short_name(where), "  joins T", std::to_string(thread));
  tick();
}

}  // namespace blitzio::model

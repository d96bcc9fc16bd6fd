#include <model/explorer/execution.hpp>

#include <model/explorer/shadow.hpp>

#include <sys/single_threaded.h>

#include <cstring>
#include <utility>

namespace blitzio::model {

Execution* Execution::instance_ = nullptr;

Execution::Execution(const Options& options, Path& path)
    : options_(options),
      path_(path),
      shadow_(std::make_unique<Shadow>()),
      weakenings_(options.weakenings) {
  for (ThreadId i = 0; i < kThreadsMax; ++i) {
    threads_[i] = std::make_unique<ThreadState>();
    threads_[i]->id = i;
  }
  instance_ = this;
  // Else std::shared_ptr would count without atomics.
  __libc_single_threaded = 0;
}

Execution::~Execution() {
  instance_ = nullptr;
}

// ---- one run ---------------------------------------------------------------------------------

void Execution::run(const std::function<void()>& scenario) {
  path_.rewind();
  arena::reset();
  shadow_->reset();
  thread_count_ = 0;
  running_ = 0;
  steps_ = 0;
  now_ = 1'000'000'000;
  stale_reads_ = 0;
  spurious_failures_ = 0;
  object_count_ = 0;
  by_address_.clear();
  seq_cst_.clear();
  fences_ = &find(&seq_cst_, ObjectKind::fences);
  has_failed_ = false;
  message_.clear();
  trace_.clear();

  start_thread(scenario);
  main_.switch_to(threads_[0]->fiber);
  arena::is_open = false;

  // What the scenario found is as it was.
  for (std::size_t i = 0; i < object_count_; ++i) {
    const Object& object = objects_[i];
    if (object.kind == ObjectKind::atomic && object.is_foreign) {
      std::memcpy(const_cast<void*>(object.address), &object.history[0].value, object.bytes);
    }
  }
  if (has_failed_) {
    // What the bodies hold lies in the arena and is not to be destroyed.
    for (const auto& thread : threads_) std::construct_at(&thread->body);
    return;
  }
  const arena::Leaks leaks = arena::leaks();
  if (leaks.count != 0) {
    has_failed_ = true;
    message_ = "leak: " + std::to_string(leaks.count) +
               " allocations are left, the first (number " + std::to_string(leaks.first.number) +
               ") of " + std::to_string(leaks.first.size) + " bytes";
  }
}

ThreadState& Execution::start_thread(std::function<void()> body) {
  ThreadState& thread = *threads_[thread_count_++];
  thread.body = std::move(body);
  thread.current.clear();
  thread.acquirable.clear();
  thread.released.clear();
  thread.steps = {};
  thread.current.clock[thread.id] = 1;
  thread.need = Need::nothing;
  thread.object = nullptr;
  thread.is_notified = false;
  thread.can_time_out = false;
  thread.has_timed_out = false;
  thread.doing = "start";
  thread.where = {};
  thread.reads.clear();
  thread.patience.clear();
  thread.fiber.prepare(thread_main);
  return thread;
}

void Execution::thread_main() {
  Execution& execution = *instance_;
  ThreadState& self = execution.me();
  arena::is_open = true;
  self.body();
  self.body = nullptr;
  self.fiber.run_exits();
  arena::is_open = false;
  execution.finish_thread();
}

void Execution::finish_thread() {
  me().need = Need::finished;
  log("ends");
  bool is_over = true;
  for (unsigned i = 0; i < thread_count_; ++i) {
    if (threads_[i]->need != Need::finished) is_over = false;
  }
  if (is_over) end();
  switch_to(pick());
}

// Back to run(); this fiber is not gone on with.
void Execution::end() {
  me().fiber.switch_to(main_);
}

void Execution::fail(std::string message) {
  arena::is_open = false;
  has_failed_ = true;
  message_ = std::move(message);
  log("FAILS: ", message_);
  end();
  std::abort();
}

// ---- whose turn it is ------------------------------------------------------------------------

void Execution::turn(const char* doing, Where where, Step step) {
  ThreadState& self = me();
  self.doing = doing;
  self.where = where;
  self.need = step.need;
  self.object = step.object;
  self.joined = step.joined;
  self.can_time_out = step.can_time_out;
  self.has_timed_out = false;
  if (++steps_ > options_.steps_max) {
    fail("livelock: " + std::to_string(options_.steps_max) + " steps and no end");
  }
  const ThreadId next = pick();
  if (next != running_) switch_to(next);
  self.need = Need::nothing;
  self.can_time_out = false;
  self.steps[self.id] = static_cast<std::uint32_t>(path_.last_schedule() + 1);
}

void Execution::switch_to(ThreadId next) {
  ThreadState& self = me();
  running_ = next;
  self.fiber.switch_to(threads_[next]->fiber);
}

bool Execution::can_go_on(const ThreadState& thread) const noexcept {
  if (thread.has_timed_out) return true;
  switch (thread.need) {
    case Need::nothing:
      return true;
    case Need::mutex:
      return thread.object->holder == Object::kNobody;
    case Need::wake:
      return thread.is_notified;
    case Need::event:
      return thread.object->signals != 0;
    case Need::join:
      return threads_[thread.joined]->need == Need::finished;
    case Need::news:
      for (const ThreadState::Read& read : thread.reads) {
        const Object& object = objects_[read.object];
        if (!object.is_alive || object.stores > read.index + 1) return true;
      }
      return thread.reads.empty();
    case Need::finished:
      return false;
  }
  return false;
}

ThreadId Execution::pick() {
  unsigned enabled = 0;
  for (ThreadId i = 0; i < thread_count_; ++i) {
    if (can_go_on(*threads_[i])) enabled |= 1U << i;
  }
  // Time passes when nothing else is left to happen.
  for (ThreadId i = 0; i < thread_count_ && enabled == 0; ++i) {
    if (threads_[i]->need == Need::finished || !threads_[i]->can_time_out) continue;
    threads_[i]->has_timed_out = true;
    enabled = 1U << i;
  }
  if (enabled == 0) report_deadlock();
  // Who yields wants to be interrupted.
  const bool goes_on = (enabled >> running_ & 1U) != 0 && me().need != Need::news;
  ThreadId preferred = running_;
  if (!goes_on) {
    do {
      preferred = (preferred + 1) % thread_count_;
    } while ((enabled >> preferred & 1U) == 0);
  }
  const auto chosen = path_.schedule(enabled, goes_on ? static_cast<int>(running_) : -1, preferred);
  if (!chosen) fail("the scenario does something else when it is repeated");
  return *chosen;
}

unsigned Execution::choose(std::size_t count) {
  const auto chosen = path_.choose(static_cast<unsigned>(count));
  if (!chosen) fail("the scenario does something else when it is repeated");
  return *chosen;
}

void Execution::report_deadlock() {
  std::string text = "deadlock:";
  for (ThreadId i = 0; i < thread_count_; ++i) {
    const ThreadState& thread = *threads_[i];
    if (thread.need == Need::finished) continue;
    text += " T" + std::to_string(i) + " is in " + thread.doing + " at " +
            short_name(thread.where) + ";";
  }
  fail(std::move(text));
}

// ---- objects ---------------------------------------------------------------------------------

void Execution::born(const void* address, ObjectKind kind, std::size_t bytes) {
  const arena::Closed closed;
  by_address_.erase(address);
  Object& object = find(address, kind, bytes);
  object.is_foreign = false;
  object.creator = running_;
  object.born = me().current.clock[running_];
}

void Execution::died(const void* address) {
  const arena::Closed closed;
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return;
  Object& object = *found->second;
  for (ThreadId i = 0; i < thread_count_; ++i) {
    if (i == running_ || me().current.clock.covers(i, object.touched[i])) continue;
    fail("T" + std::to_string(running_) + " destroys #" + std::to_string(object.number) +
         " while T" + std::to_string(i) + "'s use of it at " + short_name(object.touched_at[i]) +
         " does not happen before");
  }
  object.is_alive = false;
}

Object& Execution::find(const void* address, ObjectKind kind, std::size_t bytes) {
  const auto [place, is_new] = by_address_.try_emplace(address, nullptr);
  if (!is_new) return *place->second;
  if (object_count_ == objects_.size()) objects_.emplace_back();
  Object& object = objects_[object_count_];
  object.reset(kind, address, object_count_++);
  place->second = &object;
  if (kind == ObjectKind::atomic) {
    object.bytes = bytes;
    object.is_foreign = true;
    if (object.history.empty()) object.history.emplace_back();
    Message& first = object.history[0];
    first.value = 0;
    std::memcpy(&first.value, address, bytes);
    first.view.clear();
    first.writer = running_;
    object.stores = 1;
  }
  return object;
}

Object& Execution::use(const void* address, ObjectKind kind, std::size_t bytes) {
  Object& object = find(address, kind, bytes);
  ThreadState& self = me();
  if (!object.is_alive) {
    fail("T" + std::to_string(running_) + " uses #" + std::to_string(object.number) + " at " +
         short_name(self.where) + " after it was destroyed");
  }
  if (object.creator != running_ && !self.current.clock.covers(object.creator, object.born)) {
    fail("T" + std::to_string(running_) + " uses #" + std::to_string(object.number) + " at " +
         short_name(self.where) + ", but its construction does not happen before");
  }
  object.touched[running_] = self.current.clock[running_];
  object.touched_at[running_] = self.where;
  return object;
}

void Execution::depend(Object& object, Conflict conflict) {
  ThreadState& self = me();
  Dependence& dependence = object.dependence;
  const bool is_write = conflict != Conflict::read;
  if (conflict != Conflict::ordered) {
    for (ThreadId i = 0; i < thread_count_; ++i) {
      if (i == self.id) continue;
      const std::uint32_t step = is_write
                                     ? std::max(dependence.last_write[i], dependence.last_read[i])
                                     : dependence.last_write[i];
      if (step > self.steps[i]) path_.add_backtrack(step - 1, self.id);
    }
  }
  self.steps.join(dependence.writes);
  if (is_write) self.steps.join(dependence.reads);
  const std::uint32_t now = self.steps[self.id];
  if (is_write) {
    if (conflict == Conflict::write) dependence.last_write[self.id] = now;
    dependence.writes.join(self.steps);
  } else {
    dependence.last_read[self.id] = now;
    dependence.reads.join(self.steps);
  }
}

void Execution::add_line(const std::string& text) {
  const std::string number = std::to_string(trace_.size() + 1);
  trace_.push_back(std::string(number.size() < 4 ? 4 - number.size() : 0, ' ') + number + "  T" +
                   std::to_string(running_) + "  " + text);
}

}  // namespace blitzio::model

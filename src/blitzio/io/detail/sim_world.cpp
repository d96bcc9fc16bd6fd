#include <blitzio/io/detail/sim_world.hpp>

#include <blitzio/base/backoff.hpp>
#include <blitzio/base/random.hpp>
#include <blitzio/io/detail/sim_host.hpp>
#include <blitzio/io/detail/sim_network.hpp>
#include <blitzio/task/future.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace blitzio::io::detail {

thread_local constinit SimWorld* SimWorld::current_ = nullptr;

// The calling thread runs the world: its timers are the thread's, and so is its chance.
class SimWorld::Inside {
 public:
  explicit Inside(SimWorld& world) noexcept
      : world_(world),
        outer_(std::exchange(current_, &world)),
        outer_random_(std::exchange(blitzio::detail::random_state, world.select_random_)) {
    timers_.enter(world.timers_);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    timers_.leave();
    world_.select_random_ = std::exchange(blitzio::detail::random_state, outer_random_);
    current_ = outer_;
  }

 private:
  SimWorld& world_;
  SimWorld* outer_;
  std::uint32_t outer_random_;
  time::TimerContext::Scope timers_;
};

void SimTask::schedule(Task& /*task*/) noexcept {
  if (SimWorld::current_ != &world_) {
    world_.schedule_remote(*this);
  } else if (is_in_place_) {
    is_scheduled_ = true;
  } else {
    world_.ready_.push_back(this);
  }
}

void SimTask::release(Task& /*task*/) noexcept {
  unlink();
  --world_.task_count_;
  if (has_place_) --world_.busy_;
}

SimWorld::SimWorld(const Deterministic::Config& config)
    : config_(config), random_(config.seed), network_(new SimNetwork(*this)) {
  select_random_ = static_cast<std::uint32_t>(random_below(UINT32_MAX)) + 1;
}

SimWorld::~SimWorld() {
  {
    const Inside inside(*this);
    is_closed_ = true;
    drop_all();
  }
  remote_visits_.wait_until_over();
}

// ---- tasks -----------------------------------------------------------------------------------

Scheduler* SimWorld::admit(Start how) noexcept {
  const std::size_t limit = how == Start::async ? config_.async_limit : config_.concurrent_limit;
  const bool has_place = busy_ < limit;
  if (!has_place && how == Start::concurrent) return nullptr;
  if (has_place) ++busy_;
  return new SimTask(*this, tasks_made_++, clock_, has_place);
}

bool SimWorld::start(Scheduler& scheduler, Task& task, Start how) {
  auto& added = static_cast<SimTask&>(scheduler);
  added.task_ = &task;
  tasks_.push_back(added);
  ++task_count_;
  if (is_closed_) task.cancel();
  if (added.has_place_) {
    ready_.push_back(&added);
  } else {
    BLITZIO_CHECK(how == Start::async);
    run_in_place(added);
  }
  return true;
}

void SimWorld::block_on(AnyFuture<void> work) {
  if (current_ == this) {
    throw std::logic_error("Deterministic: run() or block_on() from inside of a task");
  }
  const Inside inside(*this);
  Scheduler* scheduler = new SimTask(*this, tasks_made_++, clock_, false);
  auto [task, handle] = make_task(std::move(work), *scheduler);
  auto& main = static_cast<SimTask&>(*scheduler);
  main.task_ = task;
  tasks_.push_back(main);
  ++task_count_;
  ready_.push_back(&main);
  try {
    while (!handle.is_finished()) {
      take_remote();
      if (!run_one() && !jump()) throw_deadlock();
    }
  } catch (...) {
    // They refer to the caller's frame.
    drop_all();
    throw;
  }
  drop_cancelled();
  std::move(*handle.try_join()).get();
}

bool SimWorld::run_one() {
  if (ready_.empty()) return false;
  const std::size_t at = random_below(ready_.size());
  SimTask* task = ready_[at];
  ready_[at] = ready_.back();
  ready_.pop_back();
  poll(*task);
  happen_due();
  return true;
}

bool SimWorld::poll(SimTask& task) {
  note(TraceEntry::Kind::run, task.number_);
  clock_ += config_.poll_takes;
  switch (task.task_->run()) {
    case Task::RunOutcome::idle:
      return false;
    case Task::RunOutcome::again:
      task.schedule(*task.task_);
      return false;
    case Task::RunOutcome::complete:
      break;
  }
  note(TraceEntry::Kind::finish, task.number_);
  delete &task;
  return true;
}

// All others stand still meanwhile; time and the network do not.
void SimWorld::run_in_place(SimTask& task) {
  task.is_in_place_ = true;
  task.is_scheduled_ = true;
  for (;;) {
    if (std::exchange(task.is_scheduled_, false)) {
      if (poll(task)) return;
      happen_due();
    } else if (!jump()) {
      // It goes before its starter's frame does.
      const std::uint64_t number = task.number_;
      task.task_->cancel();
      poll(task);
      char text[160];
      std::snprintf(text, sizeof text,
                    "deadlock: task %llu runs in place (async_limit is reached) and waits for "
                    "something that does not come while its starter stands still",
                    static_cast<unsigned long long>(number));
      throw Deadlock(text);
    }
  }
}

bool SimWorld::jump() {
  Instant next = timers_.wheel().next_deadline();
  if (!events_.empty()) next = std::min(next, events_.begin()->first.first);
  if (next == Instant::max()) return false;
  clock_ = std::max(clock_, next);
  note(TraceEntry::Kind::time, 0);
  happen_due();
  return true;
}

void SimWorld::happen_due() {
  timers_.advance(clock_);
  while (!events_.empty() && events_.begin()->first.first <= clock_) {
    const auto event = events_.extract(events_.begin());
    event.mapped()();
  }
}

// The newest first: they may refer to the frames of those that started them.
void SimWorld::drop_all() {
  // What goes may start others.
  while (!tasks_.is_empty()) {
    SimTask& task = tasks_.back();
    task.task_->cancel();
    auto at = std::ranges::find(ready_, &task);
    // If it is not queued, another thread has claimed it and is about to push.
    for (; at == ready_.end(); at = std::ranges::find(ready_, &task)) {
      take_remote();
      yield_thread();
    }
    ready_.erase(at);
    poll(task);
  }
}

// Tasks that were asked to end when their owners went: they may refer to what is gone next.
void SimWorld::drop_cancelled() {
  for (std::size_t at = 0; at < ready_.size();) {
    if (!ready_[at]->task_->cancel_requested()) {
      ++at;
      continue;
    }
    SimTask* task = ready_[at];
    ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(at));
    poll(*task);
    at = 0;  // that may have cancelled others
  }
}

void SimWorld::schedule_remote(SimTask& task) noexcept {
  const blitzio::detail::RemoteVisits::Visit visit(remote_visits_);
  const MutexLock lock(remote_mutex_);
  remote_.push_back(&task);
}

void SimWorld::take_remote() noexcept {
  std::vector<SimTask*> woken;
  {
    const MutexLock lock(remote_mutex_);
    woken.swap(remote_);
  }
  for (SimTask* task : woken) task->schedule(*task->task_);
}

void SimWorld::throw_deadlock() {
  constexpr std::size_t kNamedMax = 20;
  char text[96];
  std::snprintf(text, sizeof text, "deadlock at +%.9f s: %zu task(s) wait, and nothing is to come:",
                static_cast<double>(clock_.as_nanos()) * 1e-9, task_count_);
  std::string message = text;
  std::size_t named = 0;
  tasks_.for_each([&](SimTask& task) {
    if (named++ >= kNamedMax) return;
    std::snprintf(text, sizeof text, " task %llu (started at +%.9f s)",
                  static_cast<unsigned long long>(task.number_),
                  static_cast<double>(task.started_.as_nanos()) * 1e-9);
    message += text;
  });
  if (named > kNamedMax) message += " …";
  message += "; they wait for one another, or for something that is not part of the simulation";
  throw Deadlock(message);
}

// ---- for the hosts ---------------------------------------------------------------------------

std::uint64_t SimWorld::random_below(std::uint64_t limit) noexcept {
  // Steele, Lea and Flood's splitmix64.
  random_ += 0x9E37'79B9'7F4A'7C15U;
  std::uint64_t mixed = random_;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58'476D'1CE4'E5B9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D0'49BB'1331'11EBU;
  mixed ^= mixed >> 31;
  return mixed % limit;
}

void SimWorld::call_at(Instant at, std::function<void()> event) {
  events_.emplace(std::pair{at, events_made_++}, std::move(event));
}

void SimWorld::note(TraceEntry::Kind kind, std::uint64_t subject) {
  const TraceEntry entry{clock_, kind, subject};
  for (const std::uint64_t part : {static_cast<std::uint64_t>(entry.at.as_nanos()),
                                   static_cast<std::uint64_t>(entry.kind), entry.subject}) {
    fingerprint_ = (fingerprint_ ^ part) * 1'099'511'628'211U;
  }
  if (config_.keeps_trace) trace_.push_back(entry);
}

SimHost& SimWorld::host(const Address& address) {
  auto& host = hosts_[address.host()];
  if (host == nullptr) host = std::make_unique<SimHost>(*this, address.with_port(0));
  return *host;
}

SimHost* SimWorld::find_host(const Address& address) noexcept {
  const auto found = hosts_.find(address.host());
  return found == hosts_.end() ? nullptr : found->second.get();
}

}  // namespace blitzio::io::detail

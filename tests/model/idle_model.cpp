// How workers fall asleep and are woken: a task that was queued is run, whoever goes to sleep
// meanwhile, and no worker sleeps for good while another has tasks to spare.
#include <blitzio/base/park_word.hpp>
#include <blitzio/executor/idle_map.hpp>
#include <blitzio/executor/idling.hpp>
#include <blitzio/executor/injector.hpp>
#include <blitzio/executor/local_ring.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <utility>

namespace blitzio::model {
namespace {

TEST(InjectorModel, EveryTaskIsTakenOnce) {
  expect_sound([] {
    NoScheduler scheduler;
    QueuedTask one(scheduler);
    QueuedTask two(scheduler);
    blitzio::detail::Injector injector;
    const auto push = [&](QueuedTask& task) {
      task.prepare(5);
      injector.push(task);
    };
    const auto pop = [&] {
      if (Task* task = injector.pop(1)) static_cast<QueuedTask*>(task)->take(5);
    };
    Thread pusher([&] { push(one); });
    Thread popper(pop);
    push(two);
    pop();
    pusher.join();
    popper.join();
    pop();
    BLITZIO_CHECK(one.takes() == 1 && two.takes() == 1, one.takes(), two.takes());
    BLITZIO_CHECK(injector.is_empty());
  });
}

class Workers;
class IdleWorker;

// A task that runs a function of the scenario.
class Job : public QueuedTask {
 public:
  explicit Job(std::function<void(IdleWorker&)> action = [](IdleWorker&) {})
      : QueuedTask(scheduler_), action_(std::move(action)) {
    prepare(5);
  }
  void run(IdleWorker& worker) {
    take(5);
    action_(worker);
  }

 private:
  NoScheduler scheduler_;
  std::function<void(IdleWorker&)> action_;
};

// A Worker without I/O, timers and a policy of what is worth stealing: everything is.
class IdleWorker {
 public:
  IdleWorker(Workers& all, unsigned index);

  /// Ends its sleep. Any thread.
  void wake() {
    if (park_.notify()) event_.signal();
  }
  [[nodiscard]] bool has_stealable() const { return !ring_.is_empty() || !overflow_.is_empty(); }
  // TimerQueue::wakes_by(). Any thread.
  [[nodiscard]] bool wakes_soon() const;

  // Worker::run(), until all jobs are done.
  void run();
  // Worker::schedule_local(), by the task that this worker runs.
  void schedule_local(Job& job);
  // The same where the ring has no room.
  void schedule_behind(Job& job);

  /// So many of its sleeps end soon, with a timer of its own.
  unsigned timers = 0;

 private:
  friend class blitzio::detail::Idling;
  [[nodiscard]] bool has_own() const;
  [[nodiscard]] bool has_injected() const;
  [[nodiscard]] bool has_spare() const;
  void sleep(bool stands_by);
  void wake_one();
  void offer_spare();

  void offer_ring();
  Job* next();
  Job* find();
  Job* from_injector();
  Job* keep(Task* chain);
  Job* steal();

  Workers& all_;
  blitzio::detail::Idling idling_;
  blitzio::detail::BasicLocalRing<4> ring_;
  blitzio::detail::Injector overflow_;
  ParkWord park_;
  Event event_;
  enum class Sleep : std::uint8_t { none, short_one, long_one };
  Atomic<Sleep> sleep_{Sleep::none};
  unsigned tick_ = 0;
};

// The parts of a Runtime that decide who sleeps.
class Workers {
 public:
  static constexpr unsigned kCount = 3;  // scenarios need not run all of them
  enum class Bug : std::uint8_t {
    none,
    hands_nothing_on,    ///< a searcher that has found work wakes nobody for the rest
    searches_for_ever,   ///< who was woken to search and finds a task in passing still counts so
    hides_its_share,     ///< a worker's share of what came from elsewhere is not announced
    hides_its_overflow,  ///< what comes back from behind the ring is not announced
    offers_ring_alone,   ///< nobody is woken for what is behind a ring that is empty
    stands_by_asleep,    ///< a worker that stands by sleeps until it is woken
    wakes_before_it_sleeps,  ///< one that is about to sleep is taken to wake soon
  };

  explicit Workers(int jobs, Bug which = Bug::none) : bug(which), left_(jobs) {}

  // Runtime::schedule() from elsewhere.
  void schedule(Job& job) {
    injector.push(job);
    notify();
  }
  // Runtime::notify().
  void notify() {
    if (const auto index = idle.choose()) each[*index].wake();
  }
  // Runtime::stop_workers(), after the last job.
  void finish_one() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    is_stopping.store(true, std::memory_order_release);
    for (IdleWorker& worker : each) worker.wake();
  }

  const Bug bug;
  blitzio::detail::Injector injector;
  blitzio::detail::IdleMap idle;
  Atomic<bool> is_stopping{false};
  // Written by who searches, and by who stands by: two at a time are a data race.
  int searches = 0;
  int standbys = 0;
  std::array<IdleWorker, kCount> each{IdleWorker(*this, 0), IdleWorker(*this, 1),
                                      IdleWorker(*this, 2)};

 private:
  Atomic<int> left_;
};

IdleWorker::IdleWorker(Workers& all, unsigned index) : all_(all), idling_(all.idle, index) {}

bool IdleWorker::has_own() const {
  return all_.is_stopping.load(std::memory_order_acquire);
}
bool IdleWorker::has_injected() const {
  return !all_.injector.is_empty();
}
bool IdleWorker::has_spare() const {
  return std::ranges::any_of(all_.each,
                             [](const IdleWorker& worker) { return worker.has_stealable(); });
}
void IdleWorker::sleep(bool stands_by) {
  // As TimerQueue has it.
  sleep_.store(timers != 0 ? Sleep::short_one : Sleep::long_one, std::memory_order_relaxed);
  if (park_.begin_sleep()) {
    if (stands_by) ++all_.standbys;
    const bool is_short = stands_by && all_.bug != Workers::Bug::stands_by_asleep;
    if (is_short || timers != 0) {
      event_.wait_for(1);
    } else {
      event_.wait();
    }
    park_.end_sleep();
  }
  if (timers != 0) --timers;
  sleep_.store(Sleep::none, std::memory_order_relaxed);
}
bool IdleWorker::wakes_soon() const {
  const Sleep sleep = sleep_.load(std::memory_order_relaxed);
  if (all_.bug == Workers::Bug::wakes_before_it_sleeps && sleep == Sleep::none) return true;
  return sleep == Sleep::short_one;
}
void IdleWorker::wake_one() {
  if (all_.bug != Workers::Bug::hands_nothing_on) all_.notify();
}
void IdleWorker::offer_spare() {
  if (all_.bug == Workers::Bug::hands_nothing_on || !all_.idle.may_choose()) return;
  const auto index = all_.idle.choose();
  if (index && !all_.each[*index].wakes_soon()) all_.each[*index].wake();
}

void IdleWorker::run() {
  while (!has_own()) {
    Job* job = next();
    if (job == nullptr) job = find();
    if (job == nullptr) {
      idling_.park(*this);
      continue;
    }
    job->run(*this);
    all_.finish_one();
  }
}
void IdleWorker::schedule_local(Job& job) {
  BLITZIO_CHECK(ring_.push(job));
  ring_.announce();
  offer_spare();
}
void IdleWorker::schedule_behind(Job& job) {
  overflow_.push(job);
  offer_ring();
}
void IdleWorker::offer_ring() {
  if (ring_.size() == 0 && (all_.bug == Workers::Bug::offers_ring_alone || overflow_.is_empty())) {
    return;
  }
  ring_.announce();
  offer_spare();
}
Job* IdleWorker::next() {
  Task* task = nullptr;
  // In passing, once in a while; here every other time.
  if (++tick_ % 2 == 0) task = all_.injector.pop(1);
  if (task != nullptr) {
    if (all_.bug != Workers::Bug::searches_for_ever) idling_.found_work(*this);
    offer_ring();
    return static_cast<Job*>(task);
  }
  task = ring_.pop();
  if (task == nullptr) {
    task = keep(overflow_.pop(2));
    if (all_.bug != Workers::Bug::hides_its_overflow) offer_ring();
    return static_cast<Job*>(task);
  }
  if (ring_.size() != 0 || !overflow_.is_empty()) offer_spare();
  return static_cast<Job*>(task);
}
Job* IdleWorker::find() {
  Job* job = from_injector();
  if (job == nullptr && idling_.search()) {
    ++all_.searches;
    job = steal();
    if (job == nullptr) job = from_injector();
  }
  if (job != nullptr) {
    idling_.found_work(*this);
    if (all_.bug != Workers::Bug::hides_its_share) offer_ring();
  }
  return job;
}
Job* IdleWorker::from_injector() {
  return keep(all_.injector.pop(2));
}
// One to run, and one into the ring.
Job* IdleWorker::keep(Task* chain) {
  if (chain == nullptr) return nullptr;
  if (InboxNode* rest = std::exchange(chain->inbox_next, nullptr)) {
    BLITZIO_CHECK(ring_.push(static_cast<Task&>(*rest)));
  }
  return static_cast<Job*>(chain);
}
Job* IdleWorker::steal() {
  for (IdleWorker& victim : all_.each) {
    if (&victim == this) continue;
    if (Job* job = keep(victim.overflow_.pop(1))) return job;
    if (Task* task = victim.ring_.steal_into(ring_)) return static_cast<Job*>(task);
  }
  return nullptr;
}

// Two jobs each of which goes on for as long as the other has not been begun.
struct Meeting {
  Event one_has_begun;
  Event two_has_begun;
  Job one{[this](IdleWorker&) {
    one_has_begun.signal();
    two_has_begun.wait();
  }};
  Job two{[this](IdleWorker&) {
    two_has_begun.signal();
    one_has_begun.wait();
  }};
};

TEST(IdleModel, ATaskFromElsewhereWakesAWorker) {
  expect_sound([] {
    Job one;
    Job two;
    Workers workers(2);
    Thread worker([&] { workers.each[0].run(); });
    workers.schedule(one);
    workers.schedule(two);
  });
}

TEST(IdleModel, TwoProducersAndOneWorker) {
  expect_sound([] {
    Job one;
    Job two;
    Workers workers(2);
    Thread worker([&] { workers.each[0].run(); });
    Thread producer([&] { workers.schedule(one); });
    workers.schedule(two);
  });
}

void two_tasks_from_elsewhere(Workers::Bug bug) {
  Meeting meeting;
  Workers workers(2, bug);
  Thread first([&] { workers.each[0].run(); });
  Thread second([&] { workers.each[1].run(); });
  workers.schedule(meeting.one);
  workers.schedule(meeting.two);
}

// At most one worker is woken at a time, and yet both come.
TEST(IdleModel, TwoTasksFromElsewhereRunAtOnce) {
  expect_sound([] { two_tasks_from_elsewhere(Workers::Bug::none); });
}

// The sleeper has so many timers of its own.
void long_poll(Workers::Bug bug, unsigned timers = 0) {
  Meeting meeting;
  Workers workers(3, bug);
  workers.each[1].timers = timers;
  Job begins([&](IdleWorker& worker) {
    worker.schedule_local(meeting.one);
    worker.schedule_local(meeting.two);
  });
  Thread sleeper([&] { workers.each[1].run(); });
  workers.injector.push(begins);
  workers.each[0].run();
}

TEST(IdleModel, ATaskInARingIsTakenWhileItsWorkerIsInALongPoll) {
  expect_sound([] { long_poll(Workers::Bug::none); });
}

void task_that_goes_on() {
  Meeting meeting;
  Workers workers(2);
  Job begins([&](IdleWorker& worker) {
    worker.schedule_local(meeting.one);
    meeting.two.run(worker);
  });
  Thread sleeper([&] { workers.each[1].run(); });
  workers.injector.push(begins);
  workers.each[0].run();
}

TEST(IdleModel, ATaskInARingIsTakenWhileTheTaskThatQueuedItGoesOn) {
  expect_sound(task_that_goes_on);
}

// The same from behind the ring, from where its worker takes both: one to run, one into the ring.
void overflow(Workers::Bug bug) {
  Meeting meeting;
  Workers workers(3, bug);
  Job begins([&](IdleWorker& worker) {
    worker.schedule_behind(meeting.one);
    worker.schedule_behind(meeting.two);
  });
  Thread sleeper([&] { workers.each[1].run(); });
  workers.injector.push(begins);
  workers.each[0].run();
}

TEST(IdleModel, ATaskBehindARingIsTakenWhileItsWorkerIsInALongPoll) {
  expect_sound([] { overflow(Workers::Bug::none); });
}

// All is behind the ring: a thief has claimed one half of it, and the other has made room.
void overflow_of_a_task_that_goes_on(Workers::Bug bug) {
  Meeting meeting;
  Workers workers(2, bug);
  Job begins([&](IdleWorker& worker) {
    worker.schedule_behind(meeting.one);
    meeting.two.run(worker);
  });
  Thread sleeper([&] { workers.each[1].run(); });
  workers.injector.push(begins);
  workers.each[0].run();
}

TEST(IdleModel, ATaskBehindAnEmptyRingIsTakenWhileTheTaskThatQueuedItGoesOn) {
  expect_sound([] { overflow_of_a_task_that_goes_on(Workers::Bug::none); });
}

// The sleeper need not be woken, as its timer does so; the next time it must be.
TEST(IdleModel, ASleeperThatWakesByItselfTakesATask) {
  expect_sound([] { long_poll(Workers::Bug::none, 1); });
}

// One of the two sleepers stands by, and the other one leaves it to that.
void two_sleepers() {
  Meeting meeting;
  Workers workers(2);
  Thread first([&] { workers.each[1].run(); });
  Thread second([&] { workers.each[2].run(); });
  // Begins its long poll at once, with the other task in its ring.
  workers.each[0].schedule_local(meeting.two);
  meeting.one.run(workers.each[0]);
  workers.finish_one();
}

TEST(IdleModel, OfTwoSleepersOneStandsBy) {
  Options options;
  options.stale_reads_max = 1;
  expect_sound(two_sleepers, options);
}

void one_task_one_worker() {
  Job job;
  Workers workers(1);
  Thread worker([&] { workers.each[0].run(); });
  workers.schedule(job);
}

TEST(IdleModel, FindsATaskThatIsQueuedWithoutSeqCst) {
  expect_finds("deadlock", one_task_one_worker,
               {.weakenings = {{.file = "executor/injector.hpp",
                                .function = "push_chain",
                                .access = Access::store,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_release}}});
}

TEST(IdleModel, FindsASleeperWhoseLastLookIsTooEarly) {
  expect_finds("deadlock", one_task_one_worker,
               {.weakenings = {{.file = "executor/injector.hpp",
                                .function = "size",
                                .access = Access::load,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acquire}}});
}

TEST(IdleModel, FindsATaskThatWasNotAnnounced) {
  expect_finds("deadlock", task_that_goes_on,
               {.weakenings = {{.file = "executor/local_ring.hpp",
                                .function = "announce",
                                .access = Access::exchange,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acq_rel}}});
  expect_finds("deadlock", task_that_goes_on,
               {.weakenings = {{.file = "executor/idle_map.hpp",
                                .function = "may_choose",
                                .access = Access::load,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acquire}}});
}

TEST(IdleModel, FindsASearcherThatHandsNothingOn) {
  expect_finds("deadlock", [] { two_tasks_from_elsewhere(Workers::Bug::hands_nothing_on); });
}

TEST(IdleModel, FindsAWorkerThatSearchesForEver) {
  expect_finds("deadlock", [] { two_tasks_from_elsewhere(Workers::Bug::searches_for_ever); });
}

TEST(IdleModel, FindsAShareThatWasNotAnnounced) {
  expect_finds("deadlock", [] { two_tasks_from_elsewhere(Workers::Bug::hides_its_share); });
}

TEST(IdleModel, FindsTasksFromBehindTheRingThatWereNotAnnounced) {
  expect_finds("deadlock", [] { overflow(Workers::Bug::hides_its_overflow); });
}

TEST(IdleModel, FindsTasksBehindAnEmptyRingThatWereNotOffered) {
  expect_finds("deadlock",
               [] { overflow_of_a_task_that_goes_on(Workers::Bug::offers_ring_alone); });
}

TEST(IdleModel, FindsAStandbyThatSleepsForGood) {
  expect_finds("deadlock", [] { long_poll(Workers::Bug::stands_by_asleep); });
}

TEST(IdleModel, FindsASleeperThatIsTakenToWakeBeforeItSleeps) {
  expect_finds("deadlock", [] { long_poll(Workers::Bug::wakes_before_it_sleeps, 1); });
}

TEST(IdleModel, FindsAStandbyThatIsTakenOverTooEarly) {
  expect_finds("data race", two_sleepers,
               {.weakenings = {{.file = "executor/idle_map.hpp",
                                .function = "begin_standby",
                                .access = Access::exchange,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_relaxed}}});
}

}  // namespace
}  // namespace blitzio::model

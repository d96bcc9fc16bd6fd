// `SimWorld`: the scheduler, the clock and the chance of a Deterministic, for its hosts.
//
// A step is one of these, the first that there is:
//
//     a task that could run ─▶ one of them is polled; then what has become due happens
//     a timer or an event   ─▶ the clock jumps there, and it happens
//     neither               ─▶ the end, or a deadlock
//
// Events are the network's: functions to be called at a point in time, in the order of times and
// then of making.
//
// Threads: one, save for schedule(), which takes wakes from any.
#pragma once

#include <blitzio/base/instant.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/executor/remote_visits.hpp>
#include <blitzio/io/deterministic.hpp>
#include <blitzio/task/task.hpp>
#include <blitzio/time/timer_context.hpp>
#include <blitzio/time/timer_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io::detail {

class SimHost;
class SimNetwork;
class SimWorld;

/// A task, and its scheduler.
class SimTask final : public Scheduler, private ListNode<> {
 public:
  SimTask(SimWorld& world, std::uint64_t number, Instant started, bool has_place) noexcept
      : world_(world), number_(number), started_(started), has_place_(has_place) {}
  SimTask(const SimTask&) = delete;
  SimTask& operator=(const SimTask&) = delete;

 private:
  friend class IntrusiveList<SimTask>;
  friend class SimWorld;

  void schedule(Task& task) noexcept override;
  void release(Task& task) noexcept override;

  SimWorld& world_;
  Task* task_ = nullptr;
  const std::uint64_t number_;
  const Instant started_;
  const bool has_place_;       // counts as busy
  bool is_in_place_ = false;   // polled by the call that started it alone
  bool is_scheduled_ = false;  // of one in place
};

class SimWorld {
 public:
  explicit SimWorld(const Deterministic::Config& config);
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;
  ~SimWorld();

  // ---- tasks, as Io asks for them ------------------------------------------------------------

  Scheduler* admit(Start how) noexcept;
  bool start(Scheduler& scheduler, Task& task, Start how);
  void block_on(AnyFuture<void> work);

  // ---- for the hosts and the network ---------------------------------------------------------

  [[nodiscard]] Instant now() const noexcept { return clock_; }
  /// A number below `limit`, which is not 0.
  [[nodiscard]] std::uint64_t random_below(std::uint64_t limit) noexcept;
  /// Has `event` called at `at`.
  void call_at(Instant at, std::function<void()> event);
  void note(TraceEntry::Kind kind, std::uint64_t subject);

  [[nodiscard]] SimHost& host(const Address& address);
  [[nodiscard]] SimNetwork& network() noexcept { return *network_; }
  /// In the order of their addresses' text.
  template <class Visit>
  void for_each_host(Visit visit) {
    for (const auto& entry : hosts_) visit(*entry.second);
  }
  /// Null if there is none.
  [[nodiscard]] SimHost* find_host(const Address& address) noexcept;

  [[nodiscard]] std::size_t task_count() const noexcept { return task_count_; }
  [[nodiscard]] const std::vector<TraceEntry>& trace() const noexcept { return trace_; }
  [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }

 private:
  friend class SimTask;
  class Inside;

  [[nodiscard]] bool run_one();
  /// Polls it; true if it has ended and is gone.
  bool poll(SimTask& task);
  void run_in_place(SimTask& task);
  [[nodiscard]] bool jump();
  void happen_due();
  void drop_all();
  void drop_cancelled();
  void take_remote() noexcept;
  void schedule_remote(SimTask& task) noexcept;
  [[noreturn]] void throw_deadlock();

  [[gnu::tls_model("initial-exec")]] static thread_local constinit SimWorld* current_;

  const Deterministic::Config config_;
  std::uint64_t random_;
  std::uint32_t select_random_;  // what select() draws from, inside of run()
  Instant clock_;
  time::TimerQueue timers_{clock_};
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t events_made_ = 0;
  std::uint64_t tasks_made_ = 0;
  std::size_t busy_ = 0;
  std::size_t task_count_ = 0;
  bool is_closed_ = false;
  IntrusiveList<SimTask> tasks_;
  std::vector<SimTask*> ready_;
  std::vector<TraceEntry> trace_;
  std::uint64_t fingerprint_ = 14'695'981'039'346'656'037U;  // FNV-1a's beginning
  std::unique_ptr<SimNetwork> network_;
  std::map<std::string, std::unique_ptr<SimHost>> hosts_;

  blitzio::Mutex remote_mutex_{LockRank::leaf};
  std::vector<SimTask*> remote_ BLITZIO_GUARDED_BY(remote_mutex_);
  blitzio::detail::RemoteVisits remote_visits_;
};

}  // namespace blitzio::io::detail

// `Idling`: one worker's side of the idle map: what it does, and in which order, from having
// nothing to run until it has found something or sleeps.
//
//                      search               found_work
//     running ───────────────────▶ searching ──────────▶ running
//        │                            │
//        │ park                       │ park
//        ▼                            ▼
//     asleep, or standing by: asleep for a moment, as others have tasks to spare
//        │ woken by others: searching; by itself: running
//
// Which tasks are worth taking, and how long a moment is, the worker decides; nothing here depends
// on it. `Queues` are the worker's, and these are its promises:
//
//     bool has_own()        something that others left for this worker alone, or the runtime stops
//     bool has_injected()   tasks that belong to nobody (Injector)
//     bool has_spare()      tasks in somebody's ring that may be stolen
//     void sleep(bool)      until it is woken; for a moment only if it stands by (true)
//     void wake_one()       IdleMap::choose(), and wakes that worker
//     void offer_spare()    the same, if IdleMap::may_choose(); one that wakes soon by itself is
//     left
//
// has_injected() and has_spare() read with seq_cst (idle_map.hpp); what has_own() tells of is
// followed by a wake of this worker, which its sleep() does not miss.
//
// Threads: the worker's.
#pragma once

#include <blitzio/executor/idle_map.hpp>

#include <utility>

namespace blitzio::detail {

class Idling {
 public:
  Idling(IdleMap& map, unsigned index) noexcept : map_(map), index_(index) {}

  /// Whether this worker may look for work of others. If not, somebody else does so, who wakes this
  /// one if there is more than one worker's work.
  [[nodiscard]] bool search() noexcept {
    if (!is_searching_) is_searching_ = map_.begin_search();
    return is_searching_;
  }

  /// It has something to run. Those who queued tasks while it searched or stood by have woken
  /// nobody: somebody else shall look after what is left.
  template <class Queues>
  void found_work(Queues& queues) noexcept {
    const bool stood_by = std::exchange(stands_by_, false);
    if (stood_by) map_.end_standby();
    const bool was_last_searcher = std::exchange(is_searching_, false) && map_.end_search();
    if (was_last_searcher && queues.has_injected()) {
      queues.wake_one();
    } else if ((was_last_searcher || stood_by) && queues.has_spare()) {
      queues.offer_spare();
    }
  }

  /// It has found nothing: sleeps, unless there is something after all.
  template <class Queues>
  void park(Queues& queues) noexcept {
    map_.sleep(index_, std::exchange(is_searching_, false));
    // The last look before sleeping.
    const bool sleeps = !queues.has_own() && !queues.has_injected();
    if (sleeps) {
      // Before the look: who queues a task after it wakes somebody.
      if (std::exchange(stands_by_, false)) map_.end_standby();
      if (queues.has_spare()) stands_by_ = map_.begin_standby();
      queues.sleep(stands_by_);
    }
    is_searching_ = map_.wake_up(index_);
    // What came while it searched has woken nobody, and may be more than this worker's work: it
    // searches on, so that found_work() wakes another.
    if (!sleeps) static_cast<void>(search());
  }

 private:
  IdleMap& map_;
  const unsigned index_;
  bool is_searching_ = false;
  bool stands_by_ = false;
};

}  // namespace blitzio::detail

// What scenarios are written with. A scenario is a function that makes its objects anew, starts
// threads, joins them, and checks the end with BLITZIO_CHECK:
//
//     TEST(InboxModel, NothingIsLost) {
//       model::expect_sound([] {
//         Inbox<Element> inbox;
//         Element one, two;
//         model::Thread pusher([&] { inbox.push(one); });
//         inbox.push(two);
//         pusher.join();
//         BLITZIO_CHECK(count(inbox) == 2);
//       });
//     }
//
// It must do the same whenever it is given the same turns: no clock, no random numbers, nothing
// kept from one run to the next. Small is beautiful: two or three threads with a few steps each.
#pragma once

#include <model/explorer/execution.hpp>
#include <model/explorer/explore.hpp>

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

namespace blitzio::model {

/// A logical thread of the scenario; the scenario itself is the first. Joined when destroyed.
class Thread {
 public:
  template <class Body>
  explicit Thread(Body body, Where where = Where::current())
      : id_(Execution::active()->spawn(std::function<void()>(std::move(body)), where)) {}
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { join(); }
  void join(Where where = Where::current()) {
    if (!std::exchange(is_joined_, true)) Execution::active()->join(id_, where);
  }

 private:
  ThreadId id_;
  bool is_joined_ = false;
};

/// Stands for a system call that sleeps until another is made, as reading and writing an eventfd:
/// any number of signals end one wait. Whatever the system may do, the code under test must not
/// rely on more: no happens-before comes of it.
class Event {
 public:
  Event() { Execution::active()->born(this, ObjectKind::event, 0); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { Execution::active()->died(this); }
  void signal(Where where = Where::current()) { Execution::active()->signal(this, where); }
  void wait(Where where = Where::current()) { Execution::active()->await(this, false, where); }
  /// False if it timed out, which happens when nothing else is left to happen.
  bool wait_for(std::int64_t nanoseconds, Where where = Where::current()) {
    if (Execution::active()->await(this, true, where)) return true;
    Execution::active()->pass(nanoseconds);
    return false;
  }

 private:
  [[maybe_unused]] char byte_ = 0;
};

inline void fence(std::memory_order order, Where where = Where::current()) {
  Execution::active()->fence(order, where);
}

/// Fails the test unless every execution of the scenario, within the bounds, goes well.
///
/// Environment: BLITZIO_MODEL_DEEP=1 raises the bounds; BLITZIO_MODEL_REPLAY=… runs one schedule
/// and prints its steps; BLITZIO_MODEL_MUTATE=folder weakens one order after the other and writes a
/// file into the folder that says which of them the scenario noticed.
void expect_sound(const std::function<void()>& scenario, Options options = {});

/// Fails the test unless an execution goes wrong, with `what` in the message: the scenario has a
/// bug in it, or the options weaken an order.
void expect_finds(std::string_view what, const std::function<void()>& scenario,
                  const Options& options = {});

}  // namespace blitzio::model

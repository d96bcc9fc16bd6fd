#include <blitzio/time/wheel.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace blitzio::time {
namespace {

constexpr std::int64_t kMillis = 1'000'000;
constexpr std::int64_t kHour = 3600 * 1'000 * kMillis;

Instant at(std::int64_t nanos) {
  return Instant::from_nanos(nanos);
}

// A timer that runs a function.
struct Timer : TimerEntry {
  explicit Timer(std::function<void(Timer&)> action = {})
      : TimerEntry([](TimerEntry& entry) noexcept {
          auto& self = static_cast<Timer&>(entry);
          ++self.fired;
          if (self.on_fire) self.on_fire(self);
        }),
        on_fire(std::move(action)) {}
  std::function<void(Timer&)> on_fire;
  int fired = 0;
  int id = 0;
};

TEST(TimerWheel, FiresAtItsDeadlineAndNotANanosecondBefore) {
  for (const std::int64_t deadline : {std::int64_t{1}, kMillis, 3 * kMillis + 7, 300 * kMillis,
                                      20'000 * kMillis + 1, kHour, 19 * kHour, 500 * kHour}) {
    TimerWheel wheel(at(0));
    Timer timer;
    wheel.insert(timer, at(deadline));
    EXPECT_EQ(wheel.next_deadline(), at(deadline));
    EXPECT_EQ(wheel.advance(at(deadline - 1)), 0U);
    EXPECT_TRUE(timer.is_armed());
    EXPECT_EQ(wheel.next_deadline(), at(deadline));
    EXPECT_EQ(wheel.advance(at(deadline)), 1U);
    EXPECT_FALSE(timer.is_armed());
    EXPECT_TRUE(wheel.is_empty());
    EXPECT_EQ(wheel.next_deadline(), Instant::max());
  }
}

TEST(TimerWheel, FiresInDeadlineOrderAndInArmingOrderAmongEquals) {
  TimerWheel wheel(at(0));
  std::vector<int> order;
  std::vector<std::unique_ptr<Timer>> timers;
  const std::int64_t deadlines[] = {500, 100, 500, 2 * kMillis, 100, 2 * kMillis, kHour, 0, -5};
  for (const std::int64_t deadline : deadlines) {
    timers.push_back(std::make_unique<Timer>([&](Timer& self) { order.push_back(self.id); }));
    timers.back()->id = static_cast<int>(timers.size()) - 1;
    wheel.insert(*timers.back(), at(deadline));
  }
  EXPECT_EQ(wheel.advance(at(2 * kHour)), std::size(deadlines));
  EXPECT_EQ(order, (std::vector<int>{8, 7, 1, 4, 0, 2, 3, 5, 6}));
}

TEST(TimerWheel, WhatIsArmedForTheTickThatIsGoingOnFiresInOrder) {
  constexpr std::int64_t kTick = std::int64_t{1} << 20;
  for (const bool is_slot_in_order : {true, false}) {
    TimerWheel wheel(at(0));
    std::vector<std::int64_t> order;
    const auto fired = [&](Timer& self) {
      order.push_back(self.deadline().as_nanos() - 7 * kTick);
    };
    std::vector<std::unique_ptr<Timer>> timers;
    const auto arm = [&](std::int64_t offset) {
      timers.push_back(std::make_unique<Timer>(fired));
      wheel.insert(*timers.back(), at(7 * kTick + offset));
    };
    for (const std::int64_t offset : {10, 20, 30, 40, 50})
      arm(is_slot_in_order ? offset : 60 - offset);
    EXPECT_EQ(wheel.next_deadline(), at(7 * kTick + 10));
    EXPECT_EQ(wheel.advance(at(7 * kTick + 15)), 1U);
    for (const std::int64_t offset : {45, 18, 5}) arm(offset);
    EXPECT_EQ(wheel.next_deadline(), at(7 * kTick + 5));
    wheel.cancel(*timers[2]);
    EXPECT_EQ(wheel.advance(at(7 * kTick + 20)), 3U);
    EXPECT_EQ(wheel.next_deadline(), at(7 * kTick + 40));
    wheel.advance(at(8 * kTick));
    EXPECT_EQ(order, (std::vector<std::int64_t>{10, 5, 18, 20, 40, 45, 50}));
    EXPECT_TRUE(wheel.is_empty());
  }
}

// So many share a tick, in no order, that they are spread over its grains.
TEST(TimerWheel, ACrowdedTickFiresInOrderWhateverLeavesAndJoins) {
  constexpr std::int64_t kTick = std::int64_t{1} << 20;
  for (const std::int64_t start : {std::int64_t{0}, 7 * kTick, 300 * kTick}) {
    SCOPED_TRACE(testing::Message() << "start " << start);
    std::mt19937_64 random(5);
    TimerWheel wheel(at(0));
    std::vector<const Timer*> order;
    std::vector<std::unique_ptr<Timer>> timers;
    const auto arm_one = [&] {
      timers.push_back(std::make_unique<Timer>([&](Timer& self) { order.push_back(&self); }));
      timers.back()->id = static_cast<int>(timers.size());
      // Of equal ones too, and in every grain.
      wheel.insert(*timers.back(), at(start + static_cast<std::int64_t>(random() % 1'024) * 1'024));
    };
    for (int i = 0; i < 5'000; ++i) arm_one();
    for (std::int64_t part = 0; part < 16; ++part) {
      for (int i = 0; i < 100; ++i) arm_one();
      for (std::size_t i = static_cast<std::size_t>(part); i < timers.size(); i += 17) {
        if (timers[i]->is_armed()) wheel.cancel(*timers[i]);
      }
      const std::int64_t now = start + part * (kTick / 16);
      order.clear();
      std::vector<const Timer*> due;
      for (const auto& timer : timers) {
        if (timer->is_armed() && timer->deadline() <= at(now)) due.push_back(timer.get());
      }
      std::ranges::sort(due, {},
                        [](const Timer* timer) { return std::pair(timer->deadline(), timer->id); });
      EXPECT_EQ(wheel.advance(at(now)), due.size());
      ASSERT_EQ(order, due) << "part " << part;
      ASSERT_GT(wheel.next_deadline(), at(now));
    }
    wheel.advance(at(start + kTick));
    EXPECT_TRUE(wheel.is_empty());
  }
}

TEST(TimerWheel, WhatAFireFunctionArmsWaitsForTheNextAdvance) {
  TimerWheel wheel(at(0));
  Timer timer([&](Timer& self) {
    if (self.fired < 3) wheel.insert(self, at(0));
    if (self.fired < 3) {
      EXPECT_EQ(wheel.next_deadline(), at(0));
    }
  });
  wheel.insert(timer, at(kMillis));
  EXPECT_EQ(wheel.advance(at(5 * kMillis)), 1U);
  EXPECT_EQ(wheel.advance(at(5 * kMillis)), 1U);
  EXPECT_EQ(wheel.advance(at(5 * kMillis)), 1U);
  EXPECT_EQ(wheel.advance(at(5 * kMillis)), 0U);
}

TEST(TimerWheel, AFireFunctionMayCancelWhatIsDueInTheSameAdvance) {
  TimerWheel wheel(at(0));
  Timer second;
  Timer third;
  Timer first([&](Timer&) {
    wheel.cancel(second);
    wheel.cancel(third);
  });
  wheel.insert(first, at(10));
  wheel.insert(second, at(10));
  wheel.insert(third, at(3 * kMillis));
  EXPECT_EQ(wheel.advance(at(kHour)), 1U);
  EXPECT_EQ(second.fired + third.fired, 0);
  EXPECT_TRUE(wheel.is_empty());
}

TEST(TimerWheel, AFireFunctionMayCancelWhatItArmed) {
  TimerWheel wheel(at(0));
  Timer a;
  Timer b;
  Timer c;
  Timer first([&](Timer&) {
    for (Timer* timer : {&a, &b, &c}) wheel.insert(*timer, at(0));
    wheel.cancel(b);
    wheel.cancel(a);
  });
  wheel.insert(first, at(10));
  EXPECT_EQ(wheel.advance(at(kHour)), 1U);
  EXPECT_EQ(wheel.advance(at(kHour)), 1U);
  EXPECT_EQ(c.fired, 1);
}

TEST(TimerWheel, AFireFunctionMayDestroyItsOwnEntryAndOthers) {
  TimerWheel wheel(at(0));
  auto other = std::make_unique<Timer>();
  wheel.insert(*other, at(20));
  int fired = 0;
  auto* self_destroying = new Timer;
  // The function object dies with the entry, so it moves out first.
  self_destroying->on_fire = [&wheel, &other, &fired](Timer& self) {
    ++fired;
    wheel.cancel(*other);
    other.reset();
    auto keep = std::move(self.on_fire);
    delete &self;
  };
  wheel.insert(*self_destroying, at(10));
  EXPECT_EQ(wheel.advance(at(30)), 1U);
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheel, CancellingTheEarliestLeavesABoundThatGetsCloser) {
  TimerWheel wheel(at(0));
  Timer early;
  Timer late;
  wheel.insert(early, at(1'000 * kMillis));
  wheel.insert(late, at(1'100 * kMillis));
  wheel.cancel(early);
  int wakes = 0;
  while (late.fired == 0) {
    const Instant next = wheel.next_deadline();
    ASSERT_LE(next, late.deadline());
    wheel.advance(next);
    ASSERT_LT(++wakes, 5);
  }
}

TEST(TimerWheel, AnEarlierNowThanBeforeFiresNothingTooEarly) {
  TimerWheel wheel(at(10 * kMillis));
  Timer timer;
  wheel.advance(at(20 * kMillis));
  wheel.insert(timer, at(15 * kMillis));
  EXPECT_EQ(wheel.advance(at(12 * kMillis)), 0U);
  EXPECT_EQ(wheel.advance(at(15 * kMillis)), 1U);
}

TEST(TimerWheel, DisarmAnyEmptiesEveryPlaceWithoutFiring) {
  TimerWheel wheel(at(0));
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 1'000; ++i) {
    timers.push_back(std::make_unique<Timer>());
    wheel.insert(*timers.back(), at(std::int64_t{i} * i * i * i * 1'000));
  }
  std::size_t disarmed = 0;
  while (wheel.disarm_any() != nullptr) ++disarmed;
  EXPECT_EQ(disarmed, timers.size());
  EXPECT_TRUE(wheel.is_empty());
  for (const auto& timer : timers) EXPECT_EQ(timer->fired, 0);
}

TEST(TimerWheel, VisitsEachArmedTimerOnceWhereverItStands) {
  std::mt19937_64 random(7);
  TimerWheel wheel(at(0));
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 2'000; ++i) {
    timers.push_back(std::make_unique<Timer>());
    timers.back()->id = i;
    // From the current tick to beyond the last level.
    wheel.insert(*timers.back(), at(static_cast<std::int64_t>(random() >> (2 + random() % 60))));
  }
  wheel.advance(at(2'000));  // Reorders the heap of the current tick.
  for (int i = 0; i < 2'000; i += 3) {
    if (timers[static_cast<std::size_t>(i)]->is_armed()) {
      wheel.cancel(*timers[static_cast<std::size_t>(i)]);
    }
  }
  std::vector<int> visits(timers.size());
  EXPECT_EQ(wheel.visit([&](TimerEntry& entry) {
    ++visits[static_cast<std::size_t>(static_cast<Timer&>(entry).id)];
    return 0;
  }),
            0);
  for (const auto& timer : timers) {
    EXPECT_EQ(visits[static_cast<std::size_t>(timer->id)], timer->is_armed() ? 1 : 0) << timer->id;
  }
  int left = 3;
  EXPECT_EQ(wheel.visit([&](TimerEntry&) { return --left == 0 ? 42 : 0; }), 42);
  while (wheel.disarm_any() != nullptr) {
  }
}

TEST(TimerWheel, HoldsTheFarthestDeadlines) {
  TimerWheel wheel(at(0));
  Timer farthest;
  Timer far;
  wheel.insert(farthest, Instant::max());
  wheel.insert(far, at(Instant::max().as_nanos() - 1));
  EXPECT_EQ(wheel.advance(at(Instant::max().as_nanos() - 1)), 1U);
  EXPECT_EQ(far.fired, 1);
  EXPECT_EQ(wheel.advance(Instant::max()), 1U);
}

TEST(TimerWheelDeathTest, AnArmedEntryMustNotDie) {
  EXPECT_DEATH(
      {
        TimerWheel wheel(at(0));
        Timer timer;
        wheel.insert(timer, at(1));
      },
      "check failed");
}

// ---- against a model -------------------------------------------------------------------------

// Random operations on the wheel and on a sorted map that is obviously right.
class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed), now_(pick_start()), wheel_(at(now_)) {
    for (int i = 0; i < 400; ++i) {
      timers_.push_back(std::make_unique<Timer>([this](Timer& timer) { on_fire(timer); }));
      timers_.back()->id = i;
    }
  }
  ~Model() {
    while (wheel_.disarm_any() != nullptr) {
    }
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
  }

 private:
  using Key = std::pair<std::int64_t, std::uint64_t>;  // deadline, arming order

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::int64_t pick_start() { return static_cast<std::int64_t>(below(1ULL << 60)); }
  // From nanoseconds to years, with many equal ones.
  std::int64_t pick_span() {
    if (below(3) == 0) return static_cast<std::int64_t>(below(2 << 20));  // Crowds in a tick.
    const auto bits = below(58);
    const auto span = static_cast<std::int64_t>(below(1ULL << bits));
    return below(3) == 0 ? span & ~std::int64_t{0xFFFF} : span;
  }

  void arm(Timer& timer) {
    const std::int64_t deadline = below(10) == 0 ? now_ - pick_span() : now_ + pick_span();
    wheel_.insert(timer, at(deadline));
    model_.emplace(Key{deadline, order_++}, &timer);
  }
  void cancel(Timer& timer) {
    wheel_.cancel(timer);
    std::erase_if(model_, [&](const auto& item) { return item.second == &timer; });
    std::erase_if(expected_, [&](const auto& item) { return item == &timer; });
  }
  void toggle() {
    Timer& timer = *timers_[below(timers_.size())];
    timer.is_armed() ? cancel(timer) : arm(timer);
  }

  void on_fire(Timer& timer) {
    ASSERT_FALSE(expected_.empty());
    ASSERT_EQ(expected_.front()->id, timer.id);
    ASSERT_LE(timer.deadline(), at(now_));
    expected_.erase(expected_.begin());
    for (auto n = below(4); n > 1; --n) toggle();
    if (below(3) == 0 && !timer.is_armed()) arm(timer);
  }

  void step() {
    if (below(5) != 0) return toggle();
    if (below(4) == 0 && !model_.empty()) {
      now_ = std::max(now_, wheel_.next_deadline().as_nanos());
    } else {
      now_ += pick_span() >> below(20);
      if (below(8) == 0) now_ -= static_cast<std::int64_t>(below(2 << 20));  // That is allowed.
    }
    // Fire functions add to the model; what is due now is settled before.
    for (auto it = model_.begin(); it != model_.end() && it->first.first <= now_;) {
      expected_.push_back(it->second);
      it = model_.erase(it);
    }
    wheel_.advance(at(now_));
    ASSERT_TRUE(expected_.empty());
    ASSERT_EQ(wheel_.size(), model_.size());
    if (model_.empty()) {
      ASSERT_EQ(wheel_.next_deadline(), Instant::max());
    } else {
      ASSERT_LE(wheel_.next_deadline(), at(model_.begin()->first.first));
    }
  }

  std::mt19937_64 random_;
  std::int64_t now_;
  TimerWheel wheel_;
  std::vector<std::unique_ptr<Timer>> timers_;
  std::map<Key, Timer*> model_;
  std::vector<Timer*> expected_;
  std::uint64_t order_ = 0;
};

TEST(TimerWheel, BehavesAsASortedMapUnderRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Model(seed).run(5'000);
    if (HasFatalFailure()) return;
  }
}

TEST(TimerWheel, SleepingUntilTheNextDeadlineReachesEveryTimerInFewWakes) {
  std::mt19937_64 random(7);
  TimerWheel wheel(at(0));
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 2'000; ++i) {
    timers.push_back(std::make_unique<Timer>());
    wheel.insert(*timers.back(), at(static_cast<std::int64_t>(random() % (50 * kHour))));
  }
  for (std::size_t i = 0; i < timers.size(); i += 2) wheel.cancel(*timers[i]);
  std::size_t wakes = 0;
  std::size_t fired = 0;
  while (!wheel.is_empty()) {
    fired += wheel.advance(wheel.next_deadline());
    ASSERT_LE(++wakes, timers.size() * 4);
  }
  EXPECT_EQ(fired, timers.size() / 2);
}

struct InOrder : TimerEntry {
  InOrder() : TimerEntry(on_fire) {}
  static void on_fire(TimerEntry& entry) noexcept {
    EXPECT_GE(entry.deadline(), last);
    last = entry.deadline();
  }
  static inline Instant last;
};

TEST(TimerWheel, AMillionTimersFireInOrderWithACancelledThird) {
  constexpr int kTimers = 1'000'000;
  std::mt19937_64 random(11);
  TimerWheel wheel(at(0));
  std::vector<InOrder> timers(kTimers);
  for (InOrder& timer : timers) {
    wheel.insert(timer, at(static_cast<std::int64_t>(random() % (60'000ULL * kMillis))));
  }
  for (std::size_t i = 0; i < timers.size(); i += 3) wheel.cancel(timers[i]);
  std::size_t fired = 0;
  for (std::int64_t now = 0; now <= 60'000 * kMillis; now += 700 * kMillis) {
    fired += wheel.advance(at(now));
  }
  fired += wheel.advance(at(60'000 * kMillis));
  EXPECT_EQ(fired, timers.size() - (timers.size() + 2) / 3);
  EXPECT_TRUE(wheel.is_empty());
}

struct Consecutive : TimerEntry {
  Consecutive() : TimerEntry(on_fire) {}
  static void on_fire(TimerEntry& entry) noexcept {
    EXPECT_EQ(&entry, expected);
    ++expected;
  }
  static inline Consecutive* expected = nullptr;
};

TEST(TimerWheel, AMillionTimersOfOneInstantFireInArmingOrder) {
  TimerWheel wheel(at(0));
  std::vector<Consecutive> timers(1'000'000);
  Consecutive::expected = timers.data();
  for (Consecutive& timer : timers) wheel.insert(timer, at(90 * kMillis));
  EXPECT_EQ(wheel.advance(at(90 * kMillis)), timers.size());
}

}  // namespace
}  // namespace blitzio::time

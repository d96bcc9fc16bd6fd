#include <blitzio/base/platform.hpp>
#include <blitzio/signal/detail/delivery.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace blitzio::signal::detail {
namespace {

// A listener that says so.
struct Heard : Listener {
  Heard() : Listener(on_signal) {}
  static void on_signal(Listener& listener) noexcept {
    auto& self = static_cast<Heard&>(listener);
    self.count.fetch_add(1);
    self.arrived.release();
  }
  std::counting_semaphore<> arrived{0};
  std::atomic<int> count{0};
};

void send(int number) {
  ASSERT_EQ(::kill(::getpid(), number), 0);
}

bool has_default_action(int number) {
  struct sigaction current{};
  EXPECT_EQ(::sigaction(number, nullptr, &current), 0);
  return (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == SIG_DFL;
}

TEST(Listener, HearsOfASignalUntilItStops) {
  Heard heard;
  ASSERT_TRUE(heard.start(SIGUSR1));
  EXPECT_EQ(heard.number(), SIGUSR1);
  for (int i = 0; i < 3; ++i) {
    send(SIGUSR1);
    heard.arrived.acquire();
  }
  heard.stop();
  EXPECT_EQ(heard.number(), 0);
  EXPECT_TRUE(has_default_action(SIGUSR1)) << "what was there before is back";
}

TEST(Listener, AllOfOneSignalHearAndNoOthers) {
  std::array<Heard, 20> listeners;
  Heard other;
  for (Heard& heard : listeners) ASSERT_TRUE(heard.start(SIGUSR1));
  ASSERT_TRUE(other.start(SIGUSR2));
  send(SIGUSR1);
  for (Heard& heard : listeners) heard.arrived.acquire();
  EXPECT_EQ(other.count.load(), 0);
  listeners[7].stop();
  send(SIGUSR1);
  for (Heard& heard : listeners) {
    if (&heard != &listeners[7]) heard.arrived.acquire();
  }
  EXPECT_EQ(listeners[7].count.load(), 1);
}

TEST(Listener, WhatArrivedBeforeItBeganIsNotHeard) {
  Heard first;
  Heard second;
  ASSERT_TRUE(first.start(SIGUSR1));
  send(SIGUSR1);
  first.arrived.acquire();
  ASSERT_TRUE(second.start(SIGUSR1));
  send(SIGUSR1);
  second.arrived.acquire();
  EXPECT_EQ(second.count.load(), 1);
}

TEST(Listener, SomeSignalsCannotBeHandled) {
  for (const int number : {SIGKILL, SIGSTOP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, 0, -1, 32, 1000}) {
    Heard heard;
    const auto started = heard.start(number);
    ASSERT_FALSE(started) << number;
    EXPECT_TRUE(started.error().is(RuntimeErrc::invalid_argument)) << number;
    EXPECT_EQ(heard.number(), 0);
  }
}

std::atomic<int> former_calls{0};

TEST(Listener, AFunctionThatHandledTheSignalBeforeIsStillCalledAndComesBack) {
  struct sigaction own{};
  struct sigaction before{};
  own.sa_handler = [](int) { former_calls.fetch_add(1); };
  ASSERT_EQ(::sigaction(SIGUSR1, &own, &before), 0);
  former_calls = 0;
  {
    Heard heard;
    ASSERT_TRUE(heard.start(SIGUSR1));
    send(SIGUSR1);
    heard.arrived.acquire();
    while (former_calls.load() != 1) std::this_thread::yield();
  }
  send(SIGUSR1);
  while (former_calls.load() != 2) std::this_thread::yield();
  struct sigaction current{};
  ASSERT_EQ(::sigaction(SIGUSR1, &before, &current), 0);
  EXPECT_EQ(current.sa_handler, own.sa_handler);
}

TEST(Listener, AHandlerThatCameLaterStaysAndNobodyGoesInCircles) {
  // It keeps ours and calls it, as libraries do.
  static struct sigaction below{};
  struct sigaction theirs{};
  theirs.sa_flags = SA_SIGINFO;
  theirs.sa_sigaction = [](int number, siginfo_t* info, void* context) {
    former_calls.fetch_add(1);
    below.sa_sigaction(number, info, context);
  };
  former_calls = 0;
  Heard heard;
  ASSERT_TRUE(heard.start(SIGUSR1));
  ASSERT_EQ(::sigaction(SIGUSR1, &theirs, &below), 0);
  send(SIGUSR1);
  heard.arrived.acquire();
  heard.stop();
  struct sigaction current{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &current), 0);
  EXPECT_EQ(current.sa_sigaction, theirs.sa_sigaction);
  // On top of theirs, which calls ours.
  ASSERT_TRUE(heard.start(SIGUSR1));
  const int calls = former_calls.load();
  send(SIGUSR1);
  heard.arrived.acquire();
  while (former_calls.load() != calls + 1) std::this_thread::yield();
  heard.stop();
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ASSERT_EQ(::sigaction(SIGUSR1, &standard, nullptr), 0);
}

TEST(Listener, MayStopOrGoInItsOwnCall) {
  struct Once : Listener {
    Once() : Listener(on_signal) {}
    static void on_signal(Listener& listener) noexcept {
      auto& self = static_cast<Once&>(listener);
      std::counting_semaphore<>& gone = *self.gone;
      delete &self;
      gone.release();
    }
    std::counting_semaphore<>* gone = nullptr;
  };
  std::counting_semaphore<> gone{0};
  auto* once = new Once;
  once->gone = &gone;
  ASSERT_TRUE(once->start(SIGUSR1));
  send(SIGUSR1);
  gone.acquire();
  EXPECT_TRUE(has_default_action(SIGUSR1));
}

TEST(Listener, StopWaitsForACallThatGoesOn) {
  struct Slow : Listener {
    Slow() : Listener(on_signal) {}
    static void on_signal(Listener& listener) noexcept {
      auto& self = static_cast<Slow&>(listener);
      self.begun.release();
      self.go_on.acquire();
      self.is_done = true;
    }
    std::counting_semaphore<> begun{0};
    std::counting_semaphore<> go_on{0};
    std::atomic<bool> is_done{false};
  };
  Slow slow;
  ASSERT_TRUE(slow.start(SIGUSR1));
  send(SIGUSR1);
  slow.begun.acquire();
  std::thread stopper([&] {
    slow.stop();
    EXPECT_TRUE(slow.is_done.load());
  });
  slow.go_on.release();
  stopper.join();
}

TEST(Listener, ComeAndGoOnManyThreadsWhileSignalsArrive) {
  Heard steady;
  ASSERT_TRUE(steady.start(SIGUSR1));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        Heard heard;
        ASSERT_TRUE(heard.start(SIGUSR1));
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    send(SIGUSR1);
    steady.arrived.acquire();
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
}

TEST(Listener, AForkedChildGetsTheFormerHandlersAndCanListenAnew) {
  Heard heard;
  ASSERT_TRUE(heard.start(SIGUSR1));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!has_default_action(SIGUSR1)) ::_exit(1);
    heard.stop();
#if !BLITZIO_TSAN  // which forbids a thread in a child of many
    Heard own;
    if (!own.start(SIGUSR1)) ::_exit(2);
    ::kill(::getpid(), SIGUSR1);
    own.arrived.acquire();
    if (heard.count.load() != 0) ::_exit(3);
#endif
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // The parent's is as it was.
  send(SIGUSR1);
  heard.arrived.acquire();
}

}  // namespace
}  // namespace blitzio::signal::detail

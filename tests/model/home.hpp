// Home: a thread of a scenario that turns a driver, and what visits it.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/driver/driver_context.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/waker.hpp>

#include <atomic>
#include <utility>

namespace blitzio::model {

/// A thread that turns a driver, which is made of `arguments`.
template <class DriverType>
class Home {
 public:
  template <class... Arguments>
  explicit Home(Arguments&&... arguments) noexcept
      : driver_(std::forward<Arguments>(arguments)...) {}
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  [[nodiscard]] DriverType& driver() noexcept { return driver_; }

  /// Until stop().
  void run() {
    const Turning turning(driver_);
    while (!is_over_.load(std::memory_order_acquire)) turn();
  }
  void stop() noexcept {
    is_over_.store(true, std::memory_order_release);
    driver_.wake();
  }
  /// After run(): delivers what it has left, and ends what is in flight.
  void shutdown() noexcept { driver_.shutdown(); }
  /// Runs a future, polled only when it was woken.
  template <Future F>
  OutputOf<F> run(F& future) {
    const Turning turning(driver_);
    Wake wake{*this};
    const Waker waker(&wake, &kWaker);
    Context context(waker);
    for (;;) {
      auto answer = future.poll(context);
      if (answer.is_ready()) return std::move(answer).take();
      while (!wake.is_due.exchange(false, std::memory_order_acquire)) turn();
    }
  }

  /// A thread that is not the home's, and makes its waits there.
  class Visit {
   public:
    explicit Visit(Home& home) noexcept { scope_.enter(home.driver_, false); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() { scope_.leave(); }

   private:
    driver::DriverContext::Scope scope_;
  };

 private:
  class Turning {
   public:
    explicit Turning(DriverType& driver) noexcept { scope_.enter(driver, true); }
    Turning(const Turning&) = delete;
    Turning& operator=(const Turning&) = delete;
    ~Turning() { scope_.leave(); }

   private:
    driver::DriverContext::Scope scope_;
  };
  struct Wake {
    Home& home;
    Atomic<bool> is_due{false};

    static void wake(void* data) noexcept {
      Home& home = static_cast<Wake*>(data)->home;
      static_cast<Wake*>(data)->is_due.store(true, std::memory_order_release);
      home.driver_.wake();
    }
  };
  static constexpr WakerVTable kWaker{
      [](void* data) noexcept { return data; },
      Wake::wake,
      Wake::wake,
      [](void*) noexcept {},
  };
  void turn() noexcept {
    driver_.wait(Duration::max());
    driver_.dispatch();
  }

  DriverType driver_;
  Atomic<bool> is_over_{false};
};

}  // namespace blitzio::model

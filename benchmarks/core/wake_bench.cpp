// What does it cost to reach a driver from another thread?
//
//   wake_awake     wake() while the owner runs: one atomic exchange, no system call
//   post_awake     post() and dispatch() of a message on the owner's own thread
//   ping_pong      a message to another thread's sleeping driver and one back: two wake-ups, so
//                  mostly the kernel's thread switches (real time)
#include "support.hpp"

#include <thread>

namespace blitzio::bench {
namespace {

struct Ball : driver::Message {
  Ball() noexcept
      : Message([](Message& self) noexcept { static_cast<Ball&>(self).arrived = true; }) {}
  bool arrived = false;
  bool last = false;
};

void wake_awake(benchmark::State& state, driver::Backend backend) {
  const auto driver = make_driver(backend);
  for (auto _ : state) driver->wake();
}

void post_awake(benchmark::State& state, driver::Backend backend) {
  const auto driver = make_driver(backend);
  Ball ball;
  for (auto _ : state) {
    driver->post(ball);
    benchmark::DoNotOptimize(driver->dispatch());
  }
}

void wait_for(driver::Driver& driver, Ball& ball) {
  while (!ball.arrived) turn(driver);
  ball.arrived = false;
}

void ping_pong(benchmark::State& state, driver::Backend backend) {
  const auto here = make_driver(backend);
  driver::Config config;
  config.backend = backend;
  auto there = driver::create(config);
  require(there.has_value(), "driver");
  Ball ping;
  Ball pong;
  std::thread other([&] {
    require((*there)->bind().has_value(), "bind");
    for (bool last = false; !last;) {
      wait_for(**there, ping);
      last = ping.last;
      here->post(pong);
    }
    (*there)->unbind();
  });
  for (auto _ : state) {
    (*there)->post(ping);
    wait_for(*here, pong);
  }
  ping.last = true;
  (*there)->post(ping);
  wait_for(*here, pong);
  other.join();
}

[[maybe_unused]] const bool registered = [] {
  for_each_backend([](driver::Backend backend, const std::string& name) {
    arm("wake_awake/" + name, [=](benchmark::State& state) { wake_awake(state, backend); });
    arm("post_awake/" + name, [=](benchmark::State& state) { post_awake(state, backend); });
    arm("ping_pong/" + name, [=](benchmark::State& state) {
      ping_pong(state, backend);
    })->UseRealTime();
  });
  return true;
}();

}  // namespace
}  // namespace blitzio::bench

// What does the driver itself cost? A nop is submitted, collected and dispatched: no work, so all
// that is measured is the way of an operation through a backend. One at a time (io_uring: one
// io_uring_enter each) and in batches (the syscall shared by 64). `idle_turn` is a turn with
// nothing to do. ns per operation (items).
#include "support.hpp"

namespace blitzio::bench {
namespace {

struct Nop : driver::Operation {
  Nop() noexcept
      : Operation([](Operation& self, const driver::Completion&) noexcept {
          ++*static_cast<Nop&>(self).completed;
        }) {}
  std::size_t* completed = nullptr;
};

void nops(benchmark::State& state, driver::Backend backend, std::size_t batch) {
  const auto driver = make_driver(backend);
  std::vector<std::unique_ptr<Nop>> ops;
  std::size_t completed = 0;
  for (std::size_t i = 0; i < batch; ++i) {
    ops.push_back(std::make_unique<Nop>());
    ops.back()->completed = &completed;
  }
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(batch))) {
    completed = 0;
    for (const auto& op : ops) {
      op->nop();
      driver->submit(*op);
    }
    while (completed < batch) {
      driver->collect();
      driver->dispatch();
    }
  }
}

void idle_turn(benchmark::State& state, driver::Backend backend) {
  const auto driver = make_driver(backend);
  for (auto _ : state) {
    driver->collect();
    benchmark::DoNotOptimize(driver->dispatch());
  }
}

[[maybe_unused]] const bool registered = [] {
  for_each_backend([](driver::Backend backend, const std::string& name) {
    arm("nop/" + name, [=](benchmark::State& state) { nops(state, backend, 1); });
    arm("nop_batch64/" + name, [=](benchmark::State& state) { nops(state, backend, 64); });
    arm("idle_turn/" + name, [=](benchmark::State& state) { idle_turn(state, backend); });
  });
  return true;
}();

}  // namespace
}  // namespace blitzio::bench

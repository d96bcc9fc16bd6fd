// The implementations of Io that a suite runs over.
#pragma once

#include <blitzio/driver/driver.hpp>
#include <blitzio/executor/config.hpp>
#include <blitzio/io/deterministic.hpp>
#include <blitzio/io/evented.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/threaded.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io::testing {

/// An Io and what it stands on.
struct Made {
  std::shared_ptr<void> owner;
  Io io;
};

struct Implementation {
  std::string name;
  std::function<Made()> make;
  bool is_simulated = false;
  /// Sends the process, or the simulated one, a signal.
  std::function<void(const Made&, int)> raise = [](const Made&, int number) { ::raise(number); };
};

inline Made make_threaded() {
  auto threaded = std::make_shared<Threaded>(Threaded::Config{.async_limit = 4});
  return {threaded, threaded->io()};
}

inline Made make_evented(driver::Backend backend) {
  Config config;
  config.workers = 2;
  config.driver.backend = backend;
  const std::shared_ptr<Evented> evented = Evented::create(config).value();
  return {evented, evented->io()};
}

inline std::vector<Implementation> implementations() {
  std::vector<Implementation> all{{.name = "threaded", .make = make_threaded}};
  for (const driver::Availability& found : driver::detect()) {
    if (!found.usable) continue;
    all.push_back({.name = std::string(driver::name(found.backend)),
                   .make = [backend = found.backend] { return make_evented(backend); }});
  }
  all.push_back({.name = "deterministic",
                 .make =
                     [] {
                       auto world =
                           std::make_shared<Deterministic>(Deterministic::Config{.seed = 7});
                       return Made{world, world->io()};
                     },
                 .is_simulated = true,
                 .raise =
                     [](const Made& made, int number) {
                       static_cast<Deterministic*>(made.owner.get())->raise_signal(number);
                     }});
  return all;
}

/// A suite over all of them: `io()` is made for each test.
class EveryIo : public ::testing::TestWithParam<Implementation> {
 protected:
  [[nodiscard]] Io io() const { return made_.io; }
  void raise_signal(int number) { GetParam().raise(made_, number); }

 private:
  Made made_ = GetParam().make();
};

inline std::string name_of(const ::testing::TestParamInfo<Implementation>& tested) {
  return tested.param.name;
}

}  // namespace blitzio::io::testing

/// Instantiates `suite`, a class derived from EveryIo.
#define BLITZIO_OVER_EVERY_IO(suite)                                                       \
  INSTANTIATE_TEST_SUITE_P(Io, suite,                                                      \
                           ::testing::ValuesIn(::blitzio::io::testing::implementations()), \
                           ::blitzio::io::testing::name_of)

// What it costs to make tasks, to end them, and to learn of it.
#pragma once

#include "flavours.hpp"

#include <blitzio/channel/oneshot.hpp>

#include <atomic>
#include <cstddef>
#include <utility>

namespace blitzio::bench {

template <class Flavour>
Async<> spawn_and_join(Flavour& flavour, std::size_t count) {
  Handles handles;
  handles.reserve(count);
  for (std::size_t i = 0; i < count; ++i) handles.push_back(flavour.spawn(empty_task()));
  co_await join_all(handles);
}

template <class Flavour>
Sample spawn_join_out(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 1'000'000 / divisor;
  return sample_of(count, [&] {
    Handles handles;
    handles.reserve(count);
    for (std::size_t i = 0; i < count; ++i) handles.push_back(flavour.spawn(empty_task()));
    flavour.outside(join_all(handles));
  });
}

template <class Flavour>
Sample spawn_join_in(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 1'000'000 / divisor;
  return sample_of(count, [&] { flavour.inside(spawn_and_join(flavour, count)); });
}

template <class Flavour>
Async<> spawn_and_await(Flavour& flavour, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    JoinHandle<void> handle = flavour.spawn(empty_task());
    JoinResult<void> ended = co_await handle;
    std::move(ended).get();
  }
}

template <class Flavour>
Sample spawn_await_1(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 200'000 / divisor;
  return sample_of(count, [&] { flavour.inside(spawn_and_await(flavour, count)); });
}

// ---- chain: each task spawns the next --------------------------------------------------------

template <class Flavour>
struct Link {
  Flavour* flavour;
  std::size_t left;
  channel::Oneshot<int>* done;

  void operator()() {
    if (left == 0) {
      require(done->send(1), "send");
    } else {
      flavour->spawn(lazy(Link{flavour, left - 1, done})).detach();
    }
  }
};

template <class Flavour>
Async<> run_chain(Flavour& flavour, std::size_t depth) {
  channel::Oneshot<int> done;
  flavour.spawn(lazy(Link<Flavour>{&flavour, depth - 1, &done})).detach();
  const auto end = co_await done.recv();
  require(end.has_value(), "the end of the chain");
}

template <class Flavour>
Sample chain(Flavour& flavour, std::size_t divisor) {
  const std::size_t depth = 100'000 / divisor;
  return sample_of(depth, [&] { flavour.inside(run_chain(flavour, depth)); });
}

// ---- fan: one task spawns many, the last of them reports back --------------------------------

template <class Flavour>
Async<> run_fan(Flavour& flavour, std::size_t rounds, std::size_t width) {
  for (std::size_t round = 0; round < rounds; ++round) {
    std::atomic<std::size_t> left{width};
    channel::Oneshot<int> done;
    for (std::size_t i = 0; i < width; ++i) {
      flavour
          .spawn(lazy([&left, &done] {
            if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) require(done.send(1), "send");
          }))
          .detach();
    }
    const auto end = co_await done.recv();
    require(end.has_value(), "the last of the fan");
  }
}

template <class Flavour>
Sample fan_10k(Flavour& flavour, std::size_t divisor) {
  constexpr std::size_t kRounds = 20;
  const std::size_t width = 10'000 / divisor;
  return sample_of(kRounds * width, [&] { flavour.inside(run_fan(flavour, kRounds, width)); });
}

}  // namespace blitzio::bench

// What it costs to run a function on the blocking pool.
#pragma once

#include "flavours.hpp"

#include <cstddef>

namespace blitzio::bench {

template <class Flavour>
Async<> block_often(Flavour& flavour, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    JoinHandle<void> handle = flavour.spawn_blocking([] {});
    JoinResult<void> ended = co_await handle;
    std::move(ended).get();
  }
}

template <class Flavour>
Sample blocking_1(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 20'000 / divisor;
  return sample_of(count, [&] { flavour.outside(block_often(flavour, count)); });
}

template <class Flavour>
Async<> block_in_batch(Flavour& flavour, std::size_t count) {
  Handles handles;
  handles.reserve(count);
  for (std::size_t i = 0; i < count; ++i) handles.push_back(flavour.spawn_blocking([] {}));
  co_await join_all(handles);
}

template <class Flavour>
Sample blocking_batch(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 100'000 / divisor;
  return sample_of(count, [&] { flavour.outside(block_in_batch(flavour, count)); });
}

}  // namespace blitzio::bench

// What it costs to go from one task to another: by yielding, and by values through channels.
#pragma once

#include "flavours.hpp"

#include <blitzio/channel/channel.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::bench {

inline Async<> yield_often(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) co_await yield_now();
}

template <class Flavour>
Sample yield_1(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 1'000'000 / divisor;
  return sample_of(count, [&] { flavour.inside(yield_often(count)); });
}

template <class Flavour>
Async<> yield_in_many(Flavour& flavour, std::size_t tasks, std::size_t yields) {
  Handles handles;
  for (std::size_t i = 0; i < tasks; ++i) handles.push_back(flavour.spawn(yield_often(yields)));
  co_await join_all(handles);
}

template <class Flavour>
Sample yield_1000(Flavour& flavour, std::size_t divisor) {
  constexpr std::size_t kTasks = 1'000;
  const std::size_t yields = 1'000 / divisor;
  return sample_of(kTasks * yields,
                   [&] { flavour.inside(yield_in_many(flavour, kTasks, yields)); });
}

using Queue = channel::Channel<std::uint64_t>;

inline Async<> send_back(Queue& in, Queue& out) {
  while (const auto value = co_await in.recv()) {
    if (!co_await out.send(*value)) co_return;
  }
}

template <class Flavour>
Async<> ping(Flavour& flavour, std::size_t trips) {
  Queue there(1);
  Queue back(1);
  JoinHandle<void> other = flavour.spawn(send_back(there, back));
  for (std::size_t i = 0; i < trips; ++i) {
    const auto sent = co_await there.send(i);
    require(sent.has_value(), "send");
    const auto value = co_await back.recv();
    require(value == i, "the value back");
  }
  there.close();
  JoinResult<void> ended = co_await other;
  std::move(ended).get();
}

template <class Flavour>
Sample pingpong(Flavour& flavour, std::size_t divisor) {
  const std::size_t trips = 100'000 / divisor;
  return sample_of(trips, [&] { flavour.inside(ping(flavour, trips)); });
}

inline Async<> send_many(Queue& queue, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) require((co_await queue.send(i)).has_value(), "send");
}

template <class Flavour>
Async<> recv_from(Flavour& flavour, std::size_t producers, std::size_t total) {
  Queue queue(1'024);
  Handles handles;
  for (std::size_t i = 0; i < producers; ++i) {
    handles.push_back(flavour.spawn(send_many(queue, total / producers)));
  }
  for (std::size_t i = 0; i < total / producers * producers; ++i) {
    const auto value = co_await queue.recv();
    require(value.has_value(), "recv");
  }
  co_await join_all(handles);
}

template <class Flavour, std::size_t kProducers>
Sample recv_from_producers(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 1'000'000 / divisor;
  return sample_of(count, [&] { flavour.inside(recv_from(flavour, kProducers, count)); });
}

}  // namespace blitzio::bench

// The price of a value through a channel when nobody waits.
#include "../common/allocations.hpp"
#include "benchmarks.hpp"

#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/channel/watch.hpp>

#include <vector>

namespace blitzio::bench {

namespace {

using Queue = channel::Channel<std::uint64_t>;

void send_all(Queue& queue, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    require(queue.try_send(std::uint64_t{i}) == channel::SendStatus::sent, "try_send");
  }
}
void recv_one(Queue& queue) {
  const auto value = queue.try_recv();
  require(value.has_value(), "try_recv");
  keep(*value);
}
void recv_all(Queue& queue, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) recv_one(queue);
}

std::int64_t send(std::size_t count) {
  reset_allocations();
  Queue queue(count);
  const std::int64_t time = time_of([&] { send_all(queue, count); });
  recv_all(queue, count);
  return time;
}

std::int64_t recv(std::size_t count) {
  reset_allocations();
  Queue queue(count);
  send_all(queue, count);
  return time_of([&] { recv_all(queue, count); });
}

std::int64_t roundtrip(std::size_t count) {
  reset_allocations();
  Queue queue(1);
  return time_of([&] {
    for (std::size_t i = 0; i < count; ++i) {
      require(queue.try_send(std::uint64_t{i}) == channel::SendStatus::sent, "try_send");
      recv_one(queue);
    }
  });
}

std::int64_t oneshot(std::size_t count) {
  reset_allocations();
  return time_of([&] {
    for (std::size_t i = 0; i < count; ++i) {
      channel::Oneshot<std::uint64_t> pair;
      require(pair.send(i), "send");
      const auto value = pair.try_recv();
      require(value.has_value(), "try_recv");
      keep(*value);
    }
  });
}

// A send and four receives are one operation.
std::int64_t broadcast(std::size_t count) {
  reset_allocations();
  channel::Broadcast<std::uint64_t> channel(count);
  std::vector<channel::Broadcast<std::uint64_t>::Receiver> receivers;
  for (int i = 0; i < 4; ++i) receivers.push_back(channel.subscribe());
  return time_of([&] {
    for (std::size_t i = 0; i < count; ++i) require(channel.send(i), "send");
    for (auto& receiver : receivers) {
      for (std::size_t i = 0; i < count; ++i) {
        const auto value = receiver.try_recv();
        require(value.has_value(), "try_recv");
        keep(*value);
      }
    }
  });
}

std::int64_t watch(std::size_t count) {
  reset_allocations();
  channel::Watch<std::uint64_t> channel(0);
  auto receiver = channel.subscribe();
  return time_of([&] {
    for (std::size_t i = 0; i < count; ++i) {
      require(channel.send(i), "send");
      keep(receiver.get());
    }
  });
}

}  // namespace

void add_channels(std::vector<SyncBenchmark>& list, const Sizes& sizes) {
  const std::size_t count = sizes.channel_ops;
  const auto add = [&](std::string_view name, std::int64_t (*iteration)(std::size_t)) {
    list.push_back({name, count, [=] { return iteration(count); }});
  };
  add("channel_send", send);
  add("channel_recv", recv);
  add("channel_roundtrip", roundtrip);
  add("oneshot", oneshot);
  add("broadcast", broadcast);
  add("watch", watch);
}

}  // namespace blitzio::bench

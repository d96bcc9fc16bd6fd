// One task that serves whatever comes first: a message, room to forward one, a tick, the end.
#include <blitzio/channel/channel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/time/interval.hpp>

#include <cstdio>
#include <deque>
#include <exception>
#include <optional>

using namespace blitzio;

namespace {

// Forwards from `in` to `out`, keeping in `waiting` what `out` has no room for.
Async<int> forward(channel::Channel<int>& in, channel::Channel<int>& out, sync::Notify& stop) {
  std::deque<int> waiting;
  time::Interval tick = time::interval(1_ms);
  int ticks = 0;
  for (bool is_open = true; is_open || !waiting.empty();) {
    // A branch that shall not happen now is `pending`. What loses has had no effect: a value that
    // was not sent is still in front of the queue.
    auto send = [&]() -> Async<bool> {
      if (waiting.empty()) co_await pending;
      co_return (co_await out.send(waiting.front())).has_value();
    };
    auto receive = [&]() -> Async<std::optional<int>> {
      if (!is_open) co_await pending;
      co_return co_await in.recv();
    };
    auto first = co_await select(send(), receive(), tick.tick(), stop.wait());
    switch (first.index()) {
      case 0:
        waiting.pop_front();
        break;
      case 1:
        is_open = std::get<1>(first).has_value();
        if (is_open) waiting.push_back(*std::get<1>(first));
        break;
      case 2:
        ++ticks;
        break;
      default:
        co_return ticks;
    }
  }
  co_return ticks;
}

Async<int> demonstrate() {
  constexpr int kCount = 1000;
  channel::Channel<int> in(8);
  channel::Channel<int> out(2);
  sync::Notify stop;
  auto forwarder = spawn(forward(in, out, stop));
  auto source = spawn([&]() -> Async<> {
    for (int i = 1; i <= kCount; ++i) static_cast<void>(co_await in.send(i));
    in.close();
  });
  long sum = 0;
  for (int i = 0; i < kCount; ++i) sum += (co_await out.recv()).value_or(0);
  (co_await source).get();
  stop.notify_one();
  const int ticks = (co_await forwarder).get();
  std::printf("forwarded %d, their sum is %ld\n", kCount, sum);
  co_return sum == 500'500 && ticks >= 1 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run(demonstrate);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

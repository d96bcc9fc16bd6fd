// The four channels: work for many, an answer for one, news for all, the latest state.
#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/channel/watch.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/join_all.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

using namespace blitzio;

namespace {

struct Request {
  int number;
  channel::Oneshot<int>* answer;
};

// Until the channel is closed and empty.
Async<int> serve(channel::Channel<Request>& requests) {
  int served = 0;
  while (auto request = co_await requests.recv()) {
    request->answer->send(request->number * request->number);
    ++served;
  }
  co_return served;
}

Async<int> ask(channel::Channel<Request>& requests, int number) {
  channel::Oneshot<int> answer;
  if (!co_await requests.send({number, &answer})) co_return -1;
  co_return (co_await answer.recv()).value_or(-1);
}

Async<int> demonstrate() {
  channel::Channel<Request> requests(4);  // a fifth request waits: backpressure
  std::vector<JoinHandle<int>> servers;
  for (int i = 0; i < 2; ++i) servers.push_back(spawn(serve(requests)));
  std::vector<JoinHandle<int>> clients;
  for (int i = 1; i <= 20; ++i) clients.push_back(spawn(ask(requests, i)));
  int sum = 0;
  for (const int square : co_await join_all(std::move(clients))) sum += square;
  requests.close();
  int served = 0;
  for (const int count : co_await join_all(std::move(servers))) served += count;
  std::printf("%d answers, their sum is %d\n", served, sum);

  channel::Broadcast<std::string> news(2);
  auto reader = news.subscribe();
  for (const char* item : {"first", "second", "third"}) news.send(item);
  const auto lagged = co_await reader.recv();
  std::printf("missed %d, then \"%s\"\n", static_cast<int>(lagged.error().missed),
              reader.try_recv()->c_str());

  channel::Watch<int> level(1);
  auto watcher = level.subscribe();
  level.send(2);
  level.send_modify([](int& value) { value *= 21; });
  const bool has_news = co_await watcher.changed();
  std::printf("the level is %d\n", watcher.get());
  co_return sum == 2870 && served == 20 && has_news&& watcher.get() == 42 ? 0 : 1;
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

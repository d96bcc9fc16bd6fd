// What a spawner does with its task: waits for it, looks whether it is done, cancels it, lets it
// go, and what it learns when the task fails.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

using namespace blitzio;

namespace {

struct Profile {
  int id;
  std::string name;
};

Async<Profile> fetch_profile(int id) {
  co_await yield_now();
  if (id < 0) throw std::invalid_argument("no such user");
  co_return Profile{id, "Alice"};
}

Async<int> fetch_posts(int id) {
  co_await yield_now();
  co_return id == 7 ? 42 : 0;
}

// Two requests at once; a failure of one ends the other.
Async<bool> handle_request(int id) {
  auto profile = spawn(fetch_profile(id));
  auto posts = spawn(fetch_posts(id));
  JoinResult<Profile> found = co_await profile.join();
  if (!found.has_value()) {
    posts.cancel();
    try {
      std::rethrow_exception(found.exception());
    } catch (const std::invalid_argument& error) {
      std::printf("user %d: %s\n", id, error.what());
    }
    co_return false;
  }
  const int count = (co_await posts.join()).get();
  std::printf("user %s (%d) has %d posts\n", found.value().name.c_str(), id, count);
  co_return true;
}

Async<bool> demonstrate() {
  bool is_right = co_await handle_request(7) && !co_await handle_request(-1);

  // Nobody waits for this one, but it runs.
  auto sent = std::make_shared<sync::Notify>();
  spawn([sent] { sent->notify_one(); }).detach();
  co_await sent->wait();

  // This one waits for ever, until it is cancelled.
  auto endless = spawn(Pending<>());
  is_right &= !endless.is_finished() && !endless.try_join().has_value();
  endless.cancel();
  is_right &= (co_await endless).is_cancelled();
  co_return is_right;
}

}  // namespace

int main() {
  try {
    const auto runtime = Runtime::create().value();
    auto handle = runtime->spawn(demonstrate());
    return handle.blocking_join().get() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

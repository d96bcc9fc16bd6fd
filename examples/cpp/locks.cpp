// Tasks that share: a lock around data, permits for a scarce thing, a value made once, a meeting.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/condition.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <exception>
#include <vector>

using namespace blitzio;

namespace {

struct Shared {
  static constexpr int kTasks = 8;

  sync::Semaphore connections{3};
  sync::Mutex mutex;
  sync::Condition added;
  std::deque<int> results;  // protected by mutex
  int open = 0;             // protected by mutex
  int most = 0;             // protected by mutex
  sync::OnceCell<int> factor;
  int factor_was_made = 0;
  sync::Barrier all{kTasks};
};

Async<int> make_factor(Shared& shared) {
  ++shared.factor_was_made;
  co_await yield_now();
  co_return 2;
}

// Returns whether it was the last to finish.
Async<bool> work(Shared& shared, int number) {
  const int* factor = co_await shared.factor.get_or_init([&] { return make_factor(shared); });
  {
    const Result<sync::Permit> permit = co_await shared.connections.acquire();
    {
      const sync::MutexGuard guard = co_await shared.mutex.lock();
      shared.most = std::max(shared.most, ++shared.open);
    }
    co_await yield_now();
    const sync::MutexGuard guard = co_await shared.mutex.lock();
    --shared.open;
    shared.results.push_back(number * *factor);
    shared.added.signal();
  }
  co_return (co_await shared.all.wait()).is_leader;
}

Async<int> demonstrate() {
  Shared shared;
  std::vector<JoinHandle<bool>> tasks;
  for (int i = 1; i <= Shared::kTasks; ++i) tasks.push_back(spawn(work(shared, i)));
  int sum = 0;
  for (int taken = 0; taken < Shared::kTasks; ++taken) {
    sync::MutexGuard guard = co_await shared.mutex.lock();
    while (shared.results.empty()) guard = co_await shared.added.wait(std::move(guard));
    sum += shared.results.front();
    shared.results.pop_front();
  }
  const std::vector<bool> leaders = co_await join_all(std::move(tasks));
  const auto count = std::ranges::count(leaders, true);
  std::printf("sum %d, at most %d connections, the factor was made %d time(s), %d leader\n", sum,
              shared.most, shared.factor_was_made, static_cast<int>(count));
  co_return sum == 72 && shared.most <= 3 && shared.factor_was_made == 1 && count == 1 ? 0 : 1;
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

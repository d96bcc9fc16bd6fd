// Which way a file operation is quickest: on the spot, in the executor's ring, or in a thread; with
// 1 and with 32 tasks at a time. The numbers behind src/blitzio/fs/detail/way.hpp, discussed in
// docs/design/files.md. In a folder of $TMPDIR.
//
// Cold reads: blocks of a file in random order, each once, after the kernel was told to forget it.
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace blitzio;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 32 * 1024;

// `spot`: tried, and a thread if that would wait. `automatic`: what blitzio does by itself. The
// others without having tried.
enum class Way : std::uint8_t { spot, automatic, thread, ring };

struct Folder {
  Folder() : path(fs::blocking_temp_dir().value()) {
    static_cast<void>(fs::blocking_write_file(large(), op::Bytes(kBlocks * kBlock)));
    ::sync();
  }
  [[nodiscard]] std::string name(std::size_t i) const {
    return path.path() + "/" + std::to_string(i);
  }
  [[nodiscard]] std::string large() const { return path.path() + "/large"; }
  fs::TempPath path;
};
Folder& folder() {
  static Folder made;
  return made;
}

// Each block once, in an order that no read-ahead can guess; then told to be forgotten.
class ColdBlocks {
 public:
  explicit ColdBlocks(int fd) : fd_(fd), order_(kBlocks) {
    std::iota(order_.begin(), order_.end(), std::uint64_t{0});
    std::ranges::shuffle(order_, std::minstd_rand(1));
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_RANDOM);
    forget();
  }
  [[nodiscard]] bool is_used_up(std::size_t count) const { return next_ + count > kBlocks; }
  void forget() {
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
    next_ = 0;
  }
  std::uint64_t next() { return order_[next_++] * kBlock; }

 private:
  int fd_;
  std::vector<std::uint64_t> order_;
  std::size_t next_ = 0;
};

// `work(task)`, an Async<void>, for each of as many tasks as the benchmark's argument says.
template <class Work, class Before>
void run(benchmark::State& state, Way way, Work work, Before before) {
  const auto files = way == Way::ring        ? driver::Use::always
                     : way == Way::automatic ? driver::Use::automatic
                                             : driver::Use::never;
  auto made = LocalExecutor::create({.backend = driver::Backend::io_uring, .ring_files = files});
  if (!made) return state.SkipWithError("io_uring cannot be used here");
  const auto& executor = *made;
  const auto tasks = static_cast<std::size_t>(state.range(0));
  auto all = [&]() -> Async<void> {
    std::vector<JoinHandle<void>> handles;
    handles.reserve(tasks);
    for (std::size_t i = 0; i < tasks; ++i) handles.push_back(executor->spawn(work(i)));
    for (auto& handle : handles) {
      auto result = co_await handle;
      std::move(result).get();
    }
  };
  for (auto _ : state) {
    before(tasks);
    executor->block_on(all());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
constexpr auto kNothing = [](std::size_t) {};

void check(bool is_well) {
  if (!is_well) std::abort();
}

// Whether a Result, or what a transfer gave, is well.
void check(const op::Transferred& done) {
  check(done.count.has_value());
}
template <class T>
void check(const Result<T>& result) {
  check(result.has_value());
}

// `future()`, or `blocking()` in a thread.
template <class MakeFuture, class Blocking>
Async<void> one(Way way, MakeFuture future, Blocking blocking) {
  if (way == Way::thread) {
    auto call = call_blocking(std::move(blocking));
    const auto done = co_await call;
    check(done);
  } else {
    auto call = future();
    const auto done = co_await call;
    check(done);
  }
}

Async<void> read_block(Way way, fs::File& file, std::uint64_t offset) {
  op::Bytes buffer(kBlock);
  auto read = one(
      way, [&] { return file.read_at(std::move(buffer), offset); },
      [&] { return file.blocking_read_at(buffer, offset); });
  co_await read;
}
Async<void> write_block(Way way, fs::File& file, std::uint64_t offset) {
  op::Bytes buffer(kBlock);
  auto written = one(
      way, [&] { return file.write_at(std::move(buffer), offset); },
      [&] { return file.blocking_write_at(buffer, offset); });
  co_await written;
}

void read_cached(benchmark::State& state, Way way) {
  auto file = fs::File::blocking_open(folder().large()).value();
  static_cast<void>(fs::blocking_read_file(folder().large()));
  std::minstd_rand random(1);
  auto work = [&](std::size_t) -> Async<void> {
    return read_block(way, file, random() % kBlocks * kBlock);
  };
  run(state, way, work, kNothing);
}

void read_cold(benchmark::State& state, Way way) {
  auto file = fs::File::blocking_open(folder().large()).value();
  ColdBlocks blocks(file.fd());
  auto work = [&](std::size_t) -> Async<void> { return read_block(way, file, blocks.next()); };
  run(state, way, work, [&](std::size_t count) {
    if (!blocks.is_used_up(count)) return;
    state.PauseTiming();
    blocks.forget();
    state.ResumeTiming();
  });
}

void write_cached(benchmark::State& state, Way way) {
  auto file = fs::File::blocking_open(folder().large(), {.read = true, .write = true}).value();
  std::minstd_rand random(1);
  auto work = [&](std::size_t) -> Async<void> {
    return write_block(way, file, random() % kBlocks * kBlock);
  };
  run(state, way, work, kNothing);
}

// After a write on the spot, each task to a file of its own.
void sync_data(benchmark::State& state, Way way) {
  std::vector<fs::File> files;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const std::string name = folder().name(static_cast<std::size_t>(i));
    files.push_back(fs::File::blocking_open(name, {.write = true, .create = true}).value());
  }
  const op::Bytes buffer(kBlock);
  auto work = [&](std::size_t task) -> Async<void> {
    fs::File& file = files[task];
    check(file.blocking_write_at(buffer, 0));
    const int fd = file.fd();
    auto synced = one(
        way, [&] { return file.sync_data(); },
        [fd] { return fs::detail::retry_void([fd] { return ::fdatasync(fd); }); });
    co_await synced;
  };
  run(state, way, work, kNothing);
}

void open(benchmark::State& state, Way way) {
  const std::string name = folder().large();
  run(
      state, way,
      [&](std::size_t) {
        return one(
            way, [&] { return fs::File::open(name); },
            [name] { return fs::File::blocking_open(name); });
      },
      kNothing);
}

void stat(benchmark::State& state, Way way) {
  const std::string name = folder().large();
  run(
      state, way,
      [&](std::size_t) {
        return one(way, [&] { return fs::stat(name); }, [name] { return fs::blocking_stat(name); });
      },
      kNothing);
}

// A folder is made, gets another name, and goes: three operations.
void mkdir_rename_remove(benchmark::State& state, Way way) {
  auto work = [&](std::size_t task) -> Async<void> {
    const std::string from = folder().name(1000 + task);
    const std::string to = folder().name(2000 + task);
    // Variables of their own: GCC 12 destroys what a lambda within a co_await has captured twice.
    auto made =
        one(way, [&] { return fs::mkdir(from); }, [from] { return fs::blocking_mkdir(from); });
    co_await made;
    auto renamed = one(
        way, [&] { return fs::rename(from, to); },
        [from, to] { return fs::blocking_rename(from, to); });
    co_await renamed;
    auto removed =
        one(way, [&] { return fs::remove_dir(to); }, [to] { return fs::blocking_remove_dir(to); });
    co_await removed;
  };
  run(state, way, work, kNothing);
}

#define BLITZIO_WAYS(function)                                                      \
  BENCHMARK_CAPTURE(function, spot, Way::spot)->Arg(1)->Arg(32)->UseRealTime();     \
  BENCHMARK_CAPTURE(function, thread, Way::thread)->Arg(1)->Arg(32)->UseRealTime(); \
  BENCHMARK_CAPTURE(function, ring, Way::ring)->Arg(1)->Arg(32)->UseRealTime()

BLITZIO_WAYS(read_cached);
BLITZIO_WAYS(read_cold);
BENCHMARK_CAPTURE(read_cold, automatic, Way::automatic)->Arg(1)->Arg(32)->UseRealTime();
BLITZIO_WAYS(write_cached);
BLITZIO_WAYS(sync_data);
BLITZIO_WAYS(open);
BLITZIO_WAYS(stat);
BLITZIO_WAYS(mkdir_rename_remove);

}  // namespace

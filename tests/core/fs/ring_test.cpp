// Files by way of io_uring: that operations go there, what they say, and that a future which is
// dropped, moved to another thread or left behind by its driver loses and leaks nothing.
//
// What waits in the kernel for as long as a test likes is opening a FIFO: for its other end.
#include <blitzio/driver/driver.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/fs/detail/file_call.hpp>
#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <core/fs/support.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::fs {
namespace {

using driver::Use;

driver::Config ring(Use files) {
  return {.backend = driver::Backend::io_uring, .ring_files = files};
}

class RingFiles : public InFolder {
 protected:
  void SetUp() override {
    const auto& found = driver::detect();
    const auto io_uring =
        std::ranges::find(found, driver::Backend::io_uring, &driver::Availability::backend);
    if (!io_uring->usable) GTEST_SKIP() << io_uring->reason;
    InFolder::SetUp();
    executor_ = LocalExecutor::create(ring(Use::always)).value();
  }
  /// What `future` gives, and that it took exactly `operations` of the ring's.
  template <class F>
  auto run(F future, std::uint64_t operations = 1) {
    const auto before = executor_->driver().metrics().submitted;
    auto result = executor_->block_on(std::move(future));
    EXPECT_EQ(executor_->driver().metrics().submitted - before, operations);
    return result;
  }
  [[nodiscard]] std::string fifo() const {
    const std::string name = path("fifo");
    EXPECT_TRUE(::mkfifo(name.c_str(), 0600) == 0 || errno == EEXIST);
    return name;
  }
  /// The other end of a FIFO that is waited for.
  [[nodiscard]] static OwnedFd open_both_ends(const std::string& name) {
    return OwnedFd::adopt(::open(name.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  }
  /// Polls `future` once on the executor, whose ring then has it.
  template <class F>
  void begin(F& future) {
    ASSERT_TRUE(executor_->bind().has_value());
    const Waker nobody;
    Context context(nobody);
    EXPECT_TRUE(future.poll(context).is_pending());
    EXPECT_TRUE(executor_->driver().has_in_flight());
    executor_->driver().hand_over();
    executor_->unbind();
  }
  /// Turns the executor until its ring has nothing.
  void drain() {
    ASSERT_TRUE(executor_->bind().has_value());
    while (executor_->driver().has_in_flight()) executor_->turn(Duration::from_secs(10));
    executor_->unbind();
  }

  std::unique_ptr<LocalExecutor> executor_;
};

constexpr OpenOptions kAnew{.read = true, .write = true, .truncate = true, .create = true};

template <class T>
int errno_of(const Result<T>& result) {
  return result ? 0 : result.error().code();
}

TEST_F(RingFiles, OpenReadWriteStatAndSyncAreTheRings) {
  auto file = run(File::open(path("a"), kAnew));
  ASSERT_TRUE(file.has_value());
  EXPECT_FALSE(file->is_stream());
  EXPECT_EQ(run(file->write(bytes("0123456789"))).count.value(), 10U);
  EXPECT_EQ(file->position(), 10U);
  EXPECT_EQ(run(file->write_at(bytes("..ab"), 3, 2)).count.value(), 2U);
  EXPECT_EQ(run(file->metadata()).value().size(), 10U);
  EXPECT_TRUE(run(file->sync_all()).has_value());
  EXPECT_TRUE(run(file->sync_data()).has_value());
  auto got = run(file->read_at(op::Bytes(4), 2));
  EXPECT_EQ(got.count.value(), 4U);
  EXPECT_EQ(text(got.buffer), "2ab5");
  EXPECT_EQ(run(file->read_at(op::Bytes(4), 10)).count.value(), 0U);
  EXPECT_EQ(errno_of(run(file->read_at(op::Bytes(1), UINT64_MAX)).count), EINVAL);
  EXPECT_EQ(run(file->seek(0), 0).value(), 0U);
  EXPECT_EQ(text(run(file->read_to_end(), 2).value()), "012ab56789");
  EXPECT_EQ(file->position(), 10U);
}

TEST_F(RingFiles, AppendingMovesToTheEnd) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("first")).has_value());
  auto file = run(File::open(path("a"), {.append = true}));
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(run(file->write(bytes(" second"))).count.value(), 7U);
  EXPECT_EQ(file->position(), 12U);
  EXPECT_EQ(text(blocking_read_file(path("a")).value()), "first second");
}

TEST_F(RingFiles, PathsAreTheRings) {
  EXPECT_TRUE(run(mkdir(path("folder"))).has_value());
  EXPECT_TRUE(run(stat(path("folder"))).value().is_directory());
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("abc")).has_value());
  EXPECT_TRUE(run(rename(path("a"), path("folder/b"))).has_value());
  const Metadata found = run(stat(path("folder/b"))).value();
  const Metadata wanted = blocking_stat(path("folder/b")).value();
  EXPECT_EQ(found.size(), 3U);
  EXPECT_EQ(found.mode(), wanted.mode());
  EXPECT_EQ(found.modified(), wanted.modified());
  EXPECT_EQ(found.raw().st_dev, wanted.raw().st_dev);
  EXPECT_EQ(found.raw().st_ino, wanted.raw().st_ino);
  EXPECT_TRUE(run(exists(path("folder/b"))).value());
  EXPECT_TRUE(run(remove(path("folder/b"))).has_value());
  EXPECT_FALSE(run(exists(path("folder/b"))).value());
  EXPECT_TRUE(run(remove_dir(path("folder"))).has_value());
  EXPECT_FALSE(blocking_exists(path("folder")).value());
  ASSERT_EQ(::symlink("nowhere", path("link").c_str()), 0);
  EXPECT_TRUE(run(stat(path("link"), false)).value().is_symlink());
  EXPECT_EQ(errno_of(run(stat(path("link")))), ENOENT);
}

TEST_F(RingFiles, ErrorsAreTheKernels) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("abc")).has_value());
  const std::string missing = path("no/such");
  EXPECT_EQ(errno_of(run(File::open(missing))), ENOENT);
  EXPECT_EQ(errno_of(run(File::open(path("a"), {.write = true, .create_new = true}))), EEXIST);
  EXPECT_EQ(errno_of(run(stat(missing))), ENOENT);
  EXPECT_EQ(errno_of(run(mkdir(missing))), ENOENT);
  EXPECT_EQ(errno_of(run(mkdir(path("a")))), EEXIST);
  EXPECT_EQ(errno_of(run(remove(missing))), ENOENT);
  EXPECT_EQ(errno_of(run(remove_dir(path("a")))), ENOTDIR);
  EXPECT_EQ(errno_of(run(rename(missing, path("b")))), ENOENT);
  EXPECT_EQ(errno_of(run(exists(path("a") + "/" + std::string(NAME_MAX + 1, 'n')))), 0);
  for (const std::string& name : {std::string(NAME_MAX + 1, 'n'), std::string(PATH_MAX, 'n')}) {
    EXPECT_EQ(errno_of(run(File::open(path(name)))), ENAMETOOLONG);
    EXPECT_EQ(errno_of(run(stat(path(name)))), ENAMETOOLONG);
    EXPECT_EQ(errno_of(run(mkdir(path(name)))), ENAMETOOLONG);
    EXPECT_EQ(errno_of(run(remove(path(name)))), ENAMETOOLONG);
    EXPECT_EQ(errno_of(run(rename(path("a"), path(name)))), ENAMETOOLONG);
  }
}

TEST_F(RingFiles, WhatTheKernelCannotBeAskedIsRefusedBefore) {
  const auto is_refused = [](const auto& result) {
    return !result && result.error().is(RuntimeErrc::invalid_argument);
  };
  const std::string bad("a\0b", 3);
  EXPECT_TRUE(is_refused(run(File::open(bad), 0)));
  EXPECT_TRUE(is_refused(run(File::open(path("a"), {.truncate = true}), 0)));
  EXPECT_TRUE(is_refused(run(stat(bad), 0)));
  EXPECT_TRUE(is_refused(run(exists(bad), 0)));
  EXPECT_TRUE(is_refused(run(mkdir(bad), 0)));
  EXPECT_TRUE(is_refused(run(remove(bad), 0)));
  EXPECT_TRUE(is_refused(run(remove_dir(bad), 0)));
  EXPECT_TRUE(is_refused(run(rename(bad, path("a")), 0)));
  EXPECT_TRUE(is_refused(run(rename(path("a"), bad), 0)));
}

TEST_F(RingFiles, ManyAreInFlightAtATime) {
  auto work = [this]() -> Async<std::size_t> {
    std::vector<JoinHandle<Result<void>>> making;
    for (int i = 0; i < 100; ++i)
      making.push_back(executor_->spawn(mkdir(path(std::to_string(i)))));
    std::size_t made = 0;
    for (auto& handle : making) made += (co_await handle).get() ? 1 : 0;
    co_return made;
  };
  EXPECT_EQ(run(work(), 100), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(blocking_exists(path(std::to_string(i))).value()) << i;
}

// ---- who decides -------------------------------------------------------------------------------

TEST_F(RingFiles, AutomaticallyReadsThatWaitAndSyncsAreTheRings) {
  executor_ = LocalExecutor::create(ring(Use::automatic)).value();
  // It cannot promise not to wait, and lies on no local file system.
  auto strange = File::blocking_open("/proc/version");
  ASSERT_TRUE(strange.has_value());
  EXPECT_GT(run(strange->read(op::Bytes(1000)), 1).count.value(), 0U);
  // Whatever is in memory: copying much is for a thread.
  EXPECT_GT(run(strange->read_at(op::Bytes(1'000'000), 0), 0).count.value(), 0U);
  EXPECT_TRUE(run(mkdir(path("folder")), 0).has_value());
  auto file = run(File::open(path("a"), kAnew), 0).value();
  EXPECT_EQ(run(file.write(bytes("abc")), 0).count.value(), 3U);
  EXPECT_TRUE(run(file.sync_data(), 1).has_value());
}

TEST_F(RingFiles, NeverMeansThreads) {
  executor_ = LocalExecutor::create(ring(Use::never)).value();
  auto strange = File::blocking_open("/proc/version");
  ASSERT_TRUE(strange.has_value());
  EXPECT_GT(run(strange->read(op::Bytes(1000)), 0).count.value(), 0U);
}

TEST_F(RingFiles, AThreadThatBlocksDoesNotWaitForTheRingItDoesNotTurn) {
  ASSERT_TRUE(executor_->bind().has_value());
  EXPECT_TRUE(block_on(mkdir(path("a"))).has_value());
  auto future = mkdir(path("b"));
  EXPECT_TRUE(block_on_until(future, Instant::max()).has_value());
  executor_->unbind();
  EXPECT_EQ(executor_->driver().metrics().submitted, 0U);
}

TEST_F(RingFiles, OnARuntimeWorkersUseTheirRings) {
  constexpr std::uint64_t kTasks = 50;
  constexpr std::uint64_t kOperations = 5;  // of each
  Config config;
  config.workers = 2;
  config.driver = ring(Use::always);
  auto runtime = Runtime::create(config).value();
  const auto submitted = [&] {
    std::uint64_t sum = 0;
    for (const WorkerMetrics& worker : runtime->metrics().workers) sum += worker.io_submitted;
    return sum;
  };
  auto work = [this](std::uint64_t number) -> Async<bool> {
    const std::string name = path(std::to_string(number));
    auto file = co_await File::open(name, kAnew);
    if (!file || !(co_await file->write_all(bytes("content")))) co_return false;
    if (!(co_await file->sync_data()) || !(co_await file->close())) co_return false;
    co_return (co_await stat(name)).value().size() == 7 && (co_await remove(name)).has_value();
  };
  std::vector<JoinHandle<bool>> handles;
  for (std::uint64_t i = 0; i < kTasks; ++i) handles.push_back(runtime->spawn(work(i)));
  for (auto& handle : handles) EXPECT_TRUE(handle.blocking_join().get());
  // A worker counts when it has dispatched, and another may have run the task before that.
  const Instant give_up = Instant::now() + Duration::from_secs(30);
  while (submitted() < kTasks * kOperations && Instant::now() < give_up) std::this_thread::yield();
  EXPECT_EQ(submitted(), kTasks * kOperations);
  // On a plain thread, which turns no ring.
  EXPECT_TRUE(runtime->block_on(work(kTasks)));
  EXPECT_EQ(submitted(), kTasks * kOperations);
}

// ---- dropped, moved, left ----------------------------------------------------------------------

TEST_F(RingFiles, DroppedInFlightItIsCancelled) {
  {
    auto opening = File::open(fifo());
    begin(opening);
    ASSERT_TRUE(executor_->bind().has_value());
    {
      const auto dropped = std::move(opening);
    }
    executor_->unbind();
  }
  drain();
}

TEST_F(RingFiles, DroppedOnAnotherThreadItIsCancelledAtHome) {
  std::optional<decltype(File::open(""))> opening(File::open(fifo()));
  begin(*opening);
  std::thread elsewhere([&] { opening.reset(); });
  drain();
  elsewhere.join();
  drain();
}

TEST_F(RingFiles, ADescriptorThatNobodyTakesIsClosed) {
  const std::string name = fifo();
  const auto count = [] { return blocking_read_dir("/proc/self/fd").value().size(); };
  const auto before = count();
  {
    auto opening = File::open(name);
    begin(opening);
    const OwnedFd other = open_both_ends(name);
    // Done, and dropped without having been asked.
    drain();
  }
  EXPECT_EQ(count(), before);
}

TEST_F(RingFiles, AFutureMayBePolledOnAnotherThread) {
  const std::string name = fifo();
  auto opening = File::open(name);
  begin(opening);
  auto opened = std::async(std::launch::async, [&] { return block_on(opening); });
  const OwnedFd other = open_both_ends(name);
  drain();
  const auto file = opened.get();
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(file->is_stream());
}

TEST_F(RingFiles, WhatItsDriverLeavesIsDoneByAThread) {
  const std::string name = fifo();
  auto opening = File::open(name);
  begin(opening);
  executor_.reset();
  const OwnedFd other = open_both_ends(name);
  EXPECT_TRUE(block_on(opening).has_value());
}

// Opens a FIFO in the ring; elsewhere it says so.
struct Telling {
  std::string fifo;
  std::promise<void>* told;

  Result<void> operator()() const {
    told->set_value();
    return {};
  }
  [[nodiscard]] static std::optional<detail::RingUse> ring_use() noexcept {
    return detail::RingUse{driver::OpKind::open};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) const noexcept {
    operation.open(AT_FDCWD, fifo.c_str(), O_RDONLY);
    return {};
  }
  [[nodiscard]] static Result<void> finish(std::int32_t result) noexcept {
    if (result >= 0) static_cast<void>(OwnedFd::adopt(result));
    return detail::void_of(result);
  }
};

TEST_F(RingFiles, WhatIsDetachedIsDoneThoughItsDriverEnds) {
  std::promise<void> told;
  {
    detail::FileCall call(Telling{fifo(), &told});
    begin(call);
    call.detach();
  }
  EXPECT_TRUE(executor_->driver().has_in_flight());
  executor_.reset();
  told.get_future().wait();
}

// Opens a FIFO in the ring, which waits for the other end, and counts how that ends. Each of these
// holds on to the counts.
struct Counting {
  struct Counts {
    std::atomic<int> ended = 0;
    std::atomic<int> cancelled = 0;
    std::atomic<int> elsewhere = 0;
  };
  std::string fifo;
  std::shared_ptr<Counts> counts;

  Result<void> operator()() const {
    ++counts->elsewhere;
    return {};
  }
  [[nodiscard]] static std::optional<detail::RingUse> ring_use() noexcept {
    return detail::RingUse{driver::OpKind::open};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) const noexcept {
    operation.open(AT_FDCWD, fifo.c_str(), O_RDONLY);
    return {};
  }
  [[nodiscard]] Result<void> finish(std::int32_t result) const noexcept {
    ++counts->ended;
    if (result == -ECANCELED) ++counts->cancelled;
    if (result >= 0) static_cast<void>(OwnedFd::adopt(result));
    return detail::void_of(result);
  }
};

TEST_F(RingFiles, ARuntimeEndsWithOperationsInFlight) {
  const std::string name = fifo();
  const auto open_files = [] { return blocking_read_dir("/proc/self/fd").value().size(); };
  const auto files_before = open_files();
  const auto counts = std::make_shared<Counting::Counts>();
  Config config;
  config.workers = 2;
  config.driver = ring(Use::always);
  auto runtime = Runtime::create(config).value();
  constexpr int kTasks = 20;
  std::atomic<int> begun = 0;
  std::promise<void> all_begun;
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < kTasks; ++i) {
    auto opening = [&begun, &all_begun, call = detail::FileCall(Counting{name, counts}),
                    is_first = true](Context& context) mutable {
      auto answer = call.poll(context);
      if (std::exchange(is_first, false) && ++begun == kTasks) all_begun.set_value();
      return answer.is_pending() ? Poll<void>(pending) : Poll<void>(ready);
    };
    handles.push_back(runtime->spawn(poll_fn(std::move(opening))));
  }
  all_begun.get_future().wait();
  EXPECT_EQ(counts->ended, 0);
  runtime.reset();
  for (auto& handle : handles) EXPECT_TRUE(handle.blocking_join().is_cancelled());
  handles.clear();
  EXPECT_EQ(begun, kTasks);
  EXPECT_EQ(counts->ended, kTasks);
  EXPECT_EQ(counts->cancelled, kTasks);
  EXPECT_EQ(counts->elsewhere, 0);
  EXPECT_EQ(counts.use_count(), 1) << "a block of an operation has leaked";
  EXPECT_EQ(open_files(), files_before);
}

}  // namespace
}  // namespace blitzio::fs

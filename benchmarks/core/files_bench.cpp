// What a file costs: on the spot, through a thread, and as bare system calls. The numbers behind
// docs/design/files.md. In a folder of $TMPDIR, with everything in the page cache.
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>
#include <blitzio/task/block_on.hpp>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace blitzio;

constexpr std::size_t kSmallBytes = 4096;
constexpr std::size_t kFiles = 1'000;
constexpr std::uint64_t kLargeBytes = 64 << 20;

struct Folder {
  Folder() : path(fs::blocking_temp_dir().value()) {
    const op::Bytes content(kSmallBytes);
    for (std::size_t i = 0; i < kFiles; ++i) {
      static_cast<void>(fs::blocking_write_file(name(i), content));
    }
    static_cast<void>(fs::blocking_write_file(large(), op::Bytes(kLargeBytes)));
  }
  [[nodiscard]] std::string name(std::size_t i) const {
    return path.path() + "/" + std::to_string(i % kFiles);
  }
  [[nodiscard]] std::string large() const { return path.path() + "/large"; }
  fs::TempPath path;
};
Folder& folder() {
  static Folder made;
  return made;
}

// Any offset of a 4 KiB block; the same order in each run.
class Offsets {
 public:
  std::uint64_t next() noexcept {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return (state_ >> 33) % (kLargeBytes / kSmallBytes) * kSmallBytes;
  }

 private:
  std::uint64_t state_ = 1;
};

void read_file_system_calls(benchmark::State& state) {
  std::size_t i = 0;
  std::vector<std::byte> buffer(kSmallBytes + 1);
  for (auto _ : state) {
    const int fd = ::open(folder().name(i++).c_str(), O_RDONLY | O_CLOEXEC);
    benchmark::DoNotOptimize(::read(fd, buffer.data(), buffer.size()));
    ::close(fd);
  }
}
void read_file_on_the_spot(benchmark::State& state) {
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(block_on(fs::read_file(folder().name(i++))));
}
void read_file_in_a_thread(benchmark::State& state) {
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(block_on(
        call_blocking([path = folder().name(i++)] { return fs::blocking_read_file(path); })));
  }
}

void write_file_system_calls(benchmark::State& state) {
  std::size_t i = 0;
  const std::vector<std::byte> content(kSmallBytes);
  for (auto _ : state) {
    const int fd = ::open(folder().name(i++).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    benchmark::DoNotOptimize(::write(fd, content.data(), content.size()));
    ::close(fd);
  }
}
void write_file(benchmark::State& state, bool on_the_spot) {
  fs::set_inline_writes(on_the_spot);
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(block_on(fs::write_file(folder().name(i++), op::Bytes(kSmallBytes))));
  }
  fs::set_inline_writes(true);
}
void write_file_on_the_spot(benchmark::State& state) {
  write_file(state, true);
}
void write_file_in_a_thread(benchmark::State& state) {
  write_file(state, false);
}

void pread_system_calls(benchmark::State& state) {
  const int fd = ::open(folder().large().c_str(), O_RDONLY | O_CLOEXEC);
  std::array<std::byte, kSmallBytes> buffer{};
  Offsets offsets;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offsets.next())));
  }
  ::close(fd);
}
void read_at_on_the_spot(benchmark::State& state) {
  auto file = fs::File::blocking_open(folder().large()).value();
  op::Bytes buffer(kSmallBytes);
  Offsets offsets;
  for (auto _ : state) {
    auto done = block_on(file.read_at(std::move(buffer), offsets.next()));
    buffer = std::move(done.buffer);
  }
}
void read_at_in_a_thread(benchmark::State& state) {
  auto file = fs::File::blocking_open(folder().large()).value();
  std::vector<std::byte> buffer(kSmallBytes);
  Offsets offsets;
  for (auto _ : state) {
    benchmark::DoNotOptimize(block_on(call_blocking(
        [&, offset = offsets.next()] { return file.blocking_read_at(buffer, offset); })));
  }
}

BENCHMARK(read_file_system_calls);
BENCHMARK(read_file_on_the_spot);
BENCHMARK(read_file_in_a_thread)->UseRealTime();
BENCHMARK(write_file_system_calls);
BENCHMARK(write_file_on_the_spot);
BENCHMARK(write_file_in_a_thread)->UseRealTime();
BENCHMARK(pread_system_calls);
BENCHMARK(read_at_on_the_spot);
BENCHMARK(read_at_in_a_thread)->UseRealTime();

}  // namespace

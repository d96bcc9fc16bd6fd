// The machine's files; see native.hpp.
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/io/detail/native.hpp>
#include <blitzio/task/futures.hpp>

#include <algorithm>
#include <optional>

namespace blitzio::io {

Async<Result<std::uint64_t>> File::seek(std::int64_t offset, fs::Whence whence) {
  std::uint64_t base = 0;
  if (whence == fs::Whence::current) base = position_;
  if (whence == fs::Whence::end) {
    const auto found = co_await metadata();
    if (!found) co_return fail(found.error());
    base = found->size();
  }
  std::int64_t at = 0;
  if (__builtin_add_overflow(static_cast<std::int64_t>(base), offset, &at) || at < 0) {
    co_return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  co_return position_ = static_cast<std::uint64_t>(at);
}

namespace detail {

namespace {

class NativeFile final : public File::Backend {
 public:
  NativeFile(fs::File file, DiskWaits waits) noexcept : file_(std::move(file)), waits_(waits) {}

  AnyFuture<Result<std::size_t>> read_at(std::span<std::byte> buffer,
                                         std::uint64_t offset) override {
    return read(buffer, offset);
  }
  AnyFuture<Result<std::size_t>> write_at(std::span<const std::byte> data,
                                          std::uint64_t offset) override {
    return write(data, offset);
  }
  AnyFuture<Result<fs::Metadata>> metadata() override { return file_.metadata(); }
  AnyFuture<Result<void>> set_len(std::uint64_t bytes) override { return file_.set_len(bytes); }
  AnyFuture<Result<void>> sync_all() override { return file_.sync_all(); }
  AnyFuture<Result<void>> close() override { return file_.close(); }

 private:
  // A thread of the pool may outlive the future, so it has a buffer of its own.
  Async<Result<std::size_t>> read(std::span<std::byte> buffer, std::uint64_t offset) {
    if (waits_ == DiskWaits::in_place) co_return file_.blocking_read_at(buffer, offset);
    if (!fs::detail::is_for_ring_alone()) {
      if (const auto now = file_.try_read_at(buffer, offset)) co_return *now;
    }
    const op::Transferred done = co_await file_.read_at(op::Bytes(buffer.size()), offset);
    if (done.count)
      std::ranges::copy_n(done.buffer.begin(), to_offset(*done.count), buffer.begin());
    co_return done.count;
  }
  Async<Result<std::size_t>> write(std::span<const std::byte> data, std::uint64_t offset) {
    if (waits_ == DiskWaits::in_place) co_return file_.blocking_write_at(data, offset);
    if (!fs::detail::is_for_ring_alone()) {
      if (const auto now = file_.try_write_at(data, offset)) co_return *now;
    }
    const op::Transferred done =
        co_await file_.write_at(op::Bytes(data.begin(), data.end()), offset);
    co_return done.count;
  }
  static std::ptrdiff_t to_offset(std::size_t count) noexcept {
    return static_cast<std::ptrdiff_t>(count);
  }

  fs::File file_;
  DiskWaits waits_;
};

// The future of `opening`, which gives a Result<fs::File>.
template <Future F>
Async<Result<File>> wrap(F opening, DiskWaits waits) {
  Result<fs::File> file = co_await opening;
  if (!file) co_return fail(file.error());
  co_return File(std::make_unique<NativeFile>(std::move(*file), waits));
}

}  // namespace

// `function` where it may wait.
template <class F>
auto NativeFileSystem::call(F function) const -> AnyFuture<std::invoke_result_t<F&>> {
  if (in_place()) return lazy(std::move(function));
  return call_blocking(std::move(function));
}

AnyFuture<Result<File>> NativeFileSystem::open(std::string path, fs::OpenOptions options) {
  if (!in_place()) return wrap(fs::File::open(std::move(path), options), waits_);
  return wrap(
      lazy([path = std::move(path), options] { return fs::File::blocking_open(path, options); }),
      waits_);
}

AnyFuture<Result<op::Bytes>> NativeFileSystem::read_file(std::string path) {
  if (!in_place()) return fs::read_file(std::move(path));
  return lazy([path = std::move(path)] { return fs::blocking_read_file(path); });
}

AnyFuture<Result<void>> NativeFileSystem::write_file(std::string path, op::Bytes data) {
  if (!in_place()) return fs::write_file(std::move(path), std::move(data));
  return lazy([path = std::move(path), data = std::move(data)] {
    return fs::blocking_write_file(path, data);
  });
}

AnyFuture<Result<void>> NativeFileSystem::append(std::string path, op::Bytes data) {
  if (!in_place()) return fs::append(std::move(path), std::move(data));
  return lazy([path = std::move(path), data = std::move(data)] {
    return fs::blocking_write_file(path, data, fs::WriteMode::append);
  });
}

AnyFuture<Result<fs::Metadata>> NativeFileSystem::stat(std::string path) {
  if (!in_place()) return fs::stat(std::move(path));
  return lazy([path = std::move(path)] { return fs::blocking_stat(path); });
}

AnyFuture<Result<bool>> NativeFileSystem::exists(std::string path) {
  if (!in_place()) return fs::exists(std::move(path));
  return lazy([path = std::move(path)] { return fs::blocking_exists(path); });
}

AnyFuture<Result<void>> NativeFileSystem::remove(std::string path) {
  return call([path = std::move(path)] { return fs::blocking_remove(path); });
}

AnyFuture<Result<void>> NativeFileSystem::rename(std::string from, std::string to) {
  return call(
      [from = std::move(from), to = std::move(to)] { return fs::blocking_rename(from, to); });
}

AnyFuture<Result<std::uint64_t>> NativeFileSystem::copy(std::string from, std::string to) {
  return call([from = std::move(from), to = std::move(to)] { return fs::blocking_copy(from, to); });
}

AnyFuture<Result<std::vector<fs::DirEntry>>> NativeFileSystem::read_dir(std::string path) {
  return call([path = std::move(path)] { return fs::blocking_read_dir(path); });
}

AnyFuture<Result<void>> NativeFileSystem::mkdir(std::string path) {
  return call([path = std::move(path)] { return fs::blocking_mkdir(path); });
}

AnyFuture<Result<void>> NativeFileSystem::mkdir_all(std::string path) {
  return call([path = std::move(path)] { return fs::blocking_mkdir_all(path); });
}

AnyFuture<Result<void>> NativeFileSystem::remove_dir(std::string path) {
  return call([path = std::move(path)] { return fs::blocking_remove_dir(path); });
}

AnyFuture<Result<void>> NativeFileSystem::remove_dir_all(std::string path) {
  return call([path = std::move(path)] { return fs::blocking_remove_dir_all(path); });
}

}  // namespace detail

}  // namespace blitzio::io

// `FileSystem` and `File`: files as `io.fs()` has them: the machine's, or those of a simulation.
// The names, options and errors are those of blitzio::fs (fs/paths.hpp, fs/directory.hpp).
//
//     Result<op::Bytes> data = co_await io.fs().read_file("in.txt");
//
// A dropped future: as in fs/paths.hpp. Unlike there a File's buffers are the caller's: a future
// touches one only in the poll that gives its result.
//
// Threads: FileSystem any; a File one at a time for what uses the position, any for the rest.
#pragma once

#include <blitzio/executor/operations.hpp>
#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/metadata.hpp>
#include <blitzio/fs/options.hpp>
#include <blitzio/stream/transfer.hpp>
#include <blitzio/task/any_future.hpp>
#include <blitzio/task/async.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::io {

/// Text as bytes, and bytes as text.
[[nodiscard]] inline op::Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}
[[nodiscard]] inline std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An open file with a position; a ReadStream and a WriteStream. Dropping it closes it.
class [[nodiscard]] File {
 public:
  /// What an implementation gives.
  class Backend {
   public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;
    virtual AnyFuture<Result<std::size_t>> read_at(std::span<std::byte> buffer,
                                                   std::uint64_t offset) = 0;
    virtual AnyFuture<Result<std::size_t>> write_at(std::span<const std::byte> data,
                                                    std::uint64_t offset) = 0;
    virtual AnyFuture<Result<fs::Metadata>> metadata() = 0;
    virtual AnyFuture<Result<void>> set_len(std::uint64_t bytes) = 0;
    virtual AnyFuture<Result<void>> sync_all() = 0;
    /// Nothing is called afterwards but the destructor.
    virtual AnyFuture<Result<void>> close() = 0;
  };

  explicit File(std::unique_ptr<Backend> backend) noexcept : backend_(std::move(backend)) {}

  /// Reads at most `buffer.size()` bytes from the position on; 0: the end.
  Async<Result<std::size_t>> read(std::span<std::byte> buffer) {
    const auto count = co_await backend_->read_at(buffer, position_);
    if (count) position_ += *count;
    co_return count;
  }
  AnyFuture<Result<std::size_t>> read_at(std::span<std::byte> buffer, std::uint64_t offset) {
    return backend_->read_at(buffer, offset);
  }
  /// Fills `buffer`.   Errors   unexpected_end.
  stream::ReadExact<File> read_exact(std::span<std::byte> buffer) noexcept {
    return {*this, buffer};
  }
  /// Writes at the position; may write fewer when the disk is full. A file opened to append writes
  /// to its end, wherever the position is.
  Async<Result<std::size_t>> write(std::span<const std::byte> data) {
    const auto count = co_await backend_->write_at(data, position_);
    if (count) position_ += *count;
    co_return count;
  }
  AnyFuture<Result<std::size_t>> write_at(std::span<const std::byte> data, std::uint64_t offset) {
    return backend_->write_at(data, offset);
  }
  stream::WriteAll<File> write_all(std::span<const std::byte> data) noexcept {
    return {*this, data};
  }
  /// What streams have for their end: nothing is kept here, so it is ready at once.
  [[nodiscard]] Ready<Result<void>> finish() const noexcept { return ready(Result<void>()); }

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  /// Moves the position; behind the end is allowed.
  /// Errors   of its future: invalid_argument for a position below 0.
  Async<Result<std::uint64_t>> seek(std::int64_t offset, fs::Whence whence = fs::Whence::start);
  AnyFuture<Result<fs::Metadata>> metadata() { return backend_->metadata(); }
  /// Cuts, or lengthens with zeros.
  AnyFuture<Result<void>> set_len(std::uint64_t bytes) { return backend_->set_len(bytes); }
  /// Waits until content and metadata are on the disk.
  AnyFuture<Result<void>> sync_all() { return backend_->sync_all(); }
  /// Closes, and says what that says.
  Async<Result<void>> close() {
    const std::unique_ptr<Backend> backend = std::move(backend_);
    co_return co_await backend->close();
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::uint64_t position_ = 0;
};

class FileSystem {
 public:
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  virtual AnyFuture<Result<File>> open(std::string path,
                                       fs::OpenOptions options = {.read = true}) = 0;
  virtual AnyFuture<Result<op::Bytes>> read_file(std::string path) = 0;
  virtual AnyFuture<Result<void>> write_file(std::string path, op::Bytes data) = 0;
  virtual AnyFuture<Result<void>> append(std::string path, op::Bytes data) = 0;
  virtual AnyFuture<Result<fs::Metadata>> stat(std::string path) = 0;
  virtual AnyFuture<Result<bool>> exists(std::string path) = 0;
  virtual AnyFuture<Result<void>> remove(std::string path) = 0;
  virtual AnyFuture<Result<void>> rename(std::string from, std::string to) = 0;
  virtual AnyFuture<Result<std::uint64_t>> copy(std::string from, std::string to) = 0;
  virtual AnyFuture<Result<std::vector<fs::DirEntry>>> read_dir(std::string path) = 0;
  virtual AnyFuture<Result<void>> mkdir(std::string path) = 0;
  virtual AnyFuture<Result<void>> mkdir_all(std::string path) = 0;
  virtual AnyFuture<Result<void>> remove_dir(std::string path) = 0;
  virtual AnyFuture<Result<void>> remove_dir_all(std::string path) = 0;

 protected:
  FileSystem() = default;
  ~FileSystem() = default;
};

}  // namespace blitzio::io

// `File`: an open file.
//
//     Async<Result<void>> example() {
//       auto file = co_await fs::File::open("log", {.append = true, .create = true});
//       if (!file) co_return fail(file.error());
//       co_return co_await file->write_all(op::Bytes(4096));
//     }
//
// Three tiers, as everywhere: `try_x` answers now or says that it would wait, `x` is a future that
// tries so first and then waits in the executor's ring or in a thread of a pool (detail/way.hpp),
// `blocking_x` is for threads. What the page cache holds is read on the spot, at the price of a
// system call; see docs/design/files.md.
//
// Buffers are handed over and come back with the result, for the kernel or a thread may still use
// one after its future was dropped. Dropping a future: a read has consumed nothing; a write may
// have happened or not.
//
// Threads: one at a time for what uses the position (read, write, seek, read_to_end, write_all);
// any for the rest. Futures work on every executor, and where there is none.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/executor/operations.hpp>
#include <blitzio/fs/detail/attempt.hpp>
#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/file_call.hpp>
#include <blitzio/fs/detail/file_jobs.hpp>
#include <blitzio/fs/detail/open_file.hpp>
#include <blitzio/fs/metadata.hpp>
#include <blitzio/fs/options.hpp>
#include <blitzio/task/async.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace blitzio::fs {

namespace detail {

struct OpenJob;

/// A read or write of a File, at an offset or at its position.
class [[nodiscard]] Transfer {
 public:
  using Output = op::Transferred;
  enum class Kind : std::uint8_t { read, write };

  /// `offset` none: at the position, which moves.
  Transfer(Kind kind, std::shared_ptr<OpenFile> file, op::Bytes buffer, std::size_t first,
           std::size_t count, std::optional<std::uint64_t> offset) noexcept
      : file_(std::move(file)),
        buffer_(std::move(buffer)),
        first_(first),
        count_(count),
        offset_(offset),
        kind_(kind) {}
  Poll<Output> poll(Context& context);

 private:
  static Async<Output> wait(Transfer self);
  Now<std::size_t> try_now() noexcept;
  Output finish(Result<std::size_t> count, op::Bytes buffer) noexcept;

  std::shared_ptr<OpenFile> file_;
  op::Bytes buffer_;
  std::size_t first_;
  std::size_t count_;
  std::optional<std::uint64_t> offset_;
  std::optional<Async<Output>> slow_;
  Kind kind_;
};

}  // namespace detail

/// From where seek() counts.
enum class Whence : std::uint8_t { start, current, end };

/// An open file; moves, closes with its end. See above.
class [[nodiscard]] File {
 public:
  // ---- opening -----------------------------------------------------------------------------

  /// Returns  future of Result<File>.
  /// Errors   those of open(2); invalid_argument for options that contradict each other and for a
  ///          path with a NUL byte.
  /// Cost     on the spot if the folder is known to be local and the kernel has it in memory.
  static auto open(std::string path, OpenOptions options = {.read = true});
  /// The same for threads.
  [[nodiscard]] static Result<File> blocking_open(const std::string& path,
                                                  const OpenOptions& options = {.read = true});
  /// Empty if it would have to wait.
  [[nodiscard]] static std::optional<Result<File>> try_open(const std::string& path,
                                                            const OpenOptions& options = {
                                                                .read = true});
  /// Takes over a descriptor; its status flags stay as they are.
  /// Errors   EBADF; then it is not taken over.
  [[nodiscard]] static Result<File> adopt_fd(int fd);

  /// The descriptor, which stays the file's.
  [[nodiscard]] int fd() const noexcept { return file_->fd(); }
  /// Whether it has no positions: a pipe, a terminal, a socket.
  [[nodiscard]] bool is_stream() const noexcept { return file_->is_stream(); }

  /// Whether it is a regular file of a file system known to be local: what needs no disk may be
  /// asked of it on the spot.
  [[nodiscard]] bool is_local() const noexcept { return file_->is_local(); }

  // ---- reading and writing -----------------------------------------------------------------

  /// Reads at most `buffer.size()` bytes from the position on; 0 bytes: the end.
  /// Returns  future of op::Transferred.
  detail::Transfer read(op::Bytes buffer);
  /// The same from `offset` on; the position stays.
  detail::Transfer read_at(op::Bytes buffer, std::uint64_t offset);
  /// Writes `count` bytes of `buffer` from `first` on; may write fewer when the disk is full.
  detail::Transfer write(op::Bytes buffer, std::size_t first = 0, std::size_t count = op::kAll);
  /// The same from `offset` on; the position stays.
  detail::Transfer write_at(op::Bytes buffer, std::uint64_t offset, std::size_t first = 0,
                            std::size_t count = op::kAll);
  /// Everything from the position to the end.
  /// Returns  future of Result<op::Bytes>.
  Async<Result<op::Bytes>> read_to_end();
  /// Writes all of it at the position. What was written when an error came is not told.
  Async<Result<void>> write_all(op::Bytes bytes);

  /// `offset` counts from the start of the file; streams have none. Empty if it would have to
  /// wait.
  [[nodiscard]] std::optional<Result<std::size_t>> try_read_at(std::span<std::byte> buffer,
                                                               std::uint64_t offset) noexcept {
    return file_->try_read(buffer, offset);
  }
  [[nodiscard]] std::optional<Result<std::size_t>> try_write_at(std::span<const std::byte> data,
                                                                std::uint64_t offset) noexcept {
    return file_->try_write(data, offset);
  }
  [[nodiscard]] Result<std::size_t> blocking_read_at(std::span<std::byte> buffer,
                                                     std::uint64_t offset) noexcept {
    return file_->blocking_read(buffer, offset);
  }
  [[nodiscard]] Result<std::size_t> blocking_write_at(std::span<const std::byte> data,
                                                      std::uint64_t offset) noexcept {
    return file_->blocking_write(data, offset);
  }

  /// The same for a ring, of a driver that the calling thread turns. Not of streams; the file, and
  /// what is handed over, live as long as the operation.
  void prepare_read_at(driver::Operation& operation, std::span<std::byte> buffer,
                       std::uint64_t offset) const noexcept {
    file_->prepare_read(operation, buffer, offset);
  }
  void prepare_write_at(driver::Operation& operation, std::span<const std::byte> data,
                        std::uint64_t offset) const noexcept {
    file_->prepare_write(operation, data, offset);
  }

  // ---- the rest ----------------------------------------------------------------------------

  /// From the start of the file, in bytes.
  [[nodiscard]] std::uint64_t position() const noexcept { return file_->position; }
  /// Moves the position; behind the end is allowed. Returns  future of Result<std::uint64_t>.
  /// Errors   ESPIPE for a stream; invalid_argument for a position below 0.
  Async<Result<std::uint64_t>> seek(std::int64_t offset, Whence whence = Whence::start);
  /// Returns  future of Result<Metadata>.
  auto metadata();
  /// Cuts, or lengthens with zeros. Returns  future of Result<void>.
  auto set_len(std::uint64_t bytes);
  /// Makes `mode` the file's permissions.
  auto set_permissions(mode_t mode);
  /// Waits until content and metadata are on the disk, or, sync_data(), what is needed to read it.
  auto sync_all();
  auto sync_data();
  /// Closes; the file is empty afterwards. What is in flight ends first.
  /// Returns  future of Result<void>: what close(2) says, if nothing was in flight.
  auto close();
  [[nodiscard]] bool is_open() const noexcept { return file_ != nullptr; }

 private:
  friend struct detail::OpenJob;
  explicit File(std::shared_ptr<detail::OpenFile> file) noexcept : file_(std::move(file)) {}
  static Result<File> make(detail::Opened opened, int flags, bool is_local);
  static Result<void> close_file(std::shared_ptr<detail::OpenFile> file) noexcept;

  std::shared_ptr<detail::OpenFile> file_;
};

// ---- the bodies of what returns `auto` -------------------------------------------------------

namespace detail {

struct OpenJob {
  std::string path;
  OpenOptions options;
  int flags = 0;  ///< as prepared

  [[nodiscard]] std::optional<Result<File>> try_now() const {
    return File::try_open(path, options);
  }
  Result<File> operator()() const { return File::blocking_open(path, options); }
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::open};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) noexcept;
  /// Errors   also ENOMEM, and then the descriptor is closed.
  [[nodiscard]] Result<File> finish(std::int32_t result) const noexcept;
};

}  // namespace detail

inline auto File::open(std::string path, OpenOptions options) {
  return detail::FileCall(detail::OpenJob{std::move(path), options});
}

inline auto File::metadata() {
  return detail::FileCall(detail::MetadataJob{file_});
}

inline auto File::set_len(std::uint64_t bytes) {
  return call_blocking([file = file_, bytes] {
    return detail::retry_void([&] { return ::ftruncate(file->fd(), static_cast<off_t>(bytes)); });
  });
}

inline auto File::set_permissions(mode_t mode) {
  return call_blocking([file = file_, mode] {
    return detail::retry_void([&] { return ::fchmod(file->fd(), mode); });
  });
}

inline auto File::sync_all() {
  return detail::FileCall(detail::SyncJob{file_, false});
}
inline auto File::sync_data() {
  return detail::FileCall(detail::SyncJob{file_, true});
}

inline auto File::close() {
  BLITZIO_CHECK(file_ != nullptr);
  const bool now = file_->may_close_now();
  auto owner = std::make_shared<std::shared_ptr<detail::OpenFile>>(std::exchange(file_, nullptr));
  return detail::Attempt(
      [owner, now] {
        return now ? std::optional(close_file(std::exchange(*owner, nullptr))) : std::nullopt;
      },
      [owner] {
        return call_blocking([owner] { return close_file(std::exchange(*owner, nullptr)); });
      });
}

}  // namespace blitzio::fs

// `PyFile`: what `blitzio.fs.File` holds: an open file, bytes read ahead, bytes not written yet,
// and the line of those who use its position.
//
// What is tried on the spot and would have to wait becomes *work* in a thread or in the loop's
// ring. It belongs to the file, not to the future that asked for it: a future that is dropped
// leaves it, and the next one waits for it first. So bytes that a cancelled read fetched are read
// ahead (in the ring it is cancelled, too, and has fetched nothing), what a cancelled write began
// is written once, and nothing that write() has taken is lost.
//
//             first that would wait            done: settle()
//     idle ─────────────────────────▶ working ────────────────▶ idle
//                                        │ the file is dropped
//                                        ▼
//                                     detached: runs to its end, closes the file
//
// A stream (pipe, terminal, socket) is waited for on the loop of whoever waits (AsyncFd), and read
// or written only when that does not block: nothing is in flight.
//
// Invariants: the next byte to read is at `position`, and `ahead` begins there; `pending` ends
// there; of a regular file at most one of them is not empty.
//
// Threads: attached ones, one at a time: on free-threaded builds polls hold the object's lock.
#pragma once

#include <blitzio/executor/async_fd.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/sync/mutex.hpp>
#include <python/bindings/box.hpp>
#include <python/bindings/held_buffer.hpp>
#include <python/bindings/read_ahead.hpp>
#include <python/bridge/io_context.hpp>
#include <python/support/ft.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace blitzio::python {

/// What may be done with a file, and how it is called.
struct FileMode {
  bool reads = false;
  bool writes = false;
  bool appends = false;
  std::string text = "rb";  ///< as open() was told, or would have been
};

/// What is read ahead, and how much is written at once, unless open() says otherwise.
inline constexpr std::size_t kBufferBytes = 16 * 1024;

/// What a thread, or the ring, does for a file.
struct FileWork {
  enum class Kind : std::uint8_t { read, read_all, write_pending, write };

  fs::File file;
  Kind kind;
  std::uint64_t offset;
  std::shared_ptr<op::Bytes> buffer;
  Result<std::size_t> operator()();
  // In the ring: a piece, where it is known. What is read to the end is not.
  [[nodiscard]] std::optional<fs::detail::RingUse> ring_use() const noexcept;
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) noexcept;
  [[nodiscard]] Result<std::size_t> finish(std::int32_t result) const noexcept;
};

class PyFile {
 public:
  PyFile(fs::File file_in, FileMode mode_in, std::size_t buffer_bytes_in, PyRef name_in) noexcept
      : file(std::move(file_in)),
        mode(std::move(mode_in)),
        buffer_bytes(buffer_bytes_in),
        name(std::move(name_in)) {}
  PyFile(const PyFile&) = delete;
  PyFile& operator=(const PyFile&) = delete;
  /// Leaves what it still does to itself; see finalize() for what it has not begun.
  ~PyFile() {
    if (work_) work_->call.detach();
  }

  [[nodiscard]] static PyFile& of(PyObject* self) noexcept { return Box<PyFile>::of(self).value; }

  // ---- checks; false with ValueError or io.UnsupportedOperation set ----
  [[nodiscard]] bool check_open() const noexcept;
  [[nodiscard]] bool check_reads() const noexcept;
  [[nodiscard]] bool check_writes() const noexcept;
  [[nodiscard]] bool check_seekable() const noexcept;

  // ---- what operations are made of, while they have their turn ----
  /// How a step ended: `wait`: for work or for a stream; `failed`: with an error set.
  enum class Step : std::uint8_t { done, end, wait, failed };

  /// Reads at least one byte, `wanted` if it can, into `ahead`. `end`: there are none.
  [[nodiscard]] Step fill(std::size_t wanted);
  /// All there is from `ahead` on, into `ahead`. `done` when that was the end.
  [[nodiscard]] Step fill_all();
  /// Reads on the spot, at the position, past `ahead`, which is empty. None: it would wait.
  [[nodiscard]] std::optional<Result<std::size_t>> try_read(std::span<std::byte> to) noexcept {
    return try_read_at(to, end_of_ahead());
  }
  /// The same at an offset, as also writes: none where the loop wants files to go to its ring.
  [[nodiscard]] std::optional<Result<std::size_t>> try_read_at(std::span<std::byte> to,
                                                               std::uint64_t offset) noexcept;
  [[nodiscard]] std::optional<Result<std::size_t>> try_write_at(std::span<const std::byte> data,
                                                                std::uint64_t offset) noexcept;
  /// Writes what is pending. After `wait` the caller polls settle(), which begins the work: what
  /// has not begun counts as written by it all the same.
  [[nodiscard]] Step flush();
  /// The same on the spot. `wait`: it would, and nothing was begun for the rest.
  [[nodiscard]] Step flush_now();
  /// Writes some of `data`, past `pending`, which is empty. `done`: `*count` bytes.
  [[nodiscard]] Step write_some(std::span<const std::byte> data, std::size_t* count);
  /// Keeps `data` for later, if there is room for it.
  [[nodiscard]] bool buffer(std::span<const std::byte> data);
  /// Drops what was read ahead, which is read again, as will be what is being read; not of streams.
  /// Of one that somebody has closed meanwhile nothing is left.
  void forget_ahead() noexcept {
    if (is_closed || file.is_stream()) return;
    ahead.clear();
    if (work_) work_->is_stale = true;
  }
  [[nodiscard]] std::span<const std::byte> pending() const noexcept {
    return pending_ == nullptr ? std::span<const std::byte>() : std::span(*pending_);
  }
  /// Whether settle() has something to wait for.
  [[nodiscard]] bool is_waiting() const noexcept { return work_ != nullptr || stream_ready_; }
  /// Before a turn: forgets the stream that the last one waited for in vain.
  void begin_turn() noexcept {
    stream_ready_.reset();
    at_end_ = false;
  }

  /// Waits for work, or for the stream that the last step needs. `*count` is what the work moved.
  /// Errors   the work's; a stream's wait.
  [[nodiscard]] Poll<Result<void>> settle(Context& context, std::size_t* count);
  /// Nobody waits any more for what was begun: a read by the ring ends, so that the next operation
  /// does not depend on that loop.
  void leave_read() noexcept {
    if (work_ && work_->kind == FileWork::Kind::read && work_->call.is_in_ring()) work_.reset();
  }
  /// Drops all that is in memory. At the end only.
  void drop_buffers() noexcept;
  /// Writes what is pending, now. Blocks.
  [[nodiscard]] Result<void> blocking_flush() noexcept;

  fs::File file;
  FileMode mode;
  std::size_t buffer_bytes;
  ReadAhead ahead;
  std::uint64_t position = 0;
  sync::Mutex turn;
  PyRef name;                ///< str, bytes or int: nothing that could be part of a cycle
  PyObject* self = nullptr;  ///< borrowed: the object that this is part of
  bool is_closed = false;

 private:
  struct Work {
    fs::detail::FileCall<FileWork> call;
    FileWork::Kind kind;
    std::shared_ptr<op::Bytes> buffer;
    bool is_stale = false;  ///< forget_ahead() came since it began: nothing of a read is kept
  };

  Step start(FileWork::Kind kind, std::shared_ptr<op::Bytes> buffer);
  Step wait_for(IoDirection direction);
  void finish(const Work& work, std::size_t count);
  /// `count` bytes were written at the position.
  void written(std::size_t count) noexcept;
  /// `count` bytes of what is pending were written.
  void drop_pending(std::size_t count) noexcept;
  [[nodiscard]] std::uint64_t end_of_ahead() const noexcept { return position + ahead.size(); }

  std::shared_ptr<op::Bytes> pending_;
  std::unique_ptr<Work> work_;
  AsyncFd stream_;  ///< of a stream that was waited for: a descriptor of its own for that
  std::unique_ptr<OnLoop<AsyncFd::Ready>> stream_ready_;
  bool at_end_ = false;  ///< the work of this turn has read to the end
};

/// A turn at a file: the future of every operation that uses position or buffers.
/// `Operation` has `std::optional<PyObject*> step(PyFile&, Context&)`: the result (null with an
/// error set), or none after a step said `wait`, and it is called again then; `void moved(count)`
/// if it has to know what the work did that it waited for, `void failed(error)` if it goes on when
/// that failed; `traverse` if it holds objects.
template <class Operation>
class FileTurn {
 public:
  using Output = PyObject*;
  FileTurn(PyFile& file, Operation operation) noexcept
      : file_(&file), lock_(file.turn.lock()), operation_(std::move(operation)) {}
  FileTurn(FileTurn&& other) noexcept
      : file_(other.file_), lock_(std::move(other.lock_)), operation_(std::move(other.operation_)) {
    BLITZIO_CHECK(!other.has_turn_);
  }
  FileTurn(const FileTurn&) = delete;
  FileTurn& operator=(const FileTurn&) = delete;
  FileTurn& operator=(FileTurn&&) = delete;
  ~FileTurn() {
    if (!is_own_) return;
    const ObjectLock object_lock(file_->self);
    file_->leave_read();
  }

  Poll<PyObject*> poll(Context& context) {
    const ObjectLock object_lock(file_->self);
    if (!has_turn_) {
      auto locked = lock_.poll(context);
      if (locked.is_pending()) return pending;
      turn_.emplace(std::move(locked).take());
      has_turn_ = true;
      file_->begin_turn();
    }
    for (;;) {
      if (file_->is_waiting()) {
        std::size_t count = 0;
        auto settled = file_->settle(context, &count);
        if (settled.is_pending()) return pending;
        // Else it was left by somebody who was cancelled; if it failed, then for him.
        if (std::exchange(is_own_, false)) {
          if (settled.value()) {
            if constexpr (requires { operation_.moved(count); }) operation_.moved(count);
          } else if constexpr (requires(Error error) { operation_.failed(error); }) {
            operation_.failed(settled.value().error());
          } else {
            return end(raise_error(settled.value().error(), "file"));
          }
        }
      }
      if (const std::optional<PyObject*> result = operation_.step(*file_, context)) {
        return end(*result);
      }
      if (!file_->is_waiting()) return pending;
      is_own_ = true;
    }
  }
  int traverse(visitproc visit, void* arg) noexcept {
    if constexpr (requires { operation_.traverse(visit, arg); }) {
      return operation_.traverse(visit, arg);
    }
    return 0;
  }

 private:
  PyObject* end(PyObject* result) noexcept {
    turn_.reset();
    return result;
  }

  PyFile* file_;
  sync::Mutex::Lock lock_;
  std::optional<sync::MutexGuard> turn_;
  Operation operation_;
  bool has_turn_ = false;
  bool is_own_ = false;  ///< this turn began what is waited for
};

}  // namespace blitzio::python

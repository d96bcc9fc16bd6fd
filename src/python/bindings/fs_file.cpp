// What operations on a file are made of; fs_operations.cpp has them.
#include <blitzio/fs/paths.hpp>
#include <python/bindings/fs_file.hpp>
#include <python/support/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace blitzio::python {

namespace {

/// What a thread reads at least: its trip costs more than reading this.
constexpr std::size_t kThreadReadBytes = 256 * 1024;
constexpr std::size_t kReadBytesMax = 16 * 1024 * 1024;

/// Nothing was written, and no error says why: not to be tried for ever.
Result<std::size_t> check_progress(Result<std::size_t> count) noexcept {
  if (count && *count == 0) return fail(Error::os(EIO));
  return count;
}

Result<std::size_t> read_to_end(const fs::File& file, std::uint64_t offset, op::Bytes& buffer) {
  auto all = fs::detail::blocking_read_to_end(file.fd(), static_cast<std::int64_t>(offset), 0);
  if (!all) return fail(all.error());
  buffer = std::move(*all);
  return buffer.size();
}

bool unsupported(ModuleState& state, const char* what) noexcept {
  PyErr_SetString(state.unsupported_operation, what);
  return false;
}

}  // namespace

Result<std::size_t> FileWork::operator()() {
  switch (kind) {
    case Kind::read:
      return file.blocking_read_at(*buffer, offset);
    case Kind::read_all:
      return read_to_end(file, offset, *buffer);
    case Kind::write_pending:
    case Kind::write:
      return check_progress(file.blocking_write_at(*buffer, offset));
  }
  BLITZIO_CHECK(false, static_cast<int>(kind));
}

std::optional<fs::detail::RingUse> FileWork::ring_use() const noexcept {
  if (kind == Kind::read_all) return std::nullopt;
  return fs::detail::RingUse{kind == Kind::read ? driver::OpKind::read : driver::OpKind::write,
                             buffer->size()};
}

Result<void> FileWork::prepare(driver::Operation& operation) noexcept {
  if (kind == Kind::read) {
    file.prepare_read_at(operation, *buffer, offset);
  } else {
    file.prepare_write_at(operation, *buffer, offset);
  }
  return {};
}

Result<std::size_t> FileWork::finish(std::int32_t result) const noexcept {
  const auto count = op::detail::to_count(result);
  return kind == Kind::read ? count : check_progress(count);
}

// ---- checks ------------------------------------------------------------------------------------

bool PyFile::check_open() const noexcept {
  if (!is_closed) return true;
  PyErr_SetString(PyExc_ValueError, "I/O operation on closed file.");
  return false;
}
bool PyFile::check_reads() const noexcept {
  return check_open() && (mode.reads || unsupported(*Box<PyFile>::of(self).state, "not readable"));
}
bool PyFile::check_writes() const noexcept {
  return check_open() && (mode.writes || unsupported(*Box<PyFile>::of(self).state, "not writable"));
}

bool PyFile::check_seekable() const noexcept {
  return check_open() && (!file.is_stream() || unsupported(*Box<PyFile>::of(self).state,
                                                           "underlying stream is not seekable"));
}

// ---- reading -----------------------------------------------------------------------------------

std::optional<Result<std::size_t>> PyFile::try_read_at(std::span<std::byte> to,
                                                       std::uint64_t offset) noexcept {
  if (!file.is_stream() && fs::detail::is_for_ring_alone()) return std::nullopt;
  return file.try_read_at(to, offset);
}
std::optional<Result<std::size_t>> PyFile::try_write_at(std::span<const std::byte> data,
                                                        std::uint64_t offset) noexcept {
  if (!file.is_stream() && fs::detail::is_for_ring_alone()) return std::nullopt;
  return file.try_write_at(data, offset);
}

PyFile::Step PyFile::fill(std::size_t wanted) {
  if (at_end_) return Step::end;
  wanted = std::max({wanted, buffer_bytes, std::size_t{1}});
  const std::size_t count_max = std::min(wanted, fs::detail::kInlineReadBytesMax);
  // Of much, copying alone would stall the loop.
  if (file.is_stream() || wanted == count_max) {
    if (const auto count = try_read(ahead.room(count_max).first(count_max))) {
      if (!*count) {
        raise_error(count->error(), "read");
        return Step::failed;
      }
      ahead.add(**count);
      return **count == 0 ? Step::end : Step::done;
    }
  }
  if (file.is_stream()) return wait_for(IoDirection::read);
  const std::size_t size = std::clamp(wanted, kThreadReadBytes, kReadBytesMax);
  return start(FileWork::Kind::read, std::make_shared<op::Bytes>(size));
}

PyFile::Step PyFile::fill_all() {
  std::size_t wanted = 0;
  // By the ring in pieces, as all.
  if (!file.is_stream() && !at_end_ && !fs::detail::is_for_ring_alone()) {
    std::uint64_t left = UINT64_MAX;
    struct stat status{};
    if (file.is_local() && ::fstat(file.fd(), &status) == 0) {
      const auto size = static_cast<std::uint64_t>(status.st_size);
      left = size - std::min(size, end_of_ahead());
    }
    if (left >= fs::detail::kInlineReadBytesMax) {
      return start(FileWork::Kind::read_all, std::make_shared<op::Bytes>());
    }
    wanted = left + 1;
  }
  for (;;) {
    const Step step = fill(wanted);
    if (step == Step::end) return Step::done;
    if (step != Step::done) return step;
  }
}

// ---- writing -----------------------------------------------------------------------------------

bool PyFile::buffer(std::span<const std::byte> data) {
  if (pending().size() + data.size() > buffer_bytes || buffer_bytes == 0) return false;
  if (pending_ == nullptr) pending_ = std::make_shared<op::Bytes>();
  pending_->insert(pending_->end(), data.begin(), data.end());
  position += data.size();
  return true;
}

void PyFile::written(std::size_t count) noexcept {
  position += count;
  if (!mode.appends || file.is_stream()) return;
  // An appending write leaves the descriptor behind what it wrote, wherever the end was.
  if (const off_t end = ::lseek(file.fd(), 0, SEEK_CUR); end >= 0) {
    position = static_cast<std::uint64_t>(end);
  }
}

void PyFile::drop_pending(std::size_t count) noexcept {
  const std::size_t left = pending_->size() - count;
  pending_->erase(pending_->begin(), pending_->begin() + static_cast<std::ptrdiff_t>(count));
  position -= left + count;
  written(count);
  position += left;
}

PyFile::Step PyFile::flush_now() {
  while (!pending().empty()) {
    const auto count = try_write_at(pending(), position - pending().size());
    if (!count) return Step::wait;
    const auto moved = check_progress(*count);
    if (!moved) {
      raise_error(moved.error(), "write");
      return Step::failed;
    }
    drop_pending(*moved);
  }
  return Step::done;
}

PyFile::Step PyFile::flush() {
  const Step step = flush_now();
  if (step != Step::wait) return step;
  return file.is_stream() ? wait_for(IoDirection::write)
                          : start(FileWork::Kind::write_pending, pending_);
}

PyFile::Step PyFile::write_some(std::span<const std::byte> data, std::size_t* count) {
  if (const auto now = try_write_at(data, position)) {
    const auto moved = check_progress(*now);
    if (!moved) {
      raise_error(moved.error(), "write");
      return Step::failed;
    }
    *count = *moved;
    written(*moved);
    return Step::done;
  }
  if (file.is_stream()) return wait_for(IoDirection::write);
  return start(FileWork::Kind::write, std::make_shared<op::Bytes>(data.begin(), data.end()));
}

Result<void> PyFile::blocking_flush() noexcept {
  if (pending().empty() || (work_ && work_->kind == FileWork::Kind::write_pending)) return {};
  const std::uint64_t offset = position - pending().size();
  return fs::detail::blocking_write_full(
      file.fd(), pending(),
      file.is_stream() || mode.appends ? -1 : static_cast<std::int64_t>(offset));
}

void PyFile::drop_buffers() noexcept {
  ahead.clear();
  pending_.reset();
  stream_ready_.reset();
  stream_ = AsyncFd();
}

// ---- waiting -----------------------------------------------------------------------------------

PyFile::Step PyFile::start(FileWork::Kind kind, std::shared_ptr<op::Bytes> buffer) {
  const std::uint64_t offset = kind == FileWork::Kind::write_pending ? position - buffer->size()
                               : kind == FileWork::Kind::write       ? position
                                                                     : end_of_ahead();
  work_ = std::make_unique<Work>(
      Work{fs::detail::FileCall(FileWork{file, kind, offset, buffer}), kind, std::move(buffer)});
  return Step::wait;
}

PyFile::Step PyFile::wait_for(IoDirection direction) {
  if (!stream_) {
    // epoll has one wait for each descriptor, and this one may be watched already.
    const int fd = ::fcntl(file.fd(), F_DUPFD_CLOEXEC, 3);
    auto adopted =
        fd < 0 ? Result<AsyncFd>(fail(Error::os(errno))) : AsyncFd::adopt(OwnedFd::adopt(fd));
    if (!adopted) {
      raise_error(adopted.error(), "file");
      return Step::failed;
    }
    stream_ = std::move(*adopted);
  }
  const bool is_read = direction == IoDirection::read;
  stream_ready_ = std::make_unique<OnLoop<AsyncFd::Ready>>(
      *Box<PyFile>::of(self).state, is_read ? stream_.readable() : stream_.writable());
  return Step::wait;
}

void PyFile::finish(const Work& work, std::size_t count) {
  switch (work.kind) {
    case FileWork::Kind::read_all:
      if (work.is_stale) return;
      at_end_ = true;
      if (ahead.size() == 0 && work.buffer->size() == count) {
        return ahead.adopt(std::move(*work.buffer));
      }
      [[fallthrough]];
    case FileWork::Kind::read: {
      if (work.is_stale) return;
      if (count == 0) at_end_ = true;
      const auto room = ahead.room(count);
      std::memcpy(room.data(), work.buffer->data(), count);
      ahead.add(count);
      return;
    }
    case FileWork::Kind::write_pending:
      return drop_pending(count);
    case FileWork::Kind::write:
      return written(count);
  }
}

Poll<Result<void>> PyFile::settle(Context& context, std::size_t* count) {
  if (work_) {
    auto answer = work_->call.poll(context);
    if (answer.is_pending()) return blitzio::pending;
    const auto work = std::move(work_);
    const auto moved = std::move(answer).take();
    if (!moved) return Result<void>(fail(moved.error()));
    finish(*work, *moved);
    *count = *moved;
  }
  if (stream_ready_) {
    auto answer = stream_ready_->poll(context);
    if (answer.is_pending()) return blitzio::pending;
    stream_ready_.reset();
    return std::move(answer).take();
  }
  return Result<void>();
}

}  // namespace blitzio::python

#include <blitzio/fs/file.hpp>

#include <blitzio/base/end_bell.hpp>
#include <blitzio/fs/detail/inline_policy.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <new>

namespace blitzio::fs {

namespace {

// Waits, in a thread, until a stream can be read, or until `bell` rings; consumes nothing.
auto stream_ready(std::shared_ptr<detail::OpenFile> file, const EndBell& bell) {
  return call_blocking([file = std::move(file), end = bell.fd()]() -> Result<void> {
    std::array<pollfd, 2> waits{{{file->fd(), POLLIN, 0}, {end->get(), POLLIN, 0}}};
    return detail::retry_void([&] { return ::poll(waits.data(), waits.size(), -1); });
  });
}

}  // namespace

namespace detail {

Now<std::size_t> Transfer::try_now() noexcept {
  const std::uint64_t offset = offset_.value_or(file_->position);
  const auto part = std::span(buffer_).subspan(first_, count_);
  return kind_ == Kind::read ? file_->try_read(part, offset) : file_->try_write(part, offset);
}

Transfer::Output Transfer::finish(Result<std::size_t> count, op::Bytes buffer) noexcept {
  if (count && !offset_ && !file_->is_stream()) {
    file_->position = kind_ == Kind::read ? file_->position + *count
                                          : file_->end_of_write(file_->position, *count);
  }
  return {count, std::move(buffer)};
}

Poll<Transfer::Output> Transfer::poll(Context& context) {
  if (!slow_) {
    // A stream is never in the ring: it is waited for.
    if (file_->is_stream() || !is_for_ring_alone()) {
      if (const auto count = try_now()) return finish(*count, std::move(buffer_));
    }
    slow_.emplace(wait(Transfer(kind_, file_, std::move(buffer_), first_, count_, offset_)));
  }
  return slow_->poll(context);
}

Async<Transfer::Output> Transfer::wait(Transfer self) {
  const bool reads = self.kind_ == Kind::read;
  if (reads && self.file_->is_stream()) {
    // Dropped with this, it lets the thread go.
    const auto bell = EndBell::make();
    if (!bell) co_return Output{fail(bell.error()), std::move(self.buffer_)};
    const auto part =
        std::span(self.buffer_).subspan(self.first_, std::min(self.count_, kInlineReadBytesMax));
    for (;;) {
      const auto is_ready = co_await stream_ready(self.file_, *bell);
      if (!is_ready) co_return Output{fail(is_ready.error()), std::move(self.buffer_)};
      // None: another reader was faster.
      const auto count = self.file_->try_read(part, 0);
      if (count) co_return Output{*count, std::move(self.buffer_)};
    }
  }
  // The buffer goes along and comes back with the count.
  FileCall call(TransferJob{self.file_, std::move(self.buffer_), self.first_, self.count_,
                            self.offset_.value_or(self.file_->position), reads});
  auto done = co_await call;
  if (!done) co_return Output{fail(done.error()), {}};
  co_return self.finish(done->count, std::move(done->buffer));
}

Result<void> OpenJob::prepare(driver::Operation& operation) noexcept {
  const auto wanted = open_flags(options);
  if (!wanted) return fail(wanted.error());
  flags = *wanted;
  operation.open(AT_FDCWD, path.c_str(), flags, options.mode);
  return check_path(path);
}

Result<File> OpenJob::finish(std::int32_t result) const noexcept {
  if (result < 0) return fail(Error::os(-result));
  Opened opened{OwnedFd::adopt(result), {}};
  // What it is is known by now: this does not ask a server.
  struct statx found{};
  if (::statx(result, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &found) != 0) {
    return fail(Error::os(errno));
  }
  opened.status.st_mode = found.stx_mode;
  try {
    return File::make(std::move(opened), flags, false);
  } catch (const std::bad_alloc&) {
    // The descriptor was not taken out of what was given, and is closed with that.
    return fail(Error::os(ENOMEM));
  }
}

}  // namespace detail

Result<File> File::make(detail::Opened opened, int flags, bool is_local) {
  return File(
      std::make_shared<detail::OpenFile>(std::move(opened.fd), opened.status, flags, is_local));
}

Result<File> File::blocking_open(const std::string& path, const OpenOptions& options) {
  const auto flags = open_flags(options);
  if (!flags) return fail(flags.error());
  auto opened = detail::blocking_open(path, *flags, options.mode);
  if (!opened) return fail(opened.error());
  detail::look_at_folder(path);
  const bool is_local = detail::is_file_local(opened->fd.get());
  return make(std::move(*opened), *flags, is_local);
}

std::optional<Result<File>> File::try_open(const std::string& path, const OpenOptions& options) {
  const auto flags = open_flags(options);
  if (!flags) return fail(flags.error());
  auto opened = detail::try_open(path, *flags, options.mode);
  if (!opened) return std::nullopt;
  if (!*opened) return fail(opened->error());
  return make(std::move(**opened), *flags, true);
}

Result<File> File::adopt_fd(int fd) {
  detail::Opened opened{{}, {}};
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fstat(fd, &opened.status) != 0) return fail(Error::os(errno));
  opened.fd = OwnedFd::adopt(fd);
  auto file = make(std::move(opened), flags, false);
  const off_t position = file->is_stream() ? 0 : ::lseek(fd, 0, SEEK_CUR);
  file->file_->position = static_cast<std::uint64_t>(position < 0 ? 0 : position);
  return file;
}

detail::Transfer File::read(op::Bytes buffer) {
  const std::size_t count = buffer.size();
  return {detail::Transfer::Kind::read, file_, std::move(buffer), 0, count, std::nullopt};
}
detail::Transfer File::read_at(op::Bytes buffer, std::uint64_t offset) {
  const std::size_t count = buffer.size();
  return {detail::Transfer::Kind::read, file_, std::move(buffer), 0, count, offset};
}
detail::Transfer File::write(op::Bytes buffer, std::size_t first, std::size_t count) {
  count = op::detail::clip(buffer.size(), first, count);
  return {detail::Transfer::Kind::write, file_, std::move(buffer), first, count, std::nullopt};
}
detail::Transfer File::write_at(op::Bytes buffer, std::uint64_t offset, std::size_t first,
                                std::size_t count) {
  count = op::detail::clip(buffer.size(), first, count);
  return {detail::Transfer::Kind::write, file_, std::move(buffer), first, count, offset};
}

Async<Result<op::Bytes>> File::read_to_end() {
  const auto file = file_;
  const std::uint64_t start = file->position;
  if (file->is_stream() || detail::is_for_ring_alone()) {
    op::Bytes all;
    for (;;) {
      auto part = co_await read_at(op::Bytes(64 * 1024), start + all.size());
      if (!part.count) co_return fail(part.count.error());
      if (*part.count == 0) {
        if (!file->is_stream()) file->position = start + all.size();
        co_return all;
      }
      all.insert(all.end(), part.buffer.begin(),
                 part.buffer.begin() + static_cast<std::ptrdiff_t>(*part.count));
    }
  }
  const auto found = co_await metadata();
  if (!found) co_return fail(found.error());
  const std::uint64_t left = found->size() > start ? found->size() - start : 0;
  if (left < detail::kInlineReadBytesMax) {
    // One byte more than is left: if all of it comes and no more, that was the end.
    op::Bytes bytes(left + 1);
    const auto count = file->try_read(bytes, start);
    if (count && !*count) co_return fail(count->error());
    if (count && left > 0 && **count == left) {
      bytes.resize(left);
      file->position += left;
      co_return bytes;
    }
  }
  // A variable of its own: GCC 12 destroys what a lambda within a co_await has captured twice.
  auto work = [file, start, left] {
    return detail::blocking_read_to_end(file->fd(), static_cast<std::int64_t>(start), left);
  };
  auto all = co_await call_blocking(std::move(work));
  if (all) file->position += all->size();
  co_return all;
}

Async<Result<void>> File::write_all(op::Bytes bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    auto written = co_await write(std::move(bytes), done);
    if (!written.count) co_return fail(written.count.error());
    done += *written.count;
    bytes = std::move(written.buffer);
  }
  co_return Result<void>();
}

Async<Result<std::uint64_t>> File::seek(std::int64_t offset, Whence whence) {
  if (is_stream()) co_return fail(Error::os(ESPIPE));
  std::uint64_t base = 0;
  if (whence == Whence::current) base = file_->position;
  if (whence == Whence::end) {
    const auto found = co_await metadata();
    if (!found) co_return fail(found.error());
    base = found->size();
  }
  std::int64_t target = 0;
  if (__builtin_add_overflow(static_cast<std::int64_t>(base), offset, &target) || target < 0) {
    co_return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  file_->position = static_cast<std::uint64_t>(target);
  co_return file_->position;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): it is given away, and ends here
Result<void> File::close_file(std::shared_ptr<detail::OpenFile> file) noexcept {
  // Operations that are still in flight keep it open, and close it with their end.
  if (file.use_count() != 1) return {};
  // use_count() orders nothing; the end of a copy acquires what the ends of the others released.
  static_cast<void>(std::shared_ptr(file));
  return file->close();
}

}  // namespace blitzio::fs

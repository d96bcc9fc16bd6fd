#include <blitzio/fs/paths.hpp>
#include <python/bindings/fs_file_at.hpp>
#include <python/support/error.hpp>
#include <python/support/thread_state.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace blitzio::python {

namespace {

/// A bytes object to be read into.
struct Target {
  PyRef bytes;
  std::span<std::byte> span;

  explicit Target(std::size_t count) noexcept
      : bytes(PyRef::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(count)))) {
    if (bytes) span = {reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes.get())), count};
  }
  PyObject* take(const Result<std::size_t>& count) noexcept {
    if (!count) return raise_error(count.error(), "read_at");
    PyObject* object = bytes.release();
    if (*count != span.size()) _PyBytes_Resize(&object, static_cast<Py_ssize_t>(*count));
    return object;
  }
};

/// A handle of its own, for somebody may close the file meanwhile. None with an error set.
std::optional<fs::File> handle_of(PyFile& file, bool (PyFile::*check)() const noexcept) noexcept {
  const ObjectLock lock(file.self);
  if (!(file.*check)() || !file.check_seekable()) return std::nullopt;
  return file.file;
}

PyObject* to_count(const Result<std::size_t>& count) noexcept {
  return count ? PyLong_FromSize_t(*count) : raise_error(count.error(), "write_at");
}

/// How much of `count` bytes there can be at all: no memory is to be touched, or wanted, for more.
std::size_t bytes_there(const fs::File& file, std::size_t count, std::uint64_t offset) noexcept {
  // What is less is not worth a call. Files of the kernel's own say that they are empty.
  constexpr std::uint64_t kNotAsked = 1024 * 1024;
  struct statx status{};
  // What is known here of a file elsewhere: its server may take its time.
  if (count <= kNotAsked ||
      ::statx(file.fd(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE,
              &status) != 0 ||
      !S_ISREG(status.stx_mode)) {
    return count;
  }
  const std::uint64_t size = status.stx_size;
  const std::uint64_t left = size - std::min(size, offset);
  return static_cast<std::size_t>(std::min<std::uint64_t>(count, std::max(left, kNotAsked)));
}

/// Whether what was written before is in the file. False, by `*result` null, with an error set.
bool poll_flush(PyFile& file, std::unique_ptr<FileTurn<FileFlush>>& flush, Context& context,
                bool* is_failed) {
  if (!flush) {
    if (file.pending().empty()) return true;
    flush = std::make_unique<FileTurn<FileFlush>>(file, FileFlush());
  }
  auto answer = flush->poll(context);
  if (answer.is_pending()) return false;
  flush.reset();
  const PyRef none = PyRef::steal(std::move(answer).take());
  *is_failed = !none;
  return static_cast<bool>(none);
}

/// Writes what is pending, on the spot. False if that would wait, or failed with an error set.
bool try_flush(PyFile& file) {
  if (file.pending().empty()) return true;
  if (!file.turn.try_lock()) return false;
  const sync::MutexGuard guard = file.turn.adopt();
  return !file.is_waiting() && file.flush_now() == PyFile::Step::done;
}

}  // namespace

Poll<PyObject*> FileReadAt::poll(Context& context) {
  const ObjectLock lock(file_->self);
  if (!work_) {
    if (!file_->check_reads() || !file_->check_seekable()) return nullptr;
    bool is_failed = false;
    if (!poll_flush(*file_, flush_, context, &is_failed)) {
      if (is_failed) return nullptr;
      return pending;
    }
    if (count_ <= fs::detail::kInlineReadBytesMax) {
      Target target(count_);
      if (!target.bytes) return nullptr;
      if (const auto count = file_->try_read_at(target.span, offset_)) {
        return target.take(*count);
      }
    }
    buffer_ = std::make_shared<op::Bytes>(bytes_there(file_->file, count_, offset_));
    work_ = std::make_unique<fs::detail::FileCall<FileWork>>(
        FileWork{file_->file, FileWork::Kind::read, offset_, buffer_});
  }
  auto answer = work_->poll(context);
  if (answer.is_pending()) return pending;
  const Result<std::size_t> count = std::move(answer).take();
  if (!count) return raise_error(count.error(), "read_at");
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(buffer_->data()),
                                   static_cast<Py_ssize_t>(*count));
}

Poll<PyObject*> FileWriteAt::poll(Context& context) {
  const ObjectLock lock(file_->self);
  const auto data = std::span<const std::byte>(data_.bytes());
  for (;;) {
    if (!work_) {
      if (!file_->check_writes() || !file_->check_seekable()) return nullptr;
      bool is_failed = false;
      if (!poll_flush(*file_, flush_, context, &is_failed)) {
        if (is_failed) return nullptr;
        return pending;
      }
      file_->forget_ahead();
      const auto rest = data.subspan(done_);
      if (rest.empty()) return PyLong_FromSize_t(done_);
      if (const auto count = file_->try_write_at(rest, offset_ + done_)) {
        if (!*count) return raise_error(count->error(), "write_at");
        done_ += **count;
        continue;
      }
      work_ = std::make_unique<fs::detail::FileCall<FileWork>>(
          FileWork{file_->file, FileWork::Kind::write, offset_ + done_,
                   std::make_shared<op::Bytes>(rest.begin(), rest.end())});
    }
    auto answer = work_->poll(context);
    if (answer.is_pending()) return pending;
    work_.reset();
    const Result<std::size_t> count = std::move(answer).take();
    if (!count) return raise_error(count.error(), "write_at");
    done_ += *count;
  }
}

// ---- now, and blocking --------------------------------------------------------------------------

PyObject* try_read_at(PyFile& file, std::size_t count, std::uint64_t offset) noexcept {
  const ObjectLock lock(file.self);
  if (!file.check_reads() || !file.check_seekable()) return nullptr;
  if (!try_flush(file)) return PyErr_Occurred() != nullptr ? nullptr : Py_NewRef(Py_None);
  Target target(bytes_there(file.file, count, offset));
  if (!target.bytes) return nullptr;
  const auto moved = file.file.try_read_at(target.span, offset);
  return moved ? target.take(*moved) : Py_NewRef(Py_None);
}

PyObject* try_write_at(PyFile& file, std::span<const std::byte> data,
                       std::uint64_t offset) noexcept {
  const ObjectLock lock(file.self);
  if (!file.check_writes() || !file.check_seekable()) return nullptr;
  if (!try_flush(file)) return PyErr_Occurred() != nullptr ? nullptr : Py_NewRef(Py_None);
  file.forget_ahead();
  const auto moved = file.file.try_write_at(data, offset);
  return moved ? to_count(*moved) : Py_NewRef(Py_None);
}

PyObject* blocking_read_at(PyFile& file, std::size_t count, std::uint64_t offset) noexcept {
  auto own = handle_of(file, &PyFile::check_reads);
  if (!own) return nullptr;
  Target target(bytes_there(*own, count, offset));
  if (!target.bytes) return nullptr;
  const auto read = [&] {
    const Detached detached;
    return own->blocking_read_at(target.span, offset);
  };
  return target.take(read());
}

PyObject* blocking_write_at(PyFile& file, std::span<const std::byte> data,
                            std::uint64_t offset) noexcept {
  auto own = handle_of(file, &PyFile::check_writes);
  if (!own) return nullptr;
  const auto write = [&] {
    const Detached detached;
    return own->blocking_write_at(data, offset);
  };
  const auto moved = write();
  const ObjectLock lock(file.self);
  file.forget_ahead();
  return to_count(moved);
}

}  // namespace blitzio::python

#include <blitzio/fs/paths.hpp>
#include <python/bindings/fs_operations.hpp>
#include <python/support/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace blitzio::python {

namespace {

using Step = PyFile::Step;

/// The next `count` bytes, of what was read ahead, taken from there.
PyObject* take(PyFile& file, std::size_t count) noexcept {
  count = std::min(count, file.ahead.size());
  PyObject* bytes = PyBytes_FromStringAndSize(
      reinterpret_cast<const char*>(file.ahead.view().data()), static_cast<Py_ssize_t>(count));
  if (bytes == nullptr) return nullptr;
  file.ahead.consume(count);
  file.position += count;
  return bytes;
}

/// Before reading: the file can be read, and everything written is there to be read.
Step begin_read(PyFile& file) {
  return file.check_reads() ? file.flush() : Step::failed;
}

/// How long the line at the beginning of `view` is; 0 if its end is not there.
std::size_t line_length(std::span<const std::byte> view, std::size_t searched) noexcept {
  if (view.size() <= searched) return 0;
  const void* end = std::memchr(view.data() + searched, '\n', view.size() - searched);
  if (end == nullptr) return 0;
  return static_cast<std::size_t>(static_cast<const std::byte*>(end) - view.data()) + 1;
}

/// Brings a whole line, or `limit` bytes of it, or what is left, to the beginning of `ahead`.
/// `done`: `*length` bytes are the line.
Step find_line(PyFile& file, std::size_t limit, std::size_t* searched, std::size_t* length) {
  for (;;) {
    const auto view = file.ahead.view();
    *length = std::min(line_length(view, *searched), limit);
    if (*length > 0) return Step::done;
    *searched = view.size();
    if (view.size() >= limit) break;
    const Step step = file.fill(1);
    if (step == Step::end) break;
    if (step != Step::done) return step;
  }
  *length = std::min(file.ahead.size(), limit);
  return Step::done;
}

}  // namespace

// ---- reading -----------------------------------------------------------------------------------

// A piece that is not smaller than what is read ahead, straight into its object.
Answer FileRead::read_direct(PyFile& file) {
  PyRef bytes = PyRef::steal(PyBytes_FromStringAndSize(nullptr, count));
  if (!bytes) return nullptr;
  const std::span to(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes.get())),
                     static_cast<std::size_t>(count));
  const auto moved = file.try_read(to);
  if (!moved) return std::nullopt;
  if (!*moved) return raise_error(moved->error(), "read");
  if (**moved == to.size() || is_one || **moved == 0) {
    file.position += **moved;
    PyObject* shrunk = bytes.release();
    if (**moved != to.size()) _PyBytes_Resize(&shrunk, static_cast<Py_ssize_t>(**moved));
    return shrunk;
  }
  // The end, or a piece: more may come.
  const auto room = file.ahead.room(**moved);
  std::memcpy(room.data(), to.data(), **moved);
  file.ahead.add(**moved);
  return std::nullopt;
}

Answer FileRead::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  if (count < 0) {
    if (const Step step = file.fill_all(); step != Step::done) return unfinished(step);
    return take(file, file.ahead.size());
  }
  const auto wanted = static_cast<std::size_t>(count);
  if (file.ahead.size() == 0 && wanted > 0 && wanted >= file.buffer_bytes &&
      wanted <= fs::detail::kInlineReadBytesMax) {
    if (const Answer answer = read_direct(file)) return answer;
  }
  while (file.ahead.size() < wanted && !(is_one && file.ahead.size() > 0)) {
    const Step step = file.fill(is_one ? 1 : wanted - file.ahead.size());
    if (step == Step::end) break;
    if (step != Step::done) return unfinished(step);
  }
  return take(file, wanted);
}

Answer FileReadInto::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  const auto to = buffer.bytes();
  while (done < to.size()) {
    const auto rest = to.subspan(done);
    if (file.ahead.size() == 0 && rest.size() >= file.buffer_bytes &&
        rest.size() <= fs::detail::kInlineReadBytesMax) {
      if (const auto moved = file.try_read(rest)) {
        if (!*moved) return raise_error(moved->error(), "readinto");
        file.position += **moved;
        done += **moved;
        if (**moved == 0 || is_one) break;
        continue;
      }
    }
    if (file.ahead.size() == 0) {
      const Step step = file.fill(rest.size());
      if (step == Step::end) break;
      if (step != Step::done) return unfinished(step);
    }
    const auto part = file.ahead.view().first(std::min(rest.size(), file.ahead.size()));
    std::memcpy(rest.data(), part.data(), part.size());
    done += part.size();
    file.position += part.size();
    file.ahead.consume(part.size());
    if (is_one) break;
  }
  return PyLong_FromSize_t(done);
}

Answer FileReadLine::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  std::size_t length = 0;
  const std::size_t most = limit < 0 ? SIZE_MAX : static_cast<std::size_t>(limit);
  const Step step = find_line(file, most, &searched, &length);
  if (step != Step::done) return unfinished(step);
  if (is_next && length == 0) {
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return nullptr;
  }
  return take(file, length);
}

Answer FileReadLines::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  if (!lines && !(lines = PyRef::steal(PyList_New(0)))) return nullptr;
  while (hint <= 0 || total <= hint) {
    std::size_t length = 0;
    const Step step = find_line(file, SIZE_MAX, &searched, &length);
    if (step != Step::done) return unfinished(step);
    if (length == 0) break;
    searched = 0;
    const PyRef line = PyRef::steal(take(file, length));
    if (!line || PyList_Append(lines.get(), line.get()) != 0) return nullptr;
    total += static_cast<Py_ssize_t>(length);
  }
  return lines.release();
}

Answer FilePeek::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  if (file.ahead.size() == 0) {
    const Step step = file.fill(1);
    if (step != Step::done && step != Step::end) return unfinished(step);
  }
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(file.ahead.view().data()),
                                   static_cast<Py_ssize_t>(file.ahead.size()));
}

// ---- writing -----------------------------------------------------------------------------------

Step FileWriter::write(PyFile& file, std::span<const std::byte> data) {
  file.forget_ahead();
  while (done_ < data.size()) {
    const auto rest = data.subspan(done_);
    is_direct_ = false;
    if (!file.buffer(rest)) {
      if (const Step step = file.flush(); step != Step::done) return step;
      if (!file.buffer(rest)) {
        is_direct_ = true;
        std::size_t count = 0;
        if (const Step step = file.write_some(rest, &count); step != Step::done) return step;
        done_ += count;
        continue;
      }
    }
    done_ = data.size();
  }
  return Step::done;
}

Answer FileWrite::step(PyFile& file, Context& /*context*/) {
  if (!file.check_writes()) return nullptr;
  const Step step = writer.write(file, data.bytes());
  if (step != Step::done) return unfinished(step);
  if (!returns_count) return Py_NewRef(Py_None);
  return PyLong_FromSize_t(data.bytes().size());
}

Answer FileFlush::step(PyFile& file, Context& /*context*/) {
  if (!file.check_open()) return nullptr;
  const Step step = file.flush();
  return step == Step::done ? Answer(Py_NewRef(Py_None)) : unfinished(step);
}

// ---- the position ------------------------------------------------------------------------------

Answer FileTell::step(PyFile& file, Context& /*context*/) {
  return file.check_seekable() ? PyLong_FromUnsignedLongLong(file.position) : nullptr;
}

PyObject* move_to(PyFile& file, std::uint64_t base, std::int64_t offset) noexcept {
  std::int64_t target = 0;
  if (__builtin_add_overflow(static_cast<std::int64_t>(base), offset, &target) || target < 0) {
    return raise_error(Error::os(EINVAL), "seek");
  }
  const auto position = static_cast<std::uint64_t>(target);
  if (position >= file.position && position - file.position <= file.ahead.size()) {
    file.ahead.consume(static_cast<std::size_t>(position - file.position));
  } else {
    file.ahead.clear();
  }
  file.position = position;
  return PyLong_FromUnsignedLongLong(position);
}

Answer FileSeek::step(PyFile& file, Context& /*context*/) {
  if (!file.check_seekable()) return nullptr;
  if (const Step step = file.flush(); step != Step::done) return unfinished(step);
  return move_to(file, is_relative ? file.position : 0, offset);
}

// ---- closing -----------------------------------------------------------------------------------

void FileClose::failed(Error reason) noexcept {
  raise_error(reason, "close");
  error = take_exception();
}

Answer FileClose::step(PyFile& file, Context& context) {
  if (!closing) {
    if (file.is_closed) return Py_NewRef(Py_None);
    if (!error) {
      const Step step = file.flush();
      if (step == Step::wait) return std::nullopt;
      if (step == Step::failed) error = take_exception();
    }
    file.is_closed = true;
    file.drop_buffers();
    closing.reset(new Closing(file.file.close()));
  }
  auto answer = closing->poll(context);
  if (answer.is_pending()) return std::nullopt;
  const auto closed = std::move(answer).take();
  if (error) {
    restore_exception(std::move(error));
    return nullptr;
  }
  return closed ? Py_NewRef(Py_None) : raise_error(closed.error(), "close");
}

}  // namespace blitzio::python

// The operations of a TextFile.
#include <python/bindings/fs_text.hpp>
#include <python/support/error.hpp>

#include <algorithm>

namespace blitzio::python {

namespace {

using Step = PyFile::Step;

/// Before reading: as with a File.
Step begin_read(PyFile& file) {
  return file.check_reads() ? file.flush() : Step::failed;
}

/// Has a whole line decoded, or `limit` characters of it, or what is left. `done`: `*length`.
Step find_line(PyText& text, Py_ssize_t limit, Py_ssize_t* searched, Py_ssize_t* length) {
  for (;;) {
    *length = text.line_length(*searched);
    if (*length < 0) return Step::failed;
    if (*length > 0 || text.size() >= limit) break;
    *searched = text.size();
    const Step step = text.decode(static_cast<std::size_t>(text.size()));
    if (step == Step::end) break;
    if (step != Step::done) return step;
  }
  *length = std::min(*length > 0 ? *length : text.size(), limit);
  return Step::done;
}

}  // namespace

Answer TextRead::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  if (count < 0) {
    if (const Step step = file.fill_all(); step != Step::done) return unfinished(step);
  }
  while (count < 0 || text->size() < count) {
    const std::size_t wanted =
        count < 0 ? file.ahead.size() : static_cast<std::size_t>(count - text->size());
    const Step step = text->decode(wanted);
    if (step == Step::end) break;
    if (step != Step::done) return unfinished(step);
  }
  return text->take(count < 0 ? text->size() : count);
}

Answer TextReadLine::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  Py_ssize_t length = 0;
  const Step step = find_line(*text, limit < 0 ? PY_SSIZE_T_MAX : limit, &searched, &length);
  if (step != Step::done) return unfinished(step);
  if (is_next && length == 0) {
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return nullptr;
  }
  return text->take(length);
}

Answer TextReadLines::step(PyFile& file, Context& /*context*/) {
  if (const Step step = begin_read(file); step != Step::done) return unfinished(step);
  if (!lines && !(lines = PyRef::steal(PyList_New(0)))) return nullptr;
  while (hint <= 0 || total <= hint) {
    Py_ssize_t length = 0;
    const Step step = find_line(*text, PY_SSIZE_T_MAX, &searched, &length);
    if (step != Step::done) return unfinished(step);
    if (length == 0) break;
    searched = 0;
    const PyRef line = PyRef::steal(text->take(length));
    if (!line || PyList_Append(lines.get(), line.get()) != 0) return nullptr;
    total += length;
  }
  return lines.release();
}

Answer TextWrite::step(PyFile& file, Context& /*context*/) {
  if (!file.check_writes()) return nullptr;
  if (PyUnicode_Check(data.get())) {
    length = PyUnicode_GET_LENGTH(data.get());
    must_flush = text->is_line_buffered && PyUnicode_FindChar(data.get(), '\n', 0, length, 1) >= 0;
    // As io.TextIOWrapper: what was decoded and not taken is behind the position.
    if (text->size() > 0 && !text->restart(file.position, 0)) return nullptr;
    data = text->encode(data.get());
    if (!data) return nullptr;
  }
  const std::span bytes(reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(data.get())),
                        static_cast<std::size_t>(PyBytes_GET_SIZE(data.get())));
  if (const Step step = writer.write(file, bytes); step != Step::done) return unfinished(step);
  if (must_flush) {
    if (const Step step = file.flush(); step != Step::done) return unfinished(step);
  }
  return returns_count ? PyLong_FromSsize_t(length) : Py_NewRef(Py_None);
}

Answer TextTell::step(PyFile& file, Context& /*context*/) {
  if (!file.check_seekable()) return nullptr;
  // Where an appending write goes is known once it is written. As io.TextIOWrapper, unlike bytes.
  if (file.mode.appends) {
    if (const Step step = file.flush(); step != Step::done) return unfinished(step);
  }
  return text->tell();
}

Answer TextSeek::step(PyFile& file, Context& /*context*/) {
  if (!file.check_seekable()) return nullptr;
  if (const Step step = file.flush(); step != Step::done) return unfinished(step);
  const PyRef moved = PyRef::steal(move_to(file, 0, static_cast<std::int64_t>(position)));
  if (!moved || !text->restart(position, flags)) return nullptr;
  return Py_NewRef(moved.get());
}

}  // namespace blitzio::python

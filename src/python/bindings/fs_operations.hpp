// The operations of a File: what `FileTurn` runs. TextFile is made of some of them too.
//
// Their step() is called again after each wait, and begins at what it has got.
#pragma once

#include <python/bindings/fs_file.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace blitzio::python {

/// A result, or none while something is waited for.
using Answer = std::optional<PyObject*>;

/// The answer of a step that is not done: none, or the error.
[[nodiscard]] inline Answer unfinished(PyFile::Step step) noexcept {
  return step == PyFile::Step::wait ? Answer() : Answer(nullptr);
}

/// read(n), read1(n): -1 is all. A read1() is content with one piece.
struct FileRead {
  Py_ssize_t count;
  bool is_one = false;
  Answer step(PyFile& file, Context& context);

 private:
  Answer read_direct(PyFile& file);
};

struct FileReadInto {
  HeldBuffer buffer;
  bool is_one = false;
  std::size_t done = 0;
  Answer step(PyFile& file, Context& context);
  int traverse(visitproc visit, void* arg) noexcept { return buffer.traverse(visit, arg); }
};

/// readline(limit), and the next line of `async for`.
struct FileReadLine {
  Py_ssize_t limit;
  bool is_next = false;
  std::size_t searched = 0;
  Answer step(PyFile& file, Context& context);
};

/// readlines(hint): until more bytes than that came.
struct FileReadLines {
  Py_ssize_t hint;
  PyRef lines;
  Py_ssize_t total = 0;
  std::size_t searched = 0;
  Answer step(PyFile& file, Context& context);
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(lines.get());
    return 0;
  }
};

struct FilePeek {
  Answer step(PyFile& file, Context& context);
};

/// Writes all of some bytes, for operations that have them.
class FileWriter {
 public:
  /// `done` once all of `data`, the same in each call, is buffered or written.
  [[nodiscard]] PyFile::Step write(PyFile& file, std::span<const std::byte> data);
  /// What was waited for moved so much: bytes of the data, or those that were pending before.
  void moved(std::size_t count) noexcept {
    if (is_direct_) done_ += count;
  }

 private:
  std::size_t done_ = 0;
  bool is_direct_ = false;
};

struct FileWrite {
  HeldBuffer data;
  bool returns_count = true;
  FileWriter writer = {};
  Answer step(PyFile& file, Context& context);
  void moved(std::size_t count) noexcept { writer.moved(count); }
  int traverse(visitproc visit, void* arg) noexcept { return data.traverse(visit, arg); }
};

struct FileFlush {
  Answer step(PyFile& file, Context& context);
};

struct FileTell {
  Answer step(PyFile& file, Context& context);
};

/// seek() to where is known; FileThen with the size for what counts from the end.
struct FileSeek {
  std::int64_t offset;
  bool is_relative;
  Answer step(PyFile& file, Context& context);
};
/// Makes `base` plus `offset` the position. The new position, or null with an error set.
[[nodiscard]] PyObject* move_to(PyFile& file, std::uint64_t base, std::int64_t offset) noexcept;

/// Closes, also when writing what was pending fails: that is raised then.
struct FileClose {
  using Closing = decltype(std::declval<fs::File&>().close());
  PyRef error;
  std::unique_ptr<Closing> closing = nullptr;
  Answer step(PyFile& file, Context& context);
  void failed(Error reason) noexcept;
};

/// Writes what is pending, then waits for a future of the core's, `make(file)`, and returns
/// `convert(file, output)`.
template <class Make, class Convert>
struct FileThen {
  Make make;
  Convert convert;
  std::unique_ptr<std::invoke_result_t<Make&, PyFile&>> future = nullptr;

  Answer step(PyFile& file, Context& context) {
    if (!future) {
      if (!file.check_open()) return nullptr;
      if (const auto step = file.flush(); step != PyFile::Step::done) return unfinished(step);
      future.reset(new std::invoke_result_t<Make&, PyFile&>(make(file)));
    }
    auto answer = future->poll(context);
    if (answer.is_pending()) return std::nullopt;
    return convert(file, std::move(answer).take());
  }
};

}  // namespace blitzio::python

// `PyText`: what `blitzio.fs.TextFile` holds: a File of bytes, and text that was decoded and not
// taken yet.
//
// Bytes are decoded a piece at a time. What belongs to no whole character stays with the File, so
// its position is that of the next byte to decode. Each piece is remembered as long as some of its
// text is left, for tell(): in UTF-8 the text that is left says itself how many bytes it came of;
// for others, and where line ends were translated, the piece's bytes are kept and decoded again.
//
// Threads: as PyFile; operations take their turn at the File.
#pragma once

#include <python/bindings/fs_encoding.hpp>
#include <python/bindings/fs_operations.hpp>

#include <deque>

namespace blitzio::python {

class PyText {
 public:
  PyText(PyRef binary_in, Encoding encoding_in, Newline newline_in, bool is_line_buffered_in);

  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(binary.get());
    Py_VISIT(decoder_.get());
    Py_VISIT(encoder_.get());
    return 0;
  }
  void clear() noexcept {
    decoder_.reset();
    encoder_.reset();
  }

  /// How many characters are decoded.
  [[nodiscard]] Py_ssize_t size() const noexcept {
    return text_ ? PyUnicode_GET_LENGTH(text_.get()) - used_ : 0;
  }
  /// Decodes the next bytes, about `wanted` if they are many. `end`: there are none.
  [[nodiscard]] PyFile::Step decode(std::size_t wanted);
  /// The next `count` characters, taken. Null with an error set.
  [[nodiscard]] PyObject* take(Py_ssize_t count) noexcept;
  /// How many of the decoded characters are the first line; 0: its end is not there, -1: an error.
  /// Those before `searched` are known not to end it.
  [[nodiscard]] Py_ssize_t line_length(Py_ssize_t searched) const noexcept;

  /// `text` as bytes to be written next. Null with an error set.
  [[nodiscard]] PyRef encode(PyObject* text) noexcept;
  /// A cookie for seek(). Null with an error set.
  [[nodiscard]] PyObject* tell() noexcept;
  /// Forgets what was decoded: reading goes on at the File's position, in the decoder's state
  /// `flags`. False with an error set.
  [[nodiscard]] bool restart(std::uint64_t position, long long flags) noexcept;

  [[nodiscard]] PyFile& file() const noexcept { return PyFile::of(binary.get()); }

  const PyRef binary;
  const Encoding encoding;
  const Newline newline;
  const bool is_line_buffered;

 private:
  struct Piece {
    std::uint64_t begin;  ///< where its bytes are
    std::uint64_t end;
    Py_ssize_t length;  ///< of its text
    Py_ssize_t taken;   ///< characters of it
    PyRef bytes;        ///< null: its text says how many bytes it came of
    long long flags;    ///< the decoder's state before it
  };

  [[nodiscard]] bool decode_piece(std::span<const std::byte> bytes, bool is_final, Piece* piece,
                                  std::size_t* used, PyRef* text) noexcept;
  [[nodiscard]] bool add(PyRef text, Piece piece);
  [[nodiscard]] PyObject* tell_in(const Piece& piece) noexcept;
  [[nodiscard]] bool make_decoder() noexcept;

  PyRef text_;
  Py_ssize_t used_ = 0;        ///< characters of `text_` that were taken
  std::deque<Piece> pieces_;   ///< of what is left of `text_`
  std::size_t undecoded_ = 0;  ///< bytes ahead that are no whole character yet
  // Of bytes, for all encodings but UTF-8; of text, once "\r" was seen, in UTF-8.
  PyRef decoder_;
  PyRef encoder_;
};

/// Operations of a TextFile; see FileRead and its siblings.
struct TextRead {
  PyText* text;
  Py_ssize_t count;
  Answer step(PyFile& file, Context& context);
};
struct TextReadLine {
  PyText* text;
  Py_ssize_t limit;
  bool is_next = false;
  Py_ssize_t searched = 0;
  Answer step(PyFile& file, Context& context);
};
struct TextReadLines {
  PyText* text;
  Py_ssize_t hint;
  PyRef lines = {};  // NOLINT(readability-redundant-member-init): lets initialisers end before it
  Py_ssize_t total = 0;
  Py_ssize_t searched = 0;
  Answer step(PyFile& file, Context& context);
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(lines.get());
    return 0;
  }
};
struct TextWrite {
  PyText* text;
  PyRef data;  ///< str; bytes once it is encoded
  bool returns_count = true;
  Py_ssize_t length = 0;
  bool must_flush = false;
  FileWriter writer = {};
  Answer step(PyFile& file, Context& context);
  void moved(std::size_t count) noexcept { writer.moved(count); }
};
struct TextTell {
  PyText* text;
  Answer step(PyFile& file, Context& context);
};
/// To a cookie of tell().
struct TextSeek {
  PyText* text;
  std::uint64_t position;
  long long flags;
  Answer step(PyFile& file, Context& context);
};

/// A TextFile of a File. Null with an error set.
[[nodiscard]] PyObject* make_text_file(ModuleState& state, PyRef file, const Encoding& encoding,
                                       const Newline& newline, bool is_line_buffered) noexcept;

[[nodiscard]] int fs_text_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

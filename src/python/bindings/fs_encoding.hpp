// Encodings of text: which one is meant, and text to bytes and back, whole.
#pragma once

#include <python/support/state.hpp>

#include <string>

namespace blitzio::python {

/// An encoding, and what is done about errors.
struct Encoding {
  std::string name = "utf-8";
  std::string errors = "strict";

  /// As open() does: no encoding is the locale's. False with TypeError, ValueError or LookupError
  /// set.
  [[nodiscard]] bool parse(PyObject* encoding, PyObject* errors_in) noexcept;
  [[nodiscard]] bool is_utf8() const noexcept { return name == "utf-8"; }
};

/// How lines end: None, "", "\n", "\r" or "\r\n", as open() has it.
struct Newline {
  bool is_universal = true;   ///< in reading, "\r" and "\r\n" end a line too
  bool is_translated = true;  ///< and are given as "\n"
  std::string end = "\n";     ///< else: what ends a line; and what "\n" is written as

  /// False with TypeError or ValueError set.
  [[nodiscard]] bool parse(PyObject* newline) noexcept;
};

/// New references, or null with an error set.
[[nodiscard]] PyRef translate_newlines(PyObject* text, const Newline& newline) noexcept;
[[nodiscard]] PyRef encode_text(PyObject* text, const Encoding& encoding,
                                const Newline& newline) noexcept;
[[nodiscard]] PyRef decode_text(ModuleState& state, PyRef bytes, const Encoding& encoding,
                                const Newline& newline) noexcept;

}  // namespace blitzio::python

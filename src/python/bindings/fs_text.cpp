#include <python/bindings/fs_text.hpp>
#include <python/support/error.hpp>

#include <algorithm>

namespace blitzio::python {

namespace {

constexpr std::size_t kPieceBytesMax = 1024 * 1024;

PyRef make_bytes(std::span<const std::byte> bytes) noexcept {
  return PyRef::steal(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                                static_cast<Py_ssize_t>(bytes.size())));
}

/// `codecs.<name>(encoding)(errors)`.
PyRef make_codec(const char* name, const Encoding& encoding) noexcept {
  const PyRef codecs = PyRef::steal(PyImport_ImportModule("codecs"));
  if (!codecs) return {};
  const PyRef type =
      PyRef::steal(PyObject_CallMethod(codecs.get(), name, "s", encoding.name.c_str()));
  if (!type) return {};
  return PyRef::steal(PyObject_CallFunction(type.get(), "s", encoding.errors.c_str()));
}

/// A decoder's state: what it keeps of bytes, and the rest of it. False with an error set.
bool state_of_decoder(PyObject* decoder, PyRef* kept, long long* flags) noexcept {
  const PyRef state = PyRef::steal(PyObject_CallMethod(decoder, "getstate", nullptr));
  if (!state) return false;
  PyObject* bytes = nullptr;
  if (!PyTuple_Check(state.get())) {
    PyErr_SetString(PyExc_TypeError, "illegal decoder state");
    return false;
  }
  if (!PyArg_ParseTuple(state.get(), "SL;illegal decoder state", &bytes, flags)) return false;
  *kept = PyRef::borrow(bytes);
  return true;
}

/// What a decoder makes of `input`, which is text. Null with an error set: a codec may be
/// anybody's.
PyRef decode_by(PyObject* decoder, PyObject* input, bool is_final) noexcept {
  PyRef text = PyRef::steal(
      PyObject_CallMethod(decoder, "decode", "OO", input, is_final ? Py_True : Py_False));
  if (text && !PyUnicode_Check(text.get())) {
    PyErr_Format(PyExc_TypeError, "decoder should return a string result, not '%.200s'",
                 Py_TYPE(text.get())->tp_name);
    return {};
  }
  return text;
}

/// `position`, and `flags` above its 64 bits.
PyObject* make_cookie(std::uint64_t position, long long flags) noexcept {
  const PyRef low = PyRef::steal(PyLong_FromUnsignedLongLong(position));
  if (!low || flags == 0) return PyRef::borrow(low.get()).release();
  const PyRef high = PyRef::steal(PyLong_FromLongLong(flags));
  const PyRef bits = PyRef::steal(PyLong_FromLong(64));
  if (!high || !bits) return nullptr;
  const PyRef shifted = PyRef::steal(PyNumber_Lshift(high.get(), bits.get()));
  return shifted ? PyNumber_Or(shifted.get(), low.get()) : nullptr;
}

}  // namespace

PyText::PyText(PyRef binary_in, Encoding encoding_in, Newline newline_in, bool is_line_buffered_in)
    : binary(std::move(binary_in)),
      encoding(std::move(encoding_in)),
      newline(std::move(newline_in)),
      is_line_buffered(is_line_buffered_in) {}

// ---- decoding ----------------------------------------------------------------------------------

bool PyText::make_decoder() noexcept {
  if (decoder_) return true;
  PyRef codec = PyRef::borrow(Py_None);
  if (!encoding.is_utf8()) {
    codec = make_codec("getincrementaldecoder", encoding);
    if (!codec) return false;
  }
  if (newline.is_universal) {
    ModuleState& state = *Box<PyFile>::of(binary.get()).state;
    decoder_ = PyRef::steal(PyObject_CallFunction(state.newline_decoder, "OO", codec.get(),
                                                  newline.is_translated ? Py_True : Py_False));
  } else {
    decoder_ = std::move(codec);
  }
  return static_cast<bool>(decoder_);
}

// Of UTF-8, text as it is as a rule; with "\r" in it, by way of a decoder of line ends.
bool PyText::decode_piece(std::span<const std::byte> bytes, bool is_final, Piece* piece,
                          std::size_t* used, PyRef* text) noexcept {
  const auto* chars = reinterpret_cast<const char*>(bytes.data());
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  piece->flags = 0;
  PyRef fed;
  if (!encoding.is_utf8() || encoding.errors != "strict") {
    // A copy: what Python code is called may write at an offset, which drops what was read ahead.
    fed = make_bytes(bytes);
    if (!fed) return false;
    chars = PyBytes_AS_STRING(fed.get());
  }
  if (!encoding.is_utf8()) {
    PyRef kept;
    if (!make_decoder() || !state_of_decoder(decoder_.get(), &kept, &piece->flags)) {
      return false;
    }
    *text = decode_by(decoder_.get(), fed.get(), is_final);
    if (!*text) return false;
    *used = bytes.size();
    piece->begin -= static_cast<std::uint64_t>(PyBytes_GET_SIZE(kept.get()));
    PyObject* whole = kept.release();
    PyBytes_Concat(&whole, fed.get());
    piece->bytes = PyRef::steal(whole);
    return static_cast<bool>(piece->bytes);
  }
  Py_ssize_t consumed = size;
  *text = PyRef::steal(PyUnicode_DecodeUTF8Stateful(chars, size, encoding.errors.c_str(),
                                                    is_final ? nullptr : &consumed));
  if (!*text) return false;
  *used = static_cast<std::size_t>(consumed);
  if (fed) {
    piece->bytes = consumed == size ? std::move(fed)
                                    : PyRef::steal(PyBytes_FromStringAndSize(chars, consumed));
    if (!piece->bytes) return false;
  }
  if (!newline.is_universal) return true;
  if (!decoder_) {
    const Py_ssize_t found =
        PyUnicode_FindChar(text->get(), '\r', 0, PyUnicode_GET_LENGTH(text->get()), 1);
    if (found == -2) return false;
    if (found == -1) return true;
  }
  if (!piece->bytes) piece->bytes = make_bytes(bytes.first(*used));
  PyRef kept;
  if (!piece->bytes || !make_decoder() || !state_of_decoder(decoder_.get(), &kept, &piece->flags)) {
    return false;
  }
  *text = decode_by(decoder_.get(), text->get(), is_final);
  return static_cast<bool>(*text);
}

bool PyText::add(PyRef text, Piece piece) {
  piece.length = PyUnicode_GET_LENGTH(text.get());
  if (size() > 0) {
    const PyRef rest =
        PyRef::steal(PyUnicode_Substring(text_.get(), used_, PyUnicode_GET_LENGTH(text_.get())));
    if (!rest) return false;
    text = PyRef::steal(PyUnicode_Concat(rest.get(), text.get()));
    if (!text) return false;
  }
  text_ = std::move(text);
  used_ = 0;
  pieces_.push_back(std::move(piece));
  return true;
}

PyFile::Step PyText::decode(std::size_t wanted) {
  PyFile& own = file();
  bool is_final = false;
  if (own.ahead.size() <= undecoded_) {
    const PyFile::Step step = own.fill(std::clamp(wanted, kBufferBytes, kPieceBytesMax));
    if (step == PyFile::Step::wait || step == PyFile::Step::failed) return step;
    is_final = step == PyFile::Step::end;
  }
  auto bytes = own.ahead.view();
  bytes = bytes.first(std::min(bytes.size(), std::max(wanted, kBufferBytes)));
  Piece piece{.begin = own.position, .end = 0, .length = 0, .taken = 0, .bytes = {}, .flags = 0};
  std::size_t used = 0;
  PyRef text;
  if (!decode_piece(bytes, is_final, &piece, &used, &text)) return PyFile::Step::failed;
  // Less, if it was dropped meanwhile; then it is read again from where the next text begins.
  own.ahead.consume(std::min(used, own.ahead.size()));
  own.position += used;
  undecoded_ = bytes.size() - used;
  piece.end = own.position;
  if (PyUnicode_GET_LENGTH(text.get()) == 0) {
    return is_final ? PyFile::Step::end : PyFile::Step::done;
  }
  return add(std::move(text), std::move(piece)) ? PyFile::Step::done : PyFile::Step::failed;
}

PyObject* PyText::take(Py_ssize_t count) noexcept {
  count = std::min(count, size());
  if (count == 0) return PyUnicode_FromStringAndSize(nullptr, 0);
  const bool is_all = count == size();
  PyObject* taken = is_all && used_ == 0 ? Py_NewRef(text_.get())
                                         : PyUnicode_Substring(text_.get(), used_, used_ + count);
  if (taken == nullptr) return nullptr;
  used_ += count;
  while (count > 0) {
    Piece& piece = pieces_.front();
    const Py_ssize_t part = std::min(count, piece.length - piece.taken);
    piece.taken += part;
    count -= part;
    if (piece.taken == piece.length) pieces_.pop_front();
  }
  if (is_all) text_.reset();
  return taken;
}

Py_ssize_t PyText::line_length(Py_ssize_t searched) const noexcept {
  if (size() <= searched) return 0;
  const Py_ssize_t begin = used_ + searched;
  const Py_ssize_t end = PyUnicode_GET_LENGTH(text_.get());
  Py_ssize_t found = -1;
  Py_ssize_t width = 1;
  if (newline.end == "\r\n") {
    const PyRef both = PyRef::steal(PyUnicode_FromString("\r\n"));
    if (!both) return -1;
    // Half of it may have been searched already.
    found = PyUnicode_Find(text_.get(), both.get(), std::max(used_, begin - 1), end, 1);
    width = 2;
  } else {
    found =
        PyUnicode_FindChar(text_.get(), static_cast<unsigned char>(newline.end[0]), begin, end, 1);
    if (newline.is_universal && !newline.is_translated && found != -2) {
      const Py_ssize_t limit = found == -1 ? end : found;
      const Py_ssize_t carriage = PyUnicode_FindChar(text_.get(), '\r', begin, limit, 1);
      if (carriage >= 0) {
        width = carriage + 1 == found ? 2 : 1;
        found = carriage;
      }
    }
  }
  if (found == -2) return -1;
  return found == -1 ? 0 : found + width - used_;
}

// ---- encoding ----------------------------------------------------------------------------------

PyRef PyText::encode(PyObject* text) noexcept {
  if (encoding.is_utf8()) return encode_text(text, encoding, newline);
  if (!encoder_) {
    // It keeps state: a mark of the byte order is written once, at the beginning.
    encoder_ = make_codec("getincrementalencoder", encoding);
    if (!encoder_) return {};
    if (file().position != 0) {
      const PyRef done = PyRef::steal(PyObject_CallMethod(encoder_.get(), "setstate", "i", 0));
      if (!done) return {};
    }
  }
  PyRef translated = translate_newlines(text, newline);
  if (!translated) return {};
  PyRef bytes = PyRef::steal(PyObject_CallMethod(encoder_.get(), "encode", "O", translated.get()));
  if (bytes && !PyBytes_Check(bytes.get())) {
    PyErr_Format(PyExc_TypeError, "encoder should return a bytes object, not '%.200s'",
                 Py_TYPE(bytes.get())->tp_name);
    return {};
  }
  return bytes;
}

// ---- the position ------------------------------------------------------------------------------

// A cookie for the place behind the characters of `piece` that were taken.
PyObject* PyText::tell_in(const Piece& piece) noexcept {
  if (!piece.bytes) {
    const PyRef rest =
        PyRef::steal(PyUnicode_Substring(text_.get(), used_, used_ + piece.length - piece.taken));
    Py_ssize_t bytes = 0;
    if (!rest || PyUnicode_AsUTF8AndSize(rest.get(), &bytes) == nullptr) return nullptr;
    return make_cookie(piece.end - static_cast<std::uint64_t>(bytes), 0);
  }
  if (piece.taken == 0) return make_cookie(piece.begin, piece.flags);
  const PyRef helpers = PyRef::steal(PyImport_ImportModule("blitzio._fs.position"));
  if (!helpers) return nullptr;
  const PyRef found = PyRef::steal(
      PyObject_CallMethod(helpers.get(), "position_in", "OLnssi", piece.bytes.get(), piece.flags,
                          piece.taken, encoding.name.c_str(), encoding.errors.c_str(),
                          newline.is_universal ? (newline.is_translated ? 1 : 0) : -1));
  if (!found) return nullptr;
  long long offset = 0;
  long long flags = 0;
  if (!PyArg_ParseTuple(found.get(), "LL", &offset, &flags)) return nullptr;
  return make_cookie(piece.begin + static_cast<std::uint64_t>(offset), flags);
}

PyObject* PyText::tell() noexcept {
  if (!pieces_.empty()) return tell_in(pieces_.front());
  const std::uint64_t position = file().position;
  if (!decoder_) return make_cookie(position, 0);
  PyRef kept;
  long long flags = 0;
  if (!state_of_decoder(decoder_.get(), &kept, &flags)) return nullptr;
  return make_cookie(position - static_cast<std::uint64_t>(PyBytes_GET_SIZE(kept.get())), flags);
}

bool PyText::restart(std::uint64_t position, long long flags) noexcept {
  text_.reset();
  used_ = 0;
  pieces_.clear();
  undecoded_ = 0;
  if (flags != 0 && !make_decoder()) return false;
  if (decoder_) {
    // At the beginning there may be a mark of the byte order again.
    const PyRef done =
        PyRef::steal(position == 0 && flags == 0
                         ? PyObject_CallMethod(decoder_.get(), "reset", nullptr)
                         : PyObject_CallMethod(decoder_.get(), "setstate", "((yL))", "", flags));
    if (!done) return false;
  }
  if (!encoder_) return true;
  const PyRef done =
      PyRef::steal(position == 0 ? PyObject_CallMethod(encoder_.get(), "reset", nullptr)
                                 : PyObject_CallMethod(encoder_.get(), "setstate", "i", 0));
  return static_cast<bool>(done);
}

}  // namespace blitzio::python

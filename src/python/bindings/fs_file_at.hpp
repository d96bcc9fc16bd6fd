// read_at() and write_at() of a File: at an offset, without its position. Several may be under way
// at a time, so they take no turn; only what write() left in memory has to be written first.
#pragma once

#include <python/bindings/fs_operations.hpp>

#include <memory>

namespace blitzio::python {

class FileReadAt {
 public:
  using Output = PyObject*;
  FileReadAt(PyFile& file, std::size_t count, std::uint64_t offset) noexcept
      : file_(&file), count_(count), offset_(offset) {}
  Poll<PyObject*> poll(Context& context);

 private:
  PyFile* file_;
  std::size_t count_;
  std::uint64_t offset_;
  std::unique_ptr<FileTurn<FileFlush>> flush_;
  std::shared_ptr<op::Bytes> buffer_;
  std::unique_ptr<fs::detail::FileCall<FileWork>> work_;
};

class FileWriteAt {
 public:
  using Output = PyObject*;
  FileWriteAt(PyFile& file, HeldBuffer data, std::uint64_t offset) noexcept
      : file_(&file), data_(std::move(data)), offset_(offset) {}
  Poll<PyObject*> poll(Context& context);
  int traverse(visitproc visit, void* arg) noexcept { return data_.traverse(visit, arg); }

 private:
  PyFile* file_;
  HeldBuffer data_;
  std::uint64_t offset_;
  std::size_t done_ = 0;
  std::unique_ptr<FileTurn<FileFlush>> flush_;
  std::unique_ptr<fs::detail::FileCall<FileWork>> work_;
};

/// The same now, or None; and from a plain thread.
[[nodiscard]] PyObject* try_read_at(PyFile& file, std::size_t count, std::uint64_t offset) noexcept;
[[nodiscard]] PyObject* try_write_at(PyFile& file, std::span<const std::byte> data,
                                     std::uint64_t offset) noexcept;
[[nodiscard]] PyObject* blocking_read_at(PyFile& file, std::size_t count,
                                         std::uint64_t offset) noexcept;
[[nodiscard]] PyObject* blocking_write_at(PyFile& file, std::span<const std::byte> data,
                                          std::uint64_t offset) noexcept;

}  // namespace blitzio::python

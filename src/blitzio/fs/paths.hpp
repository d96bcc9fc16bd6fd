// Files by their path, whole: reading, writing, looking, moving.
//
// `x` is a future: it tries to have its answer on the spot where that takes microseconds
// (read_file, write_file, append, stat, exists; docs/design/files.md says when), and else runs
// `blocking_x` in a thread of a pool, all of it in one trip. `try_x` is that attempt alone: empty
// if it would have to wait.
//
// Threads: any.   Cancel: dropping a future before a thread has begun means that nothing happens;
// afterwards it is done to its end, and nobody is told.   Errors: those of the system calls;
// invalid_argument for a path with a NUL byte.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/executor/operations.hpp>
#include <blitzio/fs/detail/attempt.hpp>
#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/whole.hpp>
#include <blitzio/fs/metadata.hpp>

#include <fcntl.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace blitzio::fs {

namespace detail {

/// What stat(2) said, as an answer to "is there anything?".
[[nodiscard]] inline Result<bool> to_existence(const Result<Metadata>& found) noexcept {
  if (found) return true;
  const Error error = found.error();
  if (error.is_os(ENOENT) || error.is_os(ENOTDIR) || error.is_os(ELOOP)) return false;
  return fail(error);
}

}  // namespace detail

/// What write_file() does with the content that is there.
enum class WriteMode : std::uint8_t { replace, append };
namespace detail {
/// For open(2).
[[nodiscard]] constexpr int write_flags(WriteMode how) noexcept {
  return O_WRONLY | O_CREAT | (how == WriteMode::append ? O_APPEND : O_TRUNC);
}
}  // namespace detail

[[nodiscard]] Result<op::Bytes> blocking_read_file(const std::string& path);
[[nodiscard]] std::optional<Result<op::Bytes>> try_read_file(const std::string& path);
[[nodiscard]] Result<void> blocking_write_file(const std::string& path,
                                               std::span<const std::byte> data,
                                               WriteMode how = WriteMode::replace,
                                               mode_t mode = 0666) noexcept;
[[nodiscard]] std::optional<Result<void>> try_write_file(const std::string& path,
                                                         std::span<const std::byte> data,
                                                         WriteMode how = WriteMode::replace,
                                                         mode_t mode = 0666) noexcept;
[[nodiscard]] Result<Metadata> blocking_stat(const std::string& path,
                                             bool follow_symlinks = true) noexcept;
[[nodiscard]] std::optional<Result<Metadata>> try_stat(const std::string& path,
                                                       bool follow_symlinks = true) noexcept;
[[nodiscard]] Result<bool> blocking_exists(const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_remove(const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_rename(const std::string& from, const std::string& to) noexcept;
[[nodiscard]] Result<std::uint64_t> blocking_copy(const std::string& from, const std::string& to);
[[nodiscard]] Result<void> blocking_set_permissions(const std::string& path, mode_t mode) noexcept;
[[nodiscard]] Result<std::string> blocking_read_link(const std::string& path);
[[nodiscard]] Result<void> blocking_symlink(const std::string& target,
                                            const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_hard_link(const std::string& target,
                                              const std::string& path) noexcept;

/// Whether writing and creating may be tried on the spot at all, in this process (they may, at
/// first): if not, they always go to a thread. Reading what is cached is not affected.
void set_inline_writes(bool allowed) noexcept;

/// The whole content.   Returns  future of Result<op::Bytes>.
inline auto read_file(std::string path) {
  auto shared = std::make_shared<const std::string>(std::move(path));
  return detail::Attempt(
      [shared] { return try_read_file(*shared); },
      [shared] { return call_blocking([shared] { return blocking_read_file(*shared); }); });
}

namespace detail {

inline auto write_whole(std::string path, op::Bytes data, WriteMode how, mode_t mode) {
  struct Request {
    std::string path;
    op::Bytes data;
    WriteMode how;
    mode_t mode;
  };
  auto request =
      std::make_shared<const Request>(Request{std::move(path), std::move(data), how, mode});
  return Attempt(
      [request] {
        return try_write_file(request->path, request->data, request->how, request->mode);
      },
      [request] {
        return call_blocking([request] {
          return blocking_write_file(request->path, request->data, request->how, request->mode);
        });
      });
}

}  // namespace detail

/// Makes `data` the content of the file, which is made if there is none; `mode` before the umask.
/// Not atomic: a reader may see a part. Returns  future of Result<void>.
inline auto write_file(std::string path, op::Bytes data, mode_t mode = 0666) {
  return detail::write_whole(std::move(path), std::move(data), WriteMode::replace, mode);
}
/// Writes `data` to the end of the file, which is made if there is none.
inline auto append(std::string path, op::Bytes data, mode_t mode = 0666) {
  return detail::write_whole(std::move(path), std::move(data), WriteMode::append, mode);
}

/// Returns  future of Result<Metadata>.
inline auto stat(std::string path, bool follow_symlinks = true) {
  auto shared = std::make_shared<const std::string>(std::move(path));
  return detail::Attempt([shared, follow_symlinks] { return try_stat(*shared, follow_symlinks); },
                         [shared, follow_symlinks] {
                           return call_blocking([shared, follow_symlinks] {
                             return blocking_stat(*shared, follow_symlinks);
                           });
                         });
}

/// Whether there is anything; a symbolic link that leads nowhere is nothing.
/// Returns  future of Result<bool>.   Errors   what keeps it from telling (EACCES).
inline auto exists(std::string path) {
  auto shared = std::make_shared<const std::string>(std::move(path));
  return detail::Attempt(
      [shared] {
        auto found = try_stat(*shared);
        return found ? std::optional(detail::to_existence(*found)) : std::nullopt;
      },
      [shared] { return call_blocking([shared] { return blocking_exists(*shared); }); });
}

/// Removes a file or a symbolic link.   Returns  future of Result<void>.
inline auto remove(std::string path) {
  return call_blocking([path = std::move(path)] { return blocking_remove(path); });
}
/// Renames; replaces what is at `to`.
inline auto rename(std::string from, std::string to) {
  return call_blocking(
      [from = std::move(from), to = std::move(to)] { return blocking_rename(from, to); });
}
/// Copies content and permissions of a regular file; replaces the content at `to`.
/// Returns  future of Result<std::uint64_t>: bytes copied.
inline auto copy(std::string from, std::string to) {
  return call_blocking(
      [from = std::move(from), to = std::move(to)] { return blocking_copy(from, to); });
}
/// Makes `mode` the permissions; follows symbolic links.
inline auto set_permissions(std::string path, mode_t mode) {
  return call_blocking(
      [path = std::move(path), mode] { return blocking_set_permissions(path, mode); });
}
/// Where a symbolic link leads.   Returns  future of Result<std::string>.
inline auto read_link(std::string path) {
  return call_blocking([path = std::move(path)] { return blocking_read_link(path); });
}
/// Makes `path` a symbolic link to `target`.
inline auto symlink(std::string target, std::string path) {
  return call_blocking([target = std::move(target), path = std::move(path)] {
    return blocking_symlink(target, path);
  });
}
/// Makes `path` another name of the file `target`.
inline auto hard_link(std::string target, std::string path) {
  return call_blocking([target = std::move(target), path = std::move(path)] {
    return blocking_hard_link(target, path);
  });
}

}  // namespace blitzio::fs

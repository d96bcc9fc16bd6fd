// Files by their path, whole: reading, writing, looking, moving.
//
// `x` is a future: it tries to have its answer on the spot where that takes microseconds
// (docs/design/files.md says when), and else runs `blocking_x` in a thread of a pool, all of it in
// one trip, or asks the ring of the executor (detail/way.hpp). `try_x` is that attempt alone: empty
// if it would have to wait. What has no `try_x` goes to a thread always.
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
#include <blitzio/fs/detail/file_call.hpp>
#include <blitzio/fs/detail/path_jobs.hpp>
#include <blitzio/fs/detail/whole.hpp>
#include <blitzio/fs/metadata.hpp>

#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace blitzio::fs {

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
[[nodiscard]] std::optional<Result<bool>> try_exists(const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_remove(const std::string& path) noexcept;
[[nodiscard]] std::optional<Result<void>> try_remove(const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_rename(const std::string& from, const std::string& to) noexcept;
[[nodiscard]] std::optional<Result<void>> try_rename(const std::string& from,
                                                     const std::string& to) noexcept;
[[nodiscard]] Result<std::uint64_t> blocking_copy(const std::string& from, const std::string& to);
[[nodiscard]] Result<void> blocking_set_permissions(const std::string& path, mode_t mode) noexcept;
[[nodiscard]] Result<std::string> blocking_read_link(const std::string& path);
[[nodiscard]] Result<void> blocking_symlink(const std::string& target,
                                            const std::string& path) noexcept;
[[nodiscard]] std::optional<Result<void>> try_symlink(const std::string& target,
                                                      const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_hard_link(const std::string& target,
                                              const std::string& path) noexcept;
[[nodiscard]] std::optional<Result<void>> try_hard_link(const std::string& target,
                                                        const std::string& path) noexcept;

/// Whether writing, and changing folders, may be tried on the spot at all, in this process (they
/// may, at first): if not, they always go to a thread. Reading what is cached is not affected.
void set_inline_writes(bool allowed) noexcept;

/// The whole content.   Returns  future of Result<op::Bytes>.
inline auto read_file(std::string path) {
  return detail::attempt_or_block(&try_read_file, &blocking_read_file, std::move(path));
}

/// Makes `data` the content of the file, which is made if there is none; `mode` before the umask.
/// Not atomic: a reader may see a part. Returns  future of Result<void>.
inline auto write_file(std::string path, op::Bytes data, mode_t mode = 0666) {
  return detail::attempt_or_block(&try_write_file, &blocking_write_file, std::move(path),
                                  std::move(data), WriteMode::replace, mode);
}
/// Writes `data` to the end of the file, which is made if there is none.
inline auto append(std::string path, op::Bytes data, mode_t mode = 0666) {
  return detail::attempt_or_block(&try_write_file, &blocking_write_file, std::move(path),
                                  std::move(data), WriteMode::append, mode);
}

/// Returns  future of Result<Metadata>.
inline auto stat(std::string path, bool follow_symlinks = true) {
  return detail::FileCall(detail::StatJob{std::move(path), follow_symlinks});
}

/// Whether there is anything; a symbolic link that leads nowhere is nothing.
/// Returns  future of Result<bool>.   Errors   what keeps it from telling (EACCES).
inline auto exists(std::string path) {
  return detail::FileCall(detail::ExistsJob{{std::move(path), true}});
}

/// Removes a file or a symbolic link.   Returns  future of Result<void>.
inline auto remove(std::string path) {
  return detail::FileCall(detail::RemoveJob{std::move(path), false});
}
/// Renames; replaces what is at `to`.
inline auto rename(std::string from, std::string to) {
  return detail::FileCall(detail::RenameJob{std::move(from), std::move(to)});
}
/// Copies content and permissions of a regular file; replaces the content at `to`.
/// Returns  future of Result<std::uint64_t>: bytes copied.
/// Errors   EINVAL if both are the same file; nothing happens to it.
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
  return detail::attempt_or_block(&try_symlink, &blocking_symlink, std::move(target),
                                  std::move(path));
}
/// Makes `path` another name of the file `target`.
inline auto hard_link(std::string target, std::string path) {
  return detail::attempt_or_block(&try_hard_link, &blocking_hard_link, std::move(target),
                                  std::move(path));
}

}  // namespace blitzio::fs

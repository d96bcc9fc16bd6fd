// Directories: what is in one, making and removing them.
//
// `x` is a future that runs `blocking_x` in a thread of a pool, for reading a directory may wait
// for the disk; `mkdir` and `remove_dir` try on the spot first (docs/design/files.md says when).
// Where a function is asked for a tree (mkdir_all, remove_dir_all) all of it is one trip to the
// thread.
//
// Threads: any.   Cancel: dropping a future before a thread has begun means that nothing happens;
// afterwards it is done to its end.   Errors: those of the system call that it is named after, and
// invalid_argument for a path with a NUL byte.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/detail/file_call.hpp>
#include <blitzio/fs/detail/path_jobs.hpp>

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::fs {

enum class FileType : std::uint8_t { unknown, file, directory, symlink, other };

/// A name in a directory.
struct DirEntry {
  std::string name;
  FileType type;  ///< unknown where the file system does not tell it in passing: then stat()
  ino_t inode;    ///< its number in the file system
};

[[nodiscard]] Result<std::vector<DirEntry>> blocking_read_dir(const std::string& path);
[[nodiscard]] Result<void> blocking_mkdir(const std::string& path, mode_t mode = 0777) noexcept;
/// Empty if it would have to wait.
[[nodiscard]] std::optional<Result<void>> try_mkdir(const std::string& path,
                                                    mode_t mode = 0777) noexcept;
[[nodiscard]] Result<void> blocking_mkdir_all(const std::string& path, mode_t mode = 0777);
[[nodiscard]] Result<void> blocking_remove_dir(const std::string& path) noexcept;
/// Empty if it would have to wait.
[[nodiscard]] std::optional<Result<void>> try_remove_dir(const std::string& path) noexcept;
[[nodiscard]] Result<void> blocking_remove_dir_all(const std::string& path);

/// Everything in a directory but "." and "..", in no order.
/// Returns  future of Result<std::vector<DirEntry>>.
inline auto read_dir(std::string path) {
  return call_blocking([path = std::move(path)] { return blocking_read_dir(path); });
}
/// Makes a directory; `mode` before the umask.
inline auto mkdir(std::string path, mode_t mode = 0777) {
  return detail::FileCall(detail::MkdirJob{std::move(path), mode});
}
/// Makes a directory and what is missing above it; one that is there is no error.
inline auto mkdir_all(std::string path, mode_t mode = 0777) {
  return call_blocking([path = std::move(path), mode] { return blocking_mkdir_all(path, mode); });
}
/// Removes an empty directory.
inline auto remove_dir(std::string path) {
  return detail::FileCall(detail::RemoveJob{std::move(path), true});
}
/// Removes a directory and everything in it; a symbolic link in it, not what it leads to.
/// Errors   ENOTDIR if the path is something else.
inline auto remove_dir_all(std::string path) {
  return call_blocking([path = std::move(path)] { return blocking_remove_dir_all(path); });
}

}  // namespace blitzio::fs

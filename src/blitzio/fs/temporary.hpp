// Temporary files and directories: with a name nobody else has, and gone when their owner goes.
//
// The folder is `parent`, or $TMPDIR, or /tmp. Permissions are the user's alone.
//
// Threads: as File; a TempDir any.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace blitzio::fs {

/// The folder that temporary things are made in.
[[nodiscard]] std::string temp_folder();

/// Owns a path and removes what is there when it goes.
class [[nodiscard]] TempPath {
 public:
  enum class Kind : bool { file, directory };

  TempPath(Kind kind, std::string path) noexcept : path_(std::move(path)), kind_(kind) {}
  TempPath(TempPath&& other) noexcept : path_(std::exchange(other.path_, {})), kind_(other.kind_) {}
  TempPath& operator=(TempPath&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(kind_, other.kind_);
    return *this;
  }
  TempPath(const TempPath&) = delete;
  TempPath& operator=(const TempPath&) = delete;
  /// Removes it, blocking and past all errors; who wants to hear of them calls remove().
  ~TempPath();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Leaves it where it is from now on.
  [[nodiscard]] std::string keep() noexcept { return std::exchange(path_, {}); }
  /// Returns  future of Result<void>.   Errors   ENOENT if it is gone already, or was kept.
  auto remove() {
    return call_blocking(
        [kind = kind_, path = keep()] { return blocking_remove_path(kind, path); });
  }

 private:
  static Result<void> blocking_remove_path(Kind kind, const std::string& path);
  std::string path_;
  Kind kind_;
};

/// A file with a name, and the name.
struct NamedTempFile {
  File file;
  TempPath path;
};

[[nodiscard]] Result<TempPath> blocking_temp_dir(std::string_view prefix = "blitzio-",
                                                 const std::string& parent = temp_folder());
[[nodiscard]] Result<NamedTempFile> blocking_named_temp_file(
    std::string_view prefix = "blitzio-", const std::string& parent = temp_folder());
[[nodiscard]] Result<File> blocking_temp_file(const std::string& parent = temp_folder());

/// An empty directory.   Returns  future of Result<TempPath>.
inline auto temp_dir(std::string prefix = "blitzio-", std::string parent = temp_folder()) {
  return call_blocking([prefix = std::move(prefix), parent = std::move(parent)] {
    return blocking_temp_dir(prefix, parent);
  });
}
/// An empty file to read and write.   Returns  future of Result<NamedTempFile>.
inline auto named_temp_file(std::string prefix = "blitzio-", std::string parent = temp_folder()) {
  return call_blocking([prefix = std::move(prefix), parent = std::move(parent)] {
    return blocking_named_temp_file(prefix, parent);
  });
}
/// The same without a name: gone when it is closed, however the process ends.
/// Returns  future of Result<File>.
inline auto temp_file(std::string parent = temp_folder()) {
  return call_blocking([parent = std::move(parent)] { return blocking_temp_file(parent); });
}

}  // namespace blitzio::fs

// `Metadata`: what stat(2) tells of a file.
#pragma once

#include <blitzio/base/duration.hpp>

#include <sys/stat.h>

#include <cstdint>

namespace blitzio::fs {

/// Immutable.
class Metadata {
 public:
  explicit Metadata(const struct stat& raw) noexcept : raw_(raw) {}

  [[nodiscard]] bool is_file() const noexcept { return S_ISREG(raw_.st_mode); }
  [[nodiscard]] bool is_directory() const noexcept { return S_ISDIR(raw_.st_mode); }
  [[nodiscard]] bool is_symlink() const noexcept { return S_ISLNK(raw_.st_mode); }
  /// Length in bytes.
  [[nodiscard]] std::uint64_t size() const noexcept {
    return static_cast<std::uint64_t>(raw_.st_size);
  }
  /// Type and permissions.
  [[nodiscard]] mode_t mode() const noexcept { return raw_.st_mode; }
  /// When the content changed last; since 1970.
  [[nodiscard]] Duration modified() const noexcept { return since_epoch(raw_.st_mtim); }
  /// When the content, or what is known of it, changed last; since 1970.
  [[nodiscard]] Duration changed() const noexcept { return since_epoch(raw_.st_ctim); }
  /// When it was read last, as far as the file system keeps that; since 1970.
  [[nodiscard]] Duration accessed() const noexcept { return since_epoch(raw_.st_atim); }
  /// All of it.
  [[nodiscard]] const struct stat& raw() const noexcept { return raw_; }

 private:
  static Duration since_epoch(const timespec& at) noexcept {
    return Duration::from_secs(at.tv_sec) + Duration::from_nanos(at.tv_nsec);
  }
  struct stat raw_;
};

}  // namespace blitzio::fs

#include <blitzio/fs/directory.hpp>

#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/inline_policy.hpp>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace blitzio::fs {

namespace {

FileType type_of(unsigned char type) noexcept {
  switch (type) {
    case DT_UNKNOWN:
      return FileType::unknown;
    case DT_REG:
      return FileType::file;
    case DT_DIR:
      return FileType::directory;
    case DT_LNK:
      return FileType::symlink;
    default:
      return FileType::other;
  }
}

struct CloseDir {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

// Whether there is a directory, behind a symbolic link or not.
bool is_directory(const std::string& path) noexcept {
  const auto found = detail::blocking_stat(path, true);
  return found && found->is_directory();
}

Result<void> make_directory(const std::string& path, mode_t mode) noexcept {
  if (auto checked = detail::check_path(path); !checked) return checked;
  return detail::retry_void([&] { return ::mkdir(path.c_str(), mode); });
}
Result<void> remove_directory(const std::string& path) noexcept {
  if (auto checked = detail::check_path(path); !checked) return checked;
  return detail::retry_void([&] { return ::rmdir(path.c_str()); });
}

}  // namespace

Result<std::vector<DirEntry>> blocking_read_dir(const std::string& path) {
  if (auto checked = detail::check_path(path); !checked) return fail(checked.error());
  const std::unique_ptr<DIR, CloseDir> directory(::opendir(path.c_str()));
  if (directory == nullptr) return fail(Error::os(errno));
  std::vector<DirEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    entries.push_back({std::string(name), type_of(entry->d_type), entry->d_ino});
  }
  if (errno != 0) return fail(Error::os(errno));
  return entries;
}

Result<void> blocking_mkdir(const std::string& path, mode_t mode) noexcept {
  const auto made = make_directory(path, mode);
  detail::look_at_folder(path);
  return made;
}
std::optional<Result<void>> try_mkdir(const std::string& path, mode_t mode) noexcept {
  if (!detail::may_change(path)) return std::nullopt;
  const detail::Risk risk;
  return make_directory(path, mode);
}

Result<void> blocking_mkdir_all(const std::string& path, mode_t mode) {
  auto made = make_directory(path, mode);
  if (made) return made;
  if (made.error().is_os(ENOENT)) {
    const auto last = path.find_last_not_of('/');
    const auto slash = last == std::string::npos ? last : path.find_last_of('/', last);
    if (slash == std::string::npos || slash == 0) return made;
    if (auto above = blocking_mkdir_all(path.substr(0, slash), 0777); !above) return above;
    made = make_directory(path, mode);
  }
  // Somebody else may have made it a moment ago.
  if (!made && made.error().is_os(EEXIST) && is_directory(path)) return {};
  return made;
}

Result<void> blocking_remove_dir(const std::string& path) noexcept {
  const auto removed = remove_directory(path);
  detail::look_at_folder(path);
  return removed;
}
std::optional<Result<void>> try_remove_dir(const std::string& path) noexcept {
  if (!detail::may_change(path)) return std::nullopt;
  const detail::Risk risk;
  return remove_directory(path);
}

Result<void> blocking_remove_dir_all(const std::string& path) {
  const auto found = detail::blocking_stat(path, false);
  if (!found) return fail(found.error());
  if (!found->is_directory()) return fail(Error::os(ENOTDIR));
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return fail(Error::os(error.value()));
  return {};
}

}  // namespace blitzio::fs

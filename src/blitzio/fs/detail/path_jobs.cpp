#include <blitzio/fs/detail/path_jobs.hpp>

#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/paths.hpp>

#include <fcntl.h>

namespace blitzio::fs::detail {

Now<Metadata> StatJob::try_now() const noexcept {
  return fs::try_stat(path, follow_symlinks);
}
Result<Metadata> StatJob::operator()() const noexcept {
  return fs::blocking_stat(path, follow_symlinks);
}
Result<void> StatJob::prepare(driver::Operation& operation) noexcept {
  const int links = follow_symlinks ? 0 : AT_SYMLINK_NOFOLLOW;
  operation.stat(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT | links, STATX_BASIC_STATS, &found);
  return check_path(path);
}
Result<Metadata> StatJob::finish(std::int32_t result) const noexcept {
  if (result < 0) return fail(Error::os(-result));
  return Metadata(to_stat(found));
}

Now<bool> ExistsJob::try_now() const noexcept {
  return fs::try_exists(stat.path);
}
Result<bool> ExistsJob::operator()() const noexcept {
  return fs::blocking_exists(stat.path);
}
Result<bool> ExistsJob::finish(std::int32_t result) const noexcept {
  return to_existence(stat.finish(result));
}

Now<void> MkdirJob::try_now() const noexcept {
  return fs::try_mkdir(path, mode);
}
Result<void> MkdirJob::operator()() const noexcept {
  return fs::blocking_mkdir(path, mode);
}
Result<void> MkdirJob::prepare(driver::Operation& operation) const noexcept {
  operation.mkdir(AT_FDCWD, path.c_str(), mode);
  return check_path(path);
}

Now<void> RemoveJob::try_now() const noexcept {
  return is_directory ? fs::try_remove_dir(path) : fs::try_remove(path);
}
Result<void> RemoveJob::operator()() const noexcept {
  return is_directory ? fs::blocking_remove_dir(path) : fs::blocking_remove(path);
}
Result<void> RemoveJob::prepare(driver::Operation& operation) const noexcept {
  operation.unlink(AT_FDCWD, path.c_str(), is_directory ? AT_REMOVEDIR : 0);
  return check_path(path);
}

Now<void> RenameJob::try_now() const noexcept {
  return fs::try_rename(from, to);
}
Result<void> RenameJob::operator()() const noexcept {
  return fs::blocking_rename(from, to);
}
Result<void> RenameJob::prepare(driver::Operation& operation) const noexcept {
  operation.rename(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str());
  if (auto checked = check_path(from); !checked) return checked;
  return check_path(to);
}

}  // namespace blitzio::fs::detail

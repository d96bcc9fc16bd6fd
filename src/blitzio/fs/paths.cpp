#include <blitzio/fs/paths.hpp>

#include <blitzio/fs/detail/inline_policy.hpp>
#include <blitzio/fs/detail/whole.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace blitzio::fs {

namespace {

// By read and write, from the position of each on: for what copy_file_range(2) cannot do.
Result<std::uint64_t> copy_by_hand(int from, int to) noexcept {
  constexpr std::size_t kStep = 128 * 1024;
  const std::unique_ptr<std::byte[]> buffer(new std::byte[kStep]);
  std::uint64_t total = 0;
  for (;;) {
    const auto count = detail::retry([&] { return ::read(from, buffer.get(), kStep); });
    if (!count) return fail(count.error());
    if (*count == 0) return total;
    const std::span data(buffer.get(), static_cast<std::size_t>(*count));
    if (auto written = detail::blocking_write_full(to, data, -1); !written) {
      return fail(written.error());
    }
    total += data.size();
  }
}

Result<std::uint64_t> copy_content(int from, int to) noexcept {
  constexpr std::size_t kStep = std::size_t{1} << 30;
  std::uint64_t total = 0;
  for (;;) {
    const auto count =
        detail::retry([&] { return ::copy_file_range(from, nullptr, to, nullptr, kStep, 0); });
    if (!count) {
      switch (count.error().code()) {
        case EXDEV:
        case EINVAL:
        case ENOSYS:
        case EOPNOTSUPP:
        case EPERM:
          break;
        default:
          return fail(count.error());
      }
    } else if (*count > 0) {
      total += static_cast<std::uint64_t>(*count);
      continue;
    }
    // At the end, or at what only looks like it: files of /proc have no length.
    const auto rest = copy_by_hand(from, to);
    if (!rest) return fail(rest.error());
    return total + *rest;
  }
}

// ---- what changes a folder: the bare calls -----------------------------------------------------

Result<void> unlink_path(const std::string& path) noexcept {
  if (auto checked = detail::check_path(path); !checked) return checked;
  return detail::retry_void([&] { return ::unlink(path.c_str()); });
}

// A call with two paths.
template <class Call>
Result<void> call_with(const std::string& one, const std::string& other, Call call) noexcept {
  if (auto checked = detail::check_path(one); !checked) return checked;
  if (auto checked = detail::check_path(other); !checked) return checked;
  return detail::retry_void([&] { return call(one.c_str(), other.c_str()); });
}
Result<void> rename_path(const std::string& from, const std::string& to) noexcept {
  return call_with(from, to, ::rename);
}
Result<void> make_symlink(const std::string& target, const std::string& path) noexcept {
  return call_with(target, path, ::symlink);
}
Result<void> make_hard_link(const std::string& target, const std::string& path) noexcept {
  return call_with(target, path, ::link);
}

}  // namespace

std::optional<Result<op::Bytes>> try_read_file(const std::string& path) {
  op::Bytes bytes;
  const auto count = detail::try_read_whole(path, [&](std::size_t size) {
    bytes.resize(size);
    return bytes.data();
  });
  if (!count) return std::nullopt;
  if (!*count) return fail(count->error());
  return bytes;
}

Result<op::Bytes> blocking_read_file(const std::string& path) {
  const auto file = detail::blocking_open(path, O_RDONLY, 0);
  if (!file) return fail(file.error());
  detail::look_at_folder(path);
  const auto size = S_ISREG(file->status.st_mode) ? file->status.st_size : 0;
  return detail::blocking_read_to_end(file->fd.get(), -1, static_cast<std::size_t>(size));
}

Result<void> blocking_write_file(const std::string& path, std::span<const std::byte> data,
                                 WriteMode how, mode_t mode) noexcept {
  auto file = detail::blocking_open(path, detail::write_flags(how), mode);
  if (!file) return fail(file.error());
  detail::look_at_folder(path);
  return detail::write_and_close(std::move(file->fd), data);
}

std::optional<Result<void>> try_write_file(const std::string& path, std::span<const std::byte> data,
                                           WriteMode how, mode_t mode) noexcept {
  return detail::try_write_whole(path, detail::write_flags(how), mode, data);
}

Result<Metadata> blocking_stat(const std::string& path, bool follow_symlinks) noexcept {
  auto found = detail::blocking_stat(path, follow_symlinks);
  detail::look_at_folder(path);
  return found;
}

std::optional<Result<Metadata>> try_stat(const std::string& path, bool follow_symlinks) noexcept {
  return detail::try_stat(path, follow_symlinks);
}

Result<bool> blocking_exists(const std::string& path) noexcept {
  return detail::to_existence(blocking_stat(path, true));
}
std::optional<Result<bool>> try_exists(const std::string& path) noexcept {
  const auto found = try_stat(path);
  return found ? std::optional(detail::to_existence(*found)) : std::nullopt;
}

Result<void> blocking_remove(const std::string& path) noexcept {
  const auto removed = unlink_path(path);
  detail::look_at_folder(path);
  return removed;
}
std::optional<Result<void>> try_remove(const std::string& path) noexcept {
  if (!detail::may_change(path)) return std::nullopt;
  detail::Risk risk;
  if (!detail::may_free(path)) return risk.was_in_vain(), std::nullopt;
  return unlink_path(path);
}

Result<void> blocking_rename(const std::string& from, const std::string& to) noexcept {
  const auto renamed = rename_path(from, to);
  detail::look_at_folder(from);
  detail::look_at_folder(to);
  return renamed;
}
std::optional<Result<void>> try_rename(const std::string& from, const std::string& to) noexcept {
  if (!detail::may_change(from) || !detail::may_change(to)) return std::nullopt;
  detail::Risk risk;
  if (!detail::may_free(to) || !detail::may_move(from)) return risk.was_in_vain(), std::nullopt;
  return rename_path(from, to);
}

Result<std::uint64_t> blocking_copy(const std::string& from, const std::string& to) {
  const auto source = detail::blocking_open(from, O_RDONLY, 0);
  if (!source) return fail(source.error());
  if (S_ISDIR(source->status.st_mode)) return fail(Error::os(EISDIR));
  const mode_t mode = source->status.st_mode & 07777;
  // Not truncated yet: it may be the same file.
  auto target = detail::blocking_open(to, O_WRONLY | O_CREAT, mode);
  if (!target) return fail(target.error());
  const int to_fd = target->fd.get();
  if (source->status.st_dev == target->status.st_dev &&
      source->status.st_ino == target->status.st_ino) {
    return fail(Error::os(EINVAL));
  }
  if (S_ISREG(target->status.st_mode)) {
    if (auto cut = detail::retry_void([&] { return ::ftruncate(to_fd, 0); }); !cut) {
      return fail(cut.error());
    }
    if (auto set = detail::retry_void([&] { return ::fchmod(to_fd, mode); }); !set) {
      return fail(set.error());
    }
  }
  auto copied = copy_content(source->fd.get(), to_fd);
  if (::close(target->fd.release()) != 0 && errno != EINTR && copied) return fail(Error::os(errno));
  return copied;
}

Result<void> blocking_set_permissions(const std::string& path, mode_t mode) noexcept {
  if (auto checked = detail::check_path(path); !checked) return checked;
  return detail::retry_void([&] { return ::chmod(path.c_str(), mode); });
}

Result<std::string> blocking_read_link(const std::string& path) {
  if (auto checked = detail::check_path(path); !checked) return fail(checked.error());
  std::string target(256, '\0');
  for (;;) {
    const auto count =
        detail::retry([&] { return ::readlink(path.c_str(), target.data(), target.size()); });
    if (!count) return fail(count.error());
    const auto bytes = static_cast<std::size_t>(*count);
    const bool is_whole = bytes < target.size();
    target.resize(is_whole ? bytes : 2 * target.size());
    if (is_whole) return target;
  }
}

Result<void> blocking_symlink(const std::string& target, const std::string& path) noexcept {
  const auto made = make_symlink(target, path);
  detail::look_at_folder(path);
  return made;
}
std::optional<Result<void>> try_symlink(const std::string& target,
                                        const std::string& path) noexcept {
  if (!detail::may_change(path)) return std::nullopt;
  const detail::Risk risk;
  return make_symlink(target, path);
}

Result<void> blocking_hard_link(const std::string& target, const std::string& path) noexcept {
  const auto made = make_hard_link(target, path);
  detail::look_at_folder(target);
  detail::look_at_folder(path);
  return made;
}
std::optional<Result<void>> try_hard_link(const std::string& target,
                                          const std::string& path) noexcept {
  if (!detail::may_change(target) || !detail::may_change(path)) return std::nullopt;
  detail::Risk risk;
  if (!detail::may_move(target)) return risk.was_in_vain(), std::nullopt;
  return make_hard_link(target, path);
}

void set_inline_writes(bool allowed) noexcept {
  detail::allow_risks(allowed);
}

}  // namespace blitzio::fs

#include <blitzio/fs/detail/calls.hpp>

#include <blitzio/base/atomic.hpp>
#include <blitzio/fs/detail/inline_policy.hpp>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace blitzio::fs::detail {

namespace {

// openat2(2), which libc does not offer yet, of what the kernel can look up without waiting.
// Negative: errno.
int open_cached(const std::string& path, int flags) noexcept {
  // Cleared by the first kernel or filter that does not know the call. Relaxed: only saves calls.
  static constinit Atomic<bool> is_there{true};
  if (!is_there.load(std::memory_order_relaxed)) return -ENOSYS;
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_CACHED;
  const long fd = ::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how);
  if (fd >= 0) return static_cast<int>(fd);
  // Relaxed: as above.
  if (errno == ENOSYS || errno == EINVAL) is_there.store(false, std::memory_order_relaxed);
  return -errno;
}

// What the error of an attempt is worth. Empty: nothing, for it says that the attempt was not
// possible (not all is in memory, a symbolic link, a lease must be given back, the system call is
// not to be had) or it is unclear whether it does.
std::optional<std::unexpected<Error>> answer_of(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case ELOOP:
    case ENXIO:
    case ENOSYS:
    case EINVAL:
    case EPERM:
    case EINTR:
      return std::nullopt;
    default:
      return fail(Error::os(error));
  }
}

bool is_large(std::uint64_t blocks) noexcept {
  return blocks * 512 > kInlineFreeBytesMax;
}

// Whether a file may first have to be copied for a change: an overlay, as the root of containers is
// one, does so with what lies in a lower layer. `result` is that of the call that gave `where`.
bool may_copy_up(int result, const struct statfs& where) noexcept {
  return result != 0 || where.f_type == OVERLAYFS_SUPER_MAGIC;
}
bool may_copy_up(const std::string& path) noexcept {
  struct statfs where{};
  return may_copy_up(::statfs(path.c_str(), &where), where);
}
bool may_copy_up(int fd) noexcept {
  struct statfs where{};
  return may_copy_up(::fstatfs(fd, &where), where);
}

// Type, links and size of what has that name itself. False with errno.
bool look_at(const std::string& path, struct statx& status) noexcept {
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  const unsigned mask = STATX_TYPE | STATX_NLINK | STATX_BLOCKS;
  return ::statx(AT_FDCWD, path.c_str(), flags, mask, &status) == 0;
}

// What an O_PATH descriptor stands for. False with errno.
bool look_at(int fd, struct statx& status) noexcept {
  return ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) == 0;
}

// Whether what has a name was there, of those that were to be made unless they are. The next one
// will be as the last, as a rule: who guesses right saves a look, who does not makes one call too
// many. Relaxed, always: a guess.
constinit Atomic<bool> expects_existing{false};

void expect_existing(bool is_there) noexcept {
  // Relaxed: see above. Not written without need: other threads read it.
  if (expects_existing.load(std::memory_order_relaxed) == is_there) return;
  expects_existing.store(is_there, std::memory_order_relaxed);
}

// Opens a new file. Whatever has the name already is not opened, nor is what a symbolic link leads
// to, so it does not matter what that is: EEXIST. What was made is known without looking.
Now<Opened> create_now(const std::string& path, int flags, mode_t mode) noexcept {
  const int fd = ::open(path.c_str(), flags | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return answer_of(errno);
  Opened file{OwnedFd::adopt(fd), {}};
  file.status.st_mode = S_IFREG;
  return file;
}

bool is_taken(const Now<Opened>& created) noexcept {
  return created && !*created && created->error().is_os(EEXIST);
}

// A mount point: what is known of its folder says nothing of it.
bool is_elsewhere(const struct statx& found) noexcept {
  return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// What may be opened on the spot.
bool is_harmless(const struct statx& found) noexcept {
  return (S_ISREG(found.stx_mode) || S_ISDIR(found.stx_mode)) && !is_elsewhere(found);
}

bool is_large_to_write(const struct statx& found, int flags) noexcept {
  return (flags & O_ACCMODE) != O_RDONLY && is_large(found.stx_blocks);
}

// For an open file that nobody has seen: takes off what opening on the spot has needed.
Now<Opened> restore_flags(Opened file, int flags) noexcept {
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(file.fd.get(), F_SETFL, flags) != 0) {
    return fail(Error::os(errno));
  }
  return file;
}

// Without O_NONBLOCK it would wait for somebody to give back a lease.
constexpr int kCareful = O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;

// Opens what has the name already, after a look at it; an empty answer is not paid for.
Now<Opened> change_existing(const std::string& path, const struct statx& found, int flags,
                            mode_t mode, Risk& risk) noexcept {
  const bool is_too_large =
      is_large_to_write(found, flags) && ((flags & O_TRUNC) != 0 || may_copy_up(path));
  if (!is_harmless(found) || is_too_large) {
    risk.was_in_vain();
    return std::nullopt;
  }
  const int fd = ::open(path.c_str(), flags | kCareful, mode);
  if (fd < 0) return answer_of(errno);
  Opened file{OwnedFd::adopt(fd), {}};
  file.status.st_mode = found.stx_mode;
  return restore_flags(std::move(file), flags);
}

// Opens for what creates or truncates: a risk altogether, so that looking may be one, too.
Now<Opened> change_now(const std::string& path, int flags, mode_t mode) noexcept {
  Risk risk;
  const bool creates = (flags & O_CREAT) != 0;
  const bool is_exclusive = creates && (flags & O_EXCL) != 0;
  // Relaxed: see there.
  if (is_exclusive || (creates && !expects_existing.load(std::memory_order_relaxed))) {
    auto created = create_now(path, flags, mode);
    if (is_exclusive || !is_taken(created)) return created;
  }
  struct statx found{};
  if (look_at(path, found)) {
    if (creates) expect_existing(true);
    return change_existing(path, found, flags, mode, risk);
  }
  const int error = errno;
  if (error != ENOENT || !creates) return answer_of(error);
  expect_existing(false);
  auto created = create_now(path, flags, mode);
  if (!is_taken(created)) return created;
  risk.was_in_vain();  // somebody was quicker
  return std::nullopt;
}

timespec to_timespec(const statx_timestamp& at) noexcept {
  timespec time{};
  time.tv_sec = at.tv_sec;
  time.tv_nsec = at.tv_nsec;
  return time;
}

}  // namespace

struct stat to_stat(const struct statx& from) noexcept {
  struct stat to{};
  to.st_dev = makedev(from.stx_dev_major, from.stx_dev_minor);
  to.st_rdev = makedev(from.stx_rdev_major, from.stx_rdev_minor);
  to.st_ino = from.stx_ino;
  to.st_mode = from.stx_mode;
  to.st_nlink = from.stx_nlink;
  to.st_uid = from.stx_uid;
  to.st_gid = from.stx_gid;
  to.st_size = static_cast<off_t>(from.stx_size);
  to.st_blksize = static_cast<blksize_t>(from.stx_blksize);
  to.st_blocks = static_cast<blkcnt_t>(from.stx_blocks);
  to.st_atim = to_timespec(from.stx_atime);
  to.st_mtim = to_timespec(from.stx_mtime);
  to.st_ctim = to_timespec(from.stx_ctime);
  return to;
}

Result<bool> to_existence(const Result<Metadata>& found) noexcept {
  if (found) return true;
  const Error error = found.error();
  if (error.is_os(ENOENT) || error.is_os(ENOTDIR) || error.is_os(ELOOP)) return false;
  return fail(error);
}

Result<Opened> blocking_open(const std::string& path, int flags, mode_t mode) noexcept {
  if (auto checked = check_path(path); !checked) return fail(checked.error());
  auto opened = retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (!opened) return fail(opened.error());
  Opened file{OwnedFd::adopt(*opened), {}};
  if (::fstat(file.fd.get(), &file.status) != 0) return fail(Error::os(errno));
  return file;
}

Now<Opened> try_open(const std::string& path, int flags, mode_t mode) noexcept {
  if (auto checked = check_path(path); !checked) return fail(checked.error());
  if (!is_folder_local(path)) return std::nullopt;
  if ((flags & (O_CREAT | O_TRUNC)) != 0) {
    return may_risk() ? change_now(path, flags, mode) : std::nullopt;
  }

  // What is it? An O_PATH descriptor opens nothing yet.
  Opened file{OwnedFd::adopt(open_cached(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)), {}};
  if (!file.fd) return answer_of(-file.fd.get());
  struct statx found{};
  if (!look_at(file.fd.get(), found) || !is_harmless(found)) return std::nullopt;
  if (is_large_to_write(found, flags) && may_copy_up(file.fd.get())) return std::nullopt;
  file.status = to_stat(found);
  file.fd.reset(open_cached(path, flags | kCareful));
  if (!file.fd) return answer_of(-file.fd.get());
  return restore_flags(std::move(file), flags);
}

bool may_change(const std::string& path) noexcept {
  return is_folder_local(path) && may_risk();
}

bool may_free(const std::string& path) noexcept {
  struct statx status{};
  if (!look_at(path, status)) return errno == ENOENT;
  return !S_ISREG(status.stx_mode) || status.stx_nlink > 1 || !is_large(status.stx_blocks);
}

bool may_move(const std::string& path) noexcept {
  struct statx status{};
  if (!look_at(path, status)) return errno == ENOENT;
  return !S_ISREG(status.stx_mode) || !is_large(status.stx_blocks) || !may_copy_up(path);
}

Result<Metadata> blocking_stat(const std::string& path, bool follow_symlinks) noexcept {
  if (auto checked = check_path(path); !checked) return fail(checked.error());
  struct stat status{};
  const int flags = follow_symlinks ? 0 : AT_SYMLINK_NOFOLLOW;
  const auto found = retry_void([&] { return ::fstatat(AT_FDCWD, path.c_str(), &status, flags); });
  if (!found) return fail(found.error());
  return Metadata(status);
}

Now<Metadata> try_stat(const std::string& path, bool follow_symlinks) noexcept {
  if (auto checked = check_path(path); !checked) return fail(checked.error());
  if (!is_folder_local(path)) return std::nullopt;
  const auto found = OwnedFd::adopt(open_cached(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!found) return answer_of(-found.get());
  struct statx status{};
  if (!look_at(found.get(), status) || is_elsewhere(status)) return std::nullopt;
  // A link may lead to another file system.
  if (follow_symlinks && S_ISLNK(status.stx_mode)) return std::nullopt;
  return Metadata(to_stat(status));
}

Result<void> blocking_write_full(int fd, std::span<const std::byte> data,
                                 std::int64_t offset) noexcept {
  while (!data.empty()) {
    const auto count = retry_count([&] {
      return offset < 0 ? ::write(fd, data.data(), data.size())
                        : ::pwrite(fd, data.data(), data.size(), offset);
    });
    if (!count) return fail(count.error());
    data = data.subspan(*count);
    if (offset >= 0) offset += static_cast<std::int64_t>(*count);
  }
  return {};
}

Result<op::Bytes> blocking_read_to_end(int fd, std::int64_t offset, std::size_t size) {
  constexpr std::size_t kStep = 64 * 1024;
  // A byte more than there should be: the end is then seen without another growth. Files of /proc
  // have no size, and some of them no second piece.
  op::Bytes bytes(size == 0 ? kStep : size + 1);
  std::size_t done = 0;
  for (;;) {
    if (done == bytes.size()) bytes.resize(done + std::max(kStep, done / 2));
    const auto count = retry_count([&] {
      std::byte* const to = bytes.data() + done;
      const std::size_t room = bytes.size() - done;
      return offset < 0 ? ::read(fd, to, room)
                        : ::pread(fd, to, room, offset + static_cast<off_t>(done));
    });
    if (!count) return fail(count.error());
    if (*count == 0) break;
    done += *count;
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace blitzio::fs::detail

#include <blitzio/fs/detail/inline_policy.hpp>

#include <blitzio/base/platform.hpp>

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <functional>
#include <string>

namespace blitzio::fs::detail {

namespace {

// What linux/magic.h does not name.
constexpr std::uint32_t kZfsMagic = 0x2FC12FC1;
constexpr std::uint32_t kBcachefsMagic = 0xCA451A4E;
constexpr std::uint32_t kF2fsMagic = 0xF2F52010;
constexpr std::uint32_t kXfsMagic = 0x58465342;

bool is_local(const struct statfs& found) noexcept {
  switch (static_cast<std::uint32_t>(found.f_type)) {
    case EXT4_SUPER_MAGIC:
    case kXfsMagic:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case kF2fsMagic:
    case kBcachefsMagic:
    case kZfsMagic:
      return true;
    default:
      return false;
  }
}

std::string_view folder_of(std::string_view path) noexcept {
  const auto slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return ".";
  return path.substr(0, slash + 1);
}

std::uint64_t seconds_now() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

bool is_in_memory(const struct statfs& found) noexcept {
  const auto type = static_cast<std::uint32_t>(found.f_type);
  return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

// A folder that is local: the hash of its name, whether it is in memory, and when it was looked at.
constexpr std::uint64_t kTimeMask = 0x7FFF;
constexpr std::uint64_t kInMemory = 0x8000;
constexpr std::uint64_t kHashMask = ~(kTimeMask | kInMemory);
constexpr std::size_t kFolders = 128;
// Written by look_at_folder(), read by locality_of(). Relaxed, always: a word is a whole entry,
// and nothing else rides on it.
constinit std::array<Atomic<std::uint64_t>, kFolders> folders{};

std::uint64_t hash_of(std::string_view folder) noexcept {
  return std::hash<std::string_view>()(folder) & kHashMask;
}
Atomic<std::uint64_t>& entry_of(std::uint64_t hash) noexcept {
  return folders[(hash >> 16) % kFolders];
}

constinit Pace pace;
// Relaxed, always: an old value costs or saves one operation in the pool.
constinit Atomic<bool> risks_allowed{true};

}  // namespace

Locality locality_of(std::string_view path) noexcept {
  const std::uint64_t hash = hash_of(folder_of(path));
  const std::uint64_t entry = entry_of(hash).load(std::memory_order_relaxed);
  const bool is_believed = (entry & kHashMask) == hash && entry != 0 &&
                           ((seconds_now() - entry) & kTimeMask) < kBeliefSeconds;
  if (!is_believed) return Locality::unknown;
  return (entry & kInMemory) != 0 ? Locality::memory : Locality::disk;
}

void look_at_folder(std::string_view path) noexcept {
  const std::string_view folder = folder_of(path);
  struct statfs found{};
  if (::statfs(std::string(folder).c_str(), &found) != 0 || !is_local(found)) return;
  const std::uint64_t hash = hash_of(folder);
  const std::uint64_t memory = is_in_memory(found) ? kInMemory : 0;
  // Relaxed: a whole entry.
  entry_of(hash).store(hash | memory | (seconds_now() & kTimeMask), std::memory_order_relaxed);
}

bool is_file_local(int fd) noexcept {
  struct statfs found{};
  return ::fstatfs(fd, &found) == 0 && is_local(found);
}

bool Pace::is_untroubled() const noexcept {
  // Relaxed: see the declaration.
  return paused_until_ns_.load(std::memory_order_relaxed) == 0;
}

bool Pace::is_going(Instant now) const noexcept {
  // Relaxed: see the declaration.
  return now.as_nanos() >= paused_until_ns_.load(std::memory_order_relaxed);
}

void Pace::pay(Instant begin, Instant end, Duration saved) noexcept {
  // Relaxed, all: see the declaration.
  const std::int64_t before = credit_ns_.load(std::memory_order_relaxed);
  const Duration credit = Duration::from_nanos(before) + saved - (end - begin);
  const std::int64_t after = std::clamp(credit, Duration::zero(), kCreditMax).as_nanos();
  // A full account, which it is as a rule, is not written to: other threads read it.
  if (after != before) credit_ns_.store(after, std::memory_order_relaxed);
  if (BLITZIO_LIKELY(!credit.is_negative())) return;
  const Instant until = end + std::min(credit.abs() * kPatience, kPauseMax);
  // The longer pause of two threads that were stalled at the same time.
  if (!is_going(until)) return;
  paused_until_ns_.store(until.as_nanos(), std::memory_order_relaxed);
}

bool may_risk() noexcept {
  // Relaxed: see above.
  if (!risks_allowed.load(std::memory_order_relaxed)) return false;
  return BLITZIO_LIKELY(pace.is_untroubled()) || pace.is_going(Instant::now());
}

void allow_risks(bool allowed) noexcept {
  // Relaxed: see above.
  risks_allowed.store(allowed, std::memory_order_relaxed);
}

Risk::~Risk() {
  pace.pay(begin_, Instant::now(), saved_);
}

}  // namespace blitzio::fs::detail

// `inline_policy`: which file operations may be made on the spot, on a thread that must not stall.
//
// Where the kernel can promise not to wait (preadv2 with RWF_NOWAIT, openat2 with RESOLVE_CACHED)
// it is asked to. For the rest, experience has to do (docs/design/files.md has the numbers):
//
//   locality  A path's folder must be known to lie on a local file system. The first operation in a
//             folder goes to the pool, which looks; that is believed for kBeliefSeconds.
//   pace      Writing, and changing a folder, take microseconds on a local file system, until the
//             kernel throttles writers or a journal is full. So there is an account, which each
//             call on the spot pays for its time, and which is paid the hand-over that it saved:
//
//                   ┌────┐ the account stays at or above zero
//                   │    ▼
//        pause    ┌────────┐ it is overdrawn: the debt is forgiven, for a pause ┌────────┐
//        is over  │ going  │───────────────────────────────────────────────────▶│ paused │
//            ┌───▶└────────┘        of kPatience times the debt                 └────────┘
//            └──────────────────────────────────────────────────────────────────────┘
//
//             While calls are as quick as hand-overs on the whole, a slow one now and then is
//             worth it, up to kCreditMax. If they are not, they take one part in kPatience of the
//             time at most, and all others go to the pool.
//
// Threads: any; a handful of atomic words, no locks.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace blitzio::fs::detail {

/// What is copied on the spot at most: tens of microseconds.
inline constexpr std::size_t kInlineReadBytesMax = 256 * 1024;
inline constexpr std::size_t kInlineWriteBytesMax = 64 * 1024;
/// What may be freed, by removing or truncating a file.
inline constexpr std::size_t kInlineFreeBytesMax = 1024 * 1024;
/// What a hand-over to a thread and back takes.
inline constexpr Duration kHandOver = Duration::from_micros(50);
/// The longest stall that quick calls can have earned.
inline constexpr Duration kCreditMax = Duration::from_millis(10);
inline constexpr std::int64_t kPatience = 10;
/// A process that was stopped by a signal looks like a stall of hours.
inline constexpr Duration kPauseMax = Duration::from_secs(60);
inline constexpr unsigned kBeliefSeconds = 5;

/// What a folder was seen to lie on, a moment ago.
enum class Locality : std::uint8_t {
  unknown,  ///< or on something that is not local
  disk,
  memory,  ///< of a kind that knows no RWF_NOWAIT
};
/// Of the folder that `path` names a thing in.
[[nodiscard]] Locality locality_of(std::string_view path) noexcept;
[[nodiscard]] inline bool is_folder_local(std::string_view path) noexcept {
  return locality_of(path) != Locality::unknown;
}
/// Looks at that folder, and keeps what it sees. May block.
void look_at_folder(std::string_view path) noexcept;
/// Whether the open file lies on a local file system. May block.
[[nodiscard]] bool is_file_local(int fd) noexcept;

/// The account of what is done on the spot; see the top.
class Pace {
 public:
  [[nodiscard]] bool is_going(Instant now) const noexcept;
  /// A call on the spot was made from `begin` to `end`, and `saved` what it would have taken to
  /// have a thread make it.
  void pay(Instant begin, Instant end, Duration saved = kHandOver) noexcept;
  /// Whether there was never a pause, so nobody needs to ask for the time.
  [[nodiscard]] bool is_untroubled() const noexcept;

 private:
  // Relaxed, always: no other memory goes with these words, and an update that another one
  // overwrites costs or saves an operation in the pool.
  Atomic<std::int64_t> credit_ns_{0};
  Atomic<std::int64_t> paused_until_ns_{0};
};

/// Whether operations that may wait, though they hardly do, may be made now.
[[nodiscard]] bool may_risk() noexcept;
/// Turns them on or off for the whole process; they are on at first.
void allow_risks(bool allowed) noexcept;

/// Times an operation that was risked, from its making to its end.
class Risk {
 public:
  Risk() noexcept : begin_(Instant::now()) {}
  Risk(const Risk&) = delete;
  Risk& operator=(const Risk&) = delete;
  ~Risk();

  /// A thread has to do it after all, or what this belongs to has been paid for already.
  void was_in_vain() noexcept { saved_ = Duration::zero(); }

 private:
  Instant begin_;
  Duration saved_ = kHandOver;
};

}  // namespace blitzio::fs::detail

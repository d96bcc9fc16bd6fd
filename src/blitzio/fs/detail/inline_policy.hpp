// `inline_policy`: which file operations may be made on the spot, on a thread that must not stall.
//
// Where the kernel can promise not to wait (preadv2 with RWF_NOWAIT, openat2 with RESOLVE_CACHED)
// it is asked to. For the rest, experience has to do (docs/design/files.md has the numbers):
//
//   locality  A path's folder must be known to lie on a local file system. The first operation in a
//             folder goes to the pool, which looks; that is believed for kBeliefSeconds.
//   pace      Writing and creating on a local file system take microseconds, until the kernel
//             throttles writers or a journal is full. One that took longer than kSlow sends all
//             others to the pool for kPause: at most one stall in that time.
//
// Threads: any; a handful of atomic words, no locks.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>

#include <cstddef>
#include <string_view>

namespace blitzio::fs::detail {

/// What is copied on the spot at most: tens of microseconds.
inline constexpr std::size_t kInlineReadBytesMax = 256 * 1024;
inline constexpr std::size_t kInlineWriteBytesMax = 64 * 1024;
inline constexpr Duration kSlow = Duration::from_millis(5);
inline constexpr Duration kPause = Duration::from_secs(1);
inline constexpr unsigned kBeliefSeconds = 5;

/// Whether the folder that `path` names a thing in was seen to be local, a moment ago.
[[nodiscard]] bool is_folder_local(std::string_view path) noexcept;
/// Looks at that folder, and keeps what it sees. May block.
void look_at_folder(std::string_view path) noexcept;
/// Whether the open file lies on a local file system. May block.
[[nodiscard]] bool is_file_local(int fd) noexcept;

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

 private:
  Instant begin_;
};

}  // namespace blitzio::fs::detail

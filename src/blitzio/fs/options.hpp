// `OpenOptions`: how a file is opened.
#pragma once

#include <blitzio/base/result.hpp>

#include <sys/types.h>

namespace blitzio::fs {

/// `{.read = true}` opens what exists; `{.write = true, .create = true, .truncate = true}` is what
/// writing a file anew needs. O_CLOEXEC is always set.
struct OpenOptions {
  bool read = false;
  bool write = false;
  bool append = false;      ///< each write goes to the end of the file; implies `write`
  bool truncate = false;    ///< needs `write`
  bool create = false;      ///< if there is no such file; needs `write` or `append`
  bool create_new = false;  ///< and fails with EEXIST if there is one
  mode_t mode = 0666;       ///< of a file that is made, before the umask
  int flags = 0;            ///< further flags of open(2): O_DIRECT, O_NOFOLLOW, O_SYNC, …
};

/// The flags for open(2).
/// Errors   invalid_argument if nothing is to be done, or what one option needs is missing.
[[nodiscard]] Result<int> open_flags(const OpenOptions& options) noexcept;

}  // namespace blitzio::fs

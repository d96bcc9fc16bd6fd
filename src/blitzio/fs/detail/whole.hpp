// Whole files on the spot: what `read_file` and `write_file` try first. Also for who has a place of
// his own for the content, as the Python extension has.
//
// Threads: any, no state.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/inline_policy.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace blitzio::fs::detail {

/// A regular file that is open, of at most kInlineReadBytesMax bytes.
struct SmallFile {
  OwnedFd fd;
  std::size_t size;
  bool can_ask;  ///< by RWF_NOWAIT; else it is known to say no
};
[[nodiscard]] Now<SmallFile> try_open_small(const std::string& path) noexcept;
/// Reads all of it to `to`, which has room for `size` bytes. Empty if some would have to be waited
/// for, or if there is more by now.
[[nodiscard]] Now<std::size_t> try_read_small(const SmallFile& file, std::byte* to) noexcept;

/// Reads the whole file to where `allocate(size)` says; null: it failed.
/// Returns  the size, if it could be read on the spot.   Errors   and ENOMEM if `allocate` fails.
template <std::invocable<std::size_t> Allocate>
Now<std::size_t> try_read_whole(const std::string& path, Allocate allocate) {
  const auto file = try_open_small(path);
  if (!file) return std::nullopt;
  if (!*file) return fail(file->error());
  std::byte* const to = allocate((*file)->size);
  if (to == nullptr && (*file)->size != 0) return fail(Error::os(ENOMEM));
  return try_read_small(**file, to);
}

/// Opens with `flags`, writes and closes.
[[nodiscard]] Now<void> try_write_whole(const std::string& path, int flags, mode_t mode,
                                        std::span<const std::byte> data) noexcept;
/// Writes all and closes.
[[nodiscard]] Result<void> write_and_close(OwnedFd fd, std::span<const std::byte> data) noexcept;

}  // namespace blitzio::fs::detail

// System calls on paths and files, in the two ways that `fs` needs: `blocking_…` may wait, `try_…`
// answers now or says with an empty optional that it would have to wait.
//
// EINTR is hidden here. Errors are the kernel's. Paths are bytes without NUL (invalid_argument).
//
// Threads: any, no state.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/executor/operations.hpp>
#include <blitzio/fs/metadata.hpp>

#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace blitzio::fs::detail {

/// An answer that is there now, if it is.
template <class T>
using Now = std::optional<Result<T>>;

/// `call()` until it does not give EINTR; a negative result becomes errno.
template <class Call>
auto retry(Call call) noexcept -> Result<decltype(call())> {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return fail(Error::os(errno));
  }
}
/// The same for calls that give nothing but success.
template <class Call>
Result<void> retry_void(Call call) noexcept {
  const auto result = retry(call);
  if (!result) return fail(result.error());
  return {};
}
/// The same for calls that count bytes.
template <class Call>
Result<std::size_t> retry_count(Call call) noexcept {
  const auto result = retry(call);
  if (!result) return fail(result.error());
  return static_cast<std::size_t>(*result);
}
/// What a completion says that gives nothing but success.
[[nodiscard]] inline Result<void> void_of(std::int32_t result) noexcept {
  if (result < 0) return fail(Error::os(-result));
  return {};
}
[[nodiscard]] inline Result<void> check_path(const std::string& path) noexcept {
  if (path.find('\0') == std::string::npos) return {};
  return fail(Error::runtime(RuntimeErrc::invalid_argument));
}

/// What opening gave: the descriptor, and what it is; after creating or truncating on the spot, its
/// type alone.
struct Opened {
  OwnedFd fd;
  struct stat status;
};

[[nodiscard]] Result<Opened> blocking_open(const std::string& path, int flags,
                                           mode_t mode) noexcept;
/// Opens a regular file or a directory in a folder known to be local, if the kernel has all it
/// takes in memory. Creating and truncating is a risk (inline_policy.hpp); a large file is not
/// truncated, nor opened for writing where that would copy it. What is neither, or a symbolic link
/// to something, is not opened: a FIFO waits for its other end, a device does as it likes, a link
/// leads elsewhere. Nor is a mount point, as a file is that was bound from another file system.
[[nodiscard]] Now<Opened> try_open(const std::string& path, int flags, mode_t mode) noexcept;

/// Whether the folder that `path` names a thing in may be changed on the spot; a risk.
[[nodiscard]] bool may_change(const std::string& path) noexcept;
/// Whether what has that name, if anything, may be removed on the spot; itself a risk.
[[nodiscard]] bool may_free(const std::string& path) noexcept;
/// Whether what has that name may get another one on the spot; itself a risk. Not a large file
/// where that would copy it.
[[nodiscard]] bool may_move(const std::string& path) noexcept;

[[nodiscard]] Result<Metadata> blocking_stat(const std::string& path,
                                             bool follow_symlinks) noexcept;
[[nodiscard]] Now<Metadata> try_stat(const std::string& path, bool follow_symlinks) noexcept;

/// What stat(2) would have said.
[[nodiscard]] struct stat to_stat(const struct statx& from) noexcept;
/// What stat(2) said, as an answer to "is there anything?".
[[nodiscard]] Result<bool> to_existence(const Result<Metadata>& found) noexcept;

/// Writes all of `data`: at `offset`, or where the descriptor stands (-1).
[[nodiscard]] Result<void> blocking_write_full(int fd, std::span<const std::byte> data,
                                               std::int64_t offset) noexcept;
/// Reads from `offset`, or from where a stream is (-1), to the end; `size` is a guess.
[[nodiscard]] Result<op::Bytes> blocking_read_to_end(int fd, std::int64_t offset, std::size_t size);

}  // namespace blitzio::fs::detail

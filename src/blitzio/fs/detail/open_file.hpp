// `OpenFile`: what a File and its futures share: the descriptor, where it stands, and what may be
// done with it on the spot.
//
// A regular file is read and written at offsets, and its position is kept here: it moves when an
// operation's result is taken, so a read that is dropped half way has consumed nothing. A stream (a
// pipe, a terminal, a socket) has no offsets: who reads it waits until it is readable first, which
// consumes nothing either.
//
// Threads: the position belongs to one task at a time; everything else is any thread's.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/operation.hpp>
#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/task/async.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace blitzio::fs::detail {

class OpenFile {
 public:
  /// `is_local`: operations may be risked on it (inline_policy.hpp).
  OpenFile(OwnedFd fd, const struct stat& status, int flags, bool is_local) noexcept;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] bool is_stream() const noexcept { return is_stream_; }
  [[nodiscard]] bool appends() const noexcept { return appends_; }
  [[nodiscard]] bool may_close_now() const noexcept { return is_local_ || is_read_only_; }
  [[nodiscard]] bool is_local() const noexcept { return is_local_; }

  /// `offset` is ignored by streams, and by writes that append.
  [[nodiscard]] Now<std::size_t> try_read(std::span<std::byte> buffer,
                                          std::uint64_t offset) noexcept;
  [[nodiscard]] Now<std::size_t> try_write(std::span<const std::byte> data,
                                           std::uint64_t offset) noexcept;
  [[nodiscard]] Result<std::size_t> blocking_read(std::span<std::byte> buffer,
                                                  std::uint64_t offset) noexcept;
  [[nodiscard]] Result<std::size_t> blocking_write(std::span<const std::byte> data,
                                                   std::uint64_t offset) noexcept;
  /// What blocking_read() and blocking_write() would do, for a ring. Not of streams.
  void prepare_read(driver::Operation& operation, std::span<std::byte> buffer,
                    std::uint64_t offset) const noexcept;
  void prepare_write(driver::Operation& operation, std::span<const std::byte> data,
                     std::uint64_t offset) const noexcept;
  /// Where the next byte goes after `count` were written from `offset` on.
  [[nodiscard]] std::uint64_t end_of_write(std::uint64_t offset, std::size_t count) const noexcept;
  [[nodiscard]] Result<void> close() noexcept;

  std::uint64_t position = 0;

 private:
  OwnedFd fd_;
  bool is_stream_;
  bool appends_;
  bool is_read_only_;
  bool is_local_;
  // Whether the file knows RWF_NOWAIT; cleared by the first read that says no. Relaxed, always: it
  // only saves calls.
  Atomic<bool> can_ask_{true};
};

}  // namespace blitzio::fs::detail

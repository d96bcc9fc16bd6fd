// Futures over single driver operations: what examples, tests and the higher layers build on.
//
// Buffers are handed over and come back with the result, see op_future.hpp for why.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/driver/operation.hpp>
#include <blitzio/executor/op_future.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::op {

using Bytes = std::vector<std::byte>;

/// How a transfer ended, and the buffer it used.
struct Transferred {
  Result<std::size_t> count;  ///< bytes moved; recv and read: 0 at the end
  Bytes buffer;               ///< as handed over; recv and read: the first `count` bytes are new
};

namespace detail {

inline Result<std::size_t> to_count(std::int32_t result) noexcept {
  if (result < 0) return fail(Error::os(-result));
  return static_cast<std::size_t>(result);
}

enum class Transfer : std::uint8_t { recv, send, read, write };

template <Transfer kKind>
struct TransferRequest {
  using Output = Transferred;
  int fd;
  Bytes buffer;
  std::size_t first;
  std::size_t count;
  std::int64_t file_offset;

  void prepare(driver::Operation& operation) noexcept {
    const auto part = std::span<std::byte>(buffer).subspan(first, count);
    if constexpr (kKind == Transfer::recv) {
      operation.recv(fd, part);
    } else if constexpr (kKind == Transfer::send) {
      operation.send(fd, part);
    } else if constexpr (kKind == Transfer::read) {
      operation.read(fd, part, file_offset);
    } else {
      operation.write(fd, part, file_offset);
    }
  }
  Output finish(std::int32_t result) noexcept { return {to_count(result), std::move(buffer)}; }
  void discard(std::int32_t /*result*/) noexcept {}
};

struct NopRequest {
  using Output = Result<void>;
  void prepare(driver::Operation& operation) noexcept { operation.nop(); }
  Output finish(std::int32_t result) noexcept {
    if (result < 0) return fail(Error::os(-result));
    return {};
  }
  void discard(std::int32_t /*result*/) noexcept {}
};

struct PollRequest {
  using Output = Result<std::uint32_t>;
  int fd;
  std::uint32_t events;
  void prepare(driver::Operation& operation) noexcept { operation.poll(fd, events); }
  Output finish(std::int32_t result) noexcept {
    if (result < 0) return fail(Error::os(-result));
    return static_cast<std::uint32_t>(result);
  }
  void discard(std::int32_t /*result*/) noexcept {}
};

struct AcceptRequest {
  using Output = Result<OwnedFd>;
  int fd;
  void prepare(driver::Operation& operation) noexcept { operation.accept(fd); }
  Output finish(std::int32_t result) noexcept {
    if (result < 0) return fail(Error::os(-result));
    return OwnedFd::adopt(result);
  }
  void discard(std::int32_t result) noexcept {
    if (result >= 0) static_cast<void>(OwnedFd::adopt(result));
  }
};

struct ConnectRequest {
  using Output = Result<void>;
  int fd;
  sockaddr_storage address;
  socklen_t length;
  void prepare(driver::Operation& operation) noexcept {
    operation.connect(fd, reinterpret_cast<const sockaddr*>(&address), length);
  }
  Output finish(std::int32_t result) noexcept {
    if (result < 0) return fail(Error::os(-result));
    return {};
  }
  void discard(std::int32_t /*result*/) noexcept {}
};

/// The part of `size` bytes from `first` on, at most `count`.
inline std::size_t clip(std::size_t size, std::size_t first, std::size_t count) noexcept {
  BLITZIO_CHECK(first <= size, first, size);
  return count < size - first ? count : size - first;
}

}  // namespace detail

inline constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

/// Completes in the next turn.
inline auto nop() {
  return OpFuture(detail::NopRequest{});
}

/// Waits until `fd` is ready for one of `events` (POLLIN, POLLOUT, …). Loses nothing when dropped.
/// Returns  the ready mask.
inline auto poll(int fd, std::uint32_t events) {
  return OpFuture(detail::PollRequest{fd, events});
}

/// Waits for a connection. A connection that comes after the future was dropped is closed.
inline auto accept(int listener) {
  return OpFuture(detail::AcceptRequest{listener});
}

/// `length` at most sizeof(sockaddr_storage); the address is copied.
inline auto connect(int fd, const sockaddr* address, socklen_t length) {
  detail::ConnectRequest request{fd, {}, length};
  BLITZIO_CHECK(length <= sizeof request.address, length);
  std::memcpy(&request.address, address, length);
  return OpFuture(request);
}

/// Receives at most `buffer.size()` bytes into it.
inline auto recv(int fd, Bytes buffer) {
  const std::size_t count = buffer.size();
  return OpFuture(
      detail::TransferRequest<detail::Transfer::recv>{fd, std::move(buffer), 0, count, -1});
}

/// Sends `count` bytes of `buffer` from `first` on; may send fewer.
inline auto send(int fd, Bytes buffer, std::size_t first = 0, std::size_t count = kAll) {
  count = detail::clip(buffer.size(), first, count);
  return OpFuture(
      detail::TransferRequest<detail::Transfer::send>{fd, std::move(buffer), first, count, -1});
}

/// Reads at most `buffer.size()` bytes; `offset` -1: at the file's position.
inline auto read(int fd, Bytes buffer, std::int64_t offset = -1) {
  const std::size_t count = buffer.size();
  return OpFuture(
      detail::TransferRequest<detail::Transfer::read>{fd, std::move(buffer), 0, count, offset});
}

/// Writes `count` bytes of `buffer` from `first` on; may write fewer.
inline auto write(int fd, Bytes buffer, std::size_t first = 0, std::size_t count = kAll,
                  std::int64_t offset = -1) {
  count = detail::clip(buffer.size(), first, count);
  return OpFuture(detail::TransferRequest<detail::Transfer::write>{fd, std::move(buffer), first,
                                                                   count, offset});
}

}  // namespace blitzio::op

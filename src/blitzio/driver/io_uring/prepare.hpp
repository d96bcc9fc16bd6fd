// From an `Operation` to a submission queue entry, and the tags that tell completions apart.
//
// A completion's user_data is the operation's address; its three low bits, which alignment leaves
// free, say which of the driver's requests on its behalf completed.
#pragma once

#include <blitzio/driver/io_uring/kernel_abi.hpp>
#include <blitzio/driver/operation.hpp>

#include <cstdint>

namespace blitzio::driver::io_uring {

enum class Tag : std::uint64_t {
  operation = 0,  ///< the operation itself
  readiness = 1,  ///< the poll that an operation waits for before it is tried again
  wake = 2,       ///< the poll on the wake-up eventfd
  ignored = 3,    ///< a cancel request that found nothing to cancel
};

inline constexpr std::uint64_t kTagMask = 7;
static_assert(alignof(Operation) > kTagMask);

[[nodiscard]] inline std::uint64_t user_data_of(const Operation& operation, Tag tag) noexcept {
  return reinterpret_cast<std::uintptr_t>(&operation) | static_cast<std::uint64_t>(tag);
}
[[nodiscard]] inline std::uint64_t user_data_of(Tag tag) noexcept {
  return static_cast<std::uint64_t>(tag);
}
[[nodiscard]] inline Tag tag_of(std::uint64_t user_data) noexcept {
  return static_cast<Tag>(user_data & kTagMask);
}
[[nodiscard]] inline Operation& operation_of(std::uint64_t user_data) noexcept {
  return *reinterpret_cast<Operation*>(user_data & ~kTagMask);
}

/// What the running kernel offers to the preparation.
struct Multishot {
  bool accept;  ///< else one connection per request; the driver re-arms
  bool recv;    ///< else one arrival per request; the driver re-arms
  bool read;    ///< likewise, of pipes
};

/// The group of provided buffers that recv_multishot and read_multishot take from.
inline constexpr std::uint16_t kBufferGroup = 0;

/// Whether the fd of such an operation may be a registered one. Not a folder that a path begins at;
/// close's would be taken for the slot.
[[nodiscard]] constexpr bool takes_registered_file(OpKind kind) noexcept {
  switch (kind) {
    case OpKind::open:
    case OpKind::close:
    case OpKind::stat:
    case OpKind::mkdir:
    case OpKind::rename:
    case OpKind::unlink:
      return false;
    default:
      return true;
  }
}

/// Fills `sqe` with `operation`. `deadline` must live until the entry is submitted.
void prepare(io_uring_sqe& sqe, const Operation& operation, Multishot multishot,
             __kernel_timespec& deadline) noexcept;
/// What poll(2) is to be asked for by one who waits until an operation of this kind may go on.
[[nodiscard]] unsigned readiness_events(OpKind kind) noexcept;
/// Fills `sqe` with a poll for what the operation waits for, tagged `readiness`.
void prepare_readiness(io_uring_sqe& sqe, const Operation& operation) noexcept;
/// Fills `sqe` with a request to cancel the request that has `user_data`.
void prepare_cancel(io_uring_sqe& sqe, std::uint64_t user_data) noexcept;
/// Fills `sqe` with a request to cancel everything.
void prepare_cancel_all(io_uring_sqe& sqe) noexcept;
/// Fills `sqe` with a multishot poll on `fd`, tagged `wake`.
void prepare_wake(io_uring_sqe& sqe, int fd) noexcept;

}  // namespace blitzio::driver::io_uring

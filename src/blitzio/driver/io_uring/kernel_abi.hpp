// What newer kernels understand and liburing 2.3's header has no name for. Values are the kernel's
// ABI and never change; whether the running kernel knows them is asked at run time (probe.hpp).
#pragma once

#include <liburing.h>

#include <cstdint>

namespace blitzio::driver::io_uring {

// io_uring_params::features.
inline constexpr std::uint32_t kFeatRecvSendBundle = 1U << 14;  // 6.10

// What a call says inside of the kernel that a signal, or a cancel request, has interrupted
// (ERESTARTSYS to ERESTART_RESTARTBLOCK): open, of a FIFO, lets it out where others say EINTR.
inline constexpr std::int32_t kRestartFirst = 512;
inline constexpr std::int32_t kRestartLast = 516;

// io_uring_sqe::opcode.
inline constexpr int kOpReadMultishot = 49;  // 6.7

// io_uring_buf_reg::flags, which liburing 2.3 calls `pad`.
inline constexpr std::uint16_t kBufferRingIncremental = 1U << 1;  // 6.12

}  // namespace blitzio::driver::io_uring

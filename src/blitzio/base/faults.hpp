// `faults`: failures that the kernel may give at any time, given on purpose and by a seed, so that
// tests meet them.
//
// A build without BLITZIO_FAULTS has none of this: hit() is a constant false, and the branches that
// ask it are not compiled (docs/design/fault-injection.md). In a build with it, nothing is injected
// until configure() or the environment variable BLITZIO_FAULTS says what and how often:
//
//     BLITZIO_FAULTS="seed=7,rate=0.05"           each hidden fault, one time in twenty
//     BLITZIO_FAULTS="seed=7,late=1,short=0.5"    these alone
//
// Every fault is legal: a result that the kernel gives on some day under some load. `memory` alone
// is one that a connection's owner sees as an error, so `rate` leaves it out.
//
// The numbers are a hash of the seed and a count of the questions asked so far: with one thread the
// same questions get the same answers, and no lock is needed with several.
//
// Threads: any. configure() while others ask changes what they get, at some moment.
#pragma once

#include <blitzio/base/result.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#ifndef BLITZIO_FAULTS
#define BLITZIO_FAULTS 0
#endif

namespace blitzio::faults {

/// What may be injected. The comment names it in a configuration and says who meets it.
enum class Fault : std::uint8_t {
  short_transfer,  ///< "short": fewer bytes are moved than could be. The owner.
  would_block,     ///< "again": EAGAIN though it would have gone. Whoever made the call waits.
  interrupted,     ///< "interrupt": EINTR. Hidden by whoever made the call.
  busy,            ///< "busy": the kernel takes or tells nothing this time. Hidden by the driver.
  no_buffer,       ///< "buffers": ENOBUFS, the ring of receive buffers is empty. Hidden.
  single_shot,     ///< "single": a multishot request ends after one result. Hidden.
  reclaimed,       ///< "reclaim": all requests end with ECANCELED and start anew. Hidden.
  late,            ///< "late": a completion comes some turns later, after others. The owner.
  spurious_wake,   ///< "wake": a wait ends for no reason. The loop.
  no_memory,       ///< "memory": ENOMEM. The owner, as an error; not part of "rate".
};
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::no_memory) + 1;

inline constexpr bool kBuiltIn = BLITZIO_FAULTS != 0;

/// The name of a fault in a configuration.
[[nodiscard]] std::string_view name(Fault fault) noexcept;

/// Replaces the configuration by `text`: "key=value" pairs with commas between: `seed` (a number
/// up to 2^64 - 1, 0 if not given), `rate` (a probability for every fault but `memory`), and faults
/// by name. Empty: nothing is injected any more.
/// Errors   faults_unavailable in a build without BLITZIO_FAULTS unless `text` is empty;
///          faults_malformed for what it cannot read, and then nothing changes.
[[nodiscard]] Result<void> configure(std::string_view text) noexcept;

/// configure() with the environment's BLITZIO_FAULTS, the first time only. Errors: as configure(),
/// each time.
[[nodiscard]] Result<void> configure_from_environment() noexcept;

/// How often each fault was injected since the process began.
[[nodiscard]] std::array<std::uint64_t, kFaults> counts() noexcept;

#if BLITZIO_FAULTS
/// Whether to inject `fault` here and now; counts it if so.
[[nodiscard]] bool hit(Fault fault) noexcept;
/// A number below `limit`, which is not 0.
[[nodiscard]] std::uint64_t below(std::uint64_t limit) noexcept;
#else
[[nodiscard]] constexpr bool hit(Fault /*fault*/) noexcept {
  return false;
}
[[nodiscard]] constexpr std::uint64_t below(std::uint64_t /*limit*/) noexcept {
  return 0;
}
#endif

/// `bytes`, or now and then fewer, but at least one of them.
[[nodiscard]] inline std::size_t perhaps_fewer(std::size_t bytes) noexcept {
  if constexpr (kBuiltIn) {
    if (bytes > 1 && hit(Fault::short_transfer)) return 1 + below(bytes - 1);
  }
  return bytes;
}

/// Whether poll(2) reports any of `events`, an error or an end for `fd` now.
[[nodiscard]] bool is_ready(int fd, short events) noexcept;

/// Whether to say EAGAIN to a call on `fd` whose caller then asks poll(2) for `events`. Only if
/// those are there, as if they had come a moment later: a call that must fail in another way, as
/// accept(2) of what is no listener, does not become ready, and the kernel would not have said
/// EAGAIN.
[[nodiscard]] inline bool refuses(int fd, short events) noexcept {
  return kBuiltIn && is_ready(fd, events) && hit(Fault::would_block);
}

/// Whether a call on `fd` may move less than was asked for: stream sockets, pipes in stream mode,
/// regular files. Not datagrams, and not the descriptors whose reads have one fixed size.
[[nodiscard]] bool may_be_short(int fd) noexcept;

}  // namespace blitzio::faults

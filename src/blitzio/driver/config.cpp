// What a driver's Config may say, in general and on this machine.
#include <blitzio/driver/detail/config.hpp>

#if BLITZIO_HAS_IO_URING
#include <blitzio/driver/io_uring/probe.hpp>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <utility>

namespace blitzio::driver {

namespace {

constexpr std::uint32_t kRingEntriesMax = 32'768;
constexpr std::uint32_t kBufferBytesMin = 256;
constexpr std::uint32_t kBufferBytesMax = 16 * 1024 * 1024;
// Buffer ids have 16 bits, and the kernel allows half of them.
constexpr std::uint32_t kBufferCountMax = 32'768;

Problem out_of_range(const char* field, std::uint32_t value, const std::string& range) {
  return {RuntimeErrc::invalid_argument,
          std::string(field) + " is " + std::to_string(value) + "; it must be " + range};
}

std::optional<Problem> check_power_of_two(const char* field, std::uint32_t value, std::uint32_t low,
                                          std::uint32_t high) {
  if (std::has_single_bit(value) && value >= low && value <= high) return std::nullopt;
  return out_of_range(field, value,
                      "a power of two from " + std::to_string(low) + " to " + std::to_string(high));
}

std::optional<Problem> check_enumerators(const Config& config) {
  if (config.backend > Backend::poll) {
    return out_of_range("backend", std::to_underlying(config.backend), "one of Backend");
  }
  for (const auto& [field, use] : {std::pair("single_issuer", config.single_issuer),
                                   std::pair("defer_taskrun", config.defer_taskrun),
                                   std::pair("registered_buffers", config.registered_buffers),
                                   std::pair("registered_files", config.registered_files),
                                   std::pair("ring_files", config.ring_files)}) {
    if (use > Use::never) return out_of_range(field, std::to_underlying(use), "one of Use");
  }
  return std::nullopt;
}

// That two fields exclude each other, whatever the machine.
std::optional<Problem> check_combinations(const Config& config) {
  if (config.sqpoll && config.defer_taskrun == Use::always) {
    return Problem{
        RuntimeErrc::invalid_argument,
        "sqpoll and defer_taskrun exclude each other: the kernel's thread runs the work"};
  }
  if (config.defer_taskrun == Use::always && config.single_issuer == Use::never) {
    return Problem{RuntimeErrc::invalid_argument,
                   "defer_taskrun needs single_issuer, which is set to never"};
  }
  return std::nullopt;
}

std::optional<Problem> check_kernel([[maybe_unused]] const Config& config) {
#if BLITZIO_HAS_IO_URING
  const io_uring::Features& features = io_uring::probe().features;
  const auto lacks = [](const char* field) {
    return Problem{RuntimeErrc::unsupported,
                   std::string(field) + " is set to always, and this kernel's io_uring lacks it"};
  };
  if (config.single_issuer == Use::always && !features.single_issuer) return lacks("single_issuer");
  if (config.defer_taskrun == Use::always && !features.defer_taskrun) return lacks("defer_taskrun");
#endif
  return std::nullopt;
}

}  // namespace

const char* needs_io_uring(const Config& config) noexcept {
  if (config.sqpoll) return "sqpoll";
  if (config.single_issuer == Use::always) return "single_issuer";
  if (config.defer_taskrun == Use::always) return "defer_taskrun";
  if (config.registered_buffers == Use::always) return "registered_buffers";
  if (config.registered_files == Use::always) return "registered_files";
  if (config.ring_files == Use::always) return "ring_files";
  return nullptr;
}

std::optional<Problem> problem_in(const Config& config) {
  if (config.ring_entries != 0 &&
      (!std::has_single_bit(config.ring_entries) || config.ring_entries > kRingEntriesMax)) {
    return out_of_range("ring_entries", config.ring_entries,
                        "0 (by memory) or a power of two up to " + std::to_string(kRingEntriesMax));
  }
  for (const auto& found :
       {check_enumerators(config),
        check_power_of_two("buffer_bytes", config.buffer_bytes, kBufferBytesMin, kBufferBytesMax),
        check_power_of_two("buffer_count", config.buffer_count, 1, kBufferCountMax),
        check_power_of_two("buffer_count_max", config.buffer_count_max,
                           std::min(config.buffer_count, kBufferCountMax), kBufferCountMax),
        check_combinations(config)}) {
    if (found) return found;
  }
  if (config.iopoll) {
    return Problem{RuntimeErrc::unsupported,
                   "iopoll: no backend has it, because a ring that polls for completions cannot "
                   "wait for sockets, timers and wake-ups"};
  }
  const char* const field = needs_io_uring(config);
  if (field == nullptr) return std::nullopt;
  if (config.backend != Backend::automatic && config.backend != Backend::io_uring) {
    return Problem{RuntimeErrc::unsupported, std::string(field) +
                                                 ": only the io_uring backend has it, and the "
                                                 "backend is " +
                                                 std::string(name(config.backend))};
  }
  const auto& backends = detect();
  const auto io_uring = std::ranges::find(backends, Backend::io_uring, &Availability::backend);
  if (!io_uring->usable) {
    return Problem{RuntimeErrc::unsupported, std::string(field) +
                                                 ": only the io_uring backend has it, which cannot "
                                                 "run here: " +
                                                 io_uring->reason};
  }
  return check_kernel(config);
}

Result<void> validate(const Config& config) noexcept {
  if (const auto problem = problem_in(config)) return fail(Error::runtime(problem->code));
  return {};
}

}  // namespace blitzio::driver

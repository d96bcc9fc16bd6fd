#include <blitzio/base/deadline_clock.hpp>

#if defined(__x86_64__)

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/owned_fd.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace blitzio::detail {

namespace {

constexpr std::int64_t kCountFor = 50'000;        // ns
constexpr std::int64_t kMeasureFor = 10'000'000;  // ns: a reading is 0.1 µs off at most
// Of a reading that nothing held up. Of others it is not known well enough when they were.
constexpr std::uint64_t kReadingCyclesMax = 256;
// In a row. Then readings take as long as that on this processor, or on what imitates one, and one
// call of some is enough to see when they no longer do.
constexpr std::uint32_t kHeldUpMax = 100;
constexpr std::uint32_t kTriesAmong = 1'024;

/// Whether the kernel tells the time by the counter.
bool is_clock_source() noexcept {
  const OwnedFd file = OwnedFd::adopt(::open(
      "/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::array<char, 16> name{};
  ssize_t size = 0;
  do size = ::read(file.get(), name.data(), name.size());
  while (size < 0 && errno == EINTR);
  return size > 0 && std::string_view(name.data(), static_cast<std::size_t>(size)) == "tsc\n";
}

bool can_count() noexcept {
  enum class Answer : std::uint8_t { unknown, yes, no };
  static constinit Atomic<Answer> known{Answer::unknown};
  // Relaxed: threads that ask at the same time find the same.
  Answer answer = known.load(std::memory_order_relaxed);
  if (BLITZIO_UNLIKELY(answer == Answer::unknown)) {
    const int error = errno;
    answer = is_clock_source() ? Answer::yes : Answer::no;
    errno = error;
    known.store(answer, std::memory_order_relaxed);  // Relaxed: as above.
  }
  return answer == Answer::yes;
}

}  // namespace

Instant CycleCount::begin_anew() noexcept {
  bool shall_try = held_up < kHeldUpMax;
  if (!shall_try) shall_try = ++held_up % kTriesAmong == 0;
  return say(shall_try && can_count() ? try_to_begin() : Instant::now().as_nanos());
}

Instant CycleCount::say(std::int64_t nanos) noexcept {
  // The system's clock went back: a process that was moved to another machine, or forked into
  // another time namespace.
  if (said - nanos > 2 * kCountFor) *this = {};
  said = std::max(said, nanos);
  return Instant::from_nanos(said);
}

std::int64_t CycleCount::try_to_begin() noexcept {
  const std::uint64_t before = __builtin_ia32_rdtsc();
  const std::int64_t nanos = Instant::now().as_nanos();
  const std::uint64_t took = __builtin_ia32_rdtsc() - before;
  if (took > kReadingCyclesMax) {
    ++held_up;
  } else {
    held_up = 0;
    begin = before + took / 2;
    begin_nanos = nanos;
    if (nanos - measured_at_nanos >= kMeasureFor) measure(begin, nanos);
  }
  return nanos;
}

void CycleCount::measure(std::uint64_t counter, std::int64_t nanos) noexcept {
  const auto passed = static_cast<double>(nanos - measured_at_nanos);
  const auto cycles = static_cast<double>(counter - measured_at);
  const std::uint64_t last = rate;
  // Of a counter that stands, or was set back, what comes out is no number of nanoseconds.
  rate = cycles < passed * 0x1p-16 ? 0 : static_cast<std::uint64_t>(passed * 0x1p32 / cycles);
  const bool agrees = rate != 0 && std::max(rate, last) - std::min(rate, last) <= last / 1'024;
  cycles_max = agrees ? (std::uint64_t{kCountFor} << 32) / rate : 0;
  measured_at = counter;
  measured_at_nanos = nanos;
}

}  // namespace blitzio::detail

#endif

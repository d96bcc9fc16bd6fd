#include <blitzio/base/atomic.hpp>
#include <blitzio/base/faults.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>

namespace blitzio::faults {

namespace {

constexpr std::array<std::string_view, kFaults> kNames{"short",   "again",  "interrupt", "busy",
                                                       "buffers", "single", "reclaim",   "late",
                                                       "wake",    "memory"};

// Probabilities in units of 2^-32.
constexpr double kCertain = 4294967296.0;

struct Plan {
  std::uint64_t seed = 0;
  std::array<std::uint64_t, kFaults> chances{};
};

std::optional<double> probability(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return {};
  if (!(value >= 0 && value <= 1)) return {};
  return value;
}

bool read_pair(std::string_view key, std::string_view value, Plan& plan) {
  if (key == "seed") {
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), plan.seed);
    return code == std::errc() && end == value.data() + value.size();
  }
  const std::optional<double> chance = probability(value);
  if (!chance) return false;
  const auto units = static_cast<std::uint64_t>(*chance * kCertain);
  if (key == "rate") {
    for (std::size_t i = 0; i < kFaults; ++i) {
      const auto fault = static_cast<Fault>(i);
      if (fault == Fault::no_memory) continue;
      // Taking everything back costs as much as all requests together.
      plan.chances[i] = fault == Fault::reclaimed ? units / 16 : units;
    }
    return true;
  }
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (key != kNames[i]) continue;
    plan.chances[i] = units;
    return true;
  }
  return false;
}

std::optional<Plan> parse(std::string_view text) {
  Plan plan;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(','));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return {};
    if (!read_pair(pair.substr(0, equals), pair.substr(equals + 1), plan)) return {};
    text.remove_prefix(pair.size());
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.empty()) return {};  // It ended with a comma.
  }
  return plan;
}

#if BLITZIO_FAULTS

// Everything here is relaxed: no other memory rides on it, and a thread that asks during a change
// may get either answer.
constexpr auto kRelaxed = std::memory_order_relaxed;

struct State {
  Atomic<std::uint64_t> seed{0};
  Atomic<std::uint64_t> questions{0};
  std::array<Atomic<std::uint64_t>, kFaults> chances{};
  std::array<Atomic<std::uint64_t>, kFaults> injected{};
};
constinit State state;

// The finaliser of splitmix64 over a counter: every question has its own number.
std::uint64_t next() noexcept {
  // Relaxed, here and below: see kRelaxed.
  const std::uint64_t question = state.questions.fetch_add(1, kRelaxed) + 1;
  std::uint64_t x = state.seed.load(kRelaxed) + question * 0x9E37'79B9'7F4A'7C15;
  x = (x ^ (x >> 30)) * 0xBF58'476D'1CE4'E5B9;
  x = (x ^ (x >> 27)) * 0x94D0'49BB'1331'11EB;
  return x ^ (x >> 31);
}

void apply(const Plan& plan) noexcept {
  state.seed.store(plan.seed, kRelaxed);
  state.questions.store(0, kRelaxed);
  for (std::size_t i = 0; i < kFaults; ++i) state.chances[i].store(plan.chances[i], kRelaxed);
}

#endif

}  // namespace

std::string_view name(Fault fault) noexcept {
  return kNames[static_cast<std::size_t>(fault)];
}

Result<void> configure(std::string_view text) noexcept {
  const std::optional<Plan> plan = parse(text);
#if BLITZIO_FAULTS
  if (!plan) return fail(Error::runtime(RuntimeErrc::faults_malformed));
  apply(*plan);
  return {};
#else
  (void)plan;
  if (text.empty()) return {};
  return fail(Error::runtime(RuntimeErrc::faults_unavailable));
#endif
}

Result<void> configure_from_environment() noexcept {
  static const Result<void> outcome = [] {
    const char* text = std::getenv("BLITZIO_FAULTS");
    return text == nullptr || *text == '\0' ? Result<void>() : configure(text);
  }();
  return outcome;
}

#if BLITZIO_FAULTS

std::array<std::uint64_t, kFaults> counts() noexcept {
  std::array<std::uint64_t, kFaults> found{};
  for (std::size_t i = 0; i < kFaults; ++i) found[i] = state.injected[i].load(kRelaxed);
  return found;
}

bool hit(Fault fault) noexcept {
  const auto index = static_cast<std::size_t>(fault);
  const std::uint64_t chance = state.chances[index].load(kRelaxed);
  if (chance == 0 || next() >> 32 >= chance) return false;
  state.injected[index].fetch_add(1, kRelaxed);
  return true;
}

std::uint64_t below(std::uint64_t limit) noexcept {
  return next() % limit;
}

#else

std::array<std::uint64_t, kFaults> counts() noexcept {
  return {};
}

#endif

bool is_ready(int fd, short events) noexcept {
  pollfd item{fd, events, 0};
  return ::poll(&item, 1, 0) == 1 && (item.revents & POLLNVAL) == 0;
}

bool may_be_short(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return false;
  if (S_ISREG(status.st_mode)) return true;
  if (S_ISFIFO(status.st_mode)) return (::fcntl(fd, F_GETFL) & O_DIRECT) == 0;
  if (!S_ISSOCK(status.st_mode)) return false;
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

}  // namespace blitzio::faults

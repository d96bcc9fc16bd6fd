#include <blitzio/io/deterministic.hpp>

#include <blitzio/base/check.hpp>
#include <blitzio/io/detail/sim_host.hpp>
#include <blitzio/io/detail/sim_network.hpp>
#include <blitzio/io/detail/sim_world.hpp>

#include <cstdio>
#include <utility>

namespace blitzio::io {

namespace {

const char* word_of(TraceEntry::Kind kind) noexcept {
  switch (kind) {
    case TraceEntry::Kind::run:
      return "run";
    case TraceEntry::Kind::finish:
      return "finish";
    case TraceEntry::Kind::time:
      return "time";
    case TraceEntry::Kind::deliver:
      return "deliver";
    case TraceEntry::Kind::lose:
      return "lose";
    case TraceEntry::Kind::reset:
      return "reset";
  }
  return "";
}

}  // namespace

std::string to_string(const TraceEntry& entry) {
  const std::int64_t nanos = entry.at.as_nanos();
  char text[96];
  std::snprintf(text, sizeof text, "+%lld.%09lld s %s %llu",
                static_cast<long long>(nanos / 1'000'000'000),
                static_cast<long long>(nanos % 1'000'000'000), word_of(entry.kind),
                static_cast<unsigned long long>(entry.subject));
  return text;
}

Deterministic::Deterministic(const Config& config)
    : world_(std::make_unique<detail::SimWorld>(config)) {}
Deterministic::~Deterministic() = default;

Io Deterministic::io() {
  return world_->host(Address::loopback_v4(0)).io();
}
Io Deterministic::host(const Address& address) {
  return world_->host(address).io();
}
Instant Deterministic::now() const noexcept {
  return world_->now();
}
std::size_t Deterministic::task_count() const noexcept {
  return world_->task_count();
}
const std::vector<TraceEntry>& Deterministic::trace() const noexcept {
  return world_->trace();
}
std::uint64_t Deterministic::fingerprint() const noexcept {
  return world_->fingerprint();
}

void Deterministic::set_faults(const Faults& faults) noexcept {
  BLITZIO_CHECK(Duration() <= faults.latency_min && faults.latency_min <= faults.latency_max,
                faults.latency_min.as_nanos(), faults.latency_max.as_nanos());
  BLITZIO_CHECK(0 <= faults.datagram_loss && faults.datagram_loss <= 1);
  world_->network().set_faults(faults);
}
void Deterministic::partition(const Address& a, const Address& b) {
  world_->network().partition(a, b);
}
void Deterministic::heal(const Address& a, const Address& b) {
  world_->network().heal(a, b);
}
void Deterministic::reset_connections(const Address& a, const Address& b) {
  world_->network().reset_connections(a, b);
}
void Deterministic::add_name(const std::string& name, std::vector<Address> addresses) {
  world_->network().add_name(name, std::move(addresses));
}
void Deterministic::raise_signal(int number) {
  world_->for_each_host([number](detail::SimHost& host) { host.signal().raise(number); });
}

}  // namespace blitzio::io

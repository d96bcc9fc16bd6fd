#include <blitzio/io/detail/sim_connection.hpp>

#include <blitzio/io/detail/sim_host.hpp>
#include <blitzio/task/futures.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace blitzio::io::detail {

namespace {

// Wakers leave their place first: who is woken may come back to it.
void wake(Waker& waker) {
  Waker woken = std::move(waker);
  woken.wake();
}

std::unexpected<Error> os(int code) noexcept {
  return fail(Error::os(code));
}

class SimStream final : public StreamSocket::Backend {
 public:
  SimStream(std::shared_ptr<SimConnection> connection, unsigned side) noexcept
      : connection_(std::move(connection)), side_(side) {}
  ~SimStream() override { connection_->close(side_); }

  AnyFuture<Result<std::size_t>> read(std::span<std::byte> buffer) override {
    return poll_fn(
        [this, buffer](Context& context) { return connection_->read(side_, buffer, context); });
  }
  AnyFuture<Result<std::size_t>> write(std::span<const std::byte> data) override {
    return poll_fn(
        [this, data](Context& context) { return connection_->write(side_, data, context); });
  }
  Result<void> shutdown(net::Shutdown how) override { return connection_->shutdown(side_, how); }
  [[nodiscard]] Result<Address> local_address() const override {
    return connection_->end(side_).address;
  }
  [[nodiscard]] Result<Address> peer_address() const override {
    return connection_->end(1 - side_).address;
  }

 private:
  const std::shared_ptr<SimConnection> connection_;
  const unsigned side_;
};

}  // namespace

std::unique_ptr<StreamSocket::Backend> make_end(std::shared_ptr<SimConnection> connection,
                                                unsigned side) {
  return std::make_unique<SimStream>(std::move(connection), side);
}

Poll<Result<std::size_t>> SimConnection::read(unsigned side, std::span<std::byte> buffer,
                                              Context& context) {
  using Answer = Result<std::size_t>;
  Wire& wire = wires_.at(1 - side);
  if (buffer.empty()) return Answer(0);
  if (wire.arrived.empty()) {
    if (is_reset_) return Answer(os(ECONNRESET));
    if (wire.has_end_arrived || wire.is_read_shut) return Answer(0);
    wire.reader = context.waker().clone();
    return pending;
  }
  const std::size_t count = network_.transfer(std::min(buffer.size(), wire.arrived.size()));
  const auto end = wire.arrived.begin() + static_cast<std::ptrdiff_t>(count);
  std::copy(wire.arrived.begin(), end, buffer.begin());
  wire.arrived.erase(wire.arrived.begin(), end);
  wake(wire.writer);
  return Answer(count);
}

Poll<Result<std::size_t>> SimConnection::write(unsigned side, std::span<const std::byte> data,
                                               Context& context) {
  using Answer = Result<std::size_t>;
  Wire& wire = wires_.at(side);
  if (is_reset_) return Answer(os(ECONNRESET));
  if (wire.is_ended) return Answer(os(EPIPE));
  if (data.empty()) return Answer(0);
  const std::size_t used = wire.bytes_on_the_way + wire.arrived.size();
  if (used >= SimNetwork::kWindowBytes) {
    wire.writer = context.waker().clone();
    return pending;
  }
  const std::size_t count =
      network_.transfer(std::min(data.size(), SimNetwork::kWindowBytes - used));
  const auto taken = data.first(count);
  send(side, {{}, op::Bytes(taken.begin(), taken.end())});
  return Answer(count);
}

void SimConnection::send(unsigned side, Packet packet) {
  Wire& wire = wires_.at(side);
  SimWorld& world = network_.world();
  packet.arrives = world.now() + network_.latency();
  if (!wire.on_the_way.empty()) {
    packet.arrives = std::max(packet.arrives, wire.on_the_way.back().arrives);
  }
  world.call_at(packet.arrives, [self = shared_from_this(), side] { self->deliver(side); });
  wire.bytes_on_the_way += packet.bytes.size();
  wire.on_the_way.push_back(std::move(packet));
}

void SimConnection::deliver(unsigned side) {
  Wire& wire = wires_.at(side);
  SimWorld& world = network_.world();
  if (network_.is_partitioned(*ends_[0].host, *ends_[1].host)) return;
  while (!wire.on_the_way.empty() && wire.on_the_way.front().arrives <= world.now()) {
    const Packet packet = std::move(wire.on_the_way.front());
    wire.on_the_way.pop_front();
    wire.bytes_on_the_way -= packet.bytes.size();
    world.note(TraceEntry::Kind::deliver, packet.bytes.size());
    if (packet.is_end) {
      wire.has_end_arrived = true;
    } else if (wire.is_reader_gone) {
      reset();
      return;
    } else if (!wire.is_read_shut) {
      wire.arrived.insert(wire.arrived.end(), packet.bytes.begin(), packet.bytes.end());
    }
    wake(wire.reader);
  }
}

void SimConnection::go_on() {
  SimWorld& world = network_.world();
  for (const unsigned side : {kClient, kServer}) {
    if (wires_.at(side).on_the_way.empty()) continue;
    world.call_at(world.now() + network_.latency(),
                  [self = shared_from_this(), side] { self->deliver(side); });
  }
}

Result<void> SimConnection::shutdown(unsigned side, net::Shutdown how) {
  if (is_reset_) return os(ENOTCONN);
  if (how != net::Shutdown::read && !std::exchange(wires_.at(side).is_ended, true)) {
    send(side, {{}, {}, true});
    wake(wires_.at(side).writer);
  }
  if (how != net::Shutdown::write) {
    Wire& wire = wires_.at(1 - side);
    wire.is_read_shut = true;
    wire.arrived.clear();
    wake(wire.reader);
    wake(wire.writer);
  }
  return {};
}

void SimConnection::close(unsigned side) {
  Wire& in = wires_.at(1 - side);
  in.is_reader_gone = true;
  if (is_reset_) return;
  if (!in.arrived.empty()) {
    reset();
  } else if (!std::exchange(wires_.at(side).is_ended, true)) {
    send(side, {{}, {}, true});
  }
}

void SimConnection::reset() {
  if (std::exchange(is_reset_, true)) return;
  network_.world().note(TraceEntry::Kind::reset, 0);
  for (Wire& wire : wires_) {
    wire.on_the_way.clear();
    wire.bytes_on_the_way = 0;
    wire.arrived.clear();
    wake(wire.reader);
    wake(wire.writer);
  }
}

}  // namespace blitzio::io::detail

// `SimListener<S>`: a listener of a simulation, and `SimBacklog`, its connections that nobody has
// accepted yet.
//
// Threads: the world's.
#pragma once

#include <blitzio/io/detail/sim_connection.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/task/futures.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace blitzio::io::detail {

class SimBacklog {
 public:
  explicit SimBacklog(int max) : max_(static_cast<std::size_t>(std::max(max, 1))) {}
  SimBacklog(const SimBacklog&) = delete;
  SimBacklog& operator=(const SimBacklog&) = delete;
  ~SimBacklog() {
    for (const auto& connection : waiting_) connection->reset();
  }

  /// False if it has no room.
  [[nodiscard]] bool offer(std::shared_ptr<SimConnection> connection) {
    if (waiting_.size() >= max_) return false;
    waiting_.push_back(std::move(connection));
    for (Waker& acceptor : std::exchange(acceptors_, {})) acceptor.wake();
    return true;
  }
  [[nodiscard]] Poll<std::shared_ptr<SimConnection>> poll_accept(Context& context) {
    if (waiting_.empty()) {
      const auto is_known = [&](const Waker& known) {
        return known.will_wake_same(context.waker());
      };
      if (std::ranges::none_of(acceptors_, is_known)) {
        acceptors_.push_back(context.waker().clone());
      }
      return pending;
    }
    auto connection = std::move(waiting_.front());
    waiting_.pop_front();
    return connection;
  }

 private:
  const std::size_t max_;
  std::deque<std::shared_ptr<SimConnection>> waiting_;
  std::vector<Waker> acceptors_;
};

template <class S>
class SimListener final : public ListenerSocket<S>::Backend {
 public:
  /// `close`: called when it goes; from then on nobody may offer it anything.
  SimListener(const Address& address, int backlog, std::function<void()> close)
      : address_(address), backlog_(backlog), close_(std::move(close)) {}
  ~SimListener() override { close_(); }

  AnyFuture<Result<Accepted<S>>> accept() override {
    return poll_fn([this](Context& context) -> Poll<Result<Accepted<S>>> {
      auto answer = backlog_.poll_accept(context);
      if (answer.is_pending()) return pending;
      auto connection = std::move(answer).take();
      const Address peer = connection->end(SimConnection::kClient).address;
      S stream(make_end(std::move(connection), SimConnection::kServer));
      return Result<Accepted<S>>(Accepted<S>{std::move(stream), peer});
    });
  }
  [[nodiscard]] Result<Address> local_address() const override { return address_; }
  [[nodiscard]] SimBacklog& backlog() noexcept { return backlog_; }

 private:
  const Address address_;
  SimBacklog backlog_;
  std::function<void()> close_;
};

}  // namespace blitzio::io::detail

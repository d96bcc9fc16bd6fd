// TcpStream::connect() to a host of several addresses.
//
//     addresses   v6 v4 v6 …          the next begins when the delay is over, or one has failed
//     attempts    ──▶ ──▶             all are polled; the first that succeeds wins
#include <blitzio/dns/resolve.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/time/sleep.hpp>

#include <list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::net {

namespace {

/// The families in turn, beginning with that of the first address (RFC 8305, section 4).
std::vector<Address> interleaved(const std::vector<Address>& addresses) {
  std::vector<Address> first;
  std::vector<Address> other;
  for (const Address& address : addresses) {
    (address.family() == addresses.front().family() ? first : other).push_back(address);
  }
  std::vector<Address> mixed;
  for (std::size_t i = 0; i < first.size() || i < other.size(); ++i) {
    if (i < first.size()) mixed.push_back(first[i]);
    if (i < other.size()) mixed.push_back(other[i]);
  }
  return mixed;
}

class [[nodiscard]] ConnectFirst {
 public:
  using Output = Result<TcpStream>;
  explicit ConnectFirst(std::vector<Address> addresses) noexcept
      : addresses_(std::move(addresses)) {}

  // Throws what a Sleep does.
  Poll<Output> poll(Context& context) {
    for (;;) {
      for (auto attempt = attempts_.begin(); attempt != attempts_.end();) {
        auto answer = attempt->poll(context);
        if (answer.is_pending()) {
          ++attempt;
          continue;
        }
        if (answer.value()) return answer;
        if (!error_) error_ = answer.value().error();
        attempt = attempts_.erase(attempt);
        delay_.reset();
      }
      if (next_ == addresses_.size()) {
        if (attempts_.empty()) return Output(fail(*error_));
        return pending;
      }
      if (delay_ && delay_->poll(context).is_pending()) return pending;
      attempts_.push_back(TcpStream::connect(addresses_[next_++]));
      delay_.reset();
      if (next_ < addresses_.size()) delay_.emplace(time::sleep(TcpStream::kAttemptDelay));
    }
  }

 private:
  std::vector<Address> addresses_;
  std::size_t next_ = 0;
  std::list<TcpStream::Connect> attempts_;  // they do not move once polled
  std::optional<time::Sleep> delay_;        // until the next begins
  std::optional<Error> error_;              // of the first that failed
};

Async<Result<TcpStream>> connect_to(Async<Result<std::vector<Address>>> resolving) {
  const auto addresses = co_await resolving;
  if (!addresses) co_return fail(addresses.error());
  // Named: GCC 12 copies temporaries of an awaited expression byte by byte.
  ConnectFirst connecting(interleaved(*addresses));
  co_return co_await connecting;
}

}  // namespace

Async<Result<TcpStream>> TcpStream::connect(std::string_view host, std::uint16_t port) {
  return connect_to(dns::resolve(host, port));
}

}  // namespace blitzio::net

// `Pool<T>`: connections that are kept and lent again instead of made anew.
//
//     Pool<TcpStream> pool({.connections_max = 8}, [] { return TcpStream::connect("db", 5432); });
//     auto connection = get(co_await pool.acquire());
//     co_await connection->write_all(query);             // given back when it goes out of scope
//
//             acquire                      given back
//   (none) ──────────▶ lent ──────────────────────────────▶ idle ──┐
//             connect    │ ▲          acquire, healthy        │    │ too old, unhealthy, pool
//             closed
//                        │ └──────────────────────────────────┘    ▼
//                        └─────────────── discard() ────────────▶ (closed)
//
// At most `connections_max` are lent at a time, and so at most as many exist; who comes later
// waits, in order of arrival. The latest to be given back is lent first, so a pool shrinks when
// less is asked of it.
//
// Threads: any. What is lent may outlive the pool.
#pragma once

#include <blitzio/base/function.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/net/stream_socket.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace blitzio::net {

/// How many connections a Pool has, and for how long.
struct PoolOptions {
  std::uint32_t connections_max = 16;  ///< lent and idle together; at least 1
  std::size_t idle_max = SIZE_MAX;     ///< more than that are closed when they are given back
  /// An idle one that is older is closed instead of lent.
  Duration idle_timeout = Duration::from_secs(90);
};

/// Whether an idle connection is as it should be: open, and nothing has come. Data or an end that
/// nobody asked for means that the peer is about to leave, or out of step.
[[nodiscard]] inline bool is_quiet(StreamSocket& stream) noexcept {
  std::byte byte{};
  const auto peeked = detail::receive_now(stream.fd(), {&byte, 1}, MSG_PEEK);
  return peeked.has_value() && !peeked->has_value();
}

/// Connections that are lent, given back and lent again. `T`: a socket or the like, which moves and
/// closes with its end.
/// Thread: any.
template <class T>
class Pool {
  struct Idle {
    T connection;
    Instant since;
  };
  struct State {
    State(const PoolOptions& options_in, Function<Async<Result<T>>()> connect_in,
          Function<bool(T&)> is_healthy_in)
        : options(options_in),
          permits(options_in.connections_max),
          connect(std::move(connect_in)),
          is_healthy(std::move(is_healthy_in)) {}

    const PoolOptions options;
    sync::Semaphore permits;
    Mutex mutex{LockRank::leaf};
    std::vector<Idle> idle BLITZIO_GUARDED_BY(mutex);
    // User code; called without the lock, by who holds a permit.
    Function<Async<Result<T>>()> connect;
    Function<bool(T&)> is_healthy;
  };

 public:
  /// A connection that is lent.
  class [[nodiscard]] Lent {
   public:
    Lent(Lent&& other) noexcept
        : state_(std::move(other.state_)), connection_(std::move(other.connection_)) {
      other.connection_.reset();
    }
    Lent& operator=(Lent&& other) noexcept {
      if (this != &other) {
        give_back();
        state_ = std::move(other.state_);
        connection_ = std::move(other.connection_);
        other.connection_.reset();
      }
      return *this;
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent() { give_back(); }

    T& operator*() noexcept { return *connection_; }
    T* operator->() noexcept { return &*connection_; }
    /// Closes the connection instead of giving it back: it has failed, or is out of step.
    void discard() noexcept {
      connection_.reset();
      give_back();
    }

   private:
    friend class Pool;
    Lent(std::shared_ptr<State> state, T connection) noexcept
        : state_(std::move(state)), connection_(std::move(connection)) {}
    void give_back() noexcept {
      const std::shared_ptr<State> state = std::move(state_);
      if (state == nullptr) return;
      if (connection_) keep(*state, std::move(*connection_));
      connection_.reset();
      // Last: who gets the permit finds the connection.
      state->permits.release();
    }
    std::shared_ptr<State> state_;
    std::optional<T> connection_;
  };

  /// `connect` makes a connection; `is_healthy` is asked of an idle one before it is lent again.
  /// Both may be called by several tasks at once.
  Pool(const PoolOptions& options, Function<Async<Result<T>>()> connect,
       Function<bool(T&)> is_healthy)
      : state_(std::make_shared<State>(options, std::move(connect), std::move(is_healthy))) {
    BLITZIO_CHECK(options.connections_max > 0);
  }
  /// Of sockets, whose health is that they are quiet.
  Pool(const PoolOptions& options, Function<Async<Result<T>>()> connect)
    requires std::derived_from<T, StreamSocket>
      : Pool(options, std::move(connect), is_quiet) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { close(); }

  /// Lends a connection: an idle one that is healthy, or a new one.
  /// Returns  future of Result<Lent>.
  /// Errors   what connecting gives; closed after close().
  /// Cancel   safe: leaves the line, or gives up connecting.
  [[nodiscard]] Async<Result<Lent>> acquire() { return acquire_from(state_); }
  /// An idle, healthy one, now.
  /// Returns  none if there is none or too many are lent.
  [[nodiscard]] std::optional<Lent> try_acquire() {
    if (!state_->permits.try_acquire()) return std::nullopt;
    std::optional<T> connection = take_idle(*state_);
    if (connection) return Lent(state_, std::move(*connection));
    state_->permits.release();
    return std::nullopt;
  }

  /// Closes idle ones that are older than the idle timeout. acquire() does so with those it meets.
  void reap() noexcept {
    const Instant oldest = Instant::now() - state_->options.idle_timeout;
    std::vector<Idle> old;
    {
      const MutexLock lock(state_->mutex);
      // The list is in order of age.
      auto& idle = state_->idle;
      const auto young =
          std::ranges::find_if(idle, [oldest](const Idle& one) { return one.since >= oldest; });
      old.assign(std::move_iterator(idle.begin()), std::move_iterator(young));
      idle.erase(idle.begin(), young);
    }
  }
  /// Closes the idle ones, and the others when they are given back; waiting and later acquire()
  /// fail with `closed`.
  void close() noexcept {
    state_->permits.close();
    std::vector<Idle> idle;
    const MutexLock lock(state_->mutex);
    idle.swap(state_->idle);
  }

  [[nodiscard]] std::size_t idle_count() const noexcept {
    const MutexLock lock(state_->mutex);
    return state_->idle.size();
  }
  /// Including those that are being made.
  [[nodiscard]] std::size_t lent_count() const noexcept {
    return state_->options.connections_max - state_->permits.available_permits();
  }

 private:
  static Async<Result<Lent>> acquire_from(std::shared_ptr<State> state) {
    auto permit = co_await state->permits.acquire();
    if (!permit) co_return fail(permit.error());
    if (auto idle = take_idle(*state)) {
      permit->forget();
      co_return Lent(std::move(state), std::move(*idle));
    }
    auto made = co_await state->connect();
    if (!made) co_return fail(made.error());
    permit->forget();  // It is the connection's from now on.
    co_return Lent(std::move(state), std::move(*made));
  }

  // By who has a permit.
  static std::optional<T> take_idle(State& state) {
    const Instant oldest = Instant::now() - state.options.idle_timeout;
    for (;;) {
      std::optional<Idle> newest;
      {
        const MutexLock lock(state.mutex);
        if (state.idle.empty()) return std::nullopt;
        newest.emplace(std::move(state.idle.back()));
        state.idle.pop_back();
      }
      if (newest->since >= oldest && state.is_healthy(newest->connection)) {
        return std::move(newest->connection);
      }
    }
  }

  static void keep(State& state, T connection) noexcept {
    std::optional<T> rejected;
    const MutexLock lock(state.mutex);
    if (state.permits.is_closed() || state.idle.size() >= state.options.idle_max) {
      rejected.emplace(std::move(connection));
    } else {
      state.idle.push_back({std::move(connection), Instant::now()});
    }
  }

  std::shared_ptr<State> state_;
};

}  // namespace blitzio::net

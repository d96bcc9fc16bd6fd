#include <blitzio/signal/shutdown.hpp>

#include <blitzio/base/mutex.hpp>
#include <blitzio/signal/detail/delivery.hpp>
#include <blitzio/task/block_on.hpp>

#include <array>

namespace blitzio {

namespace {

constexpr std::array kUsualSignals{SIGINT, SIGTERM};

}  // namespace

const std::span<const int> Shutdown::kSignals{kUsualSignals};

struct Shutdown::Listener : signal::detail::Listener {
  Listener() noexcept : signal::detail::Listener(on_signal) {}

  static void on_signal(signal::detail::Listener& listener) noexcept {
    Shutdown& shutdown = *static_cast<Listener&>(listener).shutdown;
    int none = 0;
    // Relaxed, both: trigger() publishes it to who sees the shutdown.
    shutdown.signal_.compare_exchange_strong(none, listener.number(), std::memory_order_relaxed,
                                             std::memory_order_relaxed);
    shutdown.trigger();
  }

  Shutdown* shutdown = nullptr;
};

Result<std::unique_ptr<Shutdown>> Shutdown::create(std::span<const int> signals) {
  std::unique_ptr<Shutdown> shutdown(new Shutdown);
  shutdown->listeners_ = std::make_unique<Listener[]>(signals.size());
  for (std::size_t i = 0; i < signals.size(); ++i) {
    Listener& listener = shutdown->listeners_[i];
    listener.shutdown = shutdown.get();
    if (const auto started = listener.start(signals[i]); !started) return fail(started.error());
  }
  return shutdown;
}

Shutdown::~Shutdown() = default;

std::optional<int> Shutdown::signal() const noexcept {
  // Relaxed: see on_signal().
  const int number = signal_.load(std::memory_order_relaxed);
  if (number == 0) return std::nullopt;
  return number;
}

Shutdown::WaitPending Shutdown::wait_pending(Duration timeout) const noexcept {
  return {count_, timeout};
}

Poll<bool> Shutdown::WaitPending::poll(Context& context) {
  auto& queue = count_->drained();
  for (;;) {
    if (is_queued_) {
      if (queue.keep_waiting(waiter_, context)) break;
      is_queued_ = false;
    }
    if (count_->pending() == 0) return true;
    queue.enter(waiter_, context.waker());
    is_queued_ = true;
    if (count_->pending() != 0) break;
    queue.leave(waiter_);
    is_queued_ = false;
    return true;
  }
  if (sleep_ && sleep_->poll(context).is_ready()) return count_->pending() == 0;
  return pending;
}

bool Shutdown::blocking_wait_pending(Duration timeout) const {
  auto drained = wait_pending();
  return block_on_until(drained, Instant::now() + timeout).has_value();
}

}  // namespace blitzio

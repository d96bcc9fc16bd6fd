// `SignalSet`: hears of several signals, and tells which came.
//
//     auto set = signal::stream(SIGHUP, SIGTERM).value();
//     while (auto number = co_await set->next()) handle(*number);
//
//     int number = (co_await signal::wait(SIGHUP, SIGTERM)).value();
//
// As with signal::stream(), arrivals of one signal that are not yet taken coalesce into one; those
// of different signals do not. They are given in the order of their numbers.
//
// A signal's bit in `arrived_`:
//
//              the delivery thread                 next(), try_next(): one taker
//     clear ────────────────────────▶ set ───────────────────────────────────────▶ clear
//
// Threads: any; close() once nobody starts to listen or takes back at the same time.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/signal/detail/delivery.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/future.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::signal {

/// Listens for several signals; what arrives is taken once, whoever asks first.
class SignalSet {
 public:
  /// Begins to listen. `former`: see Former.
  /// Errors   invalid_argument for none, and for what is no signal or cannot be handled; EAGAIN
  ///          without a thread.
  [[nodiscard]] static Result<std::unique_ptr<SignalSet>> listen(std::span<const int> numbers,
                                                                 Former former = Former::called);
  SignalSet(const SignalSet&) = delete;
  SignalSet& operator=(const SignalSet&) = delete;
  ~SignalSet() { close(); }

  /// A signal that has arrived and was not yet taken.
  [[nodiscard]] std::optional<int> try_next() noexcept {
    // Acquire: what the delivery thread saw; pairs with the release in Ear::on_signal().
    std::uint64_t arrived = arrived_.load(std::memory_order_acquire);
    while (arrived != 0) {
      // Acquire: as above. Relaxed on failure: looks again.
      const std::uint64_t rest = arrived & (arrived - 1);
      if (arrived_.compare_exchange_weak(arrived, rest, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
        // The others may have shared one notification.
        if (rest != 0) notify_.notify_one();
        return std::countr_zero(arrived) + 1;
      }
    }
    return std::nullopt;
  }

  class [[nodiscard]] Next {
   public:
    using Output = std::optional<int>;
    explicit Next(SignalSet& set) noexcept : set_(&set), wait_(set.notify_.wait()) {}
    Poll<Output> poll(Context& context) noexcept {
      for (;;) {
        if (const auto number = set_->try_next()) return Output(number);
        if (set_->is_closed()) {
          set_->notify_.notify_one();  // and the next one who waits
          return Output();
        }
        if (wait_->poll(context).is_pending()) return pending;
        // Told, but somebody else was faster; or a wake for a signal that was taken since.
        wait_.emplace(set_->notify_.wait());
      }
    }

   private:
    SignalSet* set_;
    std::optional<sync::Notify::Wait> wait_;
  };
  /// Waits for the next arrival, or takes one that nobody has taken yet.
  /// Returns  future of its number; none once closed and all taken.
  /// Cancel   loses nothing.
  [[nodiscard]] Next next() noexcept { return Next(*this); }

  /// Where somebody has installed another handler since, ours is put back, and that one is called
  /// or silent. What waits does not hear of signals until then.
  void take_back(int number, Former former) noexcept;

  /// Stops listening, and ends what waits.
  void close() noexcept;
  [[nodiscard]] bool is_closed() const noexcept {
    // Acquire: pairs with the release in close().
    return is_closed_.load(std::memory_order_acquire);
  }

 private:
  struct Ear : detail::Listener {
    Ear() noexcept : Listener(on_signal) {}
    // Before the set goes; the base would stop too late.
    ~Ear() { stop(); }
    static void on_signal(Listener& listener) noexcept;
    SignalSet* set = nullptr;
  };

  SignalSet() = default;

  // Bit n - 1: signal n. Set by the delivery thread, cleared by who takes.
  Atomic<std::uint64_t> arrived_{0};
  // Written by close(), read by who waits.
  Atomic<bool> is_closed_{false};
  sync::Notify notify_;
  std::unique_ptr<Ear[]> ears_;
  std::size_t count_ = 0;
};

/// Listens from its first poll until one of several arrives. See wait() of several.
class [[nodiscard]] WaitAny {
 public:
  using Output = Result<int>;
  explicit WaitAny(std::vector<int> numbers) noexcept : numbers_(std::move(numbers)) {}
  WaitAny(WaitAny&& other) noexcept : numbers_(std::move(other.numbers_)) {
    BLITZIO_CHECK(other.set_ == nullptr);
  }
  WaitAny(const WaitAny&) = delete;
  WaitAny& operator=(const WaitAny&) = delete;
  WaitAny& operator=(WaitAny&&) = delete;

  Poll<Output> poll(Context& context) {
    if (set_ == nullptr) {
      auto opened = SignalSet::listen(numbers_);
      if (!opened) return Output(fail(opened.error()));
      set_ = std::move(*opened);
      next_.emplace(set_->next());
    }
    auto number = next_->poll(context);
    if (number.is_pending()) return pending;
    return Output(std::move(number).take().value());  // nobody else can close the set
  }

 private:
  std::vector<int> numbers_;
  std::unique_ptr<SignalSet> set_;
  std::optional<SignalSet::Next> next_;
};

/// stream() of several: SignalSet::listen().
template <std::same_as<int>... Numbers>
[[nodiscard]] Result<std::unique_ptr<SignalSet>> stream(int first, int second, Numbers... more) {
  return SignalSet::listen(std::array{first, second, more...});
}
/// wait() for several: waits for the first of them to arrive.
/// Returns  future of Result<int>: which it was.   Errors   as SignalSet::listen().
template <std::same_as<int>... Numbers>
[[nodiscard]] WaitAny wait(int first, int second, Numbers... more) {
  return WaitAny({first, second, more...});
}
/// The same for any number that the program finds out.
[[nodiscard]] inline WaitAny wait_any(std::span<const int> numbers) {
  return WaitAny({numbers.begin(), numbers.end()});
}

}  // namespace blitzio::signal

// `signal::stream`, `signal::wait`, `signal::ctrl_c`: signals of the process as futures.
//
//     co_await signal::ctrl_c();
//
// Signals that arrive while one is not yet taken coalesce into one, as in the kernel. While anybody
// listens for a signal its default action does not happen; a handler that was there before is still
// called (detail/delivery.hpp). Any number may listen, each hears of all.
//
// Threads: any; futures work on every executor, and where there is none.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/signal/detail/delivery.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/future.hpp>

#include <csignal>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::signal {

/// Hears of one signal from its making until it goes.
class [[nodiscard]] Stream {
 public:
  /// Waits for the next arrival, or takes the one that nobody has taken yet.
  /// Returns  future of void.   Cancel   loses nothing.
  [[nodiscard]] auto next() noexcept { return ear_->arrived.wait(); }
  [[nodiscard]] int number() const noexcept { return ear_->number(); }

 private:
  friend Result<Stream> stream(int number);

  struct Ear : detail::Listener {
    Ear() noexcept : Listener(on_signal) {}
    // Before `arrived` goes; the base would stop too late.
    ~Ear() { stop(); }
    static void on_signal(Listener& self) noexcept { static_cast<Ear&>(self).arrived.notify_one(); }
    sync::Notify arrived;
  };
  explicit Stream(std::unique_ptr<Ear> ear) noexcept : ear_(std::move(ear)) {}

  std::unique_ptr<Ear> ear_;
};

/// Begins to listen.
/// Errors   invalid_argument for what is no signal or cannot be handled; EAGAIN without a thread.
[[nodiscard]] inline Result<Stream> stream(int number) {
  auto ear = std::make_unique<Stream::Ear>();
  if (auto started = ear->start(number); !started) return fail(started.error());
  return Stream(std::move(ear));
}

/// Listens from its first poll until one arrival. See wait().
class [[nodiscard]] Wait {
 public:
  using Output = Result<void>;
  explicit Wait(int number) noexcept : number_(number) {}
  Wait(Wait&& other) noexcept : number_(other.number_) { BLITZIO_CHECK(!other.stream_); }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  Wait& operator=(Wait&&) = delete;

  Poll<Output> poll(Context& context) {
    if (!stream_) {
      auto opened = stream(number_);
      if (!opened) return Output(fail(opened.error()));
      stream_.emplace(std::move(*opened));
      next_.emplace(stream_->next());
    }
    if (next_->poll(context).is_pending()) return pending;
    return Output();
  }

 private:
  int number_;
  std::optional<Stream> stream_;
  std::optional<decltype(std::declval<Stream&>().next())> next_;
};

/// Waits for a signal. One that arrived before the first poll is not seen: who must miss none keeps
/// a Stream.
/// Returns  future of Result<void>.   Errors   as stream().
[[nodiscard]] inline Wait wait(int number) noexcept {
  return Wait(number);
}
/// Waits for SIGINT, which Ctrl-C in a terminal sends.
[[nodiscard]] inline Wait ctrl_c() noexcept {
  return wait(SIGINT);
}

}  // namespace blitzio::signal

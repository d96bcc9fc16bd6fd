// `select` and `race`: wait for the first of several futures to be ready.
//
//     auto first = co_await select(requests.recv(), replies.send(reply), time::sleep(1_s));
//     switch (first.index()) {
//       case 0: handle(std::get<0>(first)); …
//
//     std::string fastest = co_await race(std::move(replicas));
//
// Exactly one has its effect: a future that is ready ends the polling, and the others are dropped
// on the spot, before the winner's value is given out. A send that loses was not sent, a receive
// took nothing, and a lock, permit or notification that a loser was granted meanwhile goes to the
// next in line. To have a loser again, give it as an lvalue: it is borrowed and stays in its queue
// (for the value of a send that lost, see Channel::Send::take_back()).
//
// Of several that are ready the winner is random, so that none is starved in a loop;
// select_biased() takes the first in the order of the arguments.
//
// The losers of race() are cancelled if they are join handles: their tasks end. Those of select()
// run on.
//
// Cost: all arguments are polled whenever one of them wakes, and nothing is allocated. A range
// allocates when it is made; if it has more than 16 futures, a wake polls one of them.
#pragma once

#include <blitzio/base/random.hpp>
#include <blitzio/task/children.hpp>
#include <blitzio/task/future.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio {

/// What select() of a range gives.
template <class T>
struct Selected {
  std::size_t index;  ///< of the future that was ready
  T value;            ///< std::monostate of a future of void
};

namespace detail {

enum class Order : std::uint8_t { random, given };
enum class Losers : std::uint8_t { drop, cancel };

inline std::size_t first_to_poll(Order order, std::size_t count) noexcept {
  return order == Order::given ? 0 : random_below(static_cast<std::uint32_t>(count));
}

/// The arguments of select() or race().
template <Losers losers, Future... F>
class Contest {
 public:
  explicit Contest(Order order, F... futures) : futures_(std::move(futures)...), order_(order) {}

  /// Returns what `on_done(index, value)` makes of the winner's value; empty if there is none yet.
  template <class Output, class OnDone>
  Poll<Output> poll(Context& context, OnDone on_done) {
    try {
      std::optional<Output> output;
      const std::size_t first = first_to_poll(order_, sizeof...(F));
      for (std::size_t k = 0; k < sizeof...(F) && !output; ++k) {
        poll_at((first + k) % sizeof...(F), context, output, on_done,
                std::index_sequence_for<F...>());
      }
      if (!output) return pending;
      end();
      return *std::move(output);
    } catch (...) {
      end();
      throw;
    }
  }

 private:
  template <class Output, class OnDone, std::size_t... I>
  void poll_at(std::size_t at, Context& context, std::optional<Output>& output, OnDone& on_done,
               std::index_sequence<I...> /*all*/) {
    static_cast<void>(((I == at && (poll_one<I>(context, output, on_done), true)) || ...));
  }
  template <std::size_t I, class Output, class OnDone>
  void poll_one(Context& context, std::optional<Output>& output, OnDone& on_done) {
    auto& future = std::get<I>(futures_);
    auto answer = future->poll(context);
    if (answer.is_pending()) return;
    future.reset();
    constexpr std::integral_constant<std::size_t, I> index;
    if constexpr (std::is_void_v<typename decltype(answer)::Output>) {
      output.emplace(on_done(index, std::monostate()));
    } else {
      output.emplace(on_done(index, std::move(answer).take()));
    }
  }
  void end() noexcept {
    std::apply([](auto&... future) { (end(future), ...); }, futures_);
  }
  template <Future G>
  static void end(std::optional<G>& future) noexcept {
    if (losers == Losers::cancel && future) cancel_future(*future);
    future.reset();
  }

  std::tuple<std::optional<F>...> futures_;
  Order order_;
};

}  // namespace detail

/// The future of select() of arguments.
template <Future... F>
class [[nodiscard]] Select {
 public:
  using Output = std::variant<detail::ValueOf<OutputOf<F>>...>;

  explicit Select(detail::Order order, F... futures) : contest_(order, std::move(futures)...) {}
  Poll<Output> poll(Context& context) {
    return contest_.template poll<Output>(context, [](auto index, auto&& value) {
      return Output(std::in_place_index<decltype(index)::value>,
                    std::forward<decltype(value)>(value));
    });
  }

 private:
  detail::Contest<detail::Losers::drop, F...> contest_;
};

/// The future of race() of arguments.
template <Future First, Future... F>
class [[nodiscard]] Race {
  static_assert((std::is_same_v<OutputOf<First>, OutputOf<F>> && ...),
                "race() needs futures of one type of value; select() takes any");

 public:
  using Output = OutputOf<First>;

  explicit Race(First first, F... futures)
      : contest_(detail::Order::random, std::move(first), std::move(futures)...) {}
  Poll<Output> poll(Context& context) {
    auto winner = contest_.template poll<detail::ValueOf<Output>>(
        context, [](auto, auto&& value) -> detail::ValueOf<Output> {
          return std::forward<decltype(value)>(value);
        });
    if (winner.is_pending()) return pending;
    if constexpr (std::is_void_v<Output>) {
      return ready;
    } else {
      return Poll<Output>(std::move(winner).take());
    }
  }

 private:
  detail::Contest<detail::Losers::cancel, First, F...> contest_;
};

namespace detail {

/// The future of select() and race() of a range.
template <Losers losers, Future F>
class ContestOf {
 public:
  using Value = ValueOf<OutputOf<F>>;

  explicit ContestOf(Children<F> children, const char* what) : children_(std::move(children)) {
    if (children_.size() == 0) throw std::invalid_argument(what);
  }
  Poll<Selected<Value>> poll(Context& context) {
    try {
      std::optional<std::size_t> winner;
      children_.poll(context, first_to_poll(Order::random, children_.size()), [&](std::size_t i) {
        winner = i;
        return true;
      });
      if (!winner) return pending;
      Selected<Value> selected{*winner, children_[*winner].take()};
      end();
      return selected;
    } catch (...) {
      end();
      throw;
    }
  }

 private:
  void end() noexcept {
    if constexpr (losers == Losers::cancel) {
      children_.cancel_all();
    } else {
      children_.drop_all();
    }
  }

  Children<F> children_;
};

}  // namespace detail

/// The future of select() of a range.
template <Future F>
class [[nodiscard]] SelectOf : private detail::ContestOf<detail::Losers::drop, F> {
  using Base = detail::ContestOf<detail::Losers::drop, F>;

 public:
  using Output = Selected<detail::ValueOf<OutputOf<F>>>;
  explicit SelectOf(detail::Children<F> children)
      : Base(std::move(children), "select() of no futures") {}
  Poll<Output> poll(Context& context) { return Base::poll(context); }
};

/// The future of race() of a range.
template <Future F>
class [[nodiscard]] RaceOf : private detail::ContestOf<detail::Losers::cancel, F> {
  using Base = detail::ContestOf<detail::Losers::cancel, F>;

 public:
  using Output = OutputOf<F>;
  explicit RaceOf(detail::Children<F> children)
      : Base(std::move(children), "race() of no futures") {}
  Poll<Output> poll(Context& context) {
    auto winner = Base::poll(context);
    if (winner.is_pending()) return pending;
    if constexpr (std::is_void_v<Output>) {
      return ready;
    } else {
      return Poll<Output>(std::move(winner).take().value);
    }
  }
};

/// Waits for the first future that is ready; of several, a random one.
/// Returns  future of a std::variant whose index is the winner's, with std::monostate for void.
/// Throws   from poll() what a future's poll throws; the others are dropped.
/// Cancel   dropping it drops all of them.
template <Future... F>
  requires(sizeof...(F) > 0)
Select<detail::Held<F>...> select(F&&... futures) {
  return Select<detail::Held<F>...>(detail::Order::random,
                                    detail::Held<F>(std::forward<F>(futures))...);
}
/// select() that prefers the earlier argument when several are ready.
template <Future... F>
  requires(sizeof...(F) > 0)
Select<detail::Held<F>...> select_biased(F&&... futures) {
  return Select<detail::Held<F>...>(detail::Order::given,
                                    detail::Held<F>(std::forward<F>(futures))...);
}
/// select() of a range.
/// Returns  future of Selected<T>: index and value.
/// Errors   std::invalid_argument at once if the range is empty.
template <detail::FutureRange R>
SelectOf<detail::FutureOfRange<R>> select(R&& futures) {
  using F = detail::FutureOfRange<R>;
  return SelectOf<F>(detail::Children<F>(std::forward<R>(futures)));
}

/// Waits for the first future that is ready, a failure too; of several, a random one. Tasks whose
/// JoinHandle loses, be it borrowed, are cancelled.
/// Returns  future of the winner's value.
/// Throws   from poll() what a future's poll throws; the others are dropped.
/// Cancel   dropping it drops all of them; tasks run on.
template <Future... F>
  requires(sizeof...(F) > 0)
Race<detail::Held<F>...> race(F&&... futures) {
  return Race<detail::Held<F>...>(detail::Held<F>(std::forward<F>(futures))...);
}
/// race() of a range.
/// Errors   std::invalid_argument at once if the range is empty.
template <detail::FutureRange R>
RaceOf<detail::FutureOfRange<R>> race(R&& futures) {
  using F = detail::FutureOfRange<R>;
  return RaceOf<F>(detail::Children<F>(std::forward<R>(futures)));
}

}  // namespace blitzio

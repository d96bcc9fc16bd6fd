// What a future that waits for others keeps of them: `Child`, its future and then its value, and
// `Children`, any number of one type. For authors of combinators.
//
//            the future is ready          take
//   waiting ─────────────────────▶ done ──────────▶ gone
//      └───────────────── drop, cancel ──────────────▲
//
// A future goes as soon as it is ready, so what it holds is free while others still run.
//
// Up to kDirect children are polled, all that wait, whenever any of them wakes; more have a waker
// each (wake_set.hpp), so a wake costs one poll however many there are.
#pragma once

#include <blitzio/task/future.hpp>
#include <blitzio/task/wake_set.hpp>

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace blitzio::detail {

/// Asks the task behind a join handle to end; other futures end by being dropped.
template <Future F>
void cancel_future(F& future) noexcept {
  if constexpr (requires { future.cancel(); }) future.cancel();
}

template <Future F>
class Child {
 public:
  using Output = OutputOf<F>;
  using Value = ValueOf<Output>;

  explicit Child(F&& future) : step_(std::in_place_index<kWaiting>, std::move(future)) {}

  [[nodiscard]] bool is_waiting() const noexcept { return step_.index() == kWaiting; }
  [[nodiscard]] bool is_done() const noexcept { return step_.index() == kDone; }
  /// Polls a waiting child. Returns whether it is done now.
  bool poll(Context& context) {
    auto answer = std::get<kWaiting>(step_).poll(context);
    if (answer.is_pending()) return false;
    if constexpr (std::is_void_v<Output>) {
      step_.template emplace<kDone>();
    } else {
      step_.template emplace<kDone>(std::move(answer).take());
    }
    return true;
  }
  [[nodiscard]] Value& value() { return std::get<kDone>(step_); }
  [[nodiscard]] Value take() {
    Value taken = std::move(value());
    drop();
    return taken;
  }
  void drop() noexcept { step_.template emplace<kGone>(); }
  /// drop(), and the end of the task if it is one's handle.
  void cancel() noexcept {
    if (F* future = std::get_if<kWaiting>(&step_)) cancel_future(*future);
    drop();
  }

 private:
  static constexpr std::size_t kWaiting = 0;
  static constexpr std::size_t kDone = 1;
  static constexpr std::size_t kGone = 2;

  std::variant<F, Value, std::monostate> step_;
};

/// A range of futures, taken over or, if it is an lvalue or a view of others' elements, borrowed.
template <class R>
concept FutureRange = std::ranges::input_range<R> && Future<std::ranges::range_reference_t<R>>;
template <FutureRange R>
inline constexpr bool kOwnsFutures =
    !std::is_lvalue_reference_v<R> &&
    !(std::ranges::view<R> && std::is_lvalue_reference_v<std::ranges::range_reference_t<R>>);
template <FutureRange R>
using FutureOfRange =
    std::conditional_t<kOwnsFutures<R>, std::remove_cvref_t<std::ranges::range_reference_t<R>>,
                       Held<std::ranges::range_reference_t<R>>>;

/// Moving it moves no child.
template <Future F>
class Children {
 public:
  static constexpr std::size_t kDirect = 16;

  template <FutureRange R>
    requires(!std::same_as<std::remove_cvref_t<R>, Children>)
  explicit Children(R&& futures) {
    if constexpr (std::ranges::sized_range<R>) children_.reserve(std::ranges::size(futures));
    for (auto&& future : futures) {
      if constexpr (kOwnsFutures<R>) {
        children_.emplace_back(F(std::move(future)));
      } else {
        children_.emplace_back(F(FutureOfRange<R>(std::forward<decltype(future)>(future))));
      }
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return children_.size(); }
  [[nodiscard]] Child<F>& operator[](std::size_t index) noexcept { return children_[index]; }

  /// Polls the children that may be ready, the first time from child `first` on and then in order
  /// of their wakes, and calls `on_done(index)` for each that is done now until that returns true.
  /// Up to kDirect children are polled from child `first` on each time.
  /// Cost     no allocation but, if there are more than kDirect, two at the first call.
  template <class OnDone>
  void poll(Context& context, std::size_t first, OnDone on_done) {
    if (size() <= kDirect) {
      poll_all(first, on_done, [&](std::size_t i) { return children_[i].poll(context); });
      return;
    }
    const auto poll_one = [&](std::size_t i) {
      const BorrowedWaker waker = wakers_->waker(i);
      Context own(waker.get());
      return children_[i].poll(own);
    };
    if (!wakers_) {
      wakers_ = WakeSet::Owner(size());
      wakers_->set_waker(context.waker());
      poll_all(first, on_done, poll_one);
      return;
    }
    wakers_->set_waker(context.waker());
    bool is_over = false;
    wakers_->take_woken([&](std::size_t i) {
      if (is_over || !children_[i].is_waiting() || !poll_one(i)) return;
      is_over = on_done(i);
    });
  }

  void drop_all() noexcept {
    for (auto& child : children_) child.drop();
  }
  void cancel_all() noexcept {
    for (auto& child : children_) child.cancel();
  }

 private:
  template <class OnDone, class PollOne>
  void poll_all(std::size_t first, OnDone& on_done, const PollOne& poll_one) {
    for (std::size_t polled = 0, i = first; polled < size(); ++polled, ++i) {
      if (i == size()) i = 0;
      if (children_[i].is_waiting() && poll_one(i) && on_done(i)) return;
    }
  }

  std::vector<Child<F>> children_;
  WakeSet::Owner wakers_;
};

}  // namespace blitzio::detail

// `Async<T>`: a coroutine that is a Future.
//
//     Async<int> total(JoinHandle<int> a, Receiver<int> b) {
//       co_return (co_await a).get() + co_await b;
//     }
//
// It does nothing until it is polled, and `co_await` takes any Future. A poll passes its Context
// down: a coroutine that waits first polls what it waits for, with the context of the poll that is
// going on, and resumes only when that is ready. So nothing is registered between caller and
// callee, and awaiting another Async allocates nothing but that coroutine's own frame, mostly from
// the thread's pool (base/frame_pool.hpp).
//
//            poll                co_await is pending
//   new ─────────────▶ running ───────────────────────▶ waiting
//                       │   ▲     awaited future ready     │
//                       │   └──────────────────────────────┘ poll
//                       ▼ co_return, exception
//                      done
//
// Destroying it at any state destroys the frame, and with it what it awaits: that is cancellation.
// An exception that leaves the coroutine leaves poll(); one that an awaited future throws is thrown
// at the co_await.
//
// What is awaited as a temporary is polled where it stands, in the frame; it need not be movable.
//
// Threads: one at a time; it may migrate between polls.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/frame_pool.hpp>
#include <blitzio/task/future.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

template <class T = void>
class Async;

namespace detail {

// What a coroutine waits for, seen from its poll().
class Awaited {
 public:
  /// True if the coroutine shall resume: the answer, or an exception, is there.
  [[nodiscard]] bool poll(Context& context) noexcept { return poll_(*this, context); }

 protected:
  using PollFunction = bool (*)(Awaited& self, Context& context) noexcept;
  explicit Awaited(PollFunction on_poll) noexcept : poll_(on_poll) {}
  ~Awaited() = default;

 private:
  PollFunction poll_;
};

class AsyncPromiseBase {
 public:
  // Awaits `future`, which lives in the frame or longer.
  template <Future F>
  class Awaiter final : public Awaited {
   public:
    Awaiter(F& future, AsyncPromiseBase& promise) noexcept
        : Awaited(poll_again), future_(future), promise_(promise) {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;

    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): advance() set it, which resumed us
    bool await_ready() { return ask(*promise_.context_); }
    void await_suspend(std::coroutine_handle<> /*self*/) noexcept { promise_.awaited_ = this; }
    OutputOf<F> await_resume() {
      if (BLITZIO_UNLIKELY(promise_.exception_ != nullptr)) {
        std::rethrow_exception(std::exchange(promise_.exception_, nullptr));
      }
      return std::move(answer_).take();
    }

   private:
    bool ask(Context& context) {
      answer_.adopt(future_.poll(context));
      return answer_.is_ready();
    }
    static bool poll_again(Awaited& self, Context& context) noexcept {
      auto& me = static_cast<Awaiter&>(self);
      try {
        return me.ask(context);
      } catch (...) {
        me.promise_.exception_ = std::current_exception();
        return true;
      }
    }

    F& future_;
    AsyncPromiseBase& promise_;
    Poll<OutputOf<F>> answer_ = pending;
  };

  // Frames come from the thread's pool.
  static void* operator new(std::size_t bytes) { return FramePool::allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    FramePool::free(frame, bytes);
  }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_always final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  template <Future F>
  auto await_transform(F&& future) noexcept {
    return Awaiter<std::remove_reference_t<F>>(future, *this);
  }

 protected:
  AsyncPromiseBase() noexcept = default;
  ~AsyncPromiseBase() = default;

  // Runs the coroutine as far as it goes. Returns whether it is done.
  bool advance(std::coroutine_handle<> self, Context& context) noexcept {
    if (awaited_ != nullptr) {
      if (!awaited_->poll(context)) return false;
      awaited_ = nullptr;
    }
    context_ = &context;
    self.resume();
    context_ = nullptr;
    return self.done();
  }

  // Of the awaited future, until it is resumed; then of the coroutine.
  std::exception_ptr exception_;

 private:
  Context* context_ = nullptr;  // of the poll that is going on
  Awaited* awaited_ = nullptr;  // in the frame; null unless waiting
};

}  // namespace detail

template <class T>
class [[nodiscard]] Async {
  struct VoidPromise;
  struct ValuePromise;

 public:
  using Output = T;
  using promise_type = std::conditional_t<std::is_void_v<T>, VoidPromise, ValuePromise>;

  Async(Async&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Async& operator=(Async&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  Async(const Async&) = delete;
  Async& operator=(const Async&) = delete;
  ~Async() {
    if (frame_) frame_.destroy();
  }

  /// Rethrows what the coroutine throws.
  Poll<T> poll(Context& context) {
    BLITZIO_CHECK(frame_ && !frame_.done());
    promise_type& promise = frame_.promise();
    if (!promise.run(frame_, context)) return pending;
    return promise.take();
  }

 private:
  using Frame = std::coroutine_handle<promise_type>;

  struct PromiseBase : detail::AsyncPromiseBase {
    bool run(std::coroutine_handle<> self, Context& context) noexcept {
      return this->advance(self, context);
    }

   protected:
    void rethrow() {
      if (this->exception_) std::rethrow_exception(std::move(this->exception_));
    }
  };
  struct VoidPromise : PromiseBase {
    Async get_return_object() noexcept { return Async(Frame::from_promise(*this)); }
    void return_void() noexcept {}
    Poll<void> take() {
      this->rethrow();
      return ready;
    }
  };
  struct ValuePromise : PromiseBase {
    Async get_return_object() noexcept { return Async(Frame::from_promise(*this)); }
    template <class U = T>
      requires std::is_constructible_v<T, U>
    void return_value(U&& returned) {
      value.emplace(std::forward<U>(returned));
    }
    Poll<T> take() {
      this->rethrow();
      return Poll<T>(std::move(*value));
    }
    std::optional<detail::ValueOf<T>> value;
  };

  explicit Async(Frame frame) noexcept : frame_(frame) {}

  Frame frame_;
};

}  // namespace blitzio

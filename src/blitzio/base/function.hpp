// `Function<R(Args...)>`: a move-only callable with room for three words inside, so that the small
// lambdas of a runtime (an object and an argument or two) allocate nothing; larger ones go to the
// heap. 32 bytes.
//
// Threads: one at a time, as the callable itself.
#pragma once

#include <blitzio/base/check.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace blitzio {

template <class Signature>
class Function;

template <class R, class... Args>
class Function<R(Args...)> {
 public:
  static constexpr std::size_t kInlineBytes = 3 * sizeof(void*);
  /// Whether a callable of type F is stored without an allocation.
  template <class F>
  static constexpr bool kIsInline = sizeof(F) <= kInlineBytes && alignof(F) <= alignof(void*) &&
                                    std::is_nothrow_move_constructible_v<F>;

  Function() noexcept = default;
  template <class F>
    requires(!std::same_as<std::decay_t<F>, Function> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  Function(F&& callable) {  // NOLINT(google-explicit-constructor): a callable is a Function
    using Stored = std::decay_t<F>;
    if constexpr (kIsInline<Stored>) {
      ::new (static_cast<void*>(storage_)) Stored(std::forward<F>(callable));
      actions_ = &kInlineActions<Stored>;
    } else {
      ::new (static_cast<void*>(storage_)) Stored*(new Stored(std::forward<F>(callable)));
      actions_ = &kHeapActions<Stored>;
    }
  }
  Function(Function&& other) noexcept { take(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() { reset(); }

  /// Must not be empty.
  R operator()(Args... args) {
    BLITZIO_CHECK(actions_ != nullptr);
    return actions_->call(storage_, std::forward<Args>(args)...);
  }
  explicit operator bool() const noexcept { return actions_ != nullptr; }
  /// Destroys the callable.
  void reset() noexcept {
    if (const Actions* actions = std::exchange(actions_, nullptr)) actions->destroy(storage_);
  }

 private:
  struct Actions {
    R (*call)(void* storage, Args&&... args);
    void (*move)(void* from, void* to) noexcept;  // and destroys what is left in `from`
    void (*destroy)(void* storage) noexcept;
  };

  template <class F>
  static F& inside(void* storage) noexcept {
    return *std::launder(static_cast<F*>(storage));
  }
  template <class F>
  static constexpr Actions kInlineActions{
      [](void* storage, Args&&... args) -> R {
        return std::invoke_r<R>(inside<F>(storage), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        ::new (to) F(std::move(inside<F>(from)));
        std::destroy_at(&inside<F>(from));
      },
      [](void* storage) noexcept { std::destroy_at(&inside<F>(storage)); }};
  template <class F>
  static constexpr Actions kHeapActions{
      [](void* storage, Args&&... args) -> R {
        return std::invoke_r<R>(*inside<F*>(storage), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept { ::new (to) F*(inside<F*>(from)); },
      [](void* storage) noexcept { delete inside<F*>(storage); }};

  void take(Function& other) noexcept {
    actions_ = std::exchange(other.actions_, nullptr);
    if (actions_ != nullptr) actions_->move(other.storage_, storage_);
  }

  const Actions* actions_ = nullptr;
  alignas(void*) std::byte storage_[kInlineBytes];
};

static_assert(sizeof(Function<void()>) == 4 * sizeof(void*));

}  // namespace blitzio

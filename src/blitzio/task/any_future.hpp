// `AnyFuture<T>`: a future of T whose type is not known, for functions behind a table of functions.
//
// A small future lives inside, so that a call through a table allocates nothing.
#pragma once

#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace blitzio {

/// Any future of T. Cannot move once polled.
/// Cost     none but an indirect call for a future of at most kFutureBytes; an allocation for more.
template <class T>
class [[nodiscard]] AnyFuture {
 public:
  using Output = T;
  static constexpr std::size_t kFutureBytes = 128;

  template <Future F>
    requires(!std::same_as<F, AnyFuture> && std::same_as<OutputOf<F>, T>)
  AnyFuture(F future) {  // NOLINT(google-explicit-constructor): it is one
    if constexpr (kIsInline<F>) {
      ::new (static_cast<void*>(storage_)) F(std::move(future));
    } else {
      ::new (static_cast<void*>(storage_)) F*(new F(std::move(future)));
    }
    actions_ = &kActions<F>;
  }
  AnyFuture(AnyFuture&& other) noexcept : actions_(std::exchange(other.actions_, nullptr)) {
    if (actions_ != nullptr) actions_->move(other.storage_, storage_);
  }
  AnyFuture(const AnyFuture&) = delete;
  AnyFuture& operator=(const AnyFuture&) = delete;
  AnyFuture& operator=(AnyFuture&&) = delete;
  ~AnyFuture() {
    if (actions_ != nullptr) actions_->destroy(storage_);
  }

  Poll<T> poll(Context& context) { return actions_->poll(storage_, context); }

 private:
  struct Actions {
    Poll<T> (*poll)(void* storage, Context& context);
    void (*move)(void* from, void* to) noexcept;  // and destroys what is left in `from`
    void (*destroy)(void* storage) noexcept;
  };
  template <class F>
  static constexpr bool kIsInline =
      sizeof(F) <= kFutureBytes && alignof(F) <= alignof(std::max_align_t);
  template <class F>
  static F& inside(void* storage) noexcept {
    if constexpr (kIsInline<F>) {
      return *std::launder(static_cast<F*>(storage));
    } else {
      return **std::launder(static_cast<F**>(storage));
    }
  }
  template <class F>
  static constexpr Actions kActions{
      [](void* storage, Context& context) { return inside<F>(storage).poll(context); },
      [](void* from, void* to) noexcept {
        if constexpr (kIsInline<F>) {
          ::new (to) F(std::move(inside<F>(from)));
          std::destroy_at(&inside<F>(from));
        } else {
          ::new (to) F*(&inside<F>(from));
        }
      },
      [](void* storage) noexcept {
        if constexpr (kIsInline<F>) {
          std::destroy_at(&inside<F>(storage));
        } else {
          delete &inside<F>(storage);
        }
      }};

  const Actions* actions_;
  alignas(std::max_align_t) std::byte storage_[kFutureBytes];
};

}  // namespace blitzio

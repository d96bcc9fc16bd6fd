// `AnyReadStream`, `AnyWriteStream`: a stream behind a table of functions, for code that is
// compiled once for all streams. They refer to the stream, as a span does to an array.
//
// The futures of the real stream live inside those returned here, so calls through the table
// allocate nothing either (futures of more than kFutureBytes do).
#pragma once

#include <blitzio/stream/stream.hpp>

#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace blitzio::stream {

namespace detail {

/// A future of T whose type is not known. Cannot move once polled.
template <class T>
class [[nodiscard]] AnyFuture {
  static constexpr std::size_t kFutureBytes = 128;

 public:
  using Output = T;

  template <Future F>
    requires(!std::same_as<F, AnyFuture>)
  explicit AnyFuture(F future) {
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

}  // namespace detail

class AnyReadStream {
 public:
  template <ReadStream S>
    requires(!std::same_as<std::remove_cv_t<S>, AnyReadStream>)
  explicit AnyReadStream(S& stream) noexcept : stream_(&stream), table_(&kTable<S>) {}

  detail::AnyFuture<Result<std::size_t>> read(std::span<std::byte> buffer) {
    return table_->read(stream_, buffer);
  }

 private:
  using Count = detail::AnyFuture<Result<std::size_t>>;
  struct Table {
    Count (*read)(void* stream, std::span<std::byte> buffer);
  };
  template <class S>
  static constexpr Table kTable{[](void* stream, std::span<std::byte> buffer) {
    return Count(static_cast<S*>(stream)->read(buffer));
  }};

  void* stream_;
  const Table* table_;
};

class AnyWriteStream {
 public:
  template <WriteStream S>
    requires(!std::same_as<std::remove_cv_t<S>, AnyWriteStream>)
  explicit AnyWriteStream(S& stream) noexcept : stream_(&stream), table_(&kTable<S>) {}

  detail::AnyFuture<Result<std::size_t>> write(std::span<const std::byte> data) {
    return table_->write(stream_, data);
  }
  detail::AnyFuture<Result<void>> finish() { return table_->finish(stream_); }

 private:
  using Count = detail::AnyFuture<Result<std::size_t>>;
  using Done = detail::AnyFuture<Result<void>>;
  struct Table {
    Count (*write)(void* stream, std::span<const std::byte> data);
    Done (*finish)(void* stream);
  };
  template <class S>
  static constexpr Table kTable{
      [](void* stream, std::span<const std::byte> data) {
        return Count(static_cast<S*>(stream)->write(data));
      },
      [](void* stream) { return Done(static_cast<S*>(stream)->finish()); }};

  void* stream_;
  const Table* table_;
};

}  // namespace blitzio::stream

// `AnyReadStream`, `AnyWriteStream`: a stream behind a table of functions, for code that is
// compiled once for all streams. They refer to the stream, as a span does to an array.
//
// The futures of the real stream live inside those returned here (task/any_future.hpp), so calls
// through the table allocate nothing either.
#pragma once

#include <blitzio/stream/stream.hpp>
#include <blitzio/task/any_future.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

namespace blitzio::stream {

class AnyReadStream {
 public:
  template <ReadStream S>
    requires(!std::same_as<std::remove_cv_t<S>, AnyReadStream>)
  explicit AnyReadStream(S& stream) noexcept : stream_(&stream), table_(&kTable<S>) {}

  AnyFuture<Result<std::size_t>> read(std::span<std::byte> buffer) {
    return table_->read(stream_, buffer);
  }

 private:
  using Count = AnyFuture<Result<std::size_t>>;
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

  AnyFuture<Result<std::size_t>> write(std::span<const std::byte> data) {
    return table_->write(stream_, data);
  }
  AnyFuture<Result<void>> finish() { return table_->finish(stream_); }

 private:
  using Count = AnyFuture<Result<std::size_t>>;
  using Done = AnyFuture<Result<void>>;
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

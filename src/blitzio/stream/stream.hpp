// `ReadStream` and `WriteStream`: what everything else here asks of a stream of bytes. Sockets,
// pipes, files' ends, and the wrappers of this folder have these functions.
//
// Buffers are the caller's. A stream touches one only in a poll of its future that returns the
// result, so a future that is dropped before has neither taken nor given a byte.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstddef>
#include <span>

namespace blitzio::stream {

template <class F, class T>
concept FutureOf = Future<F> && std::same_as<OutputOf<F>, T>;

/// `read(buffer)`: future of how many bytes came, at least one unless the stream is at its end (0)
/// or the buffer is empty.
template <class S>
concept ReadStream = requires(S& stream, std::span<std::byte> buffer) {
  { stream.read(buffer) } -> FutureOf<Result<std::size_t>>;
};

/// `write(data)`: future of how many bytes were taken, at least one unless `data` is empty.
/// `finish()`: future that hands on what the stream keeps and tells the other side that no more
/// will come.
template <class S>
concept WriteStream = requires(S& stream, std::span<const std::byte> data) {
  { stream.write(data) } -> FutureOf<Result<std::size_t>>;
  { stream.finish() } -> FutureOf<Result<void>>;
};

/// A WriteStream that keeps bytes back until `flush()`.
template <class S>
concept FlushStream = WriteStream<S> && requires(S& stream) {
  { stream.flush() } -> FutureOf<Result<void>>;
};

}  // namespace blitzio::stream

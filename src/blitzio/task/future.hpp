// The `Future` concept: anything with an Output and `Poll<Output> poll(Context&)`.
//
// A future does nothing until polled. A poll that answers pending has stored the context's waker
// (or a clone of it) and wakes it when another poll can make progress; only the waker of the latest
// poll counts. After ready it is not polled again. Destroying a pending future cancels it: whatever
// it had been granted goes to the next in line, and nothing it received is lost to others.
//
// A future may be moved until its first poll; after that it stays where it is, because others may
// hold pointers into it.
#pragma once

#include <blitzio/task/poll.hpp>
#include <blitzio/task/waker.hpp>

#include <concepts>
#include <type_traits>

namespace blitzio {

template <class F>
concept Future = requires(std::remove_reference_t<F>& future, Context& context) {
  typename std::remove_reference_t<F>::Output;
  { future.poll(context) } -> std::same_as<Poll<typename std::remove_reference_t<F>::Output>>;
};

template <Future F>
using OutputOf = typename std::remove_reference_t<F>::Output;

}  // namespace blitzio

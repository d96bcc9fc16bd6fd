// `block_on`: runs a future on a plain thread that has no executor; the thread sleeps while the
// future is pending. For futures that others complete (channels, locks, join handles): there is no
// driver and no timer here.
#pragma once

#include <blitzio/task/future.hpp>
#include <blitzio/task/thread_parker.hpp>

namespace blitzio {

/// Polls `future` until it is ready and returns its value.
/// Thread   any that may block; not one that runs an executor.   Cost   no allocation after the
/// thread's first call.
template <Future F>
OutputOf<F> block_on(F&& future) {
  ThreadParker& parker = ThreadParker::current();
  const Waker waker = parker.waker();
  Context context(waker);
  while (true) {
    auto answer = future.poll(context);
    if (answer.is_ready()) return std::move(answer).take();
    parker.park();
  }
}

}  // namespace blitzio

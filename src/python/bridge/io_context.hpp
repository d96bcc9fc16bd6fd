// `IoContext`: lets I/O futures be polled on the loop that runs the caller, ours or not.
//
// Our loops have a driver, bound to their thread. For a foreign one (asyncio's, uvloop's) a
// `ForeignDriver` is made when something first waits for I/O there: an epoll driver of its own,
// whose epoll set the loop watches with add_reader(). So an arrival costs the foreign loop one
// callback, and no thread.
//
// The loop's registration of the reader is what keeps the ForeignDriver: it goes when the loop is
// closed or dies, and what waits finds out.
//
// A thread that is blocked by a call of ours (wait_blocking()) needs neither: see ThreadPoll.
//
// Threads: the loop's, attached.
#pragma once

#include <blitzio/driver/driver_context.hpp>
#include <blitzio/executor/thread_poll.hpp>
#include <blitzio/task/future.hpp>
#include <python/support/state.hpp>

#include <pybind11/pybind11.h>

#include <utility>

namespace blitzio::python {

/// Holds the running loop's driver for a scope, if the thread has none and is not blocked.
class IoContext {
 public:
  explicit IoContext(ModuleState& state) noexcept {
    if (BLITZIO_UNLIKELY(!is_there())) enter_foreign(state);
  }
  IoContext(const IoContext&) = delete;
  IoContext& operator=(const IoContext&) = delete;
  ~IoContext() {
    if (BLITZIO_UNLIKELY(entered_ != nullptr)) leave_foreign();
  }
  /// False if there is no running loop, or it cannot watch a descriptor: then an error is set.
  [[nodiscard]] explicit operator bool() const noexcept { return is_there(); }

 private:
  static bool is_there() noexcept {
    return driver::DriverContext::current() != nullptr || ThreadPoll::current() != nullptr;
  }
  BLITZIO_COLD void enter_foreign(ModuleState& state) noexcept;
  BLITZIO_COLD void leave_foreign() noexcept;

  driver::Driver* entered_ = nullptr;
  driver::DriverContext::Scope scope_;
};

/// `F`, polled with an IoContext.
template <Future F>
class OnLoop {
 public:
  using Output = OutputOf<F>;
  OnLoop(ModuleState& state, F future) noexcept : state_(&state), future_(std::move(future)) {}
  Poll<Output> poll(Context& context) {
    const IoContext io(*state_);
    if (BLITZIO_UNLIKELY(!io)) throw pybind11::error_already_set();
    return future_.poll(context);
  }
  int traverse(visitproc visit, void* arg) noexcept {
    if constexpr (requires(F& future) { future.traverse(visit, arg); }) {
      return future_.traverse(visit, arg);
    }
    return 0;
  }

 private:
  ModuleState* state_;
  F future_;
};

[[nodiscard]] int io_context_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

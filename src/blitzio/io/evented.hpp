// `Evented`: an Io whose tasks share the workers of a Runtime: waiting costs no thread. Config's
// backend says how the workers wait: io_uring, epoll, poll, or the best that is to be had.
//
//     auto evented = io::Evented::create().value();
//     evented->io().run(serve, evented->io());
//
// async_() is Runtime::spawn(), concurrent() is Runtime::concurrent(): with a single worker there
// is none. Destroying it with its own runtime cancels what still runs; on a borrowed one all must
// have ended.
//
// Threads: any.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/io/io.hpp>

#include <memory>

namespace blitzio::io {

namespace detail {
struct Native;
}

class Evented final {
 public:
  /// With a runtime of its own.
  /// Errors   as Runtime::create().
  [[nodiscard]] static Result<std::unique_ptr<Evented>> create(const Config& config = {});
  /// On the caller's, which outlives it.
  explicit Evented(Runtime& runtime);
  Evented(const Evented&) = delete;
  Evented& operator=(const Evented&) = delete;
  ~Evented();

  [[nodiscard]] Io io() noexcept { return {this, kVTableOf<Evented>}; }
  [[nodiscard]] Runtime& runtime() noexcept { return *runtime_; }

  // ---- what Io calls -----------------------------------------------------------------------

  Scheduler* admit(Start how) noexcept;
  bool start(Scheduler& scheduler, Task& task, Start how);
  void block_on(AnyFuture<void> work);
  [[nodiscard]] Instant now() const noexcept { return Instant::now(); }
  [[nodiscard]] FileSystem& fs() noexcept;
  [[nodiscard]] Network& net() noexcept;
  [[nodiscard]] Processes& process() noexcept;
  [[nodiscard]] Signals& signal() noexcept;

 private:
  explicit Evented(std::unique_ptr<Runtime> runtime);

  std::unique_ptr<Runtime> owned_;
  Runtime* runtime_;
  std::unique_ptr<detail::Native> native_;
};

}  // namespace blitzio::io

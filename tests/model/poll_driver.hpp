// A driver that waits for one file's bytes, and that file: stand for a kernel below an AsyncFd.
#pragma once

#include <blitzio/base/backoff.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/native_mutex.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/driver.hpp>

#include <model/home.hpp>
#include <model/model.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace blitzio::model {

class PollDriver;

/// A pipe's reading end. What a system call has changed is known to another thread's only through
/// an event, or where the code under test makes it so.
class File {
 public:
  [[nodiscard]] OwnedFd open() noexcept { return OwnedFd::adopt(::dup2(STDERR_FILENO, kNumber)); }
  [[nodiscard]] bool is_open() const noexcept { return ::fcntl(kNumber, F_GETFD) >= 0; }
  [[nodiscard]] bool is_polled() const noexcept { return poller_ != nullptr; }

  /// Any thread: one more byte.
  void write() noexcept;
  /// Any thread: takes a byte, or says EAGAIN.
  [[nodiscard]] std::int64_t read() noexcept {
    int left = bytes_.load(std::memory_order_relaxed);
    while (left > 0) {
      if (bytes_.compare_exchange_strong(left, left - 1, std::memory_order_relaxed)) return 1;
    }
    return -EAGAIN;
  }

  // ---- for the driver ----------------------------------------------------------------------

  void add_poll(PollDriver& poller) noexcept {
    kernel_.lock();
    BLITZIO_CHECK(poller_ == nullptr && is_open());
    poller_ = &poller;
    has_event_ = bytes_.load(std::memory_order_relaxed) > 0;
    kernel_.unlock();
  }
  void remove_poll() noexcept {
    kernel_.lock();
    poller_ = nullptr;
    kernel_.unlock();
  }
  [[nodiscard]] bool take_event() noexcept {
    kernel_.lock();
    const bool has_event = std::exchange(has_event_, false);
    kernel_.unlock();
    return has_event;
  }

 private:
  // The same in each execution, though one that has failed leaves it open.
  static constexpr int kNumber = 200;
  Atomic<int> bytes_{0};
  NativeMutex kernel_;
  PollDriver* poller_ = nullptr;
  bool has_event_ = false;
};

class PollDriver final : public driver::Driver {
 public:
  /// `epoll` reports each event of a multishot poll, `poll` has one-shot polls only.
  PollDriver(File& file, driver::Backend backend) noexcept : file_(file), backend_(backend) {}
  ~PollDriver() override { shutdown(); }

  [[nodiscard]] driver::Backend backend() const noexcept override { return backend_; }
  [[nodiscard]] Result<void> bind() noexcept override { return {}; }
  void unbind() noexcept override {}
  [[nodiscard]] Result<void> attach(int /*fd*/) noexcept override { return {}; }
  void detach(int /*fd*/) noexcept override {}
  void hand_over() noexcept override {}

  void collect() noexcept override {
    if (polling_ == nullptr || is_cancelled_ || !file_.take_event()) return;
    is_ready_ = true;
    if (!polling_->is_multishot()) file_.remove_poll();
  }
  void wait(Duration /*timeout*/) noexcept override {
    collect();
    if (has_completions() || !park_.begin_sleep()) return;
    event_.wait();
    park_.end_sleep();
    collect();
  }
  [[nodiscard]] bool has_completions() const noexcept override {
    return is_ready_ || is_cancelled_;
  }
  std::size_t dispatch() noexcept override {
    const std::size_t delivered = deliver_messages();
    if (!has_completions()) return delivered;
    driver::Operation& operation = *polling_;
    // What had happened is told, though it was cancelled since.
    const bool was_ready = std::exchange(is_ready_, false);
    const bool is_last = std::exchange(is_cancelled_, false) || !operation.is_multishot();
    if (is_last) polling_ = nullptr;
    finish(operation, {was_ready ? POLLIN : -ECANCELED, !is_last, {}});
    return delivered + 1;
  }
  void shutdown() noexcept override {
    if (polling_ != nullptr) cancel(*polling_);
    while (has_completions() || !inbox_.is_empty()) dispatch();
  }

  /// By the kernel.
  void ring() noexcept { event_.signal(); }

 private:
  void start(driver::Operation& operation) noexcept override {
    BLITZIO_CHECK(polling_ == nullptr);
    polling_ = &operation;
    file_.add_poll(*this);
  }
  void stop(driver::Operation& operation) noexcept override {
    BLITZIO_CHECK(polling_ == &operation);
    file_.remove_poll();
    is_cancelled_ = true;
  }
  void interrupt() noexcept override { event_.signal(); }

  File& file_;
  const driver::Backend backend_;
  Event event_;
  driver::Operation* polling_ = nullptr;
  bool is_ready_ = false;
  bool is_cancelled_ = false;
};

inline void File::write() noexcept {
  bytes_.fetch_add(1, std::memory_order_relaxed);
  kernel_.lock();
  if (poller_ != nullptr) {
    has_event_ = true;
    poller_->ring();
  }
  kernel_.unlock();
}

}  // namespace blitzio::model

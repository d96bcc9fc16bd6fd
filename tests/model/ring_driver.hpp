// A driver with one operation, a read of a byte, in the ring of a kernel that runs beside it:
// stands for a ring below a RingCall.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/native_mutex.hpp>
#include <blitzio/driver/driver.hpp>

#include <model/home.hpp>
#include <model/model.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace blitzio::model {

class RingDriver final : public driver::Driver {
 public:
  static constexpr std::byte kByte{42};

  ~RingDriver() override { shutdown(); }

  [[nodiscard]] driver::Backend backend() const noexcept override {
    return driver::Backend::io_uring;
  }
  [[nodiscard]] Result<void> bind() noexcept override { return {}; }
  void unbind() noexcept override {}
  [[nodiscard]] Result<void> attach(int /*fd*/) noexcept override { return {}; }
  void detach(int /*fd*/) noexcept override {}
  void hand_over() noexcept override {}

  void collect() noexcept override {}
  void wait(Duration /*timeout*/) noexcept override {
    if (has_completions() || !park_.begin_sleep()) return;
    event_.wait();
    park_.end_sleep();
  }
  [[nodiscard]] bool has_completions() const noexcept override {
    return operation_ != nullptr && result() != kRunning;
  }
  std::size_t dispatch() noexcept override {
    std::size_t delivered = 0;
    if (has_completions()) {
      finish(*std::exchange(operation_, nullptr), {result(), false, {}});
      ++delivered;
    }
    return delivered + deliver_messages();
  }
  void shutdown() noexcept override {
    if (operation_ != nullptr) cancel(*operation_);
    while (operation_ != nullptr || !inbox_.is_empty()) {
      wait(Duration::max());
      dispatch();
    }
  }

  /// The kernel's thread: does the operation, unless it was cancelled before.
  void complete() noexcept {
    kernel_.lock();
    if (result_ == kRunning) {
      *operation_->args().buffer.data = kByte;
      result_ = 1;
      event_.signal();
    }
    kernel_.unlock();
  }

 private:
  static constexpr std::int32_t kRunning = std::numeric_limits<std::int32_t>::max();

  [[nodiscard]] std::int32_t result() const noexcept {
    kernel_.lock();
    const std::int32_t result = result_;
    kernel_.unlock();
    return result;
  }
  void start(driver::Operation& operation) noexcept override {
    BLITZIO_CHECK(operation_ == nullptr && operation.kind() == driver::OpKind::read);
    operation_ = &operation;
  }
  void stop(driver::Operation& operation) noexcept override {
    BLITZIO_CHECK(operation_ == &operation);
    kernel_.lock();
    if (result_ == kRunning) result_ = -ECANCELED;
    kernel_.unlock();
  }
  void interrupt() noexcept override { event_.signal(); }

  Event event_;
  driver::Operation* operation_ = nullptr;
  mutable NativeMutex kernel_;
  std::int32_t result_ = kRunning;  // the kernel's
};

using RingHome = Home<RingDriver>;

}  // namespace blitzio::model

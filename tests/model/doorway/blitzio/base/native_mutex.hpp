// `NativeMutex` and `NativeCondVar` with the explorer behind them.
#pragma once

#include <model/explorer/execution.hpp>

#include <condition_variable>
#include <mutex>

namespace blitzio {

class NativeMutex {
 public:
  NativeMutex() noexcept {
    if (model::Execution* execution = model::Execution::active()) {
      execution->born(this, model::ObjectKind::mutex, 0);
    }
  }
  NativeMutex(const NativeMutex&) = delete;
  NativeMutex& operator=(const NativeMutex&) = delete;
  ~NativeMutex() {
    if (model::Execution* execution = model::Execution::active()) execution->died(this);
  }
  void lock(model::Where where = model::Where::current()) noexcept {
    if (model::Execution* execution = model::Execution::active()) execution->lock(this, where);
  }
  void unlock(model::Where where = model::Where::current()) noexcept {
    if (model::Execution* execution = model::Execution::active()) execution->unlock(this, where);
  }

 private:
  // As large as what it stands for, so that layouts are alike.
  alignas(std::mutex) [[maybe_unused]] char bytes_[sizeof(std::mutex)] = {};
};

class NativeCondVar {
 public:
  NativeCondVar() noexcept {
    if (model::Execution* execution = model::Execution::active()) {
      execution->born(this, model::ObjectKind::condition, 0);
    }
  }
  NativeCondVar(const NativeCondVar&) = delete;
  NativeCondVar& operator=(const NativeCondVar&) = delete;
  ~NativeCondVar() {
    if (model::Execution* execution = model::Execution::active()) execution->died(this);
  }
  void wait(std::unique_lock<NativeMutex>& lock,
            model::Where where = model::Where::current()) noexcept {
    if (model::Execution* execution = model::Execution::active()) {
      execution->wait_for(this, lock.mutex(), false, where);
    }
  }
  /// Times out when nothing else is left to happen; at once if the deadline has passed, in which
  /// case a notification may still be meant for it.
  template <class Instant>
  std::cv_status wait_until(std::unique_lock<NativeMutex>& lock, const Instant& deadline,
                            model::Where where = model::Where::current()) noexcept {
    model::Execution* execution = model::Execution::active();
    if (execution == nullptr) return std::cv_status::timeout;
    if (deadline <= Instant::clock::now()) {
      lock.mutex()->unlock(where);
      lock.mutex()->lock(where);
      return std::cv_status::timeout;
    }
    const bool is_notified = execution->wait_for(this, lock.mutex(), true, where);
    return is_notified ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  void notify_one(model::Where where = model::Where::current()) noexcept {
    if (model::Execution* execution = model::Execution::active()) {
      execution->notify_condition(this, false, where);
    }
  }
  void notify_all(model::Where where = model::Where::current()) noexcept {
    if (model::Execution* execution = model::Execution::active()) {
      execution->notify_condition(this, true, where);
    }
  }
};

}  // namespace blitzio

// `Atomic<T>` with the explorer behind it: has the size of a T, and every operation is a step.
// Outside of a scenario it is a plain variable. What std::atomic has and no code here uses, is left
// out; using it is an error of compilation.
#pragma once

#include <model/explorer/execution.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace blitzio::model {

// The explorer reads and writes the value itself; what the compiler's instrumentation sees of it
// would be taken for plain memory.
#define BLITZIO_MODEL_OPAQUE [[gnu::no_sanitize_thread]]

template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));

 public:
  using value_type = T;

  BLITZIO_MODEL_OPAQUE constexpr Atomic() noexcept : value_() { born(); }
  // NOLINTNEXTLINE(google-explicit-constructor): as std::atomic.
  BLITZIO_MODEL_OPAQUE constexpr Atomic(T value) noexcept : value_(value) { born(); }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  BLITZIO_MODEL_OPAQUE constexpr ~Atomic() {
    if !consteval {
      if (Execution* execution = Execution::active()) execution->died(this);
    }
  }

  BLITZIO_MODEL_OPAQUE T load(std::memory_order order = std::memory_order_seq_cst,
                              Where where = Where::current()) const noexcept {
    Execution* execution = Execution::active();
    return execution == nullptr ? value_ : from_bits(execution->load(ref(), order, where));
  }
  BLITZIO_MODEL_OPAQUE void store(T value, std::memory_order order = std::memory_order_seq_cst,
                                  Where where = Where::current()) noexcept {
    if (Execution* execution = Execution::active()) {
      execution->store(ref(), to_bits(value), order, where);
    } else {
      value_ = value;
    }
  }
  T exchange(T value, std::memory_order order = std::memory_order_seq_cst,
             Where where = Where::current()) noexcept {
    return change([value](T) { return value; }, order, where);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure, Where where = Where::current()) noexcept {
    return compare_exchange(expected, desired, success, failure, true, where);
  }
  bool compare_exchange_weak(T& expected, T desired,
                             std::memory_order order = std::memory_order_seq_cst,
                             Where where = Where::current()) noexcept {
    return compare_exchange(expected, desired, order, on_failure(order), true, where);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                               std::memory_order failure, Where where = Where::current()) noexcept {
    return compare_exchange(expected, desired, success, failure, false, where);
  }
  bool compare_exchange_strong(T& expected, T desired,
                               std::memory_order order = std::memory_order_seq_cst,
                               Where where = Where::current()) noexcept {
    return compare_exchange(expected, desired, order, on_failure(order), false, where);
  }

  T fetch_add(T by, std::memory_order order = std::memory_order_seq_cst,
              Where where = Where::current()) noexcept {
    return change([by](T old) { return static_cast<T>(old + by); }, order, where);
  }
  T fetch_sub(T by, std::memory_order order = std::memory_order_seq_cst,
              Where where = Where::current()) noexcept {
    return change([by](T old) { return static_cast<T>(old - by); }, order, where);
  }
  T fetch_and(T by, std::memory_order order = std::memory_order_seq_cst,
              Where where = Where::current()) noexcept {
    return change([by](T old) { return static_cast<T>(old & by); }, order, where);
  }
  T fetch_or(T by, std::memory_order order = std::memory_order_seq_cst,
             Where where = Where::current()) noexcept {
    return change([by](T old) { return static_cast<T>(old | by); }, order, where);
  }
  T fetch_xor(T by, std::memory_order order = std::memory_order_seq_cst,
              Where where = Where::current()) noexcept {
    return change([by](T old) { return static_cast<T>(old ^ by); }, order, where);
  }

  void wait(T old, std::memory_order order = std::memory_order_seq_cst,
            Where where = Where::current()) const noexcept {
    if (Execution* execution = Execution::active()) {
      execution->wait(ref(), to_bits(old), order, false, where);
    }
  }
  /// As wait(); false if it timed out: when nothing else is left to happen.
  bool wait_timed(T old, std::memory_order order, Where where = Where::current()) const noexcept {
    Execution* execution = Execution::active();
    return execution == nullptr || execution->wait(ref(), to_bits(old), order, true, where);
  }
  void notify_one(Where where = Where::current()) noexcept {
    if (Execution* execution = Execution::active()) execution->notify(this, false, where);
  }
  void notify_all(Where where = Where::current()) noexcept {
    if (Execution* execution = Execution::active()) execution->notify(this, true, where);
  }

 private:
  static constexpr std::memory_order on_failure(std::memory_order success) noexcept {
    if (success == std::memory_order_acq_rel) return std::memory_order_acquire;
    if (success == std::memory_order_release) return std::memory_order_relaxed;
    return success;
  }
  static std::uint64_t to_bits(T value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  }
  static T from_bits(std::uint64_t bits) noexcept {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
  [[nodiscard]] Execution::AtomicRef ref() const noexcept {
    return {const_cast<void*>(static_cast<const void*>(this)), sizeof(T)};
  }
  constexpr void born() noexcept {
    if !consteval {
      if (Execution* execution = Execution::active()) {
        execution->born(this, ObjectKind::atomic, sizeof(T));
      }
    }
  }
  template <class Function>
  BLITZIO_MODEL_OPAQUE T change(Function function, std::memory_order order, Where where) noexcept {
    Execution* execution = Execution::active();
    if (execution == nullptr) return std::exchange(value_, function(value_));
    const T old = from_bits(execution->exchange_read(ref(), order, where));
    execution->exchange_write(to_bits(function(old)));
    return old;
  }
  BLITZIO_MODEL_OPAQUE bool compare_exchange(T& expected, T desired, std::memory_order success,
                                             std::memory_order failure, bool is_weak,
                                             Where where) noexcept {
    Execution* execution = Execution::active();
    std::uint64_t bits = to_bits(expected);
    if (execution == nullptr) {
      if (to_bits(value_) == bits) {
        value_ = desired;
        return true;
      }
      expected = value_;
      return false;
    }
    const bool succeeded = execution->compare_exchange(
        ref(), bits, {to_bits(desired), success, failure, is_weak}, where);
    if (!succeeded) expected = from_bits(bits);
    return succeeded;
  }

  T value_;
};

}  // namespace blitzio::model

namespace blitzio {

template <class T>
using Atomic = model::Atomic<T>;

}  // namespace blitzio

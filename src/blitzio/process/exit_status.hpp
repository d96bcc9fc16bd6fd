// `ExitStatus`: how a process ended.
#pragma once

#include <optional>

namespace blitzio::process {

/// A value: either a code or a signal.
class ExitStatus {
 public:
  [[nodiscard]] static constexpr ExitStatus exited(int code) noexcept { return {code, 0}; }
  [[nodiscard]] static constexpr ExitStatus killed(int signal) noexcept { return {0, signal}; }

  /// Whether it exited with 0.
  [[nodiscard]] constexpr bool is_success() const noexcept { return code_ == 0 && signal_ == 0; }
  /// What it gave to exit(); none if a signal ended it.
  [[nodiscard]] constexpr std::optional<int> code() const noexcept {
    return signal_ == 0 ? std::optional(code_) : std::nullopt;
  }
  /// The signal that ended it, if one did.
  [[nodiscard]] constexpr std::optional<int> signal() const noexcept {
    return signal_ != 0 ? std::optional(signal_) : std::nullopt;
  }
  /// One number for both, as Python's subprocess has it: the code, or minus the signal.
  [[nodiscard]] constexpr int return_code() const noexcept {
    return signal_ != 0 ? -signal_ : code_;
  }
  friend constexpr bool operator==(ExitStatus, ExitStatus) noexcept = default;

 private:
  constexpr ExitStatus(int code, int signal) noexcept : code_(code), signal_(signal) {}
  int code_;
  int signal_;
};

}  // namespace blitzio::process

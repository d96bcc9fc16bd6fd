// Numbers on the command lines of the programs here: a word that is none must not pass for 0.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace blitzio::bench {

/// Exit status of a program that was called in a way that it does not understand (sysexits.h).
inline constexpr int kUsage = 64;

/// The whole of `word` as a number of this type.
template <class Number>
[[nodiscard]] std::optional<Number> parse_number(std::string_view word) noexcept {
  Number number = 0;
  const char* const end = word.data() + word.size();
  const auto [stopped, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

}  // namespace blitzio::bench

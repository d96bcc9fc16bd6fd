// `ConnectFd`: connect(2) without blocking, the part of TcpStream::connect() and
// UnixStream::connect() that knows no type of stream.
//
//             connect(2)                     POLLOUT
//   begin ───────────────▶ in progress ────────────────▶ done: SO_ERROR says how
//     └──────── at once, or failed ──────────────────────▶
#pragma once

#include <blitzio/net/socket.hpp>

#include <cstdint>
#include <optional>

namespace blitzio::net::detail {

class [[nodiscard]] ConnectFd {
 public:
  using Output = Result<AsyncFd>;
  /// What the stream is of: another kind of address is invalid_argument.
  enum class Kind : std::uint8_t { internet, local };

  /// `from`: a certain address of this machine.
  ConnectFd(Kind kind, const Address& to, const Address& from = {}) noexcept
      : to_(to), from_(from), kind_(kind) {}

  Poll<Output> poll(Context& context) noexcept;

 private:
  Result<bool> begin() noexcept;

  Address to_;
  Address from_;
  Kind kind_;
  AsyncFd fd_;
  std::optional<IoWait> wait_;  // behind fd_, which it refers to
};

}  // namespace blitzio::net::detail

// `Address`: where a socket is: an IPv4 or IPv6 address with a port, or the path of a Unix socket.
//
// Text, parsed and written alike:
//
//     127.0.0.1:80      [::1]:80      [fe80::1%eth0]:80      /run/app.sock      @abstract
//
// A value of its own rather than a sockaddr, so that it can be made and compared at compile time.
#pragma once

#include <blitzio/base/result.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace blitzio {

class Address {
 public:
  /// `none`: no address, as an unnamed Unix socket has it. `local`: a Unix socket's path.
  enum class Family : std::uint8_t { none, v4, v6, local };

  /// Longest path of a Unix socket, in bytes.
  static constexpr std::size_t kPathBytesMax = 107;

  constexpr Address() noexcept = default;
  [[nodiscard]] static constexpr Address v4(std::array<std::uint8_t, 4> octets,
                                            std::uint16_t port) noexcept {
    Address address(Family::v4, port);
    std::ranges::copy(octets, address.bytes_.begin());
    return address;
  }
  /// `scope_id`: the interface of a link-local address.
  [[nodiscard]] static constexpr Address v6(std::array<std::uint8_t, 16> octets, std::uint16_t port,
                                            std::uint32_t scope_id = 0,
                                            std::uint32_t flow_info = 0) noexcept {
    Address address(Family::v6, port);
    std::ranges::copy(octets, address.bytes_.begin());
    address.scope_id_ = scope_id;
    address.flow_info_ = flow_info;
    return address;
  }
  [[nodiscard]] static constexpr Address any_v4(std::uint16_t port) noexcept {
    return v4({0, 0, 0, 0}, port);
  }
  [[nodiscard]] static constexpr Address loopback_v4(std::uint16_t port) noexcept {
    return v4({127, 0, 0, 1}, port);
  }
  [[nodiscard]] static constexpr Address any_v6(std::uint16_t port) noexcept {
    return v6({}, port);
  }
  [[nodiscard]] static constexpr Address loopback_v6(std::uint16_t port) noexcept {
    return v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
  }
  /// Of a Unix socket. A name that begins with a zero byte is abstract: no file stands for it.
  /// Errors   invalid_argument if it is empty or longer than kPathBytesMax, or has a zero byte
  ///          elsewhere than an abstract name may.
  [[nodiscard]] static constexpr Result<Address> local(std::string_view path) noexcept {
    const bool is_abstract = !path.empty() && path.front() == '\0';
    if (path.empty() || path.size() > kPathBytesMax ||
        (!is_abstract && path.find('\0') != std::string_view::npos)) {
      return fail(Error::runtime(RuntimeErrc::invalid_argument));
    }
    Address address(Family::local, 0);
    for (std::size_t i = 0; i < path.size(); ++i) {
      address.bytes_[i] = static_cast<std::uint8_t>(path[i]);
    }
    address.path_bytes_ = static_cast<std::uint8_t>(path.size());
    return address;
  }

  /// Errors   invalid_argument for what is no address of the forms above: names of hosts are for
  ///          dns::resolve().
  [[nodiscard]] static Result<Address> parse(std::string_view text) noexcept;
  /// Of an address without its port: "::1", "127.0.0.1", "fe80::1%2".
  [[nodiscard]] static Result<Address> parse_ip(std::string_view text, std::uint16_t port) noexcept;
  /// Errors   invalid_argument for another family than those above.
  [[nodiscard]] static Result<Address> from_sockaddr(const sockaddr* address,
                                                     socklen_t length) noexcept;

  [[nodiscard]] constexpr Family family() const noexcept { return family_; }
  [[nodiscard]] constexpr bool is_v4() const noexcept { return family_ == Family::v4; }
  [[nodiscard]] constexpr bool is_v6() const noexcept { return family_ == Family::v6; }
  [[nodiscard]] constexpr bool is_local() const noexcept { return family_ == Family::local; }
  /// 0 for those that have none.
  [[nodiscard]] constexpr std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] constexpr std::uint32_t scope_id() const noexcept { return scope_id_; }
  [[nodiscard]] constexpr std::uint32_t flow_info() const noexcept { return flow_info_; }
  [[nodiscard]] constexpr Address with_port(std::uint16_t port) const noexcept {
    Address changed = *this;
    if (is_v4() || is_v6()) changed.port_ = port;
    return changed;
  }
  [[nodiscard]] constexpr bool is_loopback() const noexcept {
    if (is_v4()) return bytes_[0] == 127;
    return is_v6() && *this == loopback_v6(port_);
  }
  /// 0.0.0.0 or ::
  [[nodiscard]] constexpr bool is_unspecified() const noexcept {
    const std::size_t count = is_v4() ? 4 : 16;
    return (is_v4() || is_v6()) &&
           std::all_of(bytes_.begin(), bytes_.begin() + count, [](auto byte) { return byte == 0; });
  }
  [[nodiscard]] constexpr bool is_multicast() const noexcept {
    return (is_v4() && bytes_[0] >= 224 && bytes_[0] < 240) || (is_v6() && bytes_[0] == 0xFF);
  }
  /// Of a Unix socket: a name without a file.
  [[nodiscard]] constexpr bool is_abstract() const noexcept { return is_local() && bytes_[0] == 0; }
  /// Of a Unix socket: its path, or abstract name with the zero byte in front; else empty.
  [[nodiscard]] std::string_view path() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), path_bytes_};
  }

  /// The address without the port, as parse_ip() reads it; a Unix socket's path.
  [[nodiscard]] std::string host() const;
  /// As parse() reads it; empty for none.
  [[nodiscard]] std::string to_string() const;

  /// The same for the calls of the socket interface.
  struct Native {
    sockaddr_storage storage;
    socklen_t length;
    [[nodiscard]] const sockaddr* get() const noexcept {
      return reinterpret_cast<const sockaddr*>(&storage);
    }
  };
  [[nodiscard]] Native to_native() const noexcept;
  /// AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC.
  [[nodiscard]] int native_family() const noexcept;

  friend constexpr bool operator==(const Address&, const Address&) noexcept = default;

 private:
  constexpr Address(Family family, std::uint16_t port) noexcept : family_(family), port_(port) {}

  // The address in network order, or the path; zeros behind it, so that equal ones compare equal.
  std::array<std::uint8_t, kPathBytesMax> bytes_{};
  Family family_ = Family::none;
  std::uint8_t path_bytes_ = 0;
  std::uint16_t port_ = 0;
  std::uint32_t scope_id_ = 0;
  std::uint32_t flow_info_ = 0;
};

}  // namespace blitzio

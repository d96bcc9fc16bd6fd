#include <blitzio/base/address.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>
#include <optional>

namespace blitzio {

namespace {

std::unexpected<Error> malformed() noexcept {
  return fail(Error::runtime(RuntimeErrc::invalid_argument));
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) noexcept {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The zero-terminated copy that the C library wants; none if it is too long to be meant.
template <std::size_t kBytes>
std::optional<std::array<char, kBytes>> terminated(std::string_view text) noexcept {
  std::array<char, kBytes> copy{};
  if (text.size() >= kBytes || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::ranges::copy(text, copy.begin());
  return copy;
}

std::optional<std::uint32_t> parse_scope(std::string_view text) noexcept {
  if (const auto number = parse_number<std::uint32_t>(text)) return number;
  const auto name = terminated<IF_NAMESIZE>(text);
  const unsigned index = name ? ::if_nametoindex(name->data()) : 0;
  if (index == 0) return std::nullopt;
  return index;
}

}  // namespace

Result<Address> Address::parse_ip(std::string_view text, std::uint16_t port) noexcept {
  const std::size_t percent = text.find('%');
  const auto ip = terminated<INET6_ADDRSTRLEN>(text.substr(0, percent));
  if (!ip) return malformed();
  if (std::array<std::uint8_t, 4> octets{}; ::inet_pton(AF_INET, ip->data(), octets.data()) == 1) {
    if (percent != std::string_view::npos) return malformed();
    return v4(octets, port);
  }
  std::array<std::uint8_t, 16> octets{};
  if (::inet_pton(AF_INET6, ip->data(), octets.data()) != 1) return malformed();
  std::uint32_t scope_id = 0;
  if (percent != std::string_view::npos) {
    const auto scope = parse_scope(text.substr(percent + 1));
    if (!scope) return malformed();
    scope_id = *scope;
  }
  return v6(octets, port, scope_id);
}

Result<Address> Address::parse(std::string_view text) noexcept {
  if (text.starts_with('/')) return local(text);
  if (text.starts_with('@')) {
    std::array<char, kPathBytesMax + 1> name{};
    if (text.size() < 2 || text.size() > kPathBytesMax) return malformed();
    std::ranges::copy(text.substr(1), name.begin() + 1);
    return local({name.data(), text.size()});
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed();
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return malformed();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return malformed();
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return malformed();
  } else if (host.find(':') != std::string_view::npos) {
    return malformed();  // "::1:80" could be read in two ways
  }
  return parse_ip(host, *port);
}

Result<Address> Address::from_sockaddr(const sockaddr* address, socklen_t length) noexcept {
  constexpr socklen_t kPathOffset = offsetof(sockaddr_un, sun_path);
  if (length < sizeof(sa_family_t) || address->sa_family == AF_UNSPEC) return Address();
  switch (address->sa_family) {
    case AF_INET: {
      sockaddr_in in{};
      if (length < sizeof in) return malformed();
      std::memcpy(&in, address, sizeof in);
      std::array<std::uint8_t, 4> octets{};
      std::memcpy(octets.data(), &in.sin_addr, octets.size());
      return v4(octets, ntohs(in.sin_port));
    }
    case AF_INET6: {
      sockaddr_in6 in{};
      if (length < sizeof in) return malformed();
      std::memcpy(&in, address, sizeof in);
      std::array<std::uint8_t, 16> octets{};
      std::memcpy(octets.data(), &in.sin6_addr, octets.size());
      return v6(octets, ntohs(in.sin6_port), in.sin6_scope_id, ntohl(in.sin6_flowinfo));
    }
    case AF_UNIX: {
      if (length <= kPathOffset) return Address();
      const char* path = reinterpret_cast<const char*>(address) + kPathOffset;
      std::size_t bytes = length - kPathOffset;
      // The kernel counts the terminator of a path, and knows none for an abstract name.
      if (path[0] != '\0') bytes = ::strnlen(path, bytes);
      return local({path, bytes});
    }
    default:
      return malformed();
  }
}

Address::Native Address::to_native() const noexcept {
  Native native{};
  switch (family_) {
    case Family::none:
      native.length = sizeof(sa_family_t);
      break;
    case Family::v4: {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port_);
      std::memcpy(&in.sin_addr, bytes_.data(), 4);
      std::memcpy(&native.storage, &in, sizeof in);
      native.length = sizeof in;
      break;
    }
    case Family::v6: {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port_);
      in.sin6_flowinfo = htonl(flow_info_);
      in.sin6_scope_id = scope_id_;
      std::memcpy(&in.sin6_addr, bytes_.data(), 16);
      std::memcpy(&native.storage, &in, sizeof in);
      native.length = sizeof in;
      break;
    }
    case Family::local: {
      sockaddr_un un{};
      un.sun_family = AF_UNIX;
      std::memcpy(un.sun_path, bytes_.data(), path_bytes_);
      std::memcpy(&native.storage, &un, sizeof un);
      const std::size_t terminator = is_abstract() ? 0 : 1;
      native.length =
          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_bytes_ + terminator);
      break;
    }
  }
  return native;
}

int Address::native_family() const noexcept {
  switch (family_) {
    case Family::none:
      return AF_UNSPEC;
    case Family::v4:
      return AF_INET;
    case Family::v6:
      return AF_INET6;
    case Family::local:
      return AF_UNIX;
  }
  return AF_UNSPEC;
}

std::string Address::host() const {
  if (is_local()) return std::string(path());
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (family_ == Family::none ||
      ::inet_ntop(native_family(), bytes_.data(), text.data(), text.size()) == nullptr) {
    return {};
  }
  std::string host = text.data();
  if (scope_id_ != 0) {
    std::array<char, IF_NAMESIZE> name{};
    host += '%';
    host += ::if_indextoname(scope_id_, name.data()) != nullptr ? std::string(name.data())
                                                                : std::to_string(scope_id_);
  }
  return host;
}

std::string Address::to_string() const {
  switch (family_) {
    case Family::none:
      return {};
    case Family::v4:
      return host() + ':' + std::to_string(port_);
    case Family::v6:
      return '[' + host() + "]:" + std::to_string(port_);
    case Family::local: {
      std::string text = host();
      if (is_abstract()) text.front() = '@';
      return text;
    }
  }
  return {};
}

}  // namespace blitzio

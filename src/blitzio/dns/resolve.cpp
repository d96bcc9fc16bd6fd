#include <blitzio/dns/resolve.hpp>

#include <blitzio/executor/blocking_call.hpp>

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

namespace blitzio::dns {

namespace {

using Addresses = std::vector<Address>;

int native_family(Family family) noexcept {
  switch (family) {
    case Family::any:
      return AF_UNSPEC;
    case Family::v4:
      return AF_INET;
    case Family::v6:
      return AF_INET6;
  }
  return AF_UNSPEC;
}

Result<Addresses> only(const Address& address, Family family) {
  if (family != Family::any && (family == Family::v4) != address.is_v4()) {
    return fail(Error::resolver(EAI_NONAME));
  }
  return Addresses{address};
}

struct FreeAddresses {
  void operator()(addrinfo* found) const noexcept { ::freeaddrinfo(found); }
};
using Found = std::unique_ptr<addrinfo, FreeAddresses>;

/// getaddrinfo(3), which may wait.
Result<Found> look_up(const std::string& host, std::uint16_t port, Family family) {
  if (host.find('\0') != std::string::npos) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  addrinfo hints{};
  hints.ai_family = native_family(family);
  hints.ai_socktype = SOCK_STREAM;  // each address once, not once per type
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  // Without AI_PASSIVE no host means loopback.
  const int code =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found);
  if (code == EAI_SYSTEM) return fail(Error::os(errno));
  if (code != 0) return fail(Error::resolver(code));
  return Found(found);
}

Result<Addresses> addresses_of(const Result<Found>& found) {
  if (!found) return fail(found.error());
  Addresses addresses;
  for (const addrinfo* entry = found->get(); entry != nullptr; entry = entry->ai_next) {
    const auto address = Address::from_sockaddr(entry->ai_addr, entry->ai_addrlen);
    if (address && std::ranges::find(addresses, *address) == addresses.end()) {
      addresses.push_back(*address);
    }
  }
  if (addresses.empty()) return fail(Error::resolver(EAI_NONAME));
  return addresses;
}

Async<Result<Addresses>> resolve_copy(std::string host, std::uint16_t port, Family family) {
  if (const auto numeric = Address::parse_ip(host, port)) co_return only(*numeric, family);
  // Named: GCC 12 copies temporaries of an awaited expression byte by byte.
  auto looking_up =
      call_blocking([host = std::move(host), port, family] { return look_up(host, port, family); });
  const Result<Found> found = co_await looking_up;
  co_return addresses_of(found);
}

}  // namespace

Result<Addresses> blocking_resolve(const std::string& host, std::uint16_t port, Family family) {
  if (const auto numeric = Address::parse_ip(host, port)) return only(*numeric, family);
  return addresses_of(look_up(host, port, family));
}

Async<Result<Addresses>> resolve(std::string_view host, std::uint16_t port, Family family) {
  return resolve_copy(std::string(host), port, family);
}

}  // namespace blitzio::dns

// `numeric_address()`: what socket.getaddrinfo() says of a host and a port that are numbers,
// without a thread and without the C library's resolver.
//
// It answers only what it knows for sure, the plain cases: an IPv4 or IPv6 literal, a decimal port,
// stream or datagram sockets. For everything else (names, service names, short forms like "127.1",
// unusual flags, errors) it says None, and the caller asks the resolver.
//
// `numeric_info()`: the same for one socket type and as asyncio's own code takes literals: worded
// as the program did, and with any port number, of which connect() and bind() say what is wrong.
#pragma once

#include <python/support/state.hpp>

#include <sys/socket.h>

#include <optional>

namespace blitzio::python {

struct NumericAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};
/// The address of `host` and `port` in `family` (AF_UNSPEC: whichever it is); none if they need the
/// resolver. Sets no error.
[[nodiscard]] std::optional<NumericAddress> numeric_address_of(PyObject* host, PyObject* port,
                                                               long family) noexcept;

[[nodiscard]] int names_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python

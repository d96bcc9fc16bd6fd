// `resolve`: the addresses of a host, as getaddrinfo(3) has them: from /etc/hosts, name servers and
// whatever else the system is set up for.
//
// A numeric host is answered in line; a name in a thread where getaddrinfo may block (see
// executor/blocking_call.hpp), which has no way to be hurried: a future that is dropped leaves it
// to its end.
#pragma once

#include <blitzio/base/address.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/task/async.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::dns {

enum class Family : std::uint8_t { any, v4, v6 };

/// Returns  future of at least one address, in the order of preference (RFC 6724), each once. An
///          empty `host` stands for this machine's loopback addresses.
/// Errors   resolver errors (EAI_NONAME, EAI_AGAIN, …); what the system gives (EAI_SYSTEM's errno);
///          invalid_argument for a host with a zero byte.
/// Cancel   gives up the answer.
[[nodiscard]] Async<Result<std::vector<Address>>> resolve(std::string_view host, std::uint16_t port,
                                                          Family family = Family::any);

/// The same on the calling thread, which waits.
[[nodiscard]] Result<std::vector<Address>> blocking_resolve(const std::string& host,
                                                            std::uint16_t port,
                                                            Family family = Family::any);

}  // namespace blitzio::dns

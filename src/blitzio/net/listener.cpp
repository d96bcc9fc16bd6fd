#include <blitzio/net/listener.hpp>

#include <blitzio/base/accept_errors.hpp>
#include <blitzio/base/address_buffer.hpp>
#include <blitzio/base/syscalls.hpp>

#include <cerrno>

namespace blitzio::net::detail {

int accept_now(int listener, AcceptedFd& accepted) noexcept {
  // Each retry takes a dead connection off the backlog; the bound is for a system that keeps
  // failing without taking any.
  constexpr int kRetries = 64;
  int code = 0;
  for (int attempt = 0; attempt < kRetries; ++attempt) {
    AddressBuffer peer{};
    const int fd = sys::accept4(listener, peer.generic(), &peer.length,
                                SOCK_NONBLOCK | SOCK_CLOEXEC, sys::Wait::edge);
    if (fd >= 0) {
      accepted.fd = OwnedFd::adopt(fd);
      accepted.peer = Address::from_sockaddr(peer.generic(), peer.length).value_or(Address());
      return 0;
    }
    code = errno;
    if (code != EINTR && !concerns_one_connection(code)) return -code;
  }
  return -code;
}

Poll<Result<AcceptedFd>> AcceptFd::poll(Context& context) noexcept {
  AcceptedFd accepted;
  auto answer = wait_.poll(
      context, [&accepted](int fd) noexcept -> IoAttempt { return {accept_now(fd, accepted)}; });
  if (answer.is_pending()) return pending;
  if (!answer.value()) return Output(fail(answer.value().error()));
  return Output(std::move(accepted));
}

Result<std::optional<AcceptedFd>> try_accept_fd(int listener) noexcept {
  AcceptedFd accepted;
  const int result = accept_now(listener, accepted);
  if (result == -EAGAIN) return std::nullopt;
  if (result != 0) return fail(Error::os(-result));
  return accepted;
}

}  // namespace blitzio::net::detail

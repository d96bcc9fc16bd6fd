#include <blitzio/net/connect.hpp>

#include <poll.h>

#include <cerrno>

namespace blitzio::net::detail {

namespace {

IoAttempt outcome_of(int fd) noexcept {
  pollfd item{fd, POLLOUT, 0};
  // A connection on its way is neither writable nor failed.
  if (::poll(&item, 1, 0) <= 0) return {-EAGAIN};
  int code = 0;
  socklen_t length = sizeof code;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0) return {-errno};
  return {-code};
}

}  // namespace

// Whether it is connected already.
Result<bool> ConnectFd::begin() noexcept {
  const bool is_of_kind = kind_ == Kind::local ? to_.is_local() : to_.is_v4() || to_.is_v6();
  if (!is_of_kind) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  auto fd = open_socket(to_.native_family(), SOCK_STREAM);
  if (!fd) return fail(fd.error());
  if (from_.family() != Address::Family::none) {
    if (auto bound = bind_to(fd->get(), from_); !bound) return fail(bound.error());
  }
  const Address::Native native = to_.to_native();
  const int outcome = ::connect(fd->get(), native.get(), native.length);
  // An interrupted connect goes on in the kernel, as one that says EINPROGRESS does.
  const int code = outcome == 0 || errno == EINPROGRESS || errno == EINTR ? 0 : errno;
  if (code != 0) return fail(Error::os(code));
  auto adopted = AsyncFd::adopt(std::move(*fd));
  if (!adopted) return fail(adopted.error());
  fd_ = std::move(*adopted);
  return outcome == 0;
}

Poll<Result<AsyncFd>> ConnectFd::poll(Context& context) noexcept {
  if (!wait_) {
    const Result<bool> begun = begin();
    if (!begun) return Output(fail(begun.error()));
    if (*begun) return Output(std::move(fd_));
    wait_.emplace(fd_, IoDirection::write);
  }
  auto answer = wait_->poll(context, outcome_of);
  if (answer.is_pending()) return pending;
  const Result<std::size_t> result = std::move(answer).take();
  wait_.reset();
  if (!result) {
    fd_ = AsyncFd();
    return Output(fail(result.error()));
  }
  return Output(std::move(fd_));
}

}  // namespace blitzio::net::detail

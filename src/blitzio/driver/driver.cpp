#include <blitzio/driver/driver.hpp>

#include <cerrno>

namespace blitzio::driver {

Driver::~Driver() {
  BLITZIO_CHECK(in_flight_.is_empty());
}

std::size_t Driver::deliver_held([[maybe_unused]] bool all) noexcept {
  std::size_t count = 0;
#if BLITZIO_FAULTS
  if (held_.is_empty() && !all) return 0;
  if (all) {
    held_.close();
  } else {
    held_.advance();
  }
  const bool began_in_child = in_child();
  // A completion function may fork: the turn ends there.
  while (in_child() == began_in_child) {
    const auto held = held_.next_due();
    if (!held) break;
    // In a child what came is the parent's.
    if (began_in_child && held->more) continue;
    ++count;
    complete(*held->operation,
             began_in_child ? Completion{-ECANCELED, false, {}} : held->completion());
  }
#endif
  return count;
}

std::size_t Driver::deliver_messages() noexcept {
  std::size_t delivered = 0;
  inbox_.take_all([&](Message& message) {
    ++delivered;
    message.deliver();
  });
  return delivered;
}

std::string_view name(Backend backend) noexcept {
  switch (backend) {
    case Backend::automatic:
      return "auto";
    case Backend::io_uring:
      return "io_uring";
    case Backend::epoll:
      return "epoll";
    case Backend::poll:
      return "poll";
  }
  return "unknown";
}

Result<Backend> parse_backend(std::string_view text) noexcept {
  for (const auto backend :
       {Backend::automatic, Backend::io_uring, Backend::epoll, Backend::poll}) {
    if (text == name(backend)) return backend;
  }
  return fail(Error::runtime(RuntimeErrc::invalid_argument));
}

}  // namespace blitzio::driver

#include <blitzio/executor/thread_poll.hpp>

#include <blitzio/executor/async_fd.hpp>

#include <cerrno>
#include <cstddef>
#include <new>

namespace blitzio {

int ThreadPoll::add(detail::IoSide& side, int fd, short events) noexcept {
  try {
    if (items_.empty()) items_.emplace_back();
    items_.push_back({fd, events, 0});
    sides_.push_back(&side);
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  return 0;
}

Result<void> ThreadPoll::park_until(ThreadParker& parker, Instant deadline) noexcept {
  if (sides_.empty()) {
    parker.park_until(deadline);
    return {};
  }
  auto parked = parker.park_polling(items_, deadline);
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (items_[i + 1].revents != 0) sides_[i]->note_polled();
  }
  return parked;
}

}  // namespace blitzio

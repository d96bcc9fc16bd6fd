#include <blitzio/driver/readiness/fd_table.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace blitzio::driver::readiness {

WaitQueue& FdEntry::queue(Direction direction) noexcept {
  switch (direction) {
    case Direction::read:
      return readers;
    case Direction::write:
      return writers;
    case Direction::poll:
      return pollers;
    case Direction::none:
      break;
  }
  BLITZIO_CHECK(false && "an operation without a direction never waits", direction);
  return pollers;
}

Interest FdEntry::interest() noexcept {
  Interest all{.events = 0, .is_multishot = false, .is_standing = false};
  for (WaitQueue* waiting : {&readers, &writers, &pollers}) {
    waiting->for_each([&](Operation& operation) {
      all.events |= events_of(operation);
      all.is_multishot |= operation.is_multishot();
      all.is_standing |= operation.kind() == OpKind::poll && operation.args().poll.is_standing;
    });
  }
  return all;
}

int FdTable::ensure(int fd, FdEntry*& entry) noexcept {
  entry = find(fd);
  if (entry != nullptr) return 0;
  if (::fcntl(fd, F_GETFD) < 0) return errno;

  const std::uint32_t chunk = static_cast<std::uint32_t>(fd) / kChunkEntries;
  if (chunk >= chunk_count_) {
    const std::uint32_t count = std::max({chunk + 1, chunk_count_ * 2, 16U});
    std::unique_ptr<std::unique_ptr<Chunk>[]> grown(new (std::nothrow)
                                                        std::unique_ptr<Chunk>[count]);
    if (grown == nullptr) return ENOMEM;
    std::move(chunks_.get(), chunks_.get() + chunk_count_, grown.get());
    chunks_ = std::move(grown);
    chunk_count_ = count;
  }
  if (chunks_[chunk] == nullptr) {
    chunks_[chunk].reset(new (std::nothrow) Chunk);
    if (chunks_[chunk] == nullptr) return ENOMEM;
  }
  entry = find(fd);
  return 0;
}

}  // namespace blitzio::driver::readiness

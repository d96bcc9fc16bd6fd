#include <blitzio/driver/io_uring/file_table.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <new>

namespace blitzio::driver::io_uring {

namespace {

// Descriptors above are used as any other. A slot costs the kernel 8 bytes.
constexpr std::size_t kSlotsMax = 16'384;

// The kernel allows a table no longer than the process may open files.
std::size_t slot_count() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kSlotsMax;
  return std::min<std::size_t>(kSlotsMax, limit.rlim_cur);
}

}  // namespace

Result<void> FileTable::open(Ring& ring) noexcept {
  if (slots_.empty()) {
    try {
      slots_.resize(slot_count(), Slot::empty);
    } catch (const std::bad_alloc&) {
      return fail(Error::os(ENOMEM));
    }
  }
  const int result =
      io_uring_register_files_sparse(&ring.raw(), static_cast<unsigned>(slots_.size()));
  if (result < 0) return fail(Error::os(-result));
  return {};
}

void FileTable::forget() noexcept {
  for (Slot& slot : slots_) {
    if (slot == Slot::known) slot = Slot::wanted;
    if (slot == Slot::stale) slot = Slot::empty;
  }
}

bool FileTable::update(Ring& ring, std::size_t index, int fd) noexcept {
  return io_uring_register_files_update(&ring.raw(), static_cast<unsigned>(index), &fd, 1) == 1;
}

void FileTable::attach(Ring* ring, int fd) noexcept {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= slots_.size()) return;
  if (ring == nullptr) {
    slots_[index] = Slot::wanted;
  } else {
    slots_[index] = update(*ring, index, fd) ? Slot::known : Slot::empty;
  }
}

void FileTable::detach(Ring* ring, int fd) noexcept {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= slots_.size() || slots_[index] == Slot::empty) return;
  if (ring == nullptr) {
    slots_[index] = Slot::stale;
  } else {
    update(*ring, index, -1);
    slots_[index] = Slot::empty;
  }
}

void FileTable::sync(Ring& ring) noexcept {
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    if (slots_[index] == Slot::wanted) attach(&ring, static_cast<int>(index));
    if (slots_[index] == Slot::stale) detach(&ring, static_cast<int>(index));
  }
}

}  // namespace blitzio::driver::io_uring

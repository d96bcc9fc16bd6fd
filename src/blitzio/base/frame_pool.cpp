#include <blitzio/base/frame_pool.hpp>

#include <blitzio/base/frame_shelf.hpp>

#include <utility>

namespace blitzio {

thread_local constinit FramePool::Lists* FramePool::lists_ = nullptr;

namespace {

constinit std::array<detail::FrameShelf, FramePool::kPooledBytesMax / FramePool::kStepBytes>
    shelves;

}  // namespace

FramePool::Lists::Lists() noexcept {
  for (std::size_t list = 0; list < kLists; ++list) room[list] = capacity(list);
}

// Puts a list on its shelf, if there is room, but for its first `kept` cells.
void FramePool::Lists::shelve(std::size_t list, std::uint32_t kept) noexcept {
  detail::FrameCell** rest = &free[list];
  for (std::uint32_t i = 0; i < kept; ++i) rest = &(*rest)->next;
  const std::uint32_t cells = capacity(list) - room[list] - kept;
  if (!shelves[list].put(*rest, cells, kShelvedBytes / bytes_of(list))) return;
  *rest = nullptr;
  room[list] += cells;
}

// Fills a list that is empty. False if there is nothing to fill it with.
bool FramePool::Lists::restock(std::size_t list) noexcept {
  detail::FrameShelf::Batch* batch = shelves[list].take();
  if (batch == nullptr) return false;
  free[list] = batch;
  room[list] -= batch->cells;
  return true;
}

FramePool::Lists::~Lists() {
  for (detail::FrameCell* cell : free) {
    while (cell != nullptr) ::operator delete(std::exchange(cell, cell->next));
  }
}

// Makes the calling thread's lists at its first need and ends them with the thread. Frames that are
// freed later still, by the thread's other destructors, find none.
class FramePool::Owner {
 public:
  Owner() noexcept { lists_ = new (std::nothrow) Lists; }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() { delete std::exchange(lists_, nullptr); }

  static void never_make() noexcept { is_made_ = true; }
  [[nodiscard]] static bool is_made() noexcept { return is_made_; }

  // Whether there are lists; only in a thread that has not had and lost them.
  [[nodiscard]] static bool ensure() noexcept {
    if (std::exchange(is_made_, true)) return lists_ != nullptr;
    thread_local const Owner owner;
    return lists_ != nullptr;
  }

 private:
  static thread_local constinit bool is_made_;
};

thread_local constinit bool FramePool::Owner::is_made_ = false;

void FramePool::disable_on_this_thread() noexcept {
  Owner::never_make();
  delete std::exchange(lists_, nullptr);
}

bool FramePool::is_enabled_on_this_thread() noexcept {
  return kIsPooling && (lists_ != nullptr || !Owner::is_made());
}

void FramePool::share() noexcept {
  if (lists_ == nullptr) return;
  for (std::size_t list = 0; list < kLists; ++list) {
    if (capacity(list) - lists_->room[list] > kKeptCells) lists_->shelve(list, kKeptCells);
  }
}

void* FramePool::allocate_slow(std::size_t list) {
  if (Owner::ensure() && lists_->restock(list)) return lists_->pop(list);
  return ::operator new(bytes_of(list));
}

void FramePool::free_slow(void* memory, std::size_t list) noexcept {
  if (Owner::ensure()) {
    if (lists_->room[list] == 0) lists_->shelve(list, 0);
    if (lists_->room[list] != 0) return lists_->push(memory, list);
  }
  ::operator delete(memory);
}

}  // namespace blitzio

#include <blitzio/base/frame_pool.hpp>

#include <blitzio/base/frame_shelf.hpp>
#include <blitzio/base/sole_sweeper.hpp>

#include <pthread.h>

#include <utility>

namespace blitzio {

thread_local constinit FramePool::Lists* FramePool::lists_ = nullptr;

constexpr std::array<std::uint32_t, FramePool::kLists> FramePool::kCapacities = [] {
  std::array<std::uint32_t, kLists> cells{};
  for (std::size_t list = 0; list < kLists; ++list) {
    cells[list] = static_cast<std::uint32_t>(kKeptBytes / bytes_of(list));
  }
  return cells;
}();

namespace {

using Shelves = std::array<detail::FrameShelf, FramePool::kLists>;
constinit Shelves shelves;
// What goes back to the allocator, unless a thread needs some before.
constinit Shelves leaving;
constinit detail::SoleSweeper giver;

// The thread that was at it may be missing in a child. Registered when the library is loaded: at
// the first use another thread could fork in the middle of it. Fails only for want of memory;
// forking is then as unguarded as without it.
[[maybe_unused]] const int registered = ::pthread_atfork(nullptr, nullptr, [] { giver.forget(); });

void release(detail::FrameCell* cells) noexcept {
  while (cells != nullptr) ::operator delete(std::exchange(cells, cells->next));
}

void give_back() noexcept {
  giver.ask([] {
    for (detail::FrameShelf& shelf : leaving) {
      while (detail::FrameShelf::Batch* batch = shelf.take()) release(batch);
    }
  });
}

}  // namespace

FramePool::Lists::Lists() noexcept : room(kCapacities) {}

// Puts a list on its shelf but for its first `kept` cells; what there is no room for goes back to
// the allocator. The list stays as it is if neither is to be had now.
void FramePool::Lists::shelve(std::size_t list, std::uint32_t kept) noexcept {
  detail::FrameCell** rest = &free[list];
  for (std::uint32_t i = 0; i < kept; ++i) rest = &(*rest)->next;
  const std::uint32_t cells = kCapacities[list] - room[list] - kept;
  const std::size_t cells_max = kShelvedBytes / bytes_of(list);
  const bool leaves = !shelves[list].put(*rest, cells, cells_max);
  if (leaves && !leaving[list].put(*rest, cells, cells_max)) return;
  *rest = nullptr;
  room[list] += cells;
  if (leaves) give_back();
}

// Fills a list that is empty. False if there is nothing to fill it with.
bool FramePool::Lists::restock(std::size_t list) noexcept {
  detail::FrameShelf::Batch* batch = shelves[list].take();
  if (batch == nullptr) {
    batch = leaving[list].take();
    if (batch == nullptr) return false;
    // Who gives back may have passed by while the shelf was in our hands.
    if (batch->below != nullptr) give_back();
  }
  free[list] = batch;
  room[list] -= batch->cells;
  return true;
}

FramePool::Lists::~Lists() {
  for (detail::FrameCell* cells : free) release(cells);
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
    if (kCapacities[list] - lists_->room[list] > kKeptCells) lists_->shelve(list, kKeptCells);
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

#include <blitzio/base/frame_pool.hpp>

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/cache_line.hpp>

#include <utility>

namespace blitzio {

thread_local constinit FramePool::Lists* FramePool::lists_ = nullptr;

// Lists of one size that threads have put away; nobody waits for it.
//
//            exchange: was free                  store
//     free ──────────────────────▶ in one thread's hands ──────▶ free
class alignas(kCacheLineBytes) FramePool::Shelf {
 public:
  // The first cell of a list stands for all of it.
  struct Batch : Cell {
    Batch* below;
    std::uint32_t cells;
  };
  static_assert(sizeof(Batch) <= kStepBytes);

  static Shelf& of(std::size_t list) noexcept { return shelves_[list]; }

  /// Takes over the chain of `cells` cells. False if that would be too many, or somebody is here.
  [[nodiscard]] bool put(Cell* first, std::uint32_t cells, std::size_t cell_bytes) noexcept {
    // A guess, so that a thread that finds it full writes nothing.
    if (!has_room(cells, cell_bytes) || !take_hold()) return false;
    const bool fits = has_room(cells, cell_bytes);
    if (fits) {
      Cell* second = first->next;
      // Relaxed: only who holds the shelf changes it; what that one wrote was acquired with it.
      Batch* top = top_.load(std::memory_order_relaxed);
      top_.store(::new (static_cast<void*>(first)) Batch{{second}, top, cells},
                 std::memory_order_relaxed);
      add_cells(cells);
    }
    let_go();
    return fits;
  }
  /// Returns  what was put last; null if nothing is there, or somebody else is.
  [[nodiscard]] Batch* take() noexcept {
    // Relaxed: a guess, so that a thread that finds nothing writes nothing.
    if (top_.load(std::memory_order_relaxed) == nullptr || !take_hold()) return nullptr;
    Batch* top = top_.load(std::memory_order_relaxed);  // Relaxed: as in put().
    if (top != nullptr) {
      top_.store(top->below, std::memory_order_relaxed);
      add_cells(-std::size_t{top->cells});
    }
    let_go();
    return top;
  }

 private:
  [[nodiscard]] bool has_room(std::uint32_t cells, std::size_t cell_bytes) const noexcept {
    // Relaxed: as top_.
    return (cells_.load(std::memory_order_relaxed) + cells) * cell_bytes <= kShelvedBytes;
  }
  void add_cells(std::size_t number) noexcept {
    // Relaxed, both: as top_.
    cells_.store(cells_.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
  }
  // Acquire: pairs with the release in let_go(), so the batches are as the last holder left them.
  [[nodiscard]] bool take_hold() noexcept {
    return !is_held_.exchange(true, std::memory_order_acquire);
  }
  void let_go() noexcept { is_held_.store(false, std::memory_order_release); }

  static constinit std::array<Shelf, kLists> shelves_;

  Atomic<bool> is_held_{false};
  Atomic<Batch*> top_{nullptr};
  Atomic<std::size_t> cells_{0};
};

constinit std::array<FramePool::Shelf, FramePool::kLists> FramePool::Shelf::shelves_{};

FramePool::Lists::Lists() noexcept {
  for (std::size_t list = 0; list < kLists; ++list) room[list] = capacity(list);
}

// Puts a list on its shelf, if there is room, but for its first `kept` cells.
void FramePool::Lists::shelve(std::size_t list, std::uint32_t kept) noexcept {
  Cell** rest = &free[list];
  for (std::uint32_t i = 0; i < kept; ++i) rest = &(*rest)->next;
  const std::uint32_t cells = capacity(list) - room[list] - kept;
  if (!Shelf::of(list).put(*rest, cells, bytes_of(list))) return;
  *rest = nullptr;
  room[list] += cells;
}

// Fills a list that is empty. False if there is nothing to fill it with.
bool FramePool::Lists::restock(std::size_t list) noexcept {
  Shelf::Batch* batch = Shelf::of(list).take();
  if (batch == nullptr) return false;
  free[list] = batch;
  room[list] -= batch->cells;
  return true;
}

FramePool::Lists::~Lists() {
  for (Cell* cell : free) {
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

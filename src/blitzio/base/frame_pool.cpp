#include <blitzio/base/frame_pool.hpp>

#include <blitzio/base/check.hpp>

#include <utility>

namespace blitzio {

thread_local constinit FramePool::Lists* FramePool::lists_ = nullptr;

FramePool::Lists::Lists() noexcept {
  for (std::size_t list = 0; list < kLists; ++list) {
    room[list] = static_cast<std::uint32_t>(kKeptBytes / ((list + 1) * kStepBytes));
  }
}

FramePool::Lists::~Lists() {
  for (Cell* cell : free) {
    while (cell != nullptr) ::operator delete(std::exchange(cell, cell->next));
  }
}

// Makes the calling thread's lists at its first free and ends them with the thread. Frames that are
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
  BLITZIO_CHECK(lists_ == nullptr);
  Owner::never_make();
}

bool FramePool::is_enabled_on_this_thread() noexcept {
  return kIsPooling && (lists_ != nullptr || !Owner::is_made());
}

void FramePool::free_slow(void* memory, std::size_t list) noexcept {
  if (Owner::ensure() && lists_->room[list] != 0) {
    lists_->push(memory, list);
  } else {
    ::operator delete(memory);
  }
}

}  // namespace blitzio

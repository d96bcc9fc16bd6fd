#include <blitzio/driver/readiness/timeout_heap.hpp>

#include <cerrno>
#include <new>

namespace blitzio::driver::readiness {

namespace {

bool is_before(const Operation& a, const Operation& b) noexcept {
  const Instant at = a.args().timeout.deadline;
  const Instant bt = b.args().timeout.deadline;
  if (at != bt) return at < bt;
  // The arrival number wraps, so the distance decides: right as long as fewer than 2^31 timeouts
  // were started between the two, and else only their order is not that of arrival.
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a.backend_result) -
                                   static_cast<std::uint32_t>(b.backend_result)) < 0;
}

}  // namespace

int TimeoutHeap::push(Operation& operation) noexcept {
  try {
    heap_.push_back(&operation);
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  operation.backend_result = static_cast<std::int32_t>(arrivals_++);
  place(heap_.size() - 1, operation);
  sift_up(heap_.size() - 1);
  return 0;
}

void TimeoutHeap::remove(Operation& operation) noexcept {
  const std::size_t index = operation.backend_word;
  BLITZIO_CHECK(index < heap_.size() && heap_[index] == &operation, index, heap_.size());
  Operation& last = *heap_.back();
  heap_.pop_back();
  if (&last == &operation) return;
  place(index, last);
  sift_up(index);
  sift_down(last.backend_word);
}

Operation* TimeoutHeap::pop_due(Instant now) noexcept {
  if (is_empty() || earliest() > now) return nullptr;
  Operation* operation = heap_[0];
  remove(*operation);
  return operation;
}

void TimeoutHeap::place(std::size_t index, Operation& operation) noexcept {
  heap_[index] = &operation;
  operation.backend_word = static_cast<std::uint32_t>(index);
}

void TimeoutHeap::sift_up(std::size_t index) noexcept {
  Operation& operation = *heap_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (!is_before(operation, *heap_[parent])) break;
    place(index, *heap_[parent]);
    index = parent;
  }
  place(index, operation);
}

void TimeoutHeap::sift_down(std::size_t index) noexcept {
  Operation& operation = *heap_[index];
  for (;;) {
    std::size_t child = index * 2 + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && is_before(*heap_[child + 1], *heap_[child])) ++child;
    if (!is_before(*heap_[child], operation)) break;
    place(index, *heap_[child]);
    index = child;
  }
  place(index, operation);
}

}  // namespace blitzio::driver::readiness

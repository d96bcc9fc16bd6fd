// Atomics: which store a load may read, and what it then knows of.
//
// The rules are those of the C++ memory model in its operational form, with views (view.hpp):
//
// - An atomic has a history, its modification order. A store is added at its end.
// - A load reads any store that is not below the reader's floor. The floor rises with what the
//   thread has read and written, and with what it acquired: that is coherence.
// - A release store carries the view of its thread; one that is not carries the view of the last
//   release fence. A read-modify-write passes on the view of the store that it replaces: that is
//   the release sequence. An acquire load joins what it reads; another keeps it for an acquire
//   fence.
// - A read-modify-write reads the end of the history. A compare-exchange that fails is a load.
// - The single order of seq_cst operations is the order in which they are executed. Each atomic has
//   one more floor, below which seq_cst loads may not read: raised by seq_cst accesses to it, and
//   by a seq_cst fence to all that its thread knows of; the fence raises the thread's own floors in
//   return.
#include <model/explorer/execution.hpp>

#include <cstring>
#include <utility>

namespace blitzio::model {

namespace {

[[nodiscard]] std::string hex(std::uint64_t value) {
  if (value < 10'000) return std::to_string(value);
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (; value != 0; value >>= 4) text.insert(text.begin(), kDigits[value & 15]);
  return "0x" + text;
}

}  // namespace

std::memory_order Execution::effective(Access access, std::memory_order order, const Where& where) {
  if (sites_ != nullptr) [[unlikely]] {
    Weakening site{.file = where.file_name(),
                   .function = "",
                   .access = access,
                   .from = order,
                   .to = order,
                   .line = where.line()};
    bool is_known = false;
    for (const Weakening& known : *sites_) is_known = is_known || known.text() == site.text();
    if (!is_known) sites_->push_back(std::move(site));
  }
  for (const Weakening& weakening : weakenings_) {
    if (weakening.applies(where, access, order)) return weakening.to;
  }
  return order;
}

// Makes the step: afterwards it is this thread's turn, and the atomic is there.
Object& Execution::step_on(AtomicRef atomic, const char* doing, Conflict conflict,
                           std::memory_order order, Where where) {
  turn(doing, where);
  Object& object = use(atomic.address, ObjectKind::atomic, atomic.bytes);
  depend(object, conflict);
  // A seq_cst fence and a seq_cst access never commute.
  if (is_seq_cst(order)) depend(*fences_, Conflict::read);
  return object;
}

std::size_t Execution::oldest_readable(const Object& atomic, std::memory_order order) {
  const ThreadState& self = me();
  std::size_t oldest =
      std::max(self.current.floors.of(atomic.number), self.patience.of(atomic.number));
  if (is_seq_cst(order)) oldest = std::max<std::size_t>(oldest, seq_cst_.of(atomic.number));
  return std::min(oldest, atomic.stores - 1);
}

// The latest comes first. With `excluded`, older stores of that value are no choice.
std::size_t Execution::pick_readable(const Object& atomic, std::size_t oldest,
                                     const std::uint64_t* excluded) {
  const std::size_t latest = atomic.stores - 1;
  if (oldest == latest || stale_reads_ >= options_.stale_reads_max) return latest;
  std::size_t count = 1;
  for (std::size_t i = oldest; i < latest; ++i) {
    if (excluded == nullptr || atomic.history[i].value != *excluded) ++count;
  }
  std::size_t choice = choose(count);
  if (choice == 0) return latest;
  ++stale_reads_;
  for (std::size_t i = latest; i-- > oldest;) {
    if (excluded != nullptr && atomic.history[i].value == *excluded) continue;
    if (--choice == 0) return i;
  }
  return latest;
}

std::uint64_t Execution::take(Object& atomic, std::size_t index, std::memory_order order) {
  ThreadState& self = me();
  const Message& read = atomic.history[index];
  self.current.floors.raise(atomic.number, static_cast<std::uint32_t>(index));
  self.acquirable.join(read.view);
  if (is_acquire(order)) self.current.join(read.view);
  if (is_seq_cst(order)) seq_cst_.raise(atomic.number, static_cast<std::uint32_t>(index));
  self.reads.push_back({atomic.number, index});
  return read.value;
}

void Execution::append(Object& atomic, std::uint64_t value, std::memory_order order,
                       const Message* before) {
  ThreadState& self = me();
  const std::size_t index = atomic.stores++;
  if (index == atomic.history.size()) atomic.history.emplace_back();
  Message& stored = atomic.history[index];
  // The vector may have moved.
  if (before != nullptr) before = &atomic.history[index - 1];
  stored.value = value;
  stored.writer = running_;
  self.current.floors.raise(atomic.number, static_cast<std::uint32_t>(index));
  if (is_release(order)) {
    stored.view = self.current;
  } else {
    stored.view = self.released;
    stored.view.floors.raise(atomic.number, static_cast<std::uint32_t>(index));
  }
  if (before != nullptr) stored.view.join(before->view);
  if (is_seq_cst(order)) seq_cst_.raise(atomic.number, static_cast<std::uint32_t>(index));
  std::memcpy(const_cast<void*>(atomic.address), &value, atomic.bytes);
}

std::uint64_t Execution::load(AtomicRef atomic, std::memory_order order, Where where) {
  const arena::Closed closed;
  order = effective(Access::load, order, where);
  Object& object = step_on(atomic, "load", Conflict::read, order, where);
  const std::size_t index = pick_readable(object, oldest_readable(object, order), nullptr);
  const std::uint64_t value = take(object, index, order);
  log(short_name(where), "  #", std::to_string(object.number), " load ", name(order), " = ",
      hex(value), index + 1 == object.stores ? "" : "  (stale: the latest is ",
      index + 1 == object.stores ? "" : hex(object.history[object.stores - 1].value) + ")");
  tick();
  return value;
}

void Execution::store(AtomicRef atomic, std::uint64_t value, std::memory_order order, Where where) {
  const arena::Closed closed;
  order = effective(Access::store, order, where);
  Object& object = step_on(atomic, "store", Conflict::write, order, where);
  append(object, value, order, nullptr);
  log(short_name(where), "  #", std::to_string(object.number), " store ", name(order), " ",
      hex(value));
  tick();
}

std::uint64_t Execution::exchange_read(AtomicRef atomic, std::memory_order order, Where where) {
  const arena::Closed closed;
  order = effective(Access::exchange, order, where);
  exchanged_ = &step_on(atomic, "read-modify-write", Conflict::write, order, where);
  exchange_order_ = order;
  return take(*exchanged_, exchanged_->stores - 1, order);
}

void Execution::exchange_write(std::uint64_t value) {
  const arena::Closed closed;
  Object& object = *exchanged_;
  const std::uint64_t old = object.history[object.stores - 1].value;
  append(object, value, exchange_order_, &object.history[object.stores - 1]);
  me().reads.back().index = object.stores - 1;
  log(short_name(me().where), "  #", std::to_string(object.number), " change ",
      name(exchange_order_), " ", hex(old), " -> ", hex(value));
  tick();
}

bool Execution::compare_exchange(AtomicRef atomic, std::uint64_t& expected,
                                 const CompareExchange& how, Where where) {
  const arena::Closed closed;
  const std::memory_order success = effective(Access::exchange, how.success, where);
  const std::memory_order failure = effective(Access::failure, how.failure, where);
  Object& object = step_on(atomic, "compare-exchange", Conflict::write, success, where);
  const std::size_t index = pick_readable(object, oldest_readable(object, failure), &expected);
  const bool is_latest = index + 1 == object.stores;
  bool succeeds = is_latest && object.history[index].value == expected;
  if (succeeds && how.is_weak && spurious_failures_ < options_.spurious_failures_max &&
      choose(2) == 1) {
    ++spurious_failures_;
    succeeds = false;
  }
  if (succeeds) {
    take(object, index, success);
    append(object, how.desired, success, &object.history[index]);
    me().reads.back().index = object.stores - 1;
    log(short_name(where), "  #", std::to_string(object.number), " compare-exchange ",
        name(success), " ", hex(expected), " -> ", hex(how.desired));
  } else {
    const std::uint64_t found = take(object, index, failure);
    log(short_name(where), "  #", std::to_string(object.number), " compare-exchange ",
        name(failure), " fails: ", hex(found), " and not ", hex(expected),
        is_latest ? "" : "  (stale)");
    expected = found;
  }
  tick();
  return succeeds;
}

void Execution::fence(std::memory_order order, Where where) {
  const arena::Closed closed;
  turn("fence", where);
  ThreadState& self = me();
  if (is_acquire(order)) self.current.join(self.acquirable);
  if (is_seq_cst(order)) {
    depend(*fences_, Conflict::write);
    self.current.floors.join(seq_cst_);
    seq_cst_.join(self.current.floors);
  }
  if (is_release(order)) self.released = self.current;
  log(short_name(where), "  fence ", name(order));
  tick();
}

}  // namespace blitzio::model

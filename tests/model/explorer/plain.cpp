// Plain memory: the functions that the thread sanitizer's instrumentation calls, and the search for
// data races behind them.
#include <model/explorer/shadow.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace blitzio::model {

Execution::Shadow::Cell& Execution::Shadow::cell_of(std::uintptr_t granule) {
  std::size_t at = (granule * 0x9E3779B97F4A7C15U) >> 49;
  for (std::size_t tried = 0; tried < kCells; ++tried, at = (at + 1) % kCells) {
    Cell& cell = cells_[at];
    if (cell.epoch == epoch_ && cell.granule != granule) continue;
    if (cell.epoch != epoch_) {
      cell.granule = granule;
      cell.epoch = epoch_;
      cell.count = 0;
    }
    return cell;
  }
  std::fputs("model: the scenario touches too much memory\n", stderr);
  std::abort();
}

const Execution::Shadow::Record* Execution::Shadow::add(std::uintptr_t granule,
                                                        const Record& access, const Clock& clock) {
  Cell& cell = cell_of(granule);
  for (std::uint32_t i = 0; i < cell.count; ++i) {
    const Record& other = cell.records[i];
    if ((other.bytes & access.bytes) == 0) continue;
    if (!other.is_free) {
      if (other.thread == access.thread || (!other.is_write && !access.is_write)) continue;
      if (clock.covers(other.thread, other.time)) continue;
    }
    found_ = other;
    return &found_;
  }
  // An access stands for those before it: whoever comes after it comes after them.
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < cell.count; ++i) {
    Record& other = cell.records[i];
    const bool is_same = other.thread == access.thread && other.is_write == access.is_write;
    if (access.is_write || is_same) other.bytes &= static_cast<std::uint8_t>(~access.bytes);
    if (other.bytes != 0) cell.records[kept++] = other;
  }
  if (kept == kRecords) {
    std::memmove(&cell.records[0], &cell.records[1], (kRecords - 1) * sizeof(Record));
    --kept;
  }
  cell.records[kept++] = access;
  cell.count = kept;
  return nullptr;
}

void Execution::plain(const void* address, std::size_t bytes, bool is_write, const void* code) {
  if (Fiber::is_local(address)) return;
  auto at = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t end = at + bytes;
  ThreadState& self = me();
  Shadow::Record access{.time = self.current.clock[running_],
                        .bytes = 0,
                        .thread = static_cast<std::uint8_t>(running_),
                        .is_write = is_write,
                        .is_free = false,
                        .code = code};
  while (at < end) {
    const std::uintptr_t granule = at / 8;
    const std::uintptr_t stop = std::min<std::uintptr_t>(end, (granule + 1) * 8);
    access.bytes = static_cast<std::uint8_t>(((1U << (stop - at)) - 1) << (at % 8));
    if (const Shadow::Record* other = shadow_->add(granule, access, self.current.clock)) {
      report_race(address, bytes, is_write, code, other->thread, other->is_write, other->code,
                  other->is_free);
    }
    at = stop;
  }
}

// The end of memory is a write to all of it, and the last.
void Execution::freed(const void* address, std::size_t bytes) {
  plain(address, bytes, true, nullptr);
  const auto first = reinterpret_cast<std::uintptr_t>(address) / 8;
  const Shadow::Record end{.time = 0,
                           .bytes = 0xff,
                           .thread = static_cast<std::uint8_t>(running_),
                           .is_write = true,
                           .is_free = true,
                           .code = nullptr};
  for (std::size_t i = 0; i < (bytes + 7) / 8; ++i) {
    static_cast<void>(shadow_->add(first + i, end, me().current.clock));
  }
}

namespace {

// Function and line of an address in this program, if the system's tool for that is there.
std::string symbol(const void* code) {
  if (code == nullptr) return "the end of the memory";
  char command[128];
  std::snprintf(command, sizeof command, "addr2line -Cfsp -e /proc/%d/exe %p 2>/dev/null",
                static_cast<int>(::getpid()), code);
  std::string text;
  if (std::FILE* pipe = ::popen(command, "r")) {
    char line[512];
    if (std::fgets(line, sizeof line, pipe) != nullptr) text = line;
    ::pclose(pipe);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty() || text.starts_with('?')) {
    std::snprintf(command, sizeof command, "%p", code);
    text = command;
  }
  return text;
}

}  // namespace

void Execution::report_race(const void* address, std::size_t bytes, bool is_write, const void* code,
                            ThreadId other, bool other_writes, const void* other_code,
                            bool is_freed) {
  const arena::Closed closed;
  // Only who reads the trace wants to know the places.
  const std::string here = is_tracing_ ? " (" + symbol(code) + ")" : "";
  const std::string there = is_tracing_ && !is_freed ? " (" + symbol(other_code) + ")" : "";
  const std::string what = std::string(is_write ? "writes" : "reads") + " " +
                           std::to_string(bytes) + " bytes of plain memory" + here;
  static_cast<void>(address);
  if (is_freed) fail("use after free: T" + std::to_string(running_) + " " + what);
  fail("data race: T" + std::to_string(running_) + " " + what + ", and T" + std::to_string(other) +
       (other_writes ? "'s write" : "'s read") + there + " does not happen before");
}

}  // namespace blitzio::model

// ---- the instrumentation's functions -----------------------------------------------------------

namespace {

using blitzio::model::Execution;

inline void access(const void* address, std::size_t bytes, bool is_write, const void* code) {
  if (Execution* execution = Execution::active()) {
    const blitzio::model::arena::Closed closed;
    execution->plain(address, bytes, is_write, code);
  }
}

}  // namespace

#define BLITZIO_ACCESS(name, bytes, is_write)                      \
  extern "C" void __tsan_##name(void* address) {                   \
    access(address, bytes, is_write, __builtin_return_address(0)); \
  }
BLITZIO_ACCESS(read1, 1, false)
BLITZIO_ACCESS(read2, 2, false)
BLITZIO_ACCESS(read4, 4, false)
BLITZIO_ACCESS(read8, 8, false)
BLITZIO_ACCESS(read16, 16, false)
BLITZIO_ACCESS(write1, 1, true)
BLITZIO_ACCESS(write2, 2, true)
BLITZIO_ACCESS(write4, 4, true)
BLITZIO_ACCESS(write8, 8, true)
BLITZIO_ACCESS(write16, 16, true)
BLITZIO_ACCESS(unaligned_read2, 2, false)
BLITZIO_ACCESS(unaligned_read4, 4, false)
BLITZIO_ACCESS(unaligned_read8, 8, false)
BLITZIO_ACCESS(unaligned_read16, 16, false)
BLITZIO_ACCESS(unaligned_write2, 2, true)
BLITZIO_ACCESS(unaligned_write4, 4, true)
BLITZIO_ACCESS(unaligned_write8, 8, true)
BLITZIO_ACCESS(unaligned_write16, 16, true)
BLITZIO_ACCESS(vptr_read, sizeof(void*), false)
#undef BLITZIO_ACCESS

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void* /*caller*/) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void** address, void* /*value*/) {
  access(address, sizeof(void*), true, __builtin_return_address(0));
}
void __tsan_read_range(void* address, unsigned long bytes) {
  access(address, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
  access(address, bytes, true, __builtin_return_address(0));
}
void* __tsan_memcpy(void* to, const void* from, unsigned long bytes) {
  access(from, bytes, false, __builtin_return_address(0));
  access(to, bytes, true, __builtin_return_address(0));
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, unsigned long bytes) {
  access(from, bytes, false, __builtin_return_address(0));
  access(to, bytes, true, __builtin_return_address(0));
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, unsigned long bytes) {
  access(to, bytes, true, __builtin_return_address(0));
  return std::memset(to, value, bytes);
}
// Guards of function-local variables.
char __tsan_atomic8_load(const volatile char* address, int order) {
  return __atomic_load_n(address, order == 0 ? __ATOMIC_RELAXED : __ATOMIC_ACQUIRE);
}
// The counts of std::shared_ptr: a step like those of the core's own.
int __tsan_atomic32_fetch_add(volatile int* address, int by, int /*order*/) {
  auto* place = const_cast<int*>(address);
  Execution* execution = Execution::active();
  if (execution == nullptr) return __atomic_fetch_add(place, by, __ATOMIC_SEQ_CST);
  const auto old = static_cast<int>(execution->exchange_read(
      {place, sizeof(int)}, std::memory_order_acq_rel, blitzio::model::Where::current()));
  execution->exchange_write(static_cast<std::uint32_t>(old + by));
  return old;
}
}

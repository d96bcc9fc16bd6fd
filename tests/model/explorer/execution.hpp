// `Execution`: one run of a scenario under the explorer's control. Its threads are fibers; every
// operation on a shared object is a step, and before each step it is decided whose turn it is.
//
// The code under test calls the members below through the doorway (tests/model/doorway): `born` to
// `join`. Where they need a decision they ask the Path, so that a run can be repeated.
//
// After a failure nothing of the scenario runs any more: its threads are left where they are, and
// nothing is destroyed. Their memory goes with the arena.
#pragma once

#include <model/explorer/arena.hpp>
#include <model/explorer/explore.hpp>
#include <model/explorer/objects.hpp>
#include <model/explorer/path.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::model {

class Execution {
 public:
  Execution(const Options& options, Path& path);
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  ~Execution();

  /// The one whose scenario is running; null elsewhere, and inside of the explorer.
  [[nodiscard]] static Execution* active() noexcept { return arena::is_open ? instance_ : nullptr; }

  // ---- for the explorer --------------------------------------------------------------------

  /// Runs the scenario once, along the path and on from its end.
  void run(const std::function<void()>& scenario);
  [[nodiscard]] bool has_failed() const noexcept { return has_failed_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  void set_tracing(bool is_tracing) noexcept { is_tracing_ = is_tracing; }
  [[nodiscard]] const std::vector<std::string>& trace() const noexcept { return trace_; }
  void set_weakenings(std::vector<Weakening> weakenings) { weakenings_ = std::move(weakenings); }
  /// Collects the orders that are named, each as a Weakening with `to` left alone.
  void collect_sites(std::vector<Weakening>* sites) noexcept { sites_ = sites; }

  // ---- any object --------------------------------------------------------------------------

  void born(const void* address, ObjectKind kind, std::size_t bytes);
  void died(const void* address);
  /// Ends the execution: something is wrong.
  [[noreturn]] void fail(std::string message);

  // ---- atomics: memory.cpp -----------------------------------------------------------------

  struct AtomicRef {
    void* address;
    std::size_t bytes;
  };
  std::uint64_t load(AtomicRef atomic, std::memory_order order, Where where);
  void store(AtomicRef atomic, std::uint64_t value, std::memory_order order, Where where);
  /// Both halves of a read-modify-write; nothing happens between them.
  std::uint64_t exchange_read(AtomicRef atomic, std::memory_order order, Where where);
  void exchange_write(std::uint64_t value);
  struct CompareExchange {
    std::uint64_t desired;
    std::memory_order success;
    std::memory_order failure;
    bool is_weak;
  };
  bool compare_exchange(AtomicRef atomic, std::uint64_t& expected, const CompareExchange& how,
                        Where where);
  void fence(std::memory_order order, Where where);

  // ---- plain memory: plain.cpp -------------------------------------------------------------

  void plain(const void* address, std::size_t bytes, bool is_write, const void* code);
  void freed(const void* address, std::size_t bytes);

  // ---- what blocks: blocking.cpp -----------------------------------------------------------

  /// True unless it timed out, as wait_for().
  bool wait(AtomicRef atomic, std::uint64_t old, std::memory_order order, bool can_time_out,
            Where where);
  void notify(const void* atomic, bool everybody, Where where);
  void lock(const void* mutex, Where where);
  void unlock(const void* mutex, Where where);
  /// True unless it timed out, which happens only when no thread could go on otherwise.
  bool wait_for(const void* condition, const void* mutex, bool can_time_out, Where where);
  void notify_condition(const void* condition, bool everybody, Where where);
  void signal(const void* event, Where where);
  /// True unless it timed out, as wait_for().
  bool await(const void* event, bool can_time_out, Where where);
  /// The time, in nanoseconds: it stands still but for what is added.
  [[nodiscard]] std::int64_t now() const noexcept { return now_; }
  void pass(std::int64_t nanoseconds) noexcept { now_ += nanoseconds; }
  void yield(Where where);
  ThreadId spawn(std::function<void()> body, Where where);
  void join(ThreadId thread, Where where);
  [[nodiscard]] ThreadId running() const noexcept { return running_; }

 private:
  [[nodiscard]] ThreadState& me() noexcept { return *threads_[running_]; }
  ThreadState& start_thread(std::function<void()> body);
  static void thread_main();
  void finish_thread();
  void end();

  // Announces this thread's next step; returns when it is its turn.
  void turn(const char* doing, Where where, Step step = {});
  // Ends a step.
  void tick() noexcept { ++me().current.clock[running_]; }
  [[nodiscard]] bool can_go_on(const ThreadState& thread) const noexcept;
  [[nodiscard]] ThreadId pick();
  void switch_to(ThreadId next);
  [[noreturn]] void report_deadlock();
  [[nodiscard]] unsigned choose(std::size_t count);

  // The object at an address; made if the scenario has not said that it is there.
  Object& find(const void* address, ObjectKind kind, std::size_t bytes = 0);
  Object& use(const void* address, ObjectKind kind, std::size_t bytes = 0);
  // Records a step on `object` for the partial-order reduction. Steps that can never be exchanged
  // (an unlock and the lock that waits for it) are ordered, but no reason to try another order.
  enum class Conflict : std::uint8_t { read, write, ordered };
  void depend(Object& object, Conflict conflict);
  void notify_thread(ThreadId thread);

  // memory.cpp
  [[nodiscard]] std::memory_order effective(Access access, std::memory_order order,
                                            const Where& where);
  [[nodiscard]] std::size_t oldest_readable(const Object& atomic, std::memory_order order);
  std::uint64_t take(Object& atomic, std::size_t index, std::memory_order order);
  void append(Object& atomic, std::uint64_t value, std::memory_order order, const Message* before);
  Object& step_on(AtomicRef atomic, const char* doing, Conflict conflict, std::memory_order order,
                  Where where);
  struct Pending;  // of a read-modify-write
  [[nodiscard]] std::size_t pick_readable(const Object& atomic, std::size_t oldest,
                                          const std::uint64_t* excluded);

  // plain.cpp
  class Shadow;
  [[noreturn]] void report_race(const void* address, std::size_t bytes, bool is_write,
                                const void* code, ThreadId other, bool other_writes,
                                const void* other_code, bool is_freed);

  template <class... Parts>
  void log(const Parts&... parts) {
    if (is_tracing_) [[unlikely]] {
      add_line((std::string() + ... + parts));
    }
  }
  void add_line(const std::string& text);

  static Execution* instance_;

  const Options& options_;
  Path& path_;
  Fiber main_;
  std::array<std::unique_ptr<ThreadState>, kThreadsMax> threads_;
  unsigned thread_count_ = 0;
  ThreadId running_ = 0;
  unsigned steps_ = 0;
  std::int64_t now_ = 0;
  unsigned stale_reads_ = 0;
  unsigned spurious_failures_ = 0;

  std::deque<Object> objects_;  ///< the first object_count_ of them
  std::size_t object_count_ = 0;
  std::map<const void*, Object*> by_address_;
  Object* fences_ = nullptr;
  Floors seq_cst_;  ///< what the single order of seq_cst operations forbids to read
  std::unique_ptr<Shadow> shadow_;

  Object* exchanged_ = nullptr;  ///< between exchange_read() and exchange_write()
  std::memory_order exchange_order_ = std::memory_order_seq_cst;

  std::vector<Weakening> weakenings_;
  std::vector<Weakening>* sites_ = nullptr;
  bool has_failed_ = false;
  bool is_tracing_ = false;
  std::string message_;
  std::vector<std::string> trace_;
};

}  // namespace blitzio::model

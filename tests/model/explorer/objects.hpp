// What the threads of a scenario share, as the explorer sees it: atomics with the history of their
// stores, locks, conditions, events; and the threads themselves.
#pragma once

#include <model/explorer/fiber.hpp>
#include <model/explorer/orders.hpp>
#include <model/explorer/view.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace blitzio::model {

/// Steps of the threads that cannot be exchanged with a later one: the order of the partial-order
/// reduction. Not to be mistaken for "happens before": a relaxed load is ordered after the store.
using Steps = Clock;

/// Who touched an object, for the partial-order reduction.
struct Dependence {
  std::array<std::uint32_t, kThreadsMax> last_write{};  ///< step, from 1; 0: none
  std::array<std::uint32_t, kThreadsMax> last_read{};
  Steps writes;
  Steps reads;
};

/// A store.
struct Message {
  std::uint64_t value = 0;
  View view;  ///< what an acquiring reader knows of afterwards
  ThreadId writer = 0;
};

enum class ObjectKind : std::uint8_t { atomic, mutex, condition, event, fences };

struct Object {
  /// As new, with the memory of its containers kept.
  void reset(ObjectKind new_kind, const void* new_address, std::size_t new_number) noexcept {
    kind = new_kind;
    is_alive = true;
    is_foreign = false;
    address = new_address;
    number = new_number;
    dependence = {};
    touched = {};
    creator = 0;
    born = 0;
    stores = 0;
    holder = kNobody;
    signals = 0;
    view.clear();
    waiting.clear();
  }

  // ---- of every kind -----------------------------------------------------------------------
  ObjectKind kind = ObjectKind::atomic;
  bool is_alive = false;
  const void* address = nullptr;
  std::size_t number = 0;
  Dependence dependence;
  Clock touched;                                ///< when each thread used it last
  std::array<Where, kThreadsMax> touched_at{};  ///< and where
  ThreadId creator = 0;
  std::uint32_t born = 0;

  // ---- an atomic ---------------------------------------------------------------------------
  std::vector<Message> history;  ///< in modification order; the first `stores` of them
  std::size_t stores = 0;
  std::size_t bytes = 0;
  bool is_foreign = false;  ///< not made by the scenario: its first value is put back

  // ---- a mutex, an event -------------------------------------------------------------------
  static constexpr ThreadId kNobody = kThreadsMax;
  ThreadId holder = kNobody;
  unsigned signals = 0;
  View view;  ///< what the last unlock published

  // ---- a condition, an atomic that is waited for --------------------------------------------
  std::vector<ThreadId> waiting;  ///< in the order of arrival
};

/// What a thread needs before it can make its next step.
enum class Need : std::uint8_t {
  nothing,
  mutex,     ///< that its mutex is free
  wake,      ///< a notification
  event,     ///< a signal
  join,      ///< the end of a thread
  news,      ///< that something it read since it yielded last was overwritten
  finished,  ///< never
};

/// What a thread says of its next step before it is its turn.
struct Step {
  Need need = Need::nothing;
  Object* object = nullptr;  ///< of the need
  ThreadId joined = 0;       ///< of Need::join
  bool can_time_out = false;
};

struct ThreadState {
  struct Read {
    std::size_t object;
    std::size_t index;
  };

  ThreadId id = 0;
  Fiber fiber;
  std::function<void()> body;

  // ---- the memory model --------------------------------------------------------------------
  View current;     ///< what it knows of
  View acquirable;  ///< what an acquire fence would add
  View released;    ///< what it knew at its last release fence

  // ---- scheduling --------------------------------------------------------------------------
  Steps steps;
  Need need = Need::finished;
  Object* object = nullptr;   ///< of the need
  ThreadId joined = 0;        ///< of Need::join
  bool is_notified = false;   ///< of Need::wake
  bool can_time_out = false;  ///< when nothing else can go on
  bool has_timed_out = false;
  const char* doing = "";   ///< for messages
  Where where;              ///< of the next step
  std::vector<Read> reads;  ///< since it yielded last
  Floors patience;          ///< what it has read in vain: a repeated read gives something newer
};

}  // namespace blitzio::model

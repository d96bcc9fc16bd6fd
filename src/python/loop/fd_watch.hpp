// `FdWatch`: what add_reader() and add_writer() want to know about one fd.
//
// asyncio's watches are level-triggered: while the fd stays ready the callback runs once per turn.
// Each side is a one-shot poll that is armed again at the start of the next turn, that is, after
// its callback had its chance to drain the fd:
//
//           add                completion: handle to loop.arrived
//   absent ─────▶ armed ─────────────────────────────────────────▶ fired (on loop.rearm_list)
//      ▲            ▲                                                │
//      │ remove     └────────── fd_watch_rearm(), next turn ─────────┘
//      └─ (any state; an operation in flight is cancelled and its completion ignored)
//
// The polls run on the unattached fd, so a user may close it at any time; the watch then sleeps.
// Removing the last side takes the watch out of loop.watches at once, so a new watch of a reused fd
// number starts afresh; the old object frees itself at its last completion.
//
// Threads: the loop's, or the only user's while nobody runs the loop. With the interpreter lock any
// other may watch and stop watching, too, as on asyncio's loop: that changes the handles at once,
// and puts the watch on loop.rearm_list, for the driver is the loop's alone. Until the next turn a
// poll may so be one too many (`must_cancel`), and an unused watch still have its place in
// loop.watches.
#pragma once

#include <python/loop/loop_use.hpp>

namespace blitzio::python {

class FdWatch : public ListNode<> {
 public:
  enum class Side : std::uint8_t { reader, writer };

  FdWatch(LoopObject& loop, int fd) noexcept;
  ~FdWatch() = default;

  /// Takes over `handle`, cancelling the one that was there, and arms the side.
  void set(Side side, HandleObject* handle) noexcept;
  /// Gives up the side's handle, null if there is none, and ends its poll. The caller cancels and
  /// drops it when all else is done.
  [[nodiscard]] HandleObject* take(Side side) noexcept;
  /// Submits the sides that have a handle and no poll in flight, and cancels what another thread
  /// left to be cancelled.
  void arm() noexcept;
  /// Whether the side's poll is in flight. By who may use the driver.
  [[nodiscard]] bool is_polling(Side side) const noexcept {
    return !(side == Side::reader ? reader_ : writer_).is_idle();
  }
  /// No side has a handle: the watch serves nobody.
  [[nodiscard]] bool is_unused() const noexcept;

  /// The object whose fileno() this is, if the user gave one: after it is closed, that is the only
  /// way to name the watch. Strong, may be null.
  [[nodiscard]] PyObject* file_object() const noexcept { return file_object_.get(); }
  /// Returns what was there before.
  [[nodiscard]] PyRef exchange_file_object(PyObject* object) noexcept {
    return std::exchange(file_object_, PyRef::borrow(object));
  }
  /// Its readiness may be noticed late while the loop is busy (Operation::set_background()).
  /// Of no effect once it is watched.
  void set_background() noexcept {
    if (reader_.is_idle()) reader_.set_background();
  }

  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// Ends an unused watch that nothing else owns: frees it now, or at its last completion. By who
  /// may use the driver.
  static void retire(std::unique_ptr<FdWatch> watch) noexcept;

  int traverse(visitproc visit, void* arg) noexcept;

 private:
  struct SidePoll : driver::Operation {
    SidePoll(FdWatch& owner, std::uint32_t wanted) noexcept
        : driver::Operation(on_poll), watch(owner), events(wanted) {}
    FdWatch& watch;
    std::uint32_t events;
    HandleObject* handle = nullptr;  // strong, or null
    bool is_standing = false;        // fired for `handle` before: the file is the same
    bool is_stale = false;           // cancelled: what it still reports is not for `handle`
    bool must_cancel = false;        // if in flight: another thread made it so
  };

  static void on_poll(driver::Operation& operation, const driver::Completion& completion) noexcept;
  void cancel(SidePoll& side) noexcept;
  [[nodiscard]] bool leave_to_the_loop() noexcept;
  void fired(SidePoll& side) noexcept;
  void failed(SidePoll& side, int error) noexcept;
  SidePoll& poll(Side side) noexcept { return side == Side::reader ? reader_ : writer_; }

  LoopObject& loop_;  // its driver completes every poll before it goes
  int fd_;
  bool is_retired_ = false;
  PyRef file_object_;
  SidePoll reader_;
  SidePoll writer_;
};

/// Arms again what fired in the last turn, and does what other threads left to be done. By the
/// loop, before each executor turn.
void fd_watch_rearm(LoopObject& loop) noexcept;
/// Drops the watch of `fd`, if there is one: who owns the fd from now on reads and writes it alone.
void fd_watch_drop(LoopObject& loop, int fd) noexcept;
/// Drops every watch and its handles; the polls are cancelled. For close() and the collector.
void fd_watch_clear_all(LoopObject& loop) noexcept;
[[nodiscard]] int fd_watch_traverse(LoopObject& loop, visitproc visit, void* arg) noexcept;

/// The descriptor that `fd`, an int or an object with fileno(), stands for; may be negative.
/// Returns  false with ValueError ("Invalid file object: …") or OverflowError set.
[[nodiscard]] bool fd_from_object(PyObject* fd, int* number) noexcept;
/// Raises RuntimeError and returns -1 if an open transport uses `number`; `fd` is what to call it
/// (null: the number).
[[nodiscard]] int fd_check_no_transport(LoopObject& loop, int number, PyObject* fd) noexcept;

PyObject* loop_add_reader(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) noexcept;
PyObject* loop_add_background_reader(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                     PyObject* kwnames) noexcept;
PyObject* loop_add_writer(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) noexcept;
PyObject* loop_remove_reader(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept;
PyObject* loop_remove_writer(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept;

// Rows for the method table in loop.cpp.
#define BLITZIO_FD_WATCH_METHODS                                                               \
  {"add_reader", fast(loop_method<loop_add_reader>), METH_FASTCALL | METH_KEYWORDS,            \
   PyDoc_STR("add_reader($self, fd, callback, *args)\n--\n\n"                                  \
             "Call callback(*args) in each turn in which fd is readable, until "               \
             "remove_reader().")},                                                             \
      {"_add_background_reader", fast(loop_method<loop_add_background_reader>),                \
       METH_FASTCALL | METH_KEYWORDS,                                                          \
       PyDoc_STR("_add_background_reader($self, fd, callback, *args)\n--\n\n"                  \
                 "add_reader() of a new fd that a busy loop need not look at in each turn.")}, \
      {"add_writer", fast(loop_method<loop_add_writer>), METH_FASTCALL | METH_KEYWORDS,        \
       PyDoc_STR("add_writer($self, fd, callback, *args)\n--\n\n"                              \
                 "Call callback(*args) in each turn in which fd is writable, until "           \
                 "remove_writer().")},                                                         \
      {"remove_reader", fast(loop_method<loop_remove_reader>), METH_FASTCALL | METH_KEYWORDS,  \
       PyDoc_STR("remove_reader($self, fd)\n--\n\n"                                            \
                 "End what add_reader() began. Returns whether there was anything to end.")},  \
  {                                                                                            \
    "remove_writer", fast(loop_method<loop_remove_writer>), METH_FASTCALL | METH_KEYWORDS,     \
        PyDoc_STR(                                                                             \
            "remove_writer($self, fd)\n--\n\n"                                                 \
            "End what add_writer() began. Returns whether there was anything to end.")         \
  }

}  // namespace blitzio::python

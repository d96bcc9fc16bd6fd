#include <python/loop/fd_watch.hpp>
#include <python/loop/socket_transport.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <climits>
#include <new>
#include <span>

namespace blitzio::python {

namespace {

LoopObject& as_loop(PyObject* self) noexcept {
  return *reinterpret_cast<LoopObject*>(self);
}
PyObject* as_object(HandleObject* handle) noexcept {
  return reinterpret_cast<PyObject*>(handle);
}

/// Cancels a handle that a watch had, or null. The last step of whoever took it: that may run any
/// code, and let other threads in.
void drop(HandleObject* handle) noexcept {
  if (handle == nullptr) return;
  handle_cancel(*handle);
  Py_DECREF(as_object(handle));
}

}  // namespace

FdWatch::FdWatch(LoopObject& loop, int fd) noexcept
    : loop_(loop), fd_(fd), reader_(*this, POLLIN), writer_(*this, POLLOUT) {}

void FdWatch::set(Side side, HandleObject* handle) noexcept {
  SidePoll& target = poll(side);
  HandleObject* old = std::exchange(target.handle, handle);
  target.is_standing = false;
  if (old != nullptr) {
    // A poll in flight may belong to a file that was closed while the number was reused: start it
    // anew. Its completion arms the side again.
    cancel(target);
    if (!is_linked()) arm();  // It had nothing in flight: its file was closed.
    drop(old);
  } else if (!leave_to_the_loop()) {
    arm();
  }
}

HandleObject* FdWatch::take(Side side) noexcept {
  SidePoll& target = poll(side);
  cancel(target);  // Also where another thread has taken it, and left that to be done.
  target.is_standing = false;
  return std::exchange(target.handle, nullptr);
}

/// Returns whether another thread runs the loop: then arm() is called in that one.
bool FdWatch::leave_to_the_loop() noexcept {
  if (BLITZIO_LIKELY(loop_may_use_driver(loop_))) return false;
  if (!is_linked()) loop_.rearm_list.push_back(*this);
  loop_driver(loop_).wake();
  return true;
}

void FdWatch::cancel(SidePoll& side) noexcept {
  // Not even whether it is idle may be asked while the driver waits, without the interpreter lock.
  side.must_cancel = leave_to_the_loop();
  if (side.must_cancel || side.is_idle() || std::exchange(side.is_stale, true)) return;
  loop_driver(loop_).cancel(side);
}

void FdWatch::arm() noexcept {
  for (SidePoll* side : {&reader_, &writer_}) {
    if (side->must_cancel) cancel(*side);
    if (side->handle == nullptr || !side->is_idle()) continue;
    if (side->is_standing) {
      side->poll_again(fd_, side->events);
    } else {
      side->poll(fd_, side->events);
    }
    loop_driver(loop_).submit(*side);
  }
}

bool FdWatch::is_unused() const noexcept {
  return reader_.handle == nullptr && writer_.handle == nullptr;
}

void FdWatch::retire(std::unique_ptr<FdWatch> watch) noexcept {
  BLITZIO_CHECK(watch->is_unused());
  if (watch->is_linked()) watch->unlink();
  watch->is_retired_ = true;
  if (watch->reader_.is_idle() && watch->writer_.is_idle()) return;
  static_cast<void>(watch.release());  // Its last completion frees it.
}

int FdWatch::traverse(visitproc visit, void* arg) noexcept {
  for (HandleObject* handle : {reader_.handle, writer_.handle}) {
    if (handle == nullptr) continue;
    if (const int stop = handle_visit_held(*handle, 1, visit, arg)) return stop;
  }
  Py_VISIT(file_object_.get());
  return 0;
}

void FdWatch::on_poll(driver::Operation& operation, const driver::Completion& completion) noexcept {
  SidePoll& side = static_cast<SidePoll&>(operation);
  FdWatch& watch = side.watch;
  if (watch.is_retired_) {
    if (watch.reader_.is_idle() && watch.writer_.is_idle()) delete &watch;
    return;
  }
  const bool is_stale =
      std::exchange(side.is_stale, false) | std::exchange(side.must_cancel, false);
  if (side.handle == nullptr) return;  // Cleared; the other side keeps the watch.
  if (is_stale || completion.result == -EINTR) {
    if (!watch.is_linked()) watch.loop_.rearm_list.push_back(watch);
  } else if (completion.result >= 0) {
    // A poll in flight keeps a closed file alive and may still report its end.
    constexpr std::int32_t kEnded = POLLERR | POLLHUP | POLLNVAL;
    const bool is_closed =
        (completion.result & kEnded) != 0 && ::fcntl(watch.fd_, F_GETFD) < 0 && errno == EBADF;
    if (!is_closed) watch.fired(side);
  } else if (completion.result != -ECANCELED && completion.result != -EBADF) {
    watch.failed(side, -completion.result);
  }
  // ECANCELED: the driver shuts down. EBADF: the file was closed under the watch. As with the
  // kernel's own epoll that is not reported; the watch sleeps until it is removed or replaced.
}

void FdWatch::fired(SidePoll& side) noexcept {
  side.is_standing = true;
  if (!is_linked()) loop_.rearm_list.push_back(*this);
  Py_INCREF(as_object(side.handle));
  if (BLITZIO_LIKELY(loop_.arrived.push(side.handle))) return;
  Py_DECREF(as_object(side.handle));
  PyErr_NoMemory();
  loop_report_exception(loop_, "A file descriptor's callback could not be scheduled");
}

void FdWatch::failed(SidePoll& side, int error) noexcept {
  LoopObject& loop = loop_;
  HandleObject* old = take(&side == &reader_ ? Side::reader : Side::writer);
  if (is_unused()) fd_watch_drop(loop, fd_);
  drop(old);
  const PyRef exception = make_os_error(error);
  if (exception) PyErr_SetObject(PyExceptionInstance_Class(exception.get()), exception.get());
  loop_report_exception(loop, "Watching a file descriptor failed");
}

void fd_watch_rearm(LoopObject& loop) noexcept {
  while (FdWatch* watch = loop.rearm_list.pop_front()) {
    if (watch->is_unused()) {
      fd_watch_drop(loop, watch->fd());
    } else {
      watch->arm();
    }
  }
}

void fd_watch_drop(LoopObject& loop, int fd) noexcept {
  const auto found = loop.watches.find(fd);
  if (found == loop.watches.end()) return;
  std::unique_ptr<FdWatch> watch = std::move(found->second);
  loop.watches.erase(found);
  HandleObject* reader = watch->take(FdWatch::Side::reader);
  HandleObject* writer = watch->take(FdWatch::Side::writer);
  FdWatch::retire(std::move(watch));
  drop(reader);
  drop(writer);
}

void fd_watch_clear_all(LoopObject& loop) noexcept {
  // Until none is left: what is dropped may watch others.
  while (!loop.watches.empty()) fd_watch_drop(loop, loop.watches.begin()->first);
}

int fd_watch_traverse(LoopObject& loop, visitproc visit, void* arg) noexcept {
  for (const auto& [fd, watch] : loop.watches) {
    if (const int outcome = watch->traverse(visit, arg); outcome != 0) return outcome;
  }
  return 0;
}

// ---- arguments ----------------------------------------------------------------------------------

bool fd_from_object(PyObject* fd, int* number) noexcept {
  PyRef value;
  if (!PyLong_Check(fd)) {
    PyRef fileno = PyRef::steal(PyObject_CallMethod(fd, "fileno", nullptr));
    if (fileno) value = PyRef::steal(PyNumber_Long(fileno.get()));
    if (!value) {
      if (PyErr_ExceptionMatches(PyExc_AttributeError) != 0 ||
          PyErr_ExceptionMatches(PyExc_TypeError) != 0 ||
          PyErr_ExceptionMatches(PyExc_ValueError) != 0) {
        PyErr_Clear();  // Said in asyncio's words instead.
        PyErr_Format(PyExc_ValueError, "Invalid file object: %R", fd);
      }
      return false;
    }
    fd = value.get();
  }
  const long wide = PyLong_AsLong(fd);
  if (wide == -1 && PyErr_Occurred() != nullptr) return false;
  if (wide > INT_MAX || wide < INT_MIN) {
    PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int");
    return false;
  }
  *number = static_cast<int>(wide);
  return true;
}

int fd_check_no_transport(LoopObject& loop, int number, PyObject* fd) noexcept {
  const auto found = loop.transports.find(number);
  if (BLITZIO_LIKELY(found == loop.transports.end())) return 0;
  const PyRef transport = PyRef::borrow(as_object(*found->second));
  const PyRef closing =
      PyRef::steal(PyObject_CallMethodNoArgs(transport.get(), loop.state->names.is_closing));
  const int is_closing = closing ? PyObject_IsTrue(closing.get()) : -1;
  if (is_closing != 0) return is_closing < 0 ? -1 : 0;
  const PyRef shown = fd != nullptr ? PyRef::borrow(fd) : PyRef::steal(PyLong_FromLong(number));
  if (shown) {
    PyErr_Format(PyExc_RuntimeError, "File descriptor %R is used by transport %R", shown.get(),
                 transport.get());
  }
  return -1;
}

namespace {

/// Whether this thread may change what is watched: 0, or -1 with an error set. Not for closed
/// loops.
int check_watcher([[maybe_unused]] const LoopObject& loop) noexcept {
#if BLITZIO_FREE_THREADED
  return loop_check_owner(loop);
#else
  return 0;  // Any may: the loop's thread does the rest in its next turn.
#endif
}

/// What epoll_ctl would refuse at once: closed fds and files that are always ready.
bool check_watchable(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) == 0) {
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return true;
    errno = EPERM;
  }
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

bool raise_negative(int number) noexcept {
  PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %d", number);
  return false;
}

PyObject* add(PyObject* self, const char* method, FdWatch::Side side, Arguments& arguments,
              bool background = false) noexcept {
  static constexpr std::array kParameters{"fd", "callback"};
  LoopObject& loop = as_loop(self);
  if (!arguments.bind(method, kParameters)) return nullptr;
  int fd = -1;
  if (!fd_from_object(arguments[0], &fd)) return nullptr;
  if (fd_check_no_transport(loop, fd, arguments[0]) != 0) return nullptr;
  if (loop_check_closed(loop) != 0 || check_watcher(loop) != 0) return nullptr;
  if (fd < 0) {
    raise_negative(fd);
    return nullptr;
  }
  if (!check_watchable(fd)) return nullptr;
  const std::span<PyObject* const> rest = arguments.from(2);
  const PyRef context = PyRef::steal(PyContext_CopyCurrent());
  if (!context) return nullptr;
  HandleObject* handle = handle_new(loop, arguments[1], rest.data(),
                                    static_cast<Py_ssize_t>(rest.size()), context.get());
  if (handle == nullptr) return nullptr;
  // Once more: where a handle was made debug mode finds out with Python's own code.
  if (loop_check_closed(loop) != 0 || check_watcher(loop) != 0) {
    Py_DECREF(as_object(handle));
    return nullptr;
  }
  handle->repeats = true;
  std::unique_ptr<FdWatch>& watch = loop.watches[fd];
  if (watch == nullptr) watch.reset(new (std::nothrow) FdWatch(loop, fd));
  if (watch == nullptr) {
    loop.watches.erase(fd);
    Py_DECREF(as_object(handle));
    return PyErr_NoMemory();
  }
  if (background) watch->set_background();
  // Dropped when all is done: that may run any code, even code that removes this watch.
  PyRef old_file;
  if (!PyLong_Check(arguments[0])) old_file = watch->exchange_file_object(arguments[0]);
  watch->set(side, handle);
  Py_RETURN_NONE;
}

using WatchMap = std::unordered_map<int, std::unique_ptr<FdWatch>>;

/// The watch that `file` names, or end(). Returns false with an error set.
bool find_watch(LoopObject& loop, PyObject* file, int number, WatchMap::iterator* found) noexcept {
  *found = number >= 0 ? loop.watches.find(number) : loop.watches.end();
  if (number >= 0) return true;
  // A closed file object has no fd any more, but its watch may still be there.
  for (auto each = loop.watches.begin(); each != loop.watches.end(); ++each) {
    if (each->second->file_object() != file) continue;
    *found = each;
    return true;
  }
  return raise_negative(number);
}

PyObject* remove(PyObject* self, const char* method, FdWatch::Side side,
                 Arguments& arguments) noexcept {
  static constexpr std::array kParameters{"fd"};
  LoopObject& loop = as_loop(self);
  if (!arguments.bind(method, kParameters)) return nullptr;
  if (!arguments.from(1).empty()) {
    return PyErr_Format(PyExc_TypeError, "%s() takes exactly one argument (%zu given)", method,
                        arguments.from(0).size());
  }
  int fd = -1;
  if (!fd_from_object(arguments[0], &fd)) return nullptr;
  if (fd_check_no_transport(loop, fd, arguments[0]) != 0) return nullptr;
  if (loop.closed || loop.executor == nullptr) Py_RETURN_FALSE;
  if (check_watcher(loop) != 0) return nullptr;
  WatchMap::iterator found;
  if (!find_watch(loop, arguments[0], fd, &found)) return nullptr;
  if (found == loop.watches.end()) Py_RETURN_FALSE;
  FdWatch& watch = *found->second;
  // Where another thread runs the loop, that one does the driver's part, and drops the unused
  // watch.
  const bool may_use_driver = loop_may_use_driver(loop);
  const bool was_polling = may_use_driver && watch.is_polling(side);
  HandleObject* old = watch.take(side);
  const bool removed = old != nullptr;
  if (watch.is_unused() && may_use_driver) fd_watch_drop(loop, found->first);
  // The caller may close the file and block until the other end has seen that.
  if (was_polling) loop_driver(loop).hand_over();
  drop(old);
  return PyBool_FromLong(removed ? 1 : 0);
}

}  // namespace

PyObject* loop_add_reader(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return add(self, "add_reader", FdWatch::Side::reader, arguments);
}

PyObject* loop_add_background_reader(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                     PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return add(self, "_add_background_reader", FdWatch::Side::reader, arguments, true);
}

PyObject* loop_add_writer(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return add(self, "add_writer", FdWatch::Side::writer, arguments);
}

PyObject* loop_remove_reader(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return remove(self, "remove_reader", FdWatch::Side::reader, arguments);
}

PyObject* loop_remove_writer(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept {
  Arguments arguments(args, nargs, kwnames);
  return remove(self, "remove_writer", FdWatch::Side::writer, arguments);
}

}  // namespace blitzio::python

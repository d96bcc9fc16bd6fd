#include <blitzio/fs/watch.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/bindings/fs_path.hpp>
#include <python/bindings/fs_watch.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking_form.hpp>
#include <python/bridge/io_context.hpp>
#include <python/support/ft.hpp>

#include <array>

namespace blitzio::python {

namespace {

struct PyWatcher {
  PyWatcher(fs::Watcher watcher_in, bool is_bytes_in) noexcept
      : watcher(std::move(watcher_in)), is_bytes(is_bytes_in) {}

  fs::Watcher watcher;
  bool is_bytes;
  bool is_closed = false;
};

PyWatcher& watcher_of(PyObject* self) noexcept {
  return Box<PyWatcher>::of(self).value;
}

/// (kind, path, from, is_directory), or null with an error set.
PyObject* to_row(const fs::WatchEvent& event, bool is_bytes) noexcept {
  static constexpr std::array kKinds{"created",  "modified",     "removed", "renamed",
                                     "metadata", "root_removed", "overflow"};
  const PyRef path = PyRef::steal(make_path(event.path, is_bytes));
  const PyRef from =
      event.from.empty() ? PyRef::borrow(Py_None) : PyRef::steal(make_path(event.from, is_bytes));
  if (!path || !from) return nullptr;
  return Py_BuildValue("(sOOO)", kKinds[static_cast<std::size_t>(event.kind)], path.get(),
                       from.get(), event.is_directory ? Py_True : Py_False);
}

/// An event; None at the end.
PyObject* to_result(fs::Watcher::Item item, bool is_bytes) noexcept {
  if (!item) {
    if (item.error().is(RuntimeErrc::closed)) Py_RETURN_NONE;
    return raise_error(item.error(), "watch");
  }
  if (!*item) Py_RETURN_NONE;
  return to_row(**item, is_bytes);
}

/// The next event, with the object's lock held.
class NextEvent {
 public:
  using Output = PyObject*;
  explicit NextEvent(PyObject* self) noexcept
      : self_(self), next_(state_of_box(self), watcher_of(self).watcher.next()) {}
  Poll<PyObject*> poll(Context& context) {
    const ObjectLock lock(self_);
    auto answer = next_.poll(context);
    if (answer.is_pending()) return pending;
    return to_result(std::move(answer).take(), watcher_of(self_).is_bytes);
  }

 private:
  PyObject* self_;
  OnLoop<fs::Watcher::Next> next_;
};

PyObject* watcher_next(PyObject* self, PyObject* /*unused*/) {
  return awaitable_new(state_of_box(self), "next", self, NextEvent(self), AsIs());
}

PyObject* watcher_try_next(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  auto item = watcher_of(self).watcher.try_next();
  if (!item) Py_RETURN_NONE;
  return to_result(std::move(*item), watcher_of(self).is_bytes);
}

PyObject* watcher_close(PyObject* self, PyObject* /*unused*/) {
  // As next(): nobody closes it between the look at its number and the call.
  const ObjectLock lock(self);
  PyWatcher& own = watcher_of(self);
  if (!std::exchange(own.is_closed, true)) {
    const IoContext io(state_of_box(self));
    PyErr_Clear();  // Without a running loop it is closed by the one that waited on it.
    own.watcher.close();
  }
  Py_RETURN_NONE;
}

PyObject* watcher_is_closed(PyObject* self, void* /*unused*/) {
  const ObjectLock lock(self);
  return PyBool_FromLong(watcher_of(self).is_closed ? 1 : 0);
}

PyObject* watcher_fileno(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  return PyLong_FromLong(watcher_of(self).watcher.fd());
}

PyMethodDef methods[] = {
    {"fileno", watcher_fileno, METH_NOARGS,
     PyDoc_STR("fileno($self)\n--\n\nThe descriptor; -1 once closed.")},
    {"next", watcher_next, METH_NOARGS,
     PyDoc_STR("next($self)\n--\n\n(kind, path, from, is_directory), or None at the end.")},
    {"try_next", watcher_try_next, METH_NOARGS,
     PyDoc_STR("try_next($self)\n--\n\nnext() now; None if there is none.")},
    {"close", watcher_close, METH_NOARGS, PyDoc_STR("close($self)\n--\n\nEnd it.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"is_closed", watcher_is_closed, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

/// watch(paths, recursive): a future of a Watcher.
PyObject* watch(PyObject* module, PyObject* const* args, Py_ssize_t nargs) {
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  if (nargs != 2) {
    return PyErr_Format(PyExc_TypeError, "watch expected 2 arguments, got %zd", nargs);
  }
  const PyRef rows = PyRef::steal(PySequence_Tuple(args[0]));
  const int recursive = rows ? PyObject_IsTrue(args[1]) : -1;
  if (recursive < 0) return nullptr;
  std::vector<std::string> paths;
  PyRef first;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows.get()); ++i) {
    PathArgument path;
    if (!path.parse(PyTuple_GET_ITEM(rows.get(), i))) return nullptr;
    paths.push_back(std::move(path.bytes));
    if (!first) first = std::move(path.object);
  }
  if (!first) {
    PyErr_SetString(PyExc_ValueError, "there is nothing to watch");
    return nullptr;
  }
  return awaitable_new(state, "watch", nullptr,
                       fs::watch(std::move(paths), {.recursive = recursive != 0}),
                       [&state, first = std::move(first)](Result<fs::Watcher> made) -> PyObject* {
                         if (!made) return raise_path_error(made.error(), "watch", first.get());
                         return Box<PyWatcher>::make(state, state.watcher_type, std::move(*made),
                                                     PyBytes_Check(first.get()) != 0);
                       });
}

PyMethodDef functions[] = {
    {"watch", fast(watch), METH_FASTCALL,
     PyDoc_STR("watch(paths, recursive, /)\n--\n\nSee blitzio.fs.")},
    blocking_form<watch, "blocking_watch", 2>(
        PyDoc_STR("blocking_watch(paths, recursive, /, *, timeout=None)\n--\n\nSee blitzio.fs.")),
};

}  // namespace

std::span<PyMethodDef> fs_watch_functions() noexcept {
  return functions;
}

int fs_watch_register(PyObject* module, ModuleState& state) noexcept {
  state.watcher_type = box_register<PyWatcher>(module, {.name = "blitzio.fs.NativeWatcher",
                                                        .doc = "Events of files.",
                                                        .methods = methods,
                                                        .attributes = attributes,
                                                        .home = state.fs_module});
  return state.watcher_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

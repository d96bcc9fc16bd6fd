// `blitzio._native.ChildProcess`, and `_spawn_child`, which starts one. Everything that happens
// once per process is in Python (blitzio/_process), so pybind11 reads the arguments.
#include <python/bindings/process.hpp>

#include <blitzio/process/command.hpp>
#include <python/bindings/box.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/support/error.hpp>
#include <python/support/thread_state.hpp>

#include <fcntl.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace blitzio::python {

namespace {

using ChildBox = Box<process::Child>;

// ---- the child ---------------------------------------------------------------------------------

/// As a number, in the way of the subprocess module: Python makes an ExitStatus of it.
constexpr auto kReturnCode = [](process::ExitStatus status) noexcept {
  return PyLong_FromLong(status.return_code());
};

PyObject* child_wait(PyObject* self, PyObject* /*unused*/) {
  ChildBox& box = ChildBox::of(self);
  return awaitable_new(*box.state, "Child.wait", self, box.value.wait(), kReturnCode);
}

PyObject* child_blocking_wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                              PyObject* kwnames) {
  ChildBox& box = ChildBox::of(self);
  TimeLimit limit;
  if (!parse_timeout("blocking_wait", args, nargs, kwnames, &limit)) return nullptr;
  return wait_blocking(*box.state, "Child.blocking_wait", box.value.wait(), limit, kReturnCode);
}

PyObject* child_try_wait(PyObject* self, PyObject* /*unused*/) {
  const auto status = ChildBox::of(self).value.try_wait();
  if (!status) Py_RETURN_NONE;
  return kReturnCode(*status);
}

PyObject* child_send_signal(PyObject* self, PyObject* number) {
  int signal = 0;
  if (PyArg_Parse(number, "i:send_signal", &signal) == 0) return nullptr;
  const auto sent = ChildBox::of(self).value.send_signal(signal);
  if (!sent) return raise_error(sent.error(), "send_signal");
  Py_RETURN_NONE;
}

PyObject* child_id(PyObject* self, void* /*unused*/) {
  return PyLong_FromLong(ChildBox::of(self).value.id());
}

PyMethodDef child_methods[] = {
    {"wait", child_wait, METH_NOARGS, PyDoc_STR("wait($self)\n--\n\nWait for its return code.")},
    {"blocking_wait", fast(child_blocking_wait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_wait($self, timeout=None)\n--\n\nwait() for threads.")},
    {"try_wait", child_try_wait, METH_NOARGS,
     PyDoc_STR("try_wait($self)\n--\n\nIts return code if it has ended.")},
    {"send_signal", child_send_signal, METH_O,
     PyDoc_STR("send_signal($self, number, /)\n--\n\nSend it a signal.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef child_attributes[] = {
    {"id", child_id, nullptr, PyDoc_STR("The process id."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// ---- starting one ------------------------------------------------------------------------------

/// A stream of the child: none is the parent's; else a descriptor, or one of subprocess's numbers.
using Standard = std::optional<int>;
constexpr int kPipe = -1;
constexpr int kStandardOutput = -2;
constexpr int kNull = -3;

[[noreturn]] void throw_os_error(int code) {
  raise_error(Error::os(code), "");
  throw py::error_already_set();
}

process::Stdio to_stdio(int what) {
  switch (what) {
    case kPipe:
      return process::Stdio::piped();
    case kStandardOutput:
      return process::Stdio::standard_output();
    case kNull:
      return process::Stdio::null();
    default:
      break;
  }
  auto copy = OwnedFd::adopt(::fcntl(what, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw_os_error(errno);
  return process::Stdio::from(std::move(copy));
}

[[noreturn]] void throw_failure(const process::SpawnFailure& failure, const std::string& about) {
  if (failure.error.domain() != ErrorDomain::os) {
    raise_error(failure.error, "spawn");
  } else {
    const PyRef name = PyRef::steal(
        PyUnicode_DecodeFSDefaultAndSize(about.data(), static_cast<Py_ssize_t>(about.size())));
    if (name) {
      errno = failure.error.code();
      PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name.get());
    }
  }
  throw py::error_already_set();
}

struct Options {
  std::optional<std::string> arg0;
  std::optional<std::string> cwd;
  std::array<Standard, 3> standard;
  std::vector<int> pass_fds;
  std::optional<pid_t> process_group;
  bool start_new_session;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::vector<gid_t>> groups;
  std::optional<mode_t> umask;
  bool restore_signals;
  bool kill_on_drop;
};

/// The environment is always Python's view of it: the C library's may change while another thread
/// has the interpreter.
process::Command to_command(const std::string& program, std::vector<std::string> args,
                            std::map<std::string, std::string> environment, Options options) {
  process::Command command(program);
  command.args(std::move(args)).env_clear();
  for (auto& [name, value] : environment) command.env(name, std::move(value));
  if (options.arg0) command.arg0(std::move(*options.arg0));
  if (options.cwd) command.current_dir(std::move(*options.cwd));
  if (options.standard[0]) command.standard_input(to_stdio(*options.standard[0]));
  if (options.standard[1]) command.standard_output(to_stdio(*options.standard[1]));
  if (options.standard[2]) command.standard_error(to_stdio(*options.standard[2]));
  for (const int fd : options.pass_fds) command.inherit_fd(fd);
  if (options.process_group) command.process_group(*options.process_group);
  command.new_session(options.start_new_session);
  if (options.uid) command.uid(*options.uid);
  if (options.gid) command.gid(*options.gid);
  if (options.groups) command.groups(std::move(*options.groups));
  if (options.umask) command.umask(*options.umask);
  command.restore_signals(options.restore_signals).kill_on_drop(options.kill_on_drop);
  return command;
}

/// (child, stdin, stdout, stderr); a stream that is no pipe is None.
PyObject* make_result(ModuleState& state, process::Child child) noexcept {
  std::array<PyRef, 3> pipes;
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    OwnedFd fd = child.take_pipe(i);
    pipes[i] = !fd      ? PyRef::borrow(Py_None)
               : i == 0 ? PyRef::steal(make_pipe_writer(state, std::move(fd)))
                        : PyRef::steal(make_pipe_reader(state, std::move(fd)));
    if (!pipes[i]) {
      static_cast<void>(child.kill());  // Nobody would know of it.
      return nullptr;
    }
  }
  const PyRef object =
      PyRef::steal(ChildBox::make(state, state.child_process_type, std::move(child)));
  if (!object) return nullptr;
  return PyTuple_Pack(4, object.get(), pipes[0].get(), pipes[1].get(), pipes[2].get());
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): restore() throws only if it is called twice.
int process_child_register(PyObject* module, ModuleState& state) noexcept {
  state.child_process_type =
      box_register<process::Child>(module, {.name = "blitzio._native.ChildProcess",
                                            .doc = "A process; see blitzio.process.Child.",
                                            .methods = child_methods,
                                            .attributes = child_attributes});
  if (state.child_process_type == nullptr) return -1;
  try {
    auto target = py::reinterpret_borrow<py::module_>(module);
    target.def(
        "_spawn_child",
        [&state](const std::string& program, std::vector<std::string> args,
                 std::map<std::string, std::string> environment, std::optional<std::string> arg0,
                 std::optional<std::string> cwd, std::array<Standard, 3> standard,
                 std::vector<int> pass_fds, std::optional<pid_t> process_group,
                 bool start_new_session, std::optional<uid_t> uid, std::optional<gid_t> gid,
                 std::optional<std::vector<gid_t>> groups, std::optional<mode_t> umask,
                 bool restore_signals, bool kill_on_drop) {
          const std::string directory = cwd.value_or("");
          const process::Command command =
              to_command(program, std::move(args), std::move(environment),
                         Options{std::move(arg0), std::move(cwd), standard, std::move(pass_fds),
                                 process_group, start_new_session, uid, gid, std::move(groups),
                                 umask, restore_signals, kill_on_drop});
          auto child = [&command] {
            const Detached detached;
            return command.spawn_or_tell();
          }();
          if (!child) {
            throw_failure(child.error(), child.error().is_directory ? directory : program);
          }
          PyObject* result = make_result(state, std::move(*child));
          if (result == nullptr) throw py::error_already_set();
          return py::reinterpret_steal<py::tuple>(result);
        },
        "Start a process; see blitzio.process.Command.", py::arg("program"), py::arg("args"),
        py::arg("environment"), py::pos_only(), py::kw_only(), py::arg("arg0"), py::arg("cwd"),
        py::arg("standard"), py::arg("pass_fds"), py::arg("process_group"),
        py::arg("start_new_session"), py::arg("uid"), py::arg("gid"), py::arg("groups"),
        py::arg("umask"), py::arg("restore_signals"), py::arg("kill_on_drop"));
    return 0;
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_ImportError, error.what());
  }
  return -1;
}

int process_register(PyObject* module, ModuleState& state) noexcept {
  return process_pipe_register(module, state) == 0 ? process_child_register(module, state) : -1;
}

}  // namespace blitzio::python

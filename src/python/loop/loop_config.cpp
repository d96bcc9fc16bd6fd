#include <python/loop/loop_config.hpp>
#include <python/support/error.hpp>

#include <array>
#include <string>
#include <string_view>

namespace blitzio::python {

namespace {

/// None, False or True. Returns false with TypeError set.
bool parse_use(const char* name, PyObject* value, driver::Use* use) noexcept {
  if (value == nullptr || value == Py_None) return true;
  if (!PyBool_Check(value)) {
    PyErr_Format(PyExc_TypeError, "%s must be a bool or None, not %.100s", name,
                 Py_TYPE(value)->tp_name);
    return false;
  }
  *use = value == Py_True ? driver::Use::always : driver::Use::never;
  return true;
}

}  // namespace

bool loop_parse_config(PyObject* args, PyObject* kwargs, LoopConfig& config) noexcept {
  static const char* const keywords[] = {
      "backend",          "ring_entries", "buffer_bytes",  "buffer_count",  "buffer_count_max",
      "sqpoll",           "iopoll",       "single_issuer", "defer_taskrun", "registered_buffers",
      "registered_files", "ring_files",   "timer_tick",    "timers_max",    nullptr};
  driver::Config& driver = config.driver;
  const char* backend_name = "auto";
  int sqpoll = 0;
  int iopoll = 0;
  std::array<PyObject*, 5> uses{};
  if (!PyArg_ParseTupleAndKeywords(
          args, kwargs, "|$sIIIIppOOOOOdn:LoopBase", const_cast<char**>(keywords), &backend_name,
          &driver.ring_entries, &driver.buffer_bytes, &driver.buffer_count,
          &driver.buffer_count_max, &sqpoll, &iopoll, &uses[0], &uses[1], &uses[2], &uses[3],
          &uses[4], &config.timer_tick, &config.timers_max)) {
    return false;
  }
  const Result<driver::Backend> backend = driver::parse_backend(backend_name);
  if (!backend) {
    PyErr_Format(PyExc_ValueError,
                 "backend must be one of 'auto', 'io_uring', 'epoll', 'poll', got '%s'",
                 backend_name);
    return false;
  }
  driver.backend = *backend;
  driver.sqpoll = sqpoll != 0;
  driver.iopoll = iopoll != 0;
  if (!parse_use("single_issuer", uses[0], &driver.single_issuer) ||
      !parse_use("defer_taskrun", uses[1], &driver.defer_taskrun) ||
      !parse_use("registered_buffers", uses[2], &driver.registered_buffers) ||
      !parse_use("registered_files", uses[3], &driver.registered_files) ||
      !parse_use("ring_files", uses[4], &driver.ring_files)) {
    return false;
  }
  if (!(config.timer_tick >= 1e-6 && config.timer_tick <= 1) || config.timers_max < 0) {
    PyErr_SetString(PyExc_ValueError,
                    "timer_tick must be from 1e-06 to 1 seconds, and timers_max not negative");
    return false;
  }
  const auto problem = driver::problem_in(driver);
  if (!problem) return true;
  // What this machine lacks is no mistake in the value.
  PyErr_SetString(
      problem->code == RuntimeErrc::invalid_argument ? PyExc_ValueError : PyExc_RuntimeError,
      problem->text.c_str());
  return false;
}

void loop_raise_unavailable(driver::Backend backend) noexcept {
  for (const driver::Availability& found : driver::detect()) {
    if (found.backend == backend && !found.usable) {
      const std::string name(driver::name(backend));
      PyErr_Format(PyExc_RuntimeError, "backend %s cannot run here: %s", name.c_str(),
                   found.reason.c_str());
      return;
    }
  }
  raise_error(Error::runtime(RuntimeErrc::backend_unavailable), "new_event_loop");
}

}  // namespace blitzio::python

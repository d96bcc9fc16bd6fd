// What a loop is made with: the arguments of LoopBase(), which `Config` has on the Python side.
#pragma once

#include <blitzio/driver/driver.hpp>
#include <blitzio/time/wheel.hpp>
#include <python/loop/loop.hpp>

namespace blitzio::python {

struct LoopConfig {
  driver::Config driver;
  double timer_tick = time::TimerWheel::kTick.as_secs_f64();
  Py_ssize_t timers_max = 0;
};

/// Reads __init__'s arguments. Returns false with an error set.
[[nodiscard]] bool loop_parse_config(PyObject* args, PyObject* kwargs, LoopConfig& config) noexcept;

/// Raises RuntimeError that says why `backend` cannot run, as detect() found out.
void loop_raise_unavailable(driver::Backend backend) noexcept;

}  // namespace blitzio::python

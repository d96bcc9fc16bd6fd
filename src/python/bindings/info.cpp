#include <blitzio/base/faults.hpp>
#include <blitzio/base/platform.hpp>
#include <blitzio/driver/driver.hpp>
#include <python/bindings/info.hpp>
#include <python/support/ft.hpp>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace py = pybind11;

namespace blitzio::python {

namespace {

using Row = std::tuple<std::string, bool, std::string, std::vector<std::string>>;

std::vector<Row> detect() {
  std::vector<Row> rows;
  for (const driver::Availability& found : driver::detect()) {
    rows.emplace_back(driver::name(found.backend), found.usable, found.reason, found.features);
  }
  return rows;
}

constexpr const char* build_type() noexcept {
  if (BLITZIO_ASAN) return "debug, address sanitizer";
  if (BLITZIO_TSAN) return "debug, thread sanitizer";
#ifdef NDEBUG
  return "release";
#else
  return "debug";
#endif
}

std::map<std::string, std::string> build_info() {
#if defined(__clang__)
  const char* compiler = "clang " __clang_version__;
#else
  const char* compiler = "gcc " __VERSION__;
#endif
  return {{"version", BLITZIO_VERSION},
          {"compiler", compiler},
          {"liburing", BLITZIO_LIBURING},
          {"build", build_type()},
          {"faults", faults::kBuiltIn ? "can be injected" : "none"},
          {"gil", kFreeThreaded ? "not used" : "used"}};
}

void configure_faults(const std::string& text) {
  const Result<void> configured = faults::configure(text);
  if (configured) return;
  if (configured.error().is(RuntimeErrc::faults_malformed)) {
    throw py::value_error(configured.error().message());
  }
  throw std::runtime_error(configured.error().message());
}

std::map<std::string, std::uint64_t> fault_counts() {
  std::map<std::string, std::uint64_t> rows;
  const auto counts = faults::counts();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    rows.emplace(faults::name(static_cast<faults::Fault>(i)), counts[i]);
  }
  return rows;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): restore() throws only if it is called twice.
int info_register(PyObject* module, ModuleState& /*state*/) noexcept {
  try {
    auto target = py::reinterpret_borrow<py::module_>(module);
    target.def("detect", &detect,
               "[(backend, usable, reason, features)] in order of preference; probed once.");
    target.def("build_info", &build_info, "How this extension was built, by name.");
    target.def("_configure_faults", &configure_faults,
               "Replaces what BLITZIO_FAULTS said. RuntimeError in a build without faults.",
               py::arg("text"), py::pos_only());
    target.def("_fault_counts", &fault_counts, "How often each fault was injected, by name.");
    return 0;
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_ImportError, error.what());
  }
  return -1;
}

}  // namespace blitzio::python

#include <python/bindings/sync.hpp>
#include <python/bindings/sync_events.hpp>
#include <python/bindings/sync_mutex.hpp>
#include <python/bindings/sync_semaphore.hpp>

namespace blitzio::python {

int sync_register(PyObject* module, ModuleState& state) noexcept {
  for (const auto add : {mutex_register, semaphore_register, events_register}) {
    if (add(module, state) != 0) return -1;
  }
  return 0;
}

}  // namespace blitzio::python

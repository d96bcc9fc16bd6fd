#include <python/bindings/net.hpp>
#include <python/bindings/net_address.hpp>
#include <python/bindings/net_stream.hpp>
#include <python/bridge/io_context.hpp>

namespace blitzio::python {

int net_register(PyObject* module, ModuleState& state) noexcept {
  for (const auto add : {io_context_register, address_register, net_stream_register,
                         net_listener_register, net_datagram_register}) {
    if (add(module, state) != 0) return -1;
  }
  return 0;
}

}  // namespace blitzio::python

#include <python/bindings/channel.hpp>
#include <python/bindings/channel_values.hpp>

namespace blitzio::python {

namespace {

/// blitzio.channel.`name`, a subclass of `base`, into `*target` and the module.
bool add_error(PyObject* module, const char* name, const char* doc, PyObject* base,
               PyObject** target) noexcept {
  *target = PyErr_NewExceptionWithDoc(name, doc, base, nullptr);
  return *target != nullptr &&
         PyModule_AddType(module, reinterpret_cast<PyTypeObject*>(*target)) == 0;
}

}  // namespace

PyObject* raise_lagged(const ModuleState& state, std::uint64_t missed) noexcept {
  const PyRef count = PyRef::steal(PyLong_FromUnsignedLongLong(missed));
  const PyRef text = count ? PyRef::steal(PyUnicode_FromFormat(
                                 "%S values were overwritten before they were received; the next "
                                 "receive goes on with the oldest that is left",
                                 count.get()))
                           : PyRef();
  const PyRef error =
      text ? PyRef::steal(PyObject_CallOneArg(state.lagged_error, text.get())) : PyRef();
  if (error && PyObject_SetAttrString(error.get(), "missed", count.get()) == 0) {
    PyErr_SetObject(state.lagged_error, error.get());
  }
  return nullptr;
}

int channel_register(PyObject* module, ModuleState& state) noexcept {
  PyRef base;
  PyObject* made = nullptr;
  if (!add_error(module, "blitzio.channel.ChannelError", "What channels raise.", PyExc_Exception,
                 &made)) {
    return -1;
  }
  base = PyRef::steal(made);
  if (!add_error(module, "blitzio.channel.Closed", "Nothing more can be sent, or received.",
                 base.get(), &state.closed_error) ||
      !add_error(module, "blitzio.channel.Full", "try_send() found no room.", base.get(),
                 &state.full_error) ||
      !add_error(module, "blitzio.channel.Empty", "try_recv() found nothing.", base.get(),
                 &state.empty_error) ||
      !add_error(module, "blitzio.channel.Lagged",
                 "A receiver of a Broadcast was too slow; `missed` values are gone.", base.get(),
                 &state.lagged_error)) {
    return -1;
  }
  for (const auto add :
       {channel_queue_register, oneshot_register, broadcast_register, watch_register}) {
    if (add(module, state) != 0) return -1;
  }
  return 0;
}

}  // namespace blitzio::python

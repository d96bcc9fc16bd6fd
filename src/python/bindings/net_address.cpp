#include <python/bindings/net_address.hpp>
#include <python/support/arguments.hpp>
#include <python/support/integer.hpp>
#include <python/support/slots.hpp>

#include <string>
#include <string_view>

namespace blitzio::python {

namespace {

using AddressBox = Box<Address>;

const Address& address_of(PyObject* self) noexcept {
  return AddressBox::of(self).value;
}

PyObject* to_text(const std::string& text) noexcept {
  // Paths are bytes; those that are no UTF-8 come back as os.fsdecode() has them.
  return PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

/// The text of `object` in the file system's encoding. False with an error set.
bool read_text(PyObject* object, PyRef* holder, std::string_view* text) noexcept {
  if (!PyUnicode_Check(object)) {
    PyErr_Format(PyExc_TypeError, "an address must be Address or str, got %.200s",
                 Py_TYPE(object)->tp_name);
    return false;
  }
  *holder = PyRef::steal(PyUnicode_EncodeFSDefault(object));
  if (!*holder) return false;
  *text = {PyBytes_AS_STRING(holder->get()),
           static_cast<std::size_t>(PyBytes_GET_SIZE(holder->get()))};
  return true;
}

bool parse_text(PyObject* object, Address* address) noexcept {
  PyRef holder;
  std::string_view text;
  if (!read_text(object, &holder, &text)) return false;
  const Result<Address> parsed = Address::parse(text);
  if (!parsed) {
    PyErr_Format(PyExc_ValueError,
                 "%R is no address: expected 1.2.3.4:80, [::1]:80, /path or @abstract", object);
    return false;
  }
  *address = *parsed;
  return true;
}

bool parse_port(PyObject* object, std::uint16_t* port) noexcept {
  return parse_integer(object, "port", 0, 65'535, port);
}

PyObject* address_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"host", "port", nullptr};
  PyObject* host = nullptr;
  PyObject* port_object = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UO:Address", const_cast<char**>(keywords), &host,
                                   &port_object)) {
    return nullptr;
  }
  std::uint16_t port = 0;
  PyRef holder;
  std::string_view text;
  if (!parse_port(port_object, &port) || !read_text(host, &holder, &text)) return nullptr;
  const Result<Address> address = Address::parse_ip(text, port);
  if (!address) {
    return PyErr_Format(PyExc_ValueError,
                        "%R is no IPv4 or IPv6 address; names are for blitzio.net.resolve()", host);
  }
  return AddressBox::make(state_of_type(type), type, *address);
}

PyObject* address_parse(PyObject* type, PyObject* text) {
  Address address;
  if (!parse_text(text, &address)) return nullptr;
  auto* own = reinterpret_cast<PyTypeObject*>(type);
  return AddressBox::make(state_of_type(own), own, address);
}

PyObject* address_local(PyObject* type, PyObject* path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path, static_cast<void*>(&encoded)) == 0) {
    // FSConverter refuses the zero byte that an abstract name begins with.
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) return nullptr;
    PyErr_Clear();
    encoded = PyBytes_Check(path) ? Py_NewRef(path) : PyUnicode_EncodeFSDefault(path);
    if (encoded == nullptr) return nullptr;
  }
  const PyRef holder = PyRef::steal(encoded);
  const Result<Address> address = Address::local(
      {PyBytes_AS_STRING(encoded), static_cast<std::size_t>(PyBytes_GET_SIZE(encoded))});
  if (!address) {
    return PyErr_Format(PyExc_ValueError,
                        "%R is no path of a Unix socket: it must have 1 to %zu "
                        "bytes",
                        path, Address::kPathBytesMax);
  }
  auto* own = reinterpret_cast<PyTypeObject*>(type);
  return AddressBox::make(state_of_type(own), own, *address);
}

PyObject* address_with_port(PyObject* self, PyObject* port_object) {
  std::uint16_t port = 0;
  if (!parse_port(port_object, &port)) return nullptr;
  return make_address(*AddressBox::of(self).state, address_of(self).with_port(port));
}

PyObject* get_host(PyObject* self, void* /*unused*/) {
  return to_text(address_of(self).host());
}
PyObject* get_port(PyObject* self, void* /*unused*/) {
  return PyLong_FromLong(address_of(self).port());
}
PyObject* get_family(PyObject* self, void* /*unused*/) {
  return PyLong_FromLong(address_of(self).native_family());
}
PyObject* get_scope_id(PyObject* self, void* /*unused*/) {
  return PyLong_FromUnsignedLong(address_of(self).scope_id());
}

template <bool (Address::*kPredicate)() const noexcept>
PyObject* get_predicate(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong((address_of(self).*kPredicate)() ? 1 : 0);
}

PyObject* address_str(PyObject* self) {
  return to_text(address_of(self).to_string());
}

/// As Python code: parse() does not read a relative path, and takes one with @ for abstract.
PyObject* address_repr(PyObject* self) {
  const Address& address = address_of(self);
  const char first = address.is_local() && !address.path().empty() ? address.path().front() : '/';
  const char* const maker = first == '/' || first == '\0' ? "parse" : "local";
  const PyRef text = PyRef::steal(address_str(self));
  if (!text) return nullptr;
  return PyUnicode_FromFormat("Address.%s(%R)", maker, text.get());
}

Py_hash_t address_hash(PyObject* self) {
  const PyRef text = PyRef::steal(address_str(self));
  return text ? PyObject_Hash(text.get()) : -1;
}

PyObject* address_compare(PyObject* self, PyObject* other, int op) {
  if (!Py_IS_TYPE(other, Py_TYPE(self)) || (op != Py_EQ && op != Py_NE)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  const bool is_equal = address_of(self) == address_of(other);
  return PyBool_FromLong(is_equal == (op == Py_EQ) ? 1 : 0);
}

/// For pickle and copy: (Address.parse, (text,)), or of a Unix socket (Address.local, (bytes,)).
PyObject* address_reduce(PyObject* self, PyObject* /*unused*/) {
  const Address& address = address_of(self);
  const bool is_local = address.is_local();
  const PyRef make = PyRef::steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(self)),
                                                         is_local ? "local" : "parse"));
  if (!make) return nullptr;
  if (!is_local) return Py_BuildValue("O(N)", make.get(), address_str(self));
  const std::string_view path = address.path();
  return Py_BuildValue("O(y#)", make.get(), path.data(), static_cast<Py_ssize_t>(path.size()));
}

PyMethodDef address_methods[] = {
    {"parse", address_parse, METH_O | METH_CLASS,
     PyDoc_STR("parse($type, text, /)\n--\n\n"
               "The address that `text` stands for: 1.2.3.4:80, [::1]:80, /path or @abstract.")},
    {"local", address_local, METH_O | METH_CLASS,
     PyDoc_STR("local($type, path, /)\n--\n\nThe address of a Unix socket.")},
    {"with_port", address_with_port, METH_O,
     PyDoc_STR("with_port($self, port, /)\n--\n\nThe same with another port.")},
    {"__reduce__", address_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef address_attributes[] = {
    {"host", get_host, nullptr, PyDoc_STR("Without the port; a Unix socket's path."), nullptr},
    {"port", get_port, nullptr, PyDoc_STR("0 if it has none."), nullptr},
    {"family", get_family, nullptr, PyDoc_STR("socket.AF_INET, AF_INET6 or AF_UNIX."), nullptr},
    {"scope_id", get_scope_id, nullptr, PyDoc_STR("The interface of a link-local address."),
     nullptr},
    {"is_loopback", get_predicate<&Address::is_loopback>, nullptr, nullptr, nullptr},
    {"is_multicast", get_predicate<&Address::is_multicast>, nullptr, nullptr, nullptr},
    {"is_unspecified", get_predicate<&Address::is_unspecified>, nullptr, nullptr, nullptr},
    {"is_local", get_predicate<&Address::is_local>, nullptr,
     PyDoc_STR("Whether it is a Unix socket's."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot address_slots[] = {
    {Py_tp_str, slot(address_str)},
    {Py_tp_repr, slot(address_repr)},
    {Py_tp_hash, slot(address_hash)},
    {Py_tp_richcompare, slot(address_compare)},
    {0, nullptr},
};

}  // namespace

PyObject* make_address(ModuleState& state, const Address& address) noexcept {
  if (address.family() == Address::Family::none) return Py_NewRef(Py_None);
  return AddressBox::make(state, state.address_type, address);
}

bool to_address(ModuleState& state, PyObject* object, Address* address) noexcept {
  if (Py_IS_TYPE(object, state.address_type)) {
    *address = address_of(object);
    return true;
  }
  return parse_text(object, address);
}

bool to_address(ModuleState& state, PyObject* object, bool is_local, Address* address) noexcept {
  if (!to_address(state, object, address)) return false;
  if (address->is_local() == is_local) return true;
  PyErr_Format(PyExc_ValueError,
               is_local ? "%R is no address of a Unix socket"
                        : "%R is the address of a Unix socket; an IP address with a port is needed",
               object);
  return false;
}

int address_register(PyObject* module, ModuleState& state) noexcept {
  state.address_type = box_register<Address>(
      module, {.name = "blitzio.net.Address",
               .doc = "Address(host, port)\n--\n\nWhere a socket is: numeric host and port, or the "
                      "path of a Unix socket.",
               .create = address_new,
               .methods = address_methods,
               .attributes = address_attributes,
               .more = address_slots});
  return state.address_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

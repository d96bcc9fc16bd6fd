#include <blitzio/base/platform.hpp>
#include <python/loop/names.hpp>
#include <python/loop/sock_address.hpp>
#include <python/support/slots.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>

#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <optional>
#include <string_view>

namespace blitzio::python {

namespace {

// Places in ModuleState::socket_numbers.
enum : Py_ssize_t { kInet, kInet6, kStream, kDatagram, kRaw };

/// The characters of an ASCII str or of bytes; empty for anything else, which is never numeric.
std::string_view text_of(PyObject* object) noexcept {
  if (PyUnicode_Check(object) != 0) {
    if (PyUnicode_IS_ASCII(object) == 0) return {};
    return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object)),
            static_cast<std::size_t>(PyUnicode_GET_LENGTH(object))};
  }
  if (PyBytes_Check(object) != 0) {
    return {PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object))};
  }
  return {};
}

template <class Number>
std::optional<Number> decimal(std::string_view text) noexcept {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// None is port 0. No value: a service name or nothing that we know.
std::optional<std::uint16_t> parse_port(PyObject* port) noexcept {
  if (port == Py_None) return std::uint16_t{0};
  if (PyLong_CheckExact(port) == 0) return decimal<std::uint16_t>(text_of(port));
  int overflow = 0;
  const long number = PyLong_AsLongAndOverflow(port, &overflow);
  if (overflow != 0 || number < 0 || number > UINT16_MAX) return std::nullopt;
  return static_cast<std::uint16_t>(number);
}

/// A zone is an interface's name, for link-local addresses only, or its number.
std::optional<std::uint32_t> parse_zone(const in6_addr& address, std::string_view zone) noexcept {
  std::array<char, IF_NAMESIZE> name{};
  if (zone.empty() || zone.size() >= name.size()) return std::nullopt;
  std::memcpy(name.data(), zone.data(), zone.size());
  if (IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MC_LINKLOCAL(&address)) {
    if (const unsigned index = ::if_nametoindex(name.data()); index != 0) return index;
  }
  return decimal<std::uint32_t>(zone);
}

std::optional<NumericAddress> parse_host(std::string_view host, long family,
                                         std::uint16_t port) noexcept {
  const std::size_t percent = host.find('%');
  const std::string_view literal = host.substr(0, percent);
  std::array<char, INET6_ADDRSTRLEN + 1> text{};
  if (literal.empty() || literal.size() >= text.size()) return std::nullopt;
  // An embedded NUL must not hide what follows it.
  if (literal.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(text.data(), literal.data(), literal.size());

  NumericAddress address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  if (family != AF_INET6 && percent == std::string_view::npos &&
      ::inet_pton(AF_INET, text.data(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.bytes = sizeof v4;
    return address;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (family == AF_INET || ::inet_pton(AF_INET6, text.data(), &v6.sin6_addr) != 1) {
    return std::nullopt;
  }
  if (percent != std::string_view::npos) {
    const auto zone = parse_zone(v6.sin6_addr, host.substr(percent + 1));
    if (!zone) return std::nullopt;
    v6.sin6_scope_id = *zone;
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  address.bytes = sizeof v6;
  return address;
}

struct Transport {
  long type;
  long proto;
  Py_ssize_t type_object;
};
// In the order in which the resolver lists them.
constexpr std::array<Transport, 3> kTransports{{{SOCK_STREAM, IPPROTO_TCP, kStream},
                                                {SOCK_DGRAM, IPPROTO_UDP, kDatagram},
                                                {SOCK_RAW, 0, kRaw}}};

struct Hints {
  long family;
  long type;
  long proto;
  long flags;
};

/// Whether the hints are among those that we know the answers to.
bool is_plain(const Hints& hints) noexcept {
  // With a literal these change nothing: no name is looked up, and the address is given.
  constexpr long kHarmlessFlags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
  return (hints.family == AF_UNSPEC || hints.family == AF_INET || hints.family == AF_INET6) &&
         (hints.type == 0 || hints.type == SOCK_STREAM || hints.type == SOCK_DGRAM) &&
         (hints.proto == 0 || hints.proto == IPPROTO_TCP || hints.proto == IPPROTO_UDP) &&
         (hints.flags & ~kHarmlessFlags) == 0;
}

bool read_hints(PyObject* const* args, Hints* hints) noexcept {
  const std::array<long*, 4> targets{&hints->family, &hints->type, &hints->proto, &hints->flags};
  for (std::size_t i = 0; i < targets.size(); ++i) {
    *targets[i] = PyLong_AsLong(args[i]);
    if (*targets[i] == -1 && PyErr_Occurred() != nullptr) return false;
  }
  return true;
}

/// Appends (family, type, proto, '', address). Returns false with an error set.
bool append_info(const ModuleState& state, PyObject* list, const NumericAddress& address,
                 const Transport& transport) noexcept {
  const PyRef where = address_object(address.storage, address.bytes);
  if (!where) return false;
  PyObject* numbers = state.socket_numbers;
  const PyRef info = PyRef::steal(Py_BuildValue(
      "(OOlsO)", PyTuple_GET_ITEM(numbers, address.storage.ss_family == AF_INET ? kInet : kInet6),
      PyTuple_GET_ITEM(numbers, transport.type_object), transport.proto, "", where.get()));
  return info && PyList_Append(list, info.get()) == 0;
}

PyObject* numeric_address(PyObject* module, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 6) {
    return PyErr_Format(PyExc_TypeError, "numeric_address() takes 6 arguments (%zd given)", nargs);
  }
  Hints hints{};
  if (!read_hints(args + 2, &hints)) {
    // Not numbers at all: the resolver says what is wrong with them.
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0 &&
        PyErr_ExceptionMatches(PyExc_OverflowError) == 0) {
      return nullptr;
    }
    PyErr_Clear();  // Unusual: for the resolver to judge.
    Py_RETURN_NONE;
  }
  const auto port = parse_port(args[1]);
  if (!port || !is_plain(hints)) Py_RETURN_NONE;
  const auto address = parse_host(text_of(args[0]), hints.family, *port);
  if (!address) Py_RETURN_NONE;

  const auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PyRef list = PyRef::steal(PyList_New(0));
  if (!list) return nullptr;
  for (const Transport& transport : kTransports) {
    if (hints.type != 0 && hints.type != transport.type) continue;
    // A raw socket is offered only to who asks for no protocol.
    if (hints.proto != 0 && hints.proto != transport.proto) continue;
    if (!append_info(state, list.get(), *address, transport)) return nullptr;
  }
  // Such as a stream over UDP: an error, which the resolver words.
  if (PyList_GET_SIZE(list.get()) == 0) Py_RETURN_NONE;
  return list.release();
}

PyMethodDef functions[] = {
    {"numeric_address", fast(numeric_address), METH_FASTCALL,
     PyDoc_STR("numeric_address(host, port, family, type, proto, flags, /)\n--\n\n"
               "What socket.getaddrinfo() returns for a numeric host and port; None if they need "
               "the resolver.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

std::optional<NumericAddress> numeric_address_of(PyObject* host, PyObject* port,
                                                 long family) noexcept {
  const auto number = parse_port(port);
  return number ? parse_host(text_of(host), family, *number) : std::nullopt;
}

int names_register(PyObject* module, ModuleState& state) noexcept {
  const PyRef socket = PyRef::steal(PyImport_ImportModule("socket"));
  const PyRef numbers = PyRef::steal(PyTuple_New(5));
  if (!socket || !numbers) return -1;
  Py_ssize_t place = 0;
  for (const char* name : {"AF_INET", "AF_INET6", "SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW"}) {
    PyObject* number = PyObject_GetAttrString(socket.get(), name);
    if (number == nullptr) return -1;
    PyTuple_SET_ITEM(numbers.get(), place++, number);
  }
  state.socket_numbers = Py_NewRef(numbers.get());
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python

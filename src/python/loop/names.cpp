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
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
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

/// One of `args` for each of `targets`.
bool read_hints(PyObject* const* args, std::span<long* const> targets) noexcept {
  for (long* target : targets) {
    *target = PyLong_AsLong(*args++);
    if (*target == -1 && PyErr_Occurred() != nullptr) return false;
  }
  return true;
}

/// Of hints that are not numbers at all: the resolver says what is wrong with them.
PyObject* none_if_no_numbers() noexcept {
  if (PyErr_ExceptionMatches(PyExc_TypeError) == 0 &&
      PyErr_ExceptionMatches(PyExc_OverflowError) == 0) {
    return nullptr;
  }
  PyErr_Clear();  // Unusual: for the resolver to judge.
  Py_RETURN_NONE;
}

/// (family, type, proto, '', address). Null with an error set.
PyRef make_info(PyObject* family, PyObject* type, long proto, PyObject* address) noexcept {
  const PyRef number = PyRef::steal(PyLong_FromLong(proto));
  const PyRef canonical = PyRef::steal(PyUnicode_FromStringAndSize(nullptr, 0));
  if (!number || !canonical) return {};
  return PyRef::steal(PyTuple_Pack(5, family, type, number.get(), canonical.get(), address));
}

/// Returns false with an error set.
bool append_info(const ModuleState& state, PyObject* list, const NumericAddress& address,
                 const Transport& transport) noexcept {
  const PyRef where = address_object(address.storage, address.bytes);
  if (!where) return false;
  PyObject* numbers = state.socket_numbers;
  const PyRef info =
      make_info(PyTuple_GET_ITEM(numbers, address.storage.ss_family == AF_INET ? kInet : kInet6),
                PyTuple_GET_ITEM(numbers, transport.type_object), transport.proto, where.get());
  return info && PyList_Append(list, info.get()) == 0;
}

PyObject* numeric_address(PyObject* module, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 6) {
    return PyErr_Format(PyExc_TypeError, "numeric_address() takes 6 arguments (%zd given)", nargs);
  }
  Hints hints{};
  if (!read_hints(args + 2, std::array{&hints.family, &hints.type, &hints.proto, &hints.flags})) {
    return none_if_no_numbers();
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

// ---- as asyncio takes literals ------------------------------------------------------------------

/// What int() makes of a port; 0 for none. Null without an error: a service name.
PyRef port_number(PyObject* port) noexcept {
  if (PyLong_CheckExact(port) != 0) return PyRef::borrow(port);
  const bool is_empty = port == Py_None ||
                        (PyUnicode_Check(port) != 0 && PyUnicode_GET_LENGTH(port) == 0) ||
                        (PyBytes_Check(port) != 0 && PyBytes_GET_SIZE(port) == 0);
  if (is_empty) return PyRef::steal(PyLong_FromLong(0));
  PyRef number = PyRef::steal(PyNumber_Long(port));
  if (!number && (PyErr_ExceptionMatches(PyExc_TypeError) != 0 ||
                  PyErr_ExceptionMatches(PyExc_ValueError) != 0)) {
    PyErr_Clear();  // For the resolver to judge.
  }
  return number;
}

/// The family that `host` is a literal of; AF_UNSPEC: none that `family` allows.
int family_of(const char* host, long family) noexcept {
  std::array<std::byte, sizeof(in6_addr)> binary;
  for (const int candidate : {AF_INET, AF_INET6}) {
    if (family != AF_UNSPEC && family != candidate) continue;
    if (::inet_pton(candidate, host, binary.data()) == 1) return candidate;
  }
  return AF_UNSPEC;
}

/// (host, port), or (host, port, flow, scope) with what stands in `more`, or zeros.
PyRef literal_address(int family, PyObject* host, PyObject* port,
                      std::span<PyObject* const> more) noexcept {
  if (family == AF_INET) return PyRef::steal(PyTuple_Pack(2, host, port));
  const PyRef zero = PyRef::steal(PyLong_FromLong(0));
  if (!zero) return {};
  return PyRef::steal(PyTuple_Pack(4, host, port, !more.empty() ? more[0] : zero.get(),
                                   more.size() > 1 ? more[1] : zero.get()));
}

/// What asyncio's `'%' in host` and inet_pton() raise. Null with an error set, or None.
PyObject* refuse_host(PyObject* host) noexcept {
  const PyRef percent = PyRef::steal(PyUnicode_FromOrdinal('%'));
  const int has_percent = percent ? PySequence_Contains(host, percent.get()) : -1;
  if (has_percent > 0) Py_RETURN_NONE;
  if (has_percent < 0) return nullptr;
  return PyErr_Format(PyExc_TypeError, "inet_pton() argument 2 must be str, not %s",
                      Py_TYPE(host)->tp_name);
}

PyObject* numeric_info(PyObject* module, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 5 || nargs > 7) {
    return PyErr_Format(PyExc_TypeError, "numeric_info() takes 5 to 7 arguments (%zd given)",
                        nargs);
  }
  Hints hints{};
  if (args[0] == Py_None) Py_RETURN_NONE;
  if (!read_hints(args + 2, std::array{&hints.family, &hints.type, &hints.proto})) {
    return none_if_no_numbers();
  }
  const bool is_stream = hints.type == SOCK_STREAM;
  if ((!is_stream && hints.type != SOCK_DGRAM) ||
      (hints.proto != 0 && hints.proto != IPPROTO_TCP && hints.proto != IPPROTO_UDP)) {
    Py_RETURN_NONE;
  }
  const PyRef port = port_number(args[1]);
  if (!port) return PyErr_Occurred() != nullptr ? nullptr : Py_NewRef(Py_None);
  const PyRef host = PyBytes_Check(args[0]) != 0
                         ? PyRef::steal(PyUnicode_FromEncodedObject(args[0], "idna", nullptr))
                         : PyRef::borrow(args[0]);
  if (!host) return nullptr;
  if (PyUnicode_Check(host.get()) == 0) return refuse_host(host.get());
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(host.get(), &size);
  if (text == nullptr) return nullptr;
  const std::string_view view(text, static_cast<std::size_t>(size));
  if (view.find('%') != std::string_view::npos) Py_RETURN_NONE;  // asyncio leaves zones alone.
  if (view.find('\0') != std::string_view::npos) {
    PyErr_SetString(PyExc_ValueError, "embedded null character");
    return nullptr;
  }
  const int family = family_of(text, hints.family);
  if (family == AF_UNSPEC) Py_RETURN_NONE;

  const auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PyObject* family_object =
      hints.family != AF_UNSPEC
          ? args[2]
          : PyTuple_GET_ITEM(state.socket_numbers, family == AF_INET ? kInet : kInet6);
  const PyRef where = literal_address(family, host.get(), port.get(),
                                      std::span(args, static_cast<std::size_t>(nargs)).subspan(5));
  return where
             ? make_info(family_object, args[3], is_stream ? IPPROTO_TCP : IPPROTO_UDP, where.get())
                   .release()
             : nullptr;
}

PyMethodDef functions[] = {
    {"numeric_info", fast(numeric_info), METH_FASTCALL,
     PyDoc_STR("numeric_info(host, port, family, type, proto, flow=0, scope=0, /)\n--\n\n"
               "The address of a numeric host and port of a stream or datagram socket, worded as "
               "they are; None if they need the resolver.")},
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

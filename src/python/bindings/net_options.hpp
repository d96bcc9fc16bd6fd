// The options that the core's sockets have by name: for each a getter and a setter, made of the
// core's functions; rows for the tables of methods.
//
//     option_getter<tcp_of, &net::TcpStream::ttl, "ttl">(doc)
//     option_setter<tcp_of, &net::TcpStream::set_ttl, "set_ttl", IntRange{1, 255}>(doc)
//
// What is a std::optional in C++ is None in Python where it is empty.
#pragma once

#include <blitzio/net/tcp.hpp>
#include <blitzio/net/udp.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>
#include <python/support/ft.hpp>

#include <array>
#include <climits>
#include <cstddef>
#include <optional>
#include <type_traits>

namespace blitzio::python {

/// What an int may be.
struct IntRange {
  int least = INT_MIN;
  int most = INT_MAX;
};

namespace detail {

/// New references; null with an error set.
[[nodiscard]] PyObject* option_object(bool value) noexcept;
[[nodiscard]] PyObject* option_object(int value) noexcept;
[[nodiscard]] PyObject* option_object(std::size_t value) noexcept;
[[nodiscard]] PyObject* option_object(const std::optional<Duration>& value) noexcept;
[[nodiscard]] PyObject* option_object(const std::optional<net::KeepAlive>& value) noexcept;
[[nodiscard]] PyObject* option_object(const std::optional<Error>& value) noexcept;

/// Reads what the setter `name` was given. False with TypeError or ValueError set.
[[nodiscard]] bool read_option(PyObject* object, const char* name, IntRange range,
                               bool* value) noexcept;
[[nodiscard]] bool read_option(PyObject* object, const char* name, IntRange range,
                               int* value) noexcept;
[[nodiscard]] bool read_option(PyObject* object, const char* name, IntRange range,
                               std::size_t* value) noexcept;
[[nodiscard]] bool read_option(PyObject* object, const char* name, IntRange range,
                               std::optional<Duration>* value) noexcept;
[[nodiscard]] bool read_option(PyObject* object, const char* name, IntRange range,
                               std::optional<net::KeepAlive>* value) noexcept;

/// What a setter of the core takes.
template <class S, class V>
std::remove_cvref_t<V> value_of_setter(Result<void> (S::*)(V) const noexcept);

template <auto kOf, auto kGet, Text kName>
PyObject* get_option(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  const auto value = (kOf(self).*kGet)();
  return value ? option_object(*value) : raise_error(value.error(), kName.c_str());
}

template <auto kOf, auto kSet, Text kName, IntRange kRange>
PyObject* set_option(PyObject* self, PyObject* object) {
  decltype(value_of_setter(kSet)) value{};
  if (!read_option(object, kName.c_str(), kRange, &value)) return nullptr;
  const ObjectLock lock(self);
  return none_or_raise((kOf(self).*kSet)(value), kName.c_str());
}

}  // namespace detail

/// `kOf`  finds the C++ object in the Python one.
template <auto kOf, auto kGet, Text kName>
[[nodiscard]] PyMethodDef option_getter(const char* doc) noexcept {
  return {kName.c_str(), detail::get_option<kOf, kGet, kName>, METH_NOARGS, doc};
}
template <auto kOf, auto kSet, Text kName, IntRange kRange = IntRange{}>
[[nodiscard]] PyMethodDef option_setter(const char* doc) noexcept {
  return {kName.c_str(), detail::set_option<kOf, kSet, kName, kRange>, METH_O, doc};
}

// ---- the rows of each kind ----------------------------------------------------------------------

/// Of every socket.
template <auto kOf>
inline const std::array kBufferMethods{
    option_getter<kOf, &net::Socket::take_error, "take_error">(
        PyDoc_STR("take_error($self)\n--\n\nTake the error that the socket keeps, or None.")),
    option_getter<kOf, &net::Socket::send_buffer_bytes, "send_buffer_bytes">(
        PyDoc_STR("send_buffer_bytes($self)\n--\n\nWhat the kernel keeps for sending.")),
    option_setter<kOf, &net::Socket::set_send_buffer_bytes, "set_send_buffer_bytes">(
        PyDoc_STR("set_send_buffer_bytes($self, bytes, /)\n--\n\nHave it keep so much.")),
    option_getter<kOf, &net::Socket::recv_buffer_bytes, "recv_buffer_bytes">(
        PyDoc_STR("recv_buffer_bytes($self)\n--\n\nWhat the kernel keeps for receiving.")),
    option_setter<kOf, &net::Socket::set_recv_buffer_bytes, "set_recv_buffer_bytes">(
        PyDoc_STR("set_recv_buffer_bytes($self, bytes, /)\n--\n\nHave it keep so much.")),
};

inline constexpr IntRange kTtlRange{1, 255};

/// Of TcpStream.
template <auto kOf>
inline const std::array kTcpOptionMethods{
    option_getter<kOf, &net::TcpStream::nodelay, "nodelay">(
        PyDoc_STR("nodelay($self)\n--\n\nWhether small writes leave at once.")),
    option_setter<kOf, &net::TcpStream::set_nodelay, "set_nodelay">(
        PyDoc_STR("set_nodelay($self, is_on, /)\n--\n\nHave small writes leave at once, or not.")),
    option_getter<kOf, &net::TcpStream::keepalive, "keepalive">(
        PyDoc_STR("keepalive($self)\n--\n\nWhen a silent peer is asked, or None.")),
    option_setter<kOf, &net::TcpStream::set_keepalive, "set_keepalive">(PyDoc_STR(
        "set_keepalive($self, keepalive, /)\n--\n\nHave a silent peer asked; None: never.")),
    option_getter<kOf, &net::TcpStream::linger, "linger">(
        PyDoc_STR("linger($self)\n--\n\nHow long what is unsent is sent on after closing.")),
    option_setter<kOf, &net::TcpStream::set_linger, "set_linger">(
        PyDoc_STR("set_linger($self, linger, /)\n--\n\nSet it; zero resets the connection.")),
    option_getter<kOf, &net::TcpStream::ttl, "ttl">(
        PyDoc_STR("ttl($self)\n--\n\nHow many routers a packet may pass.")),
    option_setter<kOf, &net::TcpStream::set_ttl, "set_ttl", kTtlRange>(
        PyDoc_STR("set_ttl($self, ttl, /)\n--\n\nSet it, from 1 to 255.")),
};

/// Of UdpSocket.
template <auto kOf>
inline const std::array kUdpOptionMethods{
    option_getter<kOf, &net::UdpSocket::broadcast, "broadcast">(
        PyDoc_STR("broadcast($self)\n--\n\nWhether it may send to broadcast addresses.")),
    option_setter<kOf, &net::UdpSocket::set_broadcast, "set_broadcast">(
        PyDoc_STR("set_broadcast($self, is_on, /)\n--\n\nAllow or forbid it.")),
    option_getter<kOf, &net::UdpSocket::ttl, "ttl">(
        PyDoc_STR("ttl($self)\n--\n\nHow many routers a datagram may pass.")),
    option_setter<kOf, &net::UdpSocket::set_ttl, "set_ttl", kTtlRange>(
        PyDoc_STR("set_ttl($self, ttl, /)\n--\n\nSet it, from 1 to 255.")),
    option_getter<kOf, &net::UdpSocket::multicast_ttl, "multicast_ttl">(
        PyDoc_STR("multicast_ttl($self)\n--\n\nHow many routers a multicast may pass.")),
    option_setter<kOf, &net::UdpSocket::set_multicast_ttl, "set_multicast_ttl", IntRange{0, 255}>(
        PyDoc_STR("set_multicast_ttl($self, ttl, /)\n--\n\nSet it, from 0 to 255.")),
    option_getter<kOf, &net::UdpSocket::multicast_loop, "multicast_loop">(
        PyDoc_STR("multicast_loop($self)\n--\n\nWhether this machine hears its own multicasts.")),
    option_setter<kOf, &net::UdpSocket::set_multicast_loop, "set_multicast_loop">(
        PyDoc_STR("set_multicast_loop($self, is_on, /)\n--\n\nHave it hear them, or not.")),
};

}  // namespace blitzio::python

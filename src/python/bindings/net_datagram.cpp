// The types UdpSocket and UnixDatagram.
#include <blitzio/net/udp.hpp>
#include <blitzio/net/unix.hpp>
#include <python/bindings/adopt.hpp>
#include <python/bindings/held_buffer.hpp>
#include <python/bindings/net.hpp>
#include <python/bindings/net_options.hpp>
#include <python/bindings/net_socket.hpp>
#include <python/support/integer.hpp>

#include <cerrno>
#include <climits>
#include <memory>

namespace blitzio::python {

namespace {

/// The longest that is received, asyncio's limit. None of UDP is longer; between processes the
/// sender's buffer decides.
constexpr std::size_t kDatagramBytesMax = 256 * 1024;

/// The thread's buffer, so that a waiting future holds none; its pages are touched only as far as
/// datagrams reach. A byte more than is received: one that was cut is told apart.
std::span<std::byte> scratch() {
  constexpr std::size_t kBytes = kDatagramBytesMax + 1;
  thread_local std::unique_ptr<std::byte[]> buffer;
  if (buffer == nullptr) buffer = std::make_unique_for_overwrite<std::byte[]>(kBytes);
  return {buffer.get(), kBytes};
}

template <class D>
D& socket_at(PyObject* self) noexcept {
  return Box<D>::of(self).value;
}
template <class D>
net::Socket& socket_of(PyObject* self) noexcept {
  return socket_at<D>(self);
}

/// Null with OSError set if there was more of the datagram.
PyObject* make_bytes(const std::byte* data, std::size_t count) noexcept {
  if (count > kDatagramBytesMax) return raise_error(Error::os(EMSGSIZE), "");
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(data),
                                   static_cast<Py_ssize_t>(count));
}

PyObject* make_received(ModuleState& state, const std::byte* data,
                        const net::Received& received) noexcept {
  const PyRef bytes = PyRef::steal(make_bytes(data, received.count));
  const PyRef from = PyRef::steal(make_address(state, received.from));
  return bytes && from ? PyTuple_Pack(2, bytes.get(), from.get()) : nullptr;
}

/// recv_from() and peek_from(), or recv() and peek() without the sender.
struct ReceiveKind {
  bool has_sender;
  bool peeks;
  [[nodiscard]] constexpr const char* name() const noexcept {
    if (peeks) return has_sender ? "peek_from" : "peek";
    return has_sender ? "recv_from" : "recv";
  }
};
constexpr ReceiveKind kRecv{.has_sender = false, .peeks = false};
constexpr ReceiveKind kRecvFrom{.has_sender = true, .peeks = false};
constexpr ReceiveKind kPeek{.has_sender = false, .peeks = true};
constexpr ReceiveKind kPeekFrom{.has_sender = true, .peeks = true};

/// That, now. True with what came, or null and an error set, in `*result`; false if nothing is
/// there.
template <ReceiveKind kKind>
bool receive_now(ModuleState& state, net::DatagramSocket& socket, std::span<std::byte> room,
                 PyObject** result) noexcept {
  if constexpr (kKind.has_sender) {
    const auto got = kKind.peeks ? socket.try_peek_from(room) : socket.try_recv_from(room);
    if (got && !*got) return false;
    *result = got ? make_received(state, room.data(), **got) : raise_error(got.error(), "");
  } else {
    const auto got = kKind.peeks ? socket.try_peek(room) : socket.try_recv(room);
    if (got && !*got) return false;
    *result = got ? make_bytes(room.data(), **got) : raise_error(got.error(), "");
  }
  return true;
}

template <ReceiveKind kKind>
class Receive {
 public:
  using Output = PyObject*;
  Receive(ModuleState& state, net::DatagramSocket& socket) noexcept
      : state_(&state), socket_(&socket), wait_(socket.async_fd(), IoDirection::read) {}
  Poll<PyObject*> poll(Context& context) {
    const std::span<std::byte> room = scratch();
    PyObject* result = nullptr;
    auto answer = wait_.poll(context, [&](int /*fd*/) noexcept -> IoAttempt {
      return {receive_now<kKind>(*state_, *socket_, room, &result) ? 0 : -EAGAIN};
    });
    if (answer.is_pending()) return pending;
    if (!answer.value()) return raise_io_error(answer.value().error(), kKind.name());
    return result;
  }

 private:
  ModuleState* state_;
  net::DatagramSocket* socket_;
  IoWait wait_;
};

/// send(), send_to().
class Send {
 public:
  using Output = PyObject*;
  Send(net::DatagramSocket& socket, HeldBuffer data, const Address& to) noexcept
      : data_(std::move(data)), send_(socket.send_to(data_.bytes(), to)) {}
  Poll<PyObject*> poll(Context& context) noexcept {
    auto answer = send_.poll(context);
    if (answer.is_pending()) return pending;
    if (!answer.value()) {
      return raise_io_error(answer.value().error(), "send");
    }
    return PyLong_FromSize_t(*answer.value());
  }
  int traverse(visitproc visit, void* arg) noexcept { return data_.traverse(visit, arg); }

 private:
  HeldBuffer data_;
  net::DatagramSend send_;
};

template <class D, ReceiveKind kKind>
PyObject* datagram_recv(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = state_of_box(self);
  using F = Receive<kKind>;
  return awaitable_new(state, kKind.name(), self,
                       OnDescriptor<F>(self, F(state, socket_at<D>(self))), AsIs());
}

template <class D, ReceiveKind kKind>
PyObject* datagram_try_recv(PyObject* self, PyObject* /*unused*/) {
  PyObject* result = nullptr;
  const ObjectLock lock(self);
  const bool is_there =
      receive_now<kKind>(state_of_box(self), socket_at<D>(self), scratch(), &result);
  return is_there ? result : Py_NewRef(Py_None);
}

/// The arguments of send_to(): data and an address.
bool parse_send_to(PyObject* self, const char* name, PyObject* const* args, Py_ssize_t count,
                   HeldBuffer* data, Address* to) noexcept {
  if (count != 2) {
    PyErr_Format(PyExc_TypeError, "%s() takes exactly 2 arguments (%zd given)", name, count);
    return false;
  }
  return data->hold(args[0], PyBUF_SIMPLE) && to_address(state_of_box(self), args[1], to);
}

template <class D>
PyObject* start_send(PyObject* self, HeldBuffer data, const Address& to) noexcept {
  ModuleState& state = state_of_box(self);
  return awaitable_new(state, "send", self,
                       OnDescriptor<Send>(self, Send(socket_at<D>(self), std::move(data), to)),
                       AsIs());
}
template <class D>
PyObject* datagram_send_to(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  HeldBuffer data;
  Address to;
  if (!parse_send_to(self, "send_to", args, count, &data, &to)) return nullptr;
  return start_send<D>(self, std::move(data), to);
}
template <class D>
PyObject* datagram_send(PyObject* self, PyObject* object) {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  return start_send<D>(self, std::move(data), Address());
}

template <class D>
PyObject* send_now(PyObject* self, const HeldBuffer& data, const Address& to) noexcept {
  const ObjectLock lock(self);
  const auto sent = socket_at<D>(self).try_send_to(data.bytes(), to);
  if (!sent) return raise_error(sent.error(), "try_send");
  if (!*sent) Py_RETURN_NONE;
  return PyLong_FromSize_t(**sent);
}
template <class D>
PyObject* datagram_try_send_to(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  HeldBuffer data;
  Address to;
  if (!parse_send_to(self, "try_send_to", args, count, &data, &to)) return nullptr;
  return send_now<D>(self, data, to);
}
template <class D>
PyObject* datagram_try_send(PyObject* self, PyObject* object) {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  return send_now<D>(self, data, Address());
}

template <class D>
PyObject* datagram_from_fd(PyObject* type, PyObject* object) {
  constexpr bool kIsLocal = std::is_same_v<D, net::UnixDatagram>;
  static constexpr SocketKind kKind{
      .name = kIsLocal ? "a Unix datagram socket" : "a UDP socket",
      .type = SOCK_DGRAM,
      .is_local = kIsLocal,
      .is_listening = false,
  };
  return socket_from_fd<D>(type, object, kKind, Box<D>::template make<D>);
}

template <class D>
PyObject* datagram_connect(PyObject* self, PyObject* where) {
  Address peer;
  if (!to_address(state_of_box(self), where, &peer)) return nullptr;
  const ObjectLock lock(self);
  return none_or_raise(socket_at<D>(self).connect(peer), "connect");
}

PyObject* udp_bind(PyObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"address", "reuse_address", "reuse_port", "v6_only",
                                         nullptr};
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  PyObject* where = nullptr;
  int reuse_address = 0;
  int reuse_port = 0;
  int v6_only = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$ppp:bind", const_cast<char**>(keywords),
                                   &where, &reuse_address, &reuse_port, &v6_only)) {
    return nullptr;
  }
  Address address;
  if (!to_address(state, where, false, &address)) return nullptr;
  auto socket = net::UdpSocket::bind(address, {.reuse_address = reuse_address != 0,
                                               .reuse_port = reuse_port != 0,
                                               .v6_only = v6_only != 0});
  if (!socket) return raise_error(socket.error(), "bind");
  return Box<net::UdpSocket>::make(state, state.udp_socket_type, std::move(*socket));
}

PyObject* unix_bind(PyObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"address", nullptr};
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  PyObject* where = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:bind", const_cast<char**>(keywords), &where)) {
    return nullptr;
  }
  Address address;
  if (where != nullptr && !to_address(state, where, true, &address)) return nullptr;
  auto socket = where == nullptr ? net::UnixDatagram::unbound() : net::UnixDatagram::bind(address);
  if (!socket) return raise_error(socket.error(), "bind");
  return Box<net::UnixDatagram>::make(state, state.unix_datagram_type, std::move(*socket));
}

PyObject* unix_pair(PyObject* type, PyObject* /*unused*/) {
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  auto pair = net::UnixDatagram::pair();
  if (!pair) return raise_error(pair.error(), "socketpair");
  using B = Box<net::UnixDatagram>;
  const PyRef one = PyRef::steal(B::make(state, state.unix_datagram_type, std::move(pair->first)));
  const PyRef other =
      PyRef::steal(B::make(state, state.unix_datagram_type, std::move(pair->second)));
  return one && other ? PyTuple_Pack(2, one.get(), other.get()) : nullptr;
}

template <bool kJoins>
PyObject* udp_membership(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"group", "interface", nullptr};
  PyObject* group_object = nullptr;
  PyObject* interface_object = nullptr;
  unsigned interface = 0;
  Address group;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:multicast", const_cast<char**>(keywords),
                                   &group_object, &interface_object) ||
      (interface_object != nullptr &&
       !parse_integer(interface_object, "interface", 0, INT_MAX, &interface))) {
    return nullptr;
  }
  if (!to_address(state_of_box(self), group_object, &group)) return nullptr;
  const ObjectLock lock(self);
  const net::UdpSocket& socket = socket_at<net::UdpSocket>(self);
  return kJoins ? none_or_raise(socket.join_multicast(group, interface), "join_multicast")
                : none_or_raise(socket.leave_multicast(group, interface), "leave_multicast");
}

template <class D>
const std::array kDatagramMethods{
    PyMethodDef{"from_fd", datagram_from_fd<D>, METH_O | METH_CLASS,
                PyDoc_STR("from_fd($type, fd, /)\n--\n\nTake over a socket.")},
    PyMethodDef{"recv_from", datagram_recv<D, kRecvFrom>, METH_NOARGS,
                PyDoc_STR("recv_from($self)\n--\n\nWait for a datagram. Gives (data, sender).")},
    PyMethodDef{"recv", datagram_recv<D, kRecv>, METH_NOARGS,
                PyDoc_STR("recv($self)\n--\n\nWait for a datagram.")},
    PyMethodDef{"try_recv_from", datagram_try_recv<D, kRecvFrom>, METH_NOARGS,
                PyDoc_STR("try_recv_from($self)\n--\n\nrecv_from() now; None if there is none.")},
    PyMethodDef{"try_recv", datagram_try_recv<D, kRecv>, METH_NOARGS,
                PyDoc_STR("try_recv($self)\n--\n\nrecv() now; None if there is none.")},
    PyMethodDef{"peek_from", datagram_recv<D, kPeekFrom>, METH_NOARGS,
                PyDoc_STR("peek_from($self)\n--\n\nrecv_from() that leaves it there.")},
    PyMethodDef{"peek", datagram_recv<D, kPeek>, METH_NOARGS,
                PyDoc_STR("peek($self)\n--\n\nrecv() that leaves it there.")},
    PyMethodDef{"try_peek_from", datagram_try_recv<D, kPeekFrom>, METH_NOARGS,
                PyDoc_STR("try_peek_from($self)\n--\n\npeek_from() now; None if there is none.")},
    PyMethodDef{"try_peek", datagram_try_recv<D, kPeek>, METH_NOARGS,
                PyDoc_STR("try_peek($self)\n--\n\npeek() now; None if there is none.")},
    PyMethodDef{"send_to", fast(datagram_send_to<D>), METH_FASTCALL,
                PyDoc_STR("send_to($self, data, address, /)\n--\n\nSend a datagram.")},
    PyMethodDef{"send", datagram_send<D>, METH_O,
                PyDoc_STR("send($self, data, /)\n--\n\nSend a datagram to the peer.")},
    PyMethodDef{"try_send_to", fast(datagram_try_send_to<D>), METH_FASTCALL,
                PyDoc_STR("try_send_to($self, data, address, /)\n--\n\n"
                          "send_to() now; None if there is no room.")},
    PyMethodDef{"try_send", datagram_try_send<D>, METH_O,
                PyDoc_STR("try_send($self, data, /)\n--\n\nsend() now; None if there is no room.")},
    PyMethodDef{"connect", datagram_connect<D>, METH_O,
                PyDoc_STR("connect($self, address, /)\n--\n\n"
                          "Send to this address, and receive from it alone, from now on.")},
    blocking_form<datagram_recv<D, kRecvFrom>, "blocking_recv_from">(
        PyDoc_STR("blocking_recv_from($self, timeout=None)\n--\n\nrecv_from() for threads.")),
    blocking_form<datagram_recv<D, kRecv>, "blocking_recv">(
        PyDoc_STR("blocking_recv($self, timeout=None)\n--\n\nrecv() for threads.")),
    blocking_form<datagram_recv<D, kPeekFrom>, "blocking_peek_from">(
        PyDoc_STR("blocking_peek_from($self, timeout=None)\n--\n\npeek_from() for threads.")),
    blocking_form<datagram_recv<D, kPeek>, "blocking_peek">(
        PyDoc_STR("blocking_peek($self, timeout=None)\n--\n\npeek() for threads.")),
    blocking_form<datagram_send_to<D>, "blocking_send_to", 2>(
        PyDoc_STR("blocking_send_to($self, data, address, /, *, timeout=None)\n--\n\nsend_to() for "
                  "threads.")),
    blocking_form<datagram_send<D>, "blocking_send", 1>(
        PyDoc_STR("blocking_send($self, data, /, *, timeout=None)\n--\n\nsend() for threads.")),
};

PyMethodDef udp_methods[] = {
    {"bind", with_keywords(udp_bind), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     PyDoc_STR("A socket at an address.")},
    {"join_multicast", with_keywords(udp_membership<true>), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("join_multicast($self, group, interface=0)\n--\n\nHear what is sent to a group.")},
    {"leave_multicast", with_keywords(udp_membership<false>), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("leave_multicast($self, group, interface=0)\n--\n\nNo longer hear it.")},
};
PyMethodDef unix_methods[] = {
    {"bind", with_keywords(unix_bind), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     PyDoc_STR("A socket at a path, or without one.")},
    {"pair", unix_pair, METH_NOARGS | METH_CLASS,
     PyDoc_STR("pair($type)\n--\n\nTwo that are connected with each other.")},
};

template <class D>
PyTypeObject* register_datagram(PyObject* module, const char* name, const char* doc,
                                std::span<const PyMethodDef> own,
                                std::span<const PyMethodDef> options = {}) noexcept {
  static auto methods =
      methods_of({kDatagramMethods<D>, kReadableMethods<socket_of<D>>,
                  kWritableMethods<socket_of<D>>, kDescriptorMethods<socket_of<D>>,
                  kRawOptionMethods<socket_of<D>>, kBufferMethods<socket_of<D>>, own, options});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(socket_repr<socket_of<D>>)},
      {0, nullptr},
  };
  return box_register<D>(module, {.name = name,
                                  .doc = doc,
                                  .methods = methods.data(),
                                  .attributes = socket_attributes<socket_of<D>>,
                                  .more = slots});
}

}  // namespace

int net_datagram_register(PyObject* module, ModuleState& state) noexcept {
  state.udp_socket_type = register_datagram<net::UdpSocket>(
      module, "blitzio.net.UdpSocket", "Datagrams over IP; see blitzio.net.", udp_methods,
      kUdpOptionMethods<socket_at<net::UdpSocket>>);
  state.unix_datagram_type = register_datagram<net::UnixDatagram>(
      module, "blitzio.net.UnixDatagram", "Datagrams between processes; see blitzio.net.",
      unix_methods);
  return state.udp_socket_type == nullptr || state.unix_datagram_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python

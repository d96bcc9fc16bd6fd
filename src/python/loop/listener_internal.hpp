// A listener's state, shared by listener.cpp and listener_connection.cpp. The design is in
// listener.hpp.
#pragma once

#include <blitzio/driver/operation.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/stream_transport.hpp>

#include <cstddef>
#include <span>

namespace blitzio::python {

class Listener;

struct AcceptOperation : driver::Operation {
  AcceptOperation(Listener& listener, Complete on_completion) noexcept
      : Operation(on_completion), owner(listener) {}
  Listener& owner;
};

/// The C++ part, made by __init__ and freed with the object.
class Listener {
 public:
  Listener(PyObject* object, driver::Operation::Complete on_accept_completion) noexcept
      : self(object), accept(*this, on_accept_completion), accept_reference(object) {}

  PyObject* self;              // borrowed
  LoopObject* loop = nullptr;  // strong, as all below; null only while __init__ fails
  PyObject* sock = nullptr;    // null once closed
  PyObject* factory = nullptr;
  PyObject* server = nullptr;
  PyObject* divert = nullptr;   // or null
  PyObject* context = nullptr;  // that of start(); each connection gets a copy
  PyObject* retry = nullptr;    // handle of the timer after EMFILE and its like, or null
  int fd = -1;
  int family = 0;
  int type = 0;
  int proto = 0;
  int backlog = 0;
  bool is_nodelay = false;  // connections inherit TCP_NODELAY
  bool is_attached = false;
  bool is_wanted = false;  // start() was called, and pause() or close() not since
  bool is_closed = false;
  AcceptOperation accept;
  InFlight accept_reference;  // linked while `accept` is in flight
};

/// Asks divert() who is to have the connection `fd`, and takes it if nobody else does. Owns it.
/// `from`: the peer's address, empty if it is not told.
void listener_on_connection(Listener& listener, int fd, std::span<const std::byte> from) noexcept;

/// Makes what a connection needs, in a context of its own: what the protocol factory sets there is
/// seen by this connection alone. Owns `fd`.
void listener_take_connection(Listener& listener, int fd, const StoredAddress& peer) noexcept;

}  // namespace blitzio::python

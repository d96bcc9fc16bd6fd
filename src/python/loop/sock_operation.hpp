// `SockOperation`: what sock_recv() and its siblings return: a coroutine without a Python frame.
//
//             send(None)            would block: yields a future
//   created ─────────────▶ running ──────────────────────────────▶ waiting
//      │                     │  ▲             send(None)             │ │
//      │                     │  └────────────────────────────────────┘ │
//      │ throw, close        │ result or error                         │ throw, close: abandons
//      └─────────────────────┴──────────▶ finished ◀───────────────────┘ the wait
//
// Like a coroutine it does nothing before its first send(None). Then it tries the syscall at once
// and, if that succeeds, no future is ever made; else it polls, and tries again when resumed. It
// has all that collections.abc.Coroutine asks for, so create_task, gather, wait_for and run accept
// it.
//
// While it waits it holds the socket open, as a file object made by makefile() does: close() takes
// effect when the operation is over. Else the number could come to stand for somebody else's
// connection, and the wait would end on one and the bytes be taken from the other. (The kernel
// keeps the connection itself for an io_uring poll in any case.)
//
// An exact socket.socket is served by the syscall itself; anything else with a socket's methods (a
// wrapper, a subclass that overrides them) is served by its methods. Several operations on one fd
// do not disturb one another.
//
// Threads: the loop's.
#pragma once

#include <python/loop/loop.hpp>
#include <python/loop/sock_wait.hpp>

namespace blitzio::python {

enum class SockKind : std::uint8_t {
  recv,
  recv_into,
  recvfrom,
  recvfrom_into,
  sendall,
  sendto,
  accept,
  connect,
  wait_writable,  ///< moves no data: sock_sendfile() waits with it
};

/// "sock_recv", …
[[nodiscard]] const char* name(SockKind kind) noexcept;

struct SockOperationObject {
  enum class State : std::uint8_t { created, running, waiting, finished };

  PyObject_HEAD LoopObject* loop;  ///< strong
  PyObject* sock;                  ///< strong; null once finished, as the next two
  PyObject* argument;              ///< byte count, buffer, data or connect()'s address; may be null
  PyObject* extra;                 ///< recvfrom_into: byte count; sendto: address; else null
  SockWait* wait;                  ///< state waiting, until the poll completes; else null
  Py_buffer view;                  ///< sendall: the data, while has_view
  Py_ssize_t count;                ///< bytes to receive, or bytes sent so far
  int fd;
  int poll_error;  ///< errno of a failed poll, or 0
  SockKind kind;
  State state;
  bool is_raw;  ///< served by syscalls
  bool has_view;
  bool holds_socket;   ///< counted in the socket's _io_refs
  bool is_connecting;  ///< connect() said EINPROGRESS
  bool wait_first;     ///< accept() on a blocking socket must not be tried before it is ready
};

[[nodiscard]] int sock_register(PyObject* module, ModuleState& state) noexcept;

/// A new operation in state created. References are added; `argument` and `extra` may be null.
[[nodiscard]] PyObject* sock_operation_new(LoopObject& loop, SockKind kind, PyObject* sock,
                                           PyObject* argument, PyObject* extra) noexcept;

/// Lets the socket go that the operation holds open, if it does.
void sock_release(SockOperationObject& operation) noexcept;

}  // namespace blitzio::python

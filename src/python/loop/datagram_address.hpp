// `KnownAddress`: one socket address in both of its forms, the kernel's and Python's.
//
// An endpoint mostly hears from, and answers, the peer it last dealt with. It keeps that peer's
// address, so that a datagram from it costs a comparison instead of a new tuple, and an answer to
// that tuple needs no parsing.
//
// Python's form is only kept if it cannot change: exact tuples of exact str and int, str, bytes.
// Threads: as the transport's.
#pragma once

#include <python/loop/sock_address.hpp>

namespace blitzio::python {

class KnownAddress {
 public:
  /// The object for what the kernel says. Null with an error set. The family must be a plain one.
  [[nodiscard]] PyRef object_for(const sockaddr_storage& address, socklen_t bytes) noexcept;

  /// Whether `object` is the very object that this address has.
  [[nodiscard]] bool is(PyObject* object) const noexcept { return object_.get() == object; }

  /// Remembers `object`, which asks for no look-up in any database: a numeric host, a path that
  /// fits. False, with no error set: this one is for the socket's own method, which either resolves
  /// it or says what is wrong with it.
  [[nodiscard]] bool parse(int family, PyObject* object) noexcept;

  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address_);
  }
  [[nodiscard]] socklen_t bytes() const noexcept { return bytes_; }

  int traverse(visitproc visit, void* arg) const noexcept;
  void clear() noexcept { object_.reset(); }

 private:
  sockaddr_storage address_{};
  socklen_t bytes_ = 0;
  PyRef object_;
};

}  // namespace blitzio::python

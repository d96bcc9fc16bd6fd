// As bare_server.cpp, but on an io_uring: the system call that waits brings along what has come to
// all connections, and there is a `send` for what each has to say.
//
// Not a server to use: a request is at most 16 KiB, and an exception ends it; see
// bare_connection.hpp for more.
#include "bare_connection.hpp"
#include "bare_ring.hpp"

#include <poll.h>

namespace {

using floors::Connection;

class Server {
 public:
  Server(const floors::Served& served, floors::Ring& r) : served_(served), r_(r) {}

  /// Returns false with an error set.
  bool serve() {
    bool is_good = watch(served_.listener, &served_.listener) &&
                   watch(served_.until, &served_.until) && served_.end_turn();
    while (is_good && !is_over_) is_good = turn();
    return is_good;
  }

 private:
  // Once.
  bool watch(int fd, void* subject) {
    io_uring_sqe* sqe = floors::next_entry(r_);
    if (sqe == nullptr) return false;
    io_uring_prep_poll_add(sqe, fd, POLLIN);
    io_uring_sqe_set_data(sqe, subject);
    return true;
  }

  // Until its end, or until no buffer is left.
  bool watch(Connection& connection) {
    io_uring_sqe* sqe = floors::next_entry(r_);
    if (sqe == nullptr) return false;
    floors::prepare_arrivals(sqe, connection.sender.fd);
    io_uring_sqe_set_data(sqe, &connection);
    return true;
  }

  bool turn() {
    const int code = io_uring_submit_and_wait(&r_.ring, 1);
    if (code == -EINTR) return PyErr_CheckSignals() == 0;
    if (code < 0) {
      errno = -code;
      PyErr_SetFromErrno(PyExc_OSError);
      return false;
    }
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&r_.ring, &cqe) == 0) {
      const io_uring_cqe event = *cqe;
      io_uring_cqe_seen(&r_.ring, cqe);
      if (!take(event)) return false;
    }
    return served_.end_turn();
  }

  bool take(const io_uring_cqe& event) {
    void* subject = io_uring_cqe_get_data(&event);
    if (subject == &served_.listener) return accept();
    if (subject != &served_.until) return read(*static_cast<Connection*>(subject), event);
    is_over_ = true;
    return true;
  }

  bool accept() {
    Connection* connection = served_.accepted();
    return connection != nullptr && watch(*connection) &&
           watch(served_.listener, &served_.listener);
  }

  bool read(Connection& connection, const io_uring_cqe& event) {
    if (event.res > 0) {
      const unsigned id = event.flags >> IORING_CQE_BUFFER_SHIFT;
      const bool is_good = floors::receive(connection, r_.buffer(id), event.res);
      r_.give_back(id);
      if (!is_good) return false;
    }
    if ((event.flags & IORING_CQE_F_MORE) != 0) return true;
    // No buffer was left, which by now are back; or it is its end.
    if (event.res > 0 || event.res == -ENOBUFS) return watch(connection);
    floors::ended.push_back(&connection);
    return true;
  }

  floors::Served served_;
  floors::Ring& r_;
  bool is_over_ = false;
};

PyObject* serve(PyObject* /*module*/, PyObject* args) {
  floors::Served served{};
  if (!served.parse(args)) return nullptr;
  floors::Ring* r = floors::the_ring();
  if (r == nullptr || !Server(served, *r).serve()) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace

PyMODINIT_FUNC PyInit_bare_ring_server() {
  return floors::make_server_module<serve>("bare_ring_server");
}

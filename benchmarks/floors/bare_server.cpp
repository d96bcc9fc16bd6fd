// The least that a server can do for a request on epoll: one `recv` for what has come to a
// connection, one `send` for what it has to say, and an `epoll_wait` that tells of all that are
// ready. What is ready to be called runs in between, on bare_loop.cpp. By edge, which spares the
// kernel to look at each socket once more: a request is read whole, so what is left to be told of
// is new.
//
// Not a server to use: a request is at most 64 KiB, and an exception ends it; see
// bare_connection.hpp for more.
#include "bare_connection.hpp"

namespace {

using floors::Connection;

constexpr std::size_t kEvents = 256;

class Server {
 public:
  explicit Server(const floors::Served& served) : served_(served) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { ::close(epoll_); }

  /// Returns false with an error set.
  bool serve() {
    bool is_good = watch(served_.listener, EPOLLIN, &served_.listener) &&
                   watch(served_.until, EPOLLIN, &served_.until) && served_.end_turn();
    while (is_good && !is_over_) is_good = turn();
    return is_good;
  }

 private:
  // Returns false with an error set.
  bool watch(int fd, std::uint32_t events, void* subject) {
    epoll_event event{.events = events, .data = {.ptr = subject}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return true;
    PyErr_SetFromErrno(PyExc_OSError);
    return false;
  }

  bool turn() {
    std::array<epoll_event, kEvents> events;
    const int count = ::epoll_wait(epoll_, events.data(), kEvents, -1);
    if (count < 0 && errno == EINTR) return PyErr_CheckSignals() == 0;
    for (int i = 0; i < count; ++i) {
      if (!take(events[static_cast<std::size_t>(i)])) return false;
    }
    return served_.end_turn();
  }

  bool take(const epoll_event& event) {
    if (event.data.ptr == &served_.listener) return accept();
    if (event.data.ptr != &served_.until) {
      return read(*static_cast<Connection*>(event.data.ptr), event.events);
    }
    is_over_ = true;
    return true;
  }

  bool accept() {
    Connection* connection = served_.accepted();
    return connection != nullptr &&
           watch(connection->sender.fd, EPOLLIN | EPOLLRDHUP | EPOLLET, connection);
  }

  static bool read(Connection& connection, std::uint32_t events) {
    std::array<char, floors::kMessageBytes> buffer;
    const ssize_t count = ::recv(connection.sender.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0 && !floors::receive(connection, buffer.data(), count)) return false;
    const bool is_told_of_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (count <= 0 || is_told_of_end) floors::ended.push_back(&connection);
    return true;
  }

  floors::Served served_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  bool is_over_ = false;
};

PyObject* serve(PyObject* /*module*/, PyObject* args) {
  floors::Served served{};
  if (!served.parse(args) || !Server(served).serve()) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace

PyMODINIT_FUNC PyInit_bare_server() {
  return floors::make_server_module<serve>("bare_server");
}

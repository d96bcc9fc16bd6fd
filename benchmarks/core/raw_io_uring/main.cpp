// bench_raw_io_uring PORT [WORKERS]: an echo server on liburing as a C programmer would write it:
// multishot accept, multishot recv into a ring of provided buffers, the same buffer sent back, one
// io_uring_enter per turn; a ring and a listener per thread.
//
// One send per connection is under way at a time, so that bytes stay in order; what arrives
// meanwhile waits in its buffers.
#include "../common/listen.hpp"

#include <liburing.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

namespace blitzio::bench {
namespace {

constexpr unsigned kEntries = 4'096;
constexpr unsigned kBuffers = 2'048;
constexpr std::size_t kBufferBytes = 16 * 1024;

struct Piece {
  unsigned buffer;
  unsigned bytes;
  unsigned sent = 0;
};

struct Connection {
  OwnedFd fd;
  std::deque<Piece> pieces;  ///< to be sent; of the first a send is under way
  bool is_receiving = true;
  bool is_sending = false;
  bool is_starved = false;  ///< its recv ended because there was no buffer
};

// What a completion is about: a connection's address with one of these in its low bits; 0: accept.
constexpr std::uintptr_t kRecv = 1;
constexpr std::uintptr_t kSend = 2;
constexpr std::uintptr_t kKind = 3;

class Server {
 public:
  explicit Server(OwnedFd listener) : listener_(std::move(listener)) {}

  [[noreturn]] void run() {
    set_up();
    arm_accept();
    for (;;) {
      const int entered = io_uring_submit_and_wait(&ring_, 1);
      require(entered >= 0 || entered == -EINTR || entered == -EBUSY, "io_uring_submit_and_wait");
      unsigned head = 0;
      unsigned seen = 0;
      io_uring_cqe* cqe = nullptr;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        ++seen;
        handle(*cqe);
      }
      io_uring_cq_advance(&ring_, seen);
      if (returned_ == 0) continue;
      io_uring_buf_ring_advance(pool_, std::exchange(returned_, 0));
      revive_starved();
    }
  }

 private:
  // On the thread that runs it, to which a ring with one issuer belongs.
  void set_up() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = 4 * kEntries;
    errno = -io_uring_queue_init_params(kEntries, &ring_, &params);
    require(errno == 0, "io_uring_queue_init_params");
    io_uring_register_ring_fd(&ring_);
    void* memory = nullptr;
    require(::posix_memalign(&memory, 4'096, kBuffers * sizeof(io_uring_buf)) == 0,
            "posix_memalign");
    pool_ = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(pool_);
    registration.ring_entries = kBuffers;
    errno = -io_uring_register_buf_ring(&ring_, &registration, 0);
    require(errno == 0, "io_uring_register_buf_ring");
    io_uring_buf_ring_init(pool_);
    for (unsigned id = 0; id < kBuffers; ++id) give_back(id);
  }

  [[nodiscard]] char* buffer(unsigned id) const {
    return buffers_.get() + std::size_t{id} * kBufferBytes;
  }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(pool_, buffer(id), kBufferBytes, static_cast<unsigned short>(id),
                          io_uring_buf_ring_mask(kBuffers), returned_++);
  }

  [[nodiscard]] io_uring_sqe* next_sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    require(sqe != nullptr, "io_uring_get_sqe");
    return sqe;
  }
  void arm_accept() {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    sqe->user_data = 0;
  }
  void arm_recv(Connection& connection) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, connection.fd.get(), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&connection) | kRecv;
  }
  void send_first(Connection& connection) {
    const Piece& piece = connection.pieces.front();
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, connection.fd.get(), buffer(piece.buffer) + piece.sent,
                       piece.bytes - piece.sent, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&connection) | kSend;
    connection.is_sending = true;
  }

  void handle(const io_uring_cqe& cqe) {
    if (cqe.user_data == 0) {
      accepted(cqe);
      return;
    }
    auto& connection = *reinterpret_cast<Connection*>(cqe.user_data & ~kKind);
    if ((cqe.user_data & kKind) == kRecv) {
      received(connection, cqe);
    } else {
      sent(connection, cqe.res);
    }
    if (!connection.is_receiving && !connection.is_sending && !connection.is_starved) {
      delete &connection;
    }
  }
  void accepted(const io_uring_cqe& cqe) {
    if (cqe.res >= 0) {
      set_no_delay(cqe.res);
      arm_recv(*new Connection{OwnedFd::adopt(cqe.res), {}});
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm_accept();
  }
  void received(Connection& connection, const io_uring_cqe& cqe) {
    if (cqe.res > 0) {
      connection.pieces.push_back(
          {cqe.flags >> IORING_CQE_BUFFER_SHIFT, static_cast<unsigned>(cqe.res)});
      if (!connection.is_sending) send_first(connection);
    }
    if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
    connection.is_receiving = false;
    if (cqe.res == -ENOBUFS) {
      connection.is_starved = true;
      starved_.push_back(&connection);
    } else if (cqe.res > 0) {
      connection.is_receiving = true;
      arm_recv(connection);
    }
  }
  void sent(Connection& connection, int result) {
    connection.is_sending = false;
    Piece& piece = connection.pieces.front();
    if (result >= 0) {
      piece.sent += static_cast<unsigned>(result);
      if (piece.sent < piece.bytes) {
        send_first(connection);
        return;
      }
      give_back(piece.buffer);
      connection.pieces.pop_front();
      if (!connection.pieces.empty()) send_first(connection);
      return;
    }
    // The peer is gone: so is what it would have got.
    for (const Piece& left : connection.pieces) give_back(left.buffer);
    connection.pieces.clear();
  }
  // After buffers were given back.
  void revive_starved() {
    for (Connection* connection : std::exchange(starved_, {})) {
      connection->is_starved = false;
      connection->is_receiving = true;
      arm_recv(*connection);
    }
  }

  OwnedFd listener_;
  io_uring ring_{};
  io_uring_buf_ring* pool_ = nullptr;
  std::unique_ptr<char[]> buffers_ =
      std::make_unique_for_overwrite<char[]>(kBuffers * kBufferBytes);
  std::vector<Connection*> starved_;
  int returned_ = 0;
};

}  // namespace
}  // namespace blitzio::bench

int main(int count, char** words) {
  using namespace blitzio::bench;  // NOLINT(google-build-using-namespace): the program's own names
  ServerArguments arguments = parse_server_arguments(count, words);
  allow_many_files();
  std::vector<std::unique_ptr<Server>> servers;
  for (unsigned i = 0; i == 0 || i < arguments.workers; ++i) {
    servers.push_back(std::make_unique<Server>(listen_on(arguments.port)));
  }
  say_port(arguments.port);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < servers.size(); ++i) {
    threads.emplace_back([&server = *servers[i]] { server.run(); });
  }
  servers.front()->run();
}

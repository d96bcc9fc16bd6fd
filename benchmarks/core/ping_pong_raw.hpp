// The limit: the same game as a C programmer would write it, without an operation, a list or a
// virtual call between the kernel and the rules. See ping_pong.hpp.
#pragma once

#include "ping_pong.hpp"

#include <sys/epoll.h>

#if BLITZIO_HAS_IO_URING
#include <liburing.h>
#endif

#include <cstring>

namespace blitzio::bench {

/// epoll, level-triggered: one epoll_wait per batch, one recv and one send per message.
inline void play_raw_epoll(benchmark::State& state, Transport transport, std::size_t count) {
  const auto connections = connect_pairs(transport, count);
  auto players = players_of(connections);
  const OwnedFd epoll = OwnedFd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  for (Player& player : players) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &player;
    require(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, player.fd, &event) == 0, "epoll_ctl");
    if (player.is_client) send_now(player.fd, kMessage.data(), kMessage.size());
  }
  const auto buffer = std::make_unique<std::byte[]>(64 * 1024);
  std::array<epoll_event, 256> events;
  std::size_t trips = 0;
  play(state, count, trips, [&] {
    const int ready = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
    for (int i = 0; i < ready; ++i) {
      Player& player = *static_cast<Player*>(events[static_cast<std::size_t>(i)].data.ptr);
      const ssize_t n = ::recv(player.fd, buffer.get(), 64 * 1024, MSG_DONTWAIT);
      require(n > 0, "recv");
      const auto out = player.on_piece({buffer.get(), static_cast<std::size_t>(n)}, trips);
      if (!out.empty()) send_now(player.fd, out.data(), out.size());
    }
  });
}

#if BLITZIO_HAS_IO_URING

/// io_uring: multishot recv into a ring of provided buffers, deferred task work, one enter per
/// turn. Sends at once, or queued on the ring (then answered from a copy, as the buffer goes back).
inline void play_raw_uring(benchmark::State& state, Transport transport, std::size_t count,
                           bool queued_sends) {
  constexpr unsigned kBuffers = 256;
  constexpr unsigned kBufferBytes = 16 * 1024;
  constexpr std::uint64_t kSent = ~std::uint64_t{0};
  const auto connections = connect_pairs(transport, count);
  auto players = players_of(connections);
  std::vector<std::array<std::byte, kMessageBytes>> copies(players.size());

  io_uring ring{};
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = 4096;
  errno = -io_uring_queue_init_params(1024, &ring, &params);
  require(errno == 0, "io_uring_queue_init_params");
  io_uring_register_ring_fd(&ring);

  void* memory = nullptr;
  require(::posix_memalign(&memory, 4096, kBuffers * sizeof(io_uring_buf)) == 0, "posix_memalign");
  auto* const pool = static_cast<io_uring_buf_ring*>(memory);
  const auto buffers = std::make_unique<std::byte[]>(std::size_t{kBuffers} * kBufferBytes);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(pool);
  registration.ring_entries = kBuffers;
  errno = -io_uring_register_buf_ring(&ring, &registration, 0);
  require(errno == 0, "io_uring_register_buf_ring");
  io_uring_buf_ring_init(pool);
  const int mask = io_uring_buf_ring_mask(kBuffers);
  for (unsigned id = 0; id < kBuffers; ++id) {
    io_uring_buf_ring_add(pool, buffers.get() + std::size_t{id} * kBufferBytes, kBufferBytes,
                          static_cast<unsigned short>(id), mask, static_cast<int>(id));
  }
  io_uring_buf_ring_advance(pool, kBuffers);

  const auto next_sqe = [&] {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    if (sqe == nullptr) {
      io_uring_submit(&ring);
      sqe = io_uring_get_sqe(&ring);
    }
    require(sqe != nullptr, "io_uring_get_sqe");
    return sqe;
  };
  const auto arm_recv = [&](std::size_t index) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, players[index].fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = index;
  };
  const auto send = [&](std::size_t index, std::span<const std::byte> out) {
    if (!queued_sends) {
      send_now(players[index].fd, out.data(), out.size());
      return;
    }
    std::memcpy(copies[index].data(), out.data(), out.size());
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, players[index].fd, copies[index].data(), out.size(), MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = kSent;
  };

  for (std::size_t i = 0; i < players.size(); ++i) {
    arm_recv(i);
    if (players[i].is_client) send_now(players[i].fd, kMessage.data(), kMessage.size());
  }
  std::size_t trips = 0;
  play(state, count, trips, [&] {
    io_uring_submit_and_wait(&ring, 1);
    unsigned head = 0;
    unsigned seen = 0;
    int returned = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring, head, cqe) {
      ++seen;
      if (cqe->user_data == kSent) {
        require(cqe->res >= 0, "send");
        continue;
      }
      const auto index = static_cast<std::size_t>(cqe->user_data);
      if (cqe->res > 0) {
        const unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        std::byte* const data = buffers.get() + std::size_t{id} * kBufferBytes;
        const auto out = players[index].on_piece({data, static_cast<std::size_t>(cqe->res)}, trips);
        if (!out.empty()) send(index, out);
        io_uring_buf_ring_add(pool, data, kBufferBytes, static_cast<unsigned short>(id), mask,
                              returned++);
      } else {
        require(cqe->res == -ENOBUFS, "recv");
      }
      if ((cqe->flags & IORING_CQE_F_MORE) == 0) arm_recv(index);
    }
    io_uring_cq_advance(&ring, seen);
    io_uring_buf_ring_advance(pool, returned);
  });
  io_uring_queue_exit(&ring);
  std::free(memory);
}

#endif

}  // namespace blitzio::bench

// What waits on a ring shares: an io_uring of the process and the buffers that it receives into.
#pragma once

#include <Python.h>

#include <liburing.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace floors {

constexpr unsigned kEntries = 256;
constexpr unsigned kBuffers = 64;
constexpr std::size_t kBufferBytes = 16 * 1024;

/// The process's ring and its buffers, made when it is first asked for; they go with the process.
struct Ring {
  io_uring ring;
  io_uring_buf_ring* pool;
  char* buffers;
  std::uint64_t last_id;

  [[nodiscard]] char* buffer(unsigned id) const { return buffers + id * kBufferBytes; }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(pool, buffer(id), kBufferBytes, static_cast<unsigned short>(id),
                          io_uring_buf_ring_mask(kBuffers), 0);
    io_uring_buf_ring_advance(pool, 1);
  }
};

/// Returns 0 or an errno.
inline int set_up(Ring& r) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (const int code = io_uring_queue_init_params(kEntries, &r.ring, &params)) return -code;
  io_uring_register_ring_fd(&r.ring);
  constexpr std::size_t kPage = 4'096;
  r.pool = static_cast<io_uring_buf_ring*>(std::aligned_alloc(kPage, kPage));
  r.buffers = static_cast<char*>(std::aligned_alloc(kPage, kBuffers * kBufferBytes));
  if (r.pool == nullptr || r.buffers == nullptr) return ENOMEM;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(r.pool);
  registration.ring_entries = kBuffers;
  if (const int code = io_uring_register_buf_ring(&r.ring, &registration, 0)) return -code;
  io_uring_buf_ring_init(r.pool);
  for (unsigned id = 0; id < kBuffers; ++id) r.give_back(id);
  return 0;
}

/// Null with OSError set.
inline Ring* the_ring() {
  static Ring ring;
  static const int code = set_up(ring);
  if (code == 0) return &ring;
  errno = code;
  PyErr_SetFromErrno(PyExc_OSError);
  return nullptr;
}

/// An empty entry of the ring. Null with RuntimeError set.
inline io_uring_sqe* next_entry(Ring& r) {
  io_uring_sqe* sqe = io_uring_get_sqe(&r.ring);
  if (sqe == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "more at a time than the ring has entries");
  }
  return sqe;
}

/// Has the bytes that come to `fd` brought along, as they come, in buffers of the ring.
inline void prepare_arrivals(io_uring_sqe* sqe, int fd) {
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
}

}  // namespace floors

// The dispatch half of ReadinessDriver: finishes what is done and performs multishot operations.
//
// A completion function may cancel its own operation, and cancel, submit or destroy others. So an
// operation is put where it belongs before its function runs, and after each function only the
// phase of the operation itself (alive until its last completion) is looked at.
#include <blitzio/driver/readiness/readiness_driver.hpp>

#include <poll.h>

#include <cerrno>

namespace blitzio::driver::readiness {

void ReadinessDriver::run(Operation& operation) noexcept {
  if (operation.backend_word == kDone) {
    finish(operation, {operation.backend_result, false, {}});
    return;
  }
  BLITZIO_CHECK(operation.backend_word == kRunnable, operation.backend_word, operation.kind());
  operation.backend_word = kRunning;
  switch (operation.kind()) {
    case OpKind::read_multishot:
    case OpKind::recv_multishot:
      run_arrivals(operation);
      return;
    case OpKind::accept_multishot:
      run_accept(operation);
      return;
    default:
      run_poll(operation);
      return;
  }
}

bool ReadinessDriver::report(Operation& operation, const Completion& completion) noexcept {
  finish(operation, completion);
  // After a nested shutdown() the operation is complete, and perhaps gone.
  if (shutting_down_ || operation.backend_word != kRunning) return false;
  if (BLITZIO_LIKELY(!in_child())) return true;
  // The completion function forked, and what the descriptor still has is for the parent.
  to_done(operation, -ECANCELED);
  return false;
}

void ReadinessDriver::run_arrivals(Operation& operation) noexcept {
  const int fd = operation.fd();
  for (int turn = 1;; ++turn) {
    const std::span<std::byte> buffer{receive_buffer_.get(), kReceiveBytes};
    FdEntry* entry = table_.find(fd);
    const bool is_recv = operation.kind() == OpKind::recv_multishot;
    const ShortRead short_read =
        entry == nullptr || !is_recv ? ShortRead::says_nothing : ask(*entry, fd);
    bool took_fds = false;
    const std::int32_t result = short_read == ShortRead::drains_unless_it_took_fds
                                    ? receive(fd, buffer, took_fds)
                                    : receive(operation, buffer);
    if (result == kWouldBlock) {
      if (entry != nullptr) entry->note_drained();
      wait_again(operation);
      return;
    }
    if (result <= 0) {
      wake_next_reader(fd);
      finish(operation, {result, false, {}});
      return;
    }
    const auto count = static_cast<std::size_t>(result);
    const bool is_drained =
        count < kReceiveBytes && short_read >= kMayDrain && !took_fds && !entry->may_hide_more();
    if (is_drained) {
      entry->note_drained();
      wait_again(operation);
    } else if (turn == kReceivesPerTurn) {
      to_runnable(operation);
    }
    if (!report(operation, {result, true, buffer.first(count)})) return;
  }
}

void ReadinessDriver::run_accept(Operation& operation) noexcept {
  for (int turn = 1;; ++turn) {
    AddressBuffer peer;
    const std::int32_t result = accept(operation, peer);
    if (result == kWouldBlock) {
      FdEntry* entry = table_.find(operation.fd());
      if (entry != nullptr) entry->read_ready = false;
      wait_again(operation);
      return;
    }
    if (result < 0) {
      wake_next_reader(operation.fd());
      finish(operation, {result, false, {}});
      return;
    }
    if (turn == kAcceptsPerTurn) to_runnable(operation);
    if (!report(operation, {result, true, peer.bytes()})) return;
    // One connection at a time is the common case, and an accept(2) that finds none has made a
    // socket in vain: asking first costs a fifth.
    if (turn == 1 && ready_now(operation.fd(), POLLIN) == kWouldBlock) {
      if (FdEntry* entry = table_.find(operation.fd())) entry->read_ready = false;
      wait_again(operation);
      return;
    }
  }
}

void ReadinessDriver::run_poll(Operation& operation) noexcept {
  FdEntry& entry = *table_.find(operation.fd());
  --entry.runnable_pollers;
  const std::uint32_t wanted = operation.args().poll.events | POLLERR | POLLHUP;
  const std::int32_t ready =
      operation.backend_result | static_cast<std::int32_t>(entry.missed & wanted);
  wait_for(operation, entry, false);
  finish(operation, {ready, true, {}});
}

}  // namespace blitzio::driver::readiness

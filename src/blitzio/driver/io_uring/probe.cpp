#include <blitzio/driver/io_uring/probe.hpp>

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/io_uring/buffer_ring.hpp>
#include <blitzio/driver/io_uring/prepare.hpp>
#include <blitzio/driver/io_uring/ring.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

namespace blitzio::driver::io_uring {

namespace {

std::string error_text(int code) {
  return std::generic_category().message(code);
}

/// The digit of the sysctl, which kernels before 6.6 do not have. A stream of the standard library
/// would bring its locales into each process that may not use io_uring, as in most containers.
char disabled_by_sysctl() noexcept {
  const OwnedFd file =
      OwnedFd::adopt(::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC));
  char digit = '0';
  return file && ::read(file.get(), &digit, 1) == 1 ? digit : '0';
}

// Which task-running flags to ask for, best first: each rung needs an older kernel than the one
// above it.
constexpr std::array<std::uint32_t, 3> kSetupLadder = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,  // 6.1
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,   // 6.0
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,                                // 5.19
};

struct NamedFeature {
  std::uint32_t bit;
  std::string_view name;
};
constexpr std::array kRequiredFeatures = {
    NamedFeature{IORING_FEAT_NODROP, "completions kept on overflow"},
    NamedFeature{IORING_FEAT_SUBMIT_STABLE, "stable submissions"},
    NamedFeature{IORING_FEAT_RW_CUR_POS, "reading at the file's position"},
    NamedFeature{IORING_FEAT_FAST_POLL, "internal polling"},
    NamedFeature{IORING_FEAT_EXT_ARG, "waiting with a timeout"},
    NamedFeature{IORING_FEAT_CQE_SKIP, "success without a completion"},
};

struct NamedOpcode {
  int opcode;
  std::string_view name;
};
constexpr std::array kRequiredOpcodes = {
    NamedOpcode{IORING_OP_NOP, "nop"},
    NamedOpcode{IORING_OP_READ, "read"},
    NamedOpcode{IORING_OP_WRITE, "write"},
    NamedOpcode{IORING_OP_READV, "readv"},
    NamedOpcode{IORING_OP_WRITEV, "writev"},
    NamedOpcode{IORING_OP_OPENAT, "openat"},
    NamedOpcode{IORING_OP_CLOSE, "close"},
    NamedOpcode{IORING_OP_FSYNC, "fsync"},
    NamedOpcode{IORING_OP_STATX, "statx"},
    NamedOpcode{IORING_OP_MKDIRAT, "mkdirat"},
    NamedOpcode{IORING_OP_RENAMEAT, "renameat"},
    NamedOpcode{IORING_OP_UNLINKAT, "unlinkat"},
    NamedOpcode{IORING_OP_ACCEPT, "accept"},
    NamedOpcode{IORING_OP_CONNECT, "connect"},
    NamedOpcode{IORING_OP_RECV, "recv"},
    NamedOpcode{IORING_OP_SEND, "send"},
    NamedOpcode{IORING_OP_SENDMSG, "sendmsg"},
    NamedOpcode{IORING_OP_RECVMSG, "recvmsg"},
    NamedOpcode{IORING_OP_POLL_ADD, "poll"},
    NamedOpcode{IORING_OP_TIMEOUT, "timeout"},
    NamedOpcode{IORING_OP_ASYNC_CANCEL, "cancel"},
};

// Submits what is prepared and takes the first completion that has this `user_data`.
Result<Cqe> run(Ring& ring, std::uint64_t user_data = 0) noexcept {
  __kernel_timespec limit{1, 0};
  for (int turn = 0; turn < 8; ++turn) {
    while (ring.has_completions()) {
      const Cqe cqe = ring.take();
      if (cqe.user_data == user_data) return cqe;
    }
    const int result = ring.enter(1, &limit);
    if (result < 0 && result != -EINTR && result != -ETIME) return fail(Error::os(-result));
  }
  return fail(Error::os(ETIME));
}

bool has_opcode(Ring& ring, int opcode) noexcept {
  const std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)> opcodes(
      io_uring_get_probe_ring(&ring.raw()), &io_uring_free_probe);
  return opcodes && io_uring_opcode_supported(opcodes.get(), opcode) != 0;
}

// A receive that stays armed after its first bytes.
bool has_multishot_recv(Ring& ring) noexcept {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  const OwnedFd reader = OwnedFd::adopt(pair[0]);
  const OwnedFd writer = OwnedFd::adopt(pair[1]);
  if (::send(writer.get(), "x", 1, MSG_NOSIGNAL) != 1) return false;
  io_uring_sqe* sqe = ring.next_sqe();
  if (sqe == nullptr) return false;
  *sqe = {};
  io_uring_prep_recv(sqe, reader.get(), nullptr, 0, 0);
  sqe->ioprio |= IORING_RECV_MULTISHOT;
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  const auto cqe = run(ring);
  return cqe && cqe->result == 1 && (cqe->flags & IORING_CQE_F_MORE) != 0;
}

// A read that stays armed, and that brings both of two packets: of two that come before it is woken
// kernels of early 6.7 leave the second one behind until there is a third.
bool has_multishot_read(Ring& ring) noexcept {
  if (!has_opcode(ring, kOpReadMultishot)) return false;
  constexpr std::uint64_t kTrial = 1 << 3;  // Others than this one's may still complete.
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_DIRECT | O_NONBLOCK | O_CLOEXEC) != 0) return false;
  const OwnedFd reader = OwnedFd::adopt(ends[0]);
  const OwnedFd writer = OwnedFd::adopt(ends[1]);
  io_uring_sqe* sqe = ring.next_sqe();
  if (sqe == nullptr) return false;
  *sqe = {};
  io_uring_prep_rw(kOpReadMultishot, sqe, reader.get(), nullptr, 0, ~std::uint64_t{0});
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  sqe->user_data = kTrial;
  if (ring.enter(0, nullptr) < 0) return false;
  for (int i = 0; i < 2; ++i) {
    if (::write(writer.get(), "x", 1) != 1) return false;
  }
  const auto is_one = [](const Cqe& cqe) {
    return cqe.user_data == kTrial && cqe.result == 1 && (cqe.flags & IORING_CQE_F_MORE) != 0;
  };
  const auto first = run(ring, kTrial);
  if (!first || !is_one(*first)) return false;
  // Both come with one look, or the second does not.
  while (ring.has_completions()) {
    if (is_one(ring.take())) return true;
  }
  return false;
}

// An accept that stays armed after its first connection.
bool has_multishot_accept(Ring& ring) noexcept {
  const OwnedFd listener = OwnedFd::adopt(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const OwnedFd client = OwnedFd::adopt(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener || !client) return false;
  // Binding the bare family lets the kernel choose an unused abstract name.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (::bind(listener.get(), generic, sizeof address.sun_family) != 0 ||
      ::listen(listener.get(), 1) != 0 || ::getsockname(listener.get(), generic, &length) != 0 ||
      ::connect(client.get(), generic, length) != 0) {
    return false;
  }
  io_uring_sqe* sqe = ring.next_sqe();
  if (sqe == nullptr) return false;
  *sqe = {};
  io_uring_prep_multishot_accept(sqe, listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
  const auto cqe = run(ring);
  if (!cqe || cqe->result < 0) return false;
  const OwnedFd accepted = OwnedFd::adopt(cqe->result);
  return (cqe->flags & IORING_CQE_F_MORE) != 0;
}

bool has_incremental_buffers(Ring& ring) noexcept {
  constexpr std::uint16_t kTrialGroup = kBufferGroup + 1;
  Mapping entries;
  if (!entries.map(2 * sizeof(io_uring_buf))) return false;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries.data());
  registration.ring_entries = 2;
  registration.bgid = kTrialGroup;
  registration.pad = kBufferRingIncremental;
  if (io_uring_register_buf_ring(&ring.raw(), &registration, 0) < 0) return false;
  io_uring_unregister_buf_ring(&ring.raw(), kTrialGroup);
  return true;
}

// What is missing for the driver to work at all; empty if nothing is.
std::string missing_requirement(Ring& ring) {
  for (const auto& [bit, name] : kRequiredFeatures) {
    if ((ring.raw().features & bit) == 0) {
      return "the kernel's io_uring is too old: it lacks " + std::string(name);
    }
  }
  const std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)> opcodes(
      io_uring_get_probe_ring(&ring.raw()), &io_uring_free_probe);
  if (!opcodes)
    return "io_uring_register: the kernel or a seccomp filter refuses to list operations";
  for (const auto& [opcode, name] : kRequiredOpcodes) {
    if (io_uring_opcode_supported(opcodes.get(), opcode) == 0) {
      return "the kernel's io_uring lacks the operation " + std::string(name);
    }
  }
  return {};
}

// Opens `ring` with the best flags that work. Returns them, or what the least demanding rung said.
Result<std::uint32_t> open_best(Ring& ring) noexcept {
  Error last = Error::os(ENOSYS);
  for (const std::uint32_t flags : kSetupLadder) {
    const auto opened = ring.open(8, flags);
    if (opened) return flags;
    last = opened.error();
    // Only EINVAL speaks of the flags; anything else would be the same on the next rung.
    if (!last.is_os(EINVAL)) break;
  }
  return fail(last);
}

ProbeResult probe_now() {
  ProbeResult out;
  Ring ring;
  const auto flags = open_best(ring);
  if (!flags) {
    out.reason = flags.error().is_os(EINVAL)
                     ? "the kernel's io_uring is too old: it lacks cooperative task running"
                     : setup_failure(flags.error().code());
    return out;
  }
  out.reason = missing_requirement(ring);
  if (!out.reason.empty()) return out;
  if (const auto enabled = ring.enable(false); !enabled) {
    out.reason = "io_uring_register: " + enabled.error().message();
    return out;
  }
  BufferRing buffers(4096, 4, 4);  // One for each arrival of the trials.
  if (const auto attached = buffers.attach(ring, {}); !attached) {
    out.reason = attached.error().is_os(EINVAL)
                     ? "the kernel's io_uring is too old: it lacks provided-buffer rings"
                     : setup_failure(attached.error().code());
    ring.leave_thread();
    return out;
  }
  io_uring_sqe* sqe = ring.next_sqe();
  *sqe = {};
  io_uring_prep_nop(sqe);
  if (const auto cqe = run(ring); !cqe) {
    out.reason = "io_uring_enter: " + cqe.error().message();
    ring.leave_thread();
    return out;
  }
  Features& features = out.features;
  features.single_issuer = (*flags & IORING_SETUP_SINGLE_ISSUER) != 0;
  features.defer_taskrun = (*flags & IORING_SETUP_DEFER_TASKRUN) != 0;
  features.registered_ring_fd = ring.register_fd();
  features.msg_ring = has_opcode(ring, IORING_OP_MSG_RING);
  features.recv_send_bundle = (ring.raw().features & kFeatRecvSendBundle) != 0;
  features.incremental_buffers = has_incremental_buffers(ring);
  features.multishot_accept = has_multishot_accept(ring);
  features.multishot_recv = has_multishot_recv(ring);
  features.multishot_read = has_multishot_read(ring);
  // What the trials left armed ends before the memory it would use goes.
  prepare_cancel_all(*ring.next_sqe());
  ring.enter(0, nullptr);
  ring.leave_thread();
  out.usable = true;
  return out;
}

}  // namespace

std::vector<std::string> Features::names() const {
  std::vector<std::string> out;
  const auto add = [&](bool present, const char* name) {
    if (present) out.emplace_back(name);
  };
  add(single_issuer, "single_issuer");
  add(defer_taskrun, "defer_taskrun");
  add(registered_ring_fd, "registered_ring_fd");
  add(multishot_accept, "multishot_accept");
  add(multishot_recv, "multishot_recv");
  add(multishot_read, "multishot_read");
  add(true, "provided_buffer_rings");
  add(true, "cqe_skip");
  add(msg_ring, "msg_ring");
  add(recv_send_bundle, "send_bundle");
  add(recv_send_bundle, "recv_bundle");
  add(incremental_buffers, "incremental_buffers");
  return out;
}

const ProbeResult& probe() noexcept {
  static const ProbeResult result = probe_now();
  return result;
}

std::string setup_failure(int code) {
  const std::string what = "io_uring_setup: " + error_text(code) + "; ";
  switch (code) {
    case ENOSYS:
      return what + "this kernel has no io_uring";
    case EPERM: {
      const char disabled = disabled_by_sysctl();
      if (disabled == '2') return what + "kernel.io_uring_disabled = 2 forbids it to everybody";
      if (disabled == '1') {
        return what + "kernel.io_uring_disabled = 1 forbids it outside kernel.io_uring_group";
      }
      return what + "a seccomp filter or a security module forbids it";
    }
    case EACCES:
      return what + "a security module forbids it";
    case ENOMEM:
      return what +
             "the limit of locked memory (RLIMIT_MEMLOCK) or of the control group is reached";
    case EMFILE:
    case ENFILE:
      return what + "too many files are open";
    default:
      return what + "unexpected";
  }
}

}  // namespace blitzio::driver::io_uring

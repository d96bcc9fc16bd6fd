// What the running kernel's io_uring can do, found by doing it: distributions backport and
// sandboxes forbid, so a version number says little.
//
// Required is what Linux 5.19 has: provided-buffer rings, cooperative task running, cancel by
// group, success without a completion. Everything else is optional; the driver has another way.
#pragma once

#include <blitzio/driver/io_uring/kernel_abi.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace blitzio::driver::io_uring {

struct Features {
  bool single_issuer = false;
  bool defer_taskrun = false;
  bool multishot_accept = false;
  bool multishot_recv = false;
  bool multishot_read = false;
  bool registered_ring_fd = false;
  bool msg_ring = false;
  bool recv_send_bundle = false;
  bool incremental_buffers = false;

  /// As detect() reports them.
  [[nodiscard]] std::vector<std::string> names() const;
};

struct ProbeResult {
  bool usable = false;
  std::string reason;  ///< empty if usable
  Features features;
};

/// Probes once per process, on first use. Thread: any.
[[nodiscard]] const ProbeResult& probe() noexcept;

/// Why io_uring_setup failed with `code`, in a sentence.
[[nodiscard]] std::string setup_failure(int code);

}  // namespace blitzio::driver::io_uring

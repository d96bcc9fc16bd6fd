// `start()`: fork and exec, with all that has to happen in between.
//
// vfork(2): the child borrows the parent's memory until it execs, so nothing of a large process is
// copied. In between it calls nothing but system calls, with every signal blocked and every handler
// of the parent taken away first. What went wrong comes back through a pipe that exec closes.
//
// Threads: any.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>

#include <sys/types.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace blitzio::process::detail {

struct Plan {
  std::vector<std::string> paths;  ///< tried one after the other, as execvp(3) tries PATH
  std::vector<std::string> arguments;
  std::optional<std::vector<std::string>> environment;  ///< "NAME=value"; none: the parent's
  std::optional<std::string> directory;
  std::array<int, 3> standard{-1, -1, -1};  ///< what becomes 0, 1, 2; -1: the parent's
  std::vector<int> inherited;               ///< further descriptors that keep their numbers
  std::optional<pid_t> group;
  bool new_session = false;
  std::optional<uid_t> user;
  std::optional<gid_t> main_group;
  std::optional<std::vector<gid_t>> groups;
  std::optional<mode_t> umask;
  bool restore_signals = true;  ///< SIGPIPE and SIGXFSZ to their default, as Python's subprocess
};

struct Started {
  pid_t pid;
  OwnedFd pidfd;  ///< none: it has ended already, and somebody else has its status
};

/// Why a child did not come to life: the error, and whether it was its directory.
struct StartError {
  Error error;
  bool is_directory = false;
};

[[nodiscard]] std::expected<Started, StartError> start(const Plan& plan) noexcept;

}  // namespace blitzio::process::detail

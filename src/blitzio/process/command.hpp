// `Command`: a program to run, and how.
//
//     auto done = co_await process::output("git", {"rev-parse", "HEAD"});
//     auto child = process::Command("sort").standard_input(process::Stdio::piped()).spawn();
//
// Descriptors of the parent are not inherited unless they are asked for: all that this library
// opens is close-on-exec, and what else is not is the parent's choice.
//
// Threads: a Command is a value; starting it any.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/process/child.hpp>
#include <blitzio/process/exit_status.hpp>
#include <blitzio/task/async.hpp>

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::process {

/// What a standard stream of the child is.
class Stdio {
 public:
  enum class Kind : std::uint8_t { inherit, null, piped, fd, standard_output };

  /// The parent's.
  [[nodiscard]] static Stdio inherit() noexcept { return Stdio(Kind::inherit, nullptr); }
  /// /dev/null.
  [[nodiscard]] static Stdio null() noexcept { return Stdio(Kind::null, nullptr); }
  /// A pipe, whose other end Child::take_stdin() and its like give.
  [[nodiscard]] static Stdio piped() noexcept { return Stdio(Kind::piped, nullptr); }
  /// A descriptor of the parent's; kept until the last copy of the Command is gone.
  [[nodiscard]] static Stdio from(OwnedFd fd) {
    return Stdio(Kind::fd, std::make_shared<OwnedFd>(std::move(fd)));
  }
  /// For stderr: the same as stdout.
  [[nodiscard]] static Stdio standard_output() noexcept {
    return Stdio(Kind::standard_output, nullptr);
  }

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] int fd() const noexcept { return fd_ == nullptr ? -1 : fd_->get(); }

 private:
  Stdio(Kind kind, std::shared_ptr<OwnedFd> fd) noexcept : fd_(std::move(fd)), kind_(kind) {}
  std::shared_ptr<OwnedFd> fd_;
  Kind kind_;
};

/// What a program wrote, and how it ended.
struct Output {
  ExitStatus status;
  std::vector<std::byte> standard_output;
  std::vector<std::byte> standard_error;
};

/// Why a program could not be started.
struct SpawnFailure {
  Error error;
  bool is_directory = false;  ///< it is about current_dir(), not about the program
};

/// A program and how it is to be started. Each setter gives the Command again, so that they chain.
class Command {
 public:
  /// `program`: a path, or a name to look for in PATH (of the child, if env() sets one).
  explicit Command(std::string program) : program_(std::move(program)) {}

  /// One more argument, behind those that are there; none is split or expanded.
  Command& arg(std::string argument) {
    arguments_.push_back(std::move(argument));
    return *this;
  }
  /// arg() of each.
  Command& args(std::vector<std::string> arguments) {
    for (auto& argument : arguments) arguments_.push_back(std::move(argument));
    return *this;
  }
  /// What the program is told that its name is; otherwise `program`.
  Command& arg0(std::string name) {
    name_ = std::move(name);
    return *this;
  }
  /// Sets a variable; the others are the parent's, unless env_clear() was called.
  Command& env(std::string name, std::string value) {
    changes_[std::move(name)] = std::move(value);
    return *this;
  }
  /// Has the child not see a variable of the parent's, or of an earlier env().
  Command& env_remove(std::string name) {
    changes_[std::move(name)] = std::nullopt;
    return *this;
  }
  /// The child starts with what env() sets afterwards, and nothing else.
  Command& env_clear() {
    changes_.clear();
    inherits_environment_ = false;
    return *this;
  }
  /// The directory that the child starts in; else the parent's. The program is looked for from
  /// there.
  Command& current_dir(std::string path) {
    directory_ = std::move(path);
    return *this;
  }
  /// All three are inherited unless these say otherwise.
  Command& standard_input(Stdio what) { return set(0, std::move(what)); }
  Command& standard_output(Stdio what) { return set(1, std::move(what)); }
  Command& standard_error(Stdio what) { return set(2, std::move(what)); }
  /// A further descriptor for the child, above 2, with the same number. The caller's. spawn() gives
  /// EBADF if it is not open.
  Command& inherit_fd(int fd) {
    inherited_.push_back(fd);
    return *this;
  }
  /// The process group; 0 makes a new one.
  Command& process_group(pid_t group) noexcept {
    group_ = group;
    return *this;
  }
  /// Whether it leads a session of its own, without a terminal (setsid(2)): no.
  Command& new_session(bool wanted = true) noexcept {
    new_session_ = wanted;
    return *this;
  }
  /// The user that it runs as; else the parent's. spawn() gives EPERM to who may not.
  Command& uid(uid_t user) noexcept {
    user_ = user;
    return *this;
  }
  /// Its main group; as uid().
  Command& gid(gid_t group) noexcept {
    main_group_ = group;
    return *this;
  }
  /// Its further groups; as uid(). Empty: none.
  Command& groups(std::vector<gid_t> groups) {
    groups_ = std::move(groups);
    return *this;
  }
  /// Permissions that files it makes do not get; else the parent's.
  Command& umask(mode_t mask) noexcept {
    umask_ = mask;
    return *this;
  }
  /// Whether SIGPIPE and SIGXFSZ, ignored in the parent, have their default in the child: yes.
  Command& restore_signals(bool wanted) noexcept {
    restore_signals_ = wanted;
    return *this;
  }
  /// Whether dropping the Child kills the process: no.
  Command& kill_on_drop(bool wanted = true) noexcept {
    kill_on_drop_ = wanted;
    return *this;
  }

  /// Starts it. Returns once the program runs.
  /// Errors   those of execve(2) (ENOENT, EACCES, ENOEXEC, …); of what was to be set up in the
  ///          child (EPERM for uid(), ENOENT for current_dir()); EMFILE, EAGAIN;
  ///          invalid_argument for text with a NUL byte and names of variables with "=" or none.
  /// Cost     about 100 µs, in which the calling thread is stopped by vfork(2).
  [[nodiscard]] Result<Child> spawn() const;
  /// The same, and says what an error is about.
  [[nodiscard]] std::expected<Child, SpawnFailure> spawn_or_tell() const;

  /// Starts it and waits for its end.   Returns  future of Result<ExitStatus>.
  /// Cancel   the process runs on, unless kill_on_drop().
  [[nodiscard]] Async<Result<ExitStatus>> status() const { return run(*this); }
  /// Starts it with stdin from /dev/null and stdout and stderr piped (those that are set otherwise
  /// stay), reads both to their end, and waits for its end.
  /// Cancel   as status(); nobody reads any more what it writes, and its pipes are closed.
  [[nodiscard]] Async<Result<Output>> output() const { return capture(*this); }

 private:
  Command& set(std::size_t number, Stdio what) {
    standard_.at(number) = std::move(what);
    return *this;
  }
  // By value, so that the futures need no Command that stays.
  static Async<Result<ExitStatus>> run(Command command);
  static Async<Result<Output>> capture(Command command);
  [[nodiscard]] bool is_valid() const noexcept;
  [[nodiscard]] std::vector<std::string> environment() const;
  [[nodiscard]] std::vector<std::string> program_paths() const;

  std::string program_;
  std::optional<std::string> name_;
  std::vector<std::string> arguments_;
  std::map<std::string, std::optional<std::string>> changes_;
  bool inherits_environment_ = true;
  std::optional<std::string> directory_;
  std::array<std::optional<Stdio>, 3> standard_;
  std::vector<int> inherited_;
  std::optional<pid_t> group_;
  bool new_session_ = false;
  std::optional<uid_t> user_;
  std::optional<gid_t> main_group_;
  std::optional<std::vector<gid_t>> groups_;
  std::optional<mode_t> umask_;
  bool restore_signals_ = true;
  bool kill_on_drop_ = false;
};

/// Command::spawn() of a program with arguments and nothing else.
[[nodiscard]] inline Result<Child> spawn(std::string program,
                                         std::vector<std::string> arguments = {}) {
  return Command(std::move(program)).args(std::move(arguments)).spawn();
}
/// Command::status() of the same.
[[nodiscard]] inline Async<Result<ExitStatus>> status(std::string program,
                                                      std::vector<std::string> arguments = {}) {
  return Command(std::move(program)).args(std::move(arguments)).status();
}
/// Command::output() of the same.
[[nodiscard]] inline Async<Result<Output>> output(std::string program,
                                                  std::vector<std::string> arguments = {}) {
  return Command(std::move(program)).args(std::move(arguments)).output();
}

}  // namespace blitzio::process

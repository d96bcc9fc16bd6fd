#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
// GCC 12 misreads the variant of a task's result once a coroutine that awaits it is inlined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <blitzio/process/command.hpp>

#include <blitzio/base/end_bell.hpp>
#include <blitzio/process/detail/spawn.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX's part of it
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

extern char** environ;

namespace blitzio::process {

namespace {

bool has_nul(const std::string& text) noexcept {
  return text.find('\0') != std::string::npos;
}

// A descriptor for the child, and the parent's end of it if it is a pipe.
struct Stream {
  OwnedFd own;  // what is only for this start
  int child = -1;
  OwnedFd parent;
};

Result<Stream> open_stream(const Stdio& what, std::size_t number) noexcept {
  Stream stream;
  switch (what.kind()) {
    case Stdio::Kind::inherit:
    case Stdio::Kind::standard_output:
      return stream;
    case Stdio::Kind::fd:
      stream.child = what.fd();
      return stream;
    case Stdio::Kind::null:
      stream.own =
          OwnedFd::adopt(::open("/dev/null", (number == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC));
      if (!stream.own) return fail(Error::os(errno));
      break;
    case Stdio::Kind::piped: {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Error::os(errno));
      auto reader = OwnedFd::adopt(ends[0]);
      auto writer = OwnedFd::adopt(ends[1]);
      stream.own = std::move(number == 0 ? reader : writer);
      stream.parent = std::move(number == 0 ? writer : reader);
      if (::fcntl(stream.parent.get(), F_SETFL, O_NONBLOCK) != 0) return fail(Error::os(errno));
      break;
    }
  }
  stream.child = stream.own.get();
  return stream;
}

// What output() reads, and from where.
struct Capture {
  std::array<OwnedFd, 2> pipes;  // one that is none is at its end
  std::array<std::vector<std::byte>, 2> content;
  std::shared_ptr<const OwnedFd> end;  // of an EndBell
};

// Reads both pipes to their ends, or until the bell rings.
Result<void> blocking_read_both(Capture& capture) {
  constexpr std::size_t kStep = 64 * 1024;
  std::vector<std::byte> buffer(kStep);
  auto& pipes = capture.pipes;
  while (pipes[0] || pipes[1]) {
    std::array<pollfd, 3> waits{pollfd{pipes[0].get(), POLLIN, 0},
                                pollfd{pipes[1].get(), POLLIN, 0},
                                pollfd{capture.end->get(), POLLIN, 0}};
    if (::poll(waits.data(), waits.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return fail(Error::os(errno));
    }
    if (waits[2].revents != 0) return {};
    for (std::size_t i = 0; i < pipes.size(); ++i) {
      if (!pipes[i] || waits[i].revents == 0) continue;
      const ssize_t count = ::read(pipes[i].get(), buffer.data(), buffer.size());
      if (count > 0) {
        auto& content = capture.content[i];
        content.insert(content.end(), buffer.begin(), buffer.begin() + count);
      } else if (count == 0) {
        pipes[i].reset();
      } else if (errno != EINTR && errno != EAGAIN) {
        return fail(Error::os(errno));
      }
    }
  }
  return {};
}

}  // namespace

Result<void> Child::kill() const noexcept {
  return send_signal(SIGKILL);
}

bool Command::is_valid() const noexcept {
  if (program_.empty() || has_nul(program_) || (name_ && has_nul(*name_)) ||
      (directory_ && has_nul(*directory_)) || std::ranges::any_of(arguments_, has_nul)) {
    return false;
  }
  return std::ranges::none_of(changes_, [](const auto& change) {
    return change.first.empty() || change.first.find('=') != std::string::npos ||
           has_nul(change.first) || (change.second && has_nul(*change.second));
  });
}

std::vector<std::string> Command::environment() const {
  std::vector<std::string> made;
  for (char** entry = inherits_environment_ ? environ : nullptr;
       entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!changes_.contains(std::string(text.substr(0, text.find('='))))) made.emplace_back(text);
  }
  for (const auto& [name, value] : changes_) {
    if (value) made.push_back(name + "=" + *value);
  }
  return made;
}

std::vector<std::string> Command::program_paths() const {
  if (program_.find('/') != std::string::npos) return {program_};
  std::string path = "/bin:/usr/bin";
  if (const auto own = changes_.find("PATH"); own != changes_.end()) {
    if (own->second) path = *own->second;
  } else if (const char* parents = inherits_environment_ ? ::getenv("PATH") : nullptr) {
    path = parents;
  }
  std::vector<std::string> paths;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    // An empty folder in PATH is the current one.
    paths.push_back(end == at ? program_ : path.substr(at, end - at) + "/" + program_);
    at = end + 1;
  }
  return paths;
}

std::expected<Child, SpawnFailure> Command::spawn_or_tell() const {
  const auto failed = [](Error error) { return std::unexpected(SpawnFailure{error}); };
  if (!is_valid()) return failed(Error::runtime(RuntimeErrc::invalid_argument));
  // Before there are pipes of our own, which would have the numbers of those that are closed.
  for (const int fd : inherited_) {
    if (::fcntl(fd, F_GETFD) < 0) return failed(Error::os(errno));
  }
  detail::Plan plan;
  std::array<Stream, 3> streams;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (!standard_[i]) continue;
    auto stream = open_stream(*standard_[i], i);
    if (!stream) return failed(stream.error());
    streams[i] = std::move(*stream);
    plan.standard[i] = streams[i].child;
  }
  if (standard_[2] && standard_[2]->kind() == Stdio::Kind::standard_output) {
    plan.standard[2] = plan.standard[1] >= 0 ? plan.standard[1] : STDOUT_FILENO;
  }
  plan.paths = program_paths();
  plan.arguments.push_back(name_.value_or(program_));
  plan.arguments.insert(plan.arguments.end(), arguments_.begin(), arguments_.end());
  if (!inherits_environment_ || !changes_.empty()) plan.environment = environment();
  plan.directory = directory_;
  plan.inherited = inherited_;
  plan.group = group_;
  plan.new_session = new_session_;
  plan.user = user_;
  plan.main_group = main_group_;
  plan.groups = groups_;
  plan.umask = umask_;
  plan.restore_signals = restore_signals_;

  auto started = detail::start(plan);
  if (!started) {
    return std::unexpected(SpawnFailure{started.error().error, started.error().is_directory});
  }
  const bool is_over = !started->pidfd;
  auto state = std::make_shared<detail::ChildState>(started->pid, std::move(started->pidfd));
  if (auto reaped = is_over ? Result<void>() : detail::reap_at_end(state); !reaped) {
    // Nobody would bury it, so it ends here.
    static_cast<void>(state->send_signal(SIGKILL));
    pollfd wait{state->pidfd(), POLLIN, 0};
    while (!state->try_wait()) static_cast<void>(::poll(&wait, 1, -1));
    return failed(reaped.error());
  }
  return Child(
      std::move(state),
      {std::move(streams[0].parent), std::move(streams[1].parent), std::move(streams[2].parent)},
      kill_on_drop_);
}

Result<Child> Command::spawn() const {
  auto child = spawn_or_tell();
  if (!child) return fail(child.error().error);
  return std::move(*child);
}

Async<Result<ExitStatus>> Command::run(Command command) {
  auto child = command.spawn();
  if (!child) co_return fail(child.error());
  co_return co_await child->wait();
}

Async<Result<Output>> Command::capture(Command command) {
  // Dropped with this, it lets the thread go that reads.
  const auto bell = EndBell::make();
  if (!bell) co_return fail(bell.error());
  if (!command.standard_[0]) command.standard_input(Stdio::null());
  if (!command.standard_[1]) command.standard_output(Stdio::piped());
  if (!command.standard_[2]) command.standard_error(Stdio::piped());
  auto child = command.spawn();
  if (!child) co_return fail(child.error());
  static_cast<void>(child->take_pipe(0));
  auto captured = std::make_shared<Capture>();
  captured->pipes = {child->take_pipe(1), child->take_pipe(2)};
  captured->end = bell->fd();
  // A variable of its own: GCC 12 destroys what a lambda within a co_await has captured twice.
  auto work = [captured] { return blocking_read_both(*captured); };
  const auto read = co_await call_blocking(std::move(work));
  if (!read) co_return fail(read.error());
  const ExitStatus status = co_await child->wait();
  co_return Output{status, std::move(captured->content[0]), std::move(captured->content[1])};
}

}  // namespace blitzio::process

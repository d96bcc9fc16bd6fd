#include <blitzio/process/detail/spawn.hpp>

#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX's part of it
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

extern char** environ;

namespace blitzio::process::detail {

namespace {

constexpr int kStandard = 3;

// Everything that the child needs, in a form that needs no allocation.
struct Prepared {
  const Plan& plan;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::array<OwnedFd, kStandard> standard;  // copies with numbers above 2
  sigset_t mask;                            // what the child's program begins with
};

struct Failure {
  int error = 0;
  bool is_directory = false;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> made;
  made.reserve(strings.size() + 1);
  // exec does not write to them, though its signature does not say so.
  for (const std::string& text : strings) made.push_back(const_cast<char*>(text.c_str()));
  made.push_back(nullptr);
  return made;
}

// Handlers of the parent must not run here, on its memory. What is ignored stays so through exec.
void take_handlers_away(bool restore_signals) noexcept {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action{};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    const bool is_ignored = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
    const bool is_pythons = restore_signals && (number == SIGPIPE || number == SIGXFSZ);
    if (is_ignored && !is_pythons) continue;
    struct sigaction none{};
    none.sa_handler = SIG_DFL;
    static_cast<void>(::sigaction(number, &none, nullptr));
  }
}

// Past glibc: its wrappers tell all threads to change too, and this is no thread of its process.
bool set_ids(const Plan& plan) noexcept {
  if (plan.groups && ::syscall(SYS_setgroups, plan.groups->size(), plan.groups->data()) != 0) {
    return false;
  }
  if (plan.main_group &&
      ::syscall(SYS_setresgid, *plan.main_group, *plan.main_group, *plan.main_group) != 0) {
    return false;
  }
  return !plan.user || ::syscall(SYS_setresuid, *plan.user, *plan.user, *plan.user) == 0;
}

// Returns errno.
int set_up(const Prepared& prepared, Failure& failure) noexcept {
  const Plan& plan = prepared.plan;
  take_handlers_away(plan.restore_signals);
  for (int number = 0; number < kStandard; ++number) {
    const OwnedFd& source = prepared.standard[static_cast<std::size_t>(number)];
    if (source && ::dup2(source.get(), number) < 0) return errno;
  }
  for (const int fd : plan.inherited) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0 || ::fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) != 0) return errno;
  }
  if (plan.directory && ::chdir(plan.directory->c_str()) != 0) {
    failure.is_directory = true;
    return errno;
  }
  if (plan.umask) ::umask(*plan.umask);
  if (plan.new_session && ::setsid() < 0) return errno;
  if (plan.group && ::setpgid(0, *plan.group) != 0) return errno;
  return set_ids(plan) ? 0 : errno;
}

// As execvp(3): the first file that is there and may be run; EACCES if one may not and no other is.
int exec_first(const Prepared& prepared, char* const* environment) noexcept {
  int error = ENOENT;
  bool saw_forbidden = false;
  for (const std::string& path : prepared.plan.paths) {
    ::execve(path.c_str(), prepared.arguments.data(), environment);
    error = errno;
    switch (error) {
      case EACCES:
        saw_forbidden = true;
        break;
      case ENOENT:
      case ENOTDIR:
        break;
      default:
        return error;
    }
  }
  return saw_forbidden ? EACCES : error;
}

// The child. Says through `report` what went wrong, and never returns; exec closes it.
[[noreturn]] void run_child(const Prepared& prepared, char* const* environment,
                            int report) noexcept {
  Failure failure;
  failure.error = set_up(prepared, failure);
  if (failure.error == 0) {
    ::sigprocmask(SIG_SETMASK, &prepared.mask, nullptr);
    failure.error = exec_first(prepared, environment);
  }
  // A pipe takes so few bytes whole, and at once.
  static_cast<void>(!::write(report, &failure, sizeof failure));
  ::_exit(127);
}

// In a function of its own: locals of the parent that the child would change are none.
[[gnu::noinline]] pid_t fork_and_exec(const Prepared& prepared, char* const* environment,
                                      int report) noexcept {
  // NOLINTNEXTLINE(bugprone-unsafe-functions,clang-analyzer-security.insecureAPI.vfork): see above
  const pid_t pid = ::vfork();
  // NOLINTNEXTLINE(clang-analyzer-unix.Vfork): calls nothing but what a signal handler may
  if (pid == 0) run_child(prepared, environment, report);
  return pid;
}

// Waits for a child that is to be no child: it failed, or nobody could wait for it later.
void bury(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::expected<Started, StartError> start(const Plan& plan) noexcept {
  const auto failed = [](int error, bool is_directory = false) {
    return std::unexpected(StartError{Error::os(error), is_directory});
  };
  Prepared prepared{plan, pointers(plan.arguments), {}, {}, {}};
  if (plan.environment) prepared.environment = pointers(*plan.environment);
  for (std::size_t i = 0; i < prepared.standard.size(); ++i) {
    if (plan.standard[i] < 0) continue;
    // Above 2, so that no dup2() below overwrites the source of another.
    prepared.standard[i] = OwnedFd::adopt(::fcntl(plan.standard[i], F_DUPFD_CLOEXEC, kStandard));
    if (!prepared.standard[i]) return failed(errno);
  }

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed(errno);
  const auto told = OwnedFd::adopt(ends[0]);
  auto given = OwnedFd::adopt(ends[1]);
  // Above 2, as those before.
  auto report = OwnedFd::adopt(::fcntl(given.get(), F_DUPFD_CLOEXEC, kStandard));
  if (!report) return failed(errno);
  given.reset();

  char* const* environment = plan.environment ? prepared.environment.data() : environ;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &prepared.mask);
  const pid_t pid = fork_and_exec(prepared, environment, report.get());
  const int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &prepared.mask, nullptr);
  if (pid < 0) return failed(fork_error);

  report.reset();
  Failure failure;
  ssize_t count = 0;
  do {
    count = ::read(told.get(), &failure, sizeof failure);
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    bury(pid);
    return failed(failure.error, failure.is_directory);
  }
  auto pidfd = OwnedFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // ESRCH: it has ended, and the kernel (SIGCHLD ignored) or another thread has reaped it.
  if (const int error = errno; !pidfd && error != ESRCH) {
    // Not if that has happened since: the pid may be a stranger's.
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
      ::kill(pid, SIGKILL);
      bury(pid);
    }
    return failed(error);
  }
  return Started{pid, std::move(pidfd)};
}

}  // namespace blitzio::process::detail

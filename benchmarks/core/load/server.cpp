#include "server.hpp"

#include "../common/measure.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

namespace blitzio::bench {

void pin_to(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  require(::sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

ServerProcess::ServerProcess(char** words, const std::vector<int>& cpus) {
  int ends[2];
  require(::pipe(ends) == 0, "pipe");
  pid_ = ::fork();
  require(pid_ >= 0, "fork");
  if (pid_ == 0) {
    // A group of its own, so that a tracer and what it traces end together.
    ::setpgid(0, 0);
    pin_to(cpus);
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execvp(words[0], words);
    std::perror(words[0]);
    ::_exit(127);
  }
  ::close(ends[1]);
  output_ = ends[0];
  std::string line;
  for (char c = 0; ::read(output_, &c, 1) == 1 && c != '\n';) line += c;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), port_);
  require(error == std::errc() && port_ != 0, "the server's port");
}

ServerProcess::~ServerProcess() {
  ::kill(-pid_, SIGINT);
  ::waitpid(pid_, nullptr, 0);
  ::close(output_);
}

std::int64_t ServerProcess::cpu_nanos() const {
  std::int64_t total = 0;
  const std::string tasks = "/proc/" + std::to_string(pid_) + "/task";
  for (const auto& entry : std::filesystem::directory_iterator(tasks)) {
    std::ifstream file(entry.path() / "schedstat");
    std::int64_t nanos = 0;
    if (file >> nanos) total += nanos;
  }
  return total;
}

std::int64_t ServerProcess::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  require(static_cast<bool>(file >> total >> resident), "statm");
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace blitzio::bench

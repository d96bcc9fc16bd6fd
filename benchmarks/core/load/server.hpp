// `ServerProcess`: the server under load: started, looked at from outside, and ended.
#pragma once

#include <cstdint>
#include <vector>

namespace blitzio::bench {

/// Lets the calling thread run on these processors only; an empty list changes nothing.
void pin_to(const std::vector<int>& cpus);

class ServerProcess {
 public:
  /// Runs `words` (a null ends them) on `cpus`. The server prints the port it listens on as the
  /// first line of its standard output.
  ServerProcess(char** words, const std::vector<int>& cpus);
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  /// Interrupts it, and what it started, and waits.
  ~ServerProcess();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// Processor time of all its threads so far, in nanoseconds. Of threads that end it is forgotten.
  [[nodiscard]] std::int64_t cpu_nanos() const;
  /// Its resident memory.
  [[nodiscard]] std::int64_t resident_bytes() const;

 private:
  int pid_ = -1;
  int output_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace blitzio::bench

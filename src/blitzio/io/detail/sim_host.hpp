// `SimHost`: a machine of a simulation: its address, files, network and signals, as an Io sees it.
//
// Threads: the world's.
#pragma once

#include <blitzio/io/detail/sim_files.hpp>
#include <blitzio/io/detail/sim_network.hpp>
#include <blitzio/io/detail/sim_world.hpp>
#include <blitzio/io/system.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/futures.hpp>

#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace blitzio::io::detail {

class SimSignals final : public Signals {
 public:
  Result<SignalStream> stream(int number) override;
  AnyFuture<Result<void>> wait(int number) override;
  void raise(int number);

 private:
  class Stream;
  std::multimap<int, Stream*> listeners_;
};

/// There are none.
class SimProcesses final : public Processes {
 public:
  Result<process::Child> spawn(const process::Command& /*command*/) override { return none(); }
  AnyFuture<Result<process::Output>> output(process::Command /*command*/) override {
    return lazy([]() -> Result<process::Output> { return none(); });
  }
  AnyFuture<Result<process::ExitStatus>> status(process::Command /*command*/) override {
    return lazy([]() -> Result<process::ExitStatus> { return none(); });
  }

 private:
  static std::unexpected<Error> none() noexcept {
    return fail(Error::runtime(RuntimeErrc::unsupported));
  }
};

class SimHost {
 public:
  SimHost(SimWorld& world, const Address& address)
      : world_(world), address_(address), files_(world), sockets_(world, *this) {}
  SimHost(const SimHost&) = delete;
  SimHost& operator=(const SimHost&) = delete;

  [[nodiscard]] Io io() noexcept { return {this, kVTableOf<SimHost>}; }
  [[nodiscard]] const Address& address() const noexcept { return address_; }
  [[nodiscard]] SimSockets& sockets() noexcept { return sockets_; }
  [[nodiscard]] SimFiles& files() noexcept { return files_; }

  // ---- what Io calls -----------------------------------------------------------------------

  Scheduler* admit(Start how) noexcept { return world_.admit(how); }
  bool start(Scheduler& scheduler, Task& task, Start how) {
    return world_.start(scheduler, task, how);
  }
  void block_on(AnyFuture<void> work) { world_.block_on(std::move(work)); }
  [[nodiscard]] Instant now() const noexcept { return world_.now(); }
  [[nodiscard]] FileSystem& fs() noexcept { return files_; }
  [[nodiscard]] Network& net() noexcept { return sockets_; }
  [[nodiscard]] Processes& process() noexcept { return processes_; }
  [[nodiscard]] SimSignals& signal() noexcept { return signals_; }

 private:
  SimWorld& world_;
  const Address address_;
  SimFiles files_;
  SimSockets sockets_;
  SimProcesses processes_;
  SimSignals signals_;
};

}  // namespace blitzio::io::detail

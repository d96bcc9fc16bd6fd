// `Processes` and `Signals`: programs to run and signals of the process, as `io.process()` and
// `io.signal()` have them. Names and errors are those of blitzio::process and blitzio::signal.
//
//     auto done = co_await io.process().output(process::Command("git").arg("status"));
//     co_await io.signal().ctrl_c();
//
// Threads: any.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/process/command.hpp>
#include <blitzio/task/any_future.hpp>

#include <csignal>
#include <memory>
#include <utility>

namespace blitzio::io {

class Processes {
 public:
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  /// Starts a program.
  /// Errors   as process::Command::spawn(); unsupported where there are no processes.
  virtual Result<process::Child> spawn(const process::Command& command) = 0;
  /// Starts it, collects what it writes, and waits for its end.
  virtual AnyFuture<Result<process::Output>> output(process::Command command) = 0;
  /// Starts it and waits for its end.
  virtual AnyFuture<Result<process::ExitStatus>> status(process::Command command) = 0;

 protected:
  Processes() = default;
  ~Processes() = default;
};

/// Hears of one signal from its making until it goes; arrivals that are not taken are one.
class [[nodiscard]] SignalStream {
 public:
  class Backend {
   public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;
    virtual AnyFuture<void> next() = 0;
    [[nodiscard]] virtual int number() const = 0;
  };

  explicit SignalStream(std::unique_ptr<Backend> backend) noexcept : backend_(std::move(backend)) {}

  /// Waits for the next arrival, or takes the one that nobody has taken yet.
  AnyFuture<void> next() { return backend_->next(); }
  [[nodiscard]] int number() const { return backend_->number(); }

 private:
  std::unique_ptr<Backend> backend_;
};

class Signals {
 public:
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Begins to listen.
  /// Errors   invalid_argument for what is no signal or cannot be handled.
  virtual Result<SignalStream> stream(int number) = 0;
  /// Waits for one arrival from the first poll on.
  virtual AnyFuture<Result<void>> wait(int number) = 0;
  /// Waits for SIGINT, which Ctrl-C in a terminal sends.
  AnyFuture<Result<void>> ctrl_c() { return wait(SIGINT); }

 protected:
  Signals() = default;
  ~Signals() = default;
};

}  // namespace blitzio::io

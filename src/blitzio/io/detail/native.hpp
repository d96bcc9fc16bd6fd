// The machine's own files, network, processes and signals behind the interfaces of io/: thin, as
// all is done by fs/, net/, process/ and signal/.
//
// Threads: any.
#pragma once

#include <blitzio/io/file_system.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/io/system.hpp>

#include <string>
#include <vector>

namespace blitzio::io::detail {

/// Whether a call that would wait for the disk is made by the thread that polls, or by one of a
/// pool.
enum class DiskWaits : bool { in_pool, in_place };

class NativeFileSystem final : public FileSystem {
 public:
  explicit NativeFileSystem(DiskWaits waits) noexcept : waits_(waits) {}

  AnyFuture<Result<File>> open(std::string path, fs::OpenOptions options) override;
  AnyFuture<Result<op::Bytes>> read_file(std::string path) override;
  AnyFuture<Result<void>> write_file(std::string path, op::Bytes data) override;
  AnyFuture<Result<void>> append(std::string path, op::Bytes data) override;
  AnyFuture<Result<fs::Metadata>> stat(std::string path) override;
  AnyFuture<Result<bool>> exists(std::string path) override;
  AnyFuture<Result<void>> remove(std::string path) override;
  AnyFuture<Result<void>> rename(std::string from, std::string to) override;
  AnyFuture<Result<std::uint64_t>> copy(std::string from, std::string to) override;
  AnyFuture<Result<std::vector<fs::DirEntry>>> read_dir(std::string path) override;
  AnyFuture<Result<void>> mkdir(std::string path) override;
  AnyFuture<Result<void>> mkdir_all(std::string path) override;
  AnyFuture<Result<void>> remove_dir(std::string path) override;
  AnyFuture<Result<void>> remove_dir_all(std::string path) override;

 private:
  template <class F>
  auto call(F function) const -> AnyFuture<std::invoke_result_t<F&>>;
  [[nodiscard]] bool in_place() const noexcept { return waits_ == DiskWaits::in_place; }

  DiskWaits waits_;
};

class NativeNetwork final : public Network {
 public:
  AnyFuture<Result<TcpStream>> connect(const Address& address) override;
  AnyFuture<Result<TcpStream>> connect(std::string host, std::uint16_t port) override;
  Result<TcpListener> listen(const Address& address, const net::ListenOptions& options) override;
  Result<UdpSocket> bind_udp(const Address& address) override;
  AnyFuture<Result<UnixStream>> connect_unix(const Address& address) override;
  Result<UnixListener> listen_unix(const Address& address, int backlog) override;
  Result<UnixDatagram> bind_unix(const Address& address) override;
  AnyFuture<Result<std::vector<Address>>> resolve(std::string host, std::uint16_t port) override;
};

class NativeProcesses final : public Processes {
 public:
  Result<process::Child> spawn(const process::Command& command) override;
  AnyFuture<Result<process::Output>> output(process::Command command) override;
  AnyFuture<Result<process::ExitStatus>> status(process::Command command) override;
};

class NativeSignals final : public Signals {
 public:
  Result<SignalStream> stream(int number) override;
  AnyFuture<Result<void>> wait(int number) override;
};

/// What an implementation on the real machine has besides tasks.
struct Native {
  explicit Native(DiskWaits waits) noexcept : files(waits) {}

  NativeFileSystem files;
  NativeNetwork network;
  NativeProcesses processes;
  NativeSignals signals;
};

}  // namespace blitzio::io::detail

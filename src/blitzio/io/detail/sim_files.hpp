// `SimFiles`: the file system of a simulated host: folders and files in memory, with the errors of
// POSIX. There are no links, owners or permissions; a file that is open outlives its name. A Unix
// socket has a name here, which leads to a number.
//
// Each operation is a place where other tasks may get ahead, as it would be for a disk.
//
// Threads: the world's.
#pragma once

#include <blitzio/io/detail/sim_world.hpp>
#include <blitzio/io/file_system.hpp>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::io::detail {

class SimFiles final : public FileSystem {
 public:
  explicit SimFiles(SimWorld& world);
  SimFiles(const SimFiles&) = delete;
  SimFiles& operator=(const SimFiles&) = delete;
  ~SimFiles();

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

  /// Makes a socket's name, now.
  /// Returns  the number that find_socket() finds, never used twice.
  /// Errors   EADDRINUSE; ENOENT or ENOTDIR for the way there.
  [[nodiscard]] Result<std::uint64_t> make_socket(std::string_view path);
  /// Errors   ENOENT, ENOTDIR; ECONNREFUSED for what is no socket.
  [[nodiscard]] Result<std::uint64_t> find_socket(std::string_view path) const;

 private:
  class OpenFile;
  struct Node;
  using NodeRef = std::shared_ptr<Node>;
  /// A place in a folder: what a path leads to, or could.
  struct Place {
    NodeRef folder;
    std::string name;
    NodeRef node;  ///< null if there is nothing
  };

  [[nodiscard]] NodeRef make_node(fs::FileType type);
  /// Errors   ENOENT or ENOTDIR for the way there; invalid_argument for a path with a NUL byte.
  [[nodiscard]] Result<Place> find(std::string_view path) const;
  [[nodiscard]] Result<NodeRef> find_existing(std::string_view path) const;
  [[nodiscard]] Result<NodeRef> open_node(std::string_view path, const fs::OpenOptions& options);
  [[nodiscard]] Result<void> put(std::string_view path, const op::Bytes& data,
                                 const fs::OpenOptions& options);
  [[nodiscard]] Result<void> make_folder(std::string_view path);
  [[nodiscard]] Result<void> make_folders(std::string_view path);
  [[nodiscard]] Result<void> remove_file(std::string_view path);
  [[nodiscard]] Result<void> remove_folder(std::string_view path, bool with_content);
  [[nodiscard]] Result<void> move(std::string_view from, std::string_view to);
  [[nodiscard]] Result<std::uint64_t> copy_file(std::string_view from, std::string_view to);
  [[nodiscard]] Result<std::vector<fs::DirEntry>> list(std::string_view path) const;

  SimWorld& world_;
  std::uint64_t nodes_made_ = 0;
  NodeRef root_;
};

}  // namespace blitzio::io::detail

#include <blitzio/io/detail/sim_files.hpp>

#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>

namespace blitzio::io::detail {

struct SimFiles::Node {
  const fs::FileType type;  // `other` is a socket
  const std::uint64_t number;
  op::Bytes data;                          // of a file
  std::map<std::string, NodeRef> entries;  // of a folder
  Instant modified;

  [[nodiscard]] bool is_folder() const noexcept { return type == fs::FileType::directory; }
  [[nodiscard]] bool is_socket() const noexcept { return type == fs::FileType::other; }
  [[nodiscard]] fs::Metadata metadata() const noexcept {
    struct stat raw{};
    raw.st_mode = is_folder()   ? (S_IFDIR | 0777U)
                  : is_socket() ? (S_IFSOCK | 0777U)
                                : (S_IFREG | 0666U);
    raw.st_ino = number;
    raw.st_nlink = 1;
    raw.st_size = static_cast<off_t>(data.size());
    const std::int64_t nanos = modified.as_nanos();
    raw.st_mtim = raw.st_ctim = raw.st_atim = {nanos / 1'000'000'000, nanos % 1'000'000'000};
    return fs::Metadata(raw);
  }
};

namespace {

// `function()` after others could get ahead.
template <class F>
Async<std::invoke_result_t<F&>> later(F function) {
  co_await yield_now();
  co_return function();
}

std::unexpected<Error> os(int code) noexcept {
  return fail(Error::os(code));
}

// Whether the system would take it for one.
bool is_offset(std::uint64_t offset) noexcept {
  return offset <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
}

Result<void> resize(op::Bytes& content, std::uint64_t bytes) {
  if (bytes > content.max_size()) return os(EFBIG);
  try {
    content.resize(bytes);
  } catch (const std::bad_alloc&) {
    return os(ENOSPC);
  }
  return {};
}

}  // namespace

class SimFiles::OpenFile final : public File::Backend {
 public:
  OpenFile(SimWorld& world, NodeRef node, const fs::OpenOptions& options) noexcept
      : world_(world), node_(std::move(node)), options_(options) {}

  AnyFuture<Result<std::size_t>> read_at(std::span<std::byte> buffer,
                                         std::uint64_t offset) override {
    return later([this, buffer, offset]() -> Result<std::size_t> {
      if (!options_.read) return os(EBADF);
      if (node_->is_folder()) return os(EISDIR);
      if (!is_offset(offset)) return os(EINVAL);
      if (offset >= node_->data.size()) return std::size_t{0};
      const auto from = std::span(node_->data).subspan(offset);
      const std::size_t count = std::min(from.size(), buffer.size());
      std::ranges::copy(from.first(count), buffer.begin());
      return count;
    });
  }
  AnyFuture<Result<std::size_t>> write_at(std::span<const std::byte> data,
                                          std::uint64_t offset) override {
    return later([this, data, offset]() -> Result<std::size_t> {
      if (!options_.write && !options_.append) return os(EBADF);
      op::Bytes& content = node_->data;
      const std::size_t at = options_.append ? content.size() : offset;
      if (!is_offset(at)) return os(EINVAL);
      if (data.empty()) return std::size_t{0};
      if (at + data.size() > content.size()) {
        if (auto grown = resize(content, at + data.size()); !grown) return fail(grown.error());
      }
      std::ranges::copy(data, content.begin() + static_cast<std::ptrdiff_t>(at));
      node_->modified = world_.now();
      return data.size();
    });
  }
  AnyFuture<Result<fs::Metadata>> metadata() override {
    return later([this]() -> Result<fs::Metadata> { return node_->metadata(); });
  }
  AnyFuture<Result<void>> set_len(std::uint64_t bytes) override {
    return later([this, bytes]() -> Result<void> {
      if (!options_.write && !options_.append) return os(EINVAL);
      if (!is_offset(bytes)) return os(EINVAL);
      if (auto resized = resize(node_->data, bytes); !resized) return resized;
      node_->modified = world_.now();
      return {};
    });
  }
  AnyFuture<Result<void>> sync_all() override {
    return later([]() -> Result<void> { return {}; });
  }
  AnyFuture<Result<void>> close() override {
    return later([]() -> Result<void> { return {}; });
  }

 private:
  SimWorld& world_;
  NodeRef node_;
  const fs::OpenOptions options_;
};

SimFiles::SimFiles(SimWorld& world) : world_(world), root_(make_node(fs::FileType::directory)) {}
SimFiles::~SimFiles() = default;

SimFiles::NodeRef SimFiles::make_node(fs::FileType type) {
  return std::make_shared<Node>(Node{type, ++nodes_made_, {}, {}, world_.now()});
}

Result<SimFiles::Place> SimFiles::find(std::string_view path) const {
  if (path.find('\0') != std::string_view::npos) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  if (path.empty()) return os(ENOENT);
  std::vector<Place> way{{nullptr, "/", root_}};  // from the root on, for ".."
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (name.empty() || name == ".") continue;
    const NodeRef folder = way.back().node;
    if (folder == nullptr) return os(ENOENT);
    if (!folder->is_folder()) return os(ENOTDIR);
    if (name == "..") {
      if (way.size() > 1) way.pop_back();
      continue;
    }
    const auto found = folder->entries.find(std::string(name));
    way.push_back(
        {folder, std::string(name), found == folder->entries.end() ? nullptr : found->second});
  }
  return way.back();
}

Result<SimFiles::NodeRef> SimFiles::find_existing(std::string_view path) const {
  auto place = find(path);
  if (!place) return fail(place.error());
  if (place->node == nullptr) return os(ENOENT);
  return place->node;
}

Result<SimFiles::NodeRef> SimFiles::open_node(std::string_view path,
                                              const fs::OpenOptions& options) {
  if (const auto flags = fs::open_flags(options); !flags) return fail(flags.error());
  auto place = find(path);
  if (!place) return fail(place.error());
  const bool writes = options.write || options.append;
  if (place->node == nullptr) {
    if (!options.create && !options.create_new) return os(ENOENT);
    place->node = make_node(fs::FileType::file);
    place->folder->entries.emplace(place->name, place->node);
    place->folder->modified = world_.now();
    return place->node;
  }
  if (options.create_new) return os(EEXIST);
  if (place->node->is_socket()) return os(ENXIO);
  if (place->node->is_folder() && writes) return os(EISDIR);
  if (options.truncate) {
    place->node->data.clear();
    place->node->modified = world_.now();
  }
  return place->node;
}

Result<void> SimFiles::put(std::string_view path, const op::Bytes& data,
                           const fs::OpenOptions& options) {
  auto node = open_node(path, options);
  if (!node) return fail(node.error());
  op::Bytes& content = (*node)->data;
  content.insert(content.end(), data.begin(), data.end());
  (*node)->modified = world_.now();
  return {};
}

Result<void> SimFiles::make_folder(std::string_view path) {
  auto place = find(path);
  if (!place) return fail(place.error());
  if (place->node != nullptr) return os(EEXIST);
  place->folder->entries.emplace(place->name, make_node(fs::FileType::directory));
  place->folder->modified = world_.now();
  return {};
}

Result<void> SimFiles::make_folders(std::string_view path) {
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const auto place = find(path.substr(0, end));
    if (!place) return fail(place.error());
    if (place->node == nullptr) {
      place->folder->entries.emplace(place->name, make_node(fs::FileType::directory));
    } else if (!place->node->is_folder()) {
      return end == path.size() ? os(EEXIST) : os(ENOTDIR);
    }
  }
  return {};
}

Result<void> SimFiles::remove_file(std::string_view path) {
  auto place = find(path);
  if (!place) return fail(place.error());
  if (place->node == nullptr) return os(ENOENT);
  if (place->node->is_folder()) return os(EISDIR);
  place->folder->entries.erase(place->name);
  place->folder->modified = world_.now();
  return {};
}

Result<void> SimFiles::remove_folder(std::string_view path, bool with_content) {
  auto place = find(path);
  if (!place) return fail(place.error());
  if (place->node == nullptr) return os(ENOENT);
  if (!place->node->is_folder()) return os(ENOTDIR);
  if (place->folder == nullptr) return os(EBUSY);  // "/"
  if (!with_content && !place->node->entries.empty()) return os(ENOTEMPTY);
  place->folder->entries.erase(place->name);
  place->folder->modified = world_.now();
  return {};
}

Result<void> SimFiles::move(std::string_view from, std::string_view to) {
  auto source = find(from);
  if (!source) return fail(source.error());
  auto target = find(to);
  if (!target) return fail(target.error());
  if (source->node == nullptr) return os(ENOENT);
  if (source->folder == nullptr || target->folder == nullptr) return os(EBUSY);  // "/"
  if (source->node == target->node) return {};
  if (source->node->is_folder()) {
    // A folder cannot move into itself.
    const auto is_inside = [](const auto& self, const Node& folder, const Node* wanted) -> bool {
      return std::ranges::any_of(folder.entries, [&](const auto& entry) {
        return entry.second.get() == wanted || self(self, *entry.second, wanted);
      });
    };
    if (target->folder == source->node ||
        is_inside(is_inside, *source->node, target->folder.get())) {
      return os(EINVAL);
    }
  }
  if (target->node != nullptr) {
    if (target->node->is_folder() && !source->node->is_folder()) return os(EISDIR);
    if (!target->node->is_folder() && source->node->is_folder()) return os(ENOTDIR);
    if (!target->node->entries.empty()) return os(ENOTEMPTY);
  }
  source->folder->entries.erase(source->name);
  target->folder->entries.insert_or_assign(target->name, source->node);
  source->folder->modified = target->folder->modified = world_.now();
  return {};
}

Result<std::uint64_t> SimFiles::copy_file(std::string_view from, std::string_view to) {
  const auto source = find_existing(from);
  if (!source) return fail(source.error());
  if ((*source)->is_folder()) return os(EISDIR);
  if ((*source)->is_socket()) return os(ENXIO);
  const op::Bytes data = (*source)->data;
  const auto done = put(to, data, {.write = true, .truncate = true, .create = true});
  if (!done) return fail(done.error());
  return data.size();
}

Result<std::vector<fs::DirEntry>> SimFiles::list(std::string_view path) const {
  const auto folder = find_existing(path);
  if (!folder) return fail(folder.error());
  if (!(*folder)->is_folder()) return os(ENOTDIR);
  std::vector<fs::DirEntry> entries;
  for (const auto& [name, node] : (*folder)->entries) {
    entries.push_back({name, node->type, static_cast<ino_t>(node->number)});
  }
  return entries;
}

Result<std::uint64_t> SimFiles::make_socket(std::string_view path) {
  auto place = find(path);
  if (!place) return fail(place.error());
  if (place->node != nullptr) return os(EADDRINUSE);
  place->node = make_node(fs::FileType::other);
  place->folder->entries.emplace(place->name, place->node);
  place->folder->modified = world_.now();
  return place->node->number;
}

Result<std::uint64_t> SimFiles::find_socket(std::string_view path) const {
  const auto node = find_existing(path);
  if (!node) return fail(node.error());
  if (!(*node)->is_socket()) return os(ECONNREFUSED);
  return (*node)->number;
}

// ---- what Io asks for ------------------------------------------------------------------------

AnyFuture<Result<File>> SimFiles::open(std::string path, fs::OpenOptions options) {
  return later([this, path = std::move(path), options]() -> Result<File> {
    auto node = open_node(path, options);
    if (!node) return fail(node.error());
    return File(std::make_unique<OpenFile>(world_, std::move(*node), options));
  });
}

AnyFuture<Result<op::Bytes>> SimFiles::read_file(std::string path) {
  return later([this, path = std::move(path)]() -> Result<op::Bytes> {
    const auto node = find_existing(path);
    if (!node) return fail(node.error());
    if ((*node)->is_folder()) return os(EISDIR);
    if ((*node)->is_socket()) return os(ENXIO);
    return (*node)->data;
  });
}

AnyFuture<Result<void>> SimFiles::write_file(std::string path, op::Bytes data) {
  return later([this, path = std::move(path), data = std::move(data)] {
    return put(path, data, {.write = true, .truncate = true, .create = true});
  });
}

AnyFuture<Result<void>> SimFiles::append(std::string path, op::Bytes data) {
  return later([this, path = std::move(path), data = std::move(data)] {
    return put(path, data, {.append = true, .create = true});
  });
}

AnyFuture<Result<fs::Metadata>> SimFiles::stat(std::string path) {
  return later([this, path = std::move(path)] {
    return map_value(find_existing(path), [](const NodeRef& node) { return node->metadata(); });
  });
}

AnyFuture<Result<bool>> SimFiles::exists(std::string path) {
  return later([this, path = std::move(path)]() -> Result<bool> {
    const auto found = find_existing(path);
    if (found) return true;
    if (found.error().domain() == ErrorDomain::os) return false;
    return fail(found.error());
  });
}

AnyFuture<Result<void>> SimFiles::remove(std::string path) {
  return later([this, path = std::move(path)] { return remove_file(path); });
}

AnyFuture<Result<void>> SimFiles::rename(std::string from, std::string to) {
  return later([this, from = std::move(from), to = std::move(to)] { return move(from, to); });
}

AnyFuture<Result<std::uint64_t>> SimFiles::copy(std::string from, std::string to) {
  return later([this, from = std::move(from), to = std::move(to)] { return copy_file(from, to); });
}

AnyFuture<Result<std::vector<fs::DirEntry>>> SimFiles::read_dir(std::string path) {
  return later([this, path = std::move(path)] { return list(path); });
}

AnyFuture<Result<void>> SimFiles::mkdir(std::string path) {
  return later([this, path = std::move(path)] { return make_folder(path); });
}

AnyFuture<Result<void>> SimFiles::mkdir_all(std::string path) {
  return later([this, path = std::move(path)] { return make_folders(path); });
}

AnyFuture<Result<void>> SimFiles::remove_dir(std::string path) {
  return later([this, path = std::move(path)] { return remove_folder(path, false); });
}

AnyFuture<Result<void>> SimFiles::remove_dir_all(std::string path) {
  return later([this, path = std::move(path)] { return remove_folder(path, true); });
}

}  // namespace blitzio::io::detail

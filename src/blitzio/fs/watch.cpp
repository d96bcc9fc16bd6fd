#include <blitzio/fs/watch.hpp>

#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/directory.hpp>

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <new>

namespace blitzio::fs {

namespace {

constexpr std::uint32_t kMask = IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM |
                                IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t kBelowMask = kMask | IN_ONLYDIR | IN_DONT_FOLLOW;
// How many directories that have come are looked into on the spot: some milliseconds at most.
constexpr std::size_t kWalkNowMax = 32;
// Some events with long names, or hundreds with short ones.
constexpr std::size_t kReadBytes = 16 * 1024;

bool is_below(std::string_view path, std::string_view folder) noexcept {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

std::string join(const std::string& folder, std::string_view name) {
  if (name.empty()) return folder;
  std::string path = folder;
  if (!path.ends_with('/')) path += '/';
  return path += name;
}

// What goes before a relative path, to name the same wherever the program goes. Nothing if its
// directory is gone, or is not to be reached by its name: then such a path stays as it is.
std::string current_folder() {
  std::array<char, PATH_MAX> name;
  if (::getcwd(name.data(), name.size()) == nullptr) return {};
  std::string folder = name.data();
  if (!folder.ends_with('/')) folder += '/';
  return detail::blocking_stat(folder, true) ? folder : std::string();
}

std::string at(const std::string& base, const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : base + path;
}

Result<int> add_watch(int fd, const std::string& path, std::uint32_t mask) noexcept {
  return detail::retry([&] { return ::inotify_add_watch(fd, path.c_str(), mask); });
}

// What is gone by the time that it is to be watched is no error.
bool is_told(const Error& error) noexcept {
  return error.is_os(ENOSPC) || error.is_os(ENOMEM);
}

ssize_t read_some(int fd, std::span<std::byte> to) noexcept {
  for (;;) {
    const ssize_t count = ::read(fd, to.data(), to.size());
    if (count >= 0) return count;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace

struct Watcher::Raw {
  int watch;
  std::uint32_t mask;
  std::uint32_t cookie;
  std::string_view name;
  [[nodiscard]] bool has(std::uint32_t bits) const noexcept { return (mask & bits) != 0; }
};

// ---- setting up --------------------------------------------------------------------------------

Result<Watcher> Watcher::blocking_watch(const std::vector<std::string>& paths,
                                        WatchOptions options) {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return fail(Error::os(errno));
  auto adopted = AsyncFd::adopt(OwnedFd::adopt(fd));
  if (!adopted) return fail(adopted.error());
  Watcher watcher(std::move(*adopted), options, current_folder());
  for (const std::string& path : paths) {
    if (auto checked = detail::check_path(path); !checked) return fail(checked.error());
    const auto added = watcher.add(path, true);
    if (!added) return fail(added.error());
    if (!options.recursive || !*added) continue;
    Walk walk{watcher.base_, false, {path}, {}, {}, {}, {}};
    go(fd, walk, SIZE_MAX);
    watcher.begin(std::move(walk));
    if (watcher.error_) return fail(*watcher.error_);
  }
  return watcher;
}

// Returns whether it is a directory.
Result<bool> Watcher::add(const std::string& path, bool is_root) {
  const std::string whole = at(base_, path);
  const auto watch = add_watch(fd_.get(), whole, is_root ? kMask : kBelowMask);
  if (!watch) return fail(watch.error());
  bool is_directory = true;
  if (is_root) {
    const auto found = detail::blocking_stat(whole, true);
    is_directory = found && found->is_directory();
  }
  // Two roots may be one file, or one below the other: the first name stays.
  watched_.try_emplace(*watch, Watched{path, is_root, is_directory});
  return is_directory;
}

void Watcher::look_into(int fd, Walk& walk, const std::string& path) {
  auto entries = blocking_read_dir(at(walk.base, path));
  // It may be gone, or closed to us, by now.
  if (!entries) return;
  for (const DirEntry& entry : *entries) {
    std::string below = join(path, entry.name);
    bool is_directory = entry.type == FileType::directory;
    if (entry.type == FileType::unknown) {
      const auto found = detail::blocking_stat(at(walk.base, below), false);
      is_directory = found && found->is_directory();
    }
    if (walk.is_new) walk.events.push_back({EventKind::created, is_directory, below, {}});
    if (!is_directory) continue;
    const auto watch = add_watch(fd, at(walk.base, below), kBelowMask);
    if (watch) {
      walk.found.emplace_back(*watch, Watched{below, false, true});
      walk.left.push_back(std::move(below));
    } else if (is_told(watch.error())) {
      walk.error = watch.error();
      return;
    }
  }
}

void Watcher::go(int fd, Walk& walk, std::size_t directories_max) {
  for (std::size_t i = 0; i < directories_max && !walk.left.empty() && !walk.error; ++i) {
    const std::string path = std::move(walk.left.back());
    walk.left.pop_back();
    look_into(fd, walk, path);
  }
}

// What is dropped before the thread begins is not looked into.
JoinHandle<void> Watcher::go_in_thread(OwnedFd fd, const std::shared_ptr<Walk>& walk) {
  return spawn_blocking([fd = std::move(fd), weak = std::weak_ptr<Walk>(walk)] {
    const auto own = weak.lock();
    if (!own) return;
    try {
      go(fd.get(), *own, SIZE_MAX);
    } catch (const std::bad_alloc&) {
      own->error = Error::os(ENOMEM);
    }
  });
}

// The first of it on the spot: mostly that is all.
void Watcher::begin(Walk walk) {
  go(fd_.get(), walk, kWalkNowMax);
  walk_ = std::make_shared<Walk>(std::move(walk));
  if (!walk_->left.empty() && !walk_->error) {
    take_found();
    // Its own, for ours may be closed meanwhile.
    if (auto fd = OwnedFd::adopt(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3)); fd) {
      walking_.emplace(go_in_thread(std::move(fd), walk_));
      return;
    }
  }
  end_walk();
}

void Watcher::take_found() {
  for (auto& [watch, watched] : walk_->found) watched_.try_emplace(watch, std::move(watched));
  for (WatchEvent& event : walk_->events) events_.push_back(std::move(event));
  walk_->found.clear();
  walk_->events.clear();
}

void Watcher::end_walk() {
  walking_.reset();
  // Here, if there was no descriptor or no thread for it.
  go(fd_.get(), *walk_, SIZE_MAX);
  take_found();
  const auto walk = std::exchange(walk_, nullptr);
  if (walk->error) error_ = walk->error;
  for (const auto& [watch, watched] : walk->former) {
    if (!watched_.contains(watch)) ::inotify_rm_watch(fd_.get(), watch);
  }
  // Which may begin the next.
  const auto unread = std::exchange(unread_, {});
  read_events(unread);
}

// ---- reading -----------------------------------------------------------------------------------

void Watcher::close() noexcept {
  // A thread that has not begun with it yet will not.
  walking_.reset();
  walk_.reset();
  unread_.clear();
  events_.clear();
  moved_from_.reset();
  error_.reset();
  fd_.close();
}

std::optional<Watcher::Item> Watcher::take() {
  if (fd_.get() < 0) return fail(Error::runtime(RuntimeErrc::closed));
  if (!events_.empty()) {
    Item item = std::optional(std::move(events_.front()));
    events_.pop_front();
    return item;
  }
  if (error_) return fail(*std::exchange(error_, std::nullopt));
  if (watched_.empty() && !moved_from_ && !walk_) return Item(std::optional<WatchEvent>());
  return std::nullopt;
}

Poll<Watcher::Item> Watcher::Next::poll(Context& context) {
  for (;;) {
    if (auto item = watcher_->take()) return std::move(*item);
    auto& walking = watcher_->walking_;
    const bool is_walking = walking && walking->poll(context).is_pending();
    if (watcher_->walk_ && !is_walking) {
      watcher_->end_walk();
      continue;
    }
    alignas(inotify_event) std::array<std::byte, kReadBytes> bytes;
    auto answer = wait_.poll(context, [&](int fd) noexcept {
      // Only closing it is to be heard of then.
      if (is_walking) return IoAttempt{.result = -EAGAIN, .waits_elsewhere = true};
      return IoAttempt{read_some(fd, bytes)};
    });
    if (answer.is_pending()) {
      if (!watcher_->moved_from_) return pending;
      // No more: what was moved has left.
      watcher_->end_rename();
      continue;
    }
    if (!answer.value()) return Item(fail(answer.value().error()));
    watcher_->read_events(std::span(bytes).first(*answer.value()));
  }
}

std::optional<Watcher::Item> Watcher::try_next() {
  for (;;) {
    if (auto item = take()) return item;
    if (walk_) {
      // Only asked: a poll would take the place of the task that waits for it.
      if (walking_ && !walking_->is_finished()) return std::nullopt;
      end_walk();
      continue;
    }
    alignas(inotify_event) std::array<std::byte, kReadBytes> bytes;
    const ssize_t count = read_some(fd_.get(), bytes);
    if (count == -EAGAIN) {
      if (!moved_from_) return std::nullopt;
      end_rename();
      continue;
    }
    if (count < 0) return fail(Error::os(static_cast<int>(-count)));
    read_events(std::span(bytes).first(static_cast<std::size_t>(count)));
  }
}

void Watcher::read_events(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (walk_) {
      // They may be of what it is about to find.
      unread_.assign(bytes.begin(), bytes.end());
      return;
    }
    inotify_event head;
    std::memcpy(&head, bytes.data(), sizeof head);
    // The name is padded with NULs.
    const char* name = reinterpret_cast<const char*>(bytes.data()) + sizeof head;
    on_event({head.wd, head.mask, head.cookie, {name, ::strnlen(name, head.len)}});
    bytes = bytes.subspan(sizeof head + head.len);
  }
}

void Watcher::on_event(const Raw& raw) {
  if (raw.has(IN_Q_OVERFLOW)) {
    end_rename();
    events_.push_back({EventKind::overflow, false, {}, {}});
    look_for_roots();
    if (options_.recursive) look_again();
    return;
  }
  const auto found = watched_.find(raw.watch);
  if (found == watched_.end()) return;
  if (raw.has(IN_IGNORED)) {
    watched_.erase(found);
    return;
  }
  if (raw.has(IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) return on_root(raw, found->second);

  const bool is_second_half =
      raw.has(IN_MOVED_TO) && moved_from_ && moved_from_->cookie == raw.cookie;
  if (!is_second_half) {
    end_rename();
    // It may be what has left, or below it: then it is no longer ours.
    if (!watched_.contains(raw.watch)) return;
  }

  const bool is_self = raw.name.empty();
  WatchEvent event{EventKind::modified,
                   is_self ? found->second.is_directory : raw.has(IN_ISDIR),
                   join(found->second.path, raw.name),
                   {}};
  if (is_second_half) {
    event.kind = EventKind::renamed;
    event.from = std::move(std::exchange(moved_from_, std::nullopt)->event.path);
    // One that was not there any more under its first name is to be watched yet.
    const bool is_new =
        event.is_directory && options_.recursive && !rename_below(event.from, event.path);
    const std::string path = event.path;
    events_.push_back(std::move(event));
    if (is_new) watch_new(path);
    return;
  }
  if (raw.has(IN_CREATE | IN_MOVED_TO)) {
    event.kind = EventKind::created;
    return appeared(std::move(event));
  }
  if (raw.has(IN_MOVED_FROM)) {
    event.kind = EventKind::removed;
    moved_from_ = MovedFrom{raw.cookie, std::move(event)};
    return;
  }
  if (raw.has(IN_DELETE)) event.kind = EventKind::removed;
  if (raw.has(IN_ATTRIB)) {
    // A directory below tells of itself what its parent tells of it.
    if (is_self && !found->second.is_root) return;
    event.kind = EventKind::metadata;
  }
  events_.push_back(std::move(event));
}

void Watcher::on_root(const Raw& raw, const Watched& watched) {
  // Of others the directory above tells.
  if (!watched.is_root) return;
  end_rename();
  lose_root(raw.watch);
}

// If it lives on, then under a name that is not known: no longer ours.
void Watcher::lose_root(int watch) {
  const auto found = watched_.find(watch);
  const std::string path = found->second.path;
  events_.push_back({EventKind::root_removed, found->second.is_directory, path, {}});
  ::inotify_rm_watch(fd_.get(), watch);
  watched_.erase(found);
  forget_below(path);
}

void Watcher::appeared(WatchEvent event) {
  const bool is_watched = event.is_directory && options_.recursive;
  const std::string path = event.path;
  events_.push_back(std::move(event));
  if (is_watched) watch_new(path);
}

void Watcher::watch_new(const std::string& path) {
  if (const auto added = add(path, false); added) {
    begin({base_, true, {path}, {}, {}, {}, {}});
  } else if (is_told(added.error())) {
    error_ = added.error();
  }
}

// After events were lost, those of a root's end perhaps.
void Watcher::look_for_roots() {
  std::vector<int> lost;
  for (const auto& [watch, watched] : watched_) {
    if (watched.is_root && !is_still_at(watch, watched.path)) lost.push_back(watch);
  }
  for (const int watch : lost) lose_root(watch);
}

// The kernel gives one file one watch: asked again, it names that, or makes one of another file.
bool Watcher::is_still_at(int watch, const std::string& path) {
  const auto found = add_watch(fd_.get(), at(base_, path), kMask);
  if (!found) return !found.error().is_os(ENOENT) && !found.error().is_os(ENOTDIR);
  if (*found != watch && !watched_.contains(*found)) ::inotify_rm_watch(fd_.get(), *found);
  return *found == watch;
}

// After events were lost: what is below the roots by now is watched, under its name of now, and
// what is not there any more is not. Nothing is taken away to be added again: the kernel tells of
// each end of a watch, and so many would be lost again.
void Watcher::look_again() {
  Walk walk{base_, false, {}, std::exchange(watched_, {}), {}, {}, {}};
  for (const auto& [watch, watched] : walk.former) {
    if (!watched.is_root) continue;
    watched_.emplace(watch, watched);
    if (watched.is_directory) walk.left.push_back(watched.path);
  }
  begin(std::move(walk));
}

// The other half does not follow: it was moved to where nobody watches.
void Watcher::end_rename() {
  if (!moved_from_) return;
  WatchEvent event = std::move(std::exchange(moved_from_, std::nullopt)->event);
  if (event.is_directory && options_.recursive) forget_below(event.path);
  events_.push_back(std::move(event));
}

// Returns whether it is watched itself.
bool Watcher::rename_below(const std::string& from, const std::string& to) {
  bool is_watched = false;
  for (auto& [watch, watched] : watched_) {
    is_watched |= watched.path == from;
    if (watched.is_root) continue;
    if (watched.path == from) {
      watched.path = to;
    } else if (is_below(watched.path, from)) {
      watched.path = to + watched.path.substr(from.size());
    }
  }
  return is_watched;
}

void Watcher::forget_below(const std::string& path) {
  std::erase_if(watched_, [&](const auto& each) {
    const auto& [watch, watched] = each;
    if (watched.is_root || (watched.path != path && !is_below(watched.path, path))) return false;
    ::inotify_rm_watch(fd_.get(), watch);
    return true;
  });
}

}  // namespace blitzio::fs

// `Watcher`: what happens to files and directories, as a stream of events (inotify).
//
//     Async<Result<void>> follow(std::vector<std::string> folders) {
//       auto watcher = co_await fs::watch(std::move(folders), {.recursive = true});
//       if (!watcher) co_return fail(watcher.error());
//       for (;;) {
//         auto event = co_await watcher->next();
//         if (!event) co_return fail(event.error());
//         if (!*event) co_return Result<void>();  // all that was watched is gone
//         use((*event)->kind, (*event)->path);
//       }
//     }
//
// A rename within what is watched is one event with both names: the kernel tells it in two halves,
// one behind the other. A half whose other does not follow at once is `removed` or `created`.
// Recursively, directories that appear are watched too, and what is in one by then is reported as
// created; where that is much, a thread looks. Symbolic links are not followed, except by a root.
// Events that the kernel had no room for are an event themselves, `overflow`: then look at
// everything again. What has come meanwhile is watched from then on, but not reported. Roots that
// are not where they were, or not what was there, are, as `root_removed`. Relative paths are of the
// directory that the program is in as the watch begins, and events tell them as they were given.
// Roots are known by their names, as the kernel knows them when they are added: of a directory
// above one that is renamed, the program's included, nothing is heard, and what comes below after
// that is not found.
//
//              more directories have come than are looked into on the spot
//   reading ───────────────────────────────────────────────────────────────────▶ walking
//      ▲  a thread has looked into all of them: on with the event behind            │
//      └────────────────────────────────────────────────────────────────────────────┘
//
// walking   what was found so far is told; the kernel keeps further events. Closing does not wait
//           for the thread.
//
// A watched file that is replaced by renaming another one over it, as editors do, is gone: watch
// its directory.
//
// Threads: one task at a time; any executor with a driver.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/async_fd.hpp>
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_handle.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::fs {

enum class EventKind : std::uint8_t {
  created,
  modified,
  removed,
  renamed,
  metadata,      ///< permissions, owner, times, links
  root_removed,  ///< what was to be watched was removed or moved away, or its file system was
  overflow,      ///< events were lost
};

/// What happened to what.
struct WatchEvent {
  EventKind kind;
  bool is_directory = false;
  std::string path;  ///< below the root as it was given; empty for overflow
  std::string from;  ///< renamed: what it was before
};

/// What is watched of a directory.
struct WatchOptions {
  bool recursive = false;  ///< directories below too
};

/// Hears of changes. Thread: one task at a time.
class [[nodiscard]] Watcher {
 public:
  using Item = Result<std::optional<WatchEvent>>;

  /// Watches files and directories, those below included if so asked.
  /// Errors   ENOENT, EACCES, …, ENOSPC: the user's limit of watches; EMFILE.
  [[nodiscard]] static Result<Watcher> blocking_watch(const std::vector<std::string>& paths,
                                                      WatchOptions options = {});

  class [[nodiscard]] Next {
   public:
    using Output = Item;
    Poll<Item> poll(Context& context);

   private:
    friend class Watcher;
    explicit Next(Watcher& watcher) noexcept
        : watcher_(&watcher), wait_(watcher.fd_, IoDirection::read) {}
    Watcher* watcher_;
    IoWait wait_;
  };
  /// Waits for the next event; none: nothing is watched any more.
  /// Errors   ENOSPC once, if a new directory cannot be watched.
  /// Cancel   takes no event.
  [[nodiscard]] Next next() noexcept { return Next(*this); }
  /// The next event if it is there. Empty if not, or if a thread still looks for what has come.
  [[nodiscard]] std::optional<Item> try_next();
  /// Ends it: what waits, and later calls, end with `closed`, whatever has been read by then.
  void close() noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  struct Watched {
    std::string path;
    bool is_root;
    bool is_directory;
  };
  /// The first half of a rename.
  struct MovedFrom {
    std::uint32_t cookie;
    WatchEvent event;
  };
  /// Directories that have come, and are to be watched with all that is below them.
  struct Walk {
    std::string base;               ///< as `base_`; a thread has its own
    bool is_new;                    ///< what is found is reported
    std::vector<std::string> left;  ///< to be looked into, the last one first
    std::map<int, Watched> former;  ///< what is not found again is watched no more
    std::vector<std::pair<int, Watched>> found;
    std::vector<WatchEvent> events;
    std::optional<Error> error;
  };
  struct Raw;

  Watcher(AsyncFd fd, WatchOptions options, std::string base) noexcept
      : fd_(std::move(fd)), options_(options), base_(std::move(base)) {}
  [[nodiscard]] Result<bool> add(const std::string& path, bool is_root);
  /// Looks into so many directories of `walk` at most.
  static void go(int fd, Walk& walk, std::size_t directories_max);
  static void look_into(int fd, Walk& walk, const std::string& path);
  static JoinHandle<void> go_in_thread(OwnedFd fd, const std::shared_ptr<Walk>& walk);
  void begin(Walk walk);
  void take_found();
  void end_walk();
  void read_events(std::span<const std::byte> bytes);
  void on_event(const Raw& raw);
  void on_root(const Raw& raw, const Watched& watched);
  void lose_root(int watch);
  void appeared(WatchEvent event);
  void watch_new(const std::string& path);
  void look_again();
  void look_for_roots();
  [[nodiscard]] bool is_still_at(int watch, const std::string& path);
  void end_rename();
  [[nodiscard]] bool rename_below(const std::string& from, const std::string& to);
  void forget_below(const std::string& path);
  [[nodiscard]] std::optional<Item> take();

  AsyncFd fd_;
  WatchOptions options_;
  std::string base_;  ///< where relative paths begin, for the kernel; events do not tell it
  std::map<int, Watched> watched_;
  std::deque<WatchEvent> events_;
  std::optional<MovedFrom> moved_from_;
  std::optional<Error> error_;
  // Set while there is more to look into than is done on the spot; the thread's while `walking_`.
  std::shared_ptr<Walk> walk_;
  std::optional<JoinHandle<void>> walking_;
  std::vector<std::byte> unread_;  ///< events behind the one that began the walk
};

/// Returns  future of Result<Watcher>, made in a thread.
inline auto watch(std::vector<std::string> paths, WatchOptions options = {}) {
  return call_blocking(
      [paths = std::move(paths), options] { return Watcher::blocking_watch(paths, options); });
}

}  // namespace blitzio::fs

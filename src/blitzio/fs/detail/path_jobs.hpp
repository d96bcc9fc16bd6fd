// What the futures over paths do that the ring has an operation for: the jobs of FileCall.
//
// Threads: one at a time.
#pragma once

#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/file_call.hpp>
#include <blitzio/fs/metadata.hpp>

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace blitzio::fs::detail {

struct StatJob {
  std::string path;
  bool follow_symlinks;
  struct statx found = {};

  [[nodiscard]] Now<Metadata> try_now() const noexcept;
  Result<Metadata> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::stat};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) noexcept;
  [[nodiscard]] Result<Metadata> finish(std::int32_t result) const noexcept;
};

struct ExistsJob {
  StatJob stat;

  [[nodiscard]] Now<bool> try_now() const noexcept;
  Result<bool> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept { return StatJob::ring_use(); }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) noexcept {
    return stat.prepare(operation);
  }
  [[nodiscard]] Result<bool> finish(std::int32_t result) const noexcept;
};

struct MkdirJob {
  std::string path;
  mode_t mode;

  [[nodiscard]] Now<void> try_now() const noexcept;
  Result<void> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::mkdir};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) const noexcept;
  [[nodiscard]] static Result<void> finish(std::int32_t result) noexcept { return void_of(result); }
};

struct RemoveJob {
  std::string path;
  bool is_directory;

  [[nodiscard]] Now<void> try_now() const noexcept;
  Result<void> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::unlink};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) const noexcept;
  [[nodiscard]] static Result<void> finish(std::int32_t result) noexcept { return void_of(result); }
};

struct RenameJob {
  std::string from;
  std::string to;

  [[nodiscard]] Now<void> try_now() const noexcept;
  Result<void> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::rename};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) const noexcept;
  [[nodiscard]] static Result<void> finish(std::int32_t result) noexcept { return void_of(result); }
};

}  // namespace blitzio::fs::detail

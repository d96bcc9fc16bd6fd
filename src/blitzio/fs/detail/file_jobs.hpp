// What the futures of an open file do that the ring has an operation for: the jobs of FileCall.
//
// Threads: one at a time.
#pragma once

#include <blitzio/executor/operations.hpp>
#include <blitzio/fs/detail/calls.hpp>
#include <blitzio/fs/detail/file_call.hpp>
#include <blitzio/fs/detail/open_file.hpp>
#include <blitzio/fs/metadata.hpp>

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace blitzio::fs::detail {

/// Reads to, or writes, `count` bytes of its buffer from `first` on.
struct TransferJob {
  std::shared_ptr<OpenFile> file;
  op::Bytes buffer;
  std::size_t first;
  std::size_t count;
  std::uint64_t offset;
  bool reads;

  Result<op::Transferred> operator()() noexcept;
  [[nodiscard]] std::optional<RingUse> ring_use() const noexcept {
    if (file->is_stream()) return std::nullopt;
    return RingUse{reads ? driver::OpKind::read : driver::OpKind::write, count};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) noexcept;
  [[nodiscard]] Result<op::Transferred> finish(std::int32_t result) noexcept;
};

struct MetadataJob {
  std::shared_ptr<OpenFile> file;
  struct statx found = {};

  [[nodiscard]] Now<Metadata> try_now() const noexcept {
    return file->is_local() ? Now<Metadata>((*this)()) : std::nullopt;
  }
  Result<Metadata> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::stat};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) noexcept;
  [[nodiscard]] Result<Metadata> finish(std::int32_t result) const noexcept;
};

struct SyncJob {
  std::shared_ptr<OpenFile> file;
  bool data_only;

  Result<void> operator()() const noexcept;
  [[nodiscard]] static std::optional<RingUse> ring_use() noexcept {
    return RingUse{driver::OpKind::fsync};
  }
  [[nodiscard]] Result<void> prepare(driver::Operation& operation) const noexcept {
    operation.fsync(file->fd(), data_only);
    return {};
  }
  [[nodiscard]] static Result<void> finish(std::int32_t result) noexcept { return void_of(result); }
};

}  // namespace blitzio::fs::detail

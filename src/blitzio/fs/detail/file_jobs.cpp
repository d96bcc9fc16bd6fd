#include <blitzio/fs/detail/file_jobs.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <span>
#include <utility>

namespace blitzio::fs::detail {

Result<op::Transferred> TransferJob::operator()() noexcept {
  const auto part = std::span(buffer).subspan(first, count);
  const auto moved = reads ? file->blocking_read(part, offset) : file->blocking_write(part, offset);
  return op::Transferred{moved, std::move(buffer)};
}
Result<void> TransferJob::prepare(driver::Operation& operation) noexcept {
  const auto part = std::span(buffer).subspan(first, count);
  if (reads) {
    file->prepare_read(operation, part, offset);
  } else {
    file->prepare_write(operation, part, offset);
  }
  return {};
}
Result<op::Transferred> TransferJob::finish(std::int32_t result) noexcept {
  return op::Transferred{op::detail::to_count(result), std::move(buffer)};
}

Result<Metadata> MetadataJob::operator()() const noexcept {
  struct stat status{};
  if (::fstat(file->fd(), &status) != 0) return fail(Error::os(errno));
  return Metadata(status);
}
Result<void> MetadataJob::prepare(driver::Operation& operation) noexcept {
  operation.stat(file->fd(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found);
  return {};
}
Result<Metadata> MetadataJob::finish(std::int32_t result) const noexcept {
  if (result < 0) return fail(Error::os(-result));
  return Metadata(to_stat(found));
}

Result<void> SyncJob::operator()() const noexcept {
  return retry_void([&] { return data_only ? ::fdatasync(file->fd()) : ::fsync(file->fd()); });
}

}  // namespace blitzio::fs::detail

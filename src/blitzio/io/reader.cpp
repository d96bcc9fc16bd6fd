#include <blitzio/io/reader.hpp>

#include <algorithm>
#include <cstring>

namespace blitzio::io {

std::optional<std::size_t> Reader::Look::find(std::span<const std::byte> have) noexcept {
  if (!delimiter_) return have.size() >= count_ ? std::optional(count_) : std::nullopt;
  if (have.size() == searched_) return std::nullopt;
  const void* found =
      std::memchr(have.data() + searched_, static_cast<int>(*delimiter_), have.size() - searched_);
  searched_ = have.size();
  if (found == nullptr) return std::nullopt;
  return static_cast<std::size_t>(static_cast<const std::byte*>(found) - have.data()) + 1;
}

Poll<Reader::Look::Output> Reader::Look::poll(Context& context) {
  for (;;) {
    const auto have = reader_.buffered();
    std::optional<std::size_t> count = find(have);
    if (!count) {
      const std::size_t size = reader_.buffer().size();
      if (!reader_.is_all_there() && (have.size() == size || count_ > size)) {
        return Output(fail(Error::runtime(RuntimeErrc::limit_exceeded)));
      }
      auto filled = fill_.poll(context);
      if (filled.is_pending()) return pending;
      if (!filled.value()) return Output(fail(filled.value().error()));
      if (*filled.value() > 0) continue;
      if (!delimiter_) return Output(fail(Error::runtime(RuntimeErrc::unexpected_end)));
      count = have.size();  // the rest
    }
    // Filling may have moved them.
    const auto bytes = reader_.buffered().first(*count);
    if (consumes_) reader_.consume(*count);
    return Output(bytes);
  }
}

Poll<Reader::Discard::Output> Reader::Discard::poll(Context& context) {
  for (;;) {
    const std::size_t count = std::min(left_, reader_.buffered().size());
    reader_.consume(count);
    done_ += count;
    left_ -= count;
    if (left_ == 0) return Output(done_);
    auto filled = fill_.poll(context);
    if (filled.is_pending()) return pending;
    if (!filled.value()) return Output(fail(filled.value().error()));
    if (*filled.value() == 0) return Output(done_);
  }
}

}  // namespace blitzio::io

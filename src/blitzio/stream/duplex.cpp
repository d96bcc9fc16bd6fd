#include <blitzio/stream/duplex.hpp>

#include <blitzio/base/mutex.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace blitzio::stream {

namespace detail {

class DuplexPipe {
 public:
  explicit DuplexPipe(std::size_t bytes)
      : ring_(std::make_unique_for_overwrite<std::byte[]>(bytes)), size_(bytes) {}

  Poll<Result<std::size_t>> read(Context& context, std::span<std::byte> buffer) {
    using Output = Result<std::size_t>;
    Waker own = context.waker().clone();
    Waker writer;
    std::size_t count = 0;
    {
      const MutexLock lock(mutex_);
      if (used_ == 0 && !is_ended_ && !buffer.empty()) {
        std::swap(reader_, own);
        return pending;
      }
      count = std::min(used_, buffer.size());
      for (std::size_t done = 0; done < count;) {
        const std::size_t part = std::min(count - done, size_ - first_);
        std::memcpy(buffer.data() + done, ring_.get() + first_, part);
        first_ = (first_ + part) % size_;
        done += part;
      }
      used_ -= count;
      if (count > 0) writer = std::move(writer_);
    }
    writer.wake();
    return Output(count);
  }

  Poll<Result<std::size_t>> write(Context& context, std::span<const std::byte> data) {
    using Output = Result<std::size_t>;
    Waker own = context.waker().clone();
    Waker reader;
    std::size_t count = 0;
    {
      const MutexLock lock(mutex_);
      if (is_ended_) return Output(fail(Error::runtime(RuntimeErrc::closed)));
      if (is_broken_) return Output(fail(Error::os(EPIPE)));
      if (used_ == size_ && !data.empty()) {
        std::swap(writer_, own);
        return pending;
      }
      count = std::min(size_ - used_, data.size());
      for (std::size_t done = 0; done < count;) {
        const std::size_t at = (first_ + used_) % size_;
        const std::size_t part = std::min(count - done, size_ - at);
        std::memcpy(ring_.get() + at, data.data() + done, part);
        used_ += part;
        done += part;
      }
      if (count > 0) reader = std::move(reader_);
    }
    reader.wake();
    return Output(count);
  }

  void end() noexcept { set(is_ended_, reader_); }
  void break_off() noexcept { set(is_broken_, writer_); }

 private:
  void set(bool& flag, Waker& waiting) noexcept {
    Waker waker;
    {
      const MutexLock lock(mutex_);
      flag = true;
      waker = std::move(waiting);
    }
    waker.wake();
  }

  Mutex mutex_{LockRank::leaf};
  // All below belong to the lock.
  const std::unique_ptr<std::byte[]> ring_;
  const std::size_t size_;
  std::size_t first_ = 0;
  std::size_t used_ = 0;
  bool is_ended_ = false;
  bool is_broken_ = false;
  Waker reader_;
  Waker writer_;
};

}  // namespace detail

Poll<Result<std::size_t>> DuplexStream::Read::poll(Context& context) {
  return pipe_->read(context, buffer_);
}
Poll<Result<std::size_t>> DuplexStream::Write::poll(Context& context) {
  return pipe_->write(context, data_);
}
Poll<Result<void>> DuplexStream::Finish::poll(Context& /*context*/) {
  pipe_->end();
  return Result<void>();
}

DuplexStream::DuplexStream(std::shared_ptr<detail::DuplexPipe> in,
                           std::shared_ptr<detail::DuplexPipe> out) noexcept
    : in_(std::move(in)), out_(std::move(out)) {}
DuplexStream::DuplexStream(DuplexStream&&) noexcept = default;
DuplexStream& DuplexStream::operator=(DuplexStream&& other) noexcept {
  if (this != &other) {
    leave();
    in_ = std::move(other.in_);
    out_ = std::move(other.out_);
  }
  return *this;
}
DuplexStream::~DuplexStream() {
  leave();
}

void DuplexStream::leave() noexcept {
  if (in_ == nullptr) return;
  in_->break_off();
  out_->end();
}

std::pair<DuplexStream, DuplexStream> duplex(std::size_t pipe_bytes) {
  BLITZIO_CHECK(pipe_bytes > 0);
  auto one = std::make_shared<detail::DuplexPipe>(pipe_bytes);
  auto other = std::make_shared<detail::DuplexPipe>(pipe_bytes);
  return {DuplexStream(one, other), DuplexStream(other, one)};
}

}  // namespace blitzio::stream

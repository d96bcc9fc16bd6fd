// `ProtocolBuffer`: what a BufferedProtocol's get_buffer() gives a stream transport to receive
// into.
#pragma once

#include <python/loop/stream_internal.hpp>

#include <cstddef>
#include <span>

namespace blitzio::python {

/// Whether there is something to receive, the end or an error included.
[[nodiscard]] bool stream_is_readable(const StreamTransport& transport) noexcept;

/// A buffer from get_buffer(), held while it lives.
class ProtocolBuffer {
 public:
  ProtocolBuffer() noexcept = default;
  ProtocolBuffer(const ProtocolBuffer&) = delete;
  ProtocolBuffer& operator=(const ProtocolBuffer&) = delete;
  ~ProtocolBuffer() { release(); }

  /// `has_data`: there is something to put into it. False: the transport has been told of the
  /// failure (an interrupt ends the run alone), or the buffer is empty and so is the socket.
  [[nodiscard]] bool get(StreamTransport& transport, bool has_data) noexcept;

  [[nodiscard]] std::span<std::byte> span() const noexcept {
    return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

  void release() noexcept {
    if (view_.obj != nullptr) PyBuffer_Release(&view_);
  }

 private:
  Py_buffer view_{};
};

}  // namespace blitzio::python

// io::Reader and io::Writer: what their buffers show, and what reaches the stream when.
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/reader.hpp>
#include <blitzio/io/writer.hpp>
#include <blitzio/stream/copy.hpp>
#include <blitzio/stream/duplex.hpp>
#include <blitzio/stream/memory.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::io {
namespace {

constexpr std::byte kLineEnd{'\n'};

std::string text(const Result<std::span<const std::byte>>& bytes) {
  return bytes ? std::string(text_of(*bytes)) : "error: " + bytes.error().message();
}

bool is(const Result<std::span<const std::byte>>& bytes, RuntimeErrc code) {
  return !bytes && bytes.error().is(code);
}

TEST(Reader, ShowsWhatIsBufferedAndWhereItLies) {
  stream::MemoryReader source("helloworld");
  std::array<std::byte, 10> buffer{};
  Reader reader(source, buffer);
  EXPECT_EQ(text(block_on(reader.take(5))), "hello");
  EXPECT_EQ(reader.seek(), 5U);
  EXPECT_EQ(reader.end(), 10U);
  EXPECT_EQ(text_of(reader.buffered()), "world");
  const auto world = block_on(reader.peek(5));
  EXPECT_EQ(text(world), "world");
  EXPECT_EQ(world->data(), buffer.data() + 5);  // not copied
  EXPECT_EQ(reader.seek(), 5U);
}

TEST(Reader, ReadsAheadOnlyWhenTheBufferIsEmpty) {
  int calls = 0;
  struct Counting {
    stream::MemoryReader source;
    int& calls;
    auto read(std::span<std::byte> into) {
      ++calls;
      return source.read(into);
    }
  } counting{stream::MemoryReader(std::string_view("0123456789abcdef")), calls};
  std::array<std::byte, 8> buffer{};
  Reader reader(counting, buffer);
  std::string all;
  for (int i = 0; i < 16; ++i) all += text(block_on(reader.take(1)));
  EXPECT_EQ(all, "0123456789abcdef");
  EXPECT_EQ(calls, 2);
}

TEST(Reader, MovesTheRestToTheFrontWhenThereIsNoRoom) {
  stream::MemoryReader source("abcdefghij", 3);
  std::array<std::byte, 4> buffer{};
  Reader reader(source, buffer);
  EXPECT_EQ(text(block_on(reader.take(3))), "abc");
  EXPECT_EQ(text(block_on(reader.peek(1))), "d");
  EXPECT_EQ(text(block_on(reader.take(4))), "defg");
  EXPECT_TRUE(is(block_on(reader.peek(5)), RuntimeErrc::limit_exceeded));
  EXPECT_TRUE(is(block_on(reader.peek(4)), RuntimeErrc::unexpected_end));
  EXPECT_EQ(text(block_on(reader.take(3))), "hij");
  EXPECT_EQ(text(block_on(reader.take(0))), "");
}

TEST(Reader, TakesUpToADelimiter) {
  stream::MemoryReader source("one\ntwo\n\nthe rest", 2);
  std::array<std::byte, 8> buffer{};
  Reader reader(source, buffer);
  EXPECT_EQ(text(block_on(reader.peek_until(kLineEnd))), "one\n");
  EXPECT_EQ(text(block_on(reader.take_until(kLineEnd))), "one\n");
  EXPECT_EQ(text(block_on(reader.take_until(kLineEnd))), "two\n");
  EXPECT_EQ(text(block_on(reader.take_until(kLineEnd))), "\n");
  // Eight bytes fill the buffer, though they are all.
  EXPECT_TRUE(is(block_on(reader.take_until(kLineEnd)), RuntimeErrc::limit_exceeded));
  EXPECT_EQ(block_on(reader.discard(4)).value(), 4U);
  EXPECT_EQ(text(block_on(reader.take_until(kLineEnd))), "rest");
  EXPECT_EQ(text(block_on(reader.take_until(kLineEnd))), "");
  EXPECT_EQ(block_on(reader.discard(4)).value(), 0U);
}

TEST(Reader, OfBytesThatAreThereReadsThemInPlace) {
  constexpr std::string_view kText = "GET / HTTP/1.1\r\nHost: x\r\n\r\nbody";
  Reader reader = Reader::fixed(std::as_bytes(std::span(kText)));
  const auto first = block_on(reader.take_until(kLineEnd));
  EXPECT_EQ(text(first), "GET / HTTP/1.1\r\n");
  EXPECT_EQ(static_cast<const void*>(first->data()), kText.data());
  EXPECT_EQ(text(block_on(reader.peek(4))), "Host");
  EXPECT_TRUE(is(block_on(reader.peek(100)), RuntimeErrc::unexpected_end));
  auto lines = reader.lines();
  EXPECT_EQ(block_on(lines.next()).value(), "Host: x");
  EXPECT_EQ(block_on(lines.next()).value(), "");
  std::array<std::byte, 4> body{};
  EXPECT_TRUE(block_on(reader.read_exact(body)).has_value());
  EXPECT_EQ(text_of(body), "body");
  EXPECT_EQ(block_on(reader.read(body)).value(), 0U);
  EXPECT_EQ(text(block_on(Reader::fixed({}).take_until(kLineEnd))), "");
}

TEST(Reader, ADroppedTakeHasConsumedNothing) {
  auto [near, far] = stream::duplex(64);
  std::array<std::byte, 16> buffer{};
  Reader reader(near, buffer);
  const Waker nobody;
  Context context(nobody);
  EXPECT_EQ(block_on(far.write(std::as_bytes(std::span(std::string_view("ab"))))).value(), 2U);
  {
    auto dropped = reader.take(4);
    EXPECT_TRUE(dropped.poll(context).is_pending());
  }
  EXPECT_EQ(block_on(far.write(std::as_bytes(std::span(std::string_view("cd"))))).value(), 2U);
  EXPECT_EQ(text(block_on(reader.take(4))), "abcd");
}

TEST(Writer, KeepsBytesUntilTheBufferIsFullOrFlushed) {
  stream::MemoryWriter target;
  std::array<std::byte, 10> buffer{};
  Writer writer(target, buffer);
  EXPECT_TRUE(block_on(writer.write_all("Hello")).has_value());
  EXPECT_EQ(writer.end(), 5U);
  EXPECT_EQ(text_of(writer.buffered()), "Hello");
  EXPECT_EQ(target.text(), "");
  EXPECT_TRUE(block_on(writer.write_all(", World")).has_value());
  EXPECT_EQ(target.text(), "Hello");
  EXPECT_TRUE(block_on(writer.flush()).has_value());
  EXPECT_EQ(target.text(), "Hello, World");
  EXPECT_EQ(writer.end(), 0U);
  EXPECT_TRUE(block_on(writer.finish()).has_value());
  EXPECT_TRUE(target.is_finished());
}

TEST(Writer, SplatRepeatsAPattern) {
  stream::MemoryWriter target(3);
  std::array<std::byte, 4> buffer{};
  Writer writer(target, buffer);
  const auto pattern = bytes_of("-=");
  EXPECT_TRUE(block_on(writer.write_splat(pattern, 5)).has_value());
  EXPECT_TRUE(block_on(writer.write_splat(pattern, 0)).has_value());
  EXPECT_TRUE(block_on(writer.flush()).has_value());
  EXPECT_EQ(target.text(), "-=-=-=-=-=");
}

// Compiled once for all writers.
Async<Result<void>> greet(Writer& out) {
  co_await out.write_all("hello\n");
  co_return co_await out.flush();
}

TEST(AllocatingWriter, IsAWriterThatGrows) {
  AllocatingWriter writer;
  EXPECT_TRUE(block_on(greet(writer)).has_value());
  EXPECT_EQ(writer.text(), "hello\n");
  EXPECT_TRUE(block_on(writer.write_splat(bytes_of("x"), 2000)).has_value());
  EXPECT_EQ(writer.written().size(), 2006U);
  EXPECT_EQ(writer.take().size(), 2006U);
  EXPECT_EQ(writer.text(), "");
}

}  // namespace
}  // namespace blitzio::io

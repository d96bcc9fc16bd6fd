// Streams: transfers, buffering, lines, copies, in memory.
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/stream/buffered_writer.hpp>
#include <blitzio/stream/copy.hpp>
#include <blitzio/stream/duplex.hpp>
#include <blitzio/stream/memory.hpp>
#include <blitzio/stream/take.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <string>
#include <thread>

namespace blitzio::stream {
namespace {

static_assert(ReadStream<MemoryReader> && !WriteStream<MemoryReader>);
static_assert(WriteStream<MemoryWriter> && !FlushStream<MemoryWriter>);
static_assert(ReadStream<DuplexStream> && WriteStream<DuplexStream>);
static_assert(ReadStream<AnyReadStream> && WriteStream<AnyWriteStream>);
static_assert(ReadStream<Reader> && FlushStream<Writer>);
static_assert(ReadStream<Take<MemoryReader&>>);

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
std::span<std::byte> room(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

// Polls once, with a waker that does nothing.
template <Future F>
Poll<OutputOf<F>> poll_once(F& future) {
  const Waker waker;
  Context context(waker);
  return future.poll(context);
}

TEST(ReadExact, CollectsFromManyReads) {
  MemoryReader reader("hello, world", 5);
  std::string out(12, '.');
  EXPECT_TRUE(block_on(read_exact(reader, room(out))));
  EXPECT_EQ(out, "hello, world");
}

TEST(ReadExact, SaysThatTheStreamEndedEarly) {
  MemoryReader reader("hell", 3);
  std::string out(5, '.');
  auto future = read_exact(reader, room(out));
  const Result<void> result = block_on(future);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(RuntimeErrc::unexpected_end));
  EXPECT_EQ(future.remaining(), 1U);
  EXPECT_EQ(out, "hell.");
}

TEST(WriteAll, WritesInSteps) {
  MemoryWriter writer(3);
  EXPECT_TRUE(block_on(write_all(writer, bytes("abcdefgh"))));
  EXPECT_EQ(writer.text(), "abcdefgh");
}

TEST(ReadToEnd, AppendsUpToTheLimit) {
  MemoryReader reader("0123456789", 4);
  std::vector<std::byte> out(1);
  EXPECT_EQ(block_on(read_to_end(reader, out)), 10U);
  EXPECT_EQ(out.size(), 11U);
  MemoryReader again("0123456789", 4);
  const auto limited = block_on(read_to_end(again, out, 6));
  ASSERT_FALSE(limited);
  EXPECT_TRUE(limited.error().is(RuntimeErrc::limit_exceeded));
}

TEST(BufferedReader, ServesSmallReadsFromTheBufferAndLargeOnesPastIt) {
  MemoryReader source("abcdefghijklmnop");
  BufferedReader reader(source, 8);
  std::string one(1, '.');
  EXPECT_EQ(block_on(reader.read(room(one))), 1U);
  EXPECT_EQ(one, "a");
  EXPECT_EQ(reader.buffered().size(), 7U);
  std::string many(100, '.');
  EXPECT_EQ(block_on(reader.read(room(many))), 7U);
  EXPECT_EQ(block_on(reader.read(room(many))), 8U);
  EXPECT_EQ(many.substr(0, 8), "ijklmnop");
  EXPECT_EQ(block_on(reader.read(room(many))), 0U);
}

TEST(BufferedReader, LooksAheadWithFillAndConsume) {
  MemoryReader source("abcdef", 2);
  BufferedReader reader(source, 4);
  EXPECT_EQ(block_on(reader.fill()), 2U);
  EXPECT_EQ(block_on(reader.fill()), 2U);
  EXPECT_EQ(block_on(reader.fill()), 0U) << "it is full";
  reader.consume(3);
  EXPECT_EQ(block_on(reader.fill()), 2U);
  EXPECT_EQ(reader.buffered().size(), 3U);
  EXPECT_EQ(static_cast<char>(reader.buffered().front()), 'd');
}

TEST(BufferedReader, ReadsUntilADelimiterAcrossRefills) {
  MemoryReader source("one;two;rest", 2);
  BufferedReader reader(source, 3);
  std::string out;
  EXPECT_EQ(block_on(reader.read_until(std::byte{';'}, out)), 4U);
  EXPECT_EQ(out, "one;");
  EXPECT_EQ(block_on(reader.read_until(std::byte{';'}, out)), 4U);
  EXPECT_EQ(out, "one;two;");
  EXPECT_EQ(block_on(reader.read_until(std::byte{';'}, out)), 4U);
  EXPECT_EQ(out, "one;two;rest");
  EXPECT_EQ(block_on(reader.read_until(std::byte{';'}, out)), 0U);
}

TEST(Lines, StripsBothKindsOfLineEnd) {
  MemoryReader source("first\r\n\nthird\nlast", 1);
  BufferedReader reader(source);
  auto lines = reader.lines();
  for (const char* expected : {"first", "", "third", "last"}) {
    const auto line = block_on(lines.next());
    ASSERT_TRUE(line && *line);
    EXPECT_EQ(**line, expected);
  }
  const auto end = block_on(lines.next());
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST(Lines, RefusesALineThatIsTooLong) {
  MemoryReader source("0123456789\n");
  BufferedReader reader(source);
  auto lines = reader.lines(5);
  const auto line = block_on(lines.next());
  ASSERT_FALSE(line);
  EXPECT_TRUE(line.error().is(RuntimeErrc::limit_exceeded));
}

TEST(Lines, KeepTheBeginningOfALineWhenDropped) {
  auto [a, b] = duplex();
  BufferedReader reader(b);
  auto lines = reader.lines();
  ASSERT_TRUE(block_on(write_all(a, bytes("begin"))));
  {
    auto next = lines.next();
    EXPECT_TRUE(poll_once(next).is_pending());
  }
  ASSERT_TRUE(block_on(write_all(a, bytes("ning\n"))));
  const auto line = block_on(lines.next());
  ASSERT_TRUE(line && *line);
  EXPECT_EQ(**line, "beginning");
}

TEST(Reader, WorksOnAnyStreamWithTheCallersBuffer) {
  MemoryReader source("a\nb\n");
  std::byte buffer[2];
  Reader reader(AnyReadStream(source), buffer);
  std::string line;
  EXPECT_EQ(block_on(reader.read_line(line)), 2U);
  EXPECT_EQ(line, "a\n");
}

TEST(BufferedWriter, GathersAndFlushes) {
  MemoryWriter sink;
  BufferedWriter writer(sink, 4);
  EXPECT_EQ(block_on(writer.write(bytes("ab"))), 2U);
  EXPECT_EQ(block_on(writer.write(bytes("cd"))), 2U);
  EXPECT_EQ(sink.text(), "");
  EXPECT_EQ(block_on(writer.write(bytes("e"))), 1U);
  EXPECT_EQ(sink.text(), "abcd");
  EXPECT_EQ(block_on(writer.write(bytes("larger than it"))), 14U);
  EXPECT_EQ(sink.text(), "abcdelarger than it");
  EXPECT_TRUE(block_on(writer.write_all(bytes("x"))));
  EXPECT_TRUE(block_on(writer.finish()));
  EXPECT_EQ(sink.text(), "abcdelarger than itx");
  EXPECT_TRUE(sink.is_finished());
}

TEST(Writer, WorksOnAnyStreamWithTheCallersBuffer) {
  MemoryWriter sink(1);
  std::byte buffer[16];
  Writer writer(AnyWriteStream(sink), buffer);
  EXPECT_TRUE(block_on(writer.write_all(bytes("hello"))));
  EXPECT_EQ(sink.text(), "");
  EXPECT_TRUE(block_on(writer.flush()));
  EXPECT_EQ(sink.text(), "hello");
}

TEST(Take, EndsAfterItsLimit) {
  MemoryReader source("abcdef", 2);
  auto first = take(source, 3);
  std::string out(10, '.');
  EXPECT_EQ(block_on(first.read(room(out))), 2U);
  EXPECT_EQ(block_on(first.read(room(out))), 1U);
  EXPECT_EQ(block_on(first.read(room(out))), 0U);
  EXPECT_EQ(source.remaining().size(), 3U);
}

TEST(Copy, TakesNoRoomForTheLeast) {
  MemoryReader source("hello");
  MemoryWriter sink;
  EXPECT_EQ(block_on(copy(source, sink, 0)), 5U);
  EXPECT_EQ(sink.text(), "hello");
}

TEST(Copy, MovesEverythingAndFlushes) {
  const std::string text(100'000, 'x');
  MemoryReader source(text, 7'000);
  MemoryWriter sink(900);
  BufferedWriter writer(sink, 1'000);
  EXPECT_EQ(block_on(copy(source, writer, 4'096)), 100'000U);
  EXPECT_EQ(sink.text(), text);
  EXPECT_FALSE(sink.is_finished());
}

TEST(Duplex, PassesBytesBetweenThreads) {
  auto [a, b] = duplex(100);
  const std::string text(50'000, 'y');
  std::thread writer([&text, end = std::move(a)]() mutable {
    EXPECT_TRUE(block_on(write_all(end, bytes(text))));
  });
  std::vector<std::byte> out;
  EXPECT_EQ(block_on(read_to_end(b, out)), text.size());
  writer.join();
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(out.data()), out.size()), text);
}

TEST(Duplex, TellsOfTheOtherEnd) {
  auto [a, b] = duplex(4);
  EXPECT_EQ(block_on(a.write(bytes("too much"))), 4U);
  auto full = a.write(bytes("x"));
  EXPECT_TRUE(poll_once(full).is_pending());
  EXPECT_TRUE(block_on(b.finish()));
  std::string out(8, '.');
  EXPECT_EQ(block_on(a.read(room(out))), 0U) << "b has finished";
  const auto refused = block_on(b.write(bytes("x")));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(RuntimeErrc::closed));
  {
    const DuplexStream gone = std::move(b);
  }
  const auto broken = block_on(full);
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().is_os(EPIPE));
}

TEST(CopyBidirectional, LetsEachWayEndByItself) {
  auto [client, near] = duplex(64);
  auto [far, server] = duplex(64);
  std::optional<Result<CopiedBoth>> copied;
  std::thread proxy([&] { copied = block_on(copy_bidirectional(near, far, 16)); });
  ASSERT_TRUE(block_on(write_all(client, bytes("request"))));
  ASSERT_TRUE(block_on(client.finish()));
  std::vector<std::byte> request;
  EXPECT_EQ(block_on(read_to_end(server, request)), 7U);
  // The other way is still open.
  ASSERT_TRUE(block_on(write_all(server, bytes("a longer response"))));
  ASSERT_TRUE(block_on(server.finish()));
  std::vector<std::byte> response;
  EXPECT_EQ(block_on(read_to_end(client, response)), 17U);
  proxy.join();
  ASSERT_TRUE(copied && *copied);
  EXPECT_EQ((*copied)->a_to_b, 7U);
  EXPECT_EQ((*copied)->b_to_a, 17U);
}

TEST(CopyBidirectional, FailsWhenOneWayFails) {
  auto [client, near] = duplex(64);
  auto [far, server] = duplex(64);
  {
    const DuplexStream gone = std::move(server);
  }
  ASSERT_TRUE(block_on(write_all(client, bytes("x"))));
  const auto copied = block_on(copy_bidirectional(near, far, 16));
  ASSERT_FALSE(copied);
  EXPECT_TRUE(copied.error().is_os(EPIPE));
}

}  // namespace
}  // namespace blitzio::stream

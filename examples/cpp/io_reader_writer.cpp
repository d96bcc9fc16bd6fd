// Reading and writing through buffers of one's own: lines of a connection, not copied on the way.
#include <blitzio/io/evented.hpp>
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/io/reader.hpp>
#include <blitzio/io/writer.hpp>
#include <blitzio/task/async.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

using namespace blitzio;

namespace {

constexpr std::byte kLineEnd{'\n'};

// Compiled once, whatever the reader reads and the writer writes.
Async<Result<int>> number_lines(io::Reader& in, io::Writer& out) {
  for (int number = 1;; ++number) {
    const auto line = co_await in.take_until(kLineEnd);  // lies in the reader's buffer
    if (!line) co_return fail(line.error());
    if (line->empty()) break;
    const std::string label = std::to_string(number) + ": ";
    if (auto done = co_await out.write_all(label); !done) co_return fail(done.error());
    if (auto done = co_await out.write_all(*line); !done) co_return fail(done.error());
  }
  const std::string_view rule = "-=";
  if (auto done = co_await out.write_splat(std::as_bytes(std::span(rule)), 4); !done) {
    co_return fail(done.error());
  }
  const auto flushed = co_await out.flush();
  if (!flushed) co_return fail(flushed.error());
  co_return 0;
}

Async<bool> program(Io io) {
  io::TcpListener listener = io.net().listen(Address::loopback_v4(0)).value();
  io::TcpStream client = (co_await io.net().connect(listener.local_address().value())).value();
  io::TcpStream server = (co_await listener.accept()).value().stream;
  static_cast<void>(co_await client.write_all(io::bytes_of("one\ntwo\nthree\n")));
  static_cast<void>(co_await client.finish());

  std::array<std::byte, 64> buffer{};
  io::Reader in(server, buffer);
  io::AllocatingWriter out;
  const auto done = co_await number_lines(in, out);
  std::printf("%.*s\n", static_cast<int>(out.text().size()), out.text().data());

  // The same from memory.
  io::Reader fixed = io::Reader::fixed(out.written());
  const auto first = co_await fixed.take_until(kLineEnd);
  co_return done&& first&& io::text_of(*first) == "1: one\n" &&
      out.text() == "1: one\n2: two\n3: three\n-=-=-=-=";
}

}  // namespace

int main() {
  try {
    const auto evented = io::Evented::create().value();
    return evented->io().run(program, evented->io()) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

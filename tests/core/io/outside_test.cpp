// Files, network, processes and signals of an Io: one suite over every implementation.
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/io/system.hpp>
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/task/async.hpp>

#include <gtest/gtest.h>
#include <core/io/implementations.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io {
namespace {

template <class T>
T get(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// A folder of the real file system that goes with the test; a simulation makes its own.
class Outside : public testing::EveryIo {
 protected:
  Outside() {
    std::string pattern = (std::filesystem::temp_directory_path() / "blitzio-io-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = pattern;
    if (GetParam().is_simulated) {
      io().run(
          [](Io io, std::string at) -> Async<void> {
            get(co_await io.fs().mkdir_all(std::move(at)));
          },
          io(), folder_);
    }
  }
  ~Outside() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

TEST_P(Outside, WholeFilesAndFolders) {
  io().run(
      [this](Io io) -> Async<void> {
        FileSystem& fs = io.fs();
        const std::string file = path("a.txt");
        EXPECT_FALSE(get(co_await fs.exists(file)));
        EXPECT_TRUE((co_await fs.read_file(file)).error().is_os(ENOENT));
        get(co_await fs.write_file(file, bytes_of("one")));
        get(co_await fs.append(file, bytes_of(" two")));
        EXPECT_EQ(text_of(get(co_await fs.read_file(file))), "one two");
        EXPECT_EQ(get(co_await fs.stat(file)).size(), 7U);
        EXPECT_TRUE(get(co_await fs.stat(file)).is_file());
        EXPECT_EQ(get(co_await fs.copy(file, path("b.txt"))), 7U);
        get(co_await fs.rename(path("b.txt"), path("c.txt")));
        EXPECT_FALSE(get(co_await fs.exists(path("b.txt"))));
        get(co_await fs.mkdir(path("d")));
        EXPECT_TRUE((co_await fs.mkdir(path("d"))).error().is_os(EEXIST));
        get(co_await fs.mkdir_all(path("d/e/f")));
        EXPECT_TRUE(get(co_await fs.stat(path("d"))).is_directory());
        EXPECT_TRUE((co_await fs.mkdir(path("no/e"))).error().is_os(ENOENT));
        EXPECT_TRUE((co_await fs.write_file(path("a.txt/x"), {})).error().is_os(ENOTDIR));
        EXPECT_TRUE((co_await fs.read_file(path("d"))).error().is_os(EISDIR));
        std::vector<std::string> names;
        for (const auto& entry : get(co_await fs.read_dir(path("")))) names.push_back(entry.name);
        std::ranges::sort(names);
        EXPECT_EQ(names, (std::vector<std::string>{"a.txt", "c.txt", "d"}));
        EXPECT_TRUE((co_await fs.remove_dir(path("d"))).error().is_os(ENOTEMPTY));
        get(co_await fs.remove_dir_all(path("d")));
        EXPECT_TRUE((co_await fs.remove_dir(path("d"))).error().is_os(ENOENT));
        get(co_await fs.remove(file));
        EXPECT_TRUE((co_await fs.remove(file)).error().is_os(ENOENT));
      },
      io());
}

TEST_P(Outside, AFileHasAPosition) {
  io().run(
      [this](Io io) -> Async<void> {
        File file = get(co_await io.fs().open(
            path("f"), {.read = true, .write = true, .truncate = true, .create = true}));
        const auto text = bytes_of("hello, world");
        get(co_await file.write_all(text));
        EXPECT_EQ(file.position(), 12U);
        std::array<std::byte, 5> five{};
        EXPECT_EQ(get(co_await file.read(five)), 0U);
        EXPECT_EQ(get(co_await file.seek(-5, fs::Whence::end)), 7U);
        get(co_await file.read_exact(five));
        EXPECT_EQ(text_of(five), "world");
        EXPECT_EQ((co_await file.read_exact(five)).error(),
                  Error::runtime(RuntimeErrc::unexpected_end));
        EXPECT_EQ(get(co_await file.read_at(five, 0)), 5U);
        EXPECT_EQ(text_of(five), "hello");
        EXPECT_EQ(get(co_await file.write_at(bytes_of("HELLO"), 0)), 5U);
        EXPECT_TRUE((co_await file.read_at(five, UINT64_MAX)).error().is_os(EINVAL));
        EXPECT_TRUE((co_await file.write_at(five, UINT64_MAX)).error().is_os(EINVAL));
        EXPECT_TRUE((co_await file.set_len(UINT64_MAX)).error().is_os(EINVAL));
        EXPECT_EQ(get(co_await file.write_at({}, 100)), 0U);
        EXPECT_EQ(get(co_await file.metadata()).size(), 12U);
        get(co_await file.set_len(5));
        EXPECT_EQ(get(co_await file.metadata()).size(), 5U);
        EXPECT_FALSE((co_await file.seek(-1)).has_value());
        get(co_await file.sync_all());
        get(co_await file.close());
        EXPECT_EQ(text_of(get(co_await io.fs().read_file(path("f")))), "HELLO");
        EXPECT_TRUE((co_await io.fs().open(path("f"), {.write = true, .create_new = true}))
                        .error()
                        .is_os(EEXIST));
        EXPECT_EQ((co_await io.fs().open(path("f"), {})).error(),
                  Error::runtime(RuntimeErrc::invalid_argument));
      },
      io());
}

template <class S>
Async<void> echo(S stream) {
  std::array<std::byte, 1000> buffer{};
  for (;;) {
    const std::size_t count = get(co_await stream.read(buffer));
    if (count == 0) break;
    get(co_await stream.write_all(std::span(buffer).first(count)));
  }
  get(co_await stream.finish());
}

TEST_P(Outside, ConnectionsCarryBytesBothWays) {
  io().run(
      [](Io io) -> Async<void> {
        TcpListener listener = get(io.net().listen(Address::loopback_v4(0)));
        const Address address = get(listener.local_address());
        EXPECT_NE(address.port(), 0);
        auto server = io.concurrent(
            [&](Io inner) -> Async<void> {
              IoGroup connections = inner.group();
              for (int i = 0; i < 3; ++i) {
                Accepted accepted = get(co_await listener.accept());
                EXPECT_TRUE(connections.concurrent(echo(std::move(accepted.stream))).has_value());
              }
              co_await connections.wait();
            },
            io);
        EXPECT_TRUE(server.has_value());
        IoGroup clients = io.group();
        for (int i = 0; i < 3; ++i) {
          auto started = clients.concurrent(
              [i, address](Io inner) -> Async<void> {
                TcpStream stream = get(co_await inner.net().connect(address));
                EXPECT_EQ(get(stream.peer_address()), address);
                const op::Bytes sent(50'000, static_cast<std::byte>(i));
                // More than the way holds: it must be read while it is written.
                auto writing = inner.concurrent([&]() -> Async<void> {
                  get(co_await stream.write_all(sent));
                  get(co_await stream.finish());
                });
                std::vector<std::byte> received;
                get(co_await stream::read_to_end(stream, received));
                (co_await writing->await()).get();
                EXPECT_EQ(received, sent);
              },
              io);
          EXPECT_TRUE(started.has_value());
        }
        co_await clients.wait();
        (co_await server->await()).get();
      },
      io());
}

TEST_P(Outside, NobodyListens) {
  io().run(
      [](Io io) -> Async<void> {
        Address gone;
        {
          const TcpListener listener = get(io.net().listen(Address::loopback_v4(0)));
          gone = get(listener.local_address());
          EXPECT_TRUE(io.net().listen(gone).error().is_os(EADDRINUSE));
        }
        EXPECT_TRUE((co_await io.net().connect(gone)).error().is_os(ECONNREFUSED));
        EXPECT_EQ((co_await io.net().connect(Address())).error(),
                  Error::runtime(RuntimeErrc::invalid_argument));
        EXPECT_EQ(get(co_await io.net().resolve("127.0.0.1", 80)).front(),
                  Address::loopback_v4(80));
        EXPECT_TRUE(
            (co_await io.net().connect("127.0.0.1", gone.port())).error().is_os(ECONNREFUSED));
      },
      io());
}

TEST_P(Outside, AReadThatIsGivenUpTakesNothing) {
  io().run(
      [](Io io) -> Async<void> {
        TcpListener listener = get(io.net().listen(Address::loopback_v4(0)));
        TcpStream client = get(co_await io.net().connect(get(listener.local_address())));
        TcpStream server = get(co_await listener.accept()).stream;
        std::array<std::byte, 5> buffer{};
        EXPECT_TRUE(
            (co_await io.timeout(1_ms, server.read(buffer))).error().is(RuntimeErrc::timed_out));
        get(co_await client.write_all(bytes_of("hello")));
        get(co_await server.read_exact(buffer));
        EXPECT_EQ(text_of(buffer), "hello");
      },
      io());
}

TEST_P(Outside, Datagrams) {
  io().run(
      [](Io io) -> Async<void> {
        UdpSocket a = get(io.net().bind_udp(Address::loopback_v4(0)));
        UdpSocket b = get(io.net().bind_udp(Address::loopback_v4(0)));
        EXPECT_EQ(get(co_await a.send_to(bytes_of("ping"), get(b.local_address()))), 4U);
        std::array<std::byte, 10> buffer{};
        const net::Received received = get(co_await b.recv_from(buffer));
        EXPECT_EQ(text_of(std::span(buffer).first(received.count)), "ping");
        EXPECT_EQ(received.from, get(a.local_address()));
      },
      io());
}

TEST_P(Outside, UnixSocketsCarryBytesBothWays) {
  io().run(
      [this](Io io) -> Async<void> {
        for (const std::string& name : {path("socket"), std::string("\0blitzio", 8) + path("")}) {
          const Address address = get(Address::local(name));
          UnixListener listener = get(io.net().listen_unix(address));
          EXPECT_EQ(get(listener.local_address()), address);
          EXPECT_TRUE(io.net().listen_unix(address).error().is_os(EADDRINUSE));
          UnixStream client = get(co_await io.net().connect_unix(address));
          Accepted accepted = get(co_await listener.accept());
          EXPECT_EQ(accepted.peer, Address());
          EXPECT_EQ(get(client.peer_address()), address);
          auto echoing = io.concurrent(echo<UnixStream>(std::move(accepted.stream)));
          EXPECT_TRUE(echoing.has_value());
          get(co_await client.write_all(bytes_of("hello")));
          get(co_await client.finish());
          std::vector<std::byte> received;
          get(co_await stream::read_to_end(client, received));
          EXPECT_EQ(text_of(received), "hello");
          (co_await echoing->await()).get();
        }
      },
      io());
}

TEST_P(Outside, APathOutlivesItsUnixSocket) {
  io().run(
      [this](Io io) -> Async<void> {
        Network& net = io.net();
        const Address address = get(Address::local(path("socket")));
        EXPECT_TRUE((co_await net.connect_unix(address)).error().is_os(ENOENT));
        EXPECT_TRUE(net.listen_unix(get(Address::local(path("no/x")))).error().is_os(ENOENT));
        static_cast<void>(get(net.listen_unix(address)));
        EXPECT_FALSE(get(co_await io.fs().stat(path("socket"))).is_file());
        EXPECT_TRUE((co_await net.connect_unix(address)).error().is_os(ECONNREFUSED));
        EXPECT_TRUE(net.listen_unix(address).error().is_os(EADDRINUSE));
        EXPECT_TRUE((co_await io.fs().read_file(path("socket"))).error().is_os(ENXIO));
        get(co_await io.fs().rename(path("socket"), path("renamed")));
        const UnixListener second = get(net.listen_unix(address));
        EXPECT_TRUE((co_await net.connect_unix(get(Address::local(path("renamed")))))
                        .error()
                        .is_os(ECONNREFUSED));
        get(co_await io.fs().remove(path("renamed")));
        EXPECT_TRUE((co_await net.connect_unix(address)).has_value());
        const Error invalid = Error::runtime(RuntimeErrc::invalid_argument);
        EXPECT_EQ((co_await net.connect_unix(Address::loopback_v4(1))).error(), invalid);
        EXPECT_EQ(net.listen_unix(Address::loopback_v4(1)).error(), invalid);
        EXPECT_EQ(net.bind_unix(Address::loopback_v4(1)).error(), invalid);
      },
      io());
}

TEST_P(Outside, UnixDatagramsWaitForRoom) {
  io().run(
      [this](Io io) -> Async<void> {
        const Address address = get(Address::local(path("datagrams")));
        UnixDatagram receiver = get(io.net().bind_unix(address));
        UnixDatagram sender = get(io.net().bind_unix());
        EXPECT_TRUE((co_await io.net().connect_unix(address)).error().is_os(EPROTOTYPE));
        constexpr int kCount = 1000;
        auto sending = io.concurrent([&]() -> Async<void> {
          for (int i = 0; i < kCount; ++i) {
            get(co_await sender.send_to(bytes_of(std::to_string(i)), address));
          }
        });
        EXPECT_TRUE(sending.has_value());
        std::array<std::byte, 16> buffer{};
        for (int i = 0; i < kCount; ++i) {
          const net::Received received = get(co_await receiver.recv_from(buffer));
          EXPECT_EQ(text_of(std::span(buffer).first(received.count)), std::to_string(i));
          EXPECT_EQ(received.from, Address());
        }
        (co_await sending->await()).get();
        EXPECT_TRUE((co_await sender.send_to(bytes_of("x"), get(Address::local(path("nobody")))))
                        .error()
                        .is_os(ENOENT));
      },
      io());
}

TEST_P(Outside, Programs) {
  io().run(
      [](Io io) -> Async<void> {
        const auto command = process::Command("/bin/sh").args({"-c", "echo hello; exit 3"});
        if (GetParam().is_simulated) {
          const Error unsupported = Error::runtime(RuntimeErrc::unsupported);
          EXPECT_EQ(io.process().spawn(command).error(), unsupported);
          EXPECT_EQ((co_await io.process().output(command)).error(), unsupported);
          co_return;
        }
        const process::Output output = get(co_await io.process().output(command));
        EXPECT_EQ(text_of(output.standard_output), "hello\n");
        EXPECT_EQ(output.status.code(), 3);
        EXPECT_EQ(get(co_await io.process().status(process::Command("/bin/true"))).code(), 0);
        const process::Child child = get(io.process().spawn(process::Command("/bin/true")));
        EXPECT_EQ((co_await child.wait()).code(), 0);
      },
      io());
}

TEST_P(Outside, SignalsAreHeard) {
  io().run(
      [this](Io io) -> Async<void> {
        SignalStream stream = get(io.signal().stream(SIGUSR1));
        EXPECT_EQ(stream.number(), SIGUSR1);
        EXPECT_FALSE(io.signal().stream(-1).has_value());
        raise_signal(SIGUSR1);
        co_await stream.next();
        EXPECT_TRUE((co_await io.timeout(1_ms, io.signal().wait(SIGUSR1)))
                        .error()
                        .is(RuntimeErrc::timed_out));
      },
      io());
}

BLITZIO_OVER_EVERY_IO(Outside);

}  // namespace
}  // namespace blitzio::io

"""What blitzio.io has of the outside, on every implementation: the machine's and the simulated one
answer alike."""

from __future__ import annotations

import asyncio
import errno
import io as python_io
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from blitzio.io import Deterministic

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio.io import Io


async def pair(io: Io) -> tuple[Any, Any]:
    listener = io.net.listen("127.0.0.1:0")
    client = await io.net.connect(listener.local_address)
    server, _ = await listener.accept()
    listener.close()
    return client, server


# ---- streams -------------------------------------------------------------------------------------


@pytest.mark.no_faults("what fits is written and read whole", "short", "again")
def test_streams_read_and_write_buffers(io: Io) -> None:
    async def main() -> None:
        a, b = await pair(io)
        async with a, b:
            assert b.try_read_vectored([bytearray(1)]) is None
            await a.writable()
            assert await a.write_vectored([b"one", bytearray(b"two"), memoryview(b"six")]) == 9
            await b.readable()
            assert await b.peek(3) == b"one"
            one, two = bytearray(3), bytearray(2)
            assert await b.read_vectored([one, two]) == 5
            assert one + two == b"onetw"
            rest = bytearray(10)
            assert await b.read_into(rest) == 4
            assert rest[:5] == b"osix\0"
            assert a.try_write_vectored([b"x", b"y"]) == 2
            await b.readable()
            assert b.try_read_vectored([bytearray(1), bytearray(5)]) == 2
            a.shutdown("write")
            assert await b.peek() == b""
            assert await b.read_into(rest) == 0

    io.run(main)


def test_reading_no_bytes_gives_none_unless_the_stream_is_closed(io: Io) -> None:
    async def main() -> None:
        a, b = await pair(io)
        async with a, b:
            assert await a.read(0) == a.try_read(0) == await a.peek(0) == a.try_peek(0) == b""
            assert await a.read_into(bytearray()) == a.try_read_vectored([]) == 0
            a.close()
            calls: list[Callable[[], Any]] = [
                lambda: a.read(0),
                lambda: a.peek(0),
                lambda: a.read_into(bytearray()),
                lambda: a.try_read(0),
                lambda: a.try_read_vectored([]),
            ]
            for call in calls:
                with pytest.raises(OSError, match="Bad file descriptor"):
                    await call()

    io.run(main)


def test_streams_refuse_bad_arguments(io: Io) -> None:
    async def main() -> None:
        a, b = await pair(io)
        async with a, b:
            for call in (a.read, a.peek, a.read_exact):
                with pytest.raises(ValueError, match="n must be at least 0"):
                    await call(-1)
                for wrong in (1.5, "1", None):
                    with pytest.raises(TypeError, match="interpreted as an integer"):
                        await call(wrong)
            with pytest.raises(ValueError, match="at least 0"):
                a.try_read(-1)
            for readonly in (b"readonly", "text"):
                with pytest.raises(TypeError):
                    await a.read_into(readonly)
            with pytest.raises(TypeError, match="a writable buffer was expected, got bytes"):
                await a.read_vectored([bytearray(1), b"readonly"])
            with pytest.raises(TypeError):
                await a.read_vectored(3)
            for write in (a.write, a.write_all):
                for data in ("text", 3):
                    with pytest.raises(TypeError):
                        await write(data)
            with pytest.raises(ValueError, match="how must be"):
                a.shutdown("some")
            for separator in (5, "x", None):
                with pytest.raises(TypeError):
                    await a.read_until(separator)

    io.run(main)


def test_a_split_stream_ends_one_way(io: Io) -> None:
    async def main() -> None:
        a, b = await pair(io)
        async with b:
            reader, writer = a.split()
            with pytest.raises(RuntimeError, match="split already"):
                a.split()
            await writer.write_all(b"question")
            writer.close()
            assert await b.read_to_end() == b"question"
            await b.write_all(b"answer\n")
            assert await reader.read_line() == b"answer\n"
            assert not a.is_closed
            reader.close()
            assert a.is_closed

    io.run(main)


def test_what_is_refused_or_cancelled_stays_in_the_stream(io: Io) -> None:
    async def main() -> None:
        a, b = await pair(io)
        async with a, b:
            await a.write_all(b"x" * 100)
            with pytest.raises(asyncio.LimitOverrunError, match="more than 10"):
                await b.read_to_end(10)
            assert await b.read_exact(100) == b"x" * 100
            waiting = asyncio.ensure_future(b.read_to_end())
            await a.write_all(b"kept")
            await io.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            a.shutdown("write")
            assert await b.read_to_end(4) == b"kept"
            assert await b.read_to_end() == b""

    io.run(main)


def test_unix_addresses_are_no_internet_addresses(io: Any) -> None:
    async def main() -> None:
        for address in ("/path", net.Address.parse("@name")):
            for make in (io.net.connect, io.net.listen, io.net.bind_udp):
                with pytest.raises(ValueError, match=r".+"):
                    await make(address)
            udp = io.net.bind_udp("127.0.0.1:0")
            with pytest.raises(OSError, match="Invalid argument"):
                await udp.send_to(b"x", address)
            udp.close()

    io.run(main)


# ---- Unix sockets --------------------------------------------------------------------------------


def test_unix_sockets_carry_bytes_both_ways(io: Io, folder: str) -> None:
    async def main() -> None:
        for name in (f"{folder}/socket", f"@blitzio-test{folder}"):
            address = net.Address.parse(name)
            async with io.net.listen_unix(name) as listener:
                assert listener.local_address == address
                with pytest.raises(OSError, match="Address already in use") as taken:
                    io.net.listen_unix(address)
                assert taken.value.errno == errno.EADDRINUSE
                async with await io.net.connect_unix(address) as client:
                    assert (client.local_address, client.peer_address) == (None, address)
                    server, peer = await listener.accept()
                    assert peer is None
                    async with server:
                        await client.write_all(b"ping\n")
                        assert await server.read_line() == b"ping\n"
                        await server.write_all(b"pong")
                    assert await client.read_to_end() == b"pong"

    io.run(main)


def test_a_path_outlives_its_unix_socket(io: Io, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/socket"
        with pytest.raises(FileNotFoundError):
            await io.net.connect_unix(path)
        with pytest.raises(FileNotFoundError):
            io.net.listen_unix(f"{folder}/none/socket")
        io.net.listen_unix(path).close()
        with pytest.raises(ConnectionRefusedError):
            await io.net.connect_unix(path)
        with pytest.raises(OSError, match="Address already in use"):
            io.net.listen_unix(path)
        metadata = await io.fs.stat(path)
        assert not metadata.is_file
        assert not metadata.is_directory
        await io.fs.rename(path, f"{folder}/renamed")
        async with io.net.listen_unix(path):
            (await io.net.connect_unix(path)).close()
            with pytest.raises(ConnectionRefusedError):
                await io.net.connect_unix(f"{folder}/renamed")
        await io.fs.remove(path)
        assert not await io.fs.exists(path)
        await io.fs.write_file(path, b"")
        with pytest.raises(ConnectionRefusedError):
            await io.net.connect_unix(path)

    io.run(main)


def test_unix_datagrams_arrive_in_order_and_wait_for_room(io: Any, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/datagrams"
        async with io.net.bind_unix(path) as receiver, io.net.bind_unix() as sender:
            assert (str(receiver.local_address), sender.local_address) == (path, None)
            assert receiver.try_recv_from() is None

            async def send() -> None:
                for number in range(600):
                    await sender.send_to(b"%d" % number, path)

            sending = asyncio.ensure_future(send())
            while receiver.try_recv_from() is None:
                await io.sleep(0.0001)
            for number in range(1, 600):
                assert await receiver.recv_from() == (b"%d" % number, None)
            await sending
            async with io.net.bind_unix(f"{folder}/named") as named:
                assert await named.send_to(b"", receiver.local_address) == 0
                assert await receiver.recv_from() == (b"", named.local_address)
            with pytest.raises(OSError, match="too long"):
                await sender.send_to(bytes(1 << 20), path)
            with pytest.raises(OSError, match="wrong type") as wrong:
                await io.net.connect_unix(path)
            assert wrong.value.errno == errno.EPROTOTYPE
            waiting = io.async_(receiver.recv_from)
            await io.sleep(0.001)
            receiver.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                await waiting
            with pytest.raises(ConnectionRefusedError):
                await sender.send_to(b"x", path)
            with pytest.raises(FileNotFoundError):
                await sender.send_to(b"x", f"{folder}/none")

    io.run(main)


def test_closing_a_socket_ends_its_sending(io: Io, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/socket"

        async def send_all(sender: Any) -> None:
            while True:
                await sender.send_to(b"x", path)

        for closes_sender in (True, False):
            receiver, sender = io.net.bind_unix(path), io.net.bind_unix()
            sending = io.async_(send_all, sender)
            await io.sleep(0.01)
            (sender if closes_sender else receiver).close()
            with pytest.raises(OSError, match=r".+") as ended:
                await sending
            expected = errno.EBADF if closes_sender else errno.ECONNREFUSED
            assert ended.value.errno == expected
            sender.close()
            receiver.close()
            await io.fs.remove(path)

    io.run(main)


def test_a_negative_backlog_is_the_systems(io: Any, folder: str) -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            io.net.listen_unix(f"{folder}/socket", backlog="1")
        async with io.net.listen_unix(f"{folder}/socket", backlog=-1):
            for _ in range(3):
                (await io.net.connect_unix(f"{folder}/socket")).close()

    io.run(main)


def test_other_addresses_are_no_unix_sockets(io: Any) -> None:
    async def main() -> None:
        for make in (io.net.listen_unix, io.net.bind_unix, io.net.connect_unix):
            for address in ("127.0.0.1:80", net.Address("::1", 80), "neither"):
                with pytest.raises(ValueError, match=r".+"):
                    await make(address)
            with pytest.raises(TypeError):
                await make(3)

    io.run(main)


# ---- files ---------------------------------------------------------------------------------------


def test_open_files_are_pythons(io: Any, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/text"
        async with io.fs.open(path, "w") as file:
            assert (file.name, file.mode, file.encoding.lower()) == (path, "w", "utf-8")
            assert await file.write("äb\n") == 3
            await file.writelines(["second\n", "third"])
            with pytest.raises(python_io.UnsupportedOperation):
                await file.read()
        assert file.closed
        with pytest.raises(ValueError, match="closed file"):
            await file.write("x")
        async with io.fs.open(path) as file:
            assert await file.read(1) == "ä"
            assert await file.readline() == "b\n"
            assert [line async for line in file] == ["second\n", "third"]
            await file.seek(0)
            assert await file.readlines() == ["äb\n", "second\n", "third"]
        file = await io.fs.open(path, "r+b")
        assert (file.readable(), file.writable(), file.seekable()) == (True, True, True)
        assert await file.seek(-5, 2) == 11
        assert await file.read() == b"third"
        assert await file.write(b"!") == 1
        assert await file.tell() == 17
        assert (await file.metadata()).size == 17
        assert await file.read_at(2, 0) == "ä".encode()
        assert await file.write_at(b"AE", 0) == 2
        assert await file.truncate(3) == 3
        await file.seek(0)
        assert await file.peek() == b"AEb"
        into = bytearray(5)
        assert await file.readinto(into) == 3
        await file.set_len(5)
        await file.sync_all()
        await file.close()
        assert await io.fs.read_file(path) == b"AEb\0\0"
        async with io.fs.open(path, "ab", 0) as file:
            await file.seek(0)
            await file.write(b"end")
            assert await file.write_at(b"!", 0) == 1
        assert await io.fs.read_file(path) == b"AEb\0\0end!"
        async with io.fs.open(path, "rb") as file:
            await io.fs.remove(path)
            assert await file.read1(3) == b"AEb", "an open file outlives its path"

    io.run(main)


def test_what_cannot_be_opened_is_said(io: Any, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/file"
        await io.fs.write_file(path, b"12")
        for error, name, mode in (
            (FileNotFoundError, f"{folder}/none", "r"),
            (FileExistsError, path, "x"),
            (IsADirectoryError, folder, "w"),
            (NotADirectoryError, f"{path}/below", "w"),
        ):
            with pytest.raises(error) as failed:
                await io.fs.open(name, mode)
            assert failed.value.filename == name
        for arguments in (("q",), ("rw",), ("rbt",), ("",), ("rb", -1, "utf-8"), ("r", 0)):
            with pytest.raises(ValueError, match=r".+"):
                await io.fs.open(path, *arguments)
        with pytest.raises(TypeError):
            await io.fs.open(path, 3)
        with pytest.raises(ValueError, match="null"):
            await io.fs.open("a\0b")
        async with io.fs.open(path, "rb") as file:
            with pytest.raises(python_io.UnsupportedOperation):
                await file.write(b"x")
            for size, offset in ((-1, 0), (1, -1)):
                with pytest.raises((ValueError, OSError)):
                    await file.read_at(size, offset)
        async with io.fs.open(path) as text:
            with pytest.raises(TypeError):
                await text.read("x")

    io.run(main)


def test_paths_are_moved_copied_and_removed(io: Io, folder: str) -> None:
    async def main() -> None:
        fs = io.fs
        await fs.mkdir_all(f"{folder}/a/b")
        await fs.mkdir_all(f"{folder}/a/b")
        await fs.write_text(f"{folder}/a/b/file", "text")
        await fs.append_text(f"{folder}/a/b/file", "!")
        assert (await fs.stat(f"{folder}/a/b/file")).size == 5
        assert (await fs.stat(f"{folder}/a")).is_directory
        assert await fs.copy(f"{folder}/a/b/file", f"{folder}/copy") == 5
        assert await fs.read_text(f"{folder}/copy") == "text!"
        await fs.rename(f"{folder}/a", f"{folder}/moved")
        assert await fs.exists(f"{folder}/moved/b/file")
        await fs.mkdir(f"{folder}/full")
        await fs.write_file(f"{folder}/full/file", b"")
        for code, source, target in (
            (errno.ENOENT, "none", "x"),
            (errno.EINVAL, "moved", "moved/b/c"),
            (errno.ENOTEMPTY, "moved", "full"),
            (errno.EISDIR, "copy", "full"),
            (errno.ENOTDIR, "moved", "copy"),
        ):
            with pytest.raises(OSError, match=r".+") as failed:
                await fs.rename(f"{folder}/{source}", f"{folder}/{target}")
            assert failed.value.errno == code, (source, target)
            assert failed.value.filename2 == f"{folder}/{target}"
        with pytest.raises(IsADirectoryError):
            await fs.copy(f"{folder}/moved", f"{folder}/x")
        with pytest.raises(FileExistsError):
            await fs.mkdir_all(f"{folder}/copy")
        with pytest.raises(NotADirectoryError):
            await fs.remove_dir_all(f"{folder}/copy")
        with pytest.raises(OSError, match="not empty"):
            await fs.remove_dir(f"{folder}/moved")
        await fs.remove_dir_all(f"{folder}/moved")
        with pytest.raises(FileNotFoundError):
            await fs.stat(f"{folder}/moved")
        assert sorted([entry.name async for entry in fs.read_dir(folder)]) == ["copy", "full"]

    io.run(main)


def test_a_unix_backlog_has_an_end() -> None:
    async def main(io: Io) -> None:
        async with io.net.listen_unix("/socket", backlog=1):
            waiting = [await io.net.connect_unix("/socket") for _ in range(2)]
            with pytest.raises(BlockingIOError):
                await io.net.connect_unix("/socket")
        for stream in waiting:
            with pytest.raises(ConnectionResetError):
                await stream.read()

    with Deterministic() as simulation:
        simulation.run(main)


def test_a_cancelled_receive_takes_nothing(io: Io, folder: str) -> None:
    async def main() -> None:
        async with io.net.bind_unix(f"{folder}/a") as receiver, io.net.bind_unix() as sender:
            waiting = asyncio.ensure_future(receiver.recv_from())
            await io.sleep(0.001)
            waiting.cancel()
            await asyncio.wait([waiting])
            await sender.send_to(b"kept", f"{folder}/a")
            assert (await receiver.recv_from())[0] == b"kept"

    io.run(main)

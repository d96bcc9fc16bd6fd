"""asyncssh: client and server on one loop; commands, forwarding and SFTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.python.frameworks.support import digest, listening_socket, payload
from tests.python.loop.support import HOST, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.ecosystem.conftest import Comparison

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
USER_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Server(asyncssh.SSHServer):
    """Takes one password for one user, and lets connections be forwarded."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("tester", "a secret")

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        return True


async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """The commands: `upper` answers line by line, `fail` says why, `stuck` waits to be ended."""
    command = process.command
    try:
        if command == "upper":
            async for line in process.stdin:
                process.stdout.write(line.upper())
            process.exit(0)
        elif command == "large":
            for start in range(0, len(LARGE), 50_000):
                process.stdout.write(LARGE[start : start + 50_000])
                await process.stdout.drain()
            process.exit(0)
        elif command == "stuck":
            process.stdout.write(b"waiting\n")
            await process.stdin.read()
        else:
            process.stderr.write(b"no such command")
            process.exit(3)
    except asyncssh.SignalReceived as signal:
        process.exit_with_signal(signal.signal)


LARGE = payload(3_000_000)


def as_bytes(output: object) -> bytes:
    assert isinstance(output, bytes)
    return output


@contextlib.asynccontextmanager
async def serving(folder: Path | None = None) -> AsyncIterator[dict[str, Any]]:
    """A server; gives what a client connects with."""
    users = asyncssh.import_authorized_keys(USER_KEY.export_public_key().decode())

    def sftp(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(folder).encode())

    server = await asyncssh.listen(
        sock=listening_socket(),
        server_factory=Server,
        server_host_keys=[HOST_KEY],
        authorized_client_keys=users,
        process_factory=handle,
        sftp_factory=sftp if folder else None,
        encoding=None,
    )
    port = server.get_port()
    known = asyncssh.import_known_hosts(f"[{HOST}]:{port} {HOST_KEY.export_public_key().decode()}")
    try:
        yield {
            "host": HOST,
            "port": port,
            "known_hosts": known,
            "username": "tester",
            "client_keys": [USER_KEY],
            "config": [],
            "agent_path": None,
        }
    finally:
        server.close()
        await soon(server.wait_closed())


def test_commands(same_on_asyncio: Comparison) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with (
            serving() as address,
            asyncssh.connect(**address, encoding=None) as connection,
        ):
            async with connection.create_process("upper", encoding=None) as process:
                for n in range(50):
                    process.stdin.write(f"line {n}\n".encode())
                    seen.append(await process.stdout.readline())
                process.stdin.write_eof()
                seen.append((await soon(process.wait())).exit_status)
            # Channels of one connection, at once.
            results = await asyncio.gather(
                *(connection.run("large", encoding=None) for _ in range(3))
            )
            seen.append([digest(as_bytes(result.stdout)) for result in results])
            result = await connection.run("nonsense", encoding=None)
            seen.append((result.exit_status, result.stderr))
            async with connection.create_process("stuck", encoding=None) as process:
                seen.append(await process.stdout.readline())
                process.send_signal("INT")
                seen.append((await soon(process.wait())).exit_signal)
        return seen

    assert same_on_asyncio(scenario) == [
        *(f"LINE {n}\n".encode() for n in range(50)),
        0,
        [digest(LARGE)] * 3,
        (3, b"no such command"),
        b"waiting\n",
        ("INT", False, "", "en-US"),
    ]


def test_files_go_both_ways(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    remote, local = tmp_path / "remote", tmp_path / "local"
    remote.mkdir()
    local.mkdir()
    (local / "large").write_bytes(LARGE)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with (
            serving(remote) as address,
            asyncssh.connect(**address) as connection,
            connection.start_sftp_client() as sftp,
        ):
            await sftp.makedirs("a/b", exist_ok=True)
            await sftp.put(str(local / "large"), "a/b/large")
            seen.append(digest((remote / "a/b/large").read_bytes()))
            async with sftp.open("a/b/large", "rb") as file:
                await file.seek(1000)
                seen.append(await file.read(16))
            await sftp.rename("a/b/large", "a/large")
            await sftp.get("a/large", str(local / "back"))
            seen.append(digest((local / "back").read_bytes()))
            seen.append(sorted(await sftp.listdir("a")))
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.remove("a/nothing")
            await sftp.remove("a/large")
            await sftp.rmdir("a/b")
        return seen

    assert same_on_asyncio(scenario) == [
        digest(LARGE),
        LARGE[1000:1016],
        digest(LARGE),
        [".", "..", "b", "large"],
    ]


def test_connections_are_forwarded(same_on_asyncio: Comparison) -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()
        await writer.wait_closed()

    async def scenario() -> list[bytes]:
        behind = await asyncio.start_server(upper, HOST, 0)
        port = behind.sockets[0].getsockname()[1]

        async def ask(entrance: int, number: int) -> bytes:
            reader, writer = await asyncio.open_connection(HOST, entrance)
            writer.write(f"request {number} ".encode() * 1000)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer[:11]

        async with behind, serving() as address, asyncssh.connect(**address) as connection:
            listener = await connection.forward_local_port(HOST, 0, HOST, port)
            answers = await asyncio.gather(*(ask(listener.get_port(), n) for n in range(5)))
            listener.close()
            await soon(listener.wait_closed())
        return answers

    assert same_on_asyncio(scenario) == [f"REQUEST {n} R".encode() for n in range(5)]


def test_who_may_not_come_in(same_on_asyncio: Comparison) -> None:
    async def scenario() -> list[str]:
        seen = []
        async with serving() as address:
            stranger = asyncssh.generate_private_key("ssh-ed25519")
            without_key = {**address, "client_keys": None}
            trials = [
                {**without_key, "password": "a secret"},
                {**without_key, "password": "wrong"},
                {**address, "client_keys": [stranger]},
                {**address, "known_hosts": ([], [], [])},
                {**address, "port": 1},
            ]
            for trial in trials:
                try:
                    async with asyncssh.connect(**trial):
                        seen.append("welcome")
                except (asyncssh.Error, OSError) as exc:
                    seen.append(type(exc).__name__)
        return seen

    assert same_on_asyncio(scenario) == [
        "welcome",
        "PermissionDenied",
        "PermissionDenied",
        "HostKeyNotVerifiable",
        "ConnectionRefusedError",
    ]

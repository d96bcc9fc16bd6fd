"""PostgreSQL and Redis as the tests' own: in a temporary folder, on free ports, ended for sure.

PostgreSQL refuses to run as root, so root starts it as an unprivileged user, who owns its folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ecosystem.processes import program
from tests.python.loop.support import CERTIFICATE, HOST, KEY, unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTALL = "sudo apt-get install -y postgresql redis-server"
_CLUSTER_SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
}


@dataclass(frozen=True)
class PostgreSQL:
    """A running cluster. TCP wants the password, the Unix socket trusts."""

    port: int
    folder: str  #: where its Unix socket is
    user: str = "tester"
    password: str = "a secret"
    database: str = "postgres"


@dataclass(frozen=True)
class Redis:
    """A running server: in the clear, under TLS, and on a Unix socket."""

    port: int
    tls_port: int
    path: str
    password: str = "another secret"


@contextlib.contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    initdb, postgres = (_program(name, _postgresql_folders()) for name in ("initdb", "postgres"))
    user = _unprivileged()
    # pytest's folders are for their owner alone, and the server is somebody else if we are root.
    with tempfile.TemporaryDirectory(prefix="blitzio-pg-", ignore_cleanup_errors=True) as name:
        folder, data = Path(name), Path(name) / "data"
        server = PostgreSQL(port=unused_port(), folder=name)
        secret = _private_file(folder / "password", server.password, user)
        if user is not None:
            os.chown(folder, *user)
        initdb_words = ["-D", str(data), "-U", server.user, f"--pwfile={secret}", "--no-sync"]
        initdb_words += ["--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8"]
        with program([initdb, *initdb_words, "--locale=C"], user=user, cwd=folder) as made:
            code, output = made.finish()
            assert code == 0, output
        _private_file(data / "server.crt", CERTIFICATE, user)
        _private_file(data / "server.key", KEY, user)
        settings = {**_CLUSTER_SETTINGS, "unix_socket_directories": name, "port": str(server.port)}
        words = [f"--{key}={value}" for key, value in settings.items()]
        command = [postgres, "-D", str(data), *words]
        # SIGINT is its fast shutdown: it disconnects who is still there.
        with program(command, user=user, cwd=folder, last_resort=signal.SIGINT) as running:
            running.wait_for("ready to accept connections")
            yield server
            code, output = running.stop(signal.SIGINT)
            assert code == 0, output


@contextlib.contextmanager
def redis_server() -> Iterator[Redis]:
    executable = _program("redis-server", [])
    with tempfile.TemporaryDirectory(prefix="blitzio-redis-") as name:
        folder = Path(name)
        certificate = _private_file(folder / "server.crt", CERTIFICATE, None)
        key = _private_file(folder / "server.key", KEY, None)
        server = Redis(port=unused_port(), tls_port=unused_port(), path=f"{name}/redis.sock")
        ports = ["--port", str(server.port), "--tls-port", str(server.tls_port)]
        words: list[str | Path] = ["--bind", HOST, *ports]
        words += ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"]
        words += ["--unixsocket", server.path, "--requirepass", server.password]
        words += ["--save", "", "--appendonly", "no", "--dir", folder]
        with program([executable, *words], cwd=folder, last_resort=signal.SIGTERM) as running:
            running.wait_for(r"eady to accept connections (?:at|unix)")
            yield server
            code, output = running.stop(signal.SIGTERM)
            assert code == 0, output


def _program(name: str, folders: list[str]) -> str:
    """The path of a server's program. Without it a test fails in continuous integration, and is
    skipped elsewhere with the command that brings it."""
    path = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if path is not None:
        return path
    text = f"{name} is not installed: {_INSTALL}"
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(text)
    pytest.skip(text)


def _postgresql_folders() -> list[str]:
    """Debian keeps each release in a folder of its own, outside PATH; newest first."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return [str(path) for path in sorted(found, key=lambda p: -float(p.parent.name))]


def _unprivileged() -> tuple[int, int] | None:
    """Ids of the user and group to run PostgreSQL as; None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise AssertionError("root cannot run PostgreSQL, and there is no user nobody")


def _private_file(path: Path, text: str, owner: tuple[int, int] | None) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    if owner is not None:
        os.chown(path, *owner)
    return path

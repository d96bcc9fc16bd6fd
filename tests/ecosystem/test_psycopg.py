"""psycopg's async side on a real PostgreSQL: libpq owns the sockets, the loop watches them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import CERTIFICATE, HOST, soon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ecosystem.conftest import Comparison
    from tests.ecosystem.servers import PostgreSQL


@pytest.fixture(params=["tcp", "tls", "unix"])
def address(
    postgresql: PostgreSQL, request: pytest.FixtureRequest, tmp_path: Path
) -> dict[str, Any]:
    """What psycopg connects with."""
    common: dict[str, Any] = {
        "user": postgresql.user,
        "dbname": postgresql.database,
        "port": postgresql.port,
    }
    if request.param == "unix":
        return {**common, "host": postgresql.folder}
    common |= {"host": HOST, "password": postgresql.password}
    if request.param == "tcp":
        return {**common, "sslmode": "disable"}
    (tmp_path / "root.crt").write_text(CERTIFICATE)
    return {**common, "sslmode": "verify-full", "sslrootcert": str(tmp_path / "root.crt")}


def test_statements_pipelines_and_copy(
    same_on_asyncio: Comparison, address: dict[str, Any]
) -> None:
    blob = payload(3_000_000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with (
            await psycopg.AsyncConnection.connect(**address) as connection,
            connection.cursor() as cursor,
        ):
            await cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            seen.append(await cursor.fetchone())
            await cursor.execute("CREATE TEMP TABLE things (id int PRIMARY KEY, name text)")
            async with cursor.copy("COPY things FROM STDIN") as copy:
                for n in range(20_000):
                    await copy.write_row((n, f"name {n}"))
            async with cursor.copy("COPY (SELECT * FROM things ORDER BY id) TO STDOUT") as copy:
                text = b"".join([bytes(block) async for block in copy])
            seen.append(digest(text))
            async with connection.pipeline():
                for n in range(200):
                    await cursor.execute("UPDATE things SET name = 'new' WHERE id = %s", (n,))
            with pytest.raises(psycopg.errors.UniqueViolation):
                async with connection.transaction():
                    await cursor.execute("INSERT INTO things VALUES (7, 'again')")
            await cursor.execute("SELECT count(*) FROM things WHERE name = 'new'")
            seen.append(await cursor.fetchone())
            await cursor.execute("SELECT %b || %b", (blob, blob))
            seen.append([digest(bytes(row[0])) async for row in cursor])
        return seen

    seen = same_on_asyncio(scenario)
    assert seen == [
        (address.get("sslmode") == "verify-full",),
        digest("".join(f"{n}\tname {n}\n" for n in range(20_000)).encode()),
        (200,),
        [digest(blob + blob)],
    ]


def test_notifications_and_cancelling(same_on_asyncio: Comparison, address: dict[str, Any]) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        connections = [
            await psycopg.AsyncConnection.connect(**address, autocommit=True) for _ in range(2)
        ]
        listener, speaker = connections
        channel = f"talk_{listener.info.backend_pid}"
        try:
            await listener.execute(f"LISTEN {channel}")

            async def listen() -> list[str]:
                return [item.payload async for item in listener.notifies(stop_after=5)]

            listening = asyncio.ensure_future(listen())
            for n in range(5):
                await speaker.execute("SELECT pg_notify(%s, %s)", (channel, f"item {n}"))
            seen.append(await soon(listening))

            sleeping = asyncio.ensure_future(listener.execute("SELECT pg_sleep(600)"))
            state = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
            while not await (await speaker.execute(state, (listener.info.backend_pid,))).fetchone():
                await asyncio.sleep(0.01)
            sleeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(sleeping)
            # psycopg has cancelled the query on the server; the connection is as good as new.
            seen.append(await (await listener.execute("SELECT 'still here'")).fetchone())
        finally:
            for connection in connections:
                await soon(connection.close())
        return seen

    assert same_on_asyncio(scenario) == [[f"item {n}" for n in range(5)], ("still here",)]


def test_many_connections_at_once(same_on_asyncio: Comparison, address: dict[str, Any]) -> None:
    async def ask(number: int) -> int:
        async with await psycopg.AsyncConnection.connect(**address) as connection:
            total = 0
            for n in range(20):
                row = await (await connection.execute("SELECT %s::int", (number * n,))).fetchone()
                assert row is not None
                total += row[0]
            return total

    async def scenario() -> list[int]:
        return await asyncio.gather(*(ask(number) for number in range(10)))

    assert same_on_asyncio(scenario) == [190 * number for number in range(10)]

"""asyncpg on a real PostgreSQL: over TCP with a password, under TLS, and on the Unix socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import HOST, client_context, soon

if TYPE_CHECKING:
    from tests.ecosystem.conftest import Comparison
    from tests.ecosystem.servers import PostgreSQL

WAYS = ("tcp", "tls", "unix")


def arguments(server: PostgreSQL, way: str) -> dict[str, Any]:
    """What asyncpg.connect() and create_pool() want."""
    common = {"user": server.user, "database": server.database, "port": server.port}
    if way == "unix":
        return {**common, "host": server.folder}
    tls = client_context() if way == "tls" else False
    return {**common, "host": HOST, "password": server.password, "ssl": tls}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_statements_transactions_and_a_large_value(
    same_on_asyncio: Comparison, postgresql: PostgreSQL, way: str
) -> None:
    blob = payload(3_000_000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        connection = await asyncpg.connect(**arguments(postgresql, way))
        try:
            encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            seen.append(await connection.fetchval(encrypted))
            await connection.execute("CREATE TEMP TABLE things (id int PRIMARY KEY, name text)")
            await connection.executemany(
                "INSERT INTO things VALUES ($1, $2)", [(n, f"thing {n}") for n in range(500)]
            )
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await connection.execute("DELETE FROM things")
                    seen.append(await connection.fetchval("SELECT count(*) FROM things"))
                    raise ZeroDivisionError
            with pytest.raises(asyncpg.UniqueViolationError) as error:
                await connection.execute("INSERT INTO things VALUES (7, 'again')")
            seen.append(error.value.detail)
            async with connection.transaction():
                async for row in connection.cursor("SELECT * FROM things ORDER BY id", prefetch=37):
                    seen += [tuple(row)] if row["id"] % 100 == 0 else []
            statement = await connection.prepare("SELECT name FROM things WHERE id = any($1)")
            seen.append([row["name"] for row in await statement.fetch([3, 4])])
            seen.append(digest(await connection.fetchval("SELECT $1::bytea || $1", blob)))
        finally:
            await soon(connection.close())
        return seen

    seen = same_on_asyncio(scenario)
    assert seen == [
        way == "tls",
        0,
        "Key (id)=(7) already exists.",
        *((n, f"thing {n}") for n in range(0, 500, 100)),
        ["thing 3", "thing 4"],
        digest(blob + blob),
    ]


def test_a_pool_copy_in_and_copy_out(
    same_on_asyncio: Comparison, postgresql: PostgreSQL, way: str
) -> None:
    records = [(n, f"name {n % 97}") for n in range(20_000)]

    async def scenario() -> tuple[Any, ...]:
        async with asyncpg.create_pool(
            min_size=2, max_size=5, **arguments(postgresql, way)
        ) as pool:
            async with pool.acquire() as connection:
                await connection.execute("DROP TABLE IF EXISTS copied")
                await connection.execute("CREATE TABLE copied (id int, name text)")
                said = await connection.copy_records_to_table("copied", records=records)
            # More queries than connections: they wait for one another.
            counts = await asyncio.gather(
                *(
                    pool.fetchval("SELECT count(*) FROM copied WHERE id % 40 = $1", n)
                    for n in range(40)
                )
            )
            out = bytearray()

            async def sink(block: bytes) -> None:
                await asyncio.sleep(0)
                out.extend(block)

            async with pool.acquire() as connection:
                query = "SELECT * FROM copied ORDER BY id"
                await connection.copy_from_query(query, output=sink, format="csv")
                await connection.execute("DROP TABLE copied")
        return said, counts, digest(bytes(out))

    said, counts, copied = same_on_asyncio(scenario)
    assert (said, counts) == ("COPY 20000", [500] * 40)
    assert copied == digest("".join(f"{n},{name}\n" for n, name in records).encode())


def test_notifications_reach_the_listener(
    same_on_asyncio: Comparison, postgresql: PostgreSQL, way: str
) -> None:
    async def scenario() -> list[str]:
        heard: asyncio.Queue[str] = asyncio.Queue()
        listener, speaker = await asyncio.gather(
            *(asyncpg.connect(**arguments(postgresql, way)) for _ in range(2))
        )
        try:
            # Its name keeps loops under test apart: they may run at the same time.
            channel = f"news_{listener.get_server_pid()}"
            await listener.add_listener(channel, lambda *words: heard.put_nowait(words[3]))
            for n in range(20):
                await speaker.execute("SELECT pg_notify($1, $2)", channel, f"item {n}")
            return [await soon(heard.get()) for _ in range(20)]
        finally:
            await soon(asyncio.gather(listener.close(), speaker.close()))

    assert same_on_asyncio(scenario) == [f"item {n}" for n in range(20)]


def test_a_query_that_is_given_up_is_cancelled_on_the_server(
    same_on_asyncio: Comparison, postgresql: PostgreSQL, way: str
) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        connection, observer = await asyncio.gather(
            *(asyncpg.connect(**arguments(postgresql, way)) for _ in range(2))
        )
        try:
            with pytest.raises(asyncio.TimeoutError):
                await connection.execute("SELECT pg_sleep(600)", timeout=0.05)
            # A second connection carries the cancel request; this one goes on as before.
            seen.append(await connection.fetchval("SELECT 1"))
            asking = asyncio.ensure_future(connection.execute("SELECT pg_sleep(600)"))
            pid = connection.get_server_pid()
            state = (
                "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"
            )
            while not await soon(observer.fetchval(state, pid)):
                await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            seen.append(await soon(connection.fetchval("SELECT 2")))
            # A connection that the server ends: who asks is told, and nothing hangs.
            asking = asyncio.ensure_future(connection.execute("SELECT pg_sleep(600)"))
            while not await soon(observer.fetchval(state, pid)):
                await asyncio.sleep(0.01)
            assert await observer.fetchval("SELECT pg_terminate_backend($1)", pid)
            with pytest.raises(asyncpg.PostgresError) as error:
                await soon(asking)
            seen.append(type(error.value).__name__)
            seen.append(connection.is_closed())
        finally:
            connection.terminate()
            await soon(observer.close())
        return seen

    assert same_on_asyncio(scenario)[:2] == [1, 2]


def test_a_wrong_password_and_a_closed_port_are_told_apart(
    same_on_asyncio: Comparison, postgresql: PostgreSQL
) -> None:
    async def scenario() -> list[str]:
        seen = []
        right = arguments(postgresql, "tcp")
        for wrong in ({"password": "wrong"}, {"database": "nowhere"}, {"port": 1}):
            with pytest.raises((asyncpg.PostgresError, OSError)) as error:
                await asyncpg.connect(**{**right, **wrong})
            seen.append(type(error.value).__name__)
        return seen

    assert same_on_asyncio(scenario) == [
        "InvalidPasswordError",
        "InvalidCatalogNameError",
        "ConnectionRefusedError",
    ]

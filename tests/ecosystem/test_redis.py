"""redis-py's asyncio side on a real Redis: over TCP, under TLS and on the Unix socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import CERTIFICATE, HOST, soon

if TYPE_CHECKING:
    from tests.ecosystem.conftest import Comparison
    from tests.ecosystem.servers import Redis


@pytest.fixture(params=["tcp", "tls", "unix"])
def address(redis: Redis, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the client connects with."""
    # The client's own idea of retrying takes up to half a minute.
    retry = Retry(NoBackoff(), 1)
    common: dict[str, Any] = {"password": redis.password, "retry": retry}
    if request.param == "unix":
        return {**common, "unix_socket_path": redis.path}
    if request.param == "tcp":
        return {**common, "host": HOST, "port": redis.port}
    tls = {"ssl": True, "ssl_ca_data": CERTIFICATE, "ssl_check_hostname": True}
    return {**common, "host": HOST, "port": redis.tls_port, **tls, "ssl_cert_reqs": "required"}


def test_commands_pipelines_and_transactions(
    same_on_asyncio: Comparison, address: dict[str, Any]
) -> None:
    blob = payload(3_000_000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with redis.asyncio.Redis(**address) as client:
            await client.flushdb()
            await client.set("blob", blob)
            value = await client.get("blob")
            assert isinstance(value, bytes)
            seen.append(digest(value))
            async with client.pipeline(transaction=True) as pipe:
                for n in range(1000):
                    pipe.rpush("list", n)
                pipe.llen("list")
                answers = await pipe.execute()
            seen.append(answers[-3:])
            async with client.pipeline() as pipe:
                await pipe.watch("list")
                await client.rpush("list", "meanwhile")
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.delete("list")
                with pytest.raises(redis.exceptions.WatchError):
                    await pipe.execute()
            with pytest.raises(redis.exceptions.ResponseError) as error:
                await client.incr("list")
            seen.append(str(error.value))
            await asyncio.gather(*(client.incr("counter") for _ in range(50)))
            seen.append(await client.get("counter"))
            seen.append(sorted([key async for key in client.scan_iter()]))
        return seen

    assert same_on_asyncio(scenario) == [
        digest(blob),
        [999, 1000, 1000],
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        b"50",
        [b"blob", b"counter", b"list"],
    ]


def test_published_messages_reach_every_subscriber(
    same_on_asyncio: Comparison, address: dict[str, Any]
) -> None:
    async def scenario() -> list[list[tuple[str, bytes]]]:
        async with redis.asyncio.Redis(**address) as client:

            async def subscribe(number: int) -> list[tuple[str, bytes]]:
                got = []
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe("all")
                    await pubsub.psubscribe(f"only.{number}.*")
                    async for message in pubsub.listen():
                        if message["type"].endswith("subscribe"):
                            if message["data"] == 2:
                                ready.release()
                            continue
                        got.append((message["type"], message["data"]))
                        if message["data"] == b"end":
                            break
                return got

            ready = asyncio.Semaphore(0)
            listening = asyncio.gather(*(subscribe(number) for number in range(3)))
            for _ in range(3):
                await soon(ready.acquire())
            for n in range(30):
                await client.publish("all", f"to all {n}")
                await client.publish(f"only.{n % 3}.x", f"to {n % 3}")
            await client.publish("all", "end")
            return await soon(listening)

    for number, got in enumerate(same_on_asyncio(scenario)):
        expected = []
        for n in range(30):
            expected.append(("message", f"to all {n}".encode()))
            if n % 3 == number:
                expected.append(("pmessage", f"to {number}".encode()))
        assert got == [*expected, ("message", b"end")]


def test_timeouts_cancelling_and_a_connection_that_the_server_ends(
    same_on_asyncio: Comparison, address: dict[str, Any]
) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with redis.asyncio.Redis(**address) as client:
            await client.delete("empty")
            async with redis.asyncio.Redis(**address, socket_timeout=0.05) as hasty:
                with pytest.raises(redis.exceptions.TimeoutError):
                    await hasty.blpop(["empty"], timeout=0)
            waiting = asyncio.ensure_future(client.blpop(["empty"], timeout=0))
            while not await blocked(client):
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            while await blocked(client):
                await asyncio.sleep(0.01)
            waiting = asyncio.ensure_future(client.blpop(["empty"], timeout=0))
            while not await blocked(client):
                await asyncio.sleep(0.01)
            await client.rpush("empty", "no more")
            taken = await soon(waiting)
            assert taken is not None
            seen.append(tuple(taken))
            async with redis.asyncio.Redis(**address, client_name="victim") as victim:
                await victim.ping()
                for entry in await client.client_list():
                    if entry["name"] == "victim":
                        await client.client_kill_filter(_id=entry["id"])
                # The pool sees that its connection is gone and takes another one.
                seen.append(await victim.ping())
        return seen

    async def blocked(client: redis.asyncio.Redis) -> bool:
        return bool((await client.info("clients"))["blocked_clients"])

    assert same_on_asyncio(scenario) == [(b"empty", b"no more"), True]


def test_a_wrong_password_and_a_closed_port_are_told_apart(
    same_on_asyncio: Comparison, address: dict[str, Any]
) -> None:
    async def scenario() -> list[str]:
        seen = []
        nowhere = {"unix_socket_path": "/nowhere"} if "unix_socket_path" in address else {"port": 1}
        for wrong in ({"password": "wrong"}, nowhere):
            async with redis.asyncio.Redis(**{**address, **wrong}) as client:
                with pytest.raises(redis.exceptions.ConnectionError) as error:
                    await client.ping()
                seen.append(type(error.value).__name__)
        return seen

    # Only over TCP does the client name the first one's cause by its type.
    first = "ConnectionError" if "unix_socket_path" in address else "AuthenticationError"
    assert same_on_asyncio(scenario) == [first, "ConnectionError"]

"""grpc.aio: its core has threads of its own, which wake the loop through a descriptor it watches.

The methods take and give plain bytes, so that no code has to be generated.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import CERTIFICATE, HOST, KEY, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.ecosystem.conftest import Comparison

Context = grpc.aio.ServicerContext
LARGE = payload(2_000_000)


class Service:
    """One method of each kind."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def upper(self, request: bytes, context: Context[Any, Any]) -> bytes:
        metadata = dict(context.invocation_metadata() or ())
        context.set_trailing_metadata((("seen", metadata.get("mark", "none")),))
        if request == b"refuse":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        return request.upper()

    async def count(self, request: bytes, context: Context[Any, Any]) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()

    async def gather(self, requests: AsyncIterator[bytes], context: Context[Any, Any]) -> bytes:
        return b"".join([request async for request in requests])

    async def echo(
        self, requests: AsyncIterator[bytes], context: Context[Any, Any]
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request[::-1]

    async def stuck(self, request: bytes, context: Context[Any, Any]) -> bytes:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError("unreachable")

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "test.Service",
            {
                "Upper": grpc.unary_unary_rpc_method_handler(self.upper),
                "Count": grpc.unary_stream_rpc_method_handler(self.count),
                "Gather": grpc.stream_unary_rpc_method_handler(self.gather),
                "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
                "Stuck": grpc.unary_unary_rpc_method_handler(self.stuck),
            },
        )


def one_for_one(
    channel: grpc.aio.Channel, method: str
) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(method)


def many_for_one(
    channel: grpc.aio.Channel, method: str
) -> grpc.aio.UnaryStreamMultiCallable[bytes, bytes]:
    return channel.unary_stream(method)


@contextlib.asynccontextmanager
async def serving(encrypted: bool = False) -> AsyncIterator[tuple[Service, grpc.aio.Channel]]:
    options = [("grpc.max_receive_message_length", -1)]
    server, service = grpc.aio.server(options=options), Service()
    server.add_generic_rpc_handlers((service.handler(),))
    if encrypted:
        pair = (KEY.encode(), CERTIFICATE.encode())
        port = server.add_secure_port(f"{HOST}:0", grpc.ssl_server_credentials([pair]))
        trust = grpc.ssl_channel_credentials(CERTIFICATE.encode())
        channel = grpc.aio.secure_channel(f"localhost:{port}", trust, options)
    else:
        port = server.add_insecure_port(f"{HOST}:0")
        channel = grpc.aio.insecure_channel(f"{HOST}:{port}", options)
    await server.start()
    try:
        async with channel:
            yield service, channel
    finally:
        await soon(server.stop(None))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_every_kind_of_call(same_on_asyncio: Comparison, encrypted: bool) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with serving(encrypted) as (_, channel):
            upper = one_for_one(channel, "/test.Service/Upper")
            call = upper(b"hello", metadata=(("mark", "x"),))
            seen.append(await call)
            seen.append(dict(await call.trailing_metadata())["seen"])
            seen.append(await asyncio.gather(*(upper(f"n{n}".encode()) for n in range(100))))
            seen.append(digest(await upper(LARGE)))
            count = many_for_one(channel, "/test.Service/Count")
            seen.append([int(item) async for item in count(b"500")])

            async def blocks() -> AsyncIterator[bytes]:
                for start in range(0, len(LARGE), 100_000):
                    yield LARGE[start : start + 100_000]

            gather: grpc.aio.StreamUnaryMultiCallable[bytes, bytes]
            gather = channel.stream_unary("/test.Service/Gather")
            seen.append(digest(await gather(blocks())))
            echo: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
            echo = channel.stream_stream("/test.Service/Echo")
            stream = echo()
            for n in range(50):
                await stream.write(f"item {n}".encode())
                seen.append(await stream.read())
            await stream.done_writing()
            seen.append(await stream.read() is grpc.aio.EOF)
        return seen

    assert same_on_asyncio(scenario) == [
        b"HELLO",
        "x",
        [f"N{n}".encode() for n in range(100)],
        digest(LARGE.upper()),
        list(range(500)),
        digest(LARGE),
        *(f"item {n}"[::-1].encode() for n in range(50)),
        True,
    ]


def test_errors_deadlines_and_cancelling(same_on_asyncio: Comparison) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with serving() as (service, channel):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await one_for_one(channel, "/test.Service/Upper")(b"refuse")
            seen.append((error.value.code(), error.value.details()))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await one_for_one(channel, "/test.Service/Missing")(b"")
            seen.append(error.value.code())
            stuck = one_for_one(channel, "/test.Service/Stuck")
            seconds = 0.05
            while not service.started.is_set():  # On a busy machine the call does not come so far.
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await stuck(b"", timeout=seconds)
                seconds *= 2
            seen.append(error.value.code())
            await soon(service.cancelled.wait())
            service.started.clear()
            service.cancelled.clear()
            call = stuck(b"")
            asking = asyncio.ensure_future(wait(call))
            await soon(service.started.wait())
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            seen.append((call.cancelled(), await call.code()))
            await soon(service.cancelled.wait())
            # A stream that its reader leaves.
            stream = many_for_one(channel, "/test.Service/Count")(b"1000000")
            seen.append([await stream.read() for _ in range(3)])
            seen.append(stream.cancel())
            with pytest.raises(asyncio.CancelledError):
                await stream.read()
            seen.append(await one_for_one(channel, "/test.Service/Upper")(b"still here"))
        return seen

    async def wait(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> bytes:
        return await call

    assert same_on_asyncio(scenario) == [
        (grpc.StatusCode.PERMISSION_DENIED, "not you"),
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        (True, grpc.StatusCode.CANCELLED),
        [b"0", b"1", b"2"],
        True,
        b"STILL HERE",
    ]

"""Reading and writing through buffers of one's own: lines, not copied on the way."""

from blitzio.io import AllocatingWriter, Deterministic, Evented, Io, Reader, Threaded, Writer


# Whatever the reader reads and the writer writes.
async def number_lines(source: Reader, target: Writer) -> None:
    number = 0
    while line := await source.take_until(b"\n"):  # lies in the reader's buffer
        number += 1
        await target.write_all(b"%d: " % number)
        await target.write_all(line)
    await target.write_splat(b"-=", 4)
    await target.flush()


async def main(io: Io) -> str:
    listener = io.net.listen("127.0.0.1:0")
    client = await io.net.connect(listener.local_address)
    server, _ = await listener.accept()
    listener.close()
    async with client, server:
        await client.write_all(b"one\ntwo\nthree\n")
        client.shutdown("write")
        result = AllocatingWriter()
        await number_lines(Reader(server, bytearray(64)), result)
    # The same from memory.
    first = await Reader.fixed(result.written()).take_until(b"\n")
    assert bytes(first) == b"1: one\n"
    return result.text()


if __name__ == "__main__":
    expected = "1: one\n2: two\n3: three\n-=-=-=-="
    with Threaded() as threaded:
        print(threaded.io().run(main, threaded.io()))
    with Evented() as evented:
        assert evented.io().run(main, evented.io()) == expected
    with Deterministic(seed=1) as world:
        assert world.run(main) == expected

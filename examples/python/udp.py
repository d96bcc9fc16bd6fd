"""Two tasks that send datagrams to each other."""

import blitzio
from blitzio import net


async def answer(socket: net.UdpSocket, count: int) -> None:
    async with socket:
        for _ in range(count):
            data, sender = await socket.recv_from()
            await socket.send_to(data.upper(), sender)


async def main() -> None:
    server = net.UdpSocket.bind("127.0.0.1:0")
    address = server.local_address
    answering = blitzio.spawn(answer, server, 3)
    async with net.UdpSocket.bind("127.0.0.1:0") as client:
        client.connect(address)
        for word in (b"each", b"is", b"whole"):
            await client.send(word)
            print((await client.recv()).decode())
    await answering


if __name__ == "__main__":
    blitzio.run(main())

"""aiosmtpd, spoken to by the standard library's client from threads; STARTTLS included.

The server runs on the loop under test; smtplib knows no event loop, so whatever it sees came over
the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.python.frameworks.support import listening_socket
from tests.python.loop.support import PATIENCE, client_context, soon

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from tests.ecosystem.conftest import Comparison


class Inbox:
    """Keeps what is delivered; refuses one address."""

    def __init__(self) -> None:
        self.letters: list[tuple[str | None, list[str], str, bool]] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(0)
        if address.startswith("nobody@"):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        subject = envelope.content.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
        encrypted = session.ssl is not None
        self.letters.append((envelope.mail_from, sorted(envelope.rcpt_tos), subject, encrypted))
        return "250 taken"


@contextlib.asynccontextmanager
async def serving(inbox: Inbox, **options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def protocol() -> SMTP:
        protocols.append(SMTP(inbox, hostname="localhost", loop=loop, **options))
        return protocols[-1]

    server = await loop.create_server(protocol, sock=listening_socket())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await soon(server.wait_closed())
        # Let those whose client has said goodbye see their connections end.
        while any(each.transport is not None for each in protocols):
            await asyncio.sleep(0.001)


def letter(number: int, *, to: list[str], size: int = 10) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"sender{number:02}@example.org"
    message["To"] = ", ".join(to)
    message["Subject"] = f"letter {number:02}"
    message.set_content("A line of text.\n.\n..a line that begins with dots\n" * size)
    return message


def send(port: int, number: int, context: ssl.SSLContext | None) -> list[Any]:
    seen: list[Any] = []
    with smtplib.SMTP("localhost", port, timeout=PATIENCE) as client:
        if context is not None:
            seen.append(client.starttls(context=context)[0])
        friend, nobody = "friend@example.org", "nobody@example.org"
        seen.append(client.send_message(letter(number, to=[friend, nobody])))
        seen.append(client.send_message(letter(number + 1, to=[friend], size=5000)))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.send_message(letter(number + 2, to=[nobody]))
        seen.append(client.docmd("NONSENSE")[0])
        seen.append(client.noop()[0])
    return seen


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "starttls"])
def test_letters_are_delivered(
    same_on_asyncio: Comparison, encrypted: bool, tls_server: ssl.SSLContext
) -> None:
    async def scenario() -> list[Any]:
        inbox = Inbox()
        options = {"tls_context": tls_server, "require_starttls": True} if encrypted else {}
        context = client_context() if encrypted else None
        async with serving(inbox, **options) as port:
            seen = await asyncio.gather(
                *(asyncio.to_thread(send, port, number, context) for number in (0, 10, 20, 30))
            )
        return [*seen, sorted(inbox.letters)]

    refused = {"nobody@example.org": (550, b"no such person")}
    seen = same_on_asyncio(scenario)
    assert seen[:4] == [[*([220] if encrypted else []), refused, {}, 500, 250]] * 4
    assert seen[4] == [
        (f"sender{n:02}@example.org", ["friend@example.org"], f"letter {n:02}", encrypted)
        for n in (0, 1, 10, 11, 20, 21, 30, 31)
    ]

"""Functions of `os` and `socket` as they are when blitzio is imported, before others replace them.

Tools that find blocking calls, such as blockbuster, replace functions of `os` and excuse asyncio's
loop by name, not ours: calls of the originals are not blamed on the program. Who wants to see
connections, tests that forbid them or proxies, replaces `socket.socket` or its `connect`: the loop
tells by the originals that it has to go that way.

Apart from the modules that use them, as those are imported later (on_demand.py).
"""

from __future__ import annotations

from os import sendfile as sendfile
from os import stat as stat
from os import unlink as unlink
from socket import socket as socket

connect = socket.connect

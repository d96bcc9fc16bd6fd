"""`OnDemandMixin`: methods whose module is imported when one of them is first asked for.

A server on TCP alone calls none of them, and together they take 180 KB of a process. Asking for a
method is enough, so who looks at `Loop.sendfile` finds the function with its signature and
docstring. It then lies here, and so do the helpers that it came with: the mixins themselves are no
bases of `Loop`, and `super()` is not for them.
"""

from __future__ import annotations

from importlib import import_module
from types import FunctionType

from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from blitzio._loop.connect import ConnectMixin
    from blitzio._loop.datagram import DatagramMixin
    from blitzio._loop.debug_info import DebugInfoMixin
    from blitzio._loop.pipes import PipesMixin
    from blitzio._loop.sendfile import SendfileMixin
    from blitzio._loop.subprocess import SubprocessMixin
    from blitzio._loop.unix import UnixMixin

    class OnDemandMixin(
        UnixMixin,
        ConnectMixin,
        DatagramMixin,
        SendfileMixin,
        SubprocessMixin,
        PipesMixin,
        DebugInfoMixin,
    ):
        pass

else:

    class _Method:
        """In the place of a method until somebody asks for it."""

        def __init__(self, mixin):
            self._mixin = mixin

        def __set_name__(self, owner, name):
            self._name = name

        def __get__(self, loop, kind=None):
            module, _, name = self._mixin.partition(".")
            mixin = getattr(import_module(f"blitzio._loop.{module}"), name)
            for source in mixin.__mro__:
                if not issubclass(kind, source):  # Else it has those already.
                    for key, value in vars(source).items():
                        if isinstance(value, FunctionType):
                            setattr(OnDemandMixin, key, value)
            return getattr(mixin, self._name).__get__(loop, kind)

    class OnDemandMixin(LoopBase):
        create_connection = _Method("connect.ConnectMixin")
        connect_accepted_socket = _Method("connect.ConnectMixin")
        _create_connection_transport = _Method("connect.ConnectMixin")
        create_unix_connection = _Method("unix.UnixMixin")
        create_unix_server = _Method("unix.UnixMixin")
        create_datagram_endpoint = _Method("datagram.DatagramMixin")
        sock_sendfile = _Method("sendfile.SendfileMixin")
        sendfile = _Method("sendfile.SendfileMixin")
        subprocess_exec = _Method("subprocess.SubprocessMixin")
        subprocess_shell = _Method("subprocess.SubprocessMixin")
        _make_subprocess_transport = _Method("subprocess.SubprocessMixin")
        connect_read_pipe = _Method("pipes.PipesMixin")
        connect_write_pipe = _Method("pipes.PipesMixin")
        _make_read_pipe_transport = _Method("pipes.PipesMixin")
        _make_write_pipe_transport = _Method("pipes.PipesMixin")
        print_debug_info = _Method("debug_info.DebugInfoMixin")

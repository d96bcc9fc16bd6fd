"""`python -m blitzio`: runs a script or a module on blitzio, or shows what is here.

    python -m blitzio SCRIPT [ARGS…]      as `python SCRIPT ARGS…`
    python -m blitzio -m MODULE [ARGS…]   as `python -m MODULE ARGS…`
    python -m blitzio info                versions, kernel, backends

The program sees the `sys.argv`, `sys.path[0]` and `__main__` it would see without us; the only
difference is the event loop policy.
"""

from __future__ import annotations

import os
import platform
import runpy
import sys

USAGE = """\
usage: python -m blitzio SCRIPT [ARGS...]
       python -m blitzio -m MODULE [ARGS...]
       python -m blitzio info

Runs a Python program with blitzio as its asyncio event loop, or shows versions and backends.
BLITZIO_BACKEND=io_uring|epoll|poll chooses the backend. A script named "info" is run as ./info."""

USAGE_ERROR = 2


def main(argv: list[str]) -> int:
    """Runs the command line `argv` (without the program's own name); returns the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if argv else sys.stderr)
        return 0 if argv else USAGE_ERROR
    if argv[0] == "info":
        if len(argv) > 1:
            return _fail(f"info takes no arguments, not {argv[1]!r}")
        print_info()
        return 0
    if argv[0] == "-m":
        if len(argv) < 2:
            return _fail("-m needs the name of a module")
        return run_module(argv[1], argv[2:])
    if argv[0].startswith("-"):
        return _fail(f"unknown option {argv[0]!r}")
    return run_script(argv[0], argv[1:])


def run_script(path: str, args: list[str]) -> int:
    """Runs a script, or a folder or zip file with a `__main__.py`, as `python PATH` does."""
    if not os.path.exists(path):
        return _fail(f"can't open file {path!r}: no such file or directory")
    sys.argv[:] = [path, *args]
    if os.path.isfile(path) and not path.endswith((".zip", ".pyz")):
        # runpy puts folders and zip files there itself.
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    else:
        del sys.path[0]
    _install_policy()
    runpy.run_path(path, run_name="__main__")
    return 0


def run_module(name: str, args: list[str]) -> int:
    """Runs a module or package as `python -m NAME` does."""
    sys.argv[:] = [name, *args]  # runpy replaces the first by the module's file.
    _install_policy()
    # `python -m blitzio` has already put the working directory first on sys.path.
    try:
        runpy._run_module_as_main(name)  # type: ignore[attr-defined]
    except ImportError as exc:
        if exc.name != name:
            raise
        return _fail(str(exc))
    return 0


def print_info() -> None:
    """Prints versions, the kernel, and each backend with why it is not usable or what it has."""
    from blitzio import _native

    build = _native.build_info()
    rows = [("blitzio", build["version"])]
    rows += [(key, value) for key, value in build.items() if key != "version"]
    rows.append(("python", f"{platform.python_version()} ({platform.python_implementation()})"))
    gil_check = getattr(sys, "_is_gil_enabled", None)
    if gil_check is not None:
        rows.append(("gil", "enabled" if gil_check() else "disabled"))
    rows.append(("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"))
    rows.append(("BLITZIO_BACKEND", os.environ.get("BLITZIO_BACKEND") or "not set (auto)"))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{key:<{width}}  {value}")

    print("\nbackends")
    chosen = False
    for name, usable, reason, features in _native.detect():
        state = "usable" if usable else f"not usable: {reason}"
        if usable and not chosen:
            chosen = True
            state += " (chosen by auto)"
        print(f"  {name:<9} {state}")
        if features:
            print(f"  {'':<9} {', '.join(features)}")


def _install_policy() -> None:
    from blitzio._policy import install_policy

    install_policy()


def _fail(message: str) -> int:
    print(f"python -m blitzio: {message}", file=sys.stderr)
    return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

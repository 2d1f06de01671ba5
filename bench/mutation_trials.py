"""Run tests on a copy of the sources: first to see which lines each runs, then to catch mutants.

Children are forked from a process in which the large packages are loaded already. Nothing is ever
written to the repository itself.
"""

import compileall
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from bench.mutation_operators import Place, mutated
from bench.mutation_tests import Test

__all__ = ["Copy", "Verdict", "preload"]

PACKAGE = "clusterlib/solvers"
HEAVY = ("numpy", "scipy.optimize", "scipy.sparse.linalg", "scipy.stats", "sklearn.utils")
HEAVY += ("sklearn.linear_model", "sklearn.cluster", "sklearn.utils.estimator_checks")
HEAVY += ("hypothesis.extra.numpy", "numba", "pandas", "dask.array", "distributed", "doctest")

WATCH_SECONDS = 40.0  # in which the tests of a file are looked at; it may have more of them
PATIENCE = 4.0  # times that, and LEAST_CPU_SECONDS, may a child compute
LEAST_CPU_SECONDS = 40
WALL_OVER_CPU = 4.0  # other processes may hold the cores
MEMORY = 8 << 30
USAGE, NO_TESTS = 4, 5  # exit statuses of pytest
FAULT = 99
TIMED_OUT = -1
# Nothing is written, and that Hypothesis was loaded before pytest is on purpose.
QUIETLY = ("-q", "--tb=line", "-p", "no:cacheprovider")
QUIETLY += ("-W", "ignore::pytest.PytestAssertRewriteWarning")


@dataclass(frozen=True)
class Verdict:
    """Whether a mutant was noticed, and how."""

    killed: bool
    how: str
    n_tests: int
    seconds: float


def preload() -> None:
    """Load what every child needs, and nothing of the package that is mutated."""
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # an optional package


class Copy:
    """A private copy of the files of a repository.

    Parameters
    ----------
    root : Path
        The repository; its extension module has been built in place.
    folder : Path
        Where the copy, and what is known of its tests, lie.
    """

    def __init__(self, root: Path, folder: Path):
        folder = folder.resolve()  # children work elsewhere
        self.root, self.tree = root, folder / "tree"
        self._known, self._log = folder / "known", folder / "log"
        self._known.mkdir(parents=True, exist_ok=True)

    def renew(self) -> None:
        """Copy every file that differs, and take away those that are gone."""
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        extensions = self.root.glob("clusterlib/**/*.so")
        wanted = {Path(line) for line in listed.stdout.splitlines()}
        wanted |= {path.relative_to(self.root) for path in extensions}
        for name in wanted:
            source, target = self.root / name, self.tree / name
            if not source.is_file():
                target.unlink(missing_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or source.read_bytes() != target.read_bytes():
                shutil.copy2(source, target)
        for path in self.tree.glob("tests/**/test_*.py"):
            if path.relative_to(self.tree) not in wanted:
                path.unlink()
        for room in ("clusterlib", "tests"):  # once, not in every child
            compileall.compile_dir(self.tree / room, quiet=2)

    def modules(self) -> list[str]:
        """Names of the files that may be mutated."""
        return sorted(path.name for path in (self.tree / PACKAGE).glob("*.py"))

    def text(self, module: str) -> str:
        """A module as it is in the copy."""
        return (self.tree / PACKAGE / module).read_text(encoding="utf-8")

    def is_known(self, file: str) -> bool:
        """Whether a file of tests has been run as it is now, with the solvers as they are now."""
        known, digest = self._record(file)
        return known.exists() and json.loads(known.read_text())["digest"] == digest

    def _record(self, file: str) -> tuple[Path, str]:
        digest = hashlib.sha256((self.tree / file).read_bytes() + self._solvers).hexdigest()
        return self._known / (file.replace("/", ".") + ".json"), digest

    @cached_property
    def _solvers(self) -> bytes:
        """All of them: when one has changed, other lines than those on record may be run."""
        return b"".join((self.tree / PACKAGE / name).read_bytes() for name in self.modules())

    def tests_of(self, file: str) -> list[Test]:
        """The tests of a file; when it is new or has changed, it is run to see what they do."""
        known, digest = self._record(file)
        if not self.is_known(file):
            status = self._run(lambda: _watch(self.tree, file, known, digest), WATCH_SECONDS)
            if status == TIMED_OUT:  # a test without end, or nearly
                known.write_text(json.dumps({"digest": digest, "tests": []}))
            elif status != 0:
                raise RuntimeError(self._log.read_text(errors="replace"))
        return [Test(*test) for test in json.loads(known.read_text())["tests"]]

    def trial(self, module: str, place: Place, after: str, groups: Iterable[list[Test]]) -> Verdict:
        """Try one mutant with groups of tests, one after the other, until one of them notices."""
        began, n_tests, how = time.monotonic(), 0, "no test runs it"
        for tests in groups:
            n_tests += len(tests)
            with self._changed(module, place, after):
                expected = sum(test.seconds for test in tests)
                status = self._run(lambda tests=tests: _try(self.tree, tests), expected)
            if status in (FAULT, USAGE):
                raise RuntimeError(self._log.read_text(errors="replace"))
            if status not in (0, NO_TESTS):
                how = "no end" if status == TIMED_OUT else self._first_failure()
                return Verdict(True, how, n_tests, time.monotonic() - began)
            how = "survived"
        return Verdict(False, how, n_tests, time.monotonic() - began)

    @contextmanager
    def _changed(self, module: str, place: Place, after: str) -> Iterator[None]:
        path = self.tree / PACKAGE / module
        text, times = path.read_text(encoding="utf-8"), path.stat()
        try:
            path.write_text(mutated(text, place, after), encoding="utf-8")
            yield
        finally:
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _run(self, work, expected: float) -> int:
        """Exit status of a child that does some work within the time it may take."""
        cpu = int(PATIENCE * expected + LEAST_CPU_SECONDS)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _separate(self._log, cpu)
            status = FAULT
            try:
                status = work()
            finally:  # whatever has happened, this process must not go on as its parent
                if status == FAULT:
                    traceback.print_exc()
                sys.stdout.flush()
                os._exit(int(status))
        deadline = time.monotonic() + WALL_OVER_CPU * cpu
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        try:
            os.killpg(child, signal.SIGKILL)  # with what it has started
        except ProcessLookupError:
            pass
        if not done:
            os.waitpid(child, 0)
            return TIMED_OUT
        if os.WIFSIGNALED(status):
            return TIMED_OUT if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else 98
        return os.WEXITSTATUS(status)

    def _first_failure(self) -> str:
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith(("FAILED ", "ERROR ")):
                return line.partition(" ")[2].partition(" - ")[0]
        return "ended the tests"


def _separate(log: Path, cpu: int) -> None:
    """Make a child a group of its own, with its own output and limits."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _enter(tree: Path) -> None:
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = str(tree)


def _try(tree: Path, tests: list[Test]) -> int:
    _enter(tree)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    files = list(dict.fromkeys(test.name.partition("::")[0] for test in tests))
    chosen = _Chosen({test.name: at for at, test in enumerate(tests)})
    return pytest.main([*files, "-x", *QUIETLY], [chosen])


class _Chosen:
    """Leaves the tests that were chosen, one by one or by their file, in their order."""

    def __init__(self, order: dict[str, int]):
        self._order = order

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        def place(item):
            return self._order.get(item.nodeid, self._order.get(item.nodeid.partition("::")[0]))

        items[:] = sorted((item for item in items if place(item) is not None), key=place)


def _watch(tree: Path, file: str, known: Path, digest: str) -> int:
    """Run the tests of a file and write down what each took and ran."""
    import coverage

    _enter(tree)
    sys.dont_write_bytecode = False  # pytest compiles tests in its own way: once, too
    package = tree / PACKAGE
    tracer = coverage.Coverage(data_file=None, include=[f"{package}/*"], config_file=False)
    watcher = _Watcher(tracer)
    tracer.start()
    pytest.main([file, *QUIETLY], [watcher])
    tracer.stop()
    data = tracer.get_data()
    ran: dict[str, dict[str, list[int]]] = {}
    for path in data.measured_files():
        for line, names in data.contexts_by_lineno(path).items():
            for name in names:
                ran.setdefault(name, {}).setdefault(Path(path).name, []).append(line)
    tests = [
        (name, round(seconds, 4), _lines(ran, name, watcher.shared[name]))
        for name, seconds in watcher.seconds.items()
        if name not in watcher.failed
    ]
    known.write_text(json.dumps({"digest": digest, "tests": tests}))
    return 0


def _lines(ran: dict, name: str, shared: list[str]) -> dict[str, list[int]]:
    """What a test runs, and what was run once for it and others: it looks at that, too."""
    lines: dict[str, set[int]] = {}
    for context in (name, *shared):
        for module, found in ran.get(context, {}).items():
            lines.setdefault(module, set()).update(found)
    return {module: sorted(found) for module, found in lines.items()}


class _Watcher:
    """Tells the tracer which test or shared fixture runs, and how long a core computes for it."""

    def __init__(self, tracer):
        self._tracer = tracer
        self._began = time.process_time()
        self._test = ""
        self.seconds: dict[str, float] = {}
        self.shared: dict[str, list[str]] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        began, self._test = sum(os.times()[:4]), item.nodeid
        self.shared[item.nodeid] = [f"fixture {name}" for name in item.fixturenames]
        self._tracer.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._tracer.switch_context("")
            self.seconds[item.nodeid] = sum(os.times()[:4]) - began
            if time.process_time() - self._began > WATCH_SECONDS:
                item.session.shouldstop = "there are tests enough"

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        if fixturedef.scope == "function":
            return (yield)
        self._tracer.switch_context(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:  # one that needs another is set up after it
            self._tracer.switch_context(self._test)

    def pytest_runtest_logreport(self, report):
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

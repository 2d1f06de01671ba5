"""Which tests are likely to notice that a solver has changed, the likeliest and quickest first."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.mutation_operators import Place

__all__ = ["Imports", "Test", "order_of_tests"]

LIBRARY = "clusterlib"
SOLVERS = f"{LIBRARY}.solvers"
EXAMPLES = "tests/test_docstrings.py"
NEAR = 5  # files of a room that are tried


@dataclass(frozen=True)
class Test:
    """A test that passes, what it takes, and the lines of the solvers that it runs."""

    __test__ = False  # pytest is not to collect it

    name: str
    seconds: float
    lines: dict[str, list[int]]


class Imports:
    """Who imports whom, read from the sources below a folder.

    Parameters
    ----------
    tree : Path
        Holds ``clusterlib`` and ``tests``.
    """

    def __init__(self, tree: Path):
        self._tree = tree
        self._imported: dict[Path, set[str]] = {}

    def nearest(self, module: str, room: str) -> list[str]:
        """Test files of a room that reach a solver by the fewest imports; its own comes first."""
        reached = []
        for path in sorted((self._tree / room).glob("test_*.py")):
            steps = self._steps(path, f"{SOLVERS}.{module.removesuffix('.py')}")
            if path.name == f"test_{module}":
                steps = 0
            if steps is not None:  # of equally near ones those are likelier that import less
                reached.append((steps, len(self._names(path)), path))
        return [str(path.relative_to(self._tree)) for *_, path in sorted(reached)[:NEAR]]

    def _steps(self, path: Path, target: str) -> int | None:
        seen = edge = self._names(path)
        steps = 1
        while edge and target not in seen:
            edge = set().union(*(self._of(name) for name in edge)) - seen
            seen, steps = seen | edge, steps + 1
        return steps if target in seen else None

    def _of(self, name: str) -> set[str]:
        path = self._tree / (name.replace(".", "/") + ".py")
        return self._names(path) if path.exists() else set()

    def _names(self, path: Path) -> set[str]:
        """Modules of the library that a file imports; a name of a package is traced to its own."""
        if path not in self._imported:
            found = set()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARY):
                    for alias in node.names:
                        found.add(self._home.get((node.module, alias.name), node.module))
            self._imported[path] = found
        return self._imported[path]

    @cached_property
    def _home(self) -> dict[tuple[str, str], str]:
        homes = {}
        for path in self._tree.glob(f"{LIBRARY}/*/__init__.py"):
            package = f"{LIBRARY}.{path.parent.name}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    homes |= {(package, alias.name): node.module for alias in node.names}
        return homes


def order_of_tests(
    module: str, place: Place, tests: list[Test], seconds: float
) -> Iterator[list[Test]]:
    """The tests in which a mutant is tried, if there are any: as many as take some seconds.

    Those that run the statement come first, the quickest of them before the others; then those that
    run something else of the function: what they look at may be kept from another test, and what
    runs at import is run by none.
    """
    ranks = {}
    for test in tests:
        lines = test.lines.get(module, ())
        for rank, (first, last) in enumerate((place.statement, place.around)):
            if any(first <= line <= last for line in lines):
                ranks[test.name] = (rank, test.seconds)
                break
    chosen, spent = [], 0.0
    for test in sorted((t for t in tests if t.name in ranks), key=lambda t: ranks[t.name]):
        spent += test.seconds
        if chosen and spent > seconds:
            break
        chosen.append(test)
    if chosen:
        yield chosen

"""The rules of the house as functions of a parsed file; each yields what offends, as text.

``test_architecture.py`` applies them to the tree, and to snippets that they have to catch.
"""

import ast
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
FORBIDDEN_STEMS = {"utils", "util", "misc", "common", "helpers"}

# Imports go down only. A room is the first name below clusterlib; "" is clusterlib/__init__.py.
ROOMS_BELOW = {
    "config": set(),
    "kernels": {"config"},
    "blocks": {"config", "kernels"},
    "solvers": {"blocks", "config", "kernels"},
    "validation": {"blocks", "config", "kernels"},
    "base": {"config", "validation"},
    "cluster": {"base", "blocks", "config", "solvers", "validation"},
    "label_shift": {"base", "blocks", "config", "solvers", "validation"},
    "transport": {"base", "blocks", "config", "solvers", "validation"},
    "imbalance": {"base", "blocks", "config", "solvers", "validation"},
    "decomposition": {"base", "blocks", "config", "solvers", "validation"},
    "datasets": {"kernels", "solvers", "validation"},
    "metrics": {"kernels", "solvers", "validation"},
    "plotting": set(),
    "installation": {"", "config", "kernels"},
    "selftest": {"", "kernels"},
    "typing": {"blocks"},
    "demo": {"", "cluster", "config", "datasets", "installation", "kernels", "metrics", "plotting"},
}
ROOMS_BELOW[""] = set(ROOMS_BELOW)

# Packages from elsewhere, per room. scikit-learn stays above the solvers.
NUMERIC = {"numpy", "scipy"}
PACKAGES = {
    "": set(),
    "config": set(),
    "installation": set(),
    "kernels": {"numpy"},
    "blocks": {"numpy"},
    "solvers": NUMERIC,
    "validation": NUMERIC | {"sklearn"},
    "base": NUMERIC | {"sklearn"},
    "cluster": NUMERIC | {"sklearn"},
    "label_shift": NUMERIC | {"sklearn"},
    "transport": NUMERIC | {"sklearn"},
    "imbalance": NUMERIC | {"sklearn"},
    "decomposition": NUMERIC | {"sklearn"},
    "datasets": NUMERIC | {"sklearn"},
    "metrics": NUMERIC | {"sklearn"},
    "plotting": {"numpy"},
    "demo": NUMERIC | {"joblib", "sklearn", "threadpoolctl"},
    "selftest": {"numpy"},
    "typing": NUMERIC,
}

# Optional packages are imported inside functions, and they alone are.
OPTIONAL = {"cupy", "cvxpy", "dask", "distributed", "matplotlib", "numba", "pyarrow"}
# The implementations of a backend are loaded when that backend is first used.
BACKEND_PACKAGES = {"_numba": "numba", "_cupy": "cupy"}
# What an implementation may share with the contract it serves.
SHARED_BY_BACKENDS = {"leaves", "metrics", "simplex_constants", "tiles"}
# Whole contracts are fulfilled there, on arrays that the host's version never gets to see.
FULFILS_CONTRACTS = "_cupy"

# The only functions that write: what the user called them for.
WRITERS = {
    ("clusterlib.demo.command", "_say"),
    ("clusterlib.installation", "_write"),
    ("clusterlib.selftest.command", "_say"),
}

_DTYPE_IN_NAME = re.compile(r"_(?:[fiu]|float|int|uint)?(?:16|32|64)(?=_|$)")
_TWIN = re.compile(r"_(?:sparse|dask|gpu)$")


@dataclass(frozen=True)
class Source:
    """One Python file."""

    module: str  # dotted
    text: str
    is_package: bool = False

    @cached_property
    def tree(self):
        return ast.parse(self.text)

    @property
    def room(self):
        return (self.module.split(".") + [""])[1]

    @property
    def stem(self):
        return self.module.split(".")[-1]


def read_tree(folder):
    """Every Python file below a folder of the repository."""
    sources = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        sources.append(Source(module, path.read_text(encoding="utf-8"), is_package))
    return sources


def imports(source):
    """Every import: (imported dotted name, "top", "function" or "typing")."""

    def walk(node, place):
        for child in ast.iter_child_nodes(node):
            inner = place
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                inner = "function"
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                inner = "typing"
            if isinstance(child, ast.Import):
                yield from ((alias.name, place) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = "." * child.level + (child.module or "")
                yield from ((f"{base}.{alias.name}", place) for alias in child.names)
            yield from walk(child, inner)

    return list(walk(source.tree, "top"))


def wrong_floor(source):
    if source.room not in ROOMS_BELOW:
        yield f"{source.module} is in no room that has a floor"
        return
    backend = source.module.split(".")[2:3]
    for name, place in imports(source):
        package, *inside = name.split(".")
        if place == "typing" and name.startswith("clusterlib.typing."):
            continue  # names of types, for annotations on every floor
        if not package:
            yield f"{source.module}: relative import {name}"
        if package != "clusterlib":
            continue
        # `from clusterlib import config` names a room, `from clusterlib import __version__` none.
        target = inside[0] if inside and inside[0] in ROOMS_BELOW else ""
        if target != source.room and target not in ROOMS_BELOW[source.room]:
            yield f"{source.module} imports {name}"
        served = backend and target == source.room == "kernels" and backend[0].startswith("_")
        served = served and backend[0] != FULFILS_CONTRACTS
        if served and inside[1] not in SHARED_BY_BACKENDS | {*backend}:
            yield f"{source.module} imports {name}, a contract it serves"


def wrong_package(source):
    backend = BACKEND_PACKAGES.get((source.module.split(".") + ["", ""])[2])
    for name, place in imports(source):
        package = name.split(".")[0]
        own = package == "clusterlib" or package in sys.stdlib_module_names
        if package in OPTIONAL:
            if place == "top" and package != backend:
                yield f"{source.module} imports {package} at the top, which is optional"
        elif place == "function":
            yield f"{source.module} imports {name} inside a function"
        elif not own and package not in PACKAGES[source.room]:
            yield f"{source.module} imports {package}"


def import_edges(sources):
    """Modules -> modules they import when they are loaded."""
    modules = {source.module for source in sources}
    edges = {}
    for source in sources:
        loaded = edges.setdefault(source.module, set())
        for name, place in imports(source):
            if place == "top" and name.startswith("clusterlib"):
                # `from a.b import c` loads a.b.c if that is a module, and else reads it off a.b.
                loaded.add(name if name in modules else name.rpartition(".")[0])
    return edges


def long_functions(source):
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1 - _docstring_lines(node)
            if lines > MAX_FUNCTION_LINES:
                yield f"{source.module}.{node.name} has {lines} lines"


def _docstring_lines(node):
    first = node.body[0]
    has_one = ast.get_docstring(node) is not None
    return first.end_lineno - first.lineno + 1 if has_one else 0


def forbidden_names(source):
    if source.stem.strip("_") in FORBIDDEN_STEMS and source.module != "tests.helpers":
        yield f"{source.module}: nobody knows what belongs into a module of this name"


def dtype_names(source):
    names = [source.stem] if "tests" not in source.module else []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
            if _TWIN.search(node.name):
                yield f"{source.module}.{node.name} is a twin; one name serves all carriers"
        elif isinstance(node, ast.arg):
            names.append(node.arg)
    for name in names:
        if _DTYPE_IN_NAME.search(name):
            yield f"{source.module}: {name} has a dtype in its name"


def writes(source):
    for function in [None, *_functions(source.tree)]:
        if function and (source.module, function.name) in WRITERS:
            continue
        for node in _own_nodes(function or source.tree):
            text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
            if text in {"print", "sys.stdout", "sys.stderr"}:
                yield f"{source.module}:{node.lineno} uses {text}"


def _functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _own_nodes(scope):
    """Nodes of a scope without those of the functions inside it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own_nodes(child)


def thrown_away(source):
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare):
            yield f"{source.module}:{node.lineno} compares and throws the answer away"


def unexplained_skips(source):
    for node in ast.walk(source.tree):
        name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
        if isinstance(node, ast.Call) and name in {"pytest.skip", "pytest.xfail"}:
            explained = bool(node.args or node.keywords)
        elif isinstance(node, ast.Call) and re.fullmatch(
            r"pytest\.mark\.(skip|skipif|xfail)", name
        ):
            explained = any(keyword.arg == "reason" for keyword in node.keywords)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bare = {"pytest.mark.skip", "pytest.mark.xfail"}
            explained = bare.isdisjoint(map(ast.unparse, node.decorator_list))
        else:
            continue
        if not explained:
            yield f"{source.module}:{node.lineno} skips without a reason"


def exported(source):
    """The literal ``__all__`` of a package."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def inexact_all(source):
    """A package exports what it takes from clusterlib and what it defines, nothing more or less.

    A lazy package, one with ``__getattr__``, names for type checkers what it takes.
    """
    listed = exported(source)
    if listed is None:
        yield f"{source.module} has no __all__"
        return
    body = list(source.tree.body)
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if lazy := "__getattr__" in defined:
        [block] = [node for node in body if isinstance(node, ast.If)]
        body += block.body
    taken = {
        alias.asname or alias.name
        for node in body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("clusterlib")
        for alias in node.names
    }
    assigned = {
        target.id
        for node in source.tree.body
        if isinstance(node, ast.Assign) and not lazy
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    public = {name for name in taken | defined | assigned if not name.startswith("_")}
    if public != {name for name in listed if name != "__version__"}:
        yield f"{source.module}: __all__ differs by {sorted(public ^ set(listed))}"
    if list(listed) != sorted(listed):
        yield f"{source.module}: __all__ is not sorted"

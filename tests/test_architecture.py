"""The house keeps its own rules: floors, sizes, names, exports, and what imports cost."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module

import pytest

from clusterlib.kernels import available_backends
from tests import source_rules as rules
from tests.source_rules import ROOT, Source

LIBRARY = rules.read_tree("clusterlib")
TESTS = rules.read_tree("tests")
BENCH = rules.read_tree("bench")
CONTRACTS = [
    "assignment",
    "centers",
    "linear_assignment",
    "mixtures",
    "moments",
    "nonnegative",
    "pairwise",
    "scaling",
    "simplex",
    "sinkhorn",
    "sinkhorn_plan",
    "softmax",
]
PACKAGES = [source for source in LIBRARY if source.is_package]
EVERYWHERE = LIBRARY + TESTS + BENCH

RULES = {
    "wrong_floor": LIBRARY,
    "wrong_package": LIBRARY,
    "writes": LIBRARY,
    "dtype_names": LIBRARY + TESTS,
    "inexact_all": PACKAGES,
    "long_functions": EVERYWHERE,
    "forbidden_names": EVERYWHERE,
    "thrown_away": TESTS,
    "unexplained_skips": TESTS,
}

# What each rule has to catch: (rule, module, text).
OFFENCES = [
    ("wrong_floor", "clusterlib.solvers.x", "from clusterlib.cluster import KMeans"),
    ("wrong_floor", "clusterlib.solvers.x", "from clusterlib import cluster"),
    ("wrong_floor", "clusterlib.cellar.x", ""),
    ("wrong_floor", "clusterlib.cluster.x", "def f():\n    import clusterlib.metrics"),
    ("wrong_floor", "clusterlib.kernels.x", "from clusterlib import blocks"),
    ("wrong_floor", "clusterlib.cluster.x", "from ._k_means import KMeans"),
    ("wrong_floor", "clusterlib.cluster.x", "from clusterlib.typing import Array"),
    ("wrong_floor", "clusterlib.kernels._numba.x", "from clusterlib.kernels.pairwise import f"),
    ("wrong_package", "clusterlib.solvers.x", "import sklearn.base"),
    ("wrong_package", "clusterlib.kernels.x", "from scipy import linalg"),
    ("wrong_package", "clusterlib.config", "import numpy"),
    ("wrong_package", "clusterlib.cluster.x", "import numba"),
    ("wrong_package", "clusterlib.kernels._reference.x", "import numba"),
    ("wrong_package", "clusterlib.solvers.x", "def f():\n    import numpy"),
    ("writes", "clusterlib.solvers.x", "def f():\n    print(1)"),
    ("writes", "clusterlib.solvers.x", "import sys\nsys.stderr.write('')"),
    ("dtype_names", "clusterlib.x", "def nearest_f32(X): ..."),
    ("dtype_names", "clusterlib.x", "class Sums_64_bit: ..."),
    ("dtype_names", "clusterlib.x", "def f(sums_float64): ..."),
    ("dtype_names", "clusterlib.x", "def cluster_sums_dask(X): ..."),
    ("inexact_all", "clusterlib.x", "from clusterlib.y import a, b\n__all__ = ['a']"),
    ("inexact_all", "clusterlib.x", "from clusterlib.y import a\n__all__ = ['a', 'b']"),
    ("inexact_all", "clusterlib.x", "from clusterlib.y import a, b\n__all__ = ['b', 'a']"),
    ("inexact_all", "clusterlib.x", "from clusterlib.y import a"),
    ("long_functions", "clusterlib.x", "def f():\n" + "    x = 1\n" * 80),
    ("forbidden_names", "clusterlib._utils", ""),
    ("forbidden_names", "bench.helpers", ""),
    ("thrown_away", "tests.x", "a == b"),
    ("unexplained_skips", "tests.x", "pytest.skip()"),
    ("unexplained_skips", "tests.x", "@pytest.mark.skip\ndef test(): ..."),
    ("unexplained_skips", "tests.x", "mark = pytest.mark.skipif(True)"),
]


@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(rule):
    assert [text for source in RULES[rule] for text in getattr(rules, rule)(source)] == []


@pytest.mark.parametrize(("rule", "module", "text"), OFFENCES)
def test_rule_catches(rule, module, text):
    assert len(list(getattr(rules, rule)(Source(module, text)))) == 1


def cycle(edges):
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_import_cycle():
    assert cycle(rules.import_edges(LIBRARY)) is None


def test_import_cycle_is_found():
    package = Source("clusterlib.a", "from clusterlib.a._b import b", is_package=True)
    inside = Source("clusterlib.a._b", "from clusterlib.a import c")
    assert cycle(rules.import_edges([package, inside])) is not None


def source_files():
    folders = ("clusterlib", "csrc", "tests", "bench", "docs", "examples")
    suffixes = {".py", ".pyi", ".cpp", ".hpp", ".inl", ".cuh", ".h"}
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in [*files, ROOT / "setup.py"] if path.suffix in suffixes]


def test_files_are_short():
    lengths = {path: len(path.read_bytes().splitlines()) for path in source_files()}
    assert {path: n for path, n in lengths.items() if n > rules.MAX_FILE_LINES} == {}


def test_native_code_neither_prints_nor_aborts():
    forbidden = re.compile(r"\b(?:printf|fprintf|puts|abort|exit|terminate)\s*\(|std::c(?:out|err)")
    native = [path for path in source_files() if path.is_relative_to(ROOT / "csrc")]
    found = [str(path) for path in native if forbidden.search(path.read_text(encoding="utf-8"))]
    assert native
    assert found == []


@pytest.mark.parametrize("source", PACKAGES, ids=lambda source: source.module)
def test_every_exported_name_is_there(source):
    if source.module.endswith("._numba"):
        pytest.importorskip("numba")
    package = import_module(source.module)
    assert list(package.__all__) == list(rules.exported(source))
    assert {name for name in package.__all__ if not hasattr(package, name)} == set()


def test_lazy_packages_list_their_names_and_refuse_others():
    lazy = [source.module for source in PACKAGES if "def __getattr__" in source.text]
    assert "clusterlib" in lazy
    for module in map(import_module, lazy):
        assert dir(module) == sorted(module.__all__)
        with pytest.raises(AttributeError, match="no_such_name"):
            module.no_such_name  # noqa: B018


def functions_of(source):
    """Name -> argument names of the public functions a file defines."""
    return {
        node.name: [argument.arg for argument in node.args.posonlyargs + node.args.args]
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def kernels_of(backend):
    package = import_module(f"clusterlib.kernels.{backend}")
    sources = [s for s in LIBRARY if s.module.startswith(f"clusterlib.kernels.{backend}.")]
    defined = {name: args for source in sources for name, args in functions_of(source).items()}
    return {name: defined[name] for name in package.__all__}


@pytest.fixture(scope="module")
def reference_kernels():
    return kernels_of("_reference")


def test_every_contract_has_a_reference(reference_kernels):
    operations = {
        name
        for source in LIBRARY
        if source.module in {f"clusterlib.kernels.{contract}" for contract in CONTRACTS}
        for name in functions_of(source)
    }
    assert set(reference_kernels) == operations


def test_numba_signatures_are_those_of_the_reference(reference_kernels):
    pytest.importorskip("numba")
    assert kernels_of("_numba") == reference_kernels


def test_native_signatures_are_those_of_the_reference(reference_kernels):
    path = ROOT / "clusterlib" / "kernels" / "_native.pyi"
    stub = functions_of(Source("stub", path.read_text(encoding="utf-8")))
    assert {name: stub.get(name) for name in reference_kernels} == reference_kernels


def test_the_built_extension_offers_what_its_stub_says():
    if "native" not in available_backends():
        pytest.skip("the native kernels are not built")
    native = import_module("clusterlib.kernels._native")
    path = ROOT / "clusterlib" / "kernels" / "_native.pyi"
    stub = functions_of(Source("stub", path.read_text(encoding="utf-8")))
    assert {name for name in dir(native) if not name.startswith("_")} == set(stub)


def loaded_after(statements):
    """Top-level packages that a fresh interpreter has loaded after some statements."""
    program = f"{statements}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_clusterlib_loads_nothing():
    added = loaded_after("import clusterlib") - loaded_after("")
    assert added <= {"clusterlib", "importlib", "warnings"}


def test_importing_the_kernels_loads_numpy_alone():
    added = loaded_after("import clusterlib.kernels") - loaded_after("import numpy")
    assert {name for name in added if name not in sys.stdlib_module_names} == {"clusterlib"}


def test_optional_packages_are_not_loaded_by_any_module():
    apart = ("clusterlib.kernels._numba", "clusterlib.demo")
    modules = [s.module for s in LIBRARY if not s.module.startswith(apart)]
    loaded = loaded_after("\n".join(f"import {module}" for module in modules))
    assert "sklearn" in loaded
    # scikit-learn itself loads pandas where that is installed.
    added = loaded - loaded_after("import sklearn.base, sklearn.utils.validation")
    assert added & (rules.OPTIONAL | {"pandas", "polars"}) == set()

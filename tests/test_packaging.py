"""What is shipped is complete, and a build does what it can or says in a sentence why not."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import clusterlib
from tests.source_rules import ROOT

DEVICE = "csrc/cuda"  # the package clusterlib.kernels._cuda_src
SHIPPED = ("clusterlib", "csrc", "tests", "bench", "docs", "examples")
GENERATED = shutil.ignore_patterns(
    "__pycache__", ".*", "*.so", "*.egg-info", "build", "dist", "_build", "auto_examples", "results"
)
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "c++")) is None, reason="there is no C++ compiler here"
)

# An extension without kernels, for the tests of setup.py: it compiles in a second.
MODULE = """
#include <Python.h>
#include "part.hpp"
static PyObject* openmp(PyObject*, PyObject*) { return PyBool_FromLong(part_has_openmp()); }
static PyMethodDef methods[] = {{"openmp", openmp, METH_NOARGS, ""}, {nullptr, nullptr, 0, ""}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "", -1, methods};
PyMODINIT_FUNC PyInit__native() { return PyModule_Create(&definition); }
"""
PART = """
#include "part.hpp"
#ifdef _OPENMP
#include <omp.h>
bool part_has_openmp() { return omp_get_max_threads() > 0; }
#else
bool part_has_openmp() { return false; }
#endif
"""


def python(code, *, folder, check=True, **variables):
    """Run Python code in a folder, with more environment variables."""
    environment = {name: value for name, value in os.environ.items() if "CLUSTERLIB" not in name}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def build(kind, tree, target, **options):
    """Call the hook of the build backend that installers call, with what is installed here."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(target)!r})"
    done = python(code, folder=tree, **options)
    [built] = target.iterdir() if done.returncode == 0 else [None]
    return done, built


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources, so that no build writes into the repository."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("tree") / "clusterlib", ignore=GENERATED)


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory):
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))[1]


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [content] = folder.iterdir()
    return content


@pytest.fixture(scope="module")
def installed(unpacked, tmp_path_factory):
    """The wheel built from the sdist, unpacked as an installer does it."""
    if (objects := ROOT / "build" / "native").exists():
        shutil.copytree(objects, unpacked / "build" / "native")
    wheel = build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))[1]
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_sdist_is_complete(tree, unpacked):
    shipped = {name for name in files_below(tree) if name.startswith(SHIPPED)}
    top = {"Makefile", "setup.py", "pyproject.toml", *(path.name for path in ROOT.glob("*.md"))}
    assert "csrc/module.cpp" in shipped
    assert (shipped | top | {"LICENSE", "CITATION.cff"}) - files_below(unpacked) == set()


def test_sdist_holds_nothing_generated(unpacked):
    generated = re.compile(r"\.(?:so|o|pyc|jsonl)$|__pycache__|(?:^|/)build/")
    members = files_below(unpacked) - files_below(unpacked / "build")
    assert [name for name in members if generated.search(name) and "build/native" not in name] == []


@needs_compiler
def test_wheel_from_the_sdist_holds_the_library_alone(tree, installed):
    library = {name for name in files_below(tree) if name.startswith("clusterlib/")}
    library |= {f"clusterlib/kernels/_cuda_src/{name}" for name in files_below(tree / DEVICE)}
    found = files_below(installed)
    [native] = [name for name in found if re.search(r"kernels/_native.*\.(?:so|pyd)$", name)]
    assert library == {name for name in found if ".dist-info/" not in name} - {native}
    assert {"clusterlib/py.typed", "clusterlib/kernels/_native.pyi"} <= library
    assert "clusterlib/kernels/_cuda_src/device.cuh" in library
    assert any(name.endswith("licenses/LICENSE") for name in found)


USE = """
import clusterlib, numpy as np
from clusterlib.kernels import pairwise_argmin
X = np.arange(6.0).reshape(3, 2)
assert pairwise_argmin(X, X[::-1]).tolist() == [2, 1, 0]
print(clusterlib.__file__)
clusterlib.show_config()
"""


@needs_compiler
def test_wheel_from_the_sdist_works(installed, tmp_path):
    written = python(USE, folder=tmp_path, PYTHONPATH=str(installed)).stdout
    assert written.startswith(str(installed))
    assert re.search(r"^backend +native ", written, flags=re.MULTILINE)
    assert re.search(r"^native +built$", written, flags=re.MULTILINE)


DEVICE_TEXTS = """
import importlib.resources, site, sys
# This environment may hold an editable install of its own, whose finder would answer first.
for name in [name for name in sys.modules if name.startswith("__editable__")]:
    del sys.modules[name]
for finders in (sys.meta_path, sys.path_hooks):
    finders[:] = [f for f in finders if not getattr(f, "__module__", "").startswith("__editable__")]
sys.path.insert(0, sys.argv[1])
site.addsitedir(sys.argv[1])
from clusterlib.kernels._cupy.runtime import source_folder
folder = importlib.resources.files("clusterlib.kernels._cuda_src")
assert str(source_folder()) == str(folder), (source_folder(), folder)
texts = {file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".cuh")}
print(sorted(texts.items()))
"""


def device_texts(site, folder, path=""):
    """The device sources as an interpreter with this site folder finds them: name -> text."""
    code = DEVICE_TEXTS.replace("sys.argv[1]", repr(str(site)))
    return dict(ast.literal_eval(python(code, folder=folder, PYTHONPATH=path).stdout))


def texts_of(folder):
    return {path.name: path.read_text() for path in folder.glob("*.cuh")}


@needs_compiler
def test_wheel_from_the_sdist_finds_the_device_sources(tree, installed, tmp_path):
    expected = texts_of(tree / DEVICE)
    assert "device.cuh" in expected
    assert device_texts(installed, tmp_path) == expected


@needs_compiler
@pytest.mark.slow
def test_wheel_from_the_sdist_passes_the_kernel_tests(installed, unpacked, tmp_path):
    shutil.copytree(unpacked / "tests", tmp_path / "tests")
    shutil.copy(unpacked / "pyproject.toml", tmp_path)
    code = "import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/kernels']))"
    assert " passed" in python(code, folder=tmp_path, PYTHONPATH=str(installed)).stdout


@pytest.fixture
def tiny(tmp_path):
    """A tree whose native code is a module of two small files."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "clusterlib", tree / "clusterlib", ignore=GENERATED)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / DEVICE, tree / DEVICE, ignore=GENERATED)
    (tree / "csrc" / "module.cpp").write_text(MODULE)
    (tree / "csrc" / "part.cpp").write_text(PART)
    (tree / "csrc" / "part.hpp").write_text("bool part_has_openmp();\n")
    return tree


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.fixture
def compiler_without_openmp(tmp_path):
    script = tmp_path / "compiler"
    real = shutil.which(os.environ.get("CXX", "c++"))
    script.write_text(f'#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec {real} "$@"\n')
    script.chmod(0o755)
    return str(script)


def has_openmp(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    code = "from clusterlib.kernels import _native; print(_native.openmp())"
    written = python(code, folder=folder, PYTHONPATH=str(folder / "site")).stdout
    return {"True": True, "False": False}[written.strip()]


def test_without_a_compiler_the_build_says_what_to_do(tiny, target):
    done, _ = build("wheel", tiny, target, check=False, CXX="/absent/c++", CC="/absent/cc")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("clusterlib builds its kernels from C++17")
    assert "/absent/c++" in last
    assert "CLUSTERLIB_REQUIRE_EXT=0" in last


def test_without_a_compiler_it_installs_on_request(tiny, target, tmp_path):
    variables = {"CXX": "/absent/c++", "CC": "/absent/cc", "CLUSTERLIB_REQUIRE_EXT": "0"}
    _, wheel = build("wheel", tiny, target, **variables)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    written = python(USE, folder=tmp_path, PYTHONPATH=str(tmp_path / "site")).stdout
    assert re.search(r"^backend +(?:numba|reference) ", written, flags=re.MULTILINE)
    assert re.search(r"^native +not built", written, flags=re.MULTILINE)


def test_an_editable_install_finds_the_device_sources(tiny, target, tmp_path):
    variables = {"CXX": "/absent/c++", "CC": "/absent/cc", "CLUSTERLIB_REQUIRE_EXT": "0"}
    _, wheel = build("editable", tiny, target, **variables)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    # Editable: the tree is read, so an edit and a new file are there without another install.
    (tiny / DEVICE / "edited.cuh").write_text("// new\n")
    (tiny / DEVICE / "device.cuh").write_text("// changed\n")
    found = device_texts(tmp_path / "site", tmp_path)
    assert found == texts_of(tiny / DEVICE)
    assert (found["edited.cuh"], found["device.cuh"]) == ("// new\n", "// changed\n")
    # Beside the tree itself on the path, too, as the tests of this repository run.
    assert device_texts(tmp_path / "site", tiny, path=str(tiny)) == found


@needs_compiler
def test_broken_native_code_stops_the_build(tiny, target):
    (tiny / "csrc" / "part.cpp").write_text("this is not C++")
    done, _ = build("wheel", tiny, target, check=False)
    assert done.returncode != 0
    assert "part.cpp" in done.stderr


@needs_compiler
def test_openmp_is_used_only_if_it_works(tiny, target, tmp_path, compiler_without_openmp):
    _, wheel = build("wheel", tiny, target, CXX=compiler_without_openmp)
    assert has_openmp(wheel, tmp_path) is False


@needs_compiler
def test_openmp_can_be_left_out(tiny, target, tmp_path):
    _, wheel = build("wheel", tiny, target, CLUSTERLIB_OPENMP="0")
    assert has_openmp(wheel, tmp_path) is False


@needs_compiler
def test_openmp_can_be_demanded(tiny, target, compiler_without_openmp):
    variables = {"CXX": compiler_without_openmp, "CLUSTERLIB_OPENMP": "1"}
    done, _ = build("wheel", tiny, target, check=False, **variables)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("CLUSTERLIB_OPENMP=1, but")


@pytest.mark.parametrize("variable", ["INSTRUMENT", "OPENMP", "REQUIRE_EXT"])
@needs_compiler
def test_unknown_choices_are_refused(tiny, target, variable):
    done, _ = build("wheel", tiny, target, check=False, **{f"CLUSTERLIB_{variable}": "maybe"})
    assert done.returncode != 0
    assert f"CLUSTERLIB_{variable} must be one of" in done.stderr


@needs_compiler
def test_only_what_changed_is_compiled_again(tiny, tmp_path):
    def objects(number):
        (tmp_path / number).mkdir()
        build("wheel", tiny, tmp_path / number)
        found = (tiny / "build" / "native").rglob("*.o")
        return {path.stem.split("-")[0]: (path.stem, path.stat().st_mtime_ns) for path in found}

    first = objects("1")
    assert set(first) == {"module", "part"}
    assert objects("2") == first
    (tiny / "csrc" / "part.cpp").write_text(PART + "// changed\n")
    third = objects("3")
    assert third["module"] == first["module"]
    assert third["part"] != first["part"]
    (tiny / "csrc" / "part.hpp").write_text("bool part_has_openmp();  // changed\n")
    fourth = objects("4")
    assert fourth["module"] != third["module"]
    assert fourth["part"] != third["part"]
    (tiny / "csrc" / "unused.hpp").write_text("// included nowhere\n")
    assert objects("5") == fourth


def test_a_module_that_cannot_be_loaded_is_reported(tiny):
    suffix = "abi3.so" if os.name == "posix" else "pyd"
    (tiny / "clusterlib" / "kernels" / f"_native.{suffix}").write_text("no library")
    code = "import clusterlib; clusterlib.show_config()"
    written = python(code, folder=tiny).stdout
    assert re.search(r"^native +built, but it cannot be loaded: ", written, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_extra_that_is_named_exists(project):
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "clusterlib").rglob("*.py")]
    texts += [path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")]
    texts += [line for extra in project["optional-dependencies"].values() for line in extra]
    named = {
        extra
        for text in texts
        for extras in re.findall(r"clusterlib-native\[([a-z0-9,]+)\]", text)
        for extra in extras.split(",")
    }
    assert "numba" in named
    assert named <= set(project["optional-dependencies"])


def test_the_sdist_carries_the_version(sdist):
    assert sdist.name == f"clusterlib_native-{clusterlib.__version__}.tar.gz"
    assert Path(sdist).stat().st_size < 5 * 2**20

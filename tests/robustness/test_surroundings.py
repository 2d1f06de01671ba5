"""What surrounds the library: folders it may not write to, names, locales, flags of Python, limits."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from tests.robustness.children import ONE_EACH, bits, fitted, run
from tests.source_rules import ROOT

# Nobody's own settings: no home, no folder for caches, and the rights of a usual user.
BARE = {"HOME": None, "NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None, "PYTHONPATH": None}
# root may write anywhere, as long as it has this capability.
AS_ROOT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]

FITS = """
import pathlib, sys
import numpy as np
from clusterlib import kernels
from clusterlib.cluster import KMeans

place = sys.argv[1]
assert kernels.__file__.startswith(place), kernels.__file__
X = np.random.default_rng(0).normal(size=(500, 3))
for folder in pathlib.Path(place).rglob("*"):
    assert not (folder.is_dir() and folder.name == "__pycache__"), folder
model = KMeans(4, random_state=0).fit(X)
if "numba" in kernels.available_backends():
    labels = kernels.pairwise_argmin(X, model.cluster_centers_, backend="numba")
    assert (labels == model.labels_).all()
print(model.inertia_)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of folders are POSIX")
def test_an_installation_that_nobody_may_write_to(tmp_path):
    """In a folder whose name has spaces and letters beyond ASCII."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and setpriv is not installed to take that away")
    place = tmp_path / "nur lesen – Größe 数据"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "clusterlib", place / "clusterlib", ignore=leave_out)
    folders = [place, *(folder for folder in place.rglob("*") if folder.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        command = [*(AS_ROOT if os.geteuid() == 0 else []), sys.executable, "-c", FITS, place]
        done = subprocess.run(
            command,
            check=False,
            cwd=place,
            env={n: v for n, v in os.environ.items() if n not in BARE} | {"HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert float(done.stdout) > 0


# All modules, but for those of optional packages that are not there. Others may read text in the
# encoding of the locale; the library may not.
IMPORTS = """
import importlib, pkgutil, warnings
import clusterlib

warnings.simplefilter("ignore", EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module="clusterlib")
for module in pkgutil.walk_packages(clusterlib.__path__, "clusterlib."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name.split(".")[0] in ("cupy", "numba"), error
"""


def test_imports_without_a_warning():
    """Of old syntax or names, of bytes taken for text, of files that nobody closed."""
    flags = ["-W", "error", "-bb", "-X", "warn_default_encoding"]
    assert run(IMPORTS, flags=flags).stderr == ""


ANSWERS = """
import hashlib, sys
{first}
import clusterlib
from clusterlib import selftest
from tests.robustness.children import ONE_EACH, bits, fitted

settings = ONE_EACH if sys.argv[1:] == ["all"] else ONE_EACH[:2]
found = [bits(fitted(i)) for i in settings]
clusterlib.show_config()
print(hashlib.sha256(repr(found).encode()).hexdigest())
"""


def answer(first="", *arguments, **options):
    """The last word of a program that fits two or all classes."""
    return run(ANSWERS.format(first=first), *arguments, **options).stdout.split()[-1]


@pytest.fixture(scope="module")
def usual():
    """What the program finds here, in a process that has done much else."""
    found = [bits(fitted(setting)) for setting in ONE_EACH[:2]]
    return hashlib.sha256(repr(found).encode()).hexdigest()


STRIPPED = """
import contextlib, importlib, io

assert False, "asserts are stripped"
for name in ("selftest", "demo"):
    with contextlib.redirect_stdout(io.StringIO()) as written, contextlib.suppress(SystemExit):
        importlib.import_module("clusterlib." + name).main(["--help"])
    if "python -m clusterlib." + name not in written.getvalue():
        raise SystemExit("no help for " + name)
"""


@pytest.mark.parametrize("flag", [pytest.param("-O", marks=pytest.mark.slow), "-OO"])
def test_python_without_asserts_and_docstrings(flag, usual):
    """The help of commands comes from docstrings, which -OO takes away."""
    assert answer(STRIPPED, flags=[flag, "-W", "ignore"], PYTHONDONTWRITEBYTECODE="1") == usual


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_every_class_without_asserts_and_docstrings(flag, tmp_path):
    flags = [flag, "-W", "ignore"]
    found = answer("", "all", flags=flags, PYTHONPYCACHEPREFIX=str(tmp_path))
    assert found == answer("", "all")


SET_LOCALE = """
import locale
name = {name!r}
locale.setlocale(locale.LC_ALL, name)
"""


@pytest.mark.parametrize("name", ["C", "tr_TR.UTF-8", "de_DE.UTF-8"])
def test_locales_change_nothing(name, usual):
    """Not even one with a comma in numbers, or in which I is no capital i."""
    probe = run(SET_LOCALE.format(name=name), check=False)
    if probe.returncode:
        pytest.skip(f"the locale {name} is not installed")
    variables = {"LC_ALL": name, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if name == "C":
        variables["PYTHONIOENCODING"] = "ascii:strict"  # a terminal that knows nothing else
    assert answer(SET_LOCALE.format(name=name), **variables) == usual


FULL = """
import errno, pathlib, resource, sys
import numpy as np
from clusterlib.blocks import as_blocks
from clusterlib.cluster import KMeans

folder = pathlib.Path(sys.argv[1])
X = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
options = {"n_clusters": 5, "tol": 0, "max_iter": 20, "random_state": 0}
data = folder / "Zeilen und 行.npy"
np.save(data, X)
rows = as_blocks(data, block_rows=4096)
expected = KMeans(**options).fit(X)
model = KMeans(checkpoint=folder / "Zwischen stand ✓", **options).fit(rows)
assert (model.labels_ == expected.labels_).all()
assert model.cluster_centers_.tobytes() == expected.cluster_centers_.tobytes()

# An earlier fit, broken off, has left a checkpoint.
target, passes = folder / "Antwort ü", []

def stop(n_rows):
    passes.append(n_rows)
    if passes.count(0) > 10:
        raise KeyboardInterrupt

rows.observer = stop
try:
    KMeans(checkpoint=target, **options).fit(rows)
except KeyboardInterrupt:
    old = target.read_bytes()
rows.observer = None
before = sorted(folder.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
for path in (target, folder / "neu"):
    model = KMeans(checkpoint=path, **options)
    try:
        model.fit(rows)
    except OSError as error:
        assert error.errno == errno.EFBIG, error
        assert not [name for name in vars(model) if name.endswith("_")]
    else:
        raise SystemExit("the disk was not full")
assert target.read_bytes() == old
assert sorted(folder.iterdir()) == before
"""


def test_a_full_disk_and_names_beyond_ascii(tmp_path):
    """A checkpoint that cannot be written is an OSError and leaves the old one and no part."""
    pytest.importorskip("resource", reason="limits on files are POSIX")
    folder = tmp_path / "ein Ordner für Größen"
    folder.mkdir()
    run(FULL, folder)


@pytest.mark.skipif(
    sys.version_info[:3] == (3, 13, 0),
    reason="in a folder that is gone this Python imports nothing",
)
def test_no_home_no_temporary_files_and_no_folder_to_be_in(usual, tmp_path):
    """Nothing in the library needs any of them."""
    # A folder that TMPDIR names is only the first one that is tried.
    first = f"import os, tempfile; tempfile.tempdir = {str(tmp_path / 'gone')!r}\n"
    first += f"os.chdir({str(tmp_path)!r}); os.rmdir({str(tmp_path)!r})"
    assert answer(first, HOME=None) == usual
    assert not tmp_path.exists()

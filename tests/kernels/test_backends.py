"""Which backend runs, metrics of the user's own, memory, and forked processes."""

import ast
import inspect
import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import clusterlib.kernels
from clusterlib import config
from clusterlib.config import config_context
from clusterlib.kernels import (
    active_backend,
    available_backends,
    checks,
    cluster_sums,
    dispatch,
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
)
from clusterlib.kernels.dispatch import is_device_array
from tests.helpers import LAYOUTS

KERNELS = [
    "cluster_sums",
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]
needs_numba = pytest.mark.skipif(
    "numba" not in available_backends(), reason="the numba extra is not installed"
)


def test_the_reference_is_always_there_and_the_first_backend_is_active():
    assert available_backends()[-1] == "reference"
    assert active_backend() == available_backends()[0]
    for name in available_backends():
        for kernel in KERNELS:
            assert callable(dispatch.implementation(kernel, name))
    for default in (None, "auto"):
        assert dispatch.implementation("cluster_sums", default) is dispatch.implementation(
            "cluster_sums", active_backend()
        )


@pytest.mark.parametrize("backend", ["cuda", "", "Native", 3, ["numba"]])
def test_unknown_backends_are_refused(backend):
    with pytest.raises(ValueError, match="backend must be None or one of 'auto', 'native'"):
        pairwise_argmin([[1.0]], [[2.0]], backend=backend)


@pytest.mark.parametrize(
    ("missing", "cure"), [("native", r"C\+\+ compiler"), ("numba", r"clusterlib-native\[numba\]")]
)
def test_a_missing_backend_says_how_to_get_it(monkeypatch, missing, cure):
    left = tuple(name for name in available_backends() if name != missing)
    monkeypatch.setattr(dispatch, "available_backends", lambda: left)
    with pytest.raises(ImportError, match=cure):
        pairwise_argmin([[1.0]], [[2.0]], backend=missing)
    assert pairwise_argmin([[1.0]], [[2.0]]).tolist() == [0]


def _parameters(backend):
    if backend != "native":
        return {
            name: list(inspect.signature(dispatch.implementation(name, backend)).parameters)
            for name in KERNELS
        }
    stub = Path(clusterlib.kernels.__file__).with_name("_native.pyi")
    functions = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    return {name: functions[name] for name in KERNELS}


def test_implementations_have_the_arguments_of_the_stub():
    for backend in available_backends():
        assert _parameters(backend) == _parameters("native")


def test_numba_is_not_imported_before_it_runs():
    program = (
        "import sys, clusterlib.kernels as k; k.available_backends();"
        "k.pairwise_argmin([[1.0]], [[2.0]], backend='reference');"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@needs_numba
def test_numba_works_where_no_cache_can_be_written(tmp_path):
    # As in a read-only installation: neither the package, nor the home, nor a cache is writable.
    (tmp_path / "file").write_text("not a folder")
    program = (
        "import numba.core.caching as c\n"
        "def refuse(self): raise OSError('read-only')\n"
        "for locator in c.CacheImpl._locator_classes: locator.ensure_cache_path = refuse\n"
        "import clusterlib.kernels as k\n"
        "assert k.pairwise_argmin([[1.0]], [[2.0], [1.0]], backend='numba').tolist() == [1]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


class TestOwnMetric:
    """A compiled function as the metric, against plain NumPy."""

    pytestmark = needs_numba

    @staticmethod
    def chebyshev():
        import numba

        @numba.njit
        def function(x, y):
            largest = 0.0
            for p in range(x.shape[0]):
                largest = max(largest, abs(x[p] - y[p]))
            return largest

        return function

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("backend", [None, "auto", "numba"])
    def test_every_kernel_takes_it(self, backend, dtype):
        rng = np.random.default_rng(2)
        X, Y = (rng.integers(-9, 10, (n, 6)).astype(dtype) for n in (70, 33))
        D = np.abs(X[:, None] - Y).max(axis=2).astype(np.float64)
        options = {"metric": self.chebyshev(), "backend": backend, "n_threads": 2}
        full = pairwise_distances(X, Y, **options)
        assert full.dtype == dtype and np.array_equal(full, D)
        labels, nearest = pairwise_argmin(X, Y, return_distance=True, **options)
        assert np.array_equal(labels, D.argmin(axis=1))
        assert np.array_equal(nearest, D.min(axis=1))
        order = np.argsort(D, axis=1, kind="stable")
        assert np.array_equal(pairwise_topk(X, Y, 7, **options)[1], order[:, :7])
        counts = pairwise_threshold(X, Y, 4.0, **options)
        assert np.array_equal(counts, (D <= 4).sum(axis=1))
        lse = pairwise_logsumexp(X, Y, **options)
        expected = np.log(np.exp(-D).sum(axis=1))
        assert np.allclose(lse, expected, rtol=8 * np.finfo(dtype).eps)

    def test_its_rows_have_the_dtype_of_x_and_any_layout_is_fine(self, tmp_path):
        X = np.random.default_rng(4).standard_normal((40, 5)).astype(np.float32)
        expected = pairwise_distances(X, metric=self.chebyshev())
        for arrange in LAYOUTS.values():
            A = arrange(X, tmp_path)
            assert np.array_equal(pairwise_distances(A, metric=self.chebyshev()), expected)

    def test_nan_from_it_is_refused(self):
        import numba

        @numba.njit
        def broken(x, y):
            return np.nan if x[0] > 0 else 0.0

        with pytest.raises(ValueError, match="metric returned NaN"):
            pairwise_argmin([[-1.0], [1.0]], [[0.0]], metric=broken)

    @pytest.mark.parametrize("backend", ["native", "reference"])
    def test_other_backends_refuse_it(self, backend):
        with pytest.raises(ValueError, match="needs backend 'numba'"):
            pairwise_argmin([[1.0]], [[0.0]], metric=self.chebyshev(), backend=backend)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_checks_pass_layouts_through_uncopied(layout, dtype, tmp_path):
    A = LAYOUTS[layout](np.ones((20, 6), dtype), tmp_path)
    X, Y = checks.as_matrix_pair(A, A[:5])
    assert np.shares_memory(X, A) and np.shares_memory(Y, A)
    assert X.strides == A.strides and X.dtype == dtype
    assert np.shares_memory(checks.as_matrix("X", A), A)


@pytest.mark.parametrize("layout", ["strided", "fortran", "memory_mapped"])
def test_no_whole_copy_of_x_is_made(backend, layout, tmp_path):
    # 24 MB of rows; what is allocated besides the 0.8 MB of labels must not grow with them.
    X = LAYOUTS[layout](np.ones((200_000, 30), np.float32), tmp_path)
    Y, labels = np.zeros((4, 30), np.float32), np.zeros(len(X), np.int32)
    pairwise_argmin(X[:100], Y, backend=backend)  # compiles, loads
    tracemalloc.start()
    try:
        pairwise_argmin(X, Y, n_threads=1, backend=backend)
        cluster_sums(X[:20_000], labels[:20_000], 1, n_threads=1, backend=backend)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.shape[0] * X.shape[1] * 4 * 0.6


def test_the_number_of_threads_comes_from_the_configuration():
    with config_context(n_threads=3):
        assert checks.checked_threads(None) == 3
        assert checks.checked_threads(1) == 1


def test_without_a_number_the_native_kernels_ask_what_a_container_grants(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(config, "_cgroup_quota", lambda: 0.5)
    native = active_backend() == "native"
    # Other backends ask by themselves, which 0 tells them.
    assert checks.checked_threads(None) == (1 if native else 0)


def _sums_in_a_child(backend, X, queue):
    labels = pairwise_argmin(X, X[:50], n_threads=2, backend=backend)
    sums, _ = cluster_sums(X, labels, 50, n_threads=2, backend=backend)
    queue.put((labels, sums))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_computes_after_its_parent_did(backend):
    # libgomp hangs, and the pools of Numba abort, in a child forked after a parallel region.
    X = np.random.default_rng(6).standard_normal((20_000, 8))
    labels = pairwise_argmin(X, X[:50], n_threads=2, backend=backend)
    sums, _ = cluster_sums(X, labels, 50, n_threads=2, backend=backend)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_sums_in_a_child, args=(backend, X, queue))
    child.start()
    try:
        child_labels, child_sums = queue.get(timeout=20)
    finally:
        child.kill()
        child.join()
    assert np.array_equal(child_labels, labels) and np.array_equal(child_sums, sums)


def test_what_dlpack_has_no_layout_for_is_on_no_device():
    class Lists:
        def __dlpack_device__(self):
            raise TypeError("DataType is not compatible with DLPack spec: list<item: float>")

    assert not is_device_array(Lists())

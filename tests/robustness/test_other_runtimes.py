"""Other libraries with an OpenMP of their own in the same process, loaded before or after."""

import importlib.util

import pytest

from clusterlib.kernels import available_backends
from tests.robustness.children import run

# What each library computes with threads; the answers of clusterlib have to be the same all along.
PROGRAM = """
import hashlib, importlib, sys
import numpy as np

X = np.random.default_rng(0).normal(size=(20_000, 16)).astype(np.float32)


def faiss(module):
    index = module.IndexFlatL2(16)
    index.add(X)
    return index.search(X[:200], 3)[1][:, 0].tolist() == list(range(200))


def torch(module):
    rows = module.from_numpy(X)
    return bool(module.isfinite(rows @ rows[:100].T).all())


def numba(module):
    from clusterlib.kernels import pairwise_argmin

    return pairwise_argmin(X[:50], X[:50], backend="numba").tolist() == list(range(50))


def sklearn(module):
    from sklearn.cluster import KMeans

    return KMeans(5, n_init=1, max_iter=5, random_state=0).fit(X).inertia_ > 0


def clusterlib(module):
    from clusterlib.cluster import KMeans
    from clusterlib.transport import SinkhornTransport

    found = KMeans(7, max_iter=20, random_state=0).fit(X)
    moved = SinkhornTransport(0.5).fit(X[:300], target=X[300:500])
    answer = found.labels_.tobytes() + found.cluster_centers_.tobytes() + moved.f_.tobytes()
    known.add(answer)
    return len(known) == 1


known = set()
order = sys.argv[1:]
# Each library computes before the next one is loaded, and once more when all are there.
for name in [*order, *order[::-1], "clusterlib"]:
    assert globals()[name](importlib.import_module(name)), name
print(hashlib.sha256(known.pop()).hexdigest())
"""
THREADS = {"OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"}


def test_libraries_with_openmp_of_their_own():
    """Loaded after clusterlib has computed alone, and before it is loaded: the same answers."""
    libraries = ["faiss", "torch", "numba"]
    others = [name for name in libraries if importlib.util.find_spec(name)]
    if not others:
        pytest.skip("neither faiss nor torch nor numba is installed")
    others.append("sklearn")
    first = run(PROGRAM, "clusterlib", *others, **THREADS).stdout
    last = run(PROGRAM, *others, "clusterlib", **THREADS).stdout
    assert first == last


LIMITS = """
from sklearn.cluster import KMeans  # brings another libgomp
from threadpoolctl import threadpool_info, threadpool_limits
from clusterlib import config_context
from clusterlib.kernels import _native
from clusterlib.kernels.checks import checked_threads

assert _native.max_threads() == checked_threads(None) == 4
assert any(pool["user_api"] == "openmp" for pool in threadpool_info())
with threadpool_limits(1):
    assert _native.max_threads() == checked_threads(None) == 1
    with config_context(n_threads=3):  # somebody has asked for them
        assert checked_threads(None) == 3
with threadpool_limits(2, user_api="openmp"):
    assert checked_threads(None) == 2
with threadpool_limits(1, user_api="blas"):
    assert checked_threads(None) == 4
assert _native.max_threads() == checked_threads(None) == 4
"""


def has_openmp():
    if "native" not in available_backends():
        return False
    from clusterlib.kernels import _native

    return _native.openmp()


@pytest.mark.skipif(not has_openmp(), reason="no extension with OpenMP was built")
def test_limits_of_threadpoolctl_hold():
    run(LIMITS, OMP_NUM_THREADS="4")

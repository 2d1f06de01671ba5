"""Fits in forked and fresh processes, in threads and under joblib: the same bits, and no hang."""

import os
import sysconfig

import pytest

from tests.robustness.children import NAMES, run

# Settings that take milliseconds, and rows enough for several threads of OpenMP in the first two.
TASKS = [
    (NAMES.index("KMeans()"), 10_000),
    (NAMES.index("SubclassBalancer()"), 6_000),
    (NAMES.index("BalancedKMeans()"), 600),
    (NAMES.index("SinkhornTransport(tol=1e-10)"), 300),
    (
        NAMES.index("SinkhornClustering(epsilon=1.0, n_iters=3, normalize=False, queue_size=20)"),
        300,
    ),
    (NAMES.index("OTPrototypeClassifier(normalize=None)"), 300),
    (NAMES.index("SimplexNMF()"), 300),
]
COMMON = f"""
import sys
from tests.robustness.children import bits, fitted

TASKS = {TASKS}
expected = [bits(fitted(*task)) for task in TASKS]
assert all(expected)
"""
THREADS = {"OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}

PROCESSES = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

context = multiprocessing.get_context(sys.argv[1])
with ProcessPoolExecutor(2, mp_context=context) as pool:
    models = list(pool.map(fitted, *zip(*TASKS)))
    assert [bits(model) for model in models] == expected
    # What was fitted here answers there as here.
    X = models[0].cluster_centers_ + 0.1
    assert list(pool.submit(models[0].predict, X).result()) == list(models[0].predict(X))
assert [bits(fitted(*task)) for task in TASKS] == expected
"""


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "method", ["fork", pytest.param("spawn", marks=SLOW), pytest.param("forkserver", marks=SLOW)]
)
def test_children_of_a_process_that_has_fitted(method):
    if method != "spawn" and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    run(COMMON + PROCESSES, method, **THREADS)


IN_THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor
from clusterlib import config_context, get_config, set_config

# Eight threads begin at the same moment, each with settings of its own; nobody else sees them.
barrier = threading.Barrier(8)

def work(number):
    barrier.wait()
    with config_context(n_threads=1 + number % 3, block_bytes=2**26 + number):
        found = [bits(fitted(*task)) for task in TASKS[number % 2 :] + TASKS[: number % 2]]
        settings = get_config()
    return found[-1:] + found[:-1] if number % 2 else found, settings

before = get_config()
with ThreadPoolExecutor(8) as pool:
    answers = list(pool.map(work, range(8)))
for number, (found, settings) in enumerate(answers):
    assert found == expected
    assert settings == {"n_threads": 1 + number % 3, "block_bytes": 2**26 + number}
assert get_config() == before
# A setting of the process reaches threads, and none of the threads has left one behind.
set_config(n_threads=3)
seen = []
thread = threading.Thread(target=lambda: seen.append(get_config()["n_threads"]))
thread.start()
thread.join()
assert seen == [3]
"""


SHARED = """
from tests.estimators.cases import blobs

# One fitted estimator is asked by many threads; it is read only.
X, _ = blobs(600)
model = fitted(TASKS[0][0], 600)
answer, state = model.predict(X).tobytes(), bits(model)
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: model.predict(X).tobytes(), range(64)))
assert set(found) == {answer}
assert bits(model) == state
"""


def test_fits_and_predictions_in_threads_at_the_same_time():
    run(COMMON + IN_THREADS + SHARED, **THREADS)


JOBLIB = """
from joblib import Parallel, delayed

found = Parallel(n_jobs=2, backend=sys.argv[1])(delayed(fitted)(*task) for task in TASKS)
assert [bits(model) for model in found] == expected
"""
SEARCH = """
from sklearn.model_selection import GridSearchCV
from clusterlib.cluster import KMeans
from tests.estimators.cases import blobs

X, _ = blobs(600)
searches = [
    GridSearchCV(KMeans(random_state=0), {"n_clusters": [2, 3, 4]}, cv=3, n_jobs=n_jobs).fit(X)
    for n_jobs in (1, 2)
]
one, two = (search.cv_results_["mean_test_score"].tobytes() for search in searches)
assert one == two
assert bits(searches[0].best_estimator_) == bits(searches[1].best_estimator_)
"""


def test_joblib_and_a_search():
    """In the processes that joblib takes by itself."""
    run(COMMON + JOBLIB + SEARCH, "loky", **THREADS)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_other_backends_of_joblib(backend):
    run(COMMON + JOBLIB, backend, **THREADS)


NUMBA = """
import multiprocessing
import numpy as np
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from clusterlib.kernels import cluster_sums, pairwise_argmin, pairwise_logsumexp

X = np.random.default_rng(0).normal(size=(9_000, 5))

def answers(_):
    labels = pairwise_argmin(X, X[:20], n_threads=2, backend="numba")
    sums, counts = cluster_sums(X, labels, 20, n_threads=2, backend="numba")
    return labels.tobytes(), sums.tobytes(), counts.tobytes()

expected = answers(0)
# Before anything is compiled here: eight threads may compile the same kernel at once.
with ThreadPoolExecutor(8) as pool:
    kernels = list(pool.map(lambda _: pairwise_logsumexp(X, X[:9], backend="numba"), range(8)))
assert len({kernel.tobytes() for kernel in kernels}) == 1
with ThreadPoolExecutor(8) as pool:
    assert set(pool.map(answers, range(16))) == {expected}
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    assert set(pool.map(answers, range(4))) == {expected}
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_the_numba_backend_in_threads_and_forked_processes(tmp_path):
    pytest.importorskip("numba")
    run(NUMBA, NUMBA_CACHE_DIR=str(tmp_path), **THREADS)


FREE = """
import sys
from clusterlib.kernels import _native
from tests.estimators.cases import ESTIMATORS

assert not sys._is_gil_enabled()
"""


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a global lock"
)
def test_the_extension_leaves_a_free_threaded_python_free():
    """It says that it needs no lock; the fits in threads above show that it is right."""
    run(FREE)

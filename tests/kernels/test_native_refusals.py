"""What would crash is refused by the extension module itself, whoever calls it."""

import subprocess
import sys

import numpy as np
import pytest

from tests.fuzz.signatures import CALLS, Described, Sizes

_native = pytest.importorskip("clusterlib.kernels._native", reason="the kernels are not built")

SIZES = Sizes(n=5, m=4, d=3, k=2, dtype=np.float32)


def ordinary(name):
    """Arguments that a function takes, of ones; integers are zeros."""
    arguments = CALLS[name](SIZES)
    for at, described in enumerate(arguments):
        if isinstance(described, Described):
            value = 0 if np.dtype(described.dtype).kind == "i" else 1
            arguments[at] = np.full(described.shape, value, described.dtype)
    return arguments


@pytest.mark.parametrize("name", sorted(CALLS))
def test_ordinary_arguments_are_taken(name):
    getattr(_native, name)(*ordinary(name))


SHORT = np.ones((4, 2), np.float32)
# function, position and value of what is wrong with it, the complaint
WRONG = [
    *[(name, 1, SHORT, "Y must have the features of X") for name in CALLS if "pairwise" in name],
    *[(name, 2, 4, "metric must be") for name in CALLS if "pairwise" in name],
    ("pairwise_argmin", 2, -1, "metric must be"),
    ("pairwise_logsumexp", 7, 3, "mask must be"),
    ("bounded_argmin", 1, SHORT, "Y must have the features of X"),
    ("bounded_argmin", 3, np.full(5, 4, np.int32), "labels must be rows"),
    ("cluster_sums", 1, np.full(5, 2, np.int32), "labels must be below"),
    ("class_moments", 1, np.full(5, 2, np.int32), "labels must be below"),
    ("capacity_assignment", 1, np.full(4, 2, np.int64), "are met by no assignment"),
    ("capacity_assignment", 1, np.array([4, 4, 0, 0]), "are met by no assignment"),
    ("capacity_assignment", 2, np.full(4, 1, np.int64), "are met by no assignment"),
    ("capacity_assignment", 1, np.full(4, -1, np.int64), "must rise, from 0 to n"),
    ("capacity_assignment", 2, np.full(4, 7, np.int64), "must rise, from 0 to n"),
    ("capacity_assignment", 0, np.ones((5, 0), np.float32), "C must have"),
    ("priced_argmin", 1, np.ones((0, 3), np.float32), "Y must have rows"),
    ("sinkhorn_sweep", 0, np.ones((0, 0), np.float32), "must have a row or a column"),
    ("sinkhorn_sweep", 3, np.ones(4), "f must be as long"),
    ("sinkhorn_sweep_points", 1, SHORT, "Y must have the features of X"),
    ("sinkhorn_sweep_points", 2, 9, "metric must be"),
    ("sinkhorn_sweep_points", 5, np.ones((2, 5)), "f must be as long"),
    ("sinkhorn_iterate", 9, 2**62, "history must have a row for each"),
    ("sinkhorn_iterate", 9, -1, "history must have a row for each"),
    ("sinkhorn_plan", 5, None, "column_squares goes with row_weight"),
    ("plsa_step", 1, np.full(15, 4, np.int32), "indices has an index"),
    ("plsa_step", 1, np.full(15, -1, np.int32), "indices has an index"),
    ("plsa_step", 6, np.array([0, 6]), "leaves must rise"),
    ("plsa_step", 6, np.array([0, 7, 5]), "leaves must rise"),
    ("plsa_step", 6, np.zeros(0, np.int64), "leaves must rise"),
    ("mixture_weights", 1, np.full(15, 4, np.int32), "indices has an index"),
    ("tempered_posterior", 2, np.full(5, 4, np.int32), "domains has an index"),
    ("tempered_posterior", 3, np.full((5, 3), 5, np.int32), "neighbors has an index"),
    ("tempered_posterior", 3, np.zeros(5, np.int32), "neighbors must be 2-d"),
    ("tempered_posterior", 8, 0, "leaf_rows must be at least 1"),
    ("simplex_descent", 0, -1, "must be tiles of rows"),
    ("simplex_descent", 4, np.ones(64, np.float32), "must have three dimensions"),
    ("simplex_descent", 5, np.ones(36), "must have three dimensions"),
    ("simplex_descent", 6, 2**31 - 1, "must have three dimensions and all groups"),
]


@pytest.mark.parametrize(("name", "at", "value", "message"), WRONG)
def test_what_would_crash_is_refused(name, at, value, message):
    arguments = ordinary(name)
    is_filled = isinstance(value, int) and isinstance(arguments[at], np.ndarray)
    arguments[at] = np.full_like(arguments[at], value) if is_filled else value
    if message == "must be tiles of rows":
        arguments[1:5] = [argument[:0] for argument in arguments[1:5]]
    with pytest.raises(ValueError, match=message):
        getattr(_native, name)(*arguments)


SHARED = [  # function, two arguments of which one is written to
    *[("bounded_argmin", 2, 4), ("bounded_argmin", 3, 4), ("capacity_assignment", 1, 3)],
    *[("capacity_assignment_points", 3, 5), ("plsa_step", 0, 7), ("plsa_step", 1, 8)],
    *[("plsa_step", 6, 7), ("mixture_weights", 1, 6), ("tempered_posterior", 2, 9)],
    *[("tempered_posterior", 3, 10), ("simplex_descent", 6, 14), ("simplex_descent", 2, 3)],
    *[("linear_assignment", 2, 3), ("pairwise_argmin", 3, 4), ("pairwise_topk", 3, 4)],
]


@pytest.mark.parametrize(("name", "first", "second"), SHARED)
def test_outputs_in_the_memory_of_indices_are_refused(name, first, second):
    """Indices that were in range would not be when they are followed."""
    arguments = ordinary(name)
    one, other = arguments[first], arguments[second]
    room = np.zeros(max(one.nbytes, other.nbytes), np.uint8)
    for at, array in ((first, one), (second, other)):
        arguments[at] = room[: array.nbytes].view(array.dtype).reshape(array.shape)
        if np.dtype(array.dtype).kind == "i":
            arguments[at][...] = array
    with pytest.raises(ValueError, match="must not share memory"):
        getattr(_native, name)(*arguments)


def test_rows_without_a_finite_cost_have_no_candidates():
    """Nothing would be the nearest, and some index be read that nobody has written."""
    arguments = ordinary("capacity_assignment_points")
    arguments[:2] = [points.astype(np.float32) for points in arguments[:2]]
    arguments[0][...] = 1e30
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        _native.capacity_assignment_points(*arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("isa", _native.available_isas())
def test_rows_that_are_not_finite_have_no_label_beyond_the_rows_of_y(isa, value):
    """Padding wins where nothing can be compared, and distances would be read behind Y."""
    X, labels = np.full((5, 8), value, np.float32), np.zeros(5, np.int32)
    before = _native.isa()
    _native.set_isa(isa)
    try:
        with pytest.raises(ValueError, match="X contains NaN or infinity"):
            _native.pairwise_argmin(X, SHORT[:1].repeat(4, axis=1), 1, labels, None, 1)
    finally:
        _native.set_isa(before)
    assert (labels == 0).all()


TOO_MUCH = """
import resource
import numpy as np
from clusterlib.kernels import _native

n_threads, k, d = 2, 500, 2000
X = np.broadcast_to(np.ones(d, np.float32), (100_000, d))
labels = np.zeros(len(X), np.int32)
sums, weights = np.empty((k, d)), np.empty(k)
_native.cluster_sums(X[:10_000], labels[:10_000], None, sums, weights, n_threads)  # threads start
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + sums.nbytes * 5 // 2
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    _native.cluster_sums(X, labels, None, sums, weights, n_threads)
except MemoryError:
    print("refused")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by a means of Linux")
def test_a_thread_without_memory_is_an_error():
    """What leaves a parallel region would end the process."""
    asked = [sys.executable, "-c", TOO_MUCH]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr

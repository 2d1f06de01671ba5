"""Everything that is refused, as one table: the error names the argument and what is allowed.

Only finiteness of X and Y is looked at by the backends, so only that is tested on all of them.
"""

import numpy as np
import pytest

from clusterlib.kernels import (
    cluster_sums,
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
)
from tests.helpers import BAD_MATRICES

GOOD_X = np.arange(35.0).reshape(7, 5)
GOOD_Y = np.arange(20.0).reshape(4, 5)

CALLS = {
    "distances": pairwise_distances,
    "argmin": pairwise_argmin,
    "topk": lambda X, Y, **options: pairwise_topk(X, Y, 2, **options),
    "logsumexp": pairwise_logsumexp,
    "threshold": lambda X, Y, **options: pairwise_threshold(X, Y, 1.0, **options),
}


@pytest.mark.parametrize("bad", BAD_MATRICES, ids=str)
@pytest.mark.parametrize("argument", ["X", "Y"])
@pytest.mark.parametrize("call", CALLS)
def test_bad_matrices(call, argument, bad):
    for dtype in (np.float32, np.float64):
        arguments = {"X": GOOD_X.astype(dtype), "Y": GOOD_Y.astype(dtype)}
        arguments[argument] = bad.make(arguments[argument])
        with pytest.raises(bad.error, match=bad.message.format(name=argument)):
            CALLS[call](**arguments)


@pytest.mark.parametrize("bad", BAD_MATRICES, ids=str)
def test_bad_rows_to_sum(bad):
    message = bad.message.format(name="X").replace("X contains", "X .* contains")
    with pytest.raises(bad.error, match=message):
        cluster_sums(bad.make(GOOD_X), np.zeros(7, dtype=int), 1)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("argument", ["X", "Y"])
def test_a_value_that_is_not_finite_is_found_anywhere(backend, argument, value, place):
    # More rows and features than any tile, with odd ends; the value sits in the data or the ends.
    for n, m, d in [(1, 1, 1), (65, 33, 17), (1025, 300, 3), (300, 257, 65)]:
        arguments = {"X": np.ones((n, d)), "Y": np.ones((m, d))}
        flat = arguments[argument].reshape(-1)
        flat[{"first": 0, "middle": flat.size // 2, "last": -1}[place]] = value
        for dtype in (np.float32, np.float64):
            X, Y = (arguments[name].astype(dtype) for name in "XY")
            for call in (pairwise_argmin, pairwise_distances, pairwise_logsumexp):
                with pytest.raises(ValueError, match=f"{argument} contains NaN or infinity"):
                    call(X, Y, backend=backend)


def out_of(shape, dtype=np.float64, **flags):
    out = np.zeros(shape, dtype=dtype)
    for name, value in flags.items():
        setattr(out.flags, name, value)
    return out


def overlapping():
    both = np.zeros((7, 5))
    return {"X": both, "Y": np.ones((5, 5)), "out": both}


@pytest.mark.parametrize(
    ("call", "arguments", "error", "message"),
    [
        (pairwise_argmin, {"Y": GOOD_Y[:, :3]}, ValueError, "same number of features, got 5 and 3"),
        (pairwise_argmin, {"Y": GOOD_Y[:0]}, ValueError, "Y must have at least 1 row"),
        (pairwise_argmin, {"Y": None}, TypeError, "Y must be an array of numbers"),
        (pairwise_argmin, {"metric": "manhattan"}, ValueError, "metric must be one of 'sqeuclid"),
        (pairwise_argmin, {"metric": "SQEUCLIDEAN"}, ValueError, "metric must be one of"),
        (pairwise_argmin, {"metric": 0}, ValueError, "metric must be one of"),
        (pairwise_argmin, {"metric": None}, ValueError, "metric must be one of"),
        (pairwise_argmin, {"metric": max}, TypeError, "compiled with numba.njit, got .*max"),
        (pairwise_argmin, {"n_threads": 0}, ValueError, "n_threads must be from 1 .* got 0"),
        (pairwise_argmin, {"n_threads": -1}, ValueError, "n_threads must be from 1"),
        (pairwise_argmin, {"n_threads": 1.0}, TypeError, "n_threads must be an integer, got 1.0"),
        (pairwise_argmin, {"n_threads": True}, TypeError, "n_threads must be an integer"),
        (pairwise_topk, {"k": 0}, ValueError, "k must be from 1 to 4, got 0"),
        (pairwise_topk, {"k": 5}, ValueError, "k must be from 1 to 4, got 5"),
        (pairwise_topk, {"k": -1}, ValueError, "k must be from 1"),
        (pairwise_topk, {"k": 2.0}, TypeError, "k must be an integer, got 2.0"),
        (pairwise_topk, {"k": True}, TypeError, "k must be an integer, got True"),
        (pairwise_topk, {"k": None}, TypeError, "k must be an integer, got None"),
        (pairwise_topk, {"k": 1, "Y": GOOD_Y[:0]}, ValueError, "Y must have at least 1 row"),
        (pairwise_threshold, {"threshold": np.nan}, ValueError, "threshold must be .* got nan"),
        (pairwise_threshold, {"threshold": [1.0]}, ValueError, r"threshold must .* \(7,\)"),
        (pairwise_threshold, {"threshold": np.ones((7, 1))}, ValueError, "threshold must"),
        (pairwise_threshold, {"threshold": "a"}, TypeError, "threshold must be an array of real"),
        (pairwise_threshold, {"threshold": 1j}, TypeError, "threshold must be an array of real"),
        (pairwise_threshold, {"threshold": None}, TypeError, "threshold must be an array"),
        (pairwise_distances, {"out": out_of((7, 5))}, ValueError, r"out must have shape \(7, 4\)"),
        (pairwise_distances, {"out": out_of(28)}, ValueError, "out must have shape"),
        (pairwise_distances, {"out": out_of((7, 4), np.float32)}, ValueError, "dtype float64"),
        (pairwise_distances, {"out": out_of((7, 4), int)}, ValueError, "dtype float64"),
        (pairwise_distances, {"out": out_of((7, 8))[:, ::2]}, ValueError, "out must be C-cont"),
        (pairwise_distances, {"out": out_of((4, 7)).T}, ValueError, "out must be C-contiguous"),
        (pairwise_distances, {"out": out_of((7, 4), writeable=False)}, ValueError, "writeable"),
        (pairwise_distances, {"out": [[0.0] * 4] * 7}, TypeError, "out must be a numpy array"),
        (pairwise_distances, overlapping(), ValueError, "out must not overlap"),
        (pairwise_logsumexp, {"inverse_temperature": -1.0}, ValueError, "inverse_temp.* got -1"),
        (pairwise_logsumexp, {"inverse_temperature": np.inf}, ValueError, "inverse_temperature"),
        (pairwise_logsumexp, {"inverse_temperature": np.nan}, ValueError, "inverse_temperature"),
        (pairwise_logsumexp, {"inverse_temperature": [1.0] * 4}, ValueError, r"have shape \(7,\)"),
        (pairwise_logsumexp, {"log_weight": np.inf}, ValueError, "log_weight .*-inf allowed"),
        (pairwise_logsumexp, {"log_weight": [0, 0, np.nan, 0]}, ValueError, "nan at index 2"),
        (pairwise_logsumexp, {"log_weight": [0.0] * 7}, ValueError, r"have shape \(4,\)"),
        (pairwise_logsumexp, {"mask": "equal"}, ValueError, "mask must be None, 'same' or"),
        (pairwise_logsumexp, {"mask": 1}, ValueError, "mask must be None, 'same' or"),
        (pairwise_logsumexp, {"mask": "same"}, ValueError, "mask='same' needs x_group"),
        (
            pairwise_logsumexp,
            {"mask": "same", "x_group": [0] * 7},
            ValueError,
            "mask='same' needs y_group",
        ),
        (pairwise_logsumexp, {"x_group": [0] * 7}, ValueError, "x_group is given but mask is"),
        (pairwise_logsumexp, {"y_group": [0] * 4}, ValueError, "y_group is given but mask is"),
        (
            pairwise_logsumexp,
            {"mask": "same", "x_group": [0.0] * 7, "y_group": [0] * 4},
            TypeError,
            "x_group must hold integers, got dtype float64",
        ),
        (
            pairwise_logsumexp,
            {"mask": "same", "x_group": [0] * 7, "y_group": [0] * 5},
            ValueError,
            r"y_group must have shape \(4,\), got \(5,\)",
        ),
        (
            pairwise_logsumexp,
            {"mask": "same", "x_group": [0] * 7, "y_group": np.full(4, 2**64 - 1, np.uint64)},
            ValueError,
            "y_group must fit into int64",
        ),
        (pairwise_logsumexp, {"values": np.ones((7, 2))}, ValueError, r"values must .* \(4, q\)"),
        (pairwise_logsumexp, {"values": np.ones(4)}, ValueError, "values must have shape"),
        (pairwise_logsumexp, {"values": np.full((4, 1), np.nan)}, ValueError, "values contains"),
        (
            pairwise_logsumexp,
            {"X": np.float32(GOOD_X), "Y": np.float32(GOOD_Y), "values": np.full((4, 1), 1e300)},
            ValueError,
            "values contains NaN or infinity",
        ),
    ],
)
def test_bad_arguments(call, arguments, error, message):
    extra = {pairwise_topk: {"k": 1}, pairwise_threshold: {"threshold": 1.0}}.get(call, {})
    arguments = {"X": GOOD_X, "Y": GOOD_Y, **extra, **arguments}
    with pytest.raises(error, match=message):
        call(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be from 1"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters must be an integer, got 2.0"),
        ({"n_clusters": 2}, ValueError, "labels must be below n_clusters=2, got 2"),
        ({"labels": [0] * 6}, ValueError, r"labels must have shape \(7,\), got \(6,\)"),
        ({"labels": [[0]] * 7}, ValueError, "labels must have shape"),
        ({"labels": [0.0] * 7}, TypeError, "labels must hold integers, got dtype float64"),
        ({"labels": ["a"] * 7}, TypeError, "labels must be an array of real numbers"),
        ({"labels": [False] * 7}, TypeError, "labels must hold integers, got dtype bool"),
        ({"labels": np.full(7, 2**63, np.uint64)}, ValueError, "labels must be below"),
        ({"sample_weight": np.nan}, ValueError, "sample_weight must be finite, got nan"),
        ({"sample_weight": [1, 1, np.inf, 1, 1, 1, 1]}, ValueError, "got inf at index 2"),
        ({"sample_weight": [1.0] * 6}, ValueError, r"sample_weight must .* \(7,\)"),
        ({"sample_weight": ["a"] * 7}, TypeError, "sample_weight must be an array of real"),
        ({"X": np.full((7, 1), 1.7e308)}, ValueError, "X .*sum of its rows.* contains"),
        ({"n_threads": 0}, ValueError, "n_threads must be from 1"),
    ],
)
def test_bad_arguments_of_cluster_sums(arguments, error, message):
    arguments = {"X": GOOD_X, "labels": [0, 1, 2] * 2 + [-1], "n_clusters": 3} | arguments
    with pytest.raises(error, match=message):
        cluster_sums(**arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_summed_row_that_is_not_finite_is_found(backend, value):
    X = np.ones((5000, 3))
    X[4999, 2] = value
    for weight in (None, 0.0):
        with pytest.raises(ValueError, match="X .*contains NaN or infinity"):
            cluster_sums(X, np.zeros(5000, int), 1, sample_weight=weight, backend=backend)


def test_nothing_to_do_is_not_an_error(backend):
    none, some = np.zeros((0, 5)), GOOD_Y
    assert pairwise_distances(none, some, backend=backend).shape == (0, 4)
    assert pairwise_distances(some, none, backend=backend).shape == (4, 0)
    assert pairwise_distances(none, backend=backend).shape == (0, 0)
    assert pairwise_argmin(none, some, backend=backend).shape == (0,)
    assert pairwise_topk(none, some, 2, backend=backend)[1].shape == (0, 2)
    assert pairwise_threshold(none, some, 1.0, backend=backend).shape == (0,)
    assert np.array_equal(pairwise_threshold(some, none, 1.0, backend=backend), [0] * 4)
    assert pairwise_logsumexp(none, some, backend=backend).shape == (0,)
    lse, weighted = pairwise_logsumexp(some, some, values=some[:, :0], backend=backend)
    assert lse.shape == (4,) and weighted.shape == (4, 0)
    sums, weights = cluster_sums(none, [], 2, backend=backend)
    assert np.array_equal(sums, np.zeros((2, 5))) and np.array_equal(weights, np.zeros(2))

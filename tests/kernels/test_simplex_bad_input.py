"""Arguments of the simplex kernels that are refused: the error names the argument and the value."""

import numpy as np
import pytest

from clusterlib.kernels import pack_rows, simplex_descent, simplex_projection
from tests.helpers import BAD_MATRICES, DTYPES

N, P, R, GROUPS = 20, 3, 4, 2


def good(dtype=np.float64):
    """Arguments of the descent that are accepted."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, P))
    return {
        "X": pack_rows(X / np.linalg.norm(X, 2), dtype=dtype),
        "W": pack_rows(rng.dirichlet(np.ones(R), size=N), dtype=dtype),
        "n_rows": N,
        "target": [2.0, 1.0],
        "multiplier": [0.1, 0.1],
        "penalty": 0.5,
        "group": [0, 1, 1, 0],
        "constraint": [0, 0, 1, 1],
        "linear": pack_rows(rng.normal(size=(N, GROUPS)) / N, dtype=dtype),
        "precisions": np.stack([np.eye(P)] * GROUPS),
        "n_iters": 2,
    }


def read_only():
    W = good()["W"]
    W.flags.writeable = False
    return W


def misaligned():
    W = good()["W"]
    view = np.zeros(W.nbytes + 1, np.uint8)[1:].view(W.dtype).reshape(W.shape)
    view[...] = W
    return view


def padded():
    W = good()["W"]
    W[1, 2, 7] = 0.5
    return W


TILES = np.zeros((2, R, 16))
REFUSED = [
    ({"n_rows": 0}, ValueError, "n_rows must be from 1 to"),
    ({"n_rows": 20.0}, TypeError, "n_rows must be an integer, got 20.0"),
    ({"n_rows": True}, TypeError, "n_rows must be an integer, got True"),
    ({"n_rows": 33}, ValueError, r"X must have shape \(3, columns, 16\) for 33 rows, got \(2, 3, 16\)"),
    ({"n_rows": 16}, ValueError, r"X must have shape \(1, columns, 16\) for 16 rows"),
    ({"X": np.ones((N, P))}, ValueError, r"X must have shape .* for 20 rows, got \(20, 3\)"),
    ({"X": np.ones((2, P, 8))}, ValueError, r"X must have shape .*, got \(2, 3, 8\)"),
    ({"X": np.ones((2, 0, 16))}, ValueError, "X must have at least 1 column"),
    ({"X": [[1.0]]}, TypeError, "X must be a float32 or float64 array of tiles, got list"),
    ({"X": np.ones((2, P, 16), int)}, TypeError, "X must be a float32 or float64 array .* got int64"),
    ({"X": np.ones((2, P, 16), ">f8")}, TypeError, "X must be .* got >f8"),
    ({"X": np.ones((2, 16, P)).transpose(0, 2, 1)}, ValueError, "X must be C-contiguous and aligned"),
    ({"X": np.ones((2, P, 16), np.float32)}, TypeError, "W must be a float32 array .* got float64"),
    ({"W": TILES.astype(np.float32)}, TypeError, "W must be a float64 array of tiles, got float32"),
    ({"W": None}, TypeError, "W must be a float64 array of tiles, got NoneType"),
    ({"W": np.zeros((1, R, 16))}, ValueError, r"W must have shape \(2, columns, 16\)"),
    ({"W": np.zeros((2, 0, 16))}, ValueError, "W must have at least 1 column"),
    ({"W": np.zeros((2, 65537, 16))}, ValueError, "columns of W must be from 1 to 65536, got 65537"),
    ({"W": read_only()}, ValueError, "W must be C-contiguous, aligned and writeable"),
    ({"W": misaligned()}, ValueError, "W must be C-contiguous and aligned"),
    ({"W": padded()}, ValueError, "W must hold zeros beyond its 20 rows"),
    ({"target": []}, ValueError, r"target must have shape \(n_constraints,\), got \(0,\)"),
    ({"target": [[2.0, 1.0]]}, ValueError, r"target must have shape .*, got \(1, 2\)"),
    ({"target": [2.0, np.nan]}, ValueError, "target must be finite, got nan at index 1"),
    ({"target": ["a", "b"]}, TypeError, "target must be an array of real numbers"),
    ({"target": None}, TypeError, "target must be an array of numbers, got None"),
    ({"target": 2.0}, ValueError, "multiplier must be a scalar or have shape"),
    ({"multiplier": [0.1] * 3}, ValueError, r"multiplier must .* shape \(2,\), got \(3,\)"),
    ({"multiplier": [np.inf, 0]}, ValueError, "multiplier must be finite, got inf at index 0"),
    ({"penalty": -0.1}, ValueError, "penalty must be finite and at least 0, got -0.1"),
    ({"penalty": np.nan}, ValueError, "penalty must be finite and at least 0, got nan"),
    ({"penalty": [1.0, 2.0]}, ValueError, "penalty must be a scalar"),
    ({"penalty": "large"}, TypeError, "penalty must be an array of real numbers"),
    ({"group": [0, 1, 1]}, ValueError, r"group must hold 4 integers, got int64 of shape \(3,\)"),
    ({"group": [0.0, 1, 1, 0]}, ValueError, "group must hold 4 integers, got float64"),
    ({"group": [0, -1, 1, 0]}, ValueError, "group must be from 0 to .*, got -1 to 1"),
    ({"group": [0, 2**40, 1, 0]}, ValueError, "group must be from 0 to"),
    ({"group": ["a"] * 4}, TypeError, "group must be an array of real numbers"),
    ({"group": [0, 2, 1, 0]}, ValueError, "linear has 2 groups, but group goes up to 2"),
    (
        {"group": [0, 2, 1, 0], "linear": None},
        ValueError,
        "precisions has 2 groups, but group goes up to 2",
    ),
    ({"constraint": [0, 0, 2, 1]}, ValueError, "constraint must be from 0 to 1, got 0 to 2"),
    ({"constraint": [0, 0, -1, 1]}, ValueError, "constraint must be from 0 to 1, got -1 to 1"),
    ({"constraint": [[0, 0, 1, 1]]}, ValueError, "constraint must hold 4 integers"),
    ({"linear": np.zeros((N, 2))}, ValueError, "linear must have shape"),
    ({"linear": np.zeros((2, 2, 16), np.float32)}, TypeError, "linear must be a float64 array"),
    ({"linear": np.zeros((2, 3, 16))}, ValueError, "precisions has 2 groups but linear has 3"),
    ({"precisions": np.eye(P)}, ValueError, r"precisions must have shape .*, got \(3, 3\)"),
    ({"precisions": np.zeros((2, P, 2))}, ValueError, r"precisions must have shape \(n_groups, 3, 3\)"),
    ({"precisions": np.full((2, P, P), np.nan)}, ValueError, "precisions contains NaN or infinity"),
    ({"precisions": [[["a"] * 3] * 3] * 2}, TypeError, "precisions must be an array of real numbers"),
    ({"tol": -1.0}, ValueError, "tol must be finite and at least 0, got -1.0"),
    ({"tol": np.nan}, ValueError, "tol must be finite and at least 0, got nan"),
    ({"step": -1.0}, ValueError, "step must be finite and at least 0, got -1.0"),
    ({"step": np.inf}, ValueError, "step must be finite and at least 0, got inf"),
    ({"step": 1001.0}, ValueError, "step must be at most 1000, got 1001.0"),
    ({"n_iters": 0}, ValueError, "n_iters must be from 1 to"),
    ({"n_iters": 1.0}, TypeError, "n_iters must be an integer, got 1.0"),
    ({"n_iters": 10**9}, ValueError, "n_iters must be from 1 to 10000000, got 1000000000"),
    ({"spare": np.zeros((2, R + 1, 16))}, ValueError, r"spare must be an array of shape \(2, 4, 16\)"),
    ({"spare": TILES.astype(np.float32)}, ValueError, "spare must be an array .* dtype float64"),
    ({"spare": read_only()}, ValueError, "spare must be C-contiguous, aligned and writeable"),
    ({"n_threads": 0}, ValueError, "n_threads must be from 1"),
    ({"n_threads": 1.5}, TypeError, "n_threads must be an integer, got 1.5"),
    ({"backend": "cuda"}, ValueError, "backend must be None or one of"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    REFUSED,
    ids=[f"{'-'.join(arguments)}-{i}" for i, (arguments, *_) in enumerate(REFUSED)],
)
def test_a_descent_is_refused(arguments, error, message):
    everything = good() | arguments
    before = None if everything["W"] is None else everything["W"].copy()
    with pytest.raises(error, match=message):
        simplex_descent(**everything)
    assert before is None or np.array_equal(everything["W"], before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_the_table_starts_from_is_accepted(backend, dtype):
    result = simplex_descent(**good(dtype), backend=backend)
    assert np.isfinite(result.history).all() and result.history.shape == (2, 2)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["X", "W", "linear"])
def test_numbers_that_are_not_finite_are_refused_before_any_step(backend, name, wrong):
    for place in [(0, 0, 0), (1, 1, 3), (0, 1, 15)]:
        arguments = good()
        arguments[name][place] = wrong
        before = arguments["W"].copy()
        with pytest.raises(ValueError, match="X, W and linear must be finite"):
            simplex_descent(**arguments, backend=backend)
        assert np.array_equal(arguments["W"], before, equal_nan=True)


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e30), (np.float64, 1e200)])
def test_sums_that_leave_the_range_are_refused(backend, dtype, scale):
    if backend == "reference":  # which calculates in float64 whatever it is given
        dtype, scale = np.float64, 1e200
    arguments = good(dtype)
    arguments["X"] *= dtype(scale)
    with pytest.raises(ValueError, match="X scaled so that"):
        simplex_descent(**arguments, backend=backend)


@pytest.mark.parametrize(
    ("one", "other"), [("W", "X"), ("spare", "X"), ("W", "spare"), ("W", "linear"), ("spare", "linear")]
)  # fmt: skip
def test_arrays_that_overlap_are_refused(one, other):
    memory = np.zeros((2 * GROUPS + 1) * 16)
    shared = memory[: 2 * GROUPS * 16].reshape(2, GROUPS, 16)
    arguments = good() | {"X": np.zeros((2, GROUPS, 16)), "W": np.zeros((2, GROUPS, 16))}
    arguments |= {"group": [0, 1], "constraint": [0, 1], "precisions": None}
    arguments |= {one: shared, other: memory[16:].reshape(2, GROUPS, 16)}
    with pytest.raises(ValueError, match=f"{one} must not overlap {other} in memory"):
        simplex_descent(**arguments)


@pytest.mark.parametrize("bad", BAD_MATRICES, ids=str)
def test_a_projection_of_bad_rows_is_refused(bad):
    V = bad.make(np.random.default_rng(0).normal(size=(6, 6)))
    with pytest.raises(bad.error, match=bad.message.format(name="V")):
        simplex_projection(V)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"out": [[0.0]]}, TypeError, "out must be a numpy array, got list"),
        ({"out": np.zeros((2, 2))}, ValueError, r"out must have shape \(3, 2\)"),
        ({"out": np.zeros((3, 2), np.float32)}, ValueError, "out must have shape .* float32"),
        ({"out": np.zeros((2, 3)).T}, ValueError, "out must be C-contiguous"),
        ({"n_threads": -1}, ValueError, "n_threads must be from 1"),
        ({"backend": "cuda"}, ValueError, "backend must be None or one of"),
    ],
)
def test_a_projection_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        simplex_projection(**{"V": np.ones((3, 2))} | arguments)


def test_a_projection_onto_its_own_rows_is_refused():
    V = np.ones((3, 2))
    with pytest.raises(ValueError, match="out must not overlap"):
        simplex_projection(V, out=V)


def test_no_rows(backend):
    assert simplex_projection(np.zeros((0, 3)), backend=backend).shape == (0, 3)

"""Arguments of the Sinkhorn kernels that are refused: the error names the argument and the value."""

import numpy as np
import pytest

from clusterlib.kernels import (
    scaling_iterate,
    sinkhorn_batch,
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_plan,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
    weighted_gram_product,
)

N, M, B, D = 4, 3, 2, 2


def read_only(shape):
    array = np.zeros(shape)
    array.flags.writeable = False
    return array


def good(call):
    """Arguments that are accepted."""
    a, b = np.log(np.full(N, 1 / N)), np.log(np.full(M, 1 / M))
    C, f, g = np.ones((N, M)), np.zeros(N), np.zeros(M)
    points = {"X": np.ones((N, D)), "Y": np.zeros((M, D))}
    sweep = {"epsilon": 1.0, "log_a": a, "f": f, "g": g}
    return {
        sinkhorn_sweep: {"C": C, **sweep},
        sinkhorn_sweep_points: {**points, **sweep},
        sinkhorn_iterate: {"C": C, **sweep, "log_b": b},
        sinkhorn_iterate_points: {**points, **sweep, "log_b": b},
        sinkhorn_plan: {"C": C, "epsilon": 1.0, "f": f, "g": g},
        sinkhorn_batch: {
            "C": np.ones((B, N, M)), "epsilon": 1.0, "log_a": a, "log_b": b,
            "f": np.zeros((B, N)), "g": np.zeros((B, M)),
        },
        scaling_iterate: {
            "K": C, "a": np.exp(a), "b": np.exp(b), "u": np.ones(N), "v": np.ones(M),
        },
        weighted_gram_product: {"K": C, "weight": np.ones(N), "vector": np.ones(M)},
    }[call]  # fmt: skip


SWEEPS = [sinkhorn_sweep, sinkhorn_sweep_points]
ITERATIONS = [sinkhorn_iterate, sinkhorn_iterate_points]
LOGARITHMIC = [*SWEEPS, *ITERATIONS, sinkhorn_plan, sinkhorn_batch]
STORED = [sinkhorn_sweep, sinkhorn_iterate, sinkhorn_plan]
SCALINGS = [scaling_iterate, weighted_gram_product]
UPDATED = [*SWEEPS, *ITERATIONS, sinkhorn_plan]

# (calls, arguments, error, message)
REFUSED = [
    (LOGARITHMIC, {"epsilon": 0.0}, ValueError, "epsilon must be positive and finite, got 0"),
    (LOGARITHMIC, {"epsilon": -1.0}, ValueError, "epsilon must be positive and finite, got -1"),
    (LOGARITHMIC, {"epsilon": np.nan}, ValueError, "epsilon must be positive and finite, got nan"),
    (LOGARITHMIC, {"epsilon": np.inf}, ValueError, "epsilon must be positive and finite, got inf"),
    (LOGARITHMIC, {"epsilon": 5e-324}, ValueError, "epsilon must be positive and finite"),
    (LOGARITHMIC, {"epsilon": 1e308}, ValueError, r"epsilon must be at most 4.49e\+307, got 1e"),
    ([sinkhorn_batch], {"epsilon": [1.0, 1e308]}, ValueError, r"at most 4.49e\+307, got 1e\+308"),
    (LOGARITHMIC, {"epsilon": "small"}, TypeError, "epsilon must be a number, got 'small'"),
    (LOGARITHMIC, {"epsilon": True}, TypeError, "epsilon must be a number, got True"),
    (STORED, {"C": np.ones(3)}, ValueError, r"C must have shape \(n, m\) .*, got \(3,\)"),
    (STORED, {"C": np.ones((4, 0))}, ValueError, r"C must have shape .*, got \(4, 0\)"),
    (STORED, {"C": np.ones((4, 3), complex)}, TypeError, "C must be an array of real numbers"),
    (STORED, {"C": [["a"] * 3] * 4}, TypeError, "C must be an array of real numbers"),
    (STORED, {"C": np.ones((5, 3))}, ValueError, r"must .*shape \(5,\)"),
    (SCALINGS, {"K": np.ones(3)}, ValueError, r"K must have shape \(n, m\) .*, got \(3,\)"),
    (UPDATED, {"f": [0.0] * N}, ValueError, r"f must be an array of shape \(4,\) and dtype float64"),
    (UPDATED, {"f": np.zeros(N, np.float32)}, ValueError, "dtype float64, got .* float32"),
    (UPDATED, {"f": np.zeros(N + 1)}, ValueError, r"f must be an array of shape \(4,\)"),
    (UPDATED, {"f": read_only(N)}, ValueError, "f must be C-contiguous, aligned and writeable"),
    (UPDATED, {"f": np.zeros(2 * N)[::2]}, ValueError, "f must be C-contiguous"),
    (UPDATED, {"g": np.zeros(M + 1)}, ValueError, r"g must .*shape \(3,\)"),
    ([*SWEEPS, sinkhorn_plan], {"g": [0, np.nan, 0]}, ValueError, "g must be .*, got nan at index 1"),
    ([*SWEEPS, sinkhorn_plan], {"g": [0, np.inf, 0]}, ValueError, "g must be .*, got inf at index 1"),
    (SWEEPS, {"g": [-np.inf] * M}, ValueError, "g must have weight somewhere"),
    (
        [sinkhorn_plan],
        {"g": [-np.inf] * M, "log_a": np.zeros(N)},
        ValueError,
        "g must have weight somewhere",
    ),
    (SWEEPS, {"f": np.full(N, np.nan), "update_f": False}, ValueError, "f must be .*, got nan at"),
    ([sinkhorn_plan], {"f": np.full(N, np.inf)}, ValueError, "f must be .*, got inf at index 0"),
    ([*SWEEPS, *ITERATIONS], {"log_a": [0.0] * M}, ValueError, r"log_a must have shape \(4,\)"),
    ([*SWEEPS, *ITERATIONS], {"log_a": [0, 0, np.nan, 0]}, ValueError, "log_a .* nan at index 2"),
    ([*SWEEPS, *ITERATIONS], {"log_a": [0, 0, np.inf, 0]}, ValueError, "log_a .* inf at index 2"),
    ([*SWEEPS, *ITERATIONS], {"tau_a": 1.1}, ValueError, "tau_a must be from 0 to 1, got 1.1"),
    ([*SWEEPS, *ITERATIONS], {"tau_a": np.nan}, ValueError, "tau_a must be from 0 to 1, got nan"),
    (SWEEPS, {"f_max": -np.inf}, ValueError, "f_max must be above -inf"),
    (SWEEPS, {"f_max": np.nan}, ValueError, "f_max must be above -inf, got nan"),
    ([*ITERATIONS, sinkhorn_batch], {"tau_b": -0.1}, ValueError, "tau_b must be from 0 to 1"),
    ([*ITERATIONS, sinkhorn_batch], {"log_a": [-np.inf] * N}, ValueError, "log_a must have weight"),
    ([*ITERATIONS, sinkhorn_batch], {"log_b": [-np.inf] * M}, ValueError, "log_b must have weight"),
    ([*ITERATIONS, scaling_iterate], {"n_iters": 0}, ValueError, "n_iters must be from 1"),
    ([*ITERATIONS, scaling_iterate], {"n_iters": 2.0}, TypeError, "n_iters must be an integer"),
    ([*ITERATIONS, scaling_iterate], {"relaxation": 2.0}, ValueError, "relaxation must be between"),
    ([*ITERATIONS, scaling_iterate], {"relaxation": 0}, ValueError, "relaxation must be between"),
    ([*ITERATIONS, sinkhorn_batch, scaling_iterate], {"tol": -1.0}, ValueError, "tol must be finite"),
    ([*ITERATIONS, sinkhorn_batch, scaling_iterate], {"tol": np.nan}, ValueError, "tol .* got nan"),
    (ITERATIONS, {"g": np.array([0, np.nan, 0])}, ValueError, "g must be finite .* nan at index 1"),
    (ITERATIONS, {"g": np.array([0, -np.inf, 0])}, ValueError, "g must be finite .* -inf at index 1"),
    ([sinkhorn_plan], {"row_weight": [1, -1, 1, 1]}, ValueError, "row_weight must be finite and at"),
    ([sinkhorn_plan], {"row_weight": [1.0]}, ValueError, r"row_weight must have shape \(4,\)"),
    ([sinkhorn_plan], {"out": np.ones((N, M), np.float32)}, ValueError, "out must have shape"),
    ([sinkhorn_batch], {"C": np.ones((N, M))}, ValueError, r"C must have shape \(B, p, q\)"),
    ([sinkhorn_batch], {"epsilon": [1.0]}, ValueError, r"epsilon must have shape \(2,\), got \(1,\)"),
    ([sinkhorn_batch], {"epsilon": [1.0, 0.0]}, ValueError, "epsilon .* got 0.0 at index 1"),
    ([sinkhorn_batch], {"max_iter": 0}, ValueError, "max_iter must be from 1"),
    ([sinkhorn_batch], {"f": np.zeros(N)}, ValueError, r"f must be an array of shape \(2, 4\)"),
    (
        [sinkhorn_batch],
        {"g": np.array([[0, 0, 0], [0, np.nan, 0]])},
        ValueError,
        r"g must be finite .* nan at index \(1, 1\)",
    ),
    (SCALINGS[:1], {"a": [1, -1, 1, 1]}, ValueError, "a must be finite and at least 0, got -1.0 at"),
    (SCALINGS[:1], {"b": [1, np.nan, 1]}, ValueError, "b must be finite and at least 0, got nan at"),
    (SCALINGS[:1], {"v": np.zeros(M)}, ValueError, "v must be positive .*, got 0.0 at index 0"),
    (SCALINGS[:1], {"v": [1.0] * M}, ValueError, r"v must be an array of shape \(3,\)"),
    (SCALINGS[:1], {"u": np.zeros(M)}, ValueError, r"u must be an array of shape \(4,\)"),
    (SCALINGS[:1], {"limit": 1.0}, ValueError, r"limit must be in \(1, 1e100\], got 1"),
    (SCALINGS[1:], {"weight": [np.inf] * N}, ValueError, "weight must be finite, got inf"),
    (SCALINGS[1:], {"vector": [1.0] * N}, ValueError, r"vector must have shape \(3,\)"),
    ([*LOGARITHMIC, *SCALINGS], {"n_threads": 0}, ValueError, "n_threads must be from 1"),
    ([*LOGARITHMIC, *SCALINGS], {"backend": "cuda"}, ValueError, "backend must be None or one of"),
    (SWEEPS[1:] + ITERATIONS[1:], {"metric": "manhattan"}, ValueError, "metric must be one of"),
    (SWEEPS[1:] + ITERATIONS[1:], {"metric": max}, TypeError, "compiled with numba.njit"),
    (SWEEPS[1:] + ITERATIONS[1:], {"Y": np.ones((M, 5))}, ValueError, "same number of features"),
    (SWEEPS[1:] + ITERATIONS[1:], {"Y": np.ones((0, D))}, ValueError, "Y must have at least 1 row"),
]  # fmt: skip
CASES = [(call, *case[1:]) for case in REFUSED for call in case[0]]


@pytest.mark.parametrize(
    ("call", "arguments", "error", "message"),
    CASES,
    ids=[f"{call.__name__}-{'-'.join(arguments)}-{i}" for i, (call, arguments, *_) in enumerate(CASES)],
)  # fmt: skip
def test_refused(call, arguments, error, message):
    everything = good(call) | arguments
    states = {name: everything[name] for name in "fguv" if name in everything}
    before = {name: np.array(state) for name, state in states.items()}
    with pytest.raises(error, match=message):
        call(**everything)
    for name, state in states.items():  # refused before any work
        assert np.array_equal(state, before[name], equal_nan=True)


@pytest.mark.parametrize("call", [*LOGARITHMIC, *SCALINGS], ids=lambda call: call.__name__)
def test_what_the_table_starts_from_is_accepted(backend, call):
    call(**good(call), backend=backend)


def test_other_numbers_are_converted(backend):
    C = np.arange(12).reshape(4, 3)
    f, wide = np.zeros(4), np.zeros(4)
    sums = sinkhorn_sweep(C, 2, [0] * 4, f, [0] * 3, backend=backend)
    expected = sinkhorn_sweep(C.astype(float), 2.0, np.zeros(4), wide, np.zeros(3), backend=backend)
    assert np.array_equal(sums, expected) and np.array_equal(f, wide)
    half = sinkhorn_plan(C.astype(np.float16), 2.0, f, np.zeros(3), backend=backend)
    assert half.plan.dtype == np.float32


def test_no_rows(backend):
    f = np.zeros(0)
    nothing = np.zeros((0, 3))
    assert np.array_equal(
        sinkhorn_sweep(nothing, 1.0, f, f, np.zeros(3), backend=backend), [0.0] * 3
    )
    plan = sinkhorn_plan(nothing, 1.0, f, np.zeros(3), row_weight=f, backend=backend)
    assert plan.plan.shape == (0, 3) and np.array_equal(plan.column_squares, [0.0] * 3)
    product = weighted_gram_product(nothing, f, np.ones(3), backend=backend)
    assert np.array_equal(product, [0.0] * 3)
    sums = sinkhorn_sweep_points(nothing, np.ones((2, 3)), 1.0, f, f, np.zeros(2), backend=backend)
    assert np.array_equal(sums, [0.0] * 2)

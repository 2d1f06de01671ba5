"""Arguments of the assignment kernels that are refused: the error names argument and value."""

import numba
import numpy as np
import pytest

from clusterlib.kernels import capacity_assignment, capacity_assignment_points, priced_argmin
from tests.helpers import BAD_MATRICES, DTYPES

N, K, D = 20, 3, 2
RNG = np.random.default_rng(0)
GOOD = RNG.normal(size=(N, K))
POINTS = RNG.normal(size=(N, D)), RNG.normal(size=(K, D))

BOUNDS = [
    ({"size_max": 6}, ValueError, "size_max must leave room for all 20 rows, got room for 18"),
    ({"size_max": [5, 5, 5]}, ValueError, "size_max must leave room for all 20 rows, got .* 15"),
    ({"size_max": 0}, ValueError, "size_max must leave room .* got room for 0"),
    ({"size_min": 7}, ValueError, "size_min must not need more than the 20 rows, but needs 21"),
    ({"size_min": [2**62] * 3}, ValueError, "size_min must not exceed size_max"),
    ({"size_min": 10**30}, ValueError, "size_min must not exceed size_max"),
    (
        {"size_min": [2**62] * 3, "size_max": [2**62] * 3},
        ValueError,
        "size_min must not need more .* needs 13835058055282163712",
    ),
    (
        {"size_min": [1, 5, 1], "size_max": [20, 4, 20]},
        ValueError,
        "size_min must not exceed size_max, got 5 and 4 for cluster 1",
    ),
    ({"size_min": 21}, ValueError, "size_min must not exceed size_max, got 21 and 20"),
    ({"size_min": -1}, ValueError, "size_min must be from 0 to .*, got -1"),
    ({"size_max": -5}, ValueError, "size_max must be from 0 to .*, got -5"),
    ({"size_min": [0, -2, 0]}, ValueError, "size_min must be at least 0, got -2 at index 1"),
    ({"size_min": np.array(-2)}, ValueError, "size_min must be at least 0, got -2"),
    ({"size_max": 7.0}, TypeError, "size_max must be an integer, got 7.0"),
    ({"size_max": True}, TypeError, "size_max must be an integer, got True"),
    ({"size_max": "all"}, TypeError, "size_max must be an integer, got 'all'"),
    ({"size_max": [7.0] * 3}, TypeError, "size_max must hold integers, got dtype float64"),
    ({"size_max": [True] * 3}, TypeError, "size_max must hold integers, got dtype bool"),
    ({"size_max": np.array(7.5)}, TypeError, "size_max must hold integers, got dtype float64"),
    ({"size_min": ["a", "b", "c"]}, TypeError, "size_min must be an array of real numbers"),
    ({"size_min": [1, 2]}, ValueError, r"size_min must .* shape \(3,\), got \(2,\)"),
    ({"size_max": [[9, 9, 9]]}, ValueError, r"size_max must .* shape \(3,\), got \(1, 3\)"),
]
OPTIONS = [
    ({"prices": [0.0, 1.0]}, ValueError, r"prices must be a scalar or have shape \(3,\)"),
    ({"prices": [0.0, np.nan, 1.0]}, ValueError, "prices must be finite, got nan at index 1"),
    ({"prices": -np.inf}, ValueError, "prices must be finite, got -inf at index 0"),
    ({"prices": "low"}, TypeError, "prices must be an array of real numbers"),
    ({"n_threads": 0}, ValueError, "n_threads must be from 1 to .*, got 0"),
    ({"n_threads": 1.5}, TypeError, "n_threads must be an integer, got 1.5"),
    ({"backend": "fortran"}, ValueError, "backend must be None or one of .*, got 'fortran'"),
]


@numba.njit
def own_metric(x, y):
    return abs(x[0] - y[0])


METRICS = [
    ("manhattan", ValueError, "metric must be one of .*, got 'manhattan'"),
    (None, ValueError, "metric must be one of .*, got None"),
    (own_metric, TypeError, "metric must be a name or a Metric, got the function 'own_metric'"),
    (abs, TypeError, "metric must be a name or a Metric, got the function 'abs'"),
]


@pytest.mark.parametrize(("options", "error", "message"), BOUNDS + OPTIONS)
def test_bounds_and_options_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        capacity_assignment(GOOD, **options)
    with pytest.raises(error, match=message):
        capacity_assignment_points(*POINTS, **options)


@pytest.mark.parametrize(("options", "error", "message"), OPTIONS[1:])
def test_options_of_the_argmin_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        priced_argmin(*POINTS, **{"prices": np.zeros(K)} | options)


@pytest.mark.parametrize(("metric", "error", "message"), METRICS)
def test_metrics_that_are_refused(metric, error, message):
    with pytest.raises(error, match=message):
        capacity_assignment_points(*POINTS, metric=metric)
    with pytest.raises(error, match=message):
        priced_argmin(*POINTS, np.zeros(K), metric=metric)


@pytest.mark.parametrize("prices", [2.0**901, [0.0, -1e300, 0.0]])
def test_prices_beyond_those_of_costs(prices):
    with pytest.raises(ValueError, match=r"prices must be at most 2\^900 .*, got .* at index"):
        priced_argmin(*POINTS, prices)


@pytest.mark.parametrize("bad", BAD_MATRICES, ids=str)
def test_points_that_are_refused(backend, bad):
    X, Y = POINTS
    for dtype in DTYPES:
        good = X.astype(dtype), Y.astype(dtype)
        for place, name in enumerate("XY"):
            points = list(good)
            points[place] = bad.make(points[place])
            with pytest.raises(bad.error, match=bad.message.format(name=name)):
                capacity_assignment_points(*points, backend=backend)
            with pytest.raises(bad.error, match=bad.message.format(name=name)):
                priced_argmin(*points, 0.0, backend=backend)


# One without columns, or with another number of dimensions, is told that it is no cost.
COSTS = [bad for bad in BAD_MATRICES if "dimension" not in bad.name and bad.name != "no_features"]


@pytest.mark.parametrize("bad", [bad for bad in COSTS if bad.name != "scalar"], ids=str)
def test_costs_that_are_refused(backend, bad):
    for dtype in DTYPES:
        with pytest.raises(bad.error, match=bad.message.format(name="C")):
            capacity_assignment(bad.make(GOOD.astype(dtype)), 0, N, backend=backend)


@pytest.mark.parametrize("C", [3.0, GOOD[0], GOOD[None], GOOD[:, :0], np.empty((0, 0)), []])
def test_shapes_of_costs_that_are_refused(C):
    with pytest.raises(ValueError, match=r"C must have shape \(n, m\) with at least 1 column, got"):
        capacity_assignment(C)


def test_costs_that_are_too_large(backend):
    C = GOOD.copy()
    C[7, 1] = -(2.0**900)
    assert capacity_assignment(C, 6, 8, backend=backend).labels[7] == 1
    C[7, 1] = np.nextafter(C[7, 1], -np.inf)
    with pytest.raises(ValueError, match=r"C must be at most 2\^900 in absolute value, got 8.45"):
        capacity_assignment(C, 6, 8, backend=backend)


def test_points_whose_shapes_do_not_fit():
    X, Y = POINTS
    with pytest.raises(
        ValueError, match="X and Y must have the same number of features, got 2 and"
    ):
        capacity_assignment_points(X, Y[:, :1])
    for solve in (capacity_assignment_points, lambda X, Y: priced_argmin(X, Y, 0.0)):
        with pytest.raises(ValueError, match=r"Y must have at least 1 row, got shape \(0, 2\)"):
            solve(X, Y[:0])


def test_bounds_are_refused_before_the_costs_are_read():
    with pytest.raises(ValueError, match="size_max must leave room"):
        capacity_assignment(np.full((N, K), np.nan), size_max=1)


def test_bounds_that_leave_no_choice_for_no_rows():
    with pytest.raises(ValueError, match="size_min must not exceed size_max, got 1 and 0"):
        capacity_assignment(np.empty((0, K)), size_min=1)

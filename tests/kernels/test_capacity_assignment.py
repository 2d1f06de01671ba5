"""Assignments to clusters of bounded sizes: optimal, feasible, proven by their prices."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog

from clusterlib.kernels import (
    capacity_assignment,
    capacity_assignment_points,
    pairwise_argmin,
    pairwise_distances,
)
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, METRICS, TARGETS, running_on
from tests.kernels.capacity_cases import ROUNDING, check, dual_value, separated

# Costs, size_max, an optimum and what it costs.
SMALL = [
    ([[0.0, 0.1], [0.1, 10.0]], 1, [1, 0], 0.2),
    (
        [[1, 2, 3], [1, 5, 9], [1, 1.5, 8], [2, 2, 2], [0, 7, 7], [3, 1, 4]],
        2,
        [2, 0, 1, 2, 0, 1],
        8.5,
    ),
]


def random_problem(seed, n=None, k=None, integers=False):
    """Costs and bounds that some assignment meets."""
    rng = np.random.default_rng(seed)
    n, k = n or int(rng.integers(1, 25)), k or int(rng.integers(1, 6))
    C = rng.integers(0, 5, size=(n, k)).astype(float) if integers else rng.normal(size=(n, k))
    sizes = np.bincount(rng.integers(0, k, size=n), minlength=k)
    low = np.maximum(sizes - rng.integers(0, 4, size=k), 0)
    return C, low, sizes + rng.integers(0, 4, size=k)


def linear_program(C, low, high):
    """The least cost, by an independent solver."""
    n, k = C.shape
    of_cluster = np.tile(np.eye(k), n)
    solved = linprog(
        C.ravel(),
        A_ub=np.vstack([of_cluster, -of_cluster]),
        b_ub=np.concatenate([high, -low]),
        A_eq=np.kron(np.eye(n), np.ones(k)),
        b_eq=np.ones(n),
    )
    assert solved.status == 0
    return solved.fun


def by_enumeration(C, low, high):
    n, k = C.shape
    least = np.inf
    for labels in itertools.product(range(k), repeat=n):
        sizes = np.bincount(labels, minlength=k)
        if ((low <= sizes) & (sizes <= high)).all():
            least = min(least, C[np.arange(n), labels].sum())
    return least


@pytest.mark.parametrize(("C", "size_max", "labels", "cost"), SMALL)
def test_small_problems_with_known_answers(backend, C, size_max, labels, cost):
    result = capacity_assignment(C, size_max=size_max, backend=backend)
    check(result, C, 0, size_max)
    assert result.labels.tolist() == labels
    assert result.cost == pytest.approx(cost, abs=1e-14)
    assert dual_value(np.array(C), 0, size_max, result.prices) == pytest.approx(cost, abs=1e-14)


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_cost_is_that_of_the_linear_program(backend, seed, integers):
    C, low, high = random_problem(seed, integers=integers)
    result = capacity_assignment(C, low, high, backend=backend)
    check(result, C, low, high)
    assert result.cost == pytest.approx(linear_program(C, low, high), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_cost_is_the_least_of_all_assignments(backend, seed):
    C, low, high = random_problem(seed, n=5, k=3, integers=seed % 2 == 1)
    result = capacity_assignment(C, low, high, backend=backend)
    assert result.cost == pytest.approx(by_enumeration(C, low, high), abs=1e-12)


@given(
    costs=st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), max_size=14),
    slack=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_any_small_problem_is_solved_to_optimality(costs, slack, seed):
    C = np.array(costs, dtype=float).reshape(-1, 3) / 7
    sizes = np.bincount(np.random.default_rng(seed).integers(0, 3, size=len(C)), minlength=3)
    below, above = np.array(slack).T
    low, high = np.maximum(sizes - below, 0), sizes + above
    costs_found = []
    for target in TARGETS:
        with running_on(target):
            result = capacity_assignment(C, low, high, backend=target.backend)
        check(result, C, low, high)
        costs_found.append(result.cost)
    assert np.ptp(costs_found) <= ROUNDING * max(1.0, np.abs(C).sum())


@pytest.mark.parametrize("bounds", [(None, None), (0, 60), (0, 10**6), ([0] * 4, [60] * 4)])
def test_without_bounds_every_row_goes_where_it_is_cheapest(backend, bounds):
    C = random_problem(1, n=60, k=4)[0]
    result = capacity_assignment(C, *bounds, backend=backend)
    assert np.array_equal(result.labels, C.argmin(axis=1))
    assert not result.prices.any()
    assert result.dual_gap == 0
    assert result.n_paths == 0


def test_sizes_that_are_given_are_met(backend):
    C = random_problem(2, n=50, k=5)[0]
    sizes = [3, 0, 25, 12, 10]
    result = capacity_assignment(C, sizes, sizes, backend=backend)
    check(result, C, sizes, sizes)
    assert np.bincount(result.labels, minlength=5).tolist() == sizes


def test_only_lower_bounds(backend):
    C = random_problem(3, n=80, k=4)[0] + [0.0, 1.0, 3.0, 9.0]
    result = capacity_assignment(C, size_min=15, backend=backend)
    check(result, C, 15, 80)
    assert (result.prices <= 0).all()
    assert result.prices[3] < 0


def test_one_cluster_takes_all_rows(backend):
    C = random_problem(4, n=9, k=1)[0]
    result = capacity_assignment(C, 9, 9, backend=backend)
    check(result, C, 9, 9)
    assert not result.labels.any()


def test_no_rows(backend):
    result = capacity_assignment(np.empty((0, 3)), backend=backend)
    assert result.labels.shape == (0,)
    assert (result.cost, result.dual_gap, result.n_paths) == (0.0, 0.0, 0)
    assert not result.prices.any()
    assert capacity_assignment(np.empty((0, 2)), 0, 0, backend=backend).cost == 0.0


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_one_row_for_each_cluster_is_the_linear_assignment(backend, n):
    C = random_problem(n, n=n, k=n)[0]
    result = capacity_assignment(C, 1, 1, backend=backend)
    check(result, C, 1, 1)
    assert np.array_equal(result.labels, linear_sum_assignment(C)[1])


def test_fewer_rows_than_clusters(backend):
    C = random_problem(5, n=4, k=9)[0]
    result = capacity_assignment(C, 0, 1, backend=backend)
    check(result, C, 0, 1)
    assert np.array_equal(result.labels, linear_sum_assignment(C)[1])


@pytest.mark.parametrize("n", [2000, 7])
def test_equal_rows_and_equal_costs(backend, n):
    for C in (np.ones((n, 10)), np.tile(np.arange(10.0), (n, 1)), np.zeros((n, 10))):
        size_min, size_max = n // 10, -(-n // 10)
        result = capacity_assignment(C, size_min, size_max, backend=backend)
        check(result, C, size_min, size_max, unit=n)


def test_duplicated_rows(backend):
    C = np.repeat(random_problem(6, n=12, k=4)[0], 25, axis=0)
    check(capacity_assignment(C, 70, 80, backend=backend), C, 70, 80)


def test_few_different_costs(backend):
    C = random_problem(7, n=400, k=8, integers=True)[0]
    result = capacity_assignment(C, 50, 50, backend=backend)
    check(result, C, 50, 50)
    assert result.cost == int(result.cost)


@pytest.mark.parametrize("scale", [1e-24, 1e24, 2.0**880, 2.0**-1000])
def test_labels_do_not_depend_on_the_unit(backend, scale):
    X, centers = separated(300, 6)
    C = pairwise_distances(X, centers)
    expected = capacity_assignment(C, 45, 55, backend=backend)
    result = capacity_assignment(C * scale, 45, 55, backend=backend)
    check(result, C * scale, 45, 55)
    assert np.array_equal(result.labels, expected.labels)


def test_offsets_of_rows_cost_no_digits(backend):
    rng = np.random.default_rng(8)
    C = rng.integers(0, 1000, size=(60, 5)) / 8  # eighths remain exact beside the offsets
    offsets = rng.integers(-3, 4, size=(60, 1)) * 1e12
    plain = capacity_assignment(C, 12, 12, backend=backend)
    result = capacity_assignment(C + offsets, 12, 12, backend=backend)
    check(result, C + offsets, 12, 12)
    assert result.cost - offsets.sum() == plain.cost
    assert result.dual_gap <= ROUNDING * C.sum()


def test_order_of_the_rows_does_not_matter(backend):
    X, centers = separated(200, 5)
    C = pairwise_distances(X, centers)
    order = np.random.default_rng(9).permutation(len(C))
    plain = capacity_assignment(C, 30, 44, backend=backend)
    shuffled = capacity_assignment(C[order], 30, 44, backend=backend)
    assert np.array_equal(shuffled.labels, plain.labels[order])


def same_bits(one, other):
    assert np.array_equal(one.labels, other.labels)
    assert one.prices.tobytes() == other.prices.tobytes()
    assert one[2:] == other[2:]


@pytest.mark.parametrize("dtype", DTYPES)
def test_number_of_threads_does_not_matter(backend, dtype):
    X, centers = (part.astype(dtype) for part in separated(700, 7))
    C = pairwise_distances(X, centers)
    bounds = 60, 130
    for solve in (
        lambda threads: capacity_assignment(C, *bounds, n_threads=threads, backend=backend),
        lambda threads: capacity_assignment_points(
            X, centers, *bounds, n_threads=threads, backend=backend
        ),
    ):
        one = solve(1)
        for threads in (2, 3, None):
            same_bits(solve(threads), one)


@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layout_does_not_matter(backend, dtype, layout, tmp_path):
    make = (LAYOUTS | COPIED_LAYOUTS)[layout]
    X, centers = (part.astype(dtype) for part in separated(150, 5))
    C = pairwise_distances(X, centers)
    plain = capacity_assignment(C, 20, 40, backend=backend)
    same_bits(capacity_assignment(make(C, tmp_path), 20, 40, backend=backend), plain)
    points = capacity_assignment_points(X, centers, 20, 40, backend=backend)
    moved = make(X, tmp_path), make(centers, tmp_path)
    same_bits(capacity_assignment_points(*moved, 20, 40, backend=backend), points)


def test_narrow_and_other_types_mean_their_values(backend):
    C = random_problem(10, n=40, k=4, integers=True)[0]
    plain = capacity_assignment(C, 10, 10, backend=backend)
    for kind in (np.int64, np.uint8, object):
        same_bits(capacity_assignment(C.astype(kind), 10, 10, backend=backend), plain)
    for kind in (np.float32, np.float16):  # a search in float32 may end at other prices
        result = capacity_assignment(C.astype(kind), 10, 10, backend=backend)
        check(result, C, 10, 10)
        assert result.cost == plain.cost
    same_bits(capacity_assignment(C.tolist(), [10] * 4, np.uint8(10), backend=backend), plain)
    C = C > 2
    check(capacity_assignment(C, 10, 10, backend=backend), C, 10, 10, unit=40)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_rows_of_uneven_groups(backend, dtype):
    X, centers = separated(3000, 40)
    C = pairwise_distances(X, centers).astype(dtype)
    for size_min, size_max in ((75, 75), (0, 90), (60, 3000), (50, 100)):
        check(capacity_assignment(C, size_min, size_max, backend=backend), C, size_min, size_max)


@pytest.mark.parametrize("bounds", [(20, 20), (0, 25), (15, 100), (18, 22)])
def test_prices_to_start_from_do_not_change_the_cost(backend, bounds):
    rng = np.random.default_rng(11)
    C = pairwise_distances(*separated(100, 5))
    plain = capacity_assignment(C, *bounds, backend=backend)
    hints = [plain.prices, 5.0, -1e300, rng.normal(size=5), 1e6 * rng.normal(size=5)]
    for hint in hints:
        before = np.copy(hint)
        result = capacity_assignment(C, *bounds, prices=hint, backend=backend)
        check(result, C, *bounds)
        assert np.array_equal(result.labels, plain.labels)
        assert np.array_equal(hint, before)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_points_are_their_distances(backend, dtype, metric):
    X, centers = (part.astype(dtype) for part in separated(250, 6))
    C = pairwise_distances(*(part.astype(float) for part in (X, centers)), metric=metric)
    bounds = [30, 40, 0, 5, 50, 20], [50, 60, 70, 250, 50, 90]
    result = capacity_assignment_points(X, centers, *bounds, metric=metric, backend=backend)
    check(result, C, *bounds)
    expected = capacity_assignment(C, *bounds, backend=backend)
    assert np.array_equal(result.labels, expected.labels)
    free = capacity_assignment_points(X, centers, metric=metric, backend=backend)
    assert np.array_equal(free.labels, C.argmin(axis=1))
    assert free.n_paths == 0


def test_a_row_of_zeros_is_at_right_angles_to_all(backend):
    X, centers = separated(40, 4)
    X[3] = 0.0
    C = pairwise_distances(X, centers, metric="cosine")
    result = capacity_assignment_points(X, centers, 10, 10, metric="cosine", backend=backend)
    check(result, C, 10, 10)
    assert C[3].tolist() == [1.0] * 4


def test_no_points(backend):
    result = capacity_assignment_points(np.empty((0, 2)), np.ones((3, 2)), 0, 4, backend=backend)
    assert result.labels.shape == (0,)
    assert result.cost == 0.0


@pytest.mark.parametrize("exponent", [-1040, -600, 600, 1010])
@pytest.mark.parametrize("metric", METRICS)
def test_points_of_any_magnitude(backend, metric, exponent):
    X, centers = (np.round(part * 64) for part in separated(120, 4))  # few bits, for subnormals
    degree = {"sqeuclidean": 2, "euclidean": 1, "cosine": 0, "inner_product": 2}[metric]
    options = {"metric": metric, "backend": backend}
    plain = capacity_assignment_points(X, centers, 25, 35, **options)
    X, centers = np.ldexp(X, exponent), np.ldexp(centers, exponent)
    with np.errstate(over="ignore"):
        cost, prices = (np.ldexp(part, degree * exponent) for part in (plain.cost, plain.prices))
    for start in (None, np.clip(prices, -1e300, 1e300)):
        result = capacity_assignment_points(X, centers, 25, 35, prices=start, **options)
        assert np.array_equal(result.labels, plain.labels)
        assert np.allclose(result.cost, cost, rtol=1e-12, atol=0)
        assert result.dual_gap >= 0
        if start is None:
            assert np.allclose(result.prices, prices, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nearest_centres_where_there_is_room(backend, dtype):
    X, centers = (part.astype(dtype) for part in separated(500, 9))
    result = capacity_assignment_points(X, centers, 0, 500, backend=backend)
    assert np.array_equal(result.labels, pairwise_argmin(X, centers))


def test_a_size_that_no_cluster_can_reach_has_no_price_above_zero(backend):
    # All rows are in one cluster, which is full only if its bound is the number of rows.
    C, hint = [[1.0], [2.0]], [0.7]
    assert capacity_assignment(C, size_max=3, prices=hint, backend=backend).prices[0] <= 0
    bounds, rows = np.array([5, 0]), np.array([[0.0, 9.0], [0.0, 9.0]])
    result = capacity_assignment(rows, 0, bounds, prices=[0.3, 0.1], backend=backend)
    assert (result.prices <= [0, np.inf]).all()
    check(result, rows, 0, bounds)

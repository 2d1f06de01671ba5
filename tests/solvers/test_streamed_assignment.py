"""Assignments in a few passes: optimal by linear programming, with proofs that can be recomputed."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import identity, kron, vstack

from clusterlib.blocks import as_blocks
from clusterlib.kernels import capacity_assignment_points, pairwise_distances
from clusterlib.solvers import assign_streamed, streamed_assignment
from clusterlib.solvers.interior_prices import nearest_prices
from clusterlib.solvers.streamed_assignment import _nearest_sizes
from clusterlib.solvers.undecided_rows import decided_labels


def costs_of(X, centers, spherical=False):
    if spherical:
        X, centers = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, centers))
        return 1.0 - X @ centers.T
    return ((X[:, None] - centers) ** 2).sum(axis=2)


def least_cost(costs, size_min, size_max):
    """By linear programming, whose optima are whole."""
    n, k = costs.shape
    rows = kron(identity(n), np.ones((1, k)))
    columns = kron(np.ones((1, n)), identity(k))
    ends = np.r_[np.broadcast_to(size_max, k), -np.broadcast_to(size_min, k)]
    solved = linprog(
        costs.ravel(), A_ub=vstack([columns, -columns]), b_ub=ends, A_eq=rows, b_eq=np.ones(n)
    )
    return solved.fun


def data(n=500, k=4, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(k, d))[rng.integers(k, size=n) ** 2 % k]
    return X, rng.normal(size=(k, d))


def assert_consistent(result, X, centers, size_min, size_max, spherical=False):
    """Everything that is said of labels and prices, worked out from them."""
    costs, rows = costs_of(X, centers, spherical), np.arange(len(X))
    labels, prices, k = result.labels, result.prices, len(centers)
    sizes = np.bincount(labels, minlength=k)
    assert (sizes >= size_min).all()
    assert (sizes <= size_max).all()
    assert result.cost == pytest.approx(costs[rows, labels].sum(), rel=1e-12)
    paid = np.where(prices > 0, prices * size_max, prices * size_min).sum()
    bound = (costs + prices).min(axis=1).sum() - paid
    assert result.cost - result.dual_gap == pytest.approx(bound, rel=1e-10)
    norms = np.linalg.norm(X, axis=1) if spherical else np.ones(len(X))
    for a in range(k):
        here = labels == a
        np.testing.assert_allclose(result.sums[a], (X[here] / norms[here, None]).sum(axis=0))
        assert result.weights[a] == pytest.approx((1 / norms[here]).sum())


BOUNDS = {
    "equal": (125, 125),
    "loose": (100, 200),
    "upper": (0, 160),
    "lower": (90, 500),
    "each": (np.array([0, 50, 200, 10]), np.array([30, 90, 500, 500])),
    "none": (0, 500),
}


@pytest.mark.parametrize("most_rows", [40, 130, 10_000])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("bounds", BOUNDS)
def test_cost_is_that_of_linear_programming(bounds, spherical, most_rows):
    X, centers = data()
    found = assign_streamed(X, centers, *BOUNDS[bounds], spherical=spherical, most_rows=most_rows)
    assert_consistent(found, X, centers, *BOUNDS[bounds], spherical)
    assert found.dual_gap == pytest.approx(0, abs=1e-11 * found.cost)
    best = least_cost(costs_of(X, centers, spherical), *BOUNDS[bounds])
    assert found.cost == pytest.approx(best, rel=1e-9)
    assert found.n_passes < 40
    if most_rows == 10_000:
        assert found.n_passes == 2
        assert found.errors is None


@pytest.mark.parametrize("bounds", ["equal", "upper", "each"])
@pytest.mark.parametrize("move", [0.0, 1e-4, 0.02])
def test_a_hint_to_centres_nearby_saves_passes(bounds, move):
    X, centers = data(n=3000)
    limits = [6 * np.asarray(bound) for bound in BOUNDS[bounds]]
    first = assign_streamed(X, centers, *limits, most_rows=300)
    assert first.n_passes > 2
    again = assign_streamed(X, centers + move, *limits, most_rows=1500, hint=first)
    assert_consistent(again, X, centers + move, *limits)
    assert again.dual_gap == pytest.approx(0, abs=1e-11 * again.cost)
    cold = assign_streamed(X, centers + move, *limits, most_rows=300)
    assert again.cost == pytest.approx(cold.cost, rel=1e-11)
    if move < 0.01:
        assert again.n_passes == 2
    # The width of the next hint follows the move of the prices: four times, and not at once.
    moved = np.ptp(again.prices - first.prices)
    width = np.ptp(first.errors, axis=1).max()
    factor = np.clip(4 * moved / width, 0.25, 2.0)
    if again.n_passes == 2:
        np.testing.assert_allclose(again.errors, factor * first.errors)


class Recorded:
    """What a search asked of the rows, pass by pass, and what it got."""

    def __init__(self, monkeypatch):
        self.looks, self.parts = [], []
        original = streamed_assignment.undecided_rows

        def spy(blocks, look):
            part = original(blocks, look)
            self.looks.append(look)
            self.parts.append(part)
            return part

        monkeypatch.setattr(streamed_assignment, "undecided_rows", spy)


def prices_of(part, some, look, size_min, size_max):
    """Prices of a part of a sample, which gets its share of what remains."""
    rows = part.rows[some]
    least, most = size_min - part.counts, size_max - part.counts
    least = np.floor(least * len(rows) / part.n_undecided).astype(int)
    most = np.ceil(most * len(rows) / part.n_undecided).astype(int)
    found = capacity_assignment_points(
        rows, look.centers, np.maximum(least, 0), most, prices=look.prices
    )
    sizes = np.bincount(found.labels, minlength=len(most))
    wanted = look.prices, sizes < most, sizes > least
    return nearest_prices(rows, look.centers, found.labels, found.prices, *wanted)


@pytest.mark.parametrize(("bounds", "seed"), [("equal", 0), ("upper", 1), ("each", 2)])
def test_every_pass_follows_from_the_sample_before(monkeypatch, bounds, seed):
    X, centers = data(n=4000, seed=seed)
    size_min, size_max = (8 * np.broadcast_to(bound, 4) for bound in BOUNDS[bounds])
    seen = Recorded(monkeypatch)
    most_rows, before = 200, np.inf
    found = assign_streamed(X, centers, size_min, size_max, most_rows=most_rows)
    first = seen.looks[0]
    assert (first.others, first.salt, first.rounding) == (None, 0, 0.0)
    assert first.rate == pytest.approx(1.25 * 200 / 4000)
    np.testing.assert_array_equal(first.prices, np.zeros(4))
    n_followed = 0
    for salt, (look, part, after) in enumerate(
        zip(seen.looks, seen.parts, seen.looks[1:], strict=False)
    ):
        needed = np.maximum(size_min - part.counts, 0).sum()
        fits = needed <= part.n_undecided <= (size_max - part.counts).sum()
        if not fits or (part.counts > size_max).any() or len(part.ids) == part.n_undecided:
            break
        assert after.salt == salt + 1
        if part.n_undecided <= most_rows or 2 * len(part.ids) < most_rows:
            break
        if part.n_undecided > 0.75 * before:
            most_rows = min(2 * most_rows, 1600)
        assert after.most_rows == most_rows
        before = part.n_undecided
        prices = prices_of(part, slice(None), look, size_min, size_max)
        np.testing.assert_array_equal(after.prices, prices)
        moved = look._replace(prices=prices)
        errors = [
            prices_of(part, slice(first, None, 8), moved, size_min, size_max) - prices
            for first in range(8)
        ]
        if look.others is not None:
            errors.append(look.prices - prices)
        errors, factor, share = np.array(errors), 2.0, 1.0
        costs = pairwise_distances(part.rows, centers)  # rows are tied, so bits matter
        nearest = (costs + prices).argmin(axis=1)
        while share > 0.75:
            factor /= 2
            ways = [(costs + other).argmin(axis=1) for other in prices + factor * errors]
            margins = np.diff(np.sort(costs + prices, axis=1)[:, :2], axis=1)[:, 0]
            open_rows = (np.array(ways) != nearest).any(axis=0) | (margins <= after.rounding)
            share = open_rows.mean()
        np.testing.assert_allclose(after.others, prices + factor * errors, atol=1e-12)
        assert after.rounding == pytest.approx(2.0**-48 * np.abs(costs + prices).max())
        left = max(share * part.n_undecided, 1)
        assert after.rate == pytest.approx(min(1.0, 1.25 * most_rows / left))
        if salt == 0:
            np.testing.assert_allclose(found.errors, factor * errors)
        n_followed += 1
    assert n_followed >= 1
    assert_consistent(found, X, centers, size_min, size_max)


def test_samples_that_are_too_small_are_drawn_again(monkeypatch):
    X, centers = data(n=2000)
    hint = assign_streamed(X, centers, 500, 500, most_rows=400)
    # Far too wide: many more rows are open than the hint makes one expect.
    hint = hint._replace(errors=200 * hint.errors)
    seen = Recorded(monkeypatch)
    found = assign_streamed(X, centers, 500, 500, most_rows=100, hint=hint)
    assert seen.looks[0].rate == 1.0
    np.testing.assert_array_equal(seen.looks[0].prices, hint.prices)
    np.testing.assert_allclose(seen.looks[0].others, hint.prices + hint.errors)
    assert len(seen.parts[0].ids) == 100 < seen.parts[0].n_undecided
    assert_consistent(found, X, centers, 500, 500)
    assert found.dual_gap == pytest.approx(0, abs=1e-11 * found.cost)


def test_prices_that_decide_too_much_are_given_up(monkeypatch):
    X, centers = data(n=2000)
    hint = assign_streamed(X, centers, 500, 500, most_rows=400)
    wrong = hint._replace(prices=np.array([50.0, 0.0, 0.0, 0.0]), errors=1e-9 * hint.errors)
    seen = Recorded(monkeypatch)
    found = assign_streamed(X, centers, 500, 500, most_rows=400, hint=wrong)
    assert seen.looks[0].others is not None
    assert seen.looks[1].others is None
    assert seen.looks[1].rate == pytest.approx(1.25 * 400 / 2000)
    assert_consistent(found, X, centers, 500, 500)
    assert found.dual_gap == pytest.approx(0, abs=1e-11 * found.cost)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_more_tied_rows_than_are_held(spherical, scale):
    rng = np.random.default_rng(5)
    X = scale * np.repeat(1.0 + rng.integers(0, 3, size=(3, 2)), 500, axis=0)
    centers = scale * rng.normal(1, 1, size=(4, 2))
    found = assign_streamed(X, centers, 375, 375, spherical=spherical, most_rows=60)
    assert_consistent(found, X, centers, 375, 375, spherical)
    largest = np.abs(costs_of(X, centers, spherical) + found.prices).max()
    assert 0 <= found.dual_gap <= 2.0**-29 * 1500 * largest
    groups = costs_of(X[::500], centers, spherical)
    best = linprog(
        groups.ravel(), A_eq=np.vstack([np.kron(np.eye(3), np.ones(4)), np.tile(np.eye(4), 3)]),
        b_eq=np.r_[np.full(3, 500), np.full(4, 375)],
    ).fun  # fmt: skip
    assert found.cost == pytest.approx(best, abs=2.0**-29 * 1500 * largest)
    assert found.n_passes < 40


@pytest.mark.parametrize("bounds", ["equal", "upper", "each", "lower"])
def test_without_passes_rows_beyond_the_bounds_go_where_there_is_room(bounds):
    X, centers = data()
    size_min, size_max = (np.broadcast_to(bound, 4) for bound in BOUNDS[bounds])
    found = assign_streamed(X, centers, size_min, size_max, most_rows=40, max_passes=0)
    assert found.n_passes == 2
    assert_consistent(found, X, centers, size_min, size_max)
    np.testing.assert_array_equal(found.prices, np.zeros(4))
    assert found.errors is None
    nearest = costs_of(X, centers).argmin(axis=1)
    sizes = np.bincount(nearest, minlength=4)
    wanted = _nearest_sizes(sizes, size_min, size_max, len(X))
    np.testing.assert_array_equal(np.bincount(found.labels, minlength=4), wanted)
    for cluster in range(4):  # those that stay are the first ones
        rows = np.flatnonzero(nearest == cluster)
        stay = rows[: wanted[cluster]]
        np.testing.assert_array_equal(found.labels[stay], cluster)
    assert (found.labels != nearest).sum() == np.maximum(sizes - wanted, 0).sum()


def test_the_cheapest_of_what_was_found_is_kept():
    X, centers = data(n=2000, seed=4)
    best = assign_streamed(X, centers, 500, 500, most_rows=100)
    for max_passes in range(1, best.n_passes):
        some = assign_streamed(X, centers, 500, 500, most_rows=100, max_passes=max_passes)
        assert_consistent(some, X, centers, 500, 500)
        assert some.cost >= best.cost * (1 - 1e-12)
        assert some.dual_gap >= some.cost - best.cost - 1e-9
        assert max_passes <= some.n_passes <= max_passes + 2


@pytest.mark.parametrize("spherical", [False, True])
def test_blocks_make_no_difference(spherical):
    X, centers = data(n=9000)
    X = X.astype(np.float32)
    found = [
        assign_streamed(
            as_blocks(X, block_rows=rows), centers, 2000, 2500, most_rows=500, spherical=spherical
        )
        for rows in (4096, 16384)
    ]
    for left, right in zip(*found, strict=True):
        np.testing.assert_array_equal(left, right)
    assert found[0].labels.dtype == np.int32


def test_rows_without_costs():
    X = np.zeros((50, 2))
    found = assign_streamed(X, np.zeros((2, 2)), 25, 25, most_rows=5)
    assert found.cost == 0.0
    assert found.dual_gap < 1e-250
    np.testing.assert_array_equal(np.bincount(found.labels), [25, 25])


@pytest.mark.parametrize("seed", range(30))
def test_sizes_within_bounds_take_the_fewest_moves(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 5))
    least = rng.integers(0, 4, size=k)
    most = least + rng.integers(0, 5, size=k)
    n = int(rng.integers(least.sum(), most.sum() + 1))
    sizes = rng.multinomial(n, np.full(k, 1 / k))
    found = _nearest_sizes(sizes, least, most, n)
    assert found.sum() == n
    assert (least <= found).all()
    assert (found <= most).all()
    below, above = np.maximum(least - sizes, 0).sum(), np.maximum(sizes - most, 0).sum()
    assert np.maximum(found - sizes, 0).sum() == max(below, above)


def test_the_labels_of_the_prices_are_the_labels():
    X, centers = data(n=3000, seed=6)
    found = assign_streamed(X, centers, 700, 800, most_rows=200)
    differ = decided_labels(
        X, np.arange(3000),
        streamed_assignment.Look(centers, found.prices, None, 0.0, False, 0.0, 0, 1.0, 1),
    )[0] != found.labels  # fmt: skip
    assert differ.sum() <= 4  # prices tie a row for each cluster

"""How bounds of the relaxation become bounds of the cost, piece by piece."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import kmeans_lower_bound, sdp_bounds
from clusterlib.solvers.partition_geometry import PartitionGeometry
from clusterlib.solvers.sdp_bounds import _Problem
from clusterlib.solvers.sdp_dual import DualSolution
from tests.solvers.test_sdp_bounds import balls, cost, nearest


class Spy:
    """Stands in for the dual solver: keeps what it is given, answers with a chosen bound."""

    def __init__(self, monkeypatch, part=1.0, interrupted=()):
        self.calls, self.part, self.interrupted = [], part, interrupted
        monkeypatch.setattr(sdp_bounds, "solve_dual", self)

    def __call__(self, rows, n_clusters, start, prove, **options):
        self.calls.append((rows, n_clusters, start, options))
        total = np.square(rows).sum()
        history = np.array([[10.0, 0.5 * total, 0.75 * total, 0.125]])
        interrupted = len(self.calls) in self.interrupted
        return DualSolution(self.part * total, 0.0, 7, False, history, interrupted)


def problem(n=60, scale=3.0):
    X, labels = balls(n, 4, 3, 4.0)
    return scale * X + 5, nearest(X, labels)


@pytest.mark.parametrize("scale", [0.3, 3.0, 1000.0])
def test_a_bound_of_products_is_one_of_the_cost(monkeypatch, scale):
    X, labels = problem(scale=scale)
    total, best = np.square(X - X.mean(axis=0)).sum(), cost(X, labels)
    part = 1 - 0.9 * best / total
    Spy(monkeypatch, part=part)
    monkeypatch.setattr(sdp_bounds, "fast_bound", lambda *_: (np.inf, np.zeros((1, 2))))
    found = kmeans_lower_bound(X, labels, 3, method="full")
    assert found.lower_bound == pytest.approx(0.9 * best, rel=1e-9)
    assert found.lower_bound < 0.9 * best
    assert found.upper_value == pytest.approx(total - 0.9 * best, rel=1e-9)
    assert (found.method, found.n_iter, found.rigorous) == ("full", 7, True)
    assert_allclose(found.history, [[10, 0.5 * total, 0.75 * total, 0.125]], rtol=1e-9)


def test_a_bound_is_neither_negative_nor_above_the_partition(monkeypatch):
    X, labels = problem()
    total, best = np.square(X - X.mean(axis=0)).sum(), cost(X, labels)
    monkeypatch.setattr(sdp_bounds, "fast_bound", lambda *_: (np.inf, np.zeros((1, 2))))
    Spy(monkeypatch, part=1.5)
    assert kmeans_lower_bound(X, labels, 3, method="full").lower_bound == 0.0
    for over, is_error in ((5e-10, False), (2e-9, True)):
        Spy(monkeypatch, part=1 - best / total - over)
        if is_error:
            with pytest.raises(ArithmeticError, match="is above the cost"):
                kmeans_lower_bound(X, labels, 3, method="full")
        else:
            found = kmeans_lower_bound(X, labels, 3, method="full")
            assert found.lower_bound == pytest.approx(best, rel=1e-12)


def test_the_better_of_two_bounds_counts(monkeypatch):
    X, labels = problem()
    fast = kmeans_lower_bound(X, labels, 3)
    Spy(monkeypatch, part=1.0)
    for method in ("full", "block"):
        found = kmeans_lower_bound(X, labels, 3, method=method, block_size=30)
        assert found.lower_bound == pytest.approx(fast.lower_bound, rel=1e-9)
    assert fast.n_iter == 0


@pytest.mark.parametrize(
    ("n", "tol", "kind"),
    [
        (200, 1e-4, np.float64), (201, 1e-4, np.float32), (201, 1e-6, np.float32),
        (201, 0.99e-6, np.float64),
    ],
)  # fmt: skip
def test_what_the_dual_is_asked(monkeypatch, n, tol, kind):
    X, labels = problem(n)
    spy, rng = Spy(monkeypatch), np.random.default_rng(3)
    kmeans_lower_bound(X, labels, 3, method="full", tol=tol, max_iter=17, rng=rng)
    ((rows, n_clusters, start, options),) = spy.calls
    geometry = PartitionGeometry(X, labels)
    assert_array_equal(rows, geometry.rows)
    assert n_clusters == 3
    sizes = np.bincount(labels)
    assert_allclose(start, (np.eye(3) / np.sqrt(sizes))[labels[geometry.order]])
    assert options["tol"] == pytest.approx(tol * geometry.cost)
    assert (options["max_iter"], options["dtype"], options["rng"]) == (17, kind, rng)
    assert options["callback"] is None


def test_a_factor_is_sorted_and_loses_its_empty_columns(monkeypatch):
    X, labels = problem()
    W = np.random.default_rng(0).uniform(size=(60, 5))
    W[:, 2] = 0.0
    spy = Spy(monkeypatch)
    kmeans_lower_bound(X, labels, 3, method="full", W=W)
    expected = W[PartitionGeometry(X, labels).order][:, [0, 1, 3, 4]]
    assert_allclose(spy.calls[0][2], expected / np.sqrt(expected.sum(axis=0)))


def test_callbacks_see_the_units_of_the_rows(monkeypatch):
    X, labels = problem()
    spy, seen = Spy(monkeypatch), []

    def callback(*look):
        seen.append(look)
        return "stop"

    kmeans_lower_bound(X, labels, 3, method="full", callback=callback)
    assert spy.calls[0][3]["callback"](10, 2.0, 3.0, 0.5) == "stop"
    unit = PartitionGeometry(X, labels).scale ** 2
    assert seen == [(10, 2.0 * unit, 3.0 * unit, 0.5)]
    assert unit != 1.0


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
def test_multipliers_prove_what_dense_eigenvalues_say(n_clusters):
    X, labels = problem()
    bounds = _Problem(PartitionGeometry(X, labels), n_clusters)
    N = np.random.default_rng(1).uniform(size=(60, 60))
    N = N + N.T
    rows = bounds.geometry.rows
    center = np.eye(60) - 1 / 60
    values = np.linalg.eigvalsh(center @ (rows @ rows.T + N) @ center)[::-1]
    expected = N.sum() / 60 + np.maximum(values[: n_clusters - 1], 0).sum()
    found = bounds.prove(N.copy(), None)
    assert found >= expected * (1 - 1e-14)
    # A better proof may be left out where it would gain less than a millionth of the cost.
    assert found <= expected + 1.01e-6 * bounds.geometry.cost


@pytest.mark.parametrize(("block_size", "sizes"), [(60, [60]), (30, [30, 30]), (21, [30, 30])])
def test_blocks_share_the_rows(monkeypatch, block_size, sizes):
    X, labels = problem()
    spy, seen = Spy(monkeypatch, part=0.9), []
    rng = np.random.default_rng(4)
    found = kmeans_lower_bound(
        X, labels, 3, method="block", block_size=block_size, rng=rng, tol=1e-3, max_iter=5,
        callback=lambda *look: seen.append(look),
    )  # fmt: skip
    assert [len(rows) for rows, *_ in spy.calls] == sizes
    assert_array_equal(found.history[:, 0], sizes)
    assert found.n_iter == 7 * len(sizes)
    assert [look[:2] for look in seen] == [(i + 1, len(sizes)) for i in range(len(sizes))]
    assert_allclose([look[2] for look in seen], np.cumsum(found.history[:, 1]))
    for _, n_clusters, _, options in spy.calls:
        assert n_clusters == 3
        assert options["callback"] is None
        assert options["max_iter"] == 5
    generators = [options["rng"] for *_, options in spy.calls]
    assert len({id(one) for one in generators}) == len(sizes)
    unit = PartitionGeometry(X, labels).scale ** 2
    for (rows, *_), (_, lower) in zip(spy.calls, found.history, strict=True):
        # A tenth of its total is what this solver leaves to the cost, unless the rows cost less.
        assert lower <= 0.1 * np.square(rows).sum() * unit * 4
        assert lower > 0


@pytest.mark.parametrize("way", ["callback", "interrupted", "keyboard"])
def test_blocks_end_early(monkeypatch, way):
    X, labels = problem()
    spy = Spy(monkeypatch, part=0.9, interrupted=(2,) if way == "interrupted" else ())

    def callback(n_done, n_blocks, lower):
        if n_done == 2 and way == "keyboard":
            raise KeyboardInterrupt
        return n_done == 2 and way == "callback"

    found = kmeans_lower_bound(X, labels, 3, method="block", block_size=15, callback=callback)
    assert len(spy.calls) == len(found.history) == 2
    assert found.n_iter == 14


def test_trivial_problems_solve_nothing(monkeypatch):
    X, _ = problem()
    spy = Spy(monkeypatch)
    for method in ("fast", "block", "full"):
        one = kmeans_lower_bound(X, np.zeros(60, int), 1, method=method)
        total = np.square(X - X.mean(axis=0)).sum()
        assert one.lower_bound == pytest.approx(total, rel=1e-12)
        assert one.upper_value == pytest.approx(0, abs=1e-9 * total)
        assert one.history.shape == (0, 2)
        every = kmeans_lower_bound(X, np.arange(60), 60, method=method)
        assert (every.lower_bound, every.n_iter) == (0.0, 0)
        assert every.upper_value == pytest.approx(total, rel=1e-12)
    assert not spy.calls


@pytest.mark.parametrize("p", [4, 90])
def test_features_that_were_replaced_take_nothing_away(p):
    X, labels = balls(40, p, 3, 6.0)
    labels = nearest(X, labels)
    found = kmeans_lower_bound(X, labels, 3, method="full", max_iter=200)
    assert 0.99 * cost(X, labels) <= found.lower_bound <= cost(X, labels)
    total = np.square(X - X.mean(axis=0)).sum()
    assert found.lower_bound + found.upper_value == pytest.approx(total, rel=1e-9)
    bounds = _Problem(PartitionGeometry(X, labels), 3)
    assert bounds.added == 37 * bounds.geometry.inflation
    assert bounds.total == pytest.approx(np.square(bounds.geometry.rows).sum())

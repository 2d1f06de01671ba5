"""Balanced k-means on rows that are read block by block: sizes, bits and certificates."""

import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from clusterlib.blocks import as_blocks
from clusterlib.cluster import BalancedKMeans
from clusterlib.config import config_context
from clusterlib.solvers import assign_bounded, assign_streamed, balanced_stream
from tests.carriers import BLOCK_ROWS, CARRIERS


def rows(n=12_311, d=5, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 4 * rng.normal(size=(9, d))[rng.integers(9, size=n)]
    X[100:120] = 0.0
    return X[np.argsort(X[:, 0])].astype(dtype)


def model(k=12, **options):
    options = {"init": "k-means||", "max_iter": 2, "random_state": 3} | options
    return BalancedKMeans(k, assignment="streamed", **options)


def assert_same(found, expected):
    names = "cluster_centers_", "labels_", "prices_", "history_", "cluster_sizes_"
    for name in names:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in ("inertia_", "dual_gap_", "n_iter_", "converged_"):
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_carrier_gives_the_same_bits(carrier, metric, tmp_path):
    X = rows()
    expected = model(metric=metric, size_min=800).fit(X)
    blocks = CARRIERS[carrier](X, tmp_path)
    found = model(metric=metric, size_min=800).fit(blocks)
    assert_same(found, expected)
    assert found.cluster_sizes_.min() >= 800
    assert found.dual_gap_ < 1e-12
    assert_array_equal(found.predict(blocks), expected.predict(X))
    assert_array_equal(found.transform(blocks), expected.transform(X))
    assert_array_equal(found.assign(blocks), expected.assign(X))
    assert found.score(blocks) == expected.score(X)
    differ = np.count_nonzero(found.predict(blocks) != found.labels_)
    assert differ <= 20 + 12  # equal rows that had to be split, and ties


@pytest.mark.parametrize("block_rows", [4096, 16384, 65536])
@pytest.mark.parametrize("carrier", ["array", "file"])
def test_levels_of_samples_have_the_same_bits(carrier, block_rows, tmp_path):
    X = rows()
    np.save(tmp_path / "X.npy", X)
    blocks = as_blocks(X if carrier == "array" else tmp_path / "X.npy", block_rows=block_rows)
    arguments = X[::1100], 1000, 1100
    expected = assign_streamed(X, *arguments, most_rows=1500)
    assert expected.n_passes > 3
    with config_context(n_threads=2):
        found = assign_streamed(blocks, *arguments, most_rows=1500)
    for value, other in zip(found, expected, strict=True):
        assert_array_equal(value, other)


def grid(n, seed=0):
    return np.random.default_rng(seed).integers(0, 3, size=(n, 2)).astype(np.float64)


def two_groups(n):
    X = np.random.default_rng(0).normal(size=(n, 2))
    X[: n // 2, 0] += 1000
    return X


CENTERS = np.random.default_rng(1).normal(size=(8, 2))
ROWS = {
    "normal": np.random.default_rng(2).normal(size=(5_001, 2)),
    "sorted": np.sort(np.random.default_rng(2).normal(size=(5_001, 2)), axis=0),
    "far from zero": np.random.default_rng(2).normal(size=(5_001, 2)) + 1e6,
    "grid": grid(5_001),
    "one row many times": np.ones((5_001, 2)),
    "few rows many times": np.repeat(np.random.default_rng(2).normal(size=(25, 2)), 200, axis=0),
    "two groups": two_groups(5_000),
    "all but one the same": np.vstack([np.ones((5_000, 2)), [[5.0, 5.0]]]),
    "zeros": np.zeros((5_001, 2)),
    "large": 1e120 * np.random.default_rng(2).normal(size=(5_001, 2)),
    "small": 1e-140 * np.random.default_rng(2).normal(size=(5_001, 2)),
}


def bounds(kind, n, k):
    steps = np.arange(k) * (n // k // 10)
    fixed = np.full(k, n // k)
    fixed[0] += n - fixed.sum()
    return {
        "equal": (n // k, -(-n // k)),
        "fixed": (fixed, fixed),
        "least": (n // k // 2, n),
        "most": (0, n // k + n // k // 5),
        "arrays": (steps, steps + n // k * 3 // 4),
        "none": (0, n),
    }[kind]


KINDS = ["equal", "fixed", "least", "most", "arrays", "none"]
ON_SPHERE = [("normal", "equal"), ("sorted", "arrays"), ("zeros", "equal"), ("grid", "least")]
CASES = [(name, kind, False) for name in ROWS for kind in KINDS]
CASES += [(name, kind, True) for name, kind in ON_SPHERE]


@pytest.mark.parametrize(("name", "kind", "spherical"), CASES)
def test_sizes_hold_and_costs_are_those_of_exact_assignments(name, kind, spherical):
    X = ROWS[name]
    centers = CENTERS * (np.abs(X).max() if name in ("large", "small") else 1.0)
    if name == "far from zero":
        centers = CENTERS + 1e6
    if spherical:
        centers = centers / np.linalg.norm(centers, axis=1)[:, None]
    low, high = bounds(kind, len(X), 8)
    exact = assign_bounded(X, centers, low, high, spherical=spherical)
    found = assign_streamed(X, centers, low, high, most_rows=700, spherical=spherical)
    sizes = np.bincount(found.labels, minlength=8)
    assert (sizes >= low).all()
    assert (sizes <= high).all()
    # What breaks ties may cost 2^-29 of the largest cost for each row.
    largest = 2.0 if spherical else 4 * np.square(np.abs(X).max() + np.abs(centers).max())
    allowed = 1e-12 * exact.cost + len(X) * 2.0**-29 * largest
    assert found.cost <= exact.cost + found.dual_gap + 1e-12 * exact.cost
    assert found.cost <= exact.cost + allowed
    assert found.dual_gap <= allowed or exact.cost == 0
    assert found.n_passes < 40


@pytest.mark.parametrize("max_passes", [1, 2, 3])
def test_sizes_hold_when_passes_run_out(max_passes):
    X = rows(9_001)
    exact = assign_bounded(X, X[::1200], 700, 1300)
    found = assign_streamed(X, X[::1200], 700, 1300, most_rows=500, max_passes=max_passes)
    sizes = np.bincount(found.labels, minlength=8)
    assert sizes.min() >= 700
    assert sizes.max() <= 1300
    assert exact.cost < found.cost
    assert found.cost - found.dual_gap <= exact.cost * (1 + 1e-12)


@pytest.mark.parametrize("seed", [30, 58])
def test_rows_that_were_decided_wrongly_are_looked_at_again(seed):
    X = np.random.default_rng(seed).normal(size=(3_000, 3))
    exact = assign_bounded(X, X[:10], 300, 300)
    found = assign_streamed(X, X[:10], 300, 300, most_rows=900)
    assert found.dual_gap <= 1e-12 * exact.cost
    assert found.n_passes < 12
    assert_array_equal(found.labels, exact.labels)


def test_a_hint_saves_passes_and_changes_no_cost():
    X = rows()
    first = assign_streamed(X, X[::1100], 1000, 1100, most_rows=2000)
    moved = X[::1100] * np.float32(1.0003)
    cold = assign_streamed(X, moved, 1000, 1100, most_rows=2000)
    warm = assign_streamed(X, moved, 1000, 1100, most_rows=2000, hint=first)
    assert warm.n_passes < cold.n_passes
    assert_allclose(warm.cost, cold.cost, rtol=1e-14)


@pytest.mark.parametrize(("n", "k"), [(5_000, 1), (9, 9), (4_097, 3)])
def test_corner_cases(n, k, tmp_path):
    X = np.random.default_rng(0).normal(size=(n, 2))
    found = model(k, init=X[:k], max_iter=100).fit(CARRIERS["file"](X, tmp_path))
    assert_same(found, model(k, init=X[:k], max_iter=100).fit(X))
    assert found.cluster_sizes_.sum() == n
    assert np.ptp(found.cluster_sizes_) <= 1
    exact = BalancedKMeans(k, init=X[:k], exchange=False).fit(X)
    assert_allclose(found.inertia_, exact.inertia_, rtol=1e-12, atol=1e-300)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_iterations_are_those_of_exact_assignments():
    X = rows(12_000, dtype=np.float64)
    found = balanced_stream(X, X[::1700].copy(), 1400, 1600, max_iter=6, most_rows=1500)
    init = X[::1700].copy()
    options = {"size_min": 1400, "size_max": 1600, "max_iter": 6, "exchange": False, "tol": 0}
    exact = BalancedKMeans(8, init=init, **options).fit(X)
    assert_allclose(found.history, exact.history_, rtol=1e-12)
    assert (np.diff(found.history) <= 0).all()


@pytest.mark.parametrize("assignment", ["exact", "sinkhorn", "greedy"])
def test_what_needs_all_rows_says_what_streams(assignment, tmp_path):
    X = rows(5_000)
    for carrier in ("file", "batches", "elsewhere"):
        (tmp_path / carrier).mkdir()
        blocks = CARRIERS[carrier](X, tmp_path / carrier)
        with pytest.raises(TypeError, match="BalancedKMeans needs .*assignment='streamed'"):
            BalancedKMeans(3, assignment=assignment).fit(blocks)
    mapped = np.load(tmp_path / "file" / "rows.npy", mmap_mode="r")
    fitted = BalancedKMeans(3, assignment=assignment, random_state=0).fit(mapped)
    expected = BalancedKMeans(3, assignment=assignment, random_state=0).fit(X)
    assert_same(fitted, expected)
    assert_array_equal(fitted.predict(blocks), expected.predict(X))  # in blocks, all the same


def test_weights(tmp_path):
    X = rows(9_000)
    blocks = CARRIERS["file"](X, tmp_path)
    options = {"init": X[::3000], "max_iter": 100}
    expected = model(3, **options).fit(X)
    found = model(3, **options).fit(blocks, sample_weight=2.0)
    assert found.inertia_ == 2 * expected.inertia_
    weight = np.ones(len(X))
    weight[7] = 0
    with pytest.raises(ValueError, match=r"above 0 for rows that are read .* got 1 zeros"):
        model(3, **options).fit(blocks, sample_weight=weight)
    assert model(3, **options).fit(X, sample_weight=weight).cluster_sizes_.sum() == 8_999
    with pytest.raises(ValueError, match="n_swaps must be 0"):
        model(3, n_swaps=1).fit(blocks)


def test_memory_is_that_of_blocks_and_samples(tmp_path):
    n, d = 120_000, 48
    np.save(tmp_path / "X.npy", rows(n, d))
    blocks = as_blocks(tmp_path / "X.npy", block_rows=BLOCK_ROWS)
    centers = np.array(blocks.take(np.arange(0, n, n // 6)[:6]))
    tracemalloc.start()
    found = balanced_stream(blocks, centers, n // 6, n // 6, max_iter=2, most_rows=4000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_array_equal(np.bincount(found.labels), n // 6)
    assert peak < 0.5 * n * d * 4
    assert found.dual_gap <= 1e-12 * found.inertia


def test_an_interrupted_fit_leaves_what_was_there(tmp_path):
    X = rows(9_000)
    options = {"init": X[::3000], "max_iter": 100}
    fitted = model(3, **options).fit(X)
    labels, n_read = fitted.labels_.copy(), []

    def batches():
        n_read.append(len(X))
        if len(n_read) == 7:
            raise KeyboardInterrupt
        return iter([X[:5000], X[5000:]])

    with pytest.raises(KeyboardInterrupt):
        fitted.fit(as_blocks(batches, block_rows=4096))
    assert_array_equal(fitted.labels_, labels)
    assert_array_equal(fitted.predict(X), labels)


def test_the_end_of_iterations_is_told_once(tmp_path):
    X = rows(9_000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(5, max_iter=1).fit(CARRIERS["file"](X, tmp_path))
    assert [each.category for each in caught] == [ConvergenceWarning]
    assert "did not converge in max_iter=1" in str(caught[0].message)


def test_dask_gives_the_bits_of_an_array():
    da = pytest.importorskip("dask.array")
    X = rows(12_000)
    options = {"init": X[::4000], "max_iter": 100}
    blocks = as_blocks(da.from_array(X, chunks=(5_000, 5)), block_rows=4096)
    assert_same(model(3, **options).fit(blocks), model(3, **options).fit(X))

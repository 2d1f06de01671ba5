"""Multipliers built from a partition: nonnegative, and what their factors say they are."""

import numpy as np
import pytest

from clusterlib.solvers.partition_bounds import dual_bound
from clusterlib.solvers.partition_dual import (
    Correction,
    PartitionDual,
    _largest_product,
    most_directions,
)
from clusterlib.solvers.partition_geometry import PartitionGeometry, centered_rows
from tests.solvers.test_sdp_bounds import balls, nearest


def dense_multipliers(geometry, dual):
    """N by its definition, with the strengths that the dual has chosen."""
    n, z = len(geometry.rows), dual.z
    N = np.zeros((n, n))
    clusters = [np.arange(*geometry.starts[a : a + 2]) for a in range(geometry.n_clusters)]
    for (a, b), t in dual.strengths.items():
        offset = geometry.means[a] - geometry.means[b]
        distance = offset @ offset
        part = z * (1 / geometry.sizes[a] + 1 / geometry.sizes[b])
        sides = []
        for own, other, sign in ((a, b, 1.0), (b, a, -1.0)):
            y = geometry.rows[clusters[own]] - geometry.means[own]
            margins = 2.0 * sign * y @ offset + distance
            u = 0.5 * geometry.sizes[other] * np.maximum(margins - part, 0.0)
            y = y @ dual.correction.basis(offset) if dual.correction else y[:, :0]
            if dual.correction:
                stretch = (distance + part) / max(distance - part, distance / 10)
                y[:, 0] *= np.sqrt(dual.correction.overshoot * stretch)
                if np.isfinite(dual.correction.radius):
                    lengths = np.linalg.norm(y, axis=1)
                    radius = dual.correction.radius * np.median(lengths)
                    y *= np.minimum(1.0, radius / lengths)[:, None]
                y -= u @ y / u.sum()
            sides.append((u, y))
        (u, y), (v, w) = sides
        signs = np.where(np.arange(y.shape[1]) == 0, -1.0, 1.0)
        block = np.outer(u, v) * (1.0 - t * (y * signs) @ w.T) / np.sqrt(u.sum() * v.sum())
        N[np.ix_(clusters[a], clusters[b])] = block
        N[np.ix_(clusters[b], clusters[a])] = block.T
    return N


def dense_bound(rows, N, n_clusters):
    n = len(rows)
    M = rows @ rows.T + N
    centering = np.eye(n) - 1.0 / n
    values = np.linalg.eigvalsh(centering @ M @ centering)[::-1]
    return M.sum() / n + np.maximum(values[: n_clusters - 1], 0).sum()


@pytest.mark.parametrize("separation", [10.0, 6.0, 3.0])
@pytest.mark.parametrize("kind", [None, (np.inf, 0.0), (0.9, 2.0), (1.3, 1.0)])
@pytest.mark.parametrize("n_directions", [0, 2, 5])
def test_multipliers_are_nonnegative_and_bounds_are_theirs(separation, kind, n_directions):
    X, labels = balls(160, 6, 3, separation)
    labels = nearest(X, labels)
    labels = np.where((labels == 2) & (X[:, 3] > 0), 1, labels)  # unequal, and not optimal
    geometry = PartitionGeometry(X, labels)
    directions = np.linalg.eigh(geometry.within_scatter)[1][:, ::-1][:, :n_directions]
    correction = None if kind is None else Correction(directions, *kind)
    level = np.linalg.eigvalsh(geometry.within_scatter)[-1]
    for z in (0.4 * level, 1.3 * level):
        dual = PartitionDual(geometry, z, correction)
        N = dense_multipliers(geometry, dual)
        assert N.min() >= -1e-12 * N.max()
        assert dual.strengths
        exact = dense_bound(geometry.rows, N, 3)
        assert exact <= dual_bound(dual, 3) <= exact * (1 + 1e-5)


def test_strength_is_as_large_as_signs_allow():
    X, labels = balls(200, 6, 2, 2.0)
    geometry = PartitionGeometry(X, nearest(X, labels))
    directions = np.linalg.eigh(geometry.within_scatter)[1][:, ::-1][:, :5]
    level = np.linalg.eigvalsh(geometry.within_scatter)[-1]
    plain = PartitionDual(geometry, 0.3 * level)
    dual = PartitionDual(geometry, 0.3 * level, Correction(directions, np.inf, 1.0))
    before, after = dense_multipliers(geometry, plain), dense_multipliers(geometry, dual)
    ratio = after[before > 0] / before[before > 0]
    assert 0 <= ratio.min() < 1e-4
    assert ratio.max() > 1.2


def test_many_pairs_are_bounded_by_their_lengths(monkeypatch):
    X, labels = balls(160, 6, 3, 6.0)
    geometry = PartitionGeometry(X, nearest(X, labels))
    directions = np.eye(6)
    level = np.linalg.eigvalsh(geometry.within_scatter)[-1]
    by_pairs = PartitionDual(geometry, level, Correction(directions, 1.0, 1.0))
    monkeypatch.setattr("clusterlib.solvers.partition_dual._MOST_PAIRS", 10)
    by_lengths = PartitionDual(geometry, level, Correction(directions, 1.0, 1.0))
    for pair, strength in by_lengths.strengths.items():
        assert 0 < strength <= by_pairs.strengths[pair]


@pytest.mark.parametrize("largest_core", [10, 60, 200])
def test_directions_keep_the_core_small(largest_core):
    n_directions = most_directions(7, 4, largest_core)
    assert -1 <= n_directions < 7
    assert n_directions == -1 or 7 + 12 * (2 + n_directions) <= largest_core
    assert n_directions == 6 or 7 + 12 * (3 + n_directions) > largest_core


@pytest.mark.parametrize("factor", [1e-150, 1e-6, 1.0, 1e6, 1e200])
def test_centred_rows(factor):
    X = np.random.default_rng(0).normal(size=(50, 3)) + 5.0
    rows, scale = centered_rows(X * factor)
    assert 1 <= np.abs(rows).max() < 2
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(rows * scale, factor * (X - X.mean(axis=0)), rtol=1e-9)


def test_fewer_features_keep_distances_up_to_the_inflation():
    X, labels = balls(30, 80, 2, 4.0)
    geometry = PartitionGeometry(X, labels)
    assert geometry.rows.shape == (30, 30)
    assert 0 < geometry.inflation < 1e-8 * geometry.total
    sorted_rows = centered_rows(X)[0][geometry.order]
    squared = np.square(sorted_rows[:, None] - sorted_rows).sum(axis=2)
    found = np.square(geometry.rows[:, None] - geometry.rows).sum(axis=2)
    expected = squared + 2 * geometry.inflation * (1 - np.eye(30))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [(np.inf, 0.0), (0.9, 2.0), (1.3, 1.0)])
@pytest.mark.parametrize("factor", [0.3, 1.3])
def test_strengths_are_the_largest_that_are_wanted_and_allowed(kind, factor):
    X, labels = balls(160, 6, 3, 5.0)
    geometry = PartitionGeometry(X, nearest(X, labels))
    directions = np.linalg.eigh(geometry.within_scatter)[1][:, ::-1][:, :3]
    level = np.linalg.eigvalsh(geometry.within_scatter)[-1]
    dual = PartitionDual(geometry, factor * level, Correction(directions, *kind))
    plain = dense_multipliers(geometry, PartitionDual(geometry, factor * level))
    assert sorted(dual.strengths) == [(0, 1), (0, 2), (1, 2)]
    for a, b in dual.strengths:
        here, there = (np.arange(*geometry.starts[k : k + 2]) for k in (a, b))
        block = plain[np.ix_(here, there)]  # u v' / s
        # With a strength of 1 the correction is the product of the coordinates itself.
        dual.strengths[a, b], kept = 1.0, dual.strengths[a, b]
        corrected = dense_multipliers(geometry, dual)[np.ix_(here, there)]
        dual.strengths[a, b] = kept
        used = block > 0
        products = 1 - corrected[used] / block[used]
        # sqrt(sum u sum v) = s, and means of u and v that are over the clusters.
        wanted = len(here) * len(there) / block.sum()
        expected = min(wanted, (1 - 1e-6) / products.max())
        np.testing.assert_allclose(kept, expected, rtol=1e-7)


def test_sums_and_lengths_are_those_of_the_columns():
    X, labels = balls(120, 5, 3, 6.0)
    geometry = PartitionGeometry(X, nearest(X, labels))
    level = np.linalg.eigvalsh(geometry.within_scatter)[-1]
    dual = PartitionDual(geometry, level, Correction(np.eye(5)[:, :2], 1.0, 1.0))
    assert dual.matrix.gram.shape == (5 + 6 * 4,) * 2
    gram = dual.matrix.gram + np.outer(dual.sums, dual.sums) / 120
    lengths = np.sqrt(gram.diagonal())
    assert (dual.matrix.lengths >= lengths).all()
    np.testing.assert_allclose(dual.matrix.lengths, lengths, rtol=1e-9)
    np.testing.assert_allclose(gram[:5, :5], geometry.rows.T @ geometry.rows, atol=1e-9)
    # The columns of u: what the margins have beyond z, times half of the other size.
    for i, (a, b) in enumerate((a, b) for a in range(3) for b in range(3) if a != b):
        rows = slice(*geometry.starts[a : a + 2])
        u = geometry.margins[rows, b] - level * geometry.inverse_sizes[a, b]
        u = np.maximum(u, 0) * geometry.sizes[b] / 2
        np.testing.assert_allclose(dual.sums[5 + 4 * i], u.sum(), rtol=1e-12)
        np.testing.assert_allclose(gram[5 + 4 * i, 5 + 4 * i], u @ u, rtol=1e-12)
        # Coordinates are centred by u.
        np.testing.assert_allclose(dual.sums[6 + 4 * i : 9 + 4 * i], 0, atol=1e-9 * u.sum())
    within = PartitionDual(geometry, level, within=True)
    off = [slice(*geometry.starts[a : a + 2]) for a in range(3)]
    u = geometry.sizes[1] / 2 * (geometry.margins[off[0], 1] - geometry.squared_distances[0, 1])
    np.testing.assert_allclose(within.matrix.gram[5, 5], u @ u, rtol=1e-12)
    np.testing.assert_allclose(within.matrix.gram[:5, :5], geometry.within_scatter, atol=1e-9)


@pytest.mark.parametrize(("p", "n_clusters"), [(5, 1), (5, 2), (9, 3), (1, 2)])
def test_directions_are_as_many_as_fit(p, n_clusters):
    for largest in range(p, p + 6 * 12):
        fitting = [q for q in range(p) if p + n_clusters * (n_clusters - 1) * (2 + q) <= largest]
        if n_clusters > 1:
            assert most_directions(p, n_clusters, largest) == max(fitting, default=-1)
    assert most_directions(p, n_clusters, 10_000) == p - 1


@pytest.mark.parametrize("place", [0, 999, 1000, 1199])
def test_the_largest_product_is_found_in_any_part_of_the_rows(place):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(1200, 3)), rng.normal(size=(1000, 3))
    left[place] = [-20.0, 3.0, 0.0]  # a thousand rows are looked at in one go
    lengths = [np.linalg.norm(rows, axis=1).max() for rows in (left, right)]
    products = (left * [-1, 1, 1]) @ right.T
    sides = [(length, rows) for length, rows in zip(lengths, (left, right), strict=True)]
    found = _largest_product(*sides)
    assert products.max() <= found <= products.max() + 1e-12 * lengths[0] * lengths[1]
    assert _largest_product((lengths[0], None), sides[1]) == lengths[0] * lengths[1]
    # All products negative: the bound is 0, but for rounding.
    one = np.array([[1.0, 0.0, 0.0]])
    assert 0 <= _largest_product((1.0, one), (1.0, one)) < 1e-14
    assert _largest_product((0.0, one[:0]), (1.0, one)) == 0.0

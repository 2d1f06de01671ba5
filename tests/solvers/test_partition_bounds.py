"""Fast bounds of k-means: the search for z by golden sections, and all steps once more."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from clusterlib.solvers import partition_bounds
from clusterlib.solvers.partition_bounds import _Search, dual_bound, fast_bound
from clusterlib.solvers.partition_dual import Correction, PartitionDual, most_directions
from clusterlib.solvers.partition_geometry import PartitionGeometry
from tests.solvers.test_sdp_bounds import balls, nearest


class Curve(_Search):
    """A bound that is a function of the factor, at the level 2."""

    def __init__(self, function):
        super().__init__(None, 3, None, 2.0)
        self.function, self.asked = function, []

    def value(self, factor):
        if factor not in self.values:
            self.asked.append(factor)
            self.values[factor] = self.function(factor)
        return self.values[factor]


def golden(function, low, middle, high, n_steps):
    """Where golden sections of the larger side end, for a middle that is the best of three."""
    for _ in range(n_steps):
        side = high if high - middle > middle - low else low
        probe = middle + 0.381966 * (side - middle)
        better, right = function(probe) < function(middle), probe > middle
        if better:
            low, middle, high = (middle, probe, high) if right else (low, probe, middle)
        elif right:
            high = probe
        else:
            low = probe
    return middle


@pytest.mark.parametrize("best", [0.55, 0.65, 0.75, 0.85, 0.95, 1.05, 1.15])
def test_the_best_factor_is_found_by_golden_sections(best):
    def function(factor):
        return abs(factor - best)

    curve = Curve(function)
    assert curve.first_value() == min(map(function, (0.5, 0.8, 1.2)))
    bracket = (0.5, 0.8, 1.2)
    if function(0.5) < function(0.8):
        bracket = (0.5 / 1.5, 0.5, 0.8)
    elif function(1.2) < function(0.8):
        bracket = (0.8, 1.2, 1.8)
    assert_allclose(curve.best(), 2 * golden(function, *bracket, 4), rtol=1e-12)
    assert len(curve.asked) == 3 + (bracket[1] != 0.8) + 4


def test_the_search_ends_at_limits():
    up, down = Curve(lambda factor: -factor), Curve(lambda factor: factor)
    up.best(), down.best()
    # By half as much again, up to the first above 8, and by two thirds to the first below 0.1.
    tops = [1.2 * 1.5**i for i in range(6)]
    assert tops[-2] < 8 < tops[-1]
    assert_allclose(max(up.asked), max(tops), rtol=1e-12)
    bottoms = [0.5 / 1.5**i for i in range(5)]
    assert bottoms[-2] > 0.1 > bottoms[-1]
    assert min(down.asked) >= bottoms[-1] * (1 - 1e-12)
    assert_allclose([f for f in down.asked if f < 0.5][:4], bottoms[1:], rtol=1e-12)


def corrections(geometry, largest_core):
    """Of every kind: rank one, and radius and overshoot of the others."""
    n_directions = most_directions(geometry.rows.shape[1], geometry.n_clusters, largest_core)
    kinds = ((0.9, 2.0), (1.2, 2.0), (0.9, 1.0))
    if n_directions < 0:
        return [None] * 4
    axes = np.linalg.eigh(geometry.within_scatter)[1][:, ::-1][:, :n_directions]
    return [*(Correction(axes, *kind) for kind in kinds), None]


@pytest.mark.parametrize(
    ("n", "separation", "search_rows", "cores"),
    [
        (120, 6.0, 5000, (450, 1200)),
        (120, 2.5, 5000, (450, 1200)),
        (120, 6.0, 5000, (28, 60)),  # a larger core in the end than in the search
        (120, 3.0, 5000, (28, 60)),
        (120, 3.0, 5000, (15, 60)),  # none at all in the search
        (200, 5.0, 60, (450, 1200)),  # the search sees every fourth row of a cluster
    ],
)
def test_all_steps_once_more(monkeypatch, n, separation, search_rows, cores):
    p, n_clusters = 6, 3
    monkeypatch.setattr(partition_bounds, "_SEARCH_ROWS", search_rows)
    monkeypatch.setattr(partition_bounds, "_SEARCH_CORE", cores[0])
    monkeypatch.setattr(partition_bounds, "_CORRECTED_CORE", cores[1])
    X, labels = balls(n, p, n_clusters, separation)
    geometry = PartitionGeometry(X, nearest(X, labels))
    bound, history = fast_bound(geometry, n_clusters)
    spectrum = np.linalg.svd(geometry.rows, compute_uv=False) ** 2
    assert history[0, 0] == np.inf
    assert_allclose(history[0, 1], spectrum[: n_clusters - 1].sum(), rtol=1e-6)
    sample, share = geometry, 1.0
    if n > search_rows:
        step = -(-n // search_rows)
        parts = [np.arange(a, b)[::step] for a, b in pairwise(geometry.starts)]
        rows = np.concatenate(parts)
        sample = PartitionGeometry(
            geometry.rows[rows], np.repeat(np.arange(n_clusters), list(map(len, parts)))
        )
        share = len(rows) / n / sample.scale**2
    level = share * np.linalg.eigvalsh(geometry.within_scatter)[-1]

    def value_of(correction):
        known = {}

        def value(factor):
            if factor not in known:
                dual = PartitionDual(sample, factor * level, correction)
                known[factor] = dual_bound(dual, n_clusters)
            return known[factor]

        return value

    values = [value_of(correction) for correction in corrections(sample, cores[0])]
    kind = int(np.argmin([min(map(value, (0.5, 0.8, 1.2))) for value in values]))
    value, bracket = values[kind], (0.5, 0.8, 1.2)
    while value(bracket[2]) < value(bracket[1]):
        bracket = (bracket[1], bracket[2], 1.5 * bracket[2])
    while value(bracket[0]) < value(bracket[1]):
        bracket = (bracket[0] / 1.5, bracket[0], bracket[1])
    z = golden(value, *bracket, 4) * level / share
    correction = corrections(geometry, cores[1])[kind]
    more = correction is not None and most_directions(p, n_clusters, cores[0]) < p - 1
    expected = [(z, dual_bound(PartitionDual(geometry, z, correction), n_clusters))]
    while more and len(expected) < 5:
        z *= 0.85
        expected.append((z, dual_bound(PartitionDual(geometry, z, correction), n_clusters)))
        if expected[-1][1] > expected[-2][1]:
            break
    assert_allclose(history[1:], expected, rtol=1e-9)
    assert bound == history[:, 1].min()


def test_one_cluster_and_many_have_the_bound_of_principal_components(monkeypatch):
    X, labels = balls(60, 4, 3, 6.0)
    geometry = PartitionGeometry(X, labels)
    one = PartitionGeometry(X, np.zeros(60, dtype=int))
    assert len(fast_bound(one, 3)[1]) == 1
    for largest, n_tried in ((4 + 6, 2), (4 + 5, 1)):
        monkeypatch.setattr(partition_bounds, "_LARGEST_CORE", largest)
        assert len(fast_bound(geometry, 3)[1]) == n_tried

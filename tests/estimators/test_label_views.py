"""How rows are seen by what learns from wrong labels: units and memory."""

import tracemalloc

import numpy as np
import pytest

from clusterlib.imbalance._label_views import LabelViews


@pytest.mark.parametrize("order", ["C", "F"])
def test_views_are_found_without_a_copy_of_the_rows(order):
    X = np.random.default_rng(0).normal(size=(40_000, 20)).astype(np.float32, order=order)
    tracemalloc.start()
    same = LabelViews.of_rows(X, 20, None)
    reduced = LabelViews.of_rows(X, 2, np.ones(40_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 2
    [seen] = same.of(X)
    assert seen is X
    assert [rows.shape[1] for rows in reduced.of(X)] == [2, 20]


@pytest.mark.parametrize("sign", [-1, 1])
def test_tiny_rows_are_scaled_up_by_a_power_of_two(sign):
    X = sign * np.array([[1e-120, 0.0], [3e-120, 1e-130]])
    views = LabelViews.of_rows(X, 2, None)
    [seen] = views.of(X)
    assert 0.5 <= np.abs(seen).max() < 1
    np.testing.assert_array_equal(np.ldexp(seen, views.unit), X)
    assert LabelViews.of_rows(1e40 * X, 2, None).unit == 0

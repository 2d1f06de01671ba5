"""Numbers at the end of a range are taken, and the next ones outside of it are refused."""

from functools import partial

import numpy as np
import pytest

from clusterlib.solvers import (
    certify_likelihood,
    class_temperatures,
    kmeans_lower_bound,
    partial_sinkhorn,
    sinkhorn,
    sinkhorn_assign,
    sinkhorn_batch,
    sinkhorn_divergence,
    two_level_loss,
)

COST = np.arange(12.0).reshape(3, 4) / 12
ROWS = np.array([[0.0], [1.0], [8.0], [9.0]])
UNIT = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.8, 0.6]])
PAIRS = [0, 0, 1, 1]

CALLS = {
    "sinkhorn": partial(sinkhorn, COST, 0.1, max_iter=9),
    "sinkhorn_batch": partial(sinkhorn_batch, COST[None], 0.1, max_iter=9),
    "sinkhorn_divergence": partial(sinkhorn_divergence, ROWS, ROWS + 0.5, 1.0, max_iter=9),
    "partial_sinkhorn": partial(partial_sinkhorn, COST, 0.1, mass=0.5, max_iter=9),
    "sinkhorn_assign": partial(sinkhorn_assign, COST),
    "kmeans_lower_bound": partial(kmeans_lower_bound, ROWS, PAIRS, 2, max_iter=9),
    "certify_likelihood": partial(certify_likelihood, ROWS, PAIRS, np.ones((2, 1, 1))),
    "class_temperatures": partial(class_temperatures, UNIT, PAIRS, temperature=0.1),
    "two_level_loss": partial(two_level_loss, UNIT, [0] * 4, PAIRS, views=[1, 0, 3, 2]),
}
TINY = 1e-9
# Of each number: the lowest that is taken, and the highest that is not.
RANGES = [
    ("sinkhorn", "max_iter", 1, 0),
    ("sinkhorn", "tol", 0.0, -TINY),
    ("sinkhorn", "n_threads", 1, 0),
    ("sinkhorn", "rho_a", 0.0, -TINY),
    ("sinkhorn_batch", "max_iter", 1, 0),
    ("sinkhorn_batch", "tol", 0.0, -TINY),
    ("sinkhorn_batch", "rho_b", 0.0, -TINY),
    ("sinkhorn_divergence", "max_iter", 2, 1),
    ("sinkhorn_divergence", "tol", 0.0, -TINY),
    ("sinkhorn_divergence", "rho", TINY, 0.0),
    ("partial_sinkhorn", "max_iter", 3, 2),
    ("partial_sinkhorn", "tol", 0.0, -TINY),
    ("partial_sinkhorn", "mass", TINY, 0.0),
    ("sinkhorn_assign", "n_iters", 1, 0),
    ("sinkhorn_assign", "max_iter", 1, 0),
    ("kmeans_lower_bound", "max_iter", 1, 0),
    ("kmeans_lower_bound", "tol", 0.0, -TINY),
    ("certify_likelihood", "tol", 0.0, -TINY),
    ("class_temperatures", "offset", TINY, 0.0),
    ("class_temperatures", "percentiles", (0.0, 100.0), (-TINY, 100.0)),
    ("class_temperatures", "percentiles", (0.0, 0.0), (0.0, -TINY)),
    ("class_temperatures", "percentiles", (100.0, 100.0), (0.0, 100.0 + TINY)),
    ("two_level_loss", "beta", 0.0, -TINY),
    ("two_level_loss", "base_temperature", TINY, 0.0),
]


@pytest.mark.parametrize(("name", "argument", "taken", "refused"), RANGES)
def test_a_range_ends_where_it_says(name, argument, taken, refused):
    CALLS[name](**{argument: taken})
    with pytest.raises(ValueError, match=argument):
        CALLS[name](**{argument: refused})

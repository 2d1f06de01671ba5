"""Small runs that fail where kernels that sum over all pairs, or those of transport, slip."""

from unittest import mock

import numpy as np

from clusterlib.kernels import (
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    scaling_iterate,
    sinkhorn_batch,
    sinkhorn_iterate,
    sinkhorn_plan,
    sinkhorn_sweep,
    weighted_gram_product,
)
from clusterlib.kernels._cupy import pairwise_sums
from clusterlib.kernels._cupy import pairwise_threshold as threshold_passes
from clusterlib.kernels._cupy.sinkhorn_arguments import inspect
from clusterlib.kernels._cupy.sinkhorn_passes import merge_leaves

__all__ = ["SUM_CHECKS"]


def _compare(runtime, kernel, *args, **options):
    """Compare what a kernel returns and writes on the device with the reference."""
    arrays = {id(a): a for a in (*args, *options.values()) if isinstance(a, np.ndarray)}
    copies = {key: runtime.to_device(a) for key, a in arrays.items()}
    moved = {key: copies.get(id(a), a) for key, a in options.items()}
    result = kernel(*(copies.get(id(a), a) for a in args), **moved)
    mine = {key: a.copy() for key, a in arrays.items()}
    kept = {key: mine.get(id(a), a) for key, a in options.items()}
    expected = kernel(*(mine.get(id(a), a) for a in args), backend="reference", **kept)
    pairs = [(copies[key], mine[key]) for key in arrays]
    if isinstance(expected, tuple):
        pairs += [(a, b) for a, b in zip(result, expected, strict=True) if b is not None]
    else:
        pairs.append((result, expected))
    for got, wanted in pairs:
        size = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
        np.testing.assert_allclose(runtime.to_host(got), wanted, 1e-9, 1e-12 * size)


def _rows(n, m, d):
    rng = np.random.default_rng([n, m, d])
    return rng.standard_normal((n, d)), rng.standard_normal((m, d))


def distances(runtime):
    for metric in ("sqeuclidean", "euclidean", "cosine", "inner_product"):
        X, Y = _rows(67, 66, 5)
        _compare(runtime, pairwise_distances, X, Y, metric=metric)
    _compare(runtime, pairwise_distances, 1e220 * X, 1e220 * Y, metric="euclidean")
    _compare(runtime, pairwise_distances, 1e-130 * X, 1e-130 * Y, metric="sqeuclidean")


def log_sums(runtime):
    rng = np.random.default_rng(0)
    X, Y = _rows(67, 200, 5)
    values, weight = rng.standard_normal((200, 2)), rng.standard_normal(200)
    weight[3] = -np.inf
    groups = {"x_group": rng.integers(0, 3, 67), "y_group": rng.integers(0, 3, 200)}
    options = {"inverse_temperature": rng.uniform(0.5, 9, 67), "log_weight": weight}
    far = {"inverse_temperature": rng.uniform(200, 900, 67)}
    with mock.patch.object(pairwise_sums, "_ENOUGH_BLOCKS", 1):
        _compare(runtime, pairwise_logsumexp, X, Y, **options)
    with mock.patch.object(pairwise_sums, "_LEAST_TILES", 1):
        _compare(runtime, pairwise_logsumexp, X, Y, values=values, **options)
        _compare(runtime, pairwise_logsumexp, X, Y, values=values, **far)
        for mask in ("same", "different"):
            _compare(runtime, pairwise_logsumexp, X, Y, values=values, mask=mask, **groups)


def counts(runtime):
    X, Y = (np.rint(3 * rows) for rows in _rows(9, 100, 3))
    with mock.patch.object(threshold_passes, "_LEAST_PART", 33):
        _compare(runtime, pairwise_threshold, X, Y, 25.0)
        _compare(runtime, pairwise_threshold, X, Y, 5.0, metric="euclidean")


def _transport(n, m):
    rng = np.random.default_rng([n, m])
    a, b = rng.uniform(0.5, 1, n), rng.uniform(0.5, 1, m)
    log_a, log_b = np.log(a / a.sum()), np.log(b / b.sum())
    return rng.uniform(size=(n, m)), log_a, log_b, np.zeros(n), rng.normal(size=m)


def sweeps(runtime):
    for n, m in ((70, 40), (35, 300), (4, 9300)):
        C, log_a, _, f, g = _transport(n, m)
        log_a[1] = -np.inf
        C[0] += 5
        C[:, m // 2 :] += 50  # a shift that is not the largest overflows
        _compare(runtime, sinkhorn_sweep, C, 0.05, log_a, f, g)
        _compare(runtime, sinkhorn_sweep, C, 0.05, log_a, f, g, tau_a=0.8, f_max=0.3)
    C, log_a, _, f, g = _transport(70, 300)
    _compare(runtime, sinkhorn_plan, C, 0.1, f, g, log_a=log_a, row_weight=np.arange(70.0))
    both, sides = np.array([log_a, log_a[::-1]]), np.array([g, -g])
    _compare(runtime, sinkhorn_sweep, C, 0.1, both, np.zeros((2, 70)), sides)
    # An exponential that underflows stays 0 beside a factor that overflows.
    C = np.array([[0.0, 3000.0], [1.0, 3000.0], [2.0, 3000.0]])
    given = {"update_f": False}
    _compare(runtime, sinkhorn_sweep, C, 1.0, np.zeros(3), np.full(3, 800.0), np.zeros(2), **given)


def iterations(runtime):
    for options in ({"tau_a": 0.7, "tau_b": 0.6}, {"relaxation": 1.3}, {"tau_b": 0.9}):
        C, log_a, log_b, f, g = _transport(600, 5)
        C[:, -1] += 800
        C[::70, -1] += np.arange(9)
        _compare(runtime, sinkhorn_iterate, C, 1.0, log_a, log_b, f, g, n_iters=2, **options)


def batches(runtime):
    for tau_a, tau_b, tol in ((1.0, 1.0, 0.0), (0.6, 0.8, 0.0), (1.0, 1.0, 1e-3)):
        parts = [_transport(9, m) for m in (140, 140, 140)]
        C, log_a, log_b, f, g = (np.array(arrays) for arrays in zip(*parts, strict=True))
        C[1] *= C[1]
        g[2, 3:] += 1
        options = {"tau_a": tau_a, "tau_b": tau_b, "tol": tol, "max_iter": 4 if tol == 0 else 100}
        _compare(runtime, sinkhorn_batch, C, 0.3, log_a, log_b, f, g, **options)


def scalings(runtime):
    C, log_a, log_b, f, g = _transport(70, 300)
    K, a, b = np.exp(-C), np.exp(log_a), np.exp(log_b)
    a[3] = 0.0
    _compare(runtime, scaling_iterate, K, a, b, f + 1, np.exp(g), n_iters=2)
    _compare(runtime, weighted_gram_product, K, a, g)
    K[5] = 0.0
    _compare(runtime, scaling_iterate, K, a, b, f + 1, np.exp(g), n_iters=1, limit=100.0)


def inspections(runtime):
    """One entry at a time is what it must not be, or all that is there."""
    rows, columns, potentials = np.zeros((2, 4200)), np.zeros((2, 300)), np.zeros((2, 300))
    columns[0, 7], potentials[0, 7] = -np.inf, np.nan

    def look(*arrays):
        return tuple(map(bool, inspect(*map(runtime.to_device, arrays))))

    vectors = rows, columns, rows, potentials
    assert look(*vectors) == (True, True, True, True)
    for which, at, value in [
        (0, (1, 4199), np.inf), (0, (0, 300), np.nan), (1, (1, 39), np.nan),
        (2, (1, 4097), np.inf), (3, (1, 38), -np.inf), (3, (0, 299), np.nan),
    ]:  # fmt: skip
        bad = [array.copy() for array in vectors]
        bad[which][at] = value
        assert look(*bad) == (which not in (0, 2), which not in (1, 3), True, True)
    empty = np.full((2, 4200), -np.inf)
    empty[0, 4150] = 0
    assert look(empty, columns, rows, potentials) == (True, True, False, True)
    empty[1, 1] = 0
    assert look(empty, columns, rows, potentials) == (True, True, True, True)
    assert look(rows, empty[:, :300], rows, potentials) == (True, True, True, False)


def merged_leaves(runtime):
    leaves = np.random.default_rng(0).standard_normal((70, 9))
    out = runtime.zeros((9,), np.float64)
    merge_leaves(runtime.to_device(leaves), 70, out)
    np.testing.assert_allclose(runtime.to_host(out), leaves.sum(0), 1e-12)


SUM_CHECKS = {
    check.__name__: check
    for check in (
        distances,
        log_sums,
        counts,
        sweeps,
        iterations,
        batches,
        scalings,
        merged_leaves,
        inspections,
    )
}

"""Small runs of the kernels that work on classes of rows, which fail where a kernel slips."""

from unittest import mock

import numpy as np

from clusterlib.kernels import LEAF_ROWS, class_moments, cluster_sums, row_softmax
from clusterlib.kernels._cupy import moments as moment_passes
from clusterlib.kernels._cupy import sorted_rows as sorting
from clusterlib.kernels._cupy.sorted_rows import sort_rows
from tests.kernels.test_moments import assert_within_bound as check_moments
from tests.kernels.test_moments import problem as rows_of_classes
from tests.kernels.test_softmax import assert_within_bound as check_posteriors
from tests.kernels.test_softmax import problem as scores_of_rows

__all__ = ["CLASS_CHECKS"]


def starts_of_labels(runtime):
    for n, k in ((700, 5), (32700, 2), (1100, 700)):
        labels = np.random.default_rng(n).integers(-1, k, n).astype(np.int32)
        labels[-1] = 0
        units = -(-n // 2048)
        places, totals = runtime.zeros((units, k), np.int32), runtime.zeros(k, np.int32)
        beyond = runtime.zeros(1, np.int32)
        starts, on_device = runtime.zeros(k + 1, np.int32), runtime.to_device(labels)
        size = np.int64(n), np.int32(2048), np.int64(k)
        runtime.launch(sorting.INSTANCES[0], units, on_device, *size, places, beyond)
        runtime.launch(sorting.INSTANCES[1], -(-k // 32), places, np.int64(units), size[2], totals)
        runtime.launch(sorting.INSTANCES[2], 1, totals, size[2], starts)
        assert not runtime.to_host(beyond)[0]
        kept = labels[labels >= 0]
        ends = np.cumsum(np.bincount(kept, minlength=k))
        assert np.array_equal(runtime.to_host(starts), np.concatenate([[0], ends]))
        for unit, found in enumerate(runtime.to_host(places)):
            before = labels[: 2048 * unit]
            assert np.array_equal(found, np.bincount(before[before >= 0], minlength=k))


def rows_by_label(runtime):
    for n, k in ((700, 5), (2600, 2), (1100, 700)):
        labels = np.random.default_rng(n).integers(-1, k, n).astype(np.int32)
        order = sort_rows(runtime.to_device(labels), k)
        kept = labels[labels >= 0]
        starts = np.concatenate([[0], np.cumsum(np.bincount(kept, minlength=k))])
        assert np.array_equal(runtime.to_host(order.starts), starts)
        expected = np.argsort(labels, kind="stable")[n - len(kept) :]
        assert np.array_equal(runtime.to_host(order.rows)[: len(kept)], expected)


def sums_of_clusters(runtime):
    # Spans of one leaf, two panels, then spans of several leaves with clusters missing in most.
    for n, d, k, rare in (
        (5 * LEAF_ROWS + 9, 3, 2, 0),
        (5000, 33, 2, 0),
        (9 * LEAF_ROWS, 1, 300, 1),
    ):
        rng = np.random.default_rng(n)
        X, weight = rng.standard_normal((n, d)).astype(np.float32), rng.uniform(0.1, 1, n)
        labels = rng.integers(-1, k, n).astype(np.int32)
        if rare:
            labels[labels % 3 == 0] = -1
            labels[[5, LEAF_ROWS, 3 * LEAF_ROWS, 4 * LEAF_ROWS, n - 1]] = 6
            labels[[7, 2 * LEAF_ROWS, 5 * LEAF_ROWS, 6 * LEAF_ROWS]] = 9
        arrays = [runtime.to_device(a) for a in (X, labels, weight)]
        sums, weights = cluster_sums(*arrays[:2], k, sample_weight=arrays[2])
        expected = cluster_sums(X, labels, k, sample_weight=weight)
        assert np.array_equal(runtime.to_host(sums), expected[0])
        assert np.array_equal(runtime.to_host(weights), expected[1])


def _check_class_moments(runtime, X, labels, k, weight):
    arrays = [runtime.to_device(a) for a in (X, labels, weight)]
    moments = class_moments(*arrays[:2], k, sample_weight=arrays[2])
    host = type(moments)(*map(runtime.to_host, moments))
    check_moments(host, X, labels, k, weight)
    return host


def moments_of_classes(runtime):
    for n, d, k in ((70, 3, 2), (40, 17, 1), (90, 33, 3), (70, 70, 1)):
        X, labels, weight = rows_of_classes(n, d, k, np.float32)
        _check_class_moments(runtime, X, labels, k, weight)
    X, labels, weight = rows_of_classes(6000, 3, 1, np.float64)
    _check_class_moments(runtime, X, labels, 1, weight)
    with mock.patch.object(moment_passes, "_LEAST_CHUNK", 4096):
        _check_class_moments(runtime, X, labels, 1, weight)
    # Far from the origin the mean of the first pass is rounded by more than the bound allows.
    X = 2.0**50 + np.rint(9 * X)
    found = _check_class_moments(runtime, X, labels, 1, weight)
    near = class_moments(X - 2.0**50, labels, 1, sample_weight=weight)
    assert np.allclose(found.scatters, near.scatters, rtol=1e-11, atol=0)


def _complaint(scores):
    try:
        row_softmax(scores)
    except ValueError as error:
        return str(error)
    return ""


def posteriors(runtime):
    for n, k in ((5, 1), (9, 6), (3, 40), (2, 300), (2, 1030), (1, 17000)):
        scores, log_weight = scores_of_rows(n, k, np.float64)
        scores = np.round(4 * scores) / 4  # some ties
        given = runtime.to_device(scores), runtime.to_device(log_weight)
        for weight, on_device in ((None, None), (log_weight, given[1])):
            result = row_softmax(given[0], log_weight=on_device, return_labels=True)
            host = type(result)(*map(runtime.to_host, result))
            check_posteriors(host, scores, weight)
            z = scores if weight is None else scores + weight
            assert np.array_equal(host.labels, z.argmax(axis=1))
        for value, message in (
            (np.nan, "NaN or +inf in row 0"),
            (-np.inf, "all scores of row 0"),
        ):
            bad = scores.copy()
            bad[0, -1] = value
            if value == -np.inf:
                bad[0] = value
            assert message in _complaint(runtime.to_device(bad))


CLASS_CHECKS = {
    check.__name__: check
    for check in (starts_of_labels, rows_by_label, sums_of_clusters, moments_of_classes, posteriors)
}

"""class_moments and merge_moments: within the bound of extended precision, wherever the data are."""

import numpy as np
import pytest

from clusterlib.kernels import (
    LEAF_ROWS,
    ClassMoments,
    class_moments,
    cluster_sums,
    merge_moments,
)
from tests.helpers import BAD_MATRICES, COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES

U = 2.0**-53


def problem(n, d, k, dtype, seed=0):
    rng = np.random.default_rng([n, d, k, seed])
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)
    return X.astype(dtype), rng.integers(-1, k, n).astype(np.int32), rng.uniform(0, 3, n)


def exactly(X, labels, k, weight=None):
    """Moments in extended precision, then sums of ``w |y|`` and of ``w |y| |y|'``."""
    n, d = X.shape
    weight = (np.ones(n) if weight is None else weight).astype(np.longdouble)
    results = [np.zeros((k, *shape), np.longdouble) for shape in ((), (d,), (d, d), (d,), (d, d))]
    for c in range(k):
        rows = labels == c
        if weight[rows].sum() > 0:
            x, w = X[rows].astype(np.longdouble), weight[rows]
            mean = w @ x / w.sum()
            y = x - mean
            size = np.abs(y)
            parts = w.sum(), mean, (w[:, None] * y).T @ y, w @ size, (w[:, None] * size).T @ size
            for result, part in zip(results, parts, strict=True):
                result[c] = part
    return results


def assert_within_bound(moments, X, labels, k, weight=None):
    weights, means, scatters, sizes, products = exactly(X, labels, k, weight)
    length = LEAF_ROWS + max(0, np.log2(max(1, len(X)) / LEAF_ROWS)) + 16
    second = (LEAF_ROWS * U * np.abs(means).max(initial=0)) ** 2
    assert all(array.dtype == np.float64 for array in moments)
    assert (np.abs(moments.weights - weights) <= length * U * weights).all()
    safe = np.where(weights > 0, weights, 1)[:, None]
    allowed = U * np.abs(means) + length * U * sizes / safe + second
    assert (np.abs(moments.means - means) <= allowed).all()
    allowed = length * U * products + second * weights[:, None, None]
    assert (np.abs(moments.scatters - scatters) <= allowed).all()
    assert np.array_equal(moments.scatters, moments.scatters.transpose(0, 2, 1))
    assert (np.diagonal(moments.scatters, axis1=1, axis2=2) >= 0).all()


def assert_same_bits(result, expected):
    for got, wanted in zip(result, expected, strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes(backend, dtype):
    for i, n in enumerate(SIZES):
        d, k = SIZES[1 + (5 * i + 3) % 13], (1, 3, 16)[i % 3]
        X, labels, weight = problem(n, d, k, dtype)
        for w in (None, weight):
            moments = class_moments(X, labels, k, sample_weight=w, backend=backend)
            assert_within_bound(moments, X, labels, k, w)


# One class and many, within a block of columns and beyond, one leaf and several.
@pytest.mark.parametrize(
    ("n", "d", "k"),
    [(3 * LEAF_ROWS + 5, 3, 2), (LEAF_ROWS, 20, 1), (700, 70, 4), (600, 257, 1), (300, 300, 40)],
)
def test_leaves_and_blocks(backend, n, d, k):
    X, labels, weight = problem(n, d, k, np.float32)
    for w in (None, weight):
        moments = class_moments(X, labels, k, sample_weight=w, backend=backend)
        assert_within_bound(moments, X, labels, k, w)


def test_weights_are_those_of_the_sums(backend):
    X, labels, weight = problem(LEAF_ROWS + 300, 2, 5, np.float64)
    moments = class_moments(X, labels, 5, sample_weight=weight, backend=backend)
    _, weights = cluster_sums(X, labels, 5, sample_weight=weight, backend=backend)
    assert np.array_equal(moments.weights, weights)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_from_the_origin(backend, dtype):
    # What is far is representable: the spread is 16 and more units in the last place.
    far, unit = (2.0**23, 2.0) if dtype == np.float32 else (2.0**50, 1.0)
    rng = np.random.default_rng(0)
    near = unit * rng.integers(-9, 9, (LEAF_ROWS + 500, 3))
    labels = rng.integers(0, 2, len(near))
    moments = class_moments((near + far).astype(dtype), labels, 2, backend=backend)
    expected = class_moments(near, labels, 2, backend=backend)
    assert np.abs(moments.means - far - expected.means).max() <= 2 * U * far
    assert np.allclose(moments.scatters, expected.scatters, rtol=1e-12, atol=0)


def test_one_far_row_moves_nothing_else(backend):
    X, labels, _ = problem(500, 3, 2, np.float64)
    labels[:] = 0
    labels[7], X[7] = 1, 1e9
    moments = class_moments(X, labels, 2, backend=backend)
    assert np.array_equal(moments.means[1], X[7])
    assert (moments.scatters[1] == 0).all()
    assert_within_bound(moments, X, labels, 2)


def test_equal_rows_have_no_scatter(backend):
    X = np.full((1000, 3), [0.1, 1e8 / 3, -1e-30])
    moments = class_moments(X, np.zeros(1000, dtype=int), 1, backend=backend)
    assert np.abs(moments.means[0] / X[0] - 1).max() <= 2 * U
    assert (np.diagonal(moments.scatters[0]) >= 0).all()
    size = np.abs(X[0]) * 1000 * U
    assert (np.abs(moments.scatters[0]) <= 1000 * np.outer(size, size)).all()


@pytest.mark.parametrize(("n", "d", "k"), [(5 * LEAF_ROWS, 5, 1), (900, 150, 3), (2000, 3, 50)])
def test_threads_change_no_bit(backend, n, d, k):
    X, labels, weight = problem(n, d, k, np.float32)
    options = {"sample_weight": weight, "backend": backend}
    expected = class_moments(X, labels, k, n_threads=1, **options)
    for n_threads in (2, 3, 5):
        assert_same_bits(class_moments(X, labels, k, n_threads=n_threads, **options), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    X, labels, weight = problem(257, 19, 3, dtype)
    expected = class_moments(X, labels, 3, sample_weight=weight, backend=backend)
    vectors = [arrange(v[:, None], tmp_path)[:, 0] for v in (labels, weight)]
    result = class_moments(
        arrange(X, tmp_path), vectors[0], 3, sample_weight=vectors[1], backend=backend
    )
    assert_same_bits(result, expected)


def test_weights_are_repetitions(backend):
    X, labels, _ = problem(120, 4, 3, np.float64)
    repeats = np.arange(120) % 4
    weighted = class_moments(X, labels, 3, sample_weight=repeats, backend=backend)
    X, labels = np.repeat(X, repeats, axis=0), np.repeat(labels, repeats)
    repeated = class_moments(X, labels, 3, backend=backend)
    for got, wanted in zip(weighted, repeated, strict=True):
        assert np.allclose(got, wanted, rtol=1e-13, atol=1e-13)


def test_skipped_rows_and_empty_classes(backend):
    X = np.array([[1.0, 2.0], [np.nan, 0.0], [3.0, 2.0], [5.0, 5.0]])
    moments = class_moments(X, [0, -1, 0, 2], 4, sample_weight=[1, 1, 1, 0], backend=backend)
    assert np.array_equal(moments.weights, [2, 0, 0, 0])
    assert np.array_equal(moments.means, [[2, 2], [0, 0], [0, 0], [0, 0]])
    assert np.array_equal(moments.scatters[0], [[2, 0], [0, 0]])
    assert (moments.scatters[1:] == 0).all()


@pytest.mark.parametrize("cut", [0, 1, 100, LEAF_ROWS, 2 * LEAF_ROWS + 7])
def test_blocks_merge_to_the_whole(backend, cut):
    X, labels, weight = problem(2 * LEAF_ROWS + 8, 4, 3, np.float32)
    X += np.float32(1000)
    labels[cut:][labels[cut:] == 2] = 1  # a class of the left block alone
    parts = [
        class_moments(X[s], labels[s], 3, sample_weight=weight[s], backend=backend)
        for s in (slice(cut), slice(cut, None))
    ]
    assert_within_bound(merge_moments(*parts), X, labels, 3, weight)
    for c in (0, 1, 2):
        for side, other in (parts, parts[::-1]):
            if other.weights[c] == 0:
                assert_same_bits(
                    [array[c] for array in merge_moments(*parts)], [array[c] for array in side]
                )


def test_merging_with_nothing_changes_no_bit():
    X, labels, weight = problem(50, 3, 2, np.float64)
    moments = class_moments(1e150 * X, labels, 2, sample_weight=weight)
    nothing = ClassMoments(np.zeros(2), np.zeros((2, 3)), np.zeros((2, 3, 3)))
    assert_same_bits(merge_moments(moments, nothing), moments)
    assert_same_bits(merge_moments(nothing, moments), moments)
    assert_same_bits(merge_moments(nothing, nothing), nothing)
    with pytest.raises(ValueError, match="left and right must be moments of the same classes"):
        merge_moments(moments, class_moments(X[:, :2], labels, 2))


@pytest.mark.parametrize("bad", BAD_MATRICES, ids=str)
def test_bad_matrices(backend, bad):
    message = bad.message.format(name="X").replace("X contains", "X .* contains")
    for dtype in DTYPES:
        rows = bad.make(np.arange(35.0).reshape(7, 5).astype(dtype))
        with pytest.raises(bad.error, match=message):
            class_moments(rows, np.zeros(7, dtype=int), 1, backend=backend)


def test_bad_arguments(backend):
    X, labels, _ = problem(7, 2, 3, np.float64)
    for changed, error, message in [
        ({"labels": labels[:-1]}, ValueError, r"labels must have shape \(7,\)"),
        ({"labels": labels + 0.5}, TypeError, "labels must hold integers"),
        ({"labels": np.full(7, 3)}, ValueError, "labels must be below n_classes=3, got 3"),
        ({"n_classes": 0}, ValueError, "n_classes must be from 1"),
        ({"n_classes": 2.0}, TypeError, "n_classes must be an integer"),
        ({"sample_weight": -1.0}, ValueError, "sample_weight must be finite and at least 0"),
        ({"sample_weight": np.nan}, ValueError, "sample_weight must be finite and at least 0"),
        ({"n_threads": 0}, ValueError, "n_threads must be from 1"),
    ]:
        options = {"labels": labels, "n_classes": 3, "backend": backend, **changed}
        with pytest.raises(error, match=message):
            class_moments(X, **options)
    with pytest.raises(ValueError, match="backend must be None or one of"):
        class_moments(X, labels, 3, backend="fast")


def test_what_overflows_is_refused(backend):
    labels = np.zeros(4, dtype=int)
    with pytest.raises(ValueError, match="scatters overflow"):
        class_moments(np.array([[-1e200], [1e200], [0], [0]]), labels, 1, backend=backend)
    with pytest.raises(ValueError, match="X .or the sum of its rows"):
        class_moments(np.full((4, 1), 1e308), labels, 1, backend=backend)

"""The k nearest rows on the device: the answer of the host, to the bit and in its order."""

import numpy as np
import pytest

from clusterlib.kernels import pairwise_topk
from clusterlib.kernels._cupy import pairwise_bound
from clusterlib.kernels._cupy import pairwise_topk as passes
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.cuda.pairwise_data import FAMILIES, REFUSED, SHAPES, few_rows_at_once, rows_of
from tests.helpers import DTYPES, METRICS
from tests.kernels import test_screen_bound as hard


def topk_on(device, X, Y, k, **options):
    result = pairwise_topk(device.to_device(X), device.to_device(Y), k, **options)
    return [device.to_host(array) for array in result]


def assert_same_as_the_host(device, X, Y, k, metric="sqeuclidean"):
    distances, nearest = topk_on(device, X, Y, k, metric=metric)
    expected = pairwise_topk(X, Y, k, metric=metric, backend="reference")
    assert nearest.dtype == np.int32
    assert distances.dtype == X.dtype
    assert np.array_equal(nearest, expected[1])
    assert np.array_equal(distances, expected[0])


def crowded(device):
    """How many rows the last call could not answer from its candidates."""
    if not isinstance(device, EmulatedRuntime):
        return None
    grids = [grid[0] for i, grid in device.launched if "exact_values" in i.kernel]
    device.launched.clear()
    return sum(grids)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(emulated, shape, dtype):
    m = shape[1]
    for metric in METRICS:
        X, Y = rows_of("grid" if metric == "sqeuclidean" else "normal", *shape, dtype)
        for k in {1, min(5, m), m}:
            assert_same_as_the_host(emulated, X[:30], Y, k, metric)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_families(emulated, family, dtype):
    for metric in METRICS:
        X, Y = rows_of(family, 21, 300, 11, dtype)
        for k in (1, 17):
            assert_same_as_the_host(emulated, X, Y, k, metric)


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_order_of_threads_matters(emulated, dtype):
    for family, m, k in (("grid", 400, 30), ("two_sides", 60, 7), ("repeated", 1500, 3)):
        assert_same_as_the_host(emulated, *rows_of(family, 9, m, 4, dtype), k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("k", "m"), [(511, 700), (512, 512), (513, 700), (900, 1100)])
def test_around_the_most_that_is_selected(emulated, k, m, dtype):
    X, Y = rows_of("normal", 6, m, 3, dtype)
    for metric in METRICS:
        assert_same_as_the_host(emulated, X, Y, k, metric)
        assert crowded(emulated) in (6 if k > passes.MOST_SELECTED else 0, None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extra", [0, 1])
def test_as_many_candidates_as_a_block_sorts(emulated, extra, dtype):
    # 1024 rows at one distance, and one more; some rows of X have fewer near them.
    rng = np.random.default_rng(0)
    Y = np.concatenate([np.zeros((1024 + extra, 2)), rng.normal(5, 1, (80, 2))]).astype(dtype)
    Y = rng.permutation(Y)
    X = np.array([[0, 0], [0.5, 0], [5, 5], [6, 4]], dtype)
    for metric in ("sqeuclidean", "euclidean"):
        assert_same_as_the_host(emulated, X, Y, 9, metric)
        assert crowded(emulated) in (2 * extra, None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_far_row_crowds_nobody(emulation, dtype):
    X, Y = rows_of("normal", 6, 1100, 3, dtype)
    Y[7] *= 1e5
    for k in (1, 20):
        assert_same_as_the_host(emulation, X, Y, k)
        assert crowded(emulation) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks(emulated, monkeypatch, dtype):
    few_rows_at_once(monkeypatch, 7)
    monkeypatch.setattr(passes, "_LEAST_PART", 100)
    X, Y = rows_of("normal", 33, 600, 5, dtype)
    for metric in METRICS:
        for k in (3, 590):
            assert_same_as_the_host(emulated, X, Y, k, metric)
    Y[:] = Y[0] if dtype == np.float32 else 0
    Y = np.concatenate([Y, Y])
    assert_same_as_the_host(emulated, X, Y, 4)


@pytest.mark.parametrize("scales", [(1e-170, 1e-170), (1e200, 1e200), (1e-310, 1e-310)], ids=str)
def test_ends_of_the_range(emulated, scales):
    X, Y = rows_of("zeros", 12, 50, 5, np.float64)
    for metric in METRICS:
        assert_same_as_the_host(emulated, X * scales[0], Y * scales[1], 6, metric)
    X[2:], Y[5:] = X[2:] * scales[0], Y[5:] * scales[1]
    for metric in METRICS:
        assert_same_as_the_host(emulated, X, Y, 6, metric)


@pytest.mark.parametrize("name", hard.ENDS)
def test_what_vanishes_is_tied(emulated, name):
    make, metric = hard.ENDS[name]
    X, Y = make(np.random.default_rng(0))
    assert_same_as_the_host(emulated, X[:50], Y, 5, metric)


def wrong_answers(device, shape, family, dtype):
    X, Y, nearest = hard.judged(family, shape, "below_half", dtype, "sqeuclidean")
    one, two = (topk_on(device, X, Y, k)[1] for k in (1, 2))
    return np.count_nonzero(one != nearest[:, :1]), np.count_nonzero(two != nearest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(64, 1), (66, 6), (300, 3), (80, 300)], ids=str)
def test_data_built_against_the_bound(emulated, shape, dtype):
    for family in hard.FAMILIES:
        assert wrong_answers(emulated, shape, family, dtype) == (0, 0)


@pytest.mark.parametrize("factor", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_smaller_bound_gives_wrong_answers(emulated, monkeypatch, dtype, factor):
    monkeypatch.setattr(pairwise_bound, "BOUND_FACTOR", factor)
    assert wrong_answers(emulated, (256, 64), "close_rivals", dtype)[0] > 0


def test_layouts_give_the_same(emulated):
    X, Y = rows_of("normal", 20, 40, 12, np.float32)
    expected = pairwise_topk(X, Y, 3, backend="reference")
    A, B = emulated.to_device(np.repeat(X, 2, axis=0)), emulated.to_device(Y.T.copy())
    distances, nearest = pairwise_topk(A[::2], B.T, 3)
    assert np.array_equal(emulated.to_host(nearest), expected[1])
    assert np.array_equal(emulated.to_host(distances), expected[0])


@pytest.mark.parametrize("what", REFUSED)
def test_refused_rows(emulated, what):
    X, Y, error, words = REFUSED[what]
    with pytest.raises(error, match=words):
        pairwise_topk(emulated.to_device(X), emulated.to_device(Y), 1)


@pytest.mark.parametrize(
    ("k", "error", "words"),
    [(0, ValueError, "from 1 to 3"), (4, ValueError, "from 1 to 3"), (1.5, TypeError, "integer")],
)
def test_refused_k(emulated, k, error, words):
    X = emulated.to_device(np.ones((3, 2)))
    with pytest.raises(error, match=words):
        pairwise_topk(X, X, k)


def test_host_and_device_do_not_mix(emulated):
    X = np.ones((3, 2))
    with pytest.raises(TypeError, match="Y is on the host"):
        pairwise_topk(emulated.to_device(X), X, 1)

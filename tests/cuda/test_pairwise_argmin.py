"""Nearest rows on the device: the labels and the distances of the host, to the bit."""

import numpy as np
import pytest

from clusterlib.kernels import pairwise_argmin
from clusterlib.kernels._cupy import pairwise_argmin as passes
from clusterlib.kernels._cupy import pairwise_bound
from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.pairwise_setup import prepare_problem
from clusterlib.kernels.metrics import Metric
from tests.cuda.emul.arguments import Shifted
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.cuda.pairwise_data import FAMILIES, REFUSED, SHAPES, few_rows_at_once, rows_of
from tests.helpers import DTYPES, METRICS
from tests.kernels import test_screen_bound as hard

BEYOND = 2**31 + 7  # an offset that no int holds


@pytest.fixture(params=["tensor_cores", "tiles", "products"])
def screen(request, monkeypatch):
    """Each of the ways that scores come about, whatever the shape."""
    monkeypatch.setattr(passes, "TENSOR_CORES", request.param == "tensor_cores")
    start = (1, 1) if request.param == "products" else (1 << 30, 1)
    monkeypatch.setattr(passes, "MATRIX_PRODUCTS", dict.fromkeys(map(np.dtype, DTYPES), start))
    return request.param


def nearest_on(device, X, Y, **options):
    given = device.to_device(X), device.to_device(Y)
    labels, distances = pairwise_argmin(*given, return_distance=True, **options)
    return device.to_host(labels), device.to_host(distances)


def assert_same_as_the_host(device, X, Y, metric="sqeuclidean"):
    labels, distances = nearest_on(device, X, Y, metric=metric)
    expected = pairwise_argmin(X, Y, metric=metric, return_distance=True, backend="reference")
    assert labels.dtype == np.int32
    assert distances.dtype == X.dtype
    assert np.array_equal(labels, expected[0])
    assert np.array_equal(distances, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_edges_of_tiles(emulated, screen, shape, dtype):
    for metric in METRICS:
        family = "grid" if metric == "inner_product" else "normal"
        assert_same_as_the_host(emulated, *rows_of(family, *shape, dtype), metric)
    assert_same_as_the_host(emulated, *rows_of("grid", *shape, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_families(emulated, screen, family, dtype):
    for metric in METRICS:
        assert_same_as_the_host(emulated, *rows_of(family, 70, 41, 11, dtype), metric)


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_order_of_threads_matters(emulated, screen, dtype):
    for family in ("repeated", "two_sides"):
        for shape in ((131, 67, 20), (40, 19, 5)):
            assert_same_as_the_host(emulated, *rows_of(family, *shape, dtype))


# Both ends of the range of float64, in which the defined evaluation is scaled or loses squares.
ENDS = [
    *((1e-170, 1e-170), (1e200, 1e200), (1e-310, 1e-310), (1e-200, 1e-130), (1e160, 1e-160)),
    *((1e-300, 1.0), (1.0, 1e-300), (1e290, 1e-30), (1e-160, 1e-160), (1e305, 1e305)),
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scales", ENDS, ids=str)
def test_ends_of_the_range(emulated, screen, scales, metric):
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((20, 5)), rng.standard_normal((40, 5))
    Y[5], X[3] = Y[9], 0.0
    assert_same_as_the_host(emulated, X * scales[0], Y * scales[1], metric)
    X[7], Y[11] = 1e10, 3.0  # other rows in the middle
    X[:7] *= scales[0]
    Y[:11] *= scales[1]
    assert_same_as_the_host(emulated, X, Y, metric)


@pytest.mark.parametrize("name", hard.ENDS)
def test_what_vanishes_is_tied(emulated, screen, name):
    make, metric = hard.ENDS[name]
    assert_same_as_the_host(emulated, *make(np.random.default_rng(0)), metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_at_both_ends_at_once(emulated, dtype):
    # No shift within the range: differences overflow.
    X = np.array([[3e38, -3e38], [1.0, 2.0], [-3e38, 3e38]], dtype)
    assert_same_as_the_host(emulated, X, X[[2, 0, 0, 1]])


HARD_SHAPES = [(64, 1), (66, 6), (300, 3), (256, 64), (80, 300)]


def wrong_labels(device, shape, family, dtype):
    X, Y, nearest = hard.judged(family, shape, "below_half", dtype, "sqeuclidean")
    labels, _ = nearest_on(device, X, Y)
    return np.count_nonzero(labels != nearest[:, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", HARD_SHAPES, ids=str)
def test_data_built_against_the_bound(emulated, screen, shape, dtype):
    for family in hard.FAMILIES:
        assert wrong_labels(emulated, shape, family, dtype) == 0


@pytest.mark.parametrize("factor", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(66, 6), (256, 64)], ids=str)
def test_a_smaller_bound_gives_wrong_labels(emulated, screen, monkeypatch, shape, dtype, factor):
    monkeypatch.setattr(pairwise_bound, "BOUND_FACTOR", factor)
    assert wrong_labels(emulated, shape, "close_rivals", dtype) > 0


def test_halves_of_fractions_lose_more_than_sums_of_three(emulation, monkeypatch):
    # On an H200 both were wrong about as often: seven and eight times.
    # A small part of the bound of plain products is nearly enough for those, with few features.
    monkeypatch.setattr(pairwise_bound, "BOUND_FACTOR", 0.02)
    monkeypatch.setattr(passes, "screen_bound", lambda problem, _: BOUND(problem, False))
    for family in hard.FAMILIES:
        wrong = {}
        for tensor in (True, False):
            monkeypatch.setattr(passes, "TENSOR_CORES", tensor)
            wrong[tensor] = wrong_labels(emulation, (300, 3), family, np.float32)
        assert wrong[True] > wrong[False]


BOUND = pairwise_bound.screen_bound


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 40, 150, 5000])
def test_scores_are_within_the_bound(emulated, screen, d, dtype):
    if d > 1000 and isinstance(emulated, EmulatedRuntime):
        pytest.skip("takes a minute on the emulated device, and is about what the real one rounds")
    # Positive rows: whatever loses low bits of a sum loses them all in one direction.
    rng = np.random.default_rng(d)
    X, Y = rng.uniform(0.5, 1, (130, d)).astype(dtype), rng.uniform(0.5, 1, (70, d)).astype(dtype)
    given = emulated.to_device(X), emulated.to_device(Y)
    problem = prepare_problem(*given, Metric.INNER_PRODUCT)
    labels, best = emulated.empty((130,), np.int32), emulated.empty((130,), dtype)
    run = passes._screen_with_products if screen == "products" else passes._screen_with_tiles
    tensor = run(problem, (labels, best, emulated.empty((130,), dtype)))
    assert tensor == (screen == "tensor_cores" and dtype == np.float32)
    unit = float(BOUND(problem, tensor)[0])
    wide = X.astype(np.longdouble), Y.astype(np.longdouble)
    lengths = [np.sqrt((rows**2).sum(1)) for rows in wide]
    error = np.abs(emulated.to_host(best) - (wide[0] @ wide[1].T).max(1))
    assert (error <= unit * lengths[0] * lengths[1].max()).all()
    assert d == 1 or error.max() > 0


def test_what_halves_of_fractions_leave_out_is_in_the_bound(emulated, monkeypatch):
    # x = y = 1 + s, s of twelve bits: s^2 is left out, and the last bit of s twice. That is 8 u.
    monkeypatch.setattr(passes, "TENSOR_CORES", True)
    X = np.full((40, 1), 1 + 4095 * 2.0**-23, np.float32)
    problem = prepare_problem(*[emulated.to_device(X)] * 2, Metric.INNER_PRODUCT)
    best, second = emulated.empty((40,), np.float32), emulated.empty((40,), np.float32)
    assert passes._screen_with_tiles(problem, (emulated.empty((40,), np.int32), best, second))
    error = np.abs(emulated.to_host(best) - np.square(X[:, 0].astype(np.float64)))
    unit = float(BOUND(problem, True)[0])
    assert (7 * 2.0**-24 < error).all() and (error <= unit).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_most_rows_of_random_data_are_decided_by_the_screen(emulation, screen, dtype):
    X, Y = rows_of("normal", 400, 50, 16, dtype)
    assert_same_as_the_host(emulation, X, Y)
    in_doubt = [grid[0] for i, grid in emulation.launched if "exact_rows" in i.kernel]
    assert sum(in_doubt) <= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_far_row_of_the_centers_leaves_the_others_decided(emulation, screen, dtype):
    X, Y = rows_of("normal", 400, 50, 16, dtype)
    Y[7] *= 1e5
    X[3] = Y[7] * 0.99
    assert_same_as_the_host(emulation, X, Y)
    in_doubt = [grid[0] for i, grid in emulation.launched if "exact_rows" in i.kernel]
    assert sum(in_doubt) <= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_in_doubt_share_the_columns_among_blocks(emulation, monkeypatch, dtype):
    monkeypatch.setattr(passes, "_LEAST_PART", 40)
    monkeypatch.setattr(passes, "_DOUBTS_AT_ONCE", 4)
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((331, 6))[rng.integers(0, 60, 331)].astype(dtype)
    X = (Y[rng.integers(0, 331, 9)] + rng.standard_normal((9, 6)) / 32).astype(dtype)
    for metric in METRICS:
        emulation.launched.clear()
        assert_same_as_the_host(emulation, X, Y, metric)
        grids = [grid for i, grid in emulation.launched if "exact_rows" in i.kernel]
        assert grids == [(4, 8), (4, 8), (1, 8)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_rows_in_doubt_are_scored_by_products(emulated, monkeypatch, dtype):
    monkeypatch.setattr(passes, "_DOUBTS_FOR_PRODUCTS", 5)
    few_rows_at_once(monkeypatch, 7)
    for family in ("repeated", "two_sides", "outlier", "zeros"):
        X, Y = rows_of(family, 50, 60, 9, dtype)
        for metric in METRICS:
            assert_same_as_the_host(emulated, X, Y, metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_rows_in_doubt(emulated, screen, dtype):
    X = np.random.default_rng(0).standard_normal((300, 3)).astype(dtype)
    Y = np.zeros((70, 3), dtype)
    for metric in METRICS:
        assert_same_as_the_host(emulated, X, Y, metric)


def test_chunks_of_products(emulated, screen, monkeypatch):
    few_rows_at_once(monkeypatch, 37)
    X, Y = rows_of("normal", 131, 50, 9, np.float32)
    for metric in METRICS:
        assert_same_as_the_host(emulated, X, Y, metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_give_the_same(emulated, dtype):
    X, Y = rows_of("normal", 90, 40, 12, dtype)
    expected = pairwise_argmin(X, Y, backend="reference")
    A, B = emulated.to_device(np.repeat(X, 2, axis=0)), emulated.to_device(Y.T.copy())
    wide = emulated.to_device(np.concatenate([X, X], axis=1))
    offset = emulated.to_device(np.concatenate([[0], X.ravel()]).astype(dtype))[1:]
    for x in (A[::2], wide[:, 12:], offset.reshape(X.shape)):
        assert np.array_equal(emulated.to_host(pairwise_argmin(x, B.T)), expected)


def test_metrics_may_be_members(emulated):
    X, Y = rows_of("normal", 5, 4, 3, np.float64)
    labels, _ = nearest_on(emulated, X, Y, metric=Metric.COSINE, backend="cupy", n_threads=2)
    assert np.array_equal(labels, pairwise_argmin(X, Y, metric="cosine"))


@pytest.mark.parametrize("what", REFUSED)
def test_refused_rows(emulated, what):
    X, Y, error, words = REFUSED[what]
    with pytest.raises(error, match=words):
        pairwise_argmin(emulated.to_device(X), emulated.to_device(Y))


def test_host_and_device_do_not_mix(emulated):
    X = np.ones((3, 2))
    with pytest.raises(TypeError, match="Y is on the host"):
        pairwise_argmin(emulated.to_device(X), X)
    with pytest.raises(TypeError, match="X is on the host"):
        pairwise_argmin(X, emulated.to_device(X))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"metric": "cityblock"}, "metric must be one of"), ({"backend": "native"}, "backend must")],
)
def test_refused_options(emulated, options, words):
    X = emulated.to_device(np.ones((3, 2)))
    with pytest.raises(ValueError, match=words):
        pairwise_argmin(X, X, **options)


class _Elsewhere:
    """Runs launches as if all rows of X lay behind ``rows`` others."""

    def __init__(self, device, rows, by_row):
        self.device, self.rows, self.by_row = device, rows, by_row

    def launch(self, kernel, block_rows, *args):
        assert self.rows % block_rows == 0
        first = self.rows // block_rows
        moved = [
            Shifted(arg, self.rows * arg[0].size) if any(arg is a for a in self.by_row) else arg
            for arg in args
        ]
        name = "double" if args[0].dtype == np.float64 else "float"
        source = "pairwise_argmin.cuh" if "argmin" in kernel else "exact_rows.cuh"
        if kernel in ("row_statistics", "shift_rows"):
            source = "rows.cuh"
        expression = kernel if "<" in kernel else f"{kernel}<{name}>"
        instance = Instance(source, f"cl::{expression}", 256)
        self.device.launch_blocks(instance, first + 1, first, first + 1, *moved)


@pytest.mark.parametrize("dtype", DTYPES)
def test_offsets_beyond_an_int(emulation, dtype):
    n, m, d = 30, 20, 16
    X, Y = rows_of("normal", n, m, d, dtype)
    Y[m // 2 :] = Y[: m // 2]  # nothing is decided by the screen
    x = emulation.to_device(X)
    problem = prepare_problem(x, emulation.to_device(Y), Metric.SQEUCLIDEAN)
    rows = -(-BEYOND // (d * 256)) * 256
    labels, doubts = emulation.empty((n,), np.int32), emulation.zeros((n,), np.int64)
    best, second, distances, norms = (emulation.empty((n,), t) for t in (*[dtype] * 3, np.float64))
    far = _Elsewhere(emulation, rows, [x, labels, best, second, distances, norms, problem.x_norms])
    end, width, kind = np.int64(rows + n), np.int32(d), np.int32(1)
    name = "double" if dtype == np.float64 else "float"
    moved = (problem.shift, problem.x_scale)
    scores = (problem.columns, np.int64(m), problem.bias)
    tile = f"argmin_tiles<cl::Narrow<{name}, true>>"
    far.launch(
        tile, 64 if name == "double" else 128, x, end, width, *moved, *scores, labels, best, second
    )
    far.launch(
        "row_statistics", 32, x, end, width, *moved, norms, emulation.zeros((2,), np.float64)
    )
    assert np.array_equal(emulation.to_host(norms), emulation.to_host(problem.x_norms))
    bound = BOUND(problem)
    count = emulation.zeros((1,), np.uint64)
    tops = (problem.x_norms, problem.tops)
    far.launch("find_doubts", 256, best, second, end, kind, *tops, *bound, doubts, count)
    listed = int(emulation.to_host(count)[0])
    assert sorted(emulation.to_host(doubts)[:listed]) == list(range(rows, rows + n))
    values, indices = emulation.empty((n,), np.float64), emulation.empty((n,), np.int32)
    exact = (kind, problem.exact_scale, None, problem.x_norms, problem.y_norms, problem.tops)
    columns = (problem.Y, problem.columns, np.int64(m), problem.bias)
    out = (doubts, None, np.int64(m), values, indices)
    shifted = [Shifted(a, rows * (d if a is x else 1)) for a in (x, problem.x_norms, best, labels)]
    emulation.launch(
        passes._ROWS[np.dtype(dtype)], (n, 1), shifted[0], width, *moved, *columns,
        *exact[:3], shifted[1], *exact[4:], *bound, shifted[2], *out,
    )  # fmt: skip
    settled = (doubts, np.int64(n), values, indices, np.int32(1), shifted[3])
    emulation.launch(passes._SETTLE, 1, *settled)
    expected = pairwise_argmin(X, Y, return_distance=True, backend="reference")
    assert np.array_equal(emulation.to_host(labels), expected[0])
    kinds = (kind, np.int32(0), np.int32(0), problem.exact_scale, None)
    far.launch("label_distances", 32, x, end, width, problem.Y, *kinds, labels, distances)
    assert np.array_equal(emulation.to_host(distances), expected[1])

"""Softmax of rows on the emulated device against extended precision and the host."""

import numpy as np
import pytest

from clusterlib.kernels import row_softmax
from clusterlib.kernels._cupy import softmax as passes
from tests.cuda.emul.arguments import Shifted
from tests.cuda.emul.emulator import ORDERS
from tests.helpers import DTYPES, SIZES
from tests.kernels.test_softmax import assert_within_bound, problem

# A row of a part of a warp, in its registers, of a warp, of a block.
COLUMNS = [*SIZES[1:10], 33, 65, 128, 129, 256, 300, 1024, 1025, 2000]


def on_host(device, result):
    return result._replace(
        **{
            name: None if array is None else device.to_host(array)
            for name, array in result._asdict().items()
        }
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
def test_all_sizes(emulated, dtype):
    for i, k in enumerate(COLUMNS):
        n = SIZES[(3 * i) % 12] if k < 100 else 3
        scores, weight = problem(n, k, dtype)
        for log_weight in (None, weight):
            given = None if log_weight is None else emulated.to_device(log_weight)
            result = on_host(
                emulated,
                row_softmax(emulated.to_device(scores), log_weight=given, return_labels=True),
            )
            assert_within_bound(result, scores, log_weight)
            host = row_softmax(scores, log_weight=log_weight, return_labels=True)
            assert result.labels.dtype == np.int32
            assert np.array_equal(result.labels, host.labels)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [5, 33, 1100])
def test_any_magnitude(emulated, dtype, k):
    rng = np.random.default_rng(k)
    largest = 1e37 if dtype == np.float32 else 1e307
    scores = np.array([rng.standard_normal(k) * s for s in (1e-30, 1, 1e3, largest)]).astype(dtype)
    scores[1, ::2] = -np.inf
    result = on_host(emulated, row_softmax(emulated.to_device(scores)))
    assert_within_bound(result, scores, None)
    assert result.labels is None


@pytest.mark.parametrize("k", [1, 6, 40, 1024, 1500])
def test_ties_go_to_the_lowest_column(emulated, k):
    scores = np.zeros((9, k), dtype=np.float32)
    rng = np.random.default_rng(k)
    for row in scores[1:]:
        row[rng.integers(0, k, 3)] = 1.0
    result = row_softmax(emulated.to_device(scores), return_labels=True)
    assert np.array_equal(emulated.to_host(result.labels), scores.argmax(axis=1))


@pytest.mark.parametrize("k", [10, 1100])
def test_in_place_and_into_an_array(emulated, k):
    scores = problem(20, k, np.float32)[0]
    expected = emulated.to_host(row_softmax(emulated.to_device(scores)).posteriors)
    out = emulated.empty(scores.shape, scores.dtype)
    assert row_softmax(emulated.to_device(scores), out=out).posteriors is out
    own = emulated.to_device(scores)
    assert row_softmax(own, out=own).posteriors is own
    for result in (out, own):
        assert np.array_equal(emulated.to_host(result), expected)


@pytest.mark.parametrize("k", [1, 4, 65, 1030])
def test_rows_without_a_posterior_are_refused(emulated, k):
    for value, message in [
        (np.nan, r"got NaN or \+inf in row 5$"),
        (np.inf, r"got NaN or \+inf in row 5$"),
        (-np.inf, "all scores of row 5"),
    ]:
        scores = np.zeros((7, k))
        scores[5, -1] = value
        if np.isneginf(value):
            scores[5] = value
        with pytest.raises(ValueError, match=message):
            row_softmax(emulated.to_device(scores))


@pytest.mark.parametrize(("k", "rows_of_block"), [(70, 8), (300, 8), (1100, 1)])
def test_offsets_beyond_the_range_of_int(emulation, k, rows_of_block):
    n = 2 * rows_of_block
    scores = problem(n, k, np.float32)[0]
    expected = on_host(emulation, row_softmax(emulation.to_device(scores), return_labels=True))
    first = 2**31 // (k * rows_of_block) + 1
    before = first * rows_of_block
    arrays = scores, np.empty_like(scores), np.empty(n, np.float32), np.empty(n, np.int32)
    z, out, lse, labels = map(emulation.to_device, arrays)
    far = [Shifted(a, before * (k if a.ndim == 2 else 1)) for a in (z, out, lse, labels)]
    instance, _, size = passes._kernel_of(z)
    size = [np.int64(before + n) if isinstance(x, np.int64) else x for x in size]
    emulation.launch_blocks(instance, first + 2, first, first + 2, far[0], None, *size, *far[1:])
    for got, wanted in zip((out, lse, labels), expected, strict=True):
        assert np.array_equal(emulation.to_host(got), wanted)


def test_bad_input(emulated):
    scores = np.zeros((3, 2))
    on_device = emulated.to_device(scores)
    with pytest.raises(TypeError, match="log_weight is on the host"):
        row_softmax(on_device, log_weight=np.zeros(2))
    with pytest.raises(TypeError, match="out is on the host"):
        row_softmax(on_device, out=scores)
    with pytest.raises(TypeError, match="scores must be float32 or float64"):
        row_softmax(emulated.to_device(scores.astype(np.int64)))
    with pytest.raises(ValueError, match="log_weight must be finite"):
        row_softmax(on_device, log_weight=np.inf)
    with pytest.raises(ValueError, match="out must have shape"):
        row_softmax(on_device, out=emulated.to_device(np.zeros((2, 3))))
    wide = emulated.to_device(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="out must be scores itself or not overlap"):
        row_softmax(wide[1:], out=wide[:-1])
    with pytest.raises(ValueError, match="n_threads must be from 1"):
        row_softmax(on_device, n_threads=0)

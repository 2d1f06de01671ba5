"""Rows whose offsets leave the range of int: pointers lie so far before arrays that they are right.

Blocks far down the grid work on a few rows that exist, at addresses that only 64-bit offsets reach.
"""

import numpy as np
import pytest

from clusterlib.kernels import pairwise_distances, pairwise_logsumexp, pairwise_threshold
from clusterlib.kernels._cupy import pairwise_distances as distance_passes
from clusterlib.kernels._cupy import pairwise_sums
from clusterlib.kernels._cupy import pairwise_threshold as counting
from clusterlib.kernels._cupy.pairwise_forms import prepare_form
from clusterlib.kernels._cupy.pairwise_setup import KINDS
from clusterlib.kernels._cupy.tiles import tile_instance
from clusterlib.kernels.metrics import Metric
from tests.cuda.emul.arguments import Shifted
from tests.cuda.test_pairwise_distances import rows
from tests.helpers import DTYPES

D = 8
FAR = 1 << 29  # rows of eight features before the first one: a multiple of every tile


def form_of(emulation, n, m, dtype):
    X, Y = (emulation.to_device(rows(count, D, dtype, count)) for count in (n, m))
    return X, Y, prepare_form(X, Y, Metric.SQEUCLIDEAN)


def shifted(form, row0, column0):
    """Arguments of a form as if so many rows and columns came before."""
    X, n, d, shift, scale, Y, m, base, factor, offset, *rest = form.arguments()
    return (
        Shifted(X, row0 * D), np.int64(row0 + n), d, shift, scale, Shifted(Y, column0 * D),
        np.int64(column0 + m), Shifted(base, row0), Shifted(factor, row0),
        Shifted(offset, column0), *rest,
    )  # fmt: skip


def blocks_of(form, row0, column0, m):
    """The first block that works on the rows and columns that exist, and the grid."""
    across = -(-(column0 + m) // form.tile.columns)
    block = row0 // form.tile.rows * across + column0 // form.tile.columns
    return block, (block + 1,)


@pytest.mark.parametrize(("row0", "column0"), [(FAR, 0), (0, FAR)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_distances(emulation, dtype, row0, column0):
    n, m = (5, 40) if row0 else (1, 40)  # rows of a far matrix would lie too far from each other
    X, Y, form = form_of(emulation, n, m, dtype)
    out = emulation.zeros((n, m), dtype)
    block, grid = blocks_of(form, row0, column0, m)
    unscale = (dtype(factor) for factor in form.unscale)
    emulation.launch_blocks(
        tile_instance(*distance_passes._KERNEL, form.tile), grid, block, block + 1,
        *shifted(form, row0, column0), *unscale, Shifted(out, row0 * m + column0),
    )  # fmt: skip
    expected = emulation.to_host(pairwise_distances(X, Y))
    assert np.array_equal(emulation.to_host(out), expected)


@pytest.mark.parametrize(("row0", "column0"), [(FAR, 0), (0, FAR)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithms_of_sums(emulation, dtype, row0, column0):
    n, m = 5, 40
    X, Y, form = form_of(emulation, n, m, dtype)
    groups = [emulation.to_device(np.arange(count) % 2) for count in (n, m)]
    beta, weight = (emulation.to_device(np.ones(count, dtype)) for count in (n, m))
    terms = (
        Shifted(beta, row0), Shifted(weight, column0), Shifted(groups[0], row0),
        Shifted(groups[1], column0), np.int32(1),
    )  # fmt: skip
    highest, total = (emulation.zeros((n,), dtype) for _ in range(2))
    part = column0 or m
    block = 1 if column0 else row0 // form.tile.rows
    # Sums of the second part lie behind those of the first one, which has as many rows.
    sums = [Shifted(array, row0 + (n if column0 else 0)) for array in (highest, total)]
    emulation.launch_blocks(
        tile_instance(*pairwise_sums._SUMS, form.tile), (block + 1,), block, block + 1,
        *shifted(form, row0, column0), *terms, np.int64(part), *sums,
    )  # fmt: skip
    lse = np.log(emulation.to_host(total)) + emulation.to_host(highest)
    expected = emulation.to_host(
        pairwise_logsumexp(
            X, Y, log_weight=weight, mask="same", x_group=groups[0], y_group=groups[1]
        )
    )
    assert np.allclose(lse, expected, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_counts(emulation, dtype):
    n, m = 3, 40
    X, Y, _ = form_of(emulation, n, m, dtype)
    limits = emulation.to_device(np.array([5.0, 9.0, 15.0]))
    counts = emulation.zeros((n,), np.uint64)
    emulation.launch_blocks(
        counting._COUNT[np.dtype(dtype)], (FAR + n, 1), FAR, FAR + n, Shifted(X, FAR * D),
        np.int32(D), Y, np.int64(m), np.int32(KINDS[Metric.SQEUCLIDEAN]),
        np.int32(Metric.SQEUCLIDEAN), np.int32(0), np.float64(1), None, Shifted(limits, FAR),
        np.int64(m), Shifted(counts, FAR),
    )  # fmt: skip
    expected = emulation.to_host(pairwise_threshold(X, Y, limits))
    assert np.array_equal(emulation.to_host(counts), expected) and expected.any()

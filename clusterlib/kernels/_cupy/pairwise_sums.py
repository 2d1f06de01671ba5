"""Log-sum-exp over all rows of Y, and averages with the softmax, on a CUDA device."""

import numpy as np

from clusterlib.kernels._cupy.checks import (
    as_device_floats,
    as_device_groups,
    as_device_pair,
    as_device_vector,
    checked_device_options,
    device_metric,
)
from clusterlib.kernels._cupy.instances import instances_by_dtype
from clusterlib.kernels._cupy.pairwise_forms import prepare_form
from clusterlib.kernels._cupy.pairwise_setup import row_blocks
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.tiles import tile_instance, tile_instances

__all__ = ["INSTANCES", "LogSumExp", "pairwise_logsumexp"]

_SOURCE = "pairwise_logsumexp.cuh"
_SUMS = _SOURCE, "logsumexp_tiles"
_SOFTMAX = _SOURCE, "softmax_tiles"
_PARTS = instances_by_dtype(_SOURCE, "logsumexp_parts", 256)
INSTANCES = (*tile_instances(*_SUMS), *tile_instances(*_SOFTMAX), *_PARTS.values())

# Blocks that fill a large GPU; the same on every device, as sums depend on the parts they have.
_ENOUGH_BLOCKS = 512
_LEAST_TILES = 4  # of a part: shorter ones spend their time on the start and the end
# A softmax chunk of this size stays in the L2 cache between the kernel and the product.
_CHUNK_BYTES = 30 * 2**20
_CHUNK_COLUMNS = 8192


def pairwise_logsumexp(
    X,
    Y,
    *,
    metric="sqeuclidean",
    inverse_temperature=1.0,
    log_weight=None,
    x_group=None,
    y_group=None,
    mask=None,
    values=None,
    n_threads=None,
    backend=None,
):
    """Sum in the dtype of X; averages are products of chunks of the softmax with the values."""
    checked_device_options(n_threads, backend)
    metric = device_metric(metric)
    runtime, given = active(), X
    X, Y = as_device_pair(X, Y)
    beta = as_device_vector("inverse_temperature", inverse_temperature, len(X), low=0.0)
    if log_weight is not None:
        log_weight = as_device_vector("log_weight", log_weight, len(Y), allow_minus_inf=True)
        log_weight = log_weight.astype(X.dtype)
    mask, x_group, y_group = as_device_groups(mask, x_group, y_group, len(X), len(Y))
    if values is not None:
        values = _checked_values(values, len(Y), X.dtype)
    form = prepare_form(X, Y, metric)
    terms = _scaled_temperature(beta, form), log_weight, x_group, y_group, mask
    lse = _logsumexp(form, terms)
    if values is None:
        return runtime.like(lse, given)
    weighted = _averages(form, terms, lse, values)
    return runtime.like(lse, given), runtime.like(weighted, given)


class LogSumExp:
    """The sums of :func:`pairwise_logsumexp` for many weights; rows are prepared once.

    Parameters
    ----------
    X, Y : device arrays of shape (n, d) and (m, d)
        Checked matrices of one dtype; NaN and infinity are refused.
    metric : Metric
    inverse_temperature : float
        At least 0, of all rows.
    """

    def __init__(self, X, Y, metric, inverse_temperature):
        self._form = prepare_form(X, Y, metric)
        beta = active().empty((len(X),), np.float64)
        beta[...] = inverse_temperature
        self._beta = _scaled_temperature(beta, self._form)

    def __call__(self, log_weight):
        """Return the sums (n,), in the dtype of X, for weights (m,), float64, below infinity."""
        with np.errstate(over="ignore"):
            log_weight = log_weight.astype(self._beta.dtype)
        return _logsumexp(self._form, (self._beta, log_weight, None, None, 0))


def _checked_values(values, m, dtype):
    values = as_device_floats("values", values)
    if values.ndim != 2 or len(values) != m:
        raise ValueError(f"values must have shape ({m}, q), got {values.shape}")
    with np.errstate(over="ignore"):  # what leaves the range of dtype is refused below
        values = active().contiguous(values.astype(dtype, copy=False))
    if not bool(np.isfinite(values).all()):
        raise ValueError("values contains NaN or infinity; every value must be finite")
    return values


def _scaled_temperature(beta, form):
    """The inverse temperature of distances between rows as they are prepared; finite in T."""
    dtype = form.problem.dtype
    with np.errstate(over="ignore"):
        scaled = beta * form.unscale[0] * form.unscale[1]
    largest = float(np.finfo(dtype).max)
    return np.where(scaled < largest, scaled, largest).astype(dtype)


def _chosen(terms, rows, columns):
    """The terms of a part of the rows and columns, as arguments of a kernel."""
    beta, log_weight, x_group, y_group, mask = terms
    return (
        beta[rows],
        None if log_weight is None else log_weight[columns],
        None if x_group is None else x_group[rows],
        None if y_group is None else y_group[columns],
        np.int32(mask),
    )


def _logsumexp(form, terms):
    """Every block sums one part of the columns for its rows; then the parts are put together."""
    runtime, problem, tile = active(), form.problem, form.tile
    n, m, dtype = len(problem.X), len(problem.Y), problem.dtype
    tiles, blocks = row_blocks(m, tile.columns), row_blocks(n, tile.rows)
    wanted = max(1, min(_ENOUGH_BLOCKS // max(blocks, 1), tiles // _LEAST_TILES))
    part = row_blocks(tiles, wanted) * tile.columns
    parts = row_blocks(m, part) if m else 0
    highest, total = (runtime.empty((parts, n), dtype) for _ in range(2))
    everything = slice(None)
    runtime.launch(
        tile_instance(*_SUMS, tile), blocks * parts, *form.arguments(),
        *_chosen(terms, everything, everything), np.int64(part), highest, total,
    )  # fmt: skip
    lse = runtime.empty((n,), dtype)
    grid = row_blocks(n, 256)
    runtime.launch(_PARTS[dtype], grid, highest, total, np.int64(n), np.int64(parts), lse)
    return lse


def _averages(form, terms, lse, values):
    """Chunk by chunk of the softmax, columns in ascending order: a fixed order of sums."""
    runtime, problem, tile = active(), form.problem, form.tile
    n, m, dtype = len(problem.X), len(problem.Y), problem.dtype
    weighted = runtime.zeros((n, values.shape[1]), dtype)
    if weighted.size == 0 or m == 0:
        return weighted
    across = min(m, _CHUNK_COLUMNS)
    down = min(n, max(1, _CHUNK_BYTES // (across * dtype.itemsize)))
    scratch = runtime.empty((down * across,), dtype)
    # Those of several chunks of columns are added up; the sum of one is the average.
    sums = None if across == m else runtime.empty((down, values.shape[1]), dtype)
    turned = [runtime.contiguous(values[start : start + across].T) for start in range(0, m, across)]
    for top in range(0, n, down):
        rows = slice(top, min(top + down, n))
        height = rows.stop - rows.start
        for number, start in enumerate(range(0, m, across)):
            columns = slice(start, min(start + across, m))
            softmax = scratch[: height * (columns.stop - start)].reshape(height, -1)
            runtime.launch(
                tile_instance(*_SOFTMAX, tile),
                row_blocks(height, tile.rows) * row_blocks(softmax.shape[1], tile.columns),
                *form.arguments(rows, columns), *_chosen(terms, rows, columns), lse[rows], softmax,
            )  # fmt: skip
            if sums is None:
                runtime.matmul(softmax, turned[number], weighted[rows])
            else:
                runtime.matmul(softmax, turned[number], sums[:height])
                weighted[rows] += sums[:height]
    return weighted

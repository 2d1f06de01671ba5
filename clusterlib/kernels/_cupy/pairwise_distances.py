"""The full matrix of distances on a CUDA device."""

from clusterlib.kernels._cupy.checks import (
    as_device_matrix,
    as_device_pair,
    checked_device_options,
    checked_device_output,
    device_metric,
)
from clusterlib.kernels._cupy.pairwise_forms import prepare_form
from clusterlib.kernels._cupy.pairwise_setup import is_euclidean, row_blocks, typed
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.tiles import tile_instance, tile_instances

__all__ = ["INSTANCES", "pairwise_distances"]

_KERNEL = "pairwise_distances.cuh", "distance_tiles"
INSTANCES = tile_instances(*_KERNEL)


def pairwise_distances(X, Y=None, *, metric="sqeuclidean", out=None, n_threads=None, backend=None):
    """Write every distance, computed in the dtype of X."""
    checked_device_options(n_threads, backend)
    metric = device_metric(metric)
    given = X
    A, B = (as_device_matrix("X", X),) * 2 if Y is None else as_device_pair(X, Y)
    shape = (len(A), len(B))
    result = checked_device_output(out, shape, A.dtype, (X, Y))
    form = prepare_form(A, B, metric)
    unscale = (typed(A.dtype, factor) for factor in form.unscale)
    tile = form.tile
    blocks = row_blocks(len(A), tile.rows) * row_blocks(len(B), tile.columns)
    kernel = tile_instance(*_KERNEL, tile)
    active().launch(kernel, blocks, *form.arguments(), *unscale, result)
    if Y is None and is_euclidean(metric):
        result.reshape(-1)[:: len(A) + 1] = 0.0  # expansions leave rounding errors there
    return active().like(result, given) if out is None else out

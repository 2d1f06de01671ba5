"""Which tile of ``csrc/cuda/tile.cuh`` and ``tensor_tile.cuh`` a problem is swept with."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.runtime import active

__all__ = ["TileShape", "choose_tile", "is_aligned", "tile_instance", "tile_instances"]

_VECTOR_BYTES = 16
_NARROW_COLUMNS = 32
# The first devices whose tensor cores read TF32.
_TENSOR_CAPABILITY = 80


class TileShape(NamedTuple):
    """A tile and what a launch has to know of it.

    Attributes
    ----------
    expression : str
        The C++ type.
    rows, columns : int
        Rows of X in a block, and rows of Y in one of its tiles.
    threads : int
        Threads of a block.
    tensor : bool
        Whether it multiplies on tensor cores, whose error bound is wider.
    """

    expression: str
    rows: int
    columns: int
    threads: int
    tensor: bool = False


# float32 or float64, wide or narrow, aligned or not.
_TILES = {
    (np.dtype(dtype), wide, aligned): TileShape(
        f"cl::{'Wide' if wide else 'Narrow'}<{name}, {str(aligned).lower()}>",
        rows,
        64 if wide else _NARROW_COLUMNS,
        256,
    )
    for dtype, name, rows in ((np.float32, "float", 128), (np.float64, "double", 64))
    for wide in (True, False)
    for aligned in (True, False)
}
_TENSOR_TILES = {
    aligned: TileShape(f"cl::TensorTile<128, 64, 2, {str(aligned).lower()}>", 128, 64, 128, True)
    for aligned in (True, False)
}


def is_aligned(*arrays):
    """Tell whether all rows (vectors: the first entry) begin at multiples of 16 bytes.

    None counts as aligned.
    """
    address = active().address
    return all(
        array is None
        or (
            address(array) % _VECTOR_BYTES == 0
            and (array.ndim == 1 or array.shape[1] * array.dtype.itemsize % _VECTOR_BYTES == 0)
        )
        for array in arrays
    )


def choose_tile(X, Y, shift=None, *, tensor=False):
    """Return the shape with which the rows of X and Y are compared.

    Parameters
    ----------
    X, Y : device arrays of shape (n, d) and (m, d)
        C-ordered, of one dtype.
    shift : device array of shape (d,), default=None
        What is taken from the rows of X.
    tensor : bool, default=False
        Whether the error bound of tensor cores will do; they are used for float32 then, where
        the device has them.

    Returns
    -------
    shape : TileShape
    """
    aligned, wide = is_aligned(X, Y, shift), len(Y) > _NARROW_COLUMNS
    wanted = tensor and wide and X.dtype == np.float32
    if wanted and active().compute_capability() >= _TENSOR_CAPABILITY:
        return _TENSOR_TILES[aligned]
    return _TILES[X.dtype, wide, aligned]


def tile_instance(source, kernel, shape):
    """Return the instance of a kernel that is a template of the tile alone."""
    return Instance(source, f"cl::{kernel}<{shape.expression}>", shape.threads)


def tile_instances(source, kernel, *, tensor=False):
    """Return the instances of a kernel for all tiles: what ``INSTANCES`` of a module holds."""
    shapes = [*_TILES.values(), *(_TENSOR_TILES.values() if tensor else ())]
    return tuple(tile_instance(source, kernel, shape) for shape in shapes)

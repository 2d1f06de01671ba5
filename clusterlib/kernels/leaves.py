"""Numbers that contracts and implementations share."""

__all__ = [
    "BOUND_GROUPS",
    "DESCENT_TILES",
    "LEAF_ROWS",
    "LEAST_SHARE",
    "MASKED_ROWS",
    "SWEEP_ROWS",
    "TILE_ROWS",
]

LEAF_ROWS = 4096
"""Rows of a leaf: they are added one after the other, leaves by a pairwise tree."""

BOUND_GROUPS = 16
"""Groups of centres that have a lower bound each in ``bounded_argmin``: a cache line of float32."""

SWEEP_ROWS = 256
"""Rows of a leaf of the Sinkhorn kernels, whose column sums are merged by the same tree, and of
sweeps over non-negative factors."""

MASKED_ROWS = 32
"""Rows of a leaf of such sweeps with weights of cells, where a row is more work."""

TILE_ROWS = 16
"""Rows of a tile of the descent on the simplex: a register of float32 on the widest machines."""

DESCENT_TILES = 64
"""Tiles of a leaf of that descent."""

LEAST_SHARE = 2.0**-300
"""Sums of products of numbers up to 1 that count as 0: powers of larger ones have an inverse."""

"""Carriers of X: solvers see rows in aligned blocks and do not know where the rows live.

Two verbs are enough for everything that runs over rows: :func:`map_blocks` applies a function to
every block, :func:`tree_reduce` merges the answers by a fixed pairwise tree (:func:`map_reduce`
does both and keeps few answers at a time). Blocks are aligned to leaves times a power of two, so
that any block size, one block included, gives the same bits.
"""

from clusterlib.blocks._array import ArrayBlocks
from clusterlib.blocks._arrow import ArrowBlocks
from clusterlib.blocks._batches import BatchBlocks
from clusterlib.blocks._csr import CsrBlocks
from clusterlib.blocks._dask import DaskBlocks
from clusterlib.blocks._door import as_blocks, is_carried
from clusterlib.blocks._files import FileBlocks
from clusterlib.blocks._mapped import MappedBlocks, mapped
from clusterlib.blocks._memmap import MemmapBlocks
from clusterlib.blocks._protocol import Block, Blocks, map_blocks, map_reduce
from clusterlib.blocks._shards import ShardBlocks
from clusterlib.blocks._threads import ThreadedBlocks
from clusterlib.blocks._tree import leaf_sum, tree_reduce
from clusterlib.blocks._writing import replacing, write_npy

__all__ = [
    "ArrayBlocks",
    "ArrowBlocks",
    "BatchBlocks",
    "Block",
    "Blocks",
    "CsrBlocks",
    "DaskBlocks",
    "FileBlocks",
    "MappedBlocks",
    "MemmapBlocks",
    "ShardBlocks",
    "ThreadedBlocks",
    "as_blocks",
    "is_carried",
    "leaf_sum",
    "map_blocks",
    "map_reduce",
    "mapped",
    "replacing",
    "tree_reduce",
    "write_npy",
]

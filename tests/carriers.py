"""The same rows in every container that is read block by block, for tests over all of them."""

import pickle

import numpy as np

from clusterlib.blocks import ArrayBlocks, as_blocks, tree_reduce
from clusterlib.kernels import LEAF_ROWS

# Rows of small blocks: two leaves, so that the tests have several blocks and several leaves in one.
BLOCK_ROWS = 2 * LEAF_ROWS


class Elsewhere(ArrayBlocks):
    """Runs functions as if in another process: whatever goes there or comes back is a copy."""

    in_memory = False
    runs_here = False

    def map(self, fn, row_aligned=(), broadcast=()):
        self._observe(0)
        fn, broadcast = pickle.loads(pickle.dumps((fn, broadcast)))
        for start, stop in self.ranges():
            beside = [None if a is None else a[start:stop] for a in row_aligned]
            arguments = pickle.loads(pickle.dumps((self._checked_rows(start, stop), *beside)))
            for argument in arguments:
                if isinstance(argument, np.ndarray):
                    argument.flags.writeable = False
            result = fn(*arguments, *broadcast)
            self._observe(stop - start)
            yield pickle.loads(pickle.dumps(result))
        self.is_finite = True

    def map_reduce(self, fn, merge, row_aligned=(), broadcast=()):
        return tree_reduce(merge, self.map(fn, row_aligned, broadcast))


def _memory_map(X, folder):
    np.save(folder / "mapped.npy", X)
    return as_blocks(np.load(folder / "mapped.npy", mmap_mode="r"), block_rows=BLOCK_ROWS)


def _file(X, folder):
    np.save(folder / "rows.npy", X)
    return as_blocks(folder / "rows.npy", block_rows=BLOCK_ROWS)


def _shards(X, folder):
    shards = folder / "shards"
    shards.mkdir()
    for number, some in enumerate(np.array_split(X, 3)):
        np.save(shards / f"shard-{number}.npy", some)
    return as_blocks(shards, block_rows=BLOCK_ROWS)


def _batches(X, folder):
    return as_blocks(lambda: iter(np.array_split(X, 7)), block_rows=BLOCK_ROWS)


CARRIERS = {
    "array of one block": lambda X, folder: as_blocks(X),
    "array": lambda X, folder: as_blocks(X, block_rows=BLOCK_ROWS),
    "memory map": _memory_map,
    "file": _file,
    "shards": _shards,
    "batches": _batches,
    "elsewhere": lambda X, folder: Elsewhere(X, BLOCK_ROWS),
}
"""Names of containers and what makes a carrier of X of them, given a folder for files."""

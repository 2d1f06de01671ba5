"""Blocks of rows that look alike: the sum of their k-means bounds is a bound for all rows."""

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["similar_blocks"]


def similar_blocks(geometry, n_blocks, rng):
    """Deal the rows of every cluster out to blocks whose means stay close to those of all rows.

    Parameters
    ----------
    geometry : PartitionGeometry
        Rows and a partition of them.
    n_blocks : int
        How many blocks, from 1 to n.
    rng : numpy.random.Generator
        Order of the rows within each cluster.

    Returns
    -------
    blocks : list of ndarray of int
        Indices of rows of ``geometry``, sorted; sizes differ by at most the number of clusters.

    Notes
    -----
    A block can adapt its centres to its own means; what it gains is the squared distance of these
    to the means of all rows, and that is what the bound loses: a share of K / m of the cost for
    random blocks of m rows. Here one row goes to every block in each round, by the assignment
    that makes the sums of the deviations in the blocks shortest (assignment-based
    anticlustering). O(n (p + n_blocks^2)) time.
    """
    members = [[] for _ in range(n_blocks)]
    first_block = 0
    for a in range(geometry.n_clusters):
        start, stop = geometry.starts[a : a + 2]
        order = start + rng.permutation(stop - start)
        sums = np.zeros((n_blocks, geometry.rows.shape[1]))
        for first in range(0, len(order), n_blocks):
            rows = order[first : first + n_blocks]
            deviations = geometry.within(a, rows)
            if len(rows) == n_blocks:
                # |s + y|^2 = |s|^2 + |y|^2 + 2 <s, y>: only the last one depends on the pairing.
                blocks, chosen = linear_sum_assignment(sums @ deviations.T)
            else:
                # The rest starts where the rest of the cluster before has ended.
                chosen = np.arange(len(rows))
                blocks = (first_block + chosen) % n_blocks
                first_block = (first_block + len(rows)) % n_blocks
            sums[blocks] += deviations[chosen]
            for block, row in zip(blocks, rows[chosen], strict=True):
                members[block].append(row)
    return [np.sort(np.array(block, dtype=np.intp)) for block in members]

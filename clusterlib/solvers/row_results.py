"""Blocks of rows cut into leaves, and one result for each row of them."""

import numpy as np

from clusterlib.kernels.leaves import LEAF_ROWS

__all__ = ["leaves", "row_results"]


def leaves(rows, *beside):
    """Cut a block of rows, and what lies beside them, into leaves of ``LEAF_ROWS`` rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        An aligned block.
    *beside : ndarray of shape (n_rows, ...), or None
        Cut like the rows; None is passed on as None.

    Yields
    ------
    leaf : tuple
        The rows of a leaf, followed by its part of everything beside; one empty leaf if there
        are no rows.
    """
    for start in range(0, max(len(rows), 1), LEAF_ROWS):
        cut = slice(start, start + LEAF_ROWS)
        yield (rows[cut], *(None if a is None else a[cut] for a in beside))


def row_results(of_rows, blocks, *beside):
    """Work out one result for each row, leaf by leaf.

    Parameters
    ----------
    of_rows : callable
        ``of_rows(rows, *beside)`` gives an array of shape (n_rows, ...), of one dtype.
    blocks : Blocks
        The rows, on the host.
    *beside : ndarray of shape (n_samples, ...)
        Cut like the rows.

    Returns
    -------
    results : ndarray of shape (n_samples, ...)

    Notes
    -----
    One pass. Parts of several blocks are written into the result as they come, so that it is in memory
    once, with a block of it.
    """
    results = None
    found = blocks.map(_results_of_block, beside, (of_rows,))
    for (start, stop), part in zip(blocks.ranges(), found, strict=True):
        if results is None:
            if len(part) == blocks.n_samples:
                return part
            results = np.empty((blocks.n_samples, *part.shape[1:]), dtype=part.dtype)
        results[start:stop] = part
    return results


def _results_of_block(rows, *arguments):
    *parts, of_rows = arguments
    results, start = None, 0
    for leaf in leaves(rows, *parts):
        found = of_rows(*leaf)
        if results is None:
            results = np.empty((len(rows), *found.shape[1:]), dtype=found.dtype)
        results[start : start + len(found)] = found
        start += len(found)
    return results

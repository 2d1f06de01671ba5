"""The fixed pairwise tree by which every reduction over rows is merged."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.leaves import LEAF_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from clusterlib.typing import ArrayLike

    _Part = TypeVar("_Part")

__all__ = ["leaf_sum", "tree_reduce"]


def tree_reduce(merge: Callable[[_Part, _Part], _Part], parts: Iterable[_Part]) -> _Part:
    """Merge parts level by level: neighbours (0, 1), (2, 3), ..., an odd last one carried up.

    The tree depends on the number of parts alone. It is walked so that at most ``log2(n) + 1``
    partial results are alive, and ``parts`` may be an iterator that makes them one by one.

    Parameters
    ----------
    merge : callable
        ``merge(left, right)`` returns the merged part; it may change and return ``left``.
    parts : iterable
        At least one part, in the order of the rows.

    Returns
    -------
    merged : object
        What ``merge`` returned last, or the only part.

    Raises
    ------
    ValueError
        If there are no parts.

    Notes
    -----
    ``n - 1`` merges, O(log n) parts in memory. A part that reaches the stack stands for ``2^j``
    leaves; equal neighbours merge at once, as on a binary counter, and what is left at the end
    merges from the right. These are the pairs of merging level by level: there, too, a node of
    level j covers the parts from ``i 2^j`` to ``(i + 1) 2^j``, cut at the end.

    Examples
    --------
    >>> from clusterlib.blocks import tree_reduce
    >>> tree_reduce(lambda left, right: f"({left}{right})", "abcde")
    '(((ab)(cd))e)'
    """
    stack = []
    for count, part in enumerate(parts, start=1):
        while not count & 1:  # one merge for each trailing zero of the counter
            part = merge(stack.pop(), part)
            count >>= 1
        stack.append(part)
    if not stack:
        raise ValueError("there are no parts to merge")
    merged = stack.pop()
    while stack:
        merged = merge(stack.pop(), merged)
    return merged


def leaf_sum(values: ArrayLike) -> float:
    """Sum a value for each row in float64, in an order that block sizes do not change.

    Parameters
    ----------
    values : array-like of shape (n,)
        One value for each row of a block, real numbers of any dtype; n may be 0.

    Returns
    -------
    total : float
        Sums of leaves of ``LEAF_ROWS`` rows, merged by :func:`tree_reduce`. The totals of aligned
        blocks, merged by ``tree_reduce(operator.add, totals)``, have the bits of one block.

    Raises
    ------
    ValueError
        If values has not one dimension.

    Notes
    -----
    O(n) time, O(log n) memory for float64 values, O(n) for others.

    Examples
    --------
    >>> from clusterlib.blocks import leaf_sum
    >>> leaf_sum([1.0, 2.0, 3.5])
    6.5
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values must have 1 dimension, got shape {values.shape}")
    starts = range(0, max(len(values), 1), LEAF_ROWS)
    # NumPy's order within a leaf depends on strides, hence the contiguous copy of what is not.
    leaves = (np.ascontiguousarray(values[start : start + LEAF_ROWS]).sum() for start in starts)
    return float(tree_reduce(operator.add, leaves))

"""Which component of one fit is which of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, Int64Array

__all__ = ["matched_components"]


def matched_components(H: Array, other: Array) -> tuple[Int64Array, Float64Array]:
    """Match components by the cosines of their angles, to the largest sum.

    Parameters
    ----------
    H, other : ndarray of shape (k, m)
        Components; one of zeros has the cosine 0 with all.

    Returns
    -------
    order : ndarray of shape (k,), int64
        ``other[order]`` stands beside H.
    cosines : ndarray of shape (k,), float64
        Of the pairs.

    Notes
    -----
    O(k^2 m + k^3) time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import matched_components
    >>> matched_components(np.eye(2), np.array([[0.0, 3.0], [2.0, 0.0]]))
    (array([1, 0]), array([1., 1.]))
    """
    cosines = _directions(H) @ _directions(other).T
    rows, order = linear_sum_assignment(cosines, maximize=True)
    return order, np.clip(cosines[rows, order], -1.0, 1.0)


def _directions(H):
    H = H.astype(np.float64)
    largest = np.abs(H).max(axis=1, keepdims=True)
    H = H / np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(H, axis=1, keepdims=True)
    return H / np.where(norms > 0, norms, 1)

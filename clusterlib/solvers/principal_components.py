"""Directions in which rows spread the most, from one pass over them, and rows written in these."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce, tree_reduce
from clusterlib.kernels import class_moments, merge_moments
from clusterlib.solvers.row_results import leaves, row_results

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, Rows

__all__ = ["PrincipalComponents", "principal_components", "project"]

# What the rounding of a mean leaves of a coordinate that is the same in all rows.
_ROUNDING = 4 * np.finfo(np.float64).eps


class PrincipalComponents(NamedTuple):
    """What :func:`principal_components` found.

    Attributes
    ----------
    mean : ndarray of shape (n_features,), float64
        Mean of the rows.
    components : ndarray of shape (n_components, n_features), float64
        Orthonormal rows, the direction of the largest variance first. The entry of the largest
        absolute value of each is positive.
    variances : ndarray of shape (n_components,), float64
        Mean squares of the rows in these directions, falling.
    """

    mean: Float64Array
    components: Float64Array
    variances: Float64Array


def principal_components(
    X: Rows, n_components: int, *, sample_weight: Array | None = None
) -> PrincipalComponents:
    """Find the orthogonal directions in which rows have the largest variances.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        At least one row, on the host, float32 or float64; read once, block by block.
    n_components : int
        Most directions to return, at least 1.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative, not all 0. None means 1.

    Returns
    -------
    found : PrincipalComponents
        With as many directions as have a variance that is more than rounding, but not more than
        ``n_components``, and one if there is none.

    Raises
    ------
    ValueError
        For NaN or infinity in X, or rows whose squares leave float64.

    Notes
    -----
    Eigenvectors of the second moments about the mean: O(n m^2 + m^3) time and O(m^2 log n) memory
    for m features, in float64. Variances that are at most ``m 2^-52`` times the largest count as 0:
    directions of more than some 1e7 times less spread than the first are not found, and squares of
    very small numbers are none, so that values should not be below 1e-140. Results do not depend on
    how the rows are cut into blocks.

    References
    ----------
    .. [1] I. T. Jolliffe, "Principal component analysis", 2nd edition, Springer 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import principal_components, project
    >>> X = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> found = principal_components(X, 2)
    >>> found.components, found.mean  # the second column is constant
    (array([[1., 0.]]), array([2., 1.]))
    >>> project(X, found)
    array([[-2.],
           [ 0.],
           [ 2.]])
    """
    blocks = as_blocks(X)
    weights, means, scatters = map_reduce(_block_moments, merge_moments, blocks, sample_weight)
    variances, vectors = np.linalg.eigh(scatters[0] / weights[0])
    variances, components = variances[::-1], vectors.T[::-1]
    noise = max(
        len(variances) * np.finfo(np.float64).eps * variances[0],
        float(np.square(_ROUNDING * means[0]).sum()),
    )
    rank = max(1, min(n_components, int(np.count_nonzero(variances > noise))))
    components = components[:rank]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return PrincipalComponents(
        means[0], components * np.sign(largest), np.maximum(variances[:rank], 0.0)
    )


def project(X: Rows, found: PrincipalComponents) -> Float64Array:
    """Write rows in their principal components.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host; those of the fit, or new ones.
    found : PrincipalComponents
        What :func:`principal_components` returned.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_components), float64
        Coordinates of the deviations from the mean.

    Notes
    -----
    O(n m q) time for q components; besides the result, memory for some rows.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import principal_components, project
    >>> found = principal_components(np.array([[1.0, 1.0], [3.0, 3.0]]), 1)
    >>> project(np.array([[2.0, 2.0], [3.0, 1.0]]), found)
    array([[0.],
           [0.]])
    """

    def of_rows(rows):
        return (rows - found.mean) @ found.components.T

    return row_results(of_rows, as_blocks(X))


def _block_moments(rows, weight):
    """Moments of a block, leaf by leaf: the cut into blocks must not change the order of sums."""
    return tree_reduce(merge_moments, (_leaf_moments(*leaf) for leaf in leaves(rows, weight)))


def _leaf_moments(rows, weight):
    return class_moments(rows, np.zeros(len(rows), dtype=np.int32), 1, sample_weight=weight)

"""Moments of Gaussian groups: sizes, means and scatters for given memberships."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.gaussian import CovarianceType, row_blocks

__all__ = ["GroupMoments", "group_moments", "indicators", "lifted_moments"]

# Beyond, products of all pairs of features leave the cache, and weighted rows are faster.
_MANY_FEATURES = 128


class GroupMoments(NamedTuple):
    """Sizes, means and scatters of groups, for each of several starts.

    Attributes
    ----------
    sizes : ndarray of shape (n_starts, n_groups)
        Sums of the memberships.
    means : ndarray of shape (n_starts, n_groups, n_features)
        0 for a group without rows.
    scatters : ndarray
        Sums of squares and products about the means: of shape (n_starts, n_groups, n_features,
        n_features) for full covariances, the same added up over the groups for tied ones,
        diagonals for diagonal and traces for spherical ones.
    """

    sizes: np.ndarray
    means: np.ndarray
    scatters: np.ndarray


def indicators(labels, n_groups):
    """Write labels as memberships.

    Parameters
    ----------
    labels : ndarray of int of shape (n_starts, n_samples)
        From 0 to ``n_groups - 1``.
    n_groups : int
        Number of groups.

    Returns
    -------
    memberships : ndarray of shape (n_starts, n_groups, n_samples), float64
        1 where a row belongs to a group, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.gaussian_moments import indicators
    >>> indicators(np.array([[0, 1, 1]]), 2)
    array([[[1., 0., 0.],
            [0., 1., 1.]]])
    """
    return (labels[:, None, :] == np.arange(n_groups)[:, None]).astype(np.float64)


def group_moments(X, memberships, covariance_type):
    """Sizes, means and scatters of groups whose rows belong to them in part.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows, centred at or near 0: sums of squares are taken about 0 first.
    memberships : ndarray of shape (n_starts, n_groups, n_samples)
        Not negative; the groups of a row sum to 1.
    covariance_type : CovarianceType
        Which part of the scatters is wanted.

    Returns
    -------
    moments : GroupMoments

    Notes
    -----
    O(n p^2) time for each group of each start for full covariances, O(n p) for the others (and
    O(n p^2) once for tied ones); memory for a block of rows besides the result, beyond 128
    features for a copy of X.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.gaussian import CovarianceType
    >>> from clusterlib.solvers.gaussian_moments import group_moments
    >>> X = np.array([[-2.0], [0.0], [2.0]])
    >>> one_start = np.array([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> sizes, means, scatters = group_moments(X, one_start, CovarianceType.SPHERICAL)
    >>> sizes, means.ravel(), scatters
    (array([[2., 1.]]), array([-1.,  2.]), array([[2., 0.]]))
    """
    n_starts, n_groups, n = memberships.shape
    p = X.shape[1]
    flat = memberships.reshape(-1, n)
    sizes = flat.sum(axis=1)
    sums = flat @ X
    means = sums / np.where(sizes > 0, sizes, 1.0)[:, None]
    if covariance_type is CovarianceType.FULL:
        scatters = _second_moments(X, flat)
        scatters -= sums[:, :, None] * means[:, None, :]
        scatters = scatters.reshape(n_starts, n_groups, p, p)
    elif covariance_type is CovarianceType.TIED:
        between = sums.reshape(n_starts, n_groups, p).transpose(0, 2, 1)
        scatters = X.T @ X - between @ means.reshape(n_starts, n_groups, p)
    elif covariance_type is CovarianceType.DIAG:
        squares = flat @ np.square(X) - sums * means
        scatters = np.maximum(squares, 0.0).reshape(n_starts, n_groups, p)
    else:
        squares = flat @ np.square(X).sum(axis=1) - (sums * means).sum(axis=1)
        scatters = np.maximum(squares, 0.0).reshape(n_starts, n_groups)
    return GroupMoments(
        sizes.reshape(n_starts, n_groups), means.reshape(n_starts, n_groups, p), scatters
    )


def lifted_moments(X, W, group, n_groups, covariance_type):
    """Moments of groups that are given by the factors of their membership matrices.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Centred rows.
    W : ndarray of shape (n_samples, rank), float64
        Rows in the simplex: ``Z_k = sum_(l in k) w_l w_l' / 1' w_l``.
    group : ndarray of int of shape (rank,)
        Group of each column.
    n_groups : int
        How many there are.
    covariance_type : CovarianceType
        Which part of the scatters is wanted.

    Returns
    -------
    moments : GroupMoments
        Of a stack of one. The scatter of group k is ``X' (diag(Z_k 1) - Z_k) X``: divided by
        ``1' Z_k 1`` it is the covariance that maximises the lifted likelihood.

    Notes
    -----
    Derivatives of ``sum_k <A_k, Z_k>`` by the inverse covariances give the formula; at a partition
    it is the scatter about the mean. O(n p (p + rank)) time.
    """
    memberships = np.zeros((1, n_groups, len(X)))
    for column, k in enumerate(group):
        memberships[0, k] += W[:, column]
    moments = group_moments(X, memberships, covariance_type)
    # Columns of a group have means of their own, about which there is less scatter.
    sizes, sums = W.sum(axis=0), W.T @ X
    offsets = sums / np.where(sizes > 0, sizes, 1.0)[:, None] - moments.means[0, group]
    between = np.zeros((n_groups, X.shape[1], X.shape[1]))
    for column, k in enumerate(group):
        between[k] += sizes[column] * np.outer(offsets[column], offsets[column])
    if covariance_type is CovarianceType.TIED:
        between = between.sum(axis=0)
    elif covariance_type is not CovarianceType.FULL:
        between = np.diagonal(between, axis1=-2, axis2=-1)
        if covariance_type is CovarianceType.SPHERICAL:
            between = between.sum(axis=-1)
    scatters = moments.scatters[0] - between
    if not covariance_type.is_matrix:
        scatters = np.maximum(scatters, 0.0)
    return moments._replace(scatters=scatters[None])


def _second_moments(X, memberships):
    """``sum_i m_i x_i x_i'`` for each row m of memberships."""
    p = X.shape[1]
    if p > _MANY_FEATURES:
        moments = np.empty((len(memberships), p, p))
        for k, weights in enumerate(memberships):
            weighted = np.sqrt(weights)[:, None] * X
            np.matmul(weighted.T, weighted, out=moments[k])
        return moments
    left, right = np.triu_indices(p)
    halves = np.zeros((len(memberships), len(left)))
    for rows in row_blocks(len(X), len(left)):
        halves += memberships[:, rows] @ (X[rows][:, left] * X[rows][:, right])
    moments = np.empty((len(memberships), p, p))
    moments[:, left, right] = halves
    moments[:, right, left] = halves
    return moments

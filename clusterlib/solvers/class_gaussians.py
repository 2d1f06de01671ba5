"""One Gaussian for each class: from the rows that are trusted, and rows drawn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import class_moments

if TYPE_CHECKING:
    from clusterlib.typing import Array, BoolArray, Float64Array, IndexArray, IntArray

__all__ = ["inlier_gaussians", "sample_gaussians"]


def inlier_gaussians(
    X: Array, codes: IntArray, n_classes: int, inliers: BoolArray
) -> tuple[Float64Array, Float64Array]:
    """Means and covariances of the classes, of the rows that are inliers.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, float32 or float64.
    codes : ndarray of shape (n,), int
        Class of each row, from 0 to n_classes - 1.
    n_classes : int
        Number of classes.
    inliers : ndarray of shape (n,), bool
        Rows that count, as :func:`class_inliers` marks them.

    Returns
    -------
    means : ndarray of shape (n_classes, d), float64
        0 for a class without an inlier.
    covariances : ndarray of shape (n_classes, d, d), float64
        Scatters divided by the number of inliers less one; 0 for a class with fewer than two.

    Notes
    -----
    O(n d^2) time, O(n_classes d^2) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import inlier_gaussians
    >>> X = np.array([[0.0], [2.0], [9.0], [5.0]])
    >>> inliers = np.array([True, True, False, True])
    >>> inlier_gaussians(X, np.array([0, 0, 0, 1]), 2, inliers)
    (array([[1.],
           [5.]]), array([[[2.]],
    <BLANKLINE>
           [[0.]]]))
    """
    weights, means, covariances = class_moments(X, np.where(inliers, codes, -1), n_classes)
    covariances /= np.maximum(weights - 1, 1)[:, None, None]
    return means, covariances


def sample_gaussians(
    means: Float64Array, covariances: Float64Array, counts: IntArray, rng: np.random.Generator
) -> tuple[Float64Array, IndexArray]:
    """Draw rows from Gaussians.

    Parameters
    ----------
    means : ndarray of shape (n_classes, d), float64
        Their means.
    covariances : ndarray of shape (n_classes, d, d), float64
        Symmetric; may be singular. Negative eigenvalues count as 0.
    counts : ndarray of shape (n_classes,), int
        How many rows to draw from each, at least 0.
    rng : numpy.random.Generator
        Where randomness comes from.

    Returns
    -------
    rows : ndarray of shape (sum(counts), d), float64
        Class by class.
    codes : ndarray of shape (sum(counts),), intp
        Class of each row.

    Notes
    -----
    A row is ``mean + S z`` with z standard normal and S the symmetric square root of the
    covariance, which has no signs to choose as eigenvectors have: what is drawn depends on the
    state of ``rng`` and on nothing else but rounding.

    O(n_classes d^3 + n d^2) time for n rows, O(n d + d^2) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sample_gaussians
    >>> means, covariances = np.array([[0.0, 5.0], [1.0, 1.0]]), np.zeros((2, 2, 2))
    >>> sample_gaussians(means, covariances, np.array([1, 2]), np.random.default_rng(0))
    (array([[0., 5.],
           [1., 1.],
           [1., 1.]]), array([0, 1, 1]))
    """
    codes = np.repeat(np.arange(len(means)), counts)
    rows = np.empty((len(codes), means.shape[1]))
    start = 0
    for mean, covariance, count in zip(means, covariances, counts, strict=True):
        if count == 0:
            continue
        drawn = rows[start : start + count]
        np.matmul(rng.standard_normal(drawn.shape), _square_root(covariance), out=drawn)
        drawn += mean
        start += count
    return rows, codes


def _square_root(covariance):
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))) @ vectors.T

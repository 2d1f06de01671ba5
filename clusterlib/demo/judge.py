"""Float64 truth, worked out with NumPy alone, so that neither library judges itself."""

from collections.abc import Iterator

import numpy as np

BLOCK_ROWS = 8192
# Two distances that agree to this relative gap are a tie: it is some thousand times the rounding
# of a float64 sum of a few hundred squares, and far below anything single precision resolves.
TIE = 1e-12


def _blocks(n_samples: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK_ROWS) for start in range(0, n_samples, BLOCK_ROWS))


def inertia(X: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> float:
    """Sum of squared distances to the labelled centres, in float64.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    labels : ndarray of int, shape (n_samples,)
    centers : ndarray of shape (n_clusters, n_features)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> inertia(np.array([[0.0], [3.0]]), np.array([0, 0]), np.array([[1.0]]))
    5.0
    """
    wide = centers.astype(np.float64)
    return float(sum(np.square(X[rows] - wide[labels[rows]]).sum() for rows in _blocks(len(X))))


def cosine_loss(X: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> float:
    """Sum over the rows of one minus the cosine to the labelled centre, in float64.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of length one.
    labels : ndarray of int, shape (n_samples,)
    centers : ndarray of shape (n_clusters, n_features)
        No row is zero.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> cosine_loss(np.array([[0.0, 1.0]]), np.array([0]), np.array([[2.0, 0.0]]))
    1.0
    """
    wide = centers.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    cosines = (np.einsum("ij,ij->i", X[rows], wide[labels[rows]]) for rows in _blocks(len(X)))
    return float(sum((1.0 - cosine).sum() for cosine in cosines))


def count_wrong_labels(X: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> int:
    """Count the rows whose label is not the nearest centre in float64.

    The nearest centre is found by the expanded square, after moving the origin to the mean of
    the centres. Only a disagreement with the given label is then settled, by differences taken
    in float64; a tie counts as right.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    labels : ndarray of int, shape (n_samples,)
    centers : ndarray of shape (n_clusters, n_features)

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> count_wrong_labels(np.array([[0.0], [4.0]]), np.array([1, 1]), np.array([[1.0], [3.0]]))
    1
    """
    wide = centers.astype(np.float64)
    origin = wide.mean(axis=0)
    moved = wide - origin
    squares = np.square(moved).sum(axis=1)
    wrong = 0
    for rows in _blocks(len(X)):
        points = X[rows].astype(np.float64)
        nearest = (squares - 2.0 * ((points - origin) @ moved.T)).argmin(axis=1)
        doubtful = np.flatnonzero(nearest != labels[rows])
        points = points[doubtful]
        given = np.square(points - wide[labels[rows][doubtful]]).sum(axis=1)
        best = np.square(points - wide[nearest[doubtful]]).sum(axis=1)
        wrong += int(np.count_nonzero(given > best * (1.0 + TIE)))
    return wrong

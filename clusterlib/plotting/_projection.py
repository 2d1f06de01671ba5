"""The plane in which points differ most."""

import numpy as np

__all__ = ["principal_plane"]


def principal_plane(points, weights):
    """Find the first two principal axes of weighted points.

    Parameters
    ----------
    points : ndarray of shape (n, d), float64
        Such as centres, whose plane is the one in which clusters differ most from each other.
    weights : ndarray of shape (n,)
        Not negative; all 0 counts as equal.

    Returns
    -------
    axes : ndarray of shape (d, 2), float64
        Columns of length 1. An axis that is missing, with one feature or one or two points, is 0.
    origin : ndarray of shape (d,), float64
        The mean.
    explained : float
        Share of the variance that the plane shows, 1 if there is none.
    """
    weights = weights / weights.sum() if weights.any() else np.full(len(weights), 1 / len(weights))
    origin = weights @ points
    spread = np.sqrt(weights)[:, None] * (points - origin)
    _, singular, components = np.linalg.svd(spread, full_matrices=False)
    axes = np.zeros((points.shape[1], 2))
    axes[:, : len(components)] = components[:2].T
    total = np.sum(singular**2)
    return axes, origin, float(np.sum(singular[:2] ** 2) / total) if total > 0 else 1.0

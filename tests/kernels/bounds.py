"""The error bounds that the contracts promise, written out once for all tests."""

import numpy as np


def _farthest_corner(A, box):
    """Largest distance of each row from a point of the box."""
    low, high = box
    return np.sqrt(np.sum(np.maximum(np.abs(A - low), np.abs(A - high)) ** 2, axis=1))


def distance_bound(X, Y, metric, unit):
    """Allowed error of each D (of each D^2 for euclidean) computed with roundoff ``unit``.

    Includes the roundoff of the stored result. The offset s of the contract is anywhere in the
    box of the rows of Y, so the farthest corner is assumed.
    """
    wide_X, wide_Y = X.astype(np.float64), Y.astype(np.float64)
    factor = 4 * (X.shape[1] + 4)
    tiny = factor * np.finfo(X.dtype).tiny
    if metric in ("sqeuclidean", "euclidean"):
        box = wide_Y.min(axis=0, initial=np.inf), wide_Y.max(axis=0, initial=-np.inf)
        reach = _farthest_corner(wide_X, box)[:, None] + _farthest_corner(wide_Y, box)
        return factor * unit * reach**2 + tiny
    if metric == "inner_product":
        norms = np.linalg.norm(wide_X, axis=1)[:, None] * np.linalg.norm(wide_Y, axis=1)
        return factor * unit * norms + tiny
    return np.full((len(X), len(Y)), factor * unit + tiny)


def assert_distances_within_bound(D, exact, X, Y, metric):
    """Compare a full matrix with the float64 distances of the reference."""
    unit = np.finfo(D.dtype).eps / 2
    D, bound = D.astype(np.float64), distance_bound(X, Y, metric, unit)
    if metric == "euclidean":
        # |D^2 - E^2| within the bound of the square; 4 u E^2 for the root and its rounding.
        assert np.all(np.abs(D**2 - exact**2) <= bound + 4 * unit * exact**2)
    else:
        assert np.all(np.abs(D - exact) <= bound)

"""The two geometries of k-means: what a centre is and what a row costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks, map_blocks
from clusterlib.kernels import Metric, pairwise_argmin

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array, FloatArray, Rows

__all__ = ["Flat", "Sphere", "row_norms", "unit_rows"]


class Flat:
    """Euclidean space: a centre is a weighted mean, a row costs its squared distance."""

    metric = Metric.SQEUCLIDEAN
    # Squares of float32 distances may leave float32; they are taken in float64 instead.
    seeding_metric = Metric.EUCLIDEAN

    @staticmethod
    def summation_weight(blocks, sample_weight):
        """Weights with which rows enter the sum of their cluster."""
        return sample_weight

    @staticmethod
    def row_weight(rows, sample_weight):
        """The same for the rows of one block."""
        return sample_weight

    @staticmethod
    def centers(sums, weights, previous):
        """Centres from sums of rows; a cluster without weight keeps its previous centre."""
        centers = previous.copy()
        filled = weights > 0
        centers[filled] = sums[filled] / weights[filled, None]
        return centers

    @staticmethod
    def points(rows):
        """Rows as centres."""
        return rows

    @staticmethod
    def costs(rows, centers):
        """Costs of rows whose float64 centres stand beside them and may be overwritten."""
        difference = np.subtract(rows, centers, out=centers)
        return np.square(difference, out=difference).sum(axis=1)

    @staticmethod
    def seeding_costs(distances, scale):
        """Costs divided by ``scale**2``, so that they stay in range; in place."""
        distances /= scale
        return np.square(distances, out=distances)


class Sphere:
    """Unit sphere: a centre is a normalised sum of directions, a row costs 1 - cosine."""

    metric = Metric.COSINE
    seeding_metric = Metric.COSINE

    @staticmethod
    def summation_weight(blocks, sample_weight):
        """Weights with which rows enter the sum of their cluster: directions count, not lengths."""
        return Sphere._over_norms(sample_weight, row_norms(blocks))

    @staticmethod
    def row_weight(rows, sample_weight):
        """The same for the rows of one block."""
        return Sphere._over_norms(sample_weight, row_norms(rows))

    @staticmethod
    def _over_norms(sample_weight, norms):
        weight = 1.0 if sample_weight is None else sample_weight
        # Norms below the normal numbers have lost their digits: such rows have no direction.
        has_direction = norms >= np.finfo(np.float64).tiny
        return np.divide(weight, norms, out=np.zeros(len(norms)), where=has_direction)

    @staticmethod
    def centers(sums, weights, previous):
        """Centres from sums of directions; one whose sum vanishes keeps its previous place."""
        centers = previous.copy()
        lengths = np.sqrt(np.square(sums).sum(axis=1))
        filled = (weights > 0) & (lengths > 0)
        centers[filled] = sums[filled] / lengths[filled, None]
        return centers

    @staticmethod
    def points(rows):
        """Rows as centres: their directions."""
        return unit_rows(rows)

    @staticmethod
    def costs(rows, centers):
        """Costs of rows whose float64 centres, unit vectors, stand beside them."""
        largest = np.abs(rows).max(axis=1).astype(np.float64)
        rows = np.divide(rows, np.where(largest > 0, largest, 1.0)[:, None], order="C")
        lengths = np.sqrt(np.square(rows).sum(axis=1) * np.square(centers).sum(axis=1))
        products = (rows * centers).sum(axis=1)
        cosines = np.divide(products, lengths, out=np.zeros(len(rows)), where=lengths > 0)
        return np.maximum(1.0 - cosines, 0.0)

    @staticmethod
    def seeding_costs(distances, scale):
        """Half the squared distance of the directions, which is 1 - cosine itself."""
        return distances


def row_norms(X: Rows) -> Float64Array:
    """Compute the euclidean norm of every row; squares that overflow do no harm.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.

    Returns
    -------
    norms : ndarray of shape (n_samples,), float64
        Rounded to the dtype of the rows; 0 for a row 1e150 times smaller than the largest.

    Notes
    -----
    O(n d) time, O(n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import row_norms
    >>> row_norms(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([5., 0.])
    """
    blocks = as_blocks(X)
    origin = np.zeros((1, blocks.n_features), dtype=blocks.dtype)
    norms = blocks.joined(map_blocks(_distances_to_nearest, blocks, broadcast=(origin,)))
    return blocks.to_host(norms).astype(np.float64)


def _distances_to_nearest(rows, centers):
    return pairwise_argmin(rows, centers, metric=Metric.EUCLIDEAN, return_distance=True)[1]


def unit_rows(rows: FloatArray) -> Float64Array:
    """Scale rows to length 1; rows of zeros stay as they are.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features), float32 or float64
        Any finite values.

    Returns
    -------
    directions : ndarray of shape (n, n_features)
        A new array of the same dtype, computed in float64.

    Notes
    -----
    O(n d) time and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import unit_rows
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 1e-200]]))
    array([[0.6, 0.8],
           [0. , 1. ]])
    """
    largest = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
    scaled = rows / np.where(largest > 0, largest, 1.0)  # squares stay in range
    lengths = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    return (scaled / np.where(lengths > 0, lengths, 1.0)).astype(rows.dtype)

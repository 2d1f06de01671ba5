"""Balls of unit noise around centres that are all equally far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np

from clusterlib.datasets._draws import checked_dtype, checked_weights, seeded_generator
from clusterlib.validation import checked_flag, checked_integer, checked_real

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import (
        ArrayLike,
        DTypeLike,
        Float64Array,
        FloatArray,
        IndexArray,
        RandomState,
    )

__all__ = ["equidistant_centers", "make_separated_mixture", "recovery_distance"]

# Rows are drawn in pieces of about this many numbers, so that float32 data need no float64 copy.
_PIECE = 2**20


@overload
def make_separated_mixture(
    n_samples: int = ...,
    n_features: int = ...,
    *,
    n_clusters: int = ...,
    separation: float = ...,
    weights: ArrayLike | None = ...,
    dtype: DTypeLike = ...,
    return_means: Literal[False] = ...,
    random_state: RandomState = ...,
) -> tuple[FloatArray, IndexArray]: ...
@overload
def make_separated_mixture(
    n_samples: int = ...,
    n_features: int = ...,
    *,
    n_clusters: int = ...,
    separation: float = ...,
    weights: ArrayLike | None = ...,
    dtype: DTypeLike = ...,
    return_means: Literal[True],
    random_state: RandomState = ...,
) -> tuple[FloatArray, IndexArray, Float64Array]: ...
def make_separated_mixture(
    n_samples: int = 1000,
    n_features: int = 20,
    *,
    n_clusters: int = 4,
    separation: float = 6.0,
    weights: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
    return_means: bool = False,
    random_state: RandomState = None,
) -> tuple[FloatArray, IndexArray] | tuple[FloatArray, IndexArray, Float64Array]:
    """Draw unit Gaussian noise around centres that are all equally far apart.

    Cluster k has its centre at ``separation / sqrt(2) * e_k`` with e_k the k-th axis, so that
    any two centres are ``separation`` standard deviations apart. With more clusters than features
    the centres stand on a circle, or with one feature on a line, and the nearest two are
    ``separation`` apart.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=20
        Number of columns.
    n_clusters : int, default=4
        Number of balls.
    separation : float, default=6.0
        Distance of the centres in standard deviations of the noise, at least 0.
    weights : array-like of shape (n_clusters,), default=None
        Shares of the clusters, scaled to sum to 1. None puts row i into cluster
        ``i % n_clusters``. With shares the clusters follow one another, and the end of each is
        its cumulated share of the rows, rounded down.
    dtype : dtype, default=float64
        float32 or float64. The numbers are drawn in float64.
    return_means : bool, default=False
        Whether to return the centres, too.
    random_state : None, int or RandomState, default=None
        The noise. An integer seeds NumPy's ``default_rng`` directly.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The rows.
    labels : ndarray of shape (n_samples,), intp
        Cluster of each row; the sizes are not random.
    means : ndarray of shape (n_clusters, n_features), float64
        The centres; only with ``return_means``.

    Raises
    ------
    ValueError
        If a number is out of range, the weights are not shares or dtype is another one.
    TypeError
        If an option is of the wrong kind.

    See Also
    --------
    recovery_distance : The separation above which every row can be told.
    make_heterogeneous_mixture : Clusters that differ in shape.

    Notes
    -----
    O(n_samples n_features) time, and no memory beyond X but for a piece of 8 MB.

    Examples
    --------
    >>> from clusterlib.datasets import make_separated_mixture
    >>> X, labels, means = make_separated_mixture(
    ...     90, 5, n_clusters=3, separation=8, return_means=True, random_state=0
    ... )
    >>> X.shape, labels[:4].tolist(), round(float(abs(means[0] - means[1]).max()), 2)
    ((90, 5), [0, 1, 2, 0], 5.66)
    """
    n_samples = checked_integer("n_samples", n_samples, 1)
    n_features = checked_integer("n_features", n_features, 1)
    n_clusters = checked_integer("n_clusters", n_clusters, 1)
    separation = checked_real("separation", separation, 0)
    dtype = checked_dtype(dtype)
    return_means = checked_flag("return_means", return_means)
    if weights is None:
        labels = np.arange(n_samples) % n_clusters
    else:
        ends = np.floor(n_samples * np.cumsum(checked_weights(weights, n_clusters)) + 1e-9)
        labels = np.searchsorted(ends[:-1], np.arange(n_samples), side="right")
    rng = seeded_generator(random_state)
    means = equidistant_centers(n_clusters, n_features, separation)
    X = np.empty((n_samples, n_features), dtype=dtype)
    n_rows = max(1, _PIECE // n_features)
    for start in range(0, n_samples, n_rows):
        own = labels[start : start + n_rows]
        X[start : start + n_rows] = means[own] + rng.normal(size=(len(own), n_features))
    return (X, labels, means) if return_means else (X, labels)


def recovery_distance(
    n_samples: int, n_features: int, n_clusters: int, *, sampling_rate: float = 1.0
) -> float:
    """Distance of the centres above which k-means by semidefinite programming makes no error.

    For balls of unit noise and equal sizes it is

        sqrt(4 log n (1 + sqrt(1 + K p / (g n log n))))

    with n rows, K clusters, p features and the share g of the rows that the program sees. With
    g = 1 this is the sharp threshold: above it the relaxation finds every label with a
    probability that tends to 1, below it no method does.

    Parameters
    ----------
    n_samples : int
        Number of rows, at least 2.
    n_features : int
        Number of columns.
    n_clusters : int
        Number of clusters.
    sampling_rate : float, default=1.0
        Share of the rows that the program is solved on, above 0 and at most 1.

    Returns
    -------
    distance : float
        In standard deviations of the noise, for ``separation`` of
        :func:`make_separated_mixture`.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If a number is of the wrong kind.

    References
    ----------
    .. [1] X. Chen and Y. Yang, "Cutoff for exact recovery of Gaussian mixture models", IEEE
       Transactions on Information Theory 67(6), 2021.
    .. [2] Y. Zhuang, X. Chen and Y. Yang, "Sketch-and-lift: scalable subsampled semidefinite
       program for K-means clustering", AISTATS 2022. Its simulations have n = 2000, K = 4,
       g = 0.1, p from 200 to 6000 and centres 1.2 times this distance apart, with equal weights
       and with weights 1, 1, 3, 3.

    Examples
    --------
    >>> from clusterlib.datasets import recovery_distance
    >>> round(recovery_distance(2000, 200, 4), 3), round(recovery_distance(2000, 20, 4), 3)
    (7.848, 7.803)
    """
    n_samples = checked_integer("n_samples", n_samples, 2)
    n_features = checked_integer("n_features", n_features, 1)
    n_clusters = checked_integer("n_clusters", n_clusters, 1)
    sampling_rate = checked_real("sampling_rate", sampling_rate, 0, 1, low_open=True)
    log_n = np.log(n_samples)
    noise = n_clusters * n_features / (sampling_rate * n_samples * log_n)
    return float(np.sqrt(4 * log_n * (1 + np.sqrt(1 + noise))))


def equidistant_centers(n_clusters, n_features, separation):
    """Centres at one distance from one another, as far as there is room for them.

    Parameters
    ----------
    n_clusters, n_features : int
        At least 1.
    separation : float
        Distance of the nearest two.

    Returns
    -------
    means : ndarray of shape (n_clusters, n_features), float64
        On the axes if there are as many, else on a circle or a line.

    Examples
    --------
    >>> from clusterlib.datasets._separated import equidistant_centers
    >>> equidistant_centers(3, 1, 2.0).ravel()
    array([0., 2., 4.])
    """
    means = np.zeros((n_clusters, n_features))
    if n_features >= n_clusters:
        np.fill_diagonal(means, separation / np.sqrt(2))
    elif n_features == 1:
        means[:, 0] = separation * np.arange(n_clusters)
    else:
        angles = 2 * np.pi * np.arange(n_clusters) / n_clusters
        radius = separation / (2 * np.sin(np.pi / n_clusters))
        means[:, 0], means[:, 1] = radius * np.cos(angles), radius * np.sin(angles)
    return means

"""Gaussian mixtures with chosen separation, shape and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from clusterlib.datasets._draws import checked_dtype, checked_weights, random_generator
from clusterlib.kernels import pairwise_distances
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

__all__ = ["MixtureParameters", "make_gaussian_mixture"]


class MixtureParameters(NamedTuple):
    """Parameters of a Gaussian mixture.

    Attributes
    ----------
    weights : ndarray of shape (n_components,), float64
        Probabilities of the components.
    means : ndarray of shape (n_components, n_features), float64
        Their centres.
    covariances : ndarray of shape (n_components, n_features, n_features), float64
        Their covariance matrices.
    """

    weights: Float64Array
    means: Float64Array
    covariances: Float64Array


@overload
def make_gaussian_mixture(
    n_samples: int = ...,
    n_features: int = ...,
    *,
    n_components: int = ...,
    weights: ArrayLike | None = ...,
    separation: float = ...,
    anisotropy: float = ...,
    shared_covariance: bool = ...,
    dtype: DTypeLike = ...,
    return_parameters: Literal[False] = ...,
    random_state: RandomState = ...,
) -> tuple[FloatArray, IndexArray]: ...
@overload
def make_gaussian_mixture(
    n_samples: int = ...,
    n_features: int = ...,
    *,
    n_components: int = ...,
    weights: ArrayLike | None = ...,
    separation: float = ...,
    anisotropy: float = ...,
    shared_covariance: bool = ...,
    dtype: DTypeLike = ...,
    return_parameters: Literal[True],
    random_state: RandomState = ...,
) -> tuple[FloatArray, IndexArray, MixtureParameters]: ...
def make_gaussian_mixture(
    n_samples: int = 1000,
    n_features: int = 2,
    *,
    n_components: int = 3,
    weights: ArrayLike | None = None,
    separation: float = 4.0,
    anisotropy: float = 1.0,
    shared_covariance: bool = False,
    dtype: DTypeLike = np.float64,
    return_parameters: bool = False,
    random_state: RandomState = None,
) -> tuple[FloatArray, IndexArray] | tuple[FloatArray, IndexArray, MixtureParameters]:
    """Draw from a mixture of Gaussians that are as far apart and as elongated as wanted.

    Every component has standard deviations from 1 down to ``1 / anisotropy``, in geometric
    steps, along the axes of a random rotation. Centres have random directions and are scaled so
    that the nearest two are ``separation`` apart.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=2
        Number of columns.
    n_components : int, default=3
        Number of Gaussians.
    weights : array-like of shape (n_components,), default=None
        Their shares, scaled to sum to 1. None takes equal ones.
    separation : float, default=4.0
        Distance of the nearest two centres in units of the largest standard deviation; 0 puts
        all centres into the origin.
    anisotropy : float, default=1.0
        Largest divided by smallest standard deviation of a component, at least 1. With more than
        1, k-means no longer fits the shape of the clusters.
    shared_covariance : bool, default=False
        Whether all components have the same rotation.
    dtype : dtype, default=float64
        float32 or float64.
    return_parameters : bool, default=False
        Whether to return the parameters, too.
    random_state : None, int or RandomState, default=None
        Parameters and rows.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The rows.
    y : ndarray of shape (n_samples,), intp
        Component of each row, drawn independently with the weights.
    parameters : MixtureParameters
        ``weights``, ``means`` and ``covariances``; only with ``return_parameters``.

    Raises
    ------
    ValueError
        If a number is out of range, the weights are not shares or dtype is another one.
    TypeError
        If an option is of the wrong kind.

    Notes
    -----
    O(n_samples n_features^2) time for ``anisotropy > 1``, else O(n_samples n_features).

    Examples
    --------
    >>> from clusterlib.datasets import make_gaussian_mixture
    >>> X, y, parameters = make_gaussian_mixture(
    ...     500, 3, n_components=2, anisotropy=4, return_parameters=True, random_state=0
    ... )
    >>> X.shape, round(float(abs(parameters.means[0] - parameters.means[1]).max()), 1) <= 4
    ((500, 3), True)
    """
    n_samples = checked_integer("n_samples", n_samples, 1)
    n_features = checked_integer("n_features", n_features, 1)
    n_components = checked_integer("n_components", n_components, 1)
    weights = checked_weights(weights, n_components)
    separation = checked_real("separation", separation, 0)
    anisotropy = checked_real("anisotropy", anisotropy, 1)
    shared_covariance = checked_flag("shared_covariance", shared_covariance)
    return_parameters = checked_flag("return_parameters", return_parameters)
    dtype = checked_dtype(dtype)
    rng = random_generator(random_state)
    means = _draw_means(rng, n_components, n_features, separation)
    deviations = np.geomspace(1.0, 1.0 / anisotropy, n_features)
    if n_features == 1:
        deviations = np.ones(1)
    if anisotropy == 1:  # a rotated sphere is the same sphere
        rotations = [np.eye(n_features)] * n_components
    elif shared_covariance:
        rotations = [_draw_rotation(rng, n_features)] * n_components
    else:
        rotations = [_draw_rotation(rng, n_features) for _ in range(n_components)]
    y = rng.choice(n_components, size=n_samples, p=weights)
    X = np.empty((n_samples, n_features), dtype=dtype)
    for component, (mean, rotation) in enumerate(zip(means, rotations, strict=True)):
        rows = np.flatnonzero(y == component)
        drawn = rng.normal(size=(len(rows), n_features))
        if anisotropy > 1:
            drawn = (drawn * deviations) @ rotation.T
        X[rows] = drawn + mean
    if not return_parameters:
        return X, y
    covariances = np.array([(rotation * deviations**2) @ rotation.T for rotation in rotations])
    return X, y, MixtureParameters(weights, means, covariances)


def _draw_means(rng, n_components, n_features, separation):
    means = rng.normal(size=(n_components, n_features))
    if n_components == 1:
        return means * 0.0
    distances = pairwise_distances(means, means, metric="euclidean")
    return means * (separation / distances[~np.eye(n_components, dtype=bool)].min())


def _draw_rotation(rng, n_features):
    """An orthogonal matrix from the uniform (Haar) law: QR with the signs of R taken out."""
    q, r = np.linalg.qr(rng.normal(size=(n_features, n_features)))
    return q * np.sign(np.diagonal(r))

"""Mixtures of von Mises-Fisher laws: clusters on the unit sphere, as embeddings form them."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np

from clusterlib.datasets._draws import checked_dtype, checked_weights, random_generator
from clusterlib.kernels.checks import as_matrix, as_vector, check_finite
from clusterlib.validation import checked_flag, checked_integer

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

__all__ = ["make_von_mises_fisher"]

# Gaussian numbers drawn at a time; a constant, because the answer for a seed depends on it.
_CHUNK_VALUES = 1 << 20


@overload
def make_von_mises_fisher(
    n_samples: int = ...,
    n_features: int = ...,
    *,
    n_components: int = ...,
    weights: ArrayLike | None = ...,
    concentration: float | ArrayLike | None = ...,
    means: ArrayLike | None = ...,
    dtype: DTypeLike = ...,
    return_means: Literal[False] = ...,
    random_state: RandomState = ...,
) -> tuple[FloatArray, IndexArray]: ...
@overload
def make_von_mises_fisher(
    n_samples: int = ...,
    n_features: int = ...,
    *,
    n_components: int = ...,
    weights: ArrayLike | None = ...,
    concentration: float | ArrayLike | None = ...,
    means: ArrayLike | None = ...,
    dtype: DTypeLike = ...,
    return_means: Literal[True],
    random_state: RandomState = ...,
) -> tuple[FloatArray, IndexArray, Float64Array]: ...
def make_von_mises_fisher(
    n_samples: int = 1000,
    n_features: int = 64,
    *,
    n_components: int = 8,
    weights: ArrayLike | None = None,
    concentration: float | ArrayLike | None = None,
    means: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
    return_means: bool = False,
    random_state: RandomState = None,
) -> tuple[FloatArray, IndexArray] | tuple[FloatArray, IndexArray, Float64Array]:
    """Draw unit rows from a mixture of von Mises-Fisher laws, exactly.

    The density of a component on the sphere is proportional to ``exp(kappa <mu, x>)``. The cosine
    to the mean direction is drawn by rejection from a Beta envelope ([1]_, with the correction of
    [2]_), the direction within its circle of latitude uniformly.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=64
        Dimension of the space, at least 2.
    n_components : int, default=8
        Number of clusters.
    weights : array-like of shape (n_components,), default=None
        Their shares, scaled to sum to 1. None takes equal ones.
    concentration : float or array-like of shape (n_components,), default=None
        kappa of each cluster, at least 0 (0 is the uniform law). None takes ``n_features``: then
        the mean cosine to the centre is about 0.62 whatever the dimension. In general a mean
        cosine r needs about ``n_features r / (1 - r^2)``.
    means : array-like of shape (n_components, n_features), default=None
        Mean directions, scaled to unit length. None draws them uniformly, which in high
        dimensions makes them nearly orthogonal.
    dtype : dtype, default=float64
        float32 or float64.
    return_means : bool, default=False
        Whether to return the mean directions, too.
    random_state : None, int or RandomState, default=None
        Mean directions and rows.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        Rows of unit length, up to rounding.
    y : ndarray of shape (n_samples,), intp
        Component of each row, drawn independently with the weights.
    means : ndarray of shape (n_components, n_features), float64
        The mean directions; only with ``return_means``.

    Raises
    ------
    ValueError
        If a number is out of range, an array has the wrong shape, a mean is zero or dtype is
        another one.
    TypeError
        If an option is of the wrong kind.

    Notes
    -----
    O(n_samples n_features) time; beside the result, memory for about a million numbers and a few
    for each row. Of the proposed cosines 66 % or more are accepted, in any dimension.

    References
    ----------
    .. [1] G. Ulrich, "Computer generation of distributions on the m-sphere", Applied Statistics
       33(2), 1984.
    .. [2] A. T. A. Wood, "Simulation of the von Mises Fisher distribution", Communications in
       Statistics - Simulation and Computation 23(1), 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_von_mises_fisher
    >>> X, y, means = make_von_mises_fisher(2000, 256, return_means=True, random_state=0)
    >>> bool(np.allclose(np.linalg.norm(X, axis=1), 1))
    True
    >>> round(float(np.einsum("ij,ij->i", X, means[y]).mean()), 2)
    0.62
    """
    n_samples = checked_integer("n_samples", n_samples, 1)
    n_features = checked_integer("n_features", n_features, 2)
    n_components = checked_integer("n_components", n_components, 1)
    weights = checked_weights(weights, n_components)
    if concentration is None:
        concentration = float(n_features)
    concentration = as_vector("concentration", concentration, n_components, low=0.0)
    dtype, return_means = checked_dtype(dtype), checked_flag("return_means", return_means)
    rng = random_generator(random_state)
    means = _mean_directions(rng, means, (n_components, n_features))
    y = rng.choice(n_components, size=n_samples, p=weights)
    drop = _draw_drops(rng, concentration[y], n_features)
    X = np.empty((n_samples, n_features), dtype=dtype)
    step = max(1, _CHUNK_VALUES // n_features)
    for start in range(0, n_samples, step):
        rows = slice(start, min(start + step, n_samples))
        X[rows] = _place(rng, means[y[rows]], drop[rows, None])
    return (X, y, means) if return_means else (X, y)


def _mean_directions(rng, means, shape):
    if means is None:
        means = rng.normal(size=shape)
    else:
        means = as_matrix("means", means).astype(np.float64)
        if means.shape != shape:
            raise ValueError(
                f"means must have shape (n_components, n_features)={shape}, got {means.shape}"
            )
        check_finite("means", means)
        largest = np.abs(means).max(axis=1, keepdims=True)
        if not largest.all():
            raise ValueError("means must not have a row of zeros")
        means = means / largest  # first to 1, so that squares stay in range
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _draw_drops(rng, kappa, n_features):
    """Draw ``1 - cosine`` to the mean for every row.

    Written in ``1 - cosine``, every term keeps its precision for huge kappa, where the cosines
    themselves all round to 1. With b = (d - 1) / (2 kappa + sqrt(4 kappa^2 + (d - 1)^2)) and
    x0 = (1 - b) / (1 + b), a proposal w = (1 - (1 + b) z) / (1 - (1 - b) z), z from a Beta law, is
    accepted if kappa (w - x0) + (d - 1) log((1 - x0 w) / (1 - x0^2)) >= log(u).
    """
    m = n_features - 1
    b = m / (2 * kappa + np.hypot(2 * kappa, m))
    drop = np.empty_like(kappa)
    pending = np.arange(len(kappa))
    while len(pending):
        b_now = b[pending]
        one_minus_x0 = 2 * b_now / (1 + b_now)
        x0 = (1 - b_now) / (1 + b_now)
        z = rng.beta(m / 2, m / 2, size=len(pending))
        proposed = 2 * b_now * z / (1 - (1 - b_now) * z)
        log_ratio = kappa[pending] * (one_minus_x0 - proposed) + m * np.log(
            (one_minus_x0 + x0 * proposed) / (4 * b_now / (1 + b_now) ** 2)
        )
        accepted = log_ratio >= -rng.exponential(size=len(pending))
        drop[pending[accepted]] = proposed[accepted]
        pending = pending[~accepted]
    return drop


def _place(rng, means, drop):
    """Put rows at the given ``1 - cosine`` from their means, in uniform directions around them."""
    tangents = rng.normal(size=means.shape)
    for _ in range(2):  # a second time for draws that are nearly parallel to the mean
        tangents -= np.einsum("ij,ij->i", tangents, means)[:, None] * means
    tangents *= np.sqrt(drop * (2 - drop)) / np.linalg.norm(tangents, axis=1, keepdims=True)
    return (1 - drop) * means + tangents

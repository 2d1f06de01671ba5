"""How embeddings spread over the unit sphere: uniformity, and tolerance to samples of a class."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import cluster_sums, pairwise_logsumexp
from clusterlib.kernels.checks import as_matrix, check_finite
from clusterlib.metrics._labels import encode_labels

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike

__all__ = ["tolerance", "uniformity"]


def _check_rows(X):
    """Refuse too few rows, and rows without a direction."""
    if len(X) < 2:
        raise ValueError(f"X must have at least 2 rows, got {len(X)}")
    zero_rows = ~X.any(axis=1)
    if zero_rows.any():
        raise ValueError(f"row {int(np.argmax(zero_rows))} of X is zero; it has no direction")


def uniformity(X: ArrayLike, t: float = 2.0) -> float:
    """Uniformity loss of embeddings on the unit sphere; the lower, the more evenly spread.

    ``log mean_{i != j} exp(-t |x_i - x_j|^2)`` over the rows scaled to unit length, the
    logarithm of the mean Gaussian potential [1]_.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        At least 2 embeddings, none of them zero; they need not have unit length. float32 and
        float64 are not copied.
    t : float, default=2.0
        Sharpness of the potential, above 0.

    Returns
    -------
    loss : float
        In [-4 t, 0]: 0 if all directions are equal. For large n_features and directions drawn
        uniformly it tends to -2 t.

    Raises
    ------
    ValueError
        If X is not a matrix of finite numbers with at least 2 rows and without zero rows, or t is
        not above 0 and finite.
    TypeError
        If X does not hold real numbers or t is not a number.

    See Also
    --------
    tolerance : What too much uniformity destroys.

    Notes
    -----
    O(n_samples^2 n_features) time, O(n_samples n_features) memory: the potentials are summed
    while the distances are formed, no n x n matrix is stored. Since ``|x - y|^2`` is twice the
    cosine distance of unit rows, the sum is a log-sum-exp over cosine distances at inverse
    temperature ``2 t``.

    References
    ----------
    .. [1] T. Wang and P. Isola, "Understanding contrastive representation learning through
       alignment and uniformity on the hypersphere", ICML 2020, section 4.1.2.

    Examples
    --------
    >>> from clusterlib.metrics import uniformity
    >>> round(uniformity([[1.0, 0.0], [-3.0, 0.0]]), 6)
    -8.0
    """
    if isinstance(t, bool) or not isinstance(t, Real):
        raise TypeError(f"t must be a number, got {t!r}")
    if not (math.isfinite(t) and t > 0):
        raise ValueError(f"t must be finite and above 0, got {t}")
    X = as_matrix("X", X)
    _check_rows(X)
    group = np.arange(len(X))  # everybody is a group, so that nobody meets himself
    lse = pairwise_logsumexp(
        X,
        X,
        metric="cosine",
        inverse_temperature=2.0 * float(t),
        x_group=group,
        y_group=group,
        mask="different",
    ).astype(np.float64)
    highest = lse.max()
    total = float(highest) + math.log(np.exp(lse - highest).sum())
    return min(0.0, total - math.log(len(X)) - math.log(len(X) - 1))


def tolerance(X: ArrayLike, y: ArrayLike) -> float:
    """Tolerance of embeddings: mean cosine similarity of two samples of the same class.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings, none of them zero; they need not have unit length. float32 and float64 are
        not copied.
    y : array-like of shape (n_samples,)
        Classes: numbers, strings, booleans or hashable objects. At least one class must have two
        samples.

    Returns
    -------
    similarity : float
        In [-1, 1]: the mean of ``<x_i, x_j>`` of unit rows over all pairs i != j with
        ``y_i = y_j``; 1 if every class is one point of the sphere.

    Raises
    ------
    ValueError
        If X is not a matrix of finite numbers without zero rows, y has another length or missing
        labels, or no class has two samples.
    TypeError
        If X does not hold real numbers or a label is not hashable.

    See Also
    --------
    uniformity : The quantity it competes with.

    Notes
    -----
    O(n_samples n_features) time: over one class the similarities sum to
    ``|sum_i x_i|^2 - sum_i |x_i|^2``. The expectation over all pairs of samples, with an
    indicator of the same class [1]_, is this value times the share of such pairs.

    References
    ----------
    .. [1] F. Wang and H. Liu, "Understanding the behaviour of contrastive loss", CVPR 2021,
       section 4.

    Examples
    --------
    >>> from clusterlib.metrics import tolerance
    >>> tolerance([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], ["a", "a", "b"])
    1.0
    """
    X = as_matrix("X", X)
    classes, codes = encode_labels("y", y, len(X))
    _check_rows(X)
    sizes = np.bincount(codes)
    n_pairs = int((sizes * (sizes - 1)).sum())
    if n_pairs == 0:
        raise ValueError("no class of y has two samples")
    X, norms = _with_norms(X)
    sums, _ = cluster_sums(X, codes, len(classes), sample_weight=1.0 / norms)
    # A row of unit length counts 1 in the square of its class's sum.
    similarity = (float(np.vdot(sums, sums)) - len(X)) / n_pairs
    return max(-1.0, min(1.0, similarity))


def _with_norms(X):
    """Return X, rescaled where squares would leave float64, and the lengths of its rows."""
    largest = np.maximum(X.max(axis=1), -X.min(axis=1)).astype(np.float64)
    check_finite("X", largest)
    if largest.max() > 1e150 or largest.min() < 1e-150:
        X = np.ldexp(X, -np.frexp(largest)[1][:, None])
    return X, np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))

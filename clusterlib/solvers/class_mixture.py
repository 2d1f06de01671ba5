"""Gaussian components shared by all classes: q(class | row) where clusters overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import LEAF_ROWS, tempered_posterior

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from clusterlib.typing import Array, Float64Array, FloatArray, Int32Array, IntArray

__all__ = ["ClassMixture", "class_mixture"]

_COMPONENT_ITERATIONS = 8
_CLASS_ITERATIONS = 30
# Exponent of the factors of EM for the classes: it converges below 2, and the faster.
_RELAXATION = 1.8
# It ends when an iteration gains no more than this for each row, in nats.
_LEAST_GAIN = 3e-5
# What every component gives every class, as a part of its own rows.
_FLOOR = 1e-5
_SMALLEST = 1e-7
_PRIOR_ROWS = 0.5


class ClassMixture(NamedTuple):
    """Class probabilities as those of Gaussian components, weighted by what a row owes to each.

    Attributes
    ----------
    origin : ndarray of shape (p,), dtype of X
        Subtracted from the rows.
    centers : ndarray of shape (n_components, p), dtype of X
        Means, from that origin.
    variance : float
        Of every component in every direction.
    log_weights : ndarray of shape (n_components,), float64
        Logarithms of the shares of the components.
    classes : ndarray of shape (n_components, k), dtype of X
        q(class | component); rows sum to 1.
    """

    origin: FloatArray
    centers: FloatArray
    variance: float
    log_weights: Float64Array
    classes: FloatArray

    def pooled(self, rows: FloatArray) -> FloatArray:
        """q(class | row), shape (len(rows), k)."""
        pooled = self.memberships(rows) @ self.classes
        pooled += pooled.dtype.type(_SMALLEST)
        return pooled / pooled.sum(axis=1, keepdims=True)

    def reordered(self, order: IntArray) -> Self:
        """The same model with the classes in another order."""
        return self._replace(classes=np.ascontiguousarray(self.classes[:, order]))

    def memberships(self, rows: FloatArray) -> FloatArray:
        """q(component | row), shape (len(rows), n_components)."""
        scores = (rows - self.origin) @ (self.centers.T / rows.dtype.type(self.variance))
        lengths = np.square(self.centers).sum(axis=1) / (2 * self.variance)
        scores += (self.log_weights - lengths).astype(rows.dtype)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


def class_mixture(
    X: FloatArray,
    domains: Int32Array,
    targets: FloatArray,
    domain_given_class: Array,
    centers: FloatArray,
    *,
    callback: Callable[..., Any] | None = None,
) -> ClassMixture:
    """Fit Gaussian components to rows, and classes to their domains.

    First the components alone: equal spherical covariances, means and shares by EM. Then, with
    r_ij the membership of row i in component j, EM for ``h_i = sum_j r_ij B_j`` in
    ``sum_i log sum_y D[d_i, y] h_iy``, over the classes B_j of the components and over D.

    Parameters
    ----------
    X : ndarray of shape (n, p), float32 or float64
        The rows.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    targets : ndarray of shape (n, k), dtype of X
        Class probabilities to begin with.
    domain_given_class : ndarray of shape (r, k)
        q(domain | class) to begin with, above 0.
    centers : ndarray of shape (n_components, p), dtype of X
        Means to begin with.
    callback : None or callable, default=None
        ``callback(iteration, log_likelihood)`` after each iteration for B; True stops.

    Returns
    -------
    mixture : ClassMixture
        Parameters in the dtype of X.

    Notes
    -----
    O(n J (p + k)) time for an iteration and O(n J) memory, for J components.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import class_mixture
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 400)
    >>> X = classes[:, None] * 4.0 + rng.normal(size=(400, 2))
    >>> domains = np.where(rng.random(400) < 0.9, classes, 1 - classes).astype(np.int32)
    >>> D = np.array([[0.6, 0.4], [0.4, 0.6]])
    >>> mixture = class_mixture(X, domains, D[domains], D, X[:8])
    >>> float(np.mean(mixture.pooled(X).argmax(axis=1) == classes)) > 0.95
    True
    """
    components = _components(X, centers, targets.shape[1])
    memberships = np.concatenate([components.memberships(X[cut]) for cut in _chunks(len(X))])
    shares = memberships.sum(axis=0, dtype=np.float64)
    classes = _class_rows(memberships.T @ targets, shares).astype(X.dtype)
    D, log_likelihood = domain_given_class, -np.inf
    for iteration in range(1, _CLASS_ITERATIONS + 1):
        pooled = memberships @ classes
        step = tempered_posterior(
            pooled, D, domains, return_posterior=True, return_responsibilities=False
        )
        ratios = memberships.T @ (step.posterior / pooled)
        factors = (ratios / np.maximum(shares, _FLOOR)[:, None]) ** _RELAXATION
        classes = _class_rows(classes * factors, np.ones(len(shares))).astype(X.dtype)
        counts = step.totals + _PRIOR_ROWS / len(D)
        D = D * (counts / counts.sum(axis=0) / D) ** _RELAXATION
        D /= D.sum(axis=0)
        before, log_likelihood = log_likelihood, step.log_likelihood / len(X)
        if callback is not None and callback(iteration, log_likelihood):
            break
        if log_likelihood - before <= _LEAST_GAIN:
            break
    return components._replace(classes=classes)


def _chunks(n_rows):
    return [slice(start, start + LEAF_ROWS) for start in range(0, n_rows, LEAF_ROWS)]


def _components(X, centers, n_classes):
    """Means, shares and the variance by EM, without classes."""
    origin = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
    total = float(np.square(X - origin, dtype=np.float64).sum())
    least = np.finfo(X.dtype).eps * total / X.size
    n_components = len(centers)
    mixture = ClassMixture(
        origin,
        centers - origin,
        max(total / X.size * n_components ** (-2 / X.shape[1]), least, np.finfo(X.dtype).tiny),
        np.full(n_components, -np.log(n_components)),
        np.full((n_components, n_classes), 1 / n_classes, dtype=X.dtype),
    )
    for _ in range(_COMPONENT_ITERATIONS):
        shares, sums = np.zeros(n_components), np.zeros(centers.shape)
        for cut in _chunks(len(X)):
            memberships = mixture.memberships(X[cut])
            shares += memberships.sum(axis=0)
            sums += memberships.T @ (X[cut] - origin)
        means = sums / np.maximum(shares, _FLOOR)[:, None]
        within = (total - float((means * sums).sum())) / X.size
        mixture = mixture._replace(
            centers=means.astype(X.dtype),
            variance=max(within, least, np.finfo(X.dtype).tiny),
            log_weights=np.log((shares + _FLOOR) / len(X)),
        )
    return mixture


def _class_rows(masses, shares):
    """q(class | component), of which no class is quite absent."""
    rows = masses + _FLOOR * (shares[:, None] + 1) / masses.shape[1]
    return rows / rows.sum(axis=1, keepdims=True)

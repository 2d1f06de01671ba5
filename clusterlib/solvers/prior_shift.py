"""Class shares of unlabelled rows, from posteriors that were made for other shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg, optimize

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray

__all__ = [
    "ShiftedPrior",
    "prior_ratio",
    "prior_scores",
    "reweighted_posteriors",
    "shifted_prior",
]

_CHUNK_ROWS = 8192
# What keeps the Hessian definite where two classes cannot be told apart, as a part of its trace.
_RIDGE = 1e-12
# The share of a Newton step that is halved no further; an EM step follows.
_SHORTEST_STEP = 2.0**-12
# What rounding may take from a log-likelihood.
_NOISE = 1e-14
# EM steps before: cheap, and good where a quadratic model is not.
_EM_STEPS = 4
# Priors that differ by less than this are equal, up to rounding.
_STILL = 1e-15
# A start gets this much of every class, which else an EM step could never bring back.
_START_FLOOR = 1e-6


class ShiftedPrior(NamedTuple):
    """Class shares of highest likelihood, and how near they are to the optimum.

    Attributes
    ----------
    prior : ndarray of shape (n_classes,), float64
        Not negative, of sum 1.
    log_likelihood : float
        Weighted mean of the logarithms, over the rows that say anything.
    gap : float
        No prior has a log-likelihood that is higher by more than this.
    n_iter : int
        Steps taken.
    converged : bool
        Whether the gap is within the tolerance.
    history : ndarray of shape (n_iter + 1,), float64
        Log-likelihood of the start and after each step; it never falls.
    """

    prior: Float64Array
    log_likelihood: float
    gap: float
    n_iter: int
    converged: bool
    history: Float64Array


def shifted_prior(
    posteriors: FloatArray,
    source_prior: Array,
    *,
    weight: Array | None = None,
    start: Array | None = None,
    max_iter: int = 1000,
    tol: float = 1e-9,
    newton: bool = True,
) -> ShiftedPrior:
    """Class shares of rows, given their posteriors under the shares of a source.

    Maximises ``sum_i w_i log sum_y (pi_y / b_y) h_iy``, with the weights w scaled to sum 1, over
    the priors pi in the simplex: the likelihood of a label shift, which is concave. EM alone
    ("the prior is the mean of the adjusted posteriors", [1]_) takes hundreds of steps where
    classes overlap. Here each step minimises a quadratic model over ``pi >= 0`` exactly, as in
    [2]_, and falls back to EM.

    Parameters
    ----------
    posteriors : ndarray of shape (n_samples, n_classes), float32 or float64
        h: probabilities of the classes under the source prior, not negative. Rows need no sum of
        1; their scale changes the log-likelihood by a constant.
    source_prior : ndarray of shape (n_classes,)
        b: the mean of the posteriors **over the source**, not the class frequencies where the two
        differ. A class with ``b_y = 0`` gets the share 0 and what the posteriors say of it is
        ignored; rows that give mass to such classes alone say nothing and are left out.
    weight : ndarray of shape (n_samples,), default=None
        Weights of rows, not negative; None is 1 for each.
    start : ndarray of shape (n_classes,), default=None
        Where to begin; None begins at the source prior.
    max_iter : int, default=1000
        Most steps.
    tol : float, default=1e-9
        Ends when the gap is at most this.
    newton : bool, default=True
        Whether to take more than EM steps.

    Returns
    -------
    result : ShiftedPrior
        Named tuple of ``prior``, ``log_likelihood``, ``gap``, ``n_iter``, ``converged`` and
        ``history``. Without any row that says something, the source prior.

    Notes
    -----
    With g the gradient, ``sum_y pi_y g_y = 1``, and by concavity no prior is better by more than
    ``max_y g_y - 1``, which is the gap. A step takes O(n k^2) time (O(n k) with EM alone), and
    five to ten steps are usual; memory for a chunk of rows. Sums run over chunks of a fixed
    number of rows, in float64.

    References
    ----------
    .. [1] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to
       new a priori probabilities", Neural Computation 14(1), 2002.
    .. [2] Y. Kim, P. Carbonetto, M. Stephens and M. Anitescu, "A fast algorithm for maximum
       likelihood estimation of mixture proportions using sequential quadratic programming",
       J. Comput. Graph. Stat. 29(2), 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import shifted_prior
    >>> posteriors = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> result = shifted_prior(posteriors, np.array([0.5, 0.5]))
    >>> result.prior.round(6), result.converged
    (array([0.75, 0.25]), True)
    """
    problem = _Problem(posteriors, np.asarray(source_prior, dtype=np.float64), weight)
    prior = problem.source_prior if start is None else np.asarray(start, dtype=np.float64)
    prior = np.where(problem.live, prior, 0.0) + _START_FLOOR * problem.source_prior
    prior = prior / prior.sum()
    value, gradient, hessian = problem.derivatives(prior, False)
    history = [value]
    while len(history) <= max_iter and gradient.max() - 1.0 > tol:
        moved = None if hessian is None else problem.newton_step(prior, value, gradient, hessian)
        if moved is None:
            moved = prior * gradient  # EM; the sum is 1 up to rounding
            moved /= moved.sum()
        second = newton and len(history) >= _EM_STEPS
        moved_value, *derivatives = problem.derivatives(moved, second)
        if moved_value <= value and np.abs(moved - prior).max() <= _STILL:
            break  # rounding: nothing moves any more
        prior, value = moved, max(value, moved_value)
        gradient, hessian = derivatives
        history.append(value)
    gap = max(0.0, float(gradient.max()) - 1.0)
    return ShiftedPrior(prior, value, gap, len(history) - 1, gap <= tol, np.array(history))


def prior_ratio(prior: Array, source_prior: Array) -> Float64Array:
    """Divide two priors, class by class: the importance weights of the classes.

    Parameters
    ----------
    prior, source_prior : ndarray of shape (n_classes,) or (n_domains, n_classes)
        Not negative; broadcast against each other.

    Returns
    -------
    ratio : ndarray of the broadcast shape, float64
        0 where the source prior is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import prior_ratio
    >>> prior_ratio(np.array([0.2, 0.8, 0.0]), np.array([0.4, 0.6, 0.0])).round(3)
    array([0.5  , 1.333, 0.   ])
    """
    prior, source_prior = np.broadcast_arrays(prior, source_prior)
    ratio = np.zeros(prior.shape)
    return np.divide(prior, source_prior, out=ratio, where=source_prior > 0)


def reweighted_posteriors(posteriors: FloatArray, ratio: Array) -> FloatArray:
    """Posteriors under another prior: ``h_iy r_y``, with rows of sum 1.

    Parameters
    ----------
    posteriors : ndarray of shape (n_samples, n_classes), float32 or float64
        Not negative.
    ratio : ndarray of shape (n_classes,) or (n_samples, n_classes)
        New prior over old one, as from :func:`prior_ratio`; its scale does not matter.

    Returns
    -------
    posteriors : ndarray of shape (n_samples, n_classes), float32 or float64
        In the dtype of the given ones. A row with mass only where the ratio is 0 counts as one
        that says nothing: it gets what a flat row would get.

    Notes
    -----
    O(n k) time and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import reweighted_posteriors
    >>> reweighted_posteriors(np.array([[0.5, 0.5]]), np.array([0.5, 1.5]))
    array([[0.25, 0.75]])
    """
    ratio = np.asarray(ratio, dtype=posteriors.dtype)
    products = posteriors * ratio
    sums = products.sum(axis=1, keepdims=True)
    silent = sums[:, 0] <= 0
    if silent.any():
        products[silent] = np.broadcast_to(ratio, products.shape)[silent]
        sums[silent] = products[silent].sum(axis=1, keepdims=True)
    products /= sums
    return products


def prior_scores(posteriors, prior, source_prior):
    """Scores of the rows: what each adds to the gradient of the log-likelihood at a prior.

    Parameters
    ----------
    posteriors : ndarray of shape (n_samples, n_classes)
        As in :func:`shifted_prior`.
    prior, source_prior : ndarray of shape (n_classes,)
        The prior of the rows, and that of the posteriors.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float64
        ``(h_iy / b_y) / sum_z (pi_z / b_z) h_iz``; 0 for rows that say nothing, and for classes
        that the source lacks. Their mean over the rows that say something is the gradient, and
        the mean of their outer products is minus the Hessian.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.prior_shift import prior_scores
    >>> prior_scores(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.25, 0.75]), np.full(2, 0.5))
    array([[4., 0.],
           [1., 1.]])
    """
    scores = posteriors * prior_ratio(1.0, source_prior)
    sums = (scores @ prior)[:, None]
    return np.divide(scores, sums, out=np.zeros_like(scores), where=sums > 0)


class _Problem:
    """The log-likelihood of one batch of rows, with its derivatives, chunk by chunk."""

    def __init__(self, posteriors, source_prior, weight):
        self.live = source_prior > 0
        self.source_prior = source_prior / source_prior.sum()
        self._inverse = prior_ratio(1.0, self.source_prior)
        self._posteriors = posteriors
        n_samples = len(posteriors)
        weight = np.ones(n_samples) if weight is None else np.asarray(weight, dtype=np.float64)
        says_something = np.empty(n_samples, dtype=bool)
        for part in self._parts():
            says_something[part] = posteriors[part] @ self.live.astype(posteriors.dtype) > 0
        weight = np.where(says_something, weight, 0.0)
        total = weight.sum()
        self._weight = weight / total if total > 0 else weight
        self._is_empty = not total > 0

    def _parts(self):
        n_samples = len(self._posteriors)
        return [slice(i, i + _CHUNK_ROWS) for i in range(0, n_samples, _CHUNK_ROWS)]

    def _chunks(self, prior):
        """Scaled posteriors, mixtures and weights of the rows with weight, chunk by chunk."""
        for part in self._parts():
            scaled = self._posteriors[part] * self._inverse
            weight = self._weight[part]
            mixture = scaled @ prior
            yield scaled, np.where(weight > 0, mixture, 1.0), weight

    def value(self, prior):
        """Return the log-likelihood; minus infinity if the prior rules a row out."""
        with np.errstate(divide="ignore"):
            return float(sum(w @ np.log(mixture) for _, mixture, w in self._chunks(prior)))

    def derivatives(self, prior, second):
        """Log-likelihood, gradient and minus the Hessian, None if that is not wanted."""
        n_classes = len(prior)
        value, gradient = 0.0, np.zeros(n_classes)
        hessian = np.zeros((n_classes, n_classes)) if second else None
        if self._is_empty:
            return 0.0, np.ones(n_classes), hessian
        for scaled, mixture, weight in self._chunks(prior):
            value += float(weight @ np.log(mixture))
            gradient += (weight / mixture) @ scaled
            if second:
                scaled *= (np.sqrt(weight) / mixture)[:, None]
                hessian += scaled.T @ scaled
        return value, gradient, hessian

    def newton_step(self, prior, value, gradient, hessian):
        """Return the best prior of the quadratic model, cut until it is better; None if never.

        Without its constraint on the sum the problem is to minimise ``sum(q) - L(q)`` over
        ``q >= 0``: the optimum has the sum 1 by itself. As ``hessian @ prior`` is the gradient,
        the model at ``prior`` is ``q' hessian q / 2 - q' (2 gradient - 1)``, a problem of
        non-negative least squares.
        """
        ridge = _RIDGE * np.trace(hessian)
        try:
            lower = linalg.cholesky(hessian + ridge * np.eye(len(prior)), lower=True)
            aim = linalg.solve_triangular(lower, 2.0 * gradient - 1.0, lower=True)
            best = optimize.nnls(lower.T, aim)[0]
        except (linalg.LinAlgError, RuntimeError):
            return None
        best[~self.live] = 0.0
        if not (np.isfinite(best).all() and best.sum() > 0):
            return None
        best /= best.sum()
        expected = float(gradient @ (best - prior))
        # Near the optimum a full step gains less than what rounding hides.
        value -= _NOISE * (1.0 + abs(value))
        step = 1.0
        while step >= _SHORTEST_STEP and expected > 0:
            moved = prior + step * (best - prior)
            if self.value(moved) >= value + 1e-4 * step * expected:
                return moved
            step /= 2.0
        return None

"""Logistic regressions of the domains of rows, one without each fold, from the same passes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize

from clusterlib.blocks import as_blocks, leaf_sum, mapped, tree_reduce
from clusterlib.kernels import LEAF_ROWS, row_softmax

if TYPE_CHECKING:
    from typing import Self

    from clusterlib.blocks._mapped import MappedBlocks
    from clusterlib.typing import Float64Array, FloatArray, Int32Array, IntArray, Rows

__all__ = ["DomainLogistic", "domain_logistic", "standard_units"]

_MEAN_ROUNDING = LEAF_ROWS * 2.0**-52


class DomainLogistic(NamedTuple):
    """What :func:`domain_logistic` found: a model for each fold, and one of all rows behind them.

    Attributes
    ----------
    center, scale : ndarray of shape (p,), float64
        Mean and standard deviation of each feature; 1 for a constant one.
    parameters : ndarray of shape (n_folds + 1, r, p + 1), float64
        Weights of the standardised features for each domain, and the intercepts last.
    n_iter : int
        Iterations.
    n_passes : int
        Times that X was read.
    converged : bool
        Whether the gradient ended below the tolerance.
    """

    center: Float64Array
    scale: Float64Array
    parameters: Float64Array
    n_iter: int
    n_passes: int
    converged: bool

    def probabilities(self, rows: FloatArray) -> Float64Array:
        """q(domain | row) by the model of all rows, shape (len(rows), r), float64."""
        found = np.empty((len(rows), self.parameters.shape[1]))
        for start in range(0, len(rows), LEAF_ROWS):
            leaf = slice(start, start + LEAF_ROWS)
            design = _design(rows[leaf], self.center, self.scale)
            found[leaf] = _softmax(design, self.parameters[-1])[0]
        return found

    def of_all(self) -> Self:
        """The model of all rows alone."""
        return self._replace(parameters=self.parameters[-1:])

    def unseen(self, rows: FloatArray, folds: IntArray | None) -> Float64Array:
        """q(domain | row) by the model that has not seen the fold of the row, or by that of all.

        For at most ``LEAF_ROWS`` rows; ``folds`` may be None.
        """
        if folds is None:
            return self.probabilities(rows)
        design = _design(rows, self.center, self.scale)
        found = np.empty((len(rows), self.parameters.shape[1]))
        for fold, parameters in enumerate(self.parameters[:-1]):
            held = folds == fold
            if held.any():
                found[held] = _softmax(design[held], parameters)[0]
        return found

    def carried(self, X: Rows, folds: IntArray | None = None) -> MappedBlocks:
        """A carrier of :meth:`unseen` of the rows of X, worked out when they are read."""
        beside = () if folds is None else (folds,)
        read = _by_all if folds is None else _by_unseen
        fn = partial(read, model=self)
        return mapped(X, fn, self.parameters.shape[1], np.float64, beside=beside)


def domain_logistic(
    X: Rows,
    codes: Int32Array,
    n_domains: int,
    *,
    C: float,
    folds: IntArray | None = None,
    n_folds: int = 0,
    max_iter: int = 200,
    tol: float = 5e-3,
) -> DomainLogistic:
    """Fit logistic regressions of the domain of a row: without each fold, and to all rows.

    Each model minimises the mean of ``-log softmax(W z + b)[code]`` over its N rows plus
    ``|W|^2 / (2 C N)``, for standardised features z: the penalty of scikit-learn, for two domains
    as well. All models are fitted together, as one problem whose parts do not touch each other,
    so that X is read as often as for one.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p)
        The rows, on the host.
    codes : ndarray of shape (n,), int32
        Domain of each row, from 0 to n_domains - 1.
    n_domains : int
        How many there are, 2 at least.
    C : float
        Inverse strength of the penalty.
    folds : None or ndarray of shape (n,), int
        Fold of each row; the model of a fold does not see its rows.
    n_folds : int, default=0
        How many folds.
    max_iter : int, default=200
        Most iterations.
    tol : float, default=5e-3
        Stop when no entry of the gradient of any mean is larger than ``tol / n_domains``: shares of
        many domains are small, and so are the gradients that belong to them.

    Returns
    -------
    fit : DomainLogistic

    Notes
    -----
    L-BFGS: one pass for each evaluation, 15 to 40 as a rule, and one pass for the units.
    O(n n_folds r p) time for a pass; memory for some leaves and, 20 times at most, for the
    parameters, (n_folds + 1) r (p + 1) numbers. The bits do not depend on the carrier.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_logistic
    >>> X = np.array([[0.0], [1.0], [1.0], [2.0]])
    >>> fit = domain_logistic(X, np.array([0, 0, 1, 1], dtype=np.int32), 2, C=1.0)
    >>> fit.probabilities(np.array([[1.0]])).round(3)
    array([[0.5, 0.5]])
    """
    blocks = as_blocks(X)
    center, scale = standard_units(blocks)
    counts = np.bincount(codes, minlength=n_domains).astype(np.float64)
    totals = np.full(n_folds + 1, blocks.n_samples, np.float64)
    if n_folds:
        totals[:-1] -= np.bincount(folds, minlength=n_folds)
    totals = np.maximum(totals, 1.0)
    shape = n_folds + 1, n_domains, blocks.n_features + 1
    start = np.zeros(shape)
    start[:, :, -1] = np.log(np.maximum(counts, 0.5)) - np.log(np.maximum(counts, 0.5)).mean()
    # With two domains scikit-learn has one vector of weights, which stands for both of ours.
    strength = (2.0 if n_domains == 2 else 1.0) / C
    n_passes = 1

    def loss(flat):
        nonlocal n_passes
        n_passes += 1
        parameters = flat.reshape(shape)
        values, slopes = blocks.map_reduce(
            _of_block, _added, (codes, folds), (parameters, center, scale)
        )
        weights = parameters[:, :, :-1]
        penalties = 0.5 * strength * np.square(weights).sum(axis=(1, 2))
        gradient = -slopes
        gradient[:, :, :-1] += strength * weights
        gradient /= totals[:, None, None]
        return float(((penalties - values) / totals).sum()), gradient.ravel()

    tol /= n_domains
    options = {"maxiter": max_iter, "maxfun": 50 * max_iter, "ftol": 0.0, "gtol": tol}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    converged = bool(np.abs(found.jac).max() <= tol)
    return DomainLogistic(
        center, scale, found.x.reshape(shape).copy(), int(found.nit), n_passes, converged
    )


def standard_units(X):
    """Mean and standard deviation of each feature, in one pass.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p)
        The rows.

    Returns
    -------
    center, scale : ndarray of shape (p,), float64
        A feature that is constant, to rounding, has the scale 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.domain_logistic import standard_units
    >>> standard_units(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 1.]))
    """
    n, center, squares = as_blocks(X).map_reduce(_moments, _merged_moments)
    scale = np.sqrt(squares / n)
    # A constant column differs from its mean by the rounding of the mean.
    scale[scale <= _MEAN_ROUNDING * np.abs(center)] = 1.0
    return center, scale


def _moments(rows):
    return tree_reduce(_merged_moments, map(_moments_of_leaf, _cut(rows)))


def _moments_of_leaf(rows):
    rows = rows.astype(np.float64)
    center = rows.mean(axis=0)
    rows -= center
    return len(rows), center, np.square(rows, out=rows).sum(axis=0)


def _merged_moments(left, right):
    """Number, means and squared deviations of two parts together."""
    n = left[0] + right[0]
    move = right[1] - left[1]
    center = left[1] + move * (right[0] / n)
    return n, center, left[2] + right[2] + np.square(move) * (left[0] * right[0] / n)


def _cut(rows):
    for start in range(0, len(rows), LEAF_ROWS):
        yield rows[start : start + LEAF_ROWS]


def _of_block(rows, codes, folds, parameters, center, scale):
    """Log-likelihoods of the models and their gradients."""
    folds = np.full(len(rows), -1) if folds is None else folds
    leaves = zip(_cut(rows), _cut(codes), _cut(folds), strict=True)
    parts = (_of_leaf(*leaf, parameters, center, scale) for leaf in leaves)
    return tree_reduce(_added, parts)


def _of_leaf(rows, codes, folds, parameters, center, scale):
    design = _design(rows, center, scale)
    values, slopes = np.empty(len(parameters)), np.empty(parameters.shape)
    for model, own in enumerate(parameters):
        seen = folds != model  # no row is of the fold behind the last one
        part, labels = design[seen], codes[seen]
        values[model], slopes[model] = _of_model(part, labels, own)
    return values, slopes


def _of_model(design, codes, parameters):
    if len(design) == 0:
        return 0.0, np.zeros(parameters.shape)
    scores = design @ parameters.T
    own = np.arange(len(codes)), codes
    logs = scores[own].copy()
    posteriors, lse, _ = row_softmax(scores, out=scores)
    slopes = np.negative(posteriors, out=posteriors)
    slopes[own] += 1.0
    return leaf_sum(logs - lse), slopes.T @ design


def _softmax(design, parameters):
    scores = design @ parameters.T
    return row_softmax(scores, out=scores)


def _design(rows, center, scale):
    design = np.ones((len(rows), len(center) + 1))
    np.subtract(rows, center, out=design[:, :-1])
    design[:, :-1] /= scale
    return design


def _added(left, right):
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _by_all(rows, *, model):
    return model.unseen(rows, None)


def _by_unseen(rows, folds, *, model):
    return model.unseen(rows, folds)

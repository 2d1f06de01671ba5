"""Multinomial logistic regression where labels may be wrong, by known probabilities of each label."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize

from clusterlib.blocks import as_blocks
from clusterlib.solvers.noisy_logistic_loss import (
    LabelLikelihood,
    MeanLoss,
    coefficient_units,
    weighted_mean,
)
from clusterlib.solvers.row_results import row_results

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Float64Array, IntArray, Rows

__all__ = ["NoisyLogistic", "noisy_logistic", "noisy_logistic_scores"]

# Evaluations that a line search may take: one or two as a rule.
_LINE_EVALUATIONS = 50


class NoisyLogistic(NamedTuple):
    """What :func:`noisy_logistic` found.

    Attributes
    ----------
    coefficients : ndarray of shape (n_classes, n_features), float64
        Weights of the features in the score of each class. They add up to 0 over the classes, to
        rounding.
    intercepts : ndarray of shape (n_classes,), float64
        Offsets of the scores, without the logarithms of ``class_prior``; their mean is 0.
    objective : float
        Penalised log-likelihood of the labels.
    n_iter : int
        Iterations done; 0 if the start was good enough.
    converged : bool
        Whether the largest entry of the gradient is no larger than ``tol``.
    history : ndarray of shape (n_iter,), float64
        Objective after each iteration. It never falls.
    """

    coefficients: Float64Array
    intercepts: Float64Array
    objective: float
    n_iter: int
    converged: bool
    history: Float64Array


def noisy_logistic(
    X: Rows,
    codes: IntArray,
    n_classes: int,
    *,
    C: float,
    transition: Float64Array | None = None,
    class_prior: Float64Array | None = None,
    sample_weight: Array | None = None,
    start: NoisyLogistic | None = None,
    max_iter: int = 200,
    tol: float = 1e-4,
    callback: Callable[..., Any] | None = None,
) -> NoisyLogistic:
    """Fit a logistic regression of the classes to labels that are wrong with known probabilities.

    Maximises ``sum_i w_i log sum_k p_k(x_i) T[k, label_i] - |W|^2 / (2 C)``, where ``p(x)`` is the
    softmax of ``W x + b + log class_prior``. The probabilities are those of the classes, not of the
    labels: what the transition explains need not be explained by the features.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host. Each evaluation reads them once, block by block.
    codes : ndarray of int of shape (n_samples,)
        Given labels, from 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    C : float
        Inverse strength of the penalty, positive, for the sum of the losses of all rows as in
        scikit-learn; infinity for none. Two classes have two rows of coefficients here: the fit is
        that of scikit-learn with ``2 C``.
    transition : ndarray of shape (n_classes, n_classes), float64, default=None
        Probability of each label, in columns, for each class, in rows. None: no label is wrong.
    class_prior : ndarray of shape (n_classes,), float64, default=None
        Shares of the classes whose logarithms are added to the scores; 0 rules a class out. None
        adds nothing.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative, not all 0; rows of weight 0 are left out, whatever they hold. None
        means 1.
    start : NoisyLogistic, default=None
        Where to start, say the fit for another C. None starts at 0.
    max_iter : int, default=200
        Most iterations, at least 1.
    tol : float, default=1e-4
        Stop when no entry of the gradient of the objective, divided by the weight of all rows, is
        larger in size. The gradient is that in the coefficients of centred features of about unit
        variance, whatever the variance of X; see the notes.
    callback : callable, default=None
        ``callback(n_iter, objective)`` after each iteration; True stops.

    Returns
    -------
    fit : NoisyLogistic
        ``converged`` looks at the gradient of what is returned and at nothing else. Where rounding
        ends the search before, as it does for a ``tol`` below about 1e-8, it is False.

    Raises
    ------
    ValueError
        If X has NaN or infinity in a row with weight, or a label of such a row is impossible by
        ``transition`` and ``class_prior``.

    Notes
    -----
    L-BFGS [3]_, O(n K m) time for each evaluation, of which an iteration needs one as a rule: two
    matrix products and two exponentials for each row and class, one if ``transition`` is None.
    Memory: O(K m log(n / 4096)) for partial sums and a few times 4096 rows; no array holds a number
    for each row and class. Arithmetic is in float64. Results do not depend on how the rows are cut
    into blocks.

    Features are centred on the way, and the intercepts corrected at the end: as nothing penalises
    intercepts the optimum is the same, and large offsets of the features do no harm. The search
    measures the coefficients of a feature in units of ``(v + K^2 / (C w (K - 1)))^(-1/2)``, with v
    the variance of the feature and w the weight of all rows, so that all of them have similar
    curvatures; what is penalised are the coefficients of X as it is. Without a transition the
    objective is concave. With one it is not in general, and the start decides which of several
    optima is found.

    References
    ----------
    .. [1] J. Bootkrajang, A. Kaban, "Label-noise robust logistic regression and its applications",
       ECML PKDD 2012: the model.
    .. [2] G. Patrini, A. Rozza, A. Menon, R. Nock, L. Qu, "Making deep neural networks robust to
       label noise: a loss correction approach", CVPR 2017: the loss, called forward correction.
    .. [3] R. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM J. Sci. Comput. 16(5), 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import noisy_logistic, noisy_logistic_scores
    >>> X = np.repeat([[-1.0], [0.5], [2.0]], 20, axis=0)
    >>> codes = np.repeat([0, 1, 1], 20)
    >>> codes[20:32] = 0  # most rows of class 1 in the middle are labelled wrongly
    >>> transition = np.array([[1.0, 0.0], [0.6, 0.4]])
    >>> fit = noisy_logistic(X, codes, 2, C=10.0, transition=transition)
    >>> noisy_logistic_scores(np.array([[-1.0], [0.5]]), fit).argmax(axis=1)
    array([0, 1])
    """
    blocks = as_blocks(X)
    center, total = weighted_mean(blocks, sample_weight)
    likelihood = LabelLikelihood(blocks, codes, sample_weight, center, transition, class_prior)
    likelihood.check_labels(n_classes)
    units = coefficient_units(blocks, sample_weight, center, total, C, n_classes)
    loss = MeanLoss(likelihood, total, C, units)
    history = []

    def after_iteration(intermediate_result):
        history.append(-total * float(intermediate_result.fun))
        if callback is not None and callback(len(history), history[-1]):
            raise StopIteration

    options = {
        "maxiter": max_iter,
        "maxfun": _LINE_EVALUATIONS * (max_iter + 1),
        "maxls": _LINE_EVALUATIONS,
        "ftol": 0.0,  # nothing but the gradient decides
        "gtol": tol,
    }
    found = minimize(
        loss,
        (_start(start, center, n_classes) / units).ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=after_iteration,
        options=options,
    )
    value, gradient = loss(found.x)
    parameters = loss.parameters(found.x)
    intercepts = parameters[:, -1] - parameters[:, :-1] @ center
    return NoisyLogistic(
        parameters[:, :-1].copy(),
        intercepts - intercepts.mean(),
        -total * value,
        len(history),
        bool(np.abs(gradient).max() <= tol),
        np.array(history),
    )


def noisy_logistic_scores(X: Rows, fit: NoisyLogistic) -> Float64Array:
    """Scores of rows in the classes of a fit, without the logarithms of a prior.

    The class with the highest one is the decision for a ``class_prior`` of equal shares; with
    ``np.log(class_prior)`` added it is that for the shares of the fit.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host.
    fit : NoisyLogistic
        What :func:`noisy_logistic` returned.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float64
        ``X @ fit.coefficients.T + fit.intercepts``. Only differences between classes
        matter.

    Notes
    -----
    O(n K m) time; besides the result, memory for some rows.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import noisy_logistic, noisy_logistic_scores
    >>> X = np.array([[-3.0], [-2.0], [2.0], [3.0]])
    >>> fit = noisy_logistic(X, np.array([0, 0, 1, 1]), 2, C=1.0)
    >>> noisy_logistic_scores(np.array([[-9.0], [1.0]]), fit).argmax(axis=1)
    array([0, 1])
    """
    weights = fit.coefficients.T

    def of_rows(rows):
        return rows @ weights + fit.intercepts

    return row_results(of_rows, as_blocks(X))


def _start(start, center, n_classes):
    """Parameters to start with, for centred features, adding up to 0 over the classes."""
    if start is None:
        return np.zeros((n_classes, len(center) + 1))
    intercepts = start.intercepts + start.coefficients @ center
    parameters = np.column_stack([start.coefficients, intercepts])
    # The likelihood stays as it is, and the penalty does not rise.
    return parameters - parameters.mean(axis=0)

"""What a classifier of wrongly labelled rows is put together from, and how its parts score rows."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import row_softmax
from clusterlib.solvers.noisy_gaussian_scores import noisy_gaussian_scores
from clusterlib.solvers.noisy_gaussian_sweep import log_label_probabilities
from clusterlib.solvers.noisy_gaussians import NoisyGaussians, noisy_gaussians
from clusterlib.solvers.noisy_logistic import (
    NoisyLogistic,
    noisy_logistic,
    noisy_logistic_scores,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from clusterlib.typing import Array, Float64Array, IndexArray, IntArray

__all__ = [
    "LabelParts",
    "PartKind",
    "balanced",
    "fitted_parts",
    "noisy_label_logs",
    "other_classes",
    "part_scores",
]

# Right labels that a class is taken to have at least, where weights are divided by their number.
_FEWEST_RIGHT_LABELS = 1.0
# Rows that are looked at in one go.
_ROWS = 4096


class PartKind(StrEnum):
    """Parts of a classifier: all score rows as if classes had equal shares.

    Strings, and compared as such: formats that run no code while they read know no members.

    Attributes
    ----------
    LOGISTIC : str
        "logistic", logistic regression of the labels, each class counting the same.
    WEIGHTED : str
        "weighted", the same with labels weighted by the probability that they are right.
    TRANSITION : str
        "transition", logistic regression with the transition in its likelihood.
    GAUSSIAN : str
        "gaussian", the classes of a noise model.
    """

    LOGISTIC = "logistic"
    WEIGHTED = "weighted"
    TRANSITION = "transition"
    GAUSSIAN = "gaussian"


class LabelParts(NamedTuple):
    """What :func:`fitted_parts` found.

    Attributes
    ----------
    gaussians : tuple of NoisyGaussians
        One for each view of the rows.
    logistic : tuple of tuple (kind, C, NoisyLogistic)
        The fits of the other parts, with their kind and strength. No dict: formats that store
        estimators without running code know no tuples as keys.
    transition : ndarray of shape (n_classes, n_classes), float64
        Mean over the views.
    class_prior : ndarray of shape (n_classes,), float64
        Mean over the views.
    label_quality : ndarray of shape (n_samples,), float64
        Mean over the views.
    label_shares : ndarray of shape (n_classes,), float64
        Shares of the labels.
    """

    gaussians: tuple[NoisyGaussians, ...]
    logistic: tuple[tuple[PartKind, float, NoisyLogistic], ...]
    transition: Float64Array
    class_prior: Float64Array
    label_quality: Float64Array
    label_shares: Float64Array


def fitted_parts(
    views: Sequence[Array],
    codes: IntArray,
    n_classes: int,
    shrinkages: Sequence[float],
    strengths: dict[str, Any],
    *,
    sample_weight: Array | None = None,
    **options: Any,
) -> LabelParts:
    """Fit a noise model to each view of rows, and logistic regressions to the first view.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features of the view)
        The same rows in different features.
    codes : ndarray of shape (n_samples,), int
        Given labels, from 0 to ``n_classes - 1``; each has a row of weight above 0.
    n_classes : int
        Number of classes.
    shrinkages : sequence of float
        Of the noise model of each view.
    strengths : dict
        For each :class:`PartKind` but GAUSSIAN, a sequence of C, rising, in scikit-learn's scale.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative. None means 1.
    **options : dict
        Further ones for :func:`noisy_gaussians`.

    Returns
    -------
    parts : LabelParts

    Notes
    -----
    LOGISTIC weighs every label so that classes count the same. WEIGHTED multiplies by the
    probability that the label is right first. TRANSITION looks for the classes behind the labels
    with the transition of the noise models in its likelihood. Time and memory are those of the fits.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PartKind, fitted_parts
    >>> X, codes = np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> parts = fitted_parts([X], codes, 2, [5.0], {PartKind.WEIGHTED: [0.1, 1.0]})
    >>> [C for kind, C, fit in parts.logistic]
    [0.1, 1.0]
    """
    gaussians = tuple(
        noisy_gaussians(
            rows, codes, n_classes, shrinkage=shrinkage, sample_weight=sample_weight, **options
        )
        for rows, shrinkage in zip(views, shrinkages, strict=True)
    )
    weight = np.ones(len(codes)) if sample_weight is None else sample_weight
    quality = np.mean([fit.label_quality for fit in gaussians], axis=0)
    transition = np.mean([fit.transition for fit in gaussians], axis=0)
    class_prior = np.mean([fit.class_prior for fit in gaussians], axis=0)
    shares = np.bincount(codes, weights=weight, minlength=n_classes) / weight.sum()
    settings = {
        PartKind.LOGISTIC: {"sample_weight": balanced(weight, codes, n_classes)},
        PartKind.WEIGHTED: {"sample_weight": balanced(weight * quality, codes, n_classes)},
        PartKind.TRANSITION: {
            "sample_weight": weight,
            "transition": transition,
            "class_prior": class_prior,
        },
    }
    logistic = []
    for kind, several in strengths.items():
        fit = None
        for C in several:
            fit = noisy_logistic(views[0], codes, n_classes, C=C, start=fit, **settings[kind])
            logistic.append((kind, C, fit))
    return LabelParts(gaussians, tuple(logistic), transition, class_prior, quality, shares)


def balanced(weight, codes, n_classes):
    """Weights by which all classes count the same, with the sum that they had.

    A class with hardly any weight stays below the others, or a single row would decide.
    """
    totals = np.bincount(codes, weights=weight, minlength=n_classes)
    # Where all weights are small, hardly any is what no single row has.
    fewest = min(_FEWEST_RIGHT_LABELS, weight.max())
    return weight * (weight.sum() / n_classes / np.maximum(totals, fewest))[codes]


def part_scores(views: Sequence[Array], parts: LabelParts, name: tuple[Any, ...]) -> Float64Array:
    """Log densities, or logarithms of probabilities, of rows in the classes by one part.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features of the view)
        Rows, as for :func:`fitted_parts`.
    parts : LabelParts
        What that returned.
    name : tuple
        The kind and C; the number of the view in the place of C for GAUSSIAN.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float64
        Of classes with equal shares; 0 for the highest of each row.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PartKind, fitted_parts, part_scores
    >>> X, codes = np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> parts = fitted_parts([X], codes, 2, [5.0], {})
    >>> part_scores([X], parts, (PartKind.GAUSSIAN, 0)).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    kind, which = name
    if kind == PartKind.GAUSSIAN:
        scores = noisy_gaussian_scores(views[which], parts.gaussians[which])
    else:
        fit = next(fit for *other, fit in parts.logistic if tuple(other) == name)
        scores = noisy_logistic_scores(views[0], fit)
    return scores - scores.max(axis=1, keepdims=True)


def noisy_label_logs(scores, codes, log_prior, transition):
    """Logarithms of the probabilities of given labels, by scores of classes with equal shares.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes), float64
        As :func:`part_scores` has them.
    codes : ndarray of shape (n_samples,), int
        Given labels.
    log_prior : ndarray of shape (n_classes,), float64
        Logarithms of the shares of the classes.
    transition : ndarray of shape (n_classes, n_classes), float64, or None
        Probability of each label, in columns, for each class, in rows. None: scores and prior are
        those of labels.

    Returns
    -------
    logs : ndarray of shape (n_samples,), float64
        ``log sum_k p_k T[k, label]``, with p the softmax of the scores plus the prior.
    """
    joint = scores + log_prior
    total = row_softmax(joint).lse
    if transition is not None:
        joint += log_label_probabilities(transition)[codes]
        return np.logaddexp.reduce(joint, axis=1) - total
    return joint[np.arange(len(codes)), codes] - total


def other_classes(views: Sequence[Array], codes: IntArray, parts: LabelParts) -> IndexArray:
    """Find for each row the class that it most likely has if its label is wrong.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features of the view)
        The fitted rows.
    codes : ndarray of shape (n_samples,), int
        Their labels.
    parts : LabelParts
        What :func:`fitted_parts` returned for them.

    Returns
    -------
    codes : ndarray of shape (n_samples,), intp
        The class of the highest posterior, mean over the views, among all but the label; the lower
        one on ties, and the label itself where there is no other class.

    Notes
    -----
    For one view it is what :func:`likely_other_classes` finds. Memory for some rows besides.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import fitted_parts, other_classes
    >>> X, codes = np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> other_classes([X], codes, fitted_parts([X], codes, 2, [5.0], {}))
    array([1, 1, 0, 0])
    """
    found = np.empty(len(codes), dtype=np.intp)
    for start in range(0, len(codes), _ROWS):
        stop = min(start + _ROWS, len(codes))
        labels, total = codes[start:stop], 0.0
        for rows, fit in zip(views, parts.gaussians, strict=True):
            joint = noisy_gaussian_scores(rows[start:stop], fit) + np.log(fit.class_prior)
            joint += log_label_probabilities(fit.transition)[labels]
            total = total + row_softmax(joint, out=joint).posteriors
        total[np.arange(len(labels)), labels] = -1.0
        found[start:stop] = total.argmax(axis=1)
    return found

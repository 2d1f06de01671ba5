"""Choosing how to classify from wrong labels, by how well left-out labels are foretold."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from clusterlib.solvers.label_folds import N_FOLDS, label_folds, paired_loss, stratified_rows
from clusterlib.solvers.label_parts import (
    PartKind,
    fitted_parts,
    noisy_label_logs,
    part_scores,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from clusterlib.solvers.label_parts import LabelParts
    from clusterlib.typing import Array, Float64Array, IntArray

__all__ = [
    "HeadChoice",
    "HeadKind",
    "LabelHead",
    "choose_head",
    "head_scores",
    "spread",
]

# C of logistic regressions of rows with a mean variance of 1.
_STRENGTHS = {
    PartKind.LOGISTIC: (0.001, 0.01, 0.1, 1.0),
    PartKind.WEIGHTED: (0.001, 0.01, 0.1, 1.0),
    PartKind.TRANSITION: (0.01, 0.1, 1.0),
}
# What is taken unseen where too few rows can be left out.
_USUAL_STRENGTH = 0.01
_FEWEST_SCORED = 4
# Fits that are only compared need no more.
_PRIOR_ITER = 10
# Logarithms of the factors by which scores may be too sure, or not sure enough.
_FACTORS = (-8.0, 4.0)
_FACTOR_TOLERANCE = 0.02
# Scores that differ by less are equal: where nothing but rounding tells heads apart.
_ROUNDING = 1e-10


class HeadKind(StrEnum):
    """Ways to classify, the simplest first.

    Attributes
    ----------
    LOGISTIC : str
        "logistic", logistic regression of the labels as they are.
    WEIGHTED : str
        "weighted", the same with labels weighted by the probability that they are right.
    GAUSSIAN : str
        "gaussian", the classes of the noise models.
    COMBINED : str
        "combined", the sum of the two before.
    TRANSITION : str
        "transition", logistic regression of the classes behind the labels.
    """

    LOGISTIC = "logistic"
    WEIGHTED = "weighted"
    GAUSSIAN = "gaussian"
    COMBINED = "combined"
    TRANSITION = "transition"

    @classmethod
    def recovered(cls) -> tuple[HeadKind, ...]:
        """Heads that rest on what the noise model says of each label.

        The others may foretell labels better for a bad reason: they imitate wrong ones that depend
        on where a row lies.

        Returns
        -------
        kinds : tuple of HeadKind
            WEIGHTED, GAUSSIAN and COMBINED.
        """
        return cls.WEIGHTED, cls.GAUSSIAN, cls.COMBINED


class LabelHead(NamedTuple):
    """A classifier: a sum of the scores of parts.

    Attributes
    ----------
    kind : HeadKind
        Which it is.
    parts : tuple
        Names of its parts, as :func:`~clusterlib.solvers.label_parts.part_scores` has them.
    factors : tuple of float
        What their scores are multiplied by.
    """

    kind: HeadKind
    parts: tuple[Any, ...]
    factors: tuple[float, ...]

    def strengths(self) -> dict[str, Any]:
        """The logistic regressions among the parts, as :func:`fitted_parts` takes them.

        Returns
        -------
        strengths : dict
            A list with one C for each kind.
        """
        return {kind: [C] for kind, C in self.parts if kind != PartKind.GAUSSIAN}


class HeadChoice(NamedTuple):
    """What :func:`choose_head` found.

    Attributes
    ----------
    head : LabelHead
        The one that is taken.
    heads : tuple of LabelHead
        The best of each kind that was compared, the simplest first.
    scores : ndarray of shape (n_kinds,), float64
        Mean log probability of the given labels of rows that were left out; NaN where there were
        too few of them to score.
    standard_errors : ndarray of shape (n_kinds,), float64
        Of the differences to the best score; 0 for the best.
    n_scored : int
        Rows that were left out once.
    """

    head: LabelHead
    heads: tuple[LabelHead, ...]
    scores: Float64Array
    standard_errors: Float64Array
    n_scored: int


def choose_head(
    views: Sequence[Array],
    codes: IntArray,
    n_classes: int,
    shrinkages: Sequence[float],
    rng: np.random.Generator,
    *,
    kinds: tuple[HeadKind, ...] | None = None,
    sample_weight: Array | None = None,
    max_rows: int = 3000,
    max_iter: int = 40,
    tol: float = 1e-4,
    callback: Callable[..., Any] | None = None,
) -> HeadChoice:
    """Choose how to classify by cross-validation with labels that may be wrong.

    Rows are left out in 3 folds and the parts of all heads fitted to the others. The scores of a
    part are multiplied by the factor with which they foretell the labels of left-out rows best,
    through the transition of the noise model; so are their sums. A head is as good as the mean log
    probability of these labels. Of those whose paired difference to the best is at most its standard
    error the combined one is taken, which leans on no single model, or else the simplest. The page on
    noisy labels in the documentation compares this rule with others.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features of the view)
        The same rows in different features; logistic regressions see the first.
    codes : ndarray of shape (n_samples,), int
        Given labels, from 0 to ``n_classes - 1``; each has a row of weight above 0.
    n_classes : int
        Number of classes.
    shrinkages : sequence of float
        Of the noise model of each view, as in :func:`noisy_gaussians`.
    rng : numpy.random.Generator
        Deals the rows to folds.
    kinds : tuple of HeadKind, default=None
        Those that are compared. None takes :meth:`HeadKind.recovered`.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative. None means 1. Rows of weight 0 are as if they were absent.
    max_rows : int, default=3000
        Of more rows a sample of about this size is drawn, each class in proportion.
    max_iter : int, default=40
        For :func:`noisy_gaussians`.
    tol : float, default=1e-4
        Likewise.
    callback : callable, default=None
        ``callback(fold)`` after the fits without this fold.

    Returns
    -------
    choice : HeadChoice
        Where fewer than 4 rows can be left out, the simplest head is taken unseen.

    Notes
    -----
    Three fits of each noise model to two thirds of the rows, and of 4 logistic regressions, 11 with
    all kinds.
    Memory: the scores of ``max_rows`` rows by all parts.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import choose_head
    >>> rng = np.random.default_rng(0)
    >>> classes = np.repeat([0, 1, 2], 100)
    >>> X = np.eye(3)[classes] * 4 + rng.normal(size=(300, 3))
    >>> codes = np.where(rng.random(300) < 0.3, rng.integers(0, 3, 300), classes)
    >>> choice = choose_head([X], codes, 3, [15.0], rng)
    >>> choice.head.kind, choice.n_scored
    (<HeadKind.WEIGHTED: 'weighted'>, 300)
    """
    rows = stratified_rows(codes, sample_weight, max_rows, rng)
    weight = None if sample_weight is None else sample_weight[rows]
    views, codes = [view[rows] for view in views], codes[rows]
    folds = label_folds(codes, rng)
    kinds = HeadKind.recovered() if kinds is None else tuple(k for k in HeadKind if k in kinds)
    n_scored = int(np.count_nonzero(folds >= 0))
    if n_scored < _FEWEST_SCORED:
        return _unseen(kinds, len(views), spread(views[0], weight), n_scored)
    strengths = _strengths(kinds, spread(views[0], weight))
    left_out = _LeftOut(codes, weight, folds)
    for fold in range(N_FOLDS):
        kept = folds != fold
        parts = fitted_parts(
            [view[kept] for view in views],
            codes[kept],
            n_classes,
            shrinkages,
            strengths,
            sample_weight=None if weight is None else weight[kept],
            prior_iter=_PRIOR_ITER,
            max_iter=max_iter,
            tol=tol,
        )
        left_out.add(fold, [view[~kept] for view in views], parts)
        if callback is not None:
            callback(fold)
    found = [_best_head(kind, left_out, len(views), strengths) for kind in kinds]
    heads, logs = zip(*found, strict=True)
    scores = np.array([(left_out.share * of_rows).mean() for of_rows in logs])
    losses = [paired_loss(logs[scores.argmax()], of_rows, left_out.share) for of_rows in logs]
    within = [loss <= error + _ROUNDING for loss, error in losses]
    alike = [head for head, near in zip(heads, within, strict=True) if near]
    combined = [head for head in alike if head.kind == HeadKind.COMBINED]
    errors = np.array([error for _, error in losses])
    return HeadChoice([*combined, *alike][0], heads, scores, errors, n_scored)


def head_scores(views: Sequence[Array], parts: LabelParts, head: LabelHead) -> Float64Array:
    """Scores of rows by a head: logarithms of the probabilities of classes with equal shares.

    Parameters
    ----------
    views : sequence of ndarray of shape (n_samples, n_features of the view)
        Rows.
    parts : LabelParts
        Fitted, with those of the head among them.
    head : LabelHead
        The head.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float64
        Each row up to a constant.

    Notes
    -----
    O(n K m^2) time if Gaussians of their own covariances are among the parts, else O(n K m). Two
    arrays of this shape at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import HeadKind, LabelHead, PartKind, fitted_parts, head_scores
    >>> X, codes = np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> parts = fitted_parts([X], codes, 2, [5.0], {PartKind.WEIGHTED: [1.0]})
    >>> head = LabelHead(HeadKind.WEIGHTED, ((PartKind.WEIGHTED, 1.0),), (1.0,))
    >>> head_scores([np.array([[-1.0], [4.0]])], parts, head).argmax(axis=1)
    array([0, 1])
    """
    scores = 0.0
    for name, factor in zip(head.parts, head.factors, strict=True):
        scores = scores + factor * part_scores(views, parts, name)
    return scores


class _LeftOut:
    """Scores of left-out rows by all parts, and what turns them into probabilities of labels."""

    def __init__(self, codes, weight, folds):
        self._folds, self._codes = folds, codes
        self._scored = folds >= 0
        share = np.ones(len(codes)) if weight is None else weight
        self.share = share[self._scored] / share[self._scored].mean()
        self.scores = {}
        self._channels = []

    def add(self, fold, views, parts):
        """Keep the scores of the rows of a fold by parts that were fitted without them."""
        held = self._folds == fold
        names = [(PartKind.GAUSSIAN, view) for view in range(len(views))]
        for name in [*names, *((kind, C) for kind, C, _ in parts.logistic)]:
            scores = part_scores(views, parts, name)
            if name not in self.scores:
                self.scores[name] = np.zeros((len(held), scores.shape[1]))
            self.scores[name][held] = scores
        with np.errstate(divide="ignore"):
            priors = np.log(parts.class_prior), np.log(parts.label_shares)
        self._channels.append((held, *priors, parts.transition))

    def logs(self, scores, *, of_labels):
        """Log probability of every left-out label; ``of_labels``: the scores are those of labels."""
        found = np.empty(len(self._codes))
        for held, log_prior, log_shares, transition in self._channels:
            logs = log_shares if of_labels else log_prior
            through = None if of_labels else transition
            found[held] = noisy_label_logs(scores[held], self._codes[held], logs, through)
        return found[self._scored]

    def factor(self, scores, *, of_labels=False):
        """The factor of scores by which labels are foretold best, and their logs then."""

        def loss(logarithm):
            logs = self.logs(np.exp(logarithm) * scores, of_labels=of_labels)
            return -(self.share * logs).mean()

        options = {"xatol": _FACTOR_TOLERANCE}
        found = minimize_scalar(loss, bounds=_FACTORS, method="bounded", options=options)
        factor = float(np.exp(found.x))
        return factor, self.logs(factor * scores, of_labels=of_labels)


def spread(rows, weight):
    """Mean variance of the features; 1 where there is none."""
    rows = rows.astype(np.float64)  # squares may leave float32
    mean = np.average(rows, axis=0, weights=weight)
    variance = float(np.average(np.square(rows - mean).mean(axis=1), weights=weight))
    return variance if variance > 0 else 1.0


def _strengths(kinds, unit):
    """C of all logistic regressions that the heads need, for rows of this mean variance."""
    needed = {
        HeadKind.LOGISTIC: PartKind.LOGISTIC,
        HeadKind.WEIGHTED: PartKind.WEIGHTED,
        HeadKind.COMBINED: PartKind.WEIGHTED,
        HeadKind.TRANSITION: PartKind.TRANSITION,
    }
    parts = {needed[kind] for kind in kinds if kind in needed}
    return {p: [C / unit for C in several] for p, several in _STRENGTHS.items() if p in parts}


def _part_of(kind):
    return PartKind.WEIGHTED if kind == HeadKind.COMBINED else PartKind(kind)


def _best_head(kind, left_out, n_views, strengths):
    """The head of a kind with its best strength and factors, and the logs of left-out labels."""
    of_labels = kind == HeadKind.LOGISTIC
    names, factors = [], []
    if kind in (HeadKind.GAUSSIAN, HeadKind.COMBINED):
        names = [(PartKind.GAUSSIAN, view) for view in range(n_views)]
        factors = [left_out.factor(left_out.scores[name])[0] for name in names]
    if kind != HeadKind.GAUSSIAN:
        part = _part_of(kind)
        found = {
            C: left_out.factor(left_out.scores[part, C], of_labels=of_labels)
            for C in strengths[part]
        }
        best = max(found, key=lambda C: (left_out.share * found[C][1]).mean())
        names.append((part, best))
        factors.append(found[best][0])
    total = sum(f * left_out.scores[name] for f, name in zip(factors, names, strict=True))
    factor, logs = left_out.factor(total, of_labels=of_labels)
    return LabelHead(kind, tuple(names), tuple(factor * f for f in factors)), logs


def _unseen(kinds, n_views, unit, n_scored):
    """The simplest head, with what is usual."""
    heads = tuple(_usual_head(kind, n_views, _USUAL_STRENGTH / unit) for kind in kinds)
    nothing = np.full((2, len(kinds)), np.nan)
    return HeadChoice(heads[0], heads, *nothing, n_scored)


def _usual_head(kind, n_views, C):
    names = []
    if kind in (HeadKind.GAUSSIAN, HeadKind.COMBINED):
        names = [(PartKind.GAUSSIAN, view) for view in range(n_views)]
    if kind != HeadKind.GAUSSIAN:
        names.append((_part_of(kind), C))
    return LabelHead(kind, tuple(names), (1.0,) * len(names))

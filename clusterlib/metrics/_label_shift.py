"""Scores of latent label shift: labels and class shares under one matching, and yardsticks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from clusterlib.kernels.checks import as_matrix, check_finite
from clusterlib.metrics._labels import contingency_table, encode_labels

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, IndexArray

__all__ = [
    "LabelShiftFloors",
    "LatentLabelShiftScores",
    "label_marginal_error",
    "label_shift_floors",
    "latent_label_shift_scores",
]

_SUM_TOLERANCE = 1e-3  # rows of shares may be rounded, but not transposed


class LatentLabelShiftScores(NamedTuple):
    """How well labels and class shares were found; see :func:`latent_label_shift_scores`.

    Attributes
    ----------
    accuracy : float
        Share of rows with the right label under the matching.
    marginal_error : float
        Mean absolute error of the class shares under the same matching.
    class_of_label : ndarray of shape (n_found,), intp
        Position of the class that each found label is matched to, -1 if none was left.
    """

    accuracy: float
    marginal_error: float
    class_of_label: IndexArray


class LabelShiftFloors(NamedTuple):
    """What is reached without any method; see :func:`label_shift_floors`.

    Attributes
    ----------
    label_floor : float
        Mean absolute error of the class shares among the rows, with every label known.
    domain_only_accuracy : float
        Share of right answers if every row gets the most frequent class of its domain.
    """

    label_floor: float
    domain_only_accuracy: float


def label_marginal_error(
    label_marginals: ArrayLike, estimated: ArrayLike, *, class_of_label: ArrayLike | None = None
) -> float:
    """Mean absolute error of estimated class shares of domains, names of classes matched.

    Parameters
    ----------
    label_marginals : array-like of shape (n_domains, n_classes)
        True shares; rows sum to 1.
    estimated : array-like of shape (n_domains, n_found)
        Estimated shares of found classes, of which there may be more or fewer.
    class_of_label : array-like of shape (n_found,), default=None
        Column of ``label_marginals`` that each found class is matched to, one to one, -1 for
        none. None matches them so that the error is smallest, which flatters an estimate whose
        labels were matched otherwise; :func:`latent_label_shift_scores` has one matching for both.

    Returns
    -------
    error : float
        Sum of absolute differences over ``n_domains * n_classes``, in [0, 2 / n_classes]. Classes
        that nothing is matched to count as estimated 0, and found classes without a class as of
        true share 0.

    Raises
    ------
    ValueError
        If a matrix has a negative or non-finite entry or a row that does not sum to 1, numbers of
        domains differ, or two labels are matched to one class.

    Notes
    -----
    O(r K^2 + K^3) time and O(K^2 + r K) memory, r domains and K the larger number of classes.

    The L1 distance of a domain's shares, which is reported as well, is ``n_classes`` times this.

    Examples
    --------
    >>> from clusterlib.metrics import label_marginal_error
    >>> error = label_marginal_error([[0.5, 0.5], [0.9, 0.1]], [[0.5, 0.5], [0.2, 0.8]])
    >>> round(error, 3)
    0.05
    >>> swapped = [[0.5, 0.5], [0.8, 0.2]]
    >>> round(label_marginal_error([[0.5, 0.5], [0.9, 0.1]], swapped, class_of_label=[1, 0]), 3)
    0.35
    """
    true, found = _checked_pair(label_marginals, estimated)
    if class_of_label is None:
        class_of_label = _matching(_overlaps(true, found))
    else:
        class_of_label = _checked_matching(class_of_label, found.shape[1], true.shape[1])
    return _error(true, found, class_of_label)


def latent_label_shift_scores(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    label_marginals: ArrayLike,
    estimated: ArrayLike,
    *,
    classes: ArrayLike | None = None,
) -> LatentLabelShiftScores:
    """Accuracy of labels and error of class shares, found labels matched to classes once for both.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes: numbers, strings, booleans or hashable objects.
    y_pred : array-like of shape (n_samples,), integer
        Found labels: columns of ``estimated``.
    label_marginals : array-like of shape (n_domains, n_classes)
        True class shares of each domain, those that rows were drawn by; rows sum to 1.
    estimated : array-like of shape (n_domains, n_found)
        Estimated shares of the found labels.
    classes : array-like of shape (n_classes,), default=None
        Classes of the columns of ``label_marginals``. None takes those of ``y_true``, sorted,
        which must be as many.

    Returns
    -------
    scores : LatentLabelShiftScores
        ``accuracy``, which is that of :func:`clustering_accuracy`, ``marginal_error``, and
        ``class_of_label``.

    Raises
    ------
    ValueError
        If ``y_true`` has labels that are not in ``classes`` or, without it, another number of
        them, ``y_pred`` has labels that are not columns, or a matrix is not one of shares.

    See Also
    --------
    label_shift_floors : What these scores are to be read beside.

    Notes
    -----
    O(n log n + r K^2 + K^3) time and O(n + K^2 + r K) memory, r domains and K the larger number
    of classes.

    Labels are matched so that the accuracy is largest, and among equally good matchings so that
    the error is smallest, as evaluated in the study of latent label shift [1]_.

    References
    ----------
    .. [1] M. Roberts, P. Mani, S. Garg, Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022.

    Examples
    --------
    >>> from clusterlib.metrics import latent_label_shift_scores
    >>> scores = latent_label_shift_scores(
    ...     ["a", "a", "a", "b"], [1, 1, 0, 0], [[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.5, 0.5]]
    ... )
    >>> scores.accuracy, round(scores.marginal_error, 3), scores.class_of_label.tolist()
    (0.75, 0.05, [1, 0])
    """
    true, found = _checked_pair(label_marginals, estimated)
    true_codes = _class_positions("y_true", y_true, classes, true.shape[1])
    pred_codes = _checked_codes("y_pred", y_pred, len(true_codes), found.shape[1])
    table = contingency_table(true_codes, pred_codes, (true.shape[1], found.shape[1]), None)
    # Overlaps add up to 1 at most, so that all of them weigh less than one row.
    class_of_label = _matching(table + _overlaps(true, found) / 2)
    matched = class_of_label >= 0
    hits = table[class_of_label[matched], np.flatnonzero(matched)].sum()
    error = _error(true, found, class_of_label)
    return LatentLabelShiftScores(float(hits / len(true_codes)), error, class_of_label)


def label_shift_floors(
    label_marginals: ArrayLike,
    y: ArrayLike,
    domains: ArrayLike,
    *,
    classes: ArrayLike | None = None,
) -> LabelShiftFloors:
    """Error of class shares with every label known, and accuracy without any look at the rows.

    Parameters
    ----------
    label_marginals : array-like of shape (n_domains, n_classes)
        True class shares of each domain, those that rows were drawn by; rows sum to 1.
    y : array-like of shape (n_samples,)
        True classes of the rows that a method learns from.
    domains : array-like of shape (n_samples,), integer
        Their domains: rows of ``label_marginals``, each of which must occur.
    classes : array-like of shape (n_classes,), default=None
        Classes of the columns of ``label_marginals``. None takes those of ``y``, sorted, which
        must be as many.

    Returns
    -------
    floors : LabelShiftFloors
        ``label_floor``, the error of :func:`label_marginal_error` of the shares among the rows,
        and ``domain_only_accuracy``, the mean over rows of the largest share of their domain.

    Raises
    ------
    ValueError
        If a domain has no row, or labels, domains or shares do not belong together.

    Notes
    -----
    O(n log n + r K) time and O(n + r K) memory, r domains and K classes.

    An error below ``label_floor`` is luck. An accuracy that does not exceed
    ``domain_only_accuracy`` says that rows were not used, however high it is: with few classes in
    each domain it may be .8.

    Examples
    --------
    >>> from clusterlib.metrics import label_shift_floors
    >>> y, domains = ["a", "a", "b", "b", "b", "a"], [0, 0, 0, 1, 1, 1]
    >>> floors = label_shift_floors([[0.6, 0.4], [0.4, 0.6]], y, domains)
    >>> round(floors.label_floor, 3), round(floors.domain_only_accuracy, 3)
    (0.067, 0.6)
    """
    true = _checked_shares("label_marginals", label_marginals)
    codes = _class_positions("y", y, classes, true.shape[1])
    domains = _checked_codes("domains", domains, len(codes), len(true))
    counts = contingency_table(domains, codes, true.shape, None)
    sizes = counts.sum(axis=1)
    if not sizes.all():
        raise ValueError(f"domain {int(np.argmin(sizes))} of label_marginals has no row")
    floor = float(np.abs(counts / sizes[:, None] - true).mean())
    return LabelShiftFloors(floor, float(sizes @ true.max(axis=1) / sizes.sum()))


def _checked_shares(name, shares):
    shares = as_matrix(name, shares).astype(np.float64, copy=False)
    check_finite(name, shares)
    if not len(shares):
        raise ValueError(f"{name} must have at least 1 row, one for each domain")
    if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise ValueError(f"rows of {name} must be shares of classes: at least 0, with the sum 1")
    return shares


def _checked_pair(label_marginals, estimated):
    true = _checked_shares("label_marginals", label_marginals)
    found = _checked_shares("estimated", estimated)
    if len(true) != len(found):
        raise ValueError(
            f"estimated must have a row for each of the {len(true)} domains of label_marginals, "
            f"got {len(found)}"
        )
    return true, found


def _class_positions(name, y, classes, n_classes):
    """Position of each label among the columns of the true shares."""
    labels, codes = encode_labels(name, y)
    if classes is None:
        if len(labels) != n_classes:
            raise ValueError(
                f"{name} has {len(labels)} classes and label_marginals {n_classes} columns; name the "
                "classes of the columns with classes"
            )
        return codes
    names, order = encode_labels("classes", classes, n_classes)
    if len(names) != n_classes:
        raise ValueError("classes must not name a class twice")
    column = dict(zip(names.tolist(), np.argsort(order).tolist(), strict=True))
    if unknown := [label for label in labels.tolist() if label not in column]:
        raise ValueError(f"{name} has a label that is not in classes: {unknown[0]!r}")
    return np.array([column[label] for label in labels.tolist()], dtype=np.intp)[codes]


def _checked_codes(name, codes, n_samples, n_codes):
    codes = np.asarray(codes)
    if codes.shape != (n_samples,) or codes.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must hold an integer for each of {n_samples} rows, got {codes.dtype} of "
            f"shape {codes.shape}"
        )
    if codes.min() < 0 or codes.max() >= n_codes:
        raise ValueError(
            f"{name} must be from 0 to {n_codes - 1}, got {codes.min()} to {codes.max()}"
        )
    return codes.astype(np.intp, copy=False)


def _checked_matching(class_of_label, n_found, n_classes):
    matching = np.asarray(class_of_label)
    if matching.shape != (n_found,) or matching.dtype.kind not in "iu":
        raise ValueError(f"class_of_label must hold an integer for each of {n_found} found classes")
    chosen = matching[matching >= 0]
    if matching.min() < -1 or matching.max() >= n_classes or len(np.unique(chosen)) < len(chosen):
        raise ValueError(
            f"class_of_label must name classes from 0 to {n_classes - 1}, each at most once, or "
            f"-1, got {matching.tolist()}"
        )
    return matching.astype(np.intp)


def _overlaps(true, found):
    """Mean over domains of the smaller share, for every class and found class.

    Twice the sum over matched pairs is what the matching takes off the sum of all shares, 2, to
    give the L1 distance.
    """
    return np.stack([np.minimum(true, c[:, None]).mean(axis=0) for c in found.T], axis=1)


def _matching(profit):
    """Class of each found label, one to one, so that the profit is largest."""
    class_of_label = np.full(profit.shape[1], -1, dtype=np.intp)
    classes, labels = linear_sum_assignment(profit, maximize=True)
    class_of_label[labels] = classes
    return class_of_label


def _error(true, found, class_of_label):
    matched = class_of_label >= 0
    renamed = np.zeros_like(true)
    renamed[:, class_of_label[matched]] = found[:, matched]
    return float((np.abs(renamed - true).sum() + found[:, ~matched].sum()) / true.size)

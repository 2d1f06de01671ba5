"""Accuracy on classes with many, some and few training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import as_vector
from clusterlib.metrics._labels import encode_labels
from clusterlib.validation import checked_integer

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Float64Array, Int64Array, Weights

__all__ = ["ShotAccuracy", "shot_accuracy"]


class ShotAccuracy(NamedTuple):
    """Mean recalls of classes by their size in training; see :func:`shot_accuracy`.

    Attributes
    ----------
    many : float
        Mean recall of the classes with more than ``many`` training rows; NaN if there are none.
    medium : float
        That of the classes between; NaN if there are none.
    few : float
        That of the classes with fewer than ``few`` training rows; NaN if there are none.
    balanced : float
        Mean recall of all classes, the balanced accuracy; never NaN.
    classes : ndarray of shape (n_classes,)
        The classes that were scored, sorted, in the dtype of ``y_true``.
    recalls : ndarray of shape (n_classes,), float64
        Share of right answers among the rows of each class.
    train_sizes : ndarray of shape (n_classes,), int64
        Training rows of each class.
    """

    many: float
    medium: float
    few: float
    balanced: float
    classes: Array
    recalls: Float64Array
    train_sizes: Int64Array


def shot_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_train: ArrayLike,
    *,
    many: int = 100,
    few: int = 20,
    sample_weight: Weights = None,
) -> ShotAccuracy:
    """Accuracy on classes with many, some and few training rows, and the balanced accuracy.

    Every class counts alike within its group, whatever the shares of the classes among the scored
    rows. The limits are those of the literature on long tails [1]_: many is more than 100 training
    rows, few is fewer than 20, and 20 to 100 lie between.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes of the scored rows: numbers, strings, booleans or hashable objects.
    y_pred : array-like of shape (n_samples,)
        Predicted classes.
    y_train : array-like of shape (n_train,)
        Classes of the rows that were learned from; only how often each occurs matters. Where
        labels are wrong, the literature counts them as they were before. A class that does not
        occur has 0 rows: few. From sizes it is ``np.repeat(classes, sizes)``.
    many : int, default=100
        Classes with more training rows belong to ``many``.
    few : int, default=20
        Classes with fewer training rows belong to ``few``; at most ``many``.
    sample_weight : float or array-like of shape (n_samples,), default=None
        Finite weights of at least 0 of the scored rows; an integer weight counts as repetition.
        Classes without weight are not scored. None means 1.

    Returns
    -------
    accuracy : ShotAccuracy
        ``many``, ``medium``, ``few`` and ``balanced``, from 0 to 1 and 1 for no mistakes;
        ``classes``, ``recalls`` (float64) and ``train_sizes`` (int64). A group without a scored
        class is NaN, which ``numpy.nanmean`` leaves out of means over data sets.

    Raises
    ------
    ValueError
        If labels are empty, not one-dimensional, missing or of different lengths, no class of
        ``y_true`` occurs in ``y_train``, a limit is out of range, a weight is negative or not
        finite, or all weights are 0.
    TypeError
        If a label is not hashable, or a limit is not an integer.

    Notes
    -----
    O(n log n) time and O(n) memory.

    References
    ----------
    .. [1] Z. Liu, Z. Miao, X. Zhan, J. Wang, B. Gong, S. X. Yu, "Large-scale long-tailed
       recognition in an open world", CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.metrics import shot_accuracy
    >>> y_train = np.repeat(["ant", "bee", "cat"], [500, 50, 5])
    >>> y_true = ["ant", "ant", "bee", "bee", "cat", "cat"]
    >>> accuracy = shot_accuracy(y_true, ["ant", "ant", "bee", "ant", "ant", "bee"], y_train)
    >>> accuracy.many, accuracy.medium, accuracy.few, accuracy.balanced
    (1.0, 0.5, 0.0, 0.5)
    """
    many = checked_integer("many", many, 0)
    few = checked_integer("few", few, 0, many, high_name="many")
    classes, codes = encode_labels("y_true", y_true)
    predicted, predicted_codes = encode_labels("y_pred", y_pred, len(codes))
    trained, trained_codes = encode_labels("y_train", y_train)
    weight = 1.0 if sample_weight is None else sample_weight
    weight = as_vector("sample_weight", weight, len(codes), low=0.0)
    found = _positions(trained, classes)
    if (found < 0).all():
        raise ValueError(
            f"no class of y_true occurs in y_train: {classes.tolist()[0]!r} is in the one and "
            f"{trained.tolist()[0]!r} in the other"
        )
    sizes = np.where(found >= 0, np.bincount(trained_codes)[found], 0)
    right = _positions(classes, predicted)[predicted_codes] == codes
    totals = np.bincount(codes, weights=weight)
    scored = totals > 0
    if not scored.any():
        raise ValueError("sample_weight must not be 0 everywhere")
    hits = np.bincount(codes, weights=np.where(right, weight, 0.0))
    recalls, sizes = hits[scored] / totals[scored], sizes[scored]
    groups = sizes > many, (sizes >= few) & (sizes <= many), sizes < few
    means = [float(recalls[group].mean()) if group.any() else np.nan for group in groups]
    return ShotAccuracy(*means, float(recalls.mean()), classes[scored], recalls, sizes)


def _positions(classes, labels):
    """Position of each label among the classes, -1 for those that are not among them."""
    position = {label: i for i, label in enumerate(classes.tolist())}
    return np.array([position.get(label, -1) for label in labels.tolist()], dtype=np.intp)

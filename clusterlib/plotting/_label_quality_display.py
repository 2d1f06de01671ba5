"""What a model of wrong labels has found: by class, by row, and which classes are confused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes
from clusterlib.plotting._label_quality_views import draw_classes, draw_quality, draw_transition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike, IntArray

__all__ = ["LabelQualityDisplay"]

_KINDS = ("classes", "quality", "transition")
_NEEDED = ("classes_", "label_quality_", "transition_matrix_", "effective_counts_")


class LabelQualityDisplay:
    """Which labels are wrong by a model of wrong labels, in one of three pictures.

    - "classes": for each class, the most frequent label first, a bar as high as there are labels of
      it. The lower part is as many as are expected to be right. Where these are fewer than 4, which
      is too few to tell, a triangle is above the bar.
    - "quality": the probability that a label is right, label by label, the most suspicious first.
      The area above the curve is the share of labels that is expected to be wrong.
    - "transition": how classes, in rows, are labelled, in columns, the most frequent first.

    Made by :meth:`from_estimator`; the arguments are for those who have the numbers already.

    Parameters
    ----------
    label_quality : ndarray of shape (n_samples,)
        Probability that each label is right.
    effective_counts : ndarray of shape (n_classes,)
        Labels of each class that are expected to be right.
    transition : ndarray of shape (n_classes, n_classes)
        Probability of each label, in columns, for each class, in rows.
    class_names : ndarray of shape (n_classes,)
        Label of each class.
    label_counts : ndarray of shape (n_classes,), default=None
        How often each label was given. None leaves out the picture "classes", and orders classes
        by ``effective_counts``.
    sample_weight : ndarray of shape (n_samples,), default=None
        What rows count; None means 1.

    Attributes
    ----------
    order_ : ndarray of shape (n_classes,), int
        Classes from the left to the right, the most frequent label first.
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    SubclassSizeDisplay : Sizes of classes and of the parts they are cut into.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.imbalance import RepresentationCalibrator
    >>> from clusterlib.plotting import LabelQualityDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["cat", "dog"], [30, 90])
    >>> X = rng.normal(size=(120, 4)) + 5 * (y == "dog")[:, None]
    >>> y[:3] = "dog"  # three rows are labelled wrongly
    >>> calibrator = RepresentationCalibrator(shrinkage=20).fit(X, y)
    >>> display = LabelQualityDisplay.from_estimator(calibrator, y)
    >>> [text.get_text() for text in display.ax_.get_xticklabels()]
    ['dog', 'cat']
    >>> plt.close(display.figure_)
    """

    order_: IntArray
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        label_quality: Array,
        *,
        effective_counts: Array,
        transition: Array,
        class_names: Array,
        label_counts: Array | None = None,
        sample_weight: Array | None = None,
    ) -> None:
        self.label_quality = label_quality
        self.effective_counts = effective_counts
        self.transition = transition
        self.class_names = class_names
        self.label_counts = label_counts
        self.sample_weight = sample_weight

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        class_names: Sequence[object] | None = None,
        kind: Literal["classes", "quality", "transition"] | None = None,
        log: bool | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw what an estimator has found.

        Parameters
        ----------
        estimator : fitted estimator
            Has ``classes_``, ``label_quality_``, ``transition_matrix_`` and ``effective_counts_``,
            as ``RepresentationCalibrator`` with the noise model.
        y : array-like of shape (n_samples,), default=None
            The labels it was fitted to, which it does not keep.
        sample_weight : array-like of shape (n_samples,), default=None
            The weights it was fitted with.
        class_names : sequence of length n_classes, default=None
            Names in the order of ``classes_``, which are the names for None.
        kind : {"classes", "quality", "transition"}, default=None
            Which picture; None is "classes" if y is given, else "quality".
        log : bool, default=None
            Whether numbers of labels are on a logarithmic axis; None decides by how long the tail
            is. For "classes" only.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : LabelQualityDisplay
            With ``order_``, ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator has no label quality: it is of another kind, has no model of wrong
            labels, or is not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes, or ``log`` is no flag.
        ValueError
            If y or the weights are not those of the fit, there is another number of names, or
            ``kind`` is none of the three, or "classes" without y.
        """
        for name in _NEEDED:
            if not hasattr(estimator, name):
                raise AttributeError(
                    f"this {type(estimator).__name__} has no {name}; call fit first, with a model of "
                    "wrong labels"
                )
        classes, quality = estimator.classes_, estimator.label_quality_
        names = classes if class_names is None else np.asarray(class_names)
        if names.shape != classes.shape:
            raise ValueError(f"class_names must have shape {classes.shape}, got {names.shape}")
        weight = None if sample_weight is None else _checked_weight(sample_weight, len(quality))
        counts = None
        if y is not None:
            codes = _checked_codes(y, classes, len(quality))
            counts = np.bincount(codes, weights=weight, minlength=len(classes))
            _check_same_fit(estimator, codes, weight)
        return cls(
            quality,
            effective_counts=estimator.effective_counts_,
            transition=estimator.transition_matrix_,
            class_names=names,
            label_counts=counts,
            sample_weight=weight,
        ).plot(kind, log=log, ax=ax)

    def plot(
        self,
        kind: Literal["classes", "quality", "transition"] | None = None,
        *,
        log: bool | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw one of the pictures.

        Parameters
        ----------
        kind : {"classes", "quality", "transition"}, default=None
            Which one; None is "classes" if there are ``label_counts``, else "quality".
        log : bool, default=None
            Whether numbers of labels are on a logarithmic axis; None decides by how long the tail
            is. For "classes" only.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : LabelQualityDisplay
            Itself, with ``order_``, ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes, or ``log`` is no flag.
        ValueError
            If ``kind`` is none of the three, or "classes" and labels were not counted.
        """
        counts = self.label_counts
        if kind is None:
            kind = "quality" if counts is None else "classes"
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}")
        if kind == "classes" and counts is None:
            raise ValueError("kind='classes' counts labels: pass y, the labels given to fit")
        if not (log is None or isinstance(log, bool)):
            raise TypeError(f"log must be True, False or None; got {log!r}")
        n_classes = len(self.class_names)
        width, height = {
            "classes": (np.clip(2 + 0.3 * n_classes, 4.8, 12), 3.6),
            "quality": (4.8, 3.4),
            "transition": np.clip([2.4 + 0.3 * n_classes, 2 + 0.3 * n_classes], 4, [10, 9.2]),
        }[kind]
        ax = checked_axes(self, ax, figsize=(float(width), float(height)))
        frequency = self.effective_counts if counts is None else counts
        order = np.argsort(-frequency, kind="stable")
        names = self.class_names[order]
        if kind == "classes":
            right = np.minimum(self.effective_counts, counts)  # it may be above by its rounding
            draw_classes(ax, names, counts[order], right[order], log)
        elif kind == "quality":
            quality, weight = self.label_quality, self.sample_weight
            draw_quality(ax, quality, np.ones(len(quality)) if weight is None else weight)
        else:
            draw_transition(ax, names, self.transition[np.ix_(order, order)])
        self.order_ = order
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _checked_codes(y, classes, n_samples):
    y = np.asarray(y)
    if y.shape != (n_samples,):
        raise ValueError(f"y must have shape ({n_samples},) as in fit, got {y.shape}")
    codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    unknown = classes[codes] != y
    if unknown.any():
        raise ValueError(f"y must hold the labels of the fit, got {y[unknown].tolist()[0]!r}")
    return codes


def _checked_weight(sample_weight, n_samples):
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},) as in fit, got {weight.shape}"
        )
    # Without y nothing else tells them from those of the fit.
    if not (np.isfinite(weight) & (weight >= 0)).all() or not weight.any():
        raise ValueError("sample_weight must be finite, not negative and not all 0, as in fit")
    return weight


def _check_same_fit(estimator, codes, weight):
    """Refuse labels or weights in another order, or others, than those of the fit."""
    quality, expected = estimator.label_quality_, estimator.effective_counts_
    right = np.bincount(
        codes, weights=quality if weight is None else weight * quality, minlength=len(expected)
    )
    # In parts of all of them: weights may have any scale.
    if not np.allclose(right, expected, rtol=1e-6, atol=1e-6 * expected.mean()):
        k = int(np.argmax(np.abs(right - expected)))
        raise ValueError(
            "y and sample_weight must be those of fit, in its order: by them "
            f"{right[k]:.6g} labels of class {estimator.classes_[k]} are right, by "
            f"effective_counts_ {expected[k]:.6g}"
        )

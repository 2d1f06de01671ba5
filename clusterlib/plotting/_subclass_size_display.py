"""Sizes of classes and of the subclasses they were cut into."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike, IntArray

__all__ = ["SubclassSizeDisplay"]

# More names than that would overlap.
_MOST_NAMES = 40
_WIDTH = 0.86
# From this ratio of the largest to the smallest class on, small ones vanish on a linear axis.
_LONG_TAIL = 20


class SubclassSizeDisplay:
    """The long tail of the classes, and how far subclasses level it.

    Classes stand side by side, the largest first, each as a pale bar as high as the class is large.
    In front of it stand its subclasses, side by side within its width, and a line marks the size
    that they were aimed at.

    Made by :meth:`from_estimator` or :meth:`from_sizes`.

    Parameters
    ----------
    subclass_sizes : ndarray of shape (n_subclasses,), int
        Rows of each subclass.
    parent : ndarray of shape (n_subclasses,), int
        Class of each subclass, from 0; every class has one.
    threshold : float or None
        Where the line is.
    class_names : ndarray of shape (n_classes,)
        Label of each class.

    Attributes
    ----------
    order_ : ndarray of shape (n_classes,), int
        Classes from the left to the right.
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    LabelMarginalDisplay : Shares of classes in domains.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from clusterlib.plotting import SubclassSizeDisplay
    >>> display = SubclassSizeDisplay.from_sizes(
    ...     [9, 9, 8, 9, 8, 5], [0, 0, 0, 1, 1, 2], threshold=9, class_names=["cat", "dog", "yak"]
    ... )
    >>> [text.get_text() for text in display.ax_.get_xticklabels()]
    ['cat', 'dog', 'yak']
    >>> plt.close(display.figure_)
    """

    order_: IntArray
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        subclass_sizes: IntArray,
        parent: IntArray,
        *,
        threshold: float | None,
        class_names: Array,
    ) -> None:
        self.subclass_sizes = subclass_sizes
        self.parent = parent
        self.threshold = threshold
        self.class_names = class_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        class_names: Sequence[object] | None = None,
        log: bool | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the subclasses that an estimator has made.

        Parameters
        ----------
        estimator : fitted estimator
            A ``SubclassBalancer``, or a ``SubclassClassifier``, whose ``balancer_`` is taken.
        class_names : sequence of length n_classes, default=None
            Names in the order of ``classes_``, which are the names for None.
        log : bool, default=None
            Whether sizes are on a logarithmic axis; None decides by how long the tail is.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : SubclassSizeDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator has no subclasses: it is of another kind or not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes, or ``log`` is no flag.
        ValueError
            As for :meth:`from_sizes`.
        """
        fitted = getattr(estimator, "balancer_", estimator)
        if not hasattr(fitted, "subclass_sizes_"):
            raise AttributeError(
                f"this {type(estimator).__name__} has no subclass_sizes_; call fit first"
            )
        return cls.from_sizes(
            fitted.subclass_sizes_,
            fitted.parent_,
            threshold=fitted.threshold_,
            class_names=fitted.classes_ if class_names is None else class_names,
            log=log,
            ax=ax,
        )

    @classmethod
    def from_sizes(
        cls,
        subclass_sizes: ArrayLike,
        parent: ArrayLike,
        *,
        threshold: float | None = None,
        class_names: Sequence[object] | None = None,
        log: bool | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw given sizes.

        Parameters
        ----------
        subclass_sizes : array-like of shape (n_subclasses,)
            Rows of each subclass, above 0.
        parent : array-like of shape (n_subclasses,), int
            Class of each subclass, numbered from 0; every class has one.
        threshold : float, default=None
            Size that subclasses were aimed at, above 0; None draws no line.
        class_names : sequence of length n_classes, default=None
            Names; None numbers from 0.
        log : bool, default=None
            Whether sizes are on a logarithmic axis; None decides by how long the tail is.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : SubclassSizeDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes, ``log`` is no flag, sizes or the threshold are no numbers, or
            parents are no integers.
        ValueError
            If sizes or the threshold are not finite and above 0, a class has no subclass, or lengths
            disagree.
        """
        sizes, parent = _checked_sizes(subclass_sizes, parent)
        if not (threshold is None or isinstance(threshold, Real)):
            raise TypeError(f"threshold must be a number or None, got {threshold!r}")
        if threshold is not None and not 0 < threshold < np.inf:
            raise ValueError(f"threshold must be finite and above 0, got {threshold}")
        n_classes = parent.max() + 1
        names = np.arange(n_classes) if class_names is None else np.asarray(class_names)
        if names.shape != (n_classes,):
            raise ValueError(f"class_names must have shape ({n_classes},), got {names.shape}")
        display = cls(sizes, parent, threshold=threshold, class_names=names)
        return display.plot(log=log, ax=ax)

    def plot(self, *, log: bool | None = None, ax: Axes | None = None) -> Self:
        """Draw the sizes.

        Parameters
        ----------
        log : bool, default=None
            Whether sizes are on a logarithmic axis; None decides by how long the tail is.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : SubclassSizeDisplay
            Itself, with ``order_``, ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes, or ``log`` is no flag.
        """
        if not (log is None or isinstance(log, bool)):
            raise TypeError(f"log must be True, False or None; got {log!r}")
        class_sizes = np.bincount(self.parent, weights=self.subclass_sizes)
        n_classes = len(class_sizes)
        ax = checked_axes(self, ax, figsize=(float(np.clip(2 + 0.45 * n_classes, 4.8, 12)), 3.4))
        self.order_ = np.argsort(-class_sizes, kind="stable")
        places = np.arange(n_classes)
        ax.bar(places, class_sizes[self.order_], _WIDTH, color="0.85", label="class")
        ax.bar(*self._slots(), color="C0", label="subclass")
        if self.threshold is not None:
            ax.axhline(self.threshold, color="C3", linestyle="--", linewidth=1, label="threshold")
        if log is None:
            log = class_sizes.max() >= _LONG_TAIL * class_sizes.min()
        if log:
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.7 * self.subclass_sizes.min())
        if n_classes <= _MOST_NAMES:
            names = self.class_names[self.order_]
            is_long = sum(len(str(name)) + 1 for name in names) > 70
            ax.set_xticks(places, names, rotation=90 if is_long else 0)
        ax.set(xlabel="class", ylabel="rows")
        ax.set_xlim(-0.6, n_classes - 0.4)
        ax.legend(fontsize=8)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _slots(self):
        """Place, height and width of each subclass within the width of its class."""
        place_of = np.empty_like(self.order_)
        place_of[self.order_] = np.arange(len(self.order_))
        counts = np.bincount(self.parent)
        order = np.lexsort((-self.subclass_sizes, self.parent))  # the largest first in each class
        number = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        parent = self.parent[order]
        slot = _WIDTH / counts[parent]
        left = place_of[parent] - _WIDTH / 2
        # A gap between bars while there is room for one.
        return left + (number + 0.5) * slot, self.subclass_sizes[order], 0.9 * slot


def _checked_sizes(subclass_sizes, parent):
    sizes, parent = np.asarray(subclass_sizes), np.asarray(parent)
    if sizes.ndim != 1 or len(sizes) == 0 or parent.shape != sizes.shape:
        raise ValueError(
            "subclass_sizes and parent must be vectors of the same length, at least 1; got shapes "
            f"{sizes.shape} and {parent.shape}"
        )
    if parent.dtype.kind not in "iu":
        raise TypeError(f"parent must hold integers, got {parent.dtype}")
    if sizes.dtype.kind not in "iuf":
        raise TypeError(f"subclass_sizes must hold numbers, got {sizes.dtype}")
    wrong = ~((sizes > 0) & (sizes < np.inf))  # NaN, too
    if wrong.any():
        raise ValueError(f"subclass_sizes must be finite and above 0, got {sizes[wrong][0]}")
    n_known = len(parent)  # a larger number leaves a class without a subclass
    if parent.min() < 0 or parent.max() >= n_known or (np.bincount(parent) == 0).any():
        raise ValueError(
            "parent must number classes from 0 with a subclass in each; got the classes "
            f"{np.unique(parent).tolist()}"
        )
    return sizes, parent

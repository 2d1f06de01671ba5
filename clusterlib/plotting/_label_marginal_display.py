"""Shares of the classes in each domain, with their intervals where these are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike

__all__ = ["LabelMarginalDisplay"]

# More names than that would overlap.
_MOST_NAMES = 40
_GROUP_WIDTH = 0.7


class LabelMarginalDisplay:
    """Shares of the classes, domain by domain.

    With intervals every share is a point with its interval, classes side by side within a domain
    and told by colour. Without intervals each domain is a bar that its classes fill up.

    Made by :meth:`from_estimator` or :meth:`from_marginals`.

    Parameters
    ----------
    marginals : ndarray of shape (n_domains, n_classes)
        Shares; rows sum to 1.
    interval : ndarray of shape (2, n_domains, n_classes) or None
        Lower and upper ends.
    domain_names : ndarray of shape (n_domains,)
        Label of each domain.
    class_names : ndarray of shape (n_classes,)
        Label of each class.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    DomainSimplexDisplay : Rows in the simplex of the classes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from clusterlib.plotting import LabelMarginalDisplay
    >>> display = LabelMarginalDisplay.from_marginals(
    ...     [[0.9, 0.1], [0.3, 0.7]],
    ...     interval=[[[0.85, 0.05], [0.2, 0.6]], [[0.95, 0.15], [0.4, 0.8]]],
    ...     domain_names=["summer", "winter"],
    ...     class_names=["well", "sick"],
    ... )
    >>> [text.get_text() for text in display.ax_.get_xticklabels()]
    ['summer', 'winter']
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure

    def __init__(
        self, marginals: Array, *, interval: Array | None, domain_names: Array, class_names: Array
    ) -> None:
        self.marginals = marginals
        self.interval = interval
        self.domain_names = domain_names
        self.class_names = class_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        interval: ArrayLike | None = None,
        class_names: Sequence[object] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the shares that an estimator has found.

        Parameters
        ----------
        estimator : fitted estimator
            Has ``label_marginals_`` and ``domains_``, as ``LatentLabelShift``.
        interval : array-like of shape (2, n_domains, n_classes), default=None
            Lower and upper ends, or what ``label_marginals_interval`` of the estimator returned.
            None takes ``label_marginals_interval_`` if the estimator has it.
        class_names : sequence of length n_classes, default=None
            Names for the classes that were found; None numbers them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : LabelMarginalDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator has no shares: it is of another kind or not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            As for :meth:`from_marginals`.
        """
        if not hasattr(estimator, "label_marginals_"):
            raise AttributeError(
                f"this {type(estimator).__name__} has no label_marginals_; call fit first"
            )
        if interval is None:
            interval = getattr(estimator, "label_marginals_interval_", None)
        if hasattr(interval, "lower"):
            interval = [interval.lower, interval.upper]
        return cls.from_marginals(
            estimator.label_marginals_,
            interval=interval,
            domain_names=estimator.domains_,
            class_names=class_names,
            ax=ax,
        )

    @classmethod
    def from_marginals(
        cls,
        marginals: ArrayLike,
        *,
        interval: ArrayLike | None = None,
        domain_names: Sequence[object] | None = None,
        class_names: Sequence[object] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw given shares.

        Parameters
        ----------
        marginals : array-like of shape (n_domains, n_classes)
            Shares of the classes: not negative, rows sum to 1.
        interval : array-like of shape (2, n_domains, n_classes), default=None
            Lower and upper ends, which need not hold the share between them.
        domain_names, class_names : sequence of length n_domains, n_classes, default=None
            Labels; None numbers from 0.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : LabelMarginalDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If rows are not in the simplex, or shapes disagree.
        """
        marginals = _checked_marginals(marginals)
        n_domains, n_classes = marginals.shape
        if interval is not None:
            interval = np.asarray(interval, dtype=np.float64)
            if interval.shape != (2, n_domains, n_classes):
                raise ValueError(
                    f"interval must have shape (2, {n_domains}, {n_classes}), got {interval.shape}"
                )
            if not (interval[0] <= interval[1]).all():  # NaN, too
                raise ValueError("lower ends of interval must not be above the upper ends, or NaN")
        return cls(
            marginals,
            interval=interval,
            domain_names=_checked_names("domain_names", domain_names, n_domains),
            class_names=_checked_names("class_names", class_names, n_classes),
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the shares.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : LabelMarginalDisplay
            Itself, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        """
        n_domains, n_classes = self.marginals.shape
        width = float(np.clip(1.5 + 0.3 * n_domains, 4.8, 12))
        ax = checked_axes(self, ax, figsize=(width, 3.4))
        if self.interval is None:
            self._stack(ax)
        else:
            self._spread(ax)
        if n_domains <= _MOST_NAMES:
            long_names = n_domains * max(len(str(name)) for name in self.domain_names) > 60
            ax.set_xticks(np.arange(n_domains), self.domain_names, rotation=90 if long_names else 0)
        ax.set(xlabel="domain", ylabel="share of the class", ylim=(0, 1))
        ax.set_xlim(-0.5, n_domains - 0.5)
        if n_classes <= _MOST_NAMES // 2:
            ax.legend(title="class", loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _stack(self, ax):
        tops = np.cumsum(self.marginals, axis=1)
        places = np.arange(len(tops))
        for y, name in enumerate(self.class_names):
            height = self.marginals[:, y]
            ax.bar(places, height, 0.9, bottom=tops[:, y] - height, color=f"C{y}", label=str(name))

    def _spread(self, ax):
        n_domains, n_classes = self.marginals.shape
        offsets = _GROUP_WIDTH * ((np.arange(n_classes) + 0.5) / n_classes - 0.5)
        for y, name in enumerate(self.class_names):
            places, color = np.arange(n_domains) + offsets[y], f"C{y}"
            ax.vlines(places, *self.interval[:, :, y], color=color, linewidth=1.2)
            ax.plot(
                places,
                self.marginals[:, y],
                "o",
                ms=3.5,
                color=color,
                clip_on=False,
                label=str(name),
            )
        for edge in np.arange(n_domains - 1) + 0.5:
            ax.axvline(edge, color="0.85", linewidth=0.6, zorder=0)


def _checked_marginals(marginals):
    marginals = np.asarray(marginals, dtype=np.float64)
    if marginals.ndim != 2 or marginals.size == 0:
        raise ValueError(f"marginals must be a matrix with entries, got shape {marginals.shape}")
    if not (marginals >= 0).all():  # NaN, too
        raise ValueError(f"marginals must not be negative or NaN, got {marginals.min()}")
    sums = marginals.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if not abs(sums[worst] - 1) <= 1e-3:
        raise ValueError(f"rows of marginals must sum to 1, row {worst} sums to {sums[worst]}")
    return marginals


def _checked_names(argument, names, length):
    names = np.arange(length) if names is None else np.asarray(names)
    if names.shape != (length,):
        raise ValueError(f"{argument} must have shape ({length},), got {names.shape}")
    return names

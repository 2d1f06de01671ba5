"""A transport plan as a picture: who sends how much to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike

__all__ = ["TransportPlanDisplay"]


class TransportPlanDisplay:
    """Heat map of a small transport plan with its marginals along two sides.

    Made by :meth:`from_result`; the arguments are for those who have a plan already.

    Parameters
    ----------
    plan : ndarray of shape (n, m)
        Mass sent from each row to each column; not negative.
    row_labels : ndarray of shape (n,), default=None
        Classes of the rows. Rows are drawn class by class, with a line between classes.
    column_labels : ndarray of shape (m,), default=None
        The same for the columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the heat map.
    marginal_axes_ : tuple of two matplotlib Axes
        Axes inside ``ax_``: row sums at the right, column sums on top.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    SinkhornConvergenceDisplay : How the solver came to this plan.

    Notes
    -----
    The darkest colour is the 99.5th percentile of the positive entries, so that a single large
    entry does not hide the rest.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.plotting import TransportPlanDisplay
    >>> display = TransportPlanDisplay(np.eye(3) / 3).plot()
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('column', 'row')
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    marginal_axes_: tuple[Axes, Axes]
    figure_: Figure

    def __init__(
        self, plan: Array, *, row_labels: Array | None = None, column_labels: Array | None = None
    ) -> None:
        self.plan = plan
        self.row_labels = row_labels
        self.column_labels = column_labels

    @classmethod
    def from_result(
        cls,
        result: Any,
        *,
        row_labels: ArrayLike | None = None,
        column_labels: ArrayLike | None = None,
        max_entries: int = 1_000_000,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the plan of a result of the solver or of a fitted estimator.

        Parameters
        ----------
        result : result of a solver or fitted estimator
            Has the plan as ``plan_`` or ``plan``, or gives it by a method ``plan()``.
        row_labels : array-like of shape (n,), default=None
            Classes of the rows, by which they are put in order.
        column_labels : array-like of shape (m,), default=None
            Classes of the columns.
        max_entries : int, default=1_000_000
            A larger plan is refused: nobody could see it, and it may not fit into memory. Where
            the potentials ``f`` and ``g`` tell the size, the plan is not even computed.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : TransportPlanDisplay
            With ``ax_``, ``marginal_axes_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If there is no plan, as in an estimator that is not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If the plan is too large or no matrix of numbers that are not negative, or there are
            more or fewer labels than rows or columns.
        """
        _check_size([np.size(_potential(result, name)) for name in "fg"], max_entries)
        plan = _plan_of(result)
        _check_size(plan.shape, max_entries)
        row_labels, column_labels = (
            None if labels is None else np.asarray(labels) for labels in (row_labels, column_labels)
        )
        return cls(plan, row_labels=row_labels, column_labels=column_labels).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the heat map and the marginals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : TransportPlanDisplay
            Itself, with ``ax_``, ``marginal_axes_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If the plan is no matrix of numbers that are not negative, or there are more or fewer
            labels than rows or columns.
        """
        plan = _checked_plan(self.plan)
        rows, row_edges = _order("row_labels", self.row_labels, plan.shape[0])
        columns, column_edges = _order("column_labels", self.column_labels, plan.shape[1])
        ax = checked_axes(self, ax, figsize=(5.2, 4.4))
        plan = plan[np.ix_(rows, columns)]
        positive = plan[plan > 0]
        top = np.percentile(positive, 99.5) if positive.size else 1.0
        ax.imshow(plan, cmap="Blues", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        for place, draw in [(row_edges, ax.axhline), (column_edges, ax.axvline)]:
            for edge in place:
                draw(edge - 0.5, color="black", linewidth=0.6)
        ax.set(
            xlabel="column" if self.column_labels is None else "column, by class",
            ylabel="row" if self.row_labels is None else "row, by class",
        )
        self.ax_ = ax
        self.figure_ = ax.figure
        self.marginal_axes_ = _draw_marginals(ax, plan)
        return self


def _draw_marginals(ax, plan):
    """Bars of the row sums at the right of the heat map, of the column sums above it."""
    right = ax.inset_axes([1.02, 0, 0.16, 1], sharey=ax)
    above = ax.inset_axes([0, 1.02, 1, 0.16], sharex=ax)
    right.stairs(
        plan.sum(axis=1),
        np.arange(plan.shape[0] + 1) - 0.5,
        orientation="horizontal",
        fill=True,
    )
    above.stairs(plan.sum(axis=0), np.arange(plan.shape[1] + 1) - 0.5, fill=True)
    right.set_xlim(0, None)
    above.set_ylim(0, None)
    right.tick_params(left=False, labelleft=False, labelsize="x-small", rotation=90)
    above.tick_params(bottom=False, labelbottom=False, labelsize="x-small")
    return right, above


def _potential(result, name):
    return getattr(result, name, getattr(result, f"{name}_", ()))


def _plan_of(result):
    if hasattr(result, "plan_"):
        return np.asarray(result.plan_)
    plan = getattr(result, "plan", None)
    if plan is None:
        raise AttributeError(f"this {type(result).__name__} has no plan: neither plan_ nor plan")
    return np.asarray(plan() if callable(plan) else plan)


def _check_size(shape, max_entries):
    if np.prod(shape, dtype=np.float64) > max_entries:
        size = " x ".join(str(length) for length in shape)
        raise ValueError(f"the plan has {size} entries, more than max_entries={max_entries}")


def _checked_plan(plan):
    plan = np.asarray(plan)
    if plan.ndim != 2 or plan.size == 0:
        raise ValueError(f"plan must be a matrix with entries, got shape {plan.shape}")
    if not np.all(plan >= 0):  # NaN, too
        raise ValueError(f"plan must not be negative or NaN, got {plan.min()}")
    return plan


def _order(name, labels, n):
    """Order of rows or columns, class by class, and where a class other than the first begins."""
    if labels is None:
        return np.arange(n), np.empty(0, dtype=np.intp)
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), got {labels.shape}")
    order = np.argsort(labels, kind="stable")
    return order, 1 + np.flatnonzero(labels[order][1:] != labels[order][:-1])

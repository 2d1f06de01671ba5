"""Prototypes before and after they were moved to a batch of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes
from clusterlib.plotting._projection import principal_plane

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike, IntArray

__all__ = ["PrototypeAlignmentDisplay"]


class PrototypeAlignmentDisplay:
    """Queries and prototypes in a plane, with an arrow for the way of each prototype.

    Made by :meth:`from_estimator` or :meth:`from_alignment`; the arguments are for those who have
    points in a plane already.

    Parameters
    ----------
    projected_queries : ndarray of shape (n_queries, 2)
        Queries in the plane.
    projected_before : ndarray of shape (n_classes, 2)
        Prototypes of the classes as the labelled examples give them.
    projected_after : ndarray of shape (n_classes, 2)
        The same prototypes as they were moved.
    classes : ndarray of shape (n_classes,), default=None
        Names of the classes for the legend; None numbers them.
    query_labels : ndarray of int of shape (n_queries,), default=None
        For each query the index of its class, which colours it; None leaves queries grey.
    explained_variance_ratio : float, default=None
        Share of the variance of the queries that the plane shows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure they are in.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.plotting import PrototypeAlignmentDisplay
    >>> queries = np.random.default_rng(0).normal(size=(30, 5))
    >>> display = PrototypeAlignmentDisplay.from_alignment(queries, np.eye(5)[:2], queries[:2])
    >>> display.ax_.get_xlabel()
    'first component of the queries'
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        *,
        projected_queries: Array,
        projected_before: Array,
        projected_after: Array,
        classes: Array | None = None,
        query_labels: IntArray | None = None,
        explained_variance_ratio: float | None = None,
    ) -> None:
        self.projected_queries = projected_queries
        self.projected_before = projected_before
        self.projected_after = projected_after
        self.classes = classes
        self.query_labels = query_labels
        self.explained_variance_ratio = explained_variance_ratio

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike | None = None, *, ax: Axes | None = None
    ) -> Self:
        """Draw what a fitted classifier does with a batch of queries.

        Parameters
        ----------
        estimator : fitted estimator
            Has ``classes_`` and moves its prototypes by ``align(X)``, as
            :class:`clusterlib.transport.OTPrototypeClassifier` does.
        X : array-like of shape (n_queries, n_features)
            The batch.
        y : array-like of shape (n_queries,), default=None
            Classes of the queries where they are known, to colour them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PrototypeAlignmentDisplay
            With ``ax_`` and ``figure_``. Queries are shown as the estimator normalised them.

        Raises
        ------
        AttributeError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If X is refused by the estimator, or y has another length or another class.
        """
        if not hasattr(estimator, "classes_"):
            raise AttributeError(f"this {type(estimator).__name__} is not fitted; call fit first")
        alignment = estimator.align(X)
        return cls.from_alignment(
            alignment.queries,
            alignment.prototypes_before,
            alignment.prototypes_after,
            classes=estimator.classes_,
            query_labels=y,
            ax=ax,
        )

    @classmethod
    def from_alignment(
        cls,
        queries: ArrayLike,
        before: ArrayLike,
        after: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        query_labels: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw queries and prototypes in the plane in which queries differ most.

        Parameters
        ----------
        queries : array-like of shape (n_queries, n_features)
            Queries, at least one.
        before, after : array-like of shape (n_classes, n_features)
            Prototypes as they were and as they were moved.
        classes : array-like of shape (n_classes,), default=None
            Their names.
        query_labels : array-like of shape (n_queries,), default=None
            Class of each query, one of ``classes`` or, without them, the index of a prototype.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PrototypeAlignmentDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If shapes disagree or a label is no class.
        """
        queries, before, after = (
            _checked_points(name, points)
            for name, points in (("queries", queries), ("before", before), ("after", after))
        )
        if before.shape != after.shape or before.shape[1] != queries.shape[1]:
            raise ValueError(
                "queries, before and after must have as many features, before and after as many "
                f"rows; got {queries.shape}, {before.shape} and {after.shape}"
            )
        classes = np.arange(len(before)) if classes is None else np.asarray(classes)
        if classes.shape != (len(before),):
            raise ValueError(f"classes must have shape ({len(before)},), got {classes.shape}")
        if query_labels is not None:
            query_labels = _indices(query_labels, classes, len(queries))
        axes, origin, explained = principal_plane(queries, np.ones(len(queries)))
        display = cls(
            projected_queries=(queries - origin) @ axes,
            projected_before=(before - origin) @ axes,
            projected_after=(after - origin) @ axes,
            classes=classes,
            query_labels=query_labels,
            explained_variance_ratio=explained,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the plane.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PrototypeAlignmentDisplay
            Itself, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        """
        ax = checked_axes(self, ax, figsize=(5.4, 4.2))
        self.ax_ = ax
        self.figure_ = ax.figure
        labels = self.query_labels
        colours = "lightgrey" if labels is None else [f"C{label % 10}" for label in labels]
        ax.scatter(*self.projected_queries.T, c=colours, s=10, alpha=0.5, linewidth=0)
        classes = self.classes if self.classes is not None else range(len(self.projected_before))
        ways = zip(self.projected_before, self.projected_after, classes, strict=True)
        for index, (start, end, name) in enumerate(ways):
            colour = f"C{index % 10}"
            ax.annotate(
                "", end, start, arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.5}
            )
            ax.scatter(*start, marker="s", s=45, facecolor="white", edgecolor=colour, zorder=3)
            ax.scatter(
                *end, marker="s", s=45, color=colour, edgecolor="black", zorder=3, label=f"{name}"
            )
        ax.set(xlabel="first component of the queries", ylabel="second component")
        title = "prototypes before (white) and after (filled)"
        if self.explained_variance_ratio is not None:
            title += f"\n{self.explained_variance_ratio:.0%} of the variance of the queries"
        ax.set_title(title, fontsize="medium")
        ax.legend(title="class")
        return self


def _checked_points(name, points):
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.size == 0:
        raise ValueError(f"{name} must be a matrix with rows, got shape {points.shape}")
    return points


def _indices(labels, classes, n_queries):
    """Place of each label among the classes."""
    labels = np.asarray(labels)
    if labels.shape != (n_queries,):
        raise ValueError(f"query_labels must have shape ({n_queries},), got {labels.shape}")
    matches = labels[:, None] == classes
    unknown = ~matches.any(axis=1)
    if unknown.any():
        raise ValueError(f"query_labels has {labels[np.argmax(unknown)]!r}, which is no class")
    return np.argmax(matches, axis=1)

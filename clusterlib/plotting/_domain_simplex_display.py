"""Where rows lie in the simplex of the classes, as their domains tell it."""

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

__all__ = ["DomainSimplexDisplay"]


class DomainSimplexDisplay:
    """Rows of q(domain | row) and the corners q(domain | class) that were found, in a plane.

    Under latent label shift every row of q(domain | row) is a mixture of the columns of
    q(domain | class): rows lie in a simplex whose corners are the classes. The picture shows
    whether corners were found where rows end. Columns are divided by the square roots of the
    domains' shares, so that noise is alike in all directions, and the plane is the one in which
    the corners differ most.

    Made by :meth:`from_estimator` or :meth:`from_probabilities`.

    Parameters
    ----------
    points : ndarray of shape (n_shown, 2)
        Rows in the plane.
    corners : ndarray of shape (n_shown_classes, 2)
        Classes in the plane.
    labels : ndarray of shape (n_shown,)
        Class of each row that is shown, as a position in ``class_names``.
    class_names : ndarray of shape (n_shown_classes,)
        Label of each corner.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the picture.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    LabelMarginalDisplay : Shares of the classes in each domain.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.plotting import DomainSimplexDisplay
    >>> corners = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    >>> rows = np.random.default_rng(0).dirichlet(np.full(3, 0.2), size=50) @ corners.T
    >>> display = DomainSimplexDisplay.from_probabilities(rows, corners)
    >>> display.points.shape, display.class_names.tolist()
    ((50, 2), [0, 1, 2])
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure

    def __init__(self, points: Array, *, corners: Array, labels: Array, class_names: Array) -> None:
        self.points = points
        self.corners = corners
        self.labels = labels
        self.class_names = class_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        classes: Sequence[int] | None = None,
        max_rows: int = 2000,
        ax: Axes | None = None,
    ) -> Self:
        """Draw what the domains say of the rows of X.

        Parameters
        ----------
        estimator : fitted LatentLabelShift
            Has ``domain_probabilities``, ``predict``, ``domain_given_class_`` and
            ``domain_shares_``.
        X : array-like of shape (n_samples, n_features)
            Rows, best those that it was not fitted to.
        classes : sequence of int, default=None
            Classes to show, at least two, and only the rows that belong to them; None shows all.
            Three of them are a triangle, of which nothing is lost in the plane.
        max_rows : int, default=2000
            With more, evenly spaced ones are drawn.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : DomainSimplexDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator is of another kind or not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            As in :meth:`from_probabilities`.
        """
        for name in ("domain_probabilities", "domain_given_class_"):
            if not hasattr(estimator, name):
                raise AttributeError(
                    f"this {type(estimator).__name__} has no {name}: it is no LatentLabelShift, "
                    "or not fitted"
                )
        return cls.from_probabilities(
            estimator.domain_probabilities(X),
            estimator.domain_given_class_,
            shares=estimator.domain_shares_,
            labels=estimator.predict(X),
            classes=classes,
            max_rows=max_rows,
            ax=ax,
        )

    @classmethod
    def from_probabilities(
        cls,
        f: ArrayLike,
        domain_given_class: ArrayLike,
        *,
        shares: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        max_rows: int = 2000,
        ax: Axes | None = None,
    ) -> Self:
        """Draw rows of domain probabilities and corners.

        Parameters
        ----------
        f : array-like of shape (n_samples, n_domains)
            q(domain | row); rows sum to 1.
        domain_given_class : array-like of shape (n_domains, n_classes)
            q(domain | class); columns sum to 1. At least two classes.
        shares : array-like of shape (n_domains,), default=None
            q(domain); None takes the mean of f.
        labels : array-like of int of shape (n_samples,), default=None
            Class of each row; None takes the corner that is nearest.
        classes, max_rows, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        display : DomainSimplexDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            For shapes that do not fit, fewer than two classes, classes that do not exist, no row
            of the classes shown, or ``max_rows`` below 1.
        """
        f, D, shares = _checked_rows(f, domain_given_class, shares)
        if not isinstance(max_rows, int | np.integer) or max_rows < 1:
            raise ValueError(f"max_rows must be an integer of at least 1, got {max_rows!r}")
        names = _checked_classes(classes, D.shape[1])
        scale = np.sqrt(np.maximum(shares, np.finfo(np.float64).tiny))
        rows, corners = f / scale, D.T / scale
        if labels is None:
            squares = np.sum(corners**2, axis=1) - 2 * rows @ corners.T
            labels = squares.argmin(axis=1)
        labels = np.asarray(labels)
        if labels.shape != (len(f),):
            raise ValueError(f"labels must have shape ({len(f)},), got {labels.shape}")
        shown = np.flatnonzero(np.isin(labels, names))
        if len(shown) == 0:
            raise ValueError(f"no row belongs to the classes {names.tolist()}")
        shown = shown[np.linspace(0, len(shown) - 1, min(len(shown), max_rows)).astype(np.intp)]
        center, plane = _plane(corners[names], rows[shown])
        return cls(
            (rows[shown] - center) @ plane,
            corners=(corners[names] - center) @ plane,
            labels=np.searchsorted(names, labels[shown]),
            class_names=names,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the rows, the corners and the edges between these.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : DomainSimplexDisplay
            Itself, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        """
        ax = checked_axes(self, ax, figsize=(5.2, 4.8))
        colors = _colors(len(self.corners))
        for i, j in zip(*np.triu_indices(len(self.corners), 1), strict=True):
            ax.plot(*self.corners[[i, j]].T, color="0.8", linewidth=0.7, zorder=1)
        ax.scatter(*self.points.T, c=colors[self.labels], s=6, alpha=0.5, linewidths=0, zorder=2)
        ax.scatter(
            *self.corners.T,
            c=colors,
            s=130,
            marker="*",
            edgecolors="black",
            linewidths=0.8,
            zorder=3,
        )
        for place, name in zip(self.corners, self.class_names, strict=True):
            ax.annotate(str(name), place, xytext=(6, 6), textcoords="offset points", zorder=4)
        ax.set(xlabel="first direction", ylabel="second direction")
        ax.set_aspect("equal", adjustable="datalim")
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _colors(count):
    """Colours that can be told apart, as many as there are classes."""
    from matplotlib import colormaps

    if count <= 10:
        return colormaps["tab10"](np.arange(count))
    return colormaps["hsv"](np.arange(count) / count)


def _checked_rows(f, domain_given_class, shares):
    f, D = np.asarray(f, dtype=np.float64), np.asarray(domain_given_class, dtype=np.float64)
    if f.ndim != 2 or D.ndim != 2 or f.shape[1] != D.shape[0] or f.size == 0:
        raise ValueError(
            "f must have a column for each row of domain_given_class, got shapes "
            f"{f.shape} and {D.shape}"
        )
    if D.shape[1] < 2:
        raise ValueError(f"domain_given_class must have at least 2 classes, got {D.shape[1]}")
    if not (np.all(np.isfinite(f)) and np.all(np.isfinite(D))):
        raise ValueError("f and domain_given_class must be finite")
    shares = f.mean(axis=0) if shares is None else np.asarray(shares, dtype=np.float64)
    if shares.shape != (f.shape[1],) or not np.all(shares >= 0):
        raise ValueError(f"shares must be {f.shape[1]} numbers that are at least 0, got {shares}")
    return f, D, shares


def _checked_classes(classes, n_classes):
    if classes is None:
        return np.arange(n_classes)
    names = np.unique(np.asarray(classes))
    if names.ndim != 1 or len(names) < 2 or not np.all(np.isin(names, np.arange(n_classes))):
        raise ValueError(
            f"classes must be at least 2 different ones from 0 to {n_classes - 1}, got {classes!r}"
        )
    return names


def _plane(corners, rows):
    """A point and two directions: where the corners differ most, then where the rows do."""
    center = corners.mean(axis=0)
    spread = corners - center
    directions = np.linalg.svd(spread, full_matrices=False)[2][:2]
    rank = np.linalg.matrix_rank(spread)
    if rank < 2:  # two classes: the second direction is that of what their edge does not explain
        first = directions[:1] if rank else np.zeros((0, len(center)))
        left = rows - center
        left = left - left @ first.T @ first
        _, lengths, others = np.linalg.svd(left, full_matrices=False)
        others = others[lengths > 1e-9 * np.linalg.norm(rows)]  # what is left is not rounding
        directions = np.concatenate([first, others, np.zeros((2, len(center)))])[:2]
    return center, directions.T

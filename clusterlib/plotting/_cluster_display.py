"""Three views of a fitted k-means: sizes, convergence, and the plane through the centres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._projection import principal_plane
from clusterlib.plotting._rows import some_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike, IntArray

__all__ = ["ClusterDisplay"]


class ClusterDisplay:
    """Sizes of the clusters, course of the fit, and rows in the plane of the centres.

    Made by :meth:`from_estimator`; the arguments are for those who have the numbers already.

    Parameters
    ----------
    cluster_sizes : ndarray of shape (n_clusters,)
        Weight or number of rows of each cluster.
    history : ndarray of shape (n_steps,)
        A value for each step of the fit; may be empty.
    projected_centers : ndarray of shape (n_clusters, 2)
        Centres in the plane.
    projected_rows : ndarray of shape (n_shown, 2), default=None
        Some rows in the same plane.
    labels : ndarray of int of shape (n_shown,), default=None
        Their clusters.
    explained_variance_ratio : float, default=None
        Share of the variance of the centres that the plane shows.
    history_name : str, default="history"
        What the values of ``history`` are.

    Attributes
    ----------
    ax_ : ndarray of shape (3,), dtype object
        The axes: sizes, history, plane.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    clusterlib.metrics.cluster_balance : The first view in four numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.datasets import make_gaussian_mixture
    >>> from clusterlib.plotting import ClusterDisplay
    >>> X, _ = make_gaussian_mixture(300, 5, random_state=0)
    >>> display = ClusterDisplay.from_estimator(KMeans(3, random_state=0).fit(X), X)
    >>> [ax.get_xlabel() for ax in display.ax_]
    ['cluster, by size', 'iteration', 'first component of the centres']
    >>> plt.close(display.figure_)
    """

    ax_: Array
    figure_: Figure

    def __init__(
        self,
        *,
        cluster_sizes: Array,
        history: Array,
        projected_centers: Array,
        projected_rows: Array | None = None,
        labels: IntArray | None = None,
        explained_variance_ratio: float | None = None,
        history_name: str = "history",
    ) -> None:
        self.cluster_sizes = cluster_sizes
        self.history = history
        self.projected_centers = projected_centers
        self.projected_rows = projected_rows
        self.labels = labels
        self.explained_variance_ratio = explained_variance_ratio
        self.history_name = history_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        max_rows: int = 2000,
        ax: Sequence[Axes] | None = None,
    ) -> Self:
        """Draw a fitted k-means.

        Parameters
        ----------
        estimator : fitted estimator
            Has ``cluster_centers_`` and ``labels_``; ``cluster_sizes_`` and ``history_`` are used
            where they exist, so estimators of scikit-learn can be drawn, too.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to show in the plane of the centres. ``labels_`` colours them if there is one for
            each row, else ``estimator.predict``. If all centres are unit vectors, as those of
            spherical k-means are, rows are shown as directions.
        max_rows : int, default=2000
            At most so many rows are shown, evenly spaced in X.
        ax : sequence of three matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ClusterDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        ValueError
            If X has other features than the centres, ``max_rows`` is below 1, or ``ax`` does not
            hold three axes.
        """
        if not hasattr(estimator, "cluster_centers_"):
            raise AttributeError(f"this {type(estimator).__name__} is not fitted; call fit first")
        centers = np.asarray(estimator.cluster_centers_, dtype=np.float64)
        sizes = _sizes(estimator, len(centers))
        axes, origin, explained = principal_plane(centers, sizes)
        rows = labels = None
        if X is not None:
            rows, labels = some_rows(estimator, X, centers.shape[1], max_rows)
            rows = (_as_directions(rows, centers) - origin) @ axes
        history, history_name = _history(estimator)
        display = cls(
            cluster_sizes=sizes,
            history=history,
            projected_centers=(centers - origin) @ axes,
            projected_rows=rows,
            labels=labels,
            explained_variance_ratio=explained,
            history_name=history_name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Sequence[Axes] | None = None) -> Self:
        """Draw the three views.

        Parameters
        ----------
        ax : sequence of three matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ClusterDisplay
            Itself, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` does not hold three axes.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError(
                'ClusterDisplay needs matplotlib: pip install "clusterlib-native[plot]"'
            ) from error
        if ax is None:
            _, ax = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
        ax = np.asarray(ax, dtype=object)
        if ax.shape != (3,):
            raise ValueError(f"ax must hold 3 axes, got shape {ax.shape}")
        self.ax_ = ax
        self.figure_ = ax[0].figure
        self._draw_sizes(ax[0])
        self._draw_history(ax[1])
        self._draw_plane(ax[2])
        return self

    def _draw_sizes(self, ax):
        sizes = np.sort(self.cluster_sizes)[::-1]
        ax.stairs(sizes, np.arange(len(sizes) + 1) + 0.5, fill=True)
        ax.axhline(np.mean(sizes), color="black", linestyle=":", label="equal sizes")
        ax.set(xlabel="cluster, by size", ylabel="size", ylim=(0, None))
        ax.legend()

    def _draw_history(self, ax):
        ax.plot(np.arange(1, len(self.history) + 1), self.history, marker=".")
        if self.history_name != _OBJECTIVE and np.any(self.history > 0):
            ax.set_yscale("log", nonpositive="mask")
        step = _STEPS.get(self.history_name, "iteration")
        ax.set(xlabel=step, ylabel=self.history_name)

    def _draw_plane(self, ax):
        if self.projected_rows is not None:
            ax.scatter(*self.projected_rows.T, c=self.labels, s=4, cmap="tab20", alpha=0.6)
        ax.scatter(*self.projected_centers.T, c="black", marker="x", s=30, label="centres")
        ax.set(xlabel="first component of the centres", ylabel="second component")
        if self.explained_variance_ratio is not None:
            ax.set_title(f"{self.explained_variance_ratio:.0%} of the variance between clusters")
        ax.legend()


_BATCHES, _TRACES, _MOVES = "mean cost of a batch", "error of the trace", "squared moves of centres"
_OBJECTIVE = "objective"
_STEPS = {_BATCHES: "batch", _TRACES: "record"}


def _history(estimator):
    """What the course of a fit is shown by, and its name."""
    history = np.asarray(getattr(estimator, "history_", ()))
    if history.ndim == 2:  # relaxations: iterations, objective, trace error and residual
        return history[:, 2], _TRACES
    if hasattr(estimator, "marginal_error_"):  # codes with given shares
        return history, _OBJECTIVE
    return history, _BATCHES if hasattr(estimator, "counts_") else _MOVES


def _sizes(estimator, n_clusters):
    if hasattr(estimator, "cluster_sizes_"):
        return np.asarray(estimator.cluster_sizes_, dtype=np.float64)
    if hasattr(estimator, "labels_"):
        return np.bincount(estimator.labels_, minlength=n_clusters).astype(np.float64)
    return np.asarray(estimator.counts_, dtype=np.float64)


def _as_directions(rows, centers):
    """Rows of length 1 where all centres have it, as those of spherical k-means."""
    if not np.allclose(np.linalg.norm(centers, axis=1), 1.0, atol=1e-5):
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)

"""Who is with whom: the membership matrix of a relaxed clustering, cluster by cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike

__all__ = ["MembershipDisplay"]


class MembershipDisplay:
    """Heat map of the membership matrix of a semidefinite relaxation, ordered by cluster.

    The matrix is ``Z = W D^-1 W'`` with the rows of W in the simplex and D the diagonal of its
    column sums. For a partition Z is 1 / n_k for two rows of cluster k and 0 otherwise; the
    picture shows ``Z_ij sqrt(n_i n_j)`` with n_i the size of the cluster that row i is drawn in,
    so that a partition gives black squares on white, however unequal the clusters are. What is
    grey is where the relaxation has not decided.

    Made by :meth:`from_estimator` or :meth:`from_membership`.

    Parameters
    ----------
    together : ndarray of shape (n_cells, n_cells)
        Mean of ``Z_ij sqrt(n_i n_j)`` over the rows of two cells; from 0 to about 1.
    cell_edges : ndarray of shape (n_cells + 1,)
        First row of each cell in the order of the picture, and the number of rows.
    cluster_edges : ndarray of shape (n_clusters + 1,)
        The same for the clusters.
    cluster_names : ndarray of shape (n_clusters,)
        Label of each.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the heat map.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    MixtureDisplay : Groups as ellipses among the rows.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.plotting import MembershipDisplay
    >>> W = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0]])
    >>> display = MembershipDisplay.from_membership(W, labels=[0, 0, 1, 0])
    >>> display.cluster_edges.tolist(), round(float(display.together[0, 0]), 2)
    ([0, 3, 4], 1.2)
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure

    def __init__(
        self, together: Array, *, cell_edges: Array, cluster_edges: Array, cluster_names: Array
    ) -> None:
        self.together = together
        self.cell_edges = cell_edges
        self.cluster_edges = cluster_edges
        self.cluster_names = cluster_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        max_cells: int = 400,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the memberships of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            Has ``membership_`` or ``memberships_``, and ``labels_``; with X, ``predict_proba``
            and ``predict``, so that mixtures of scikit-learn can be drawn, too.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to draw instead of those it was fitted to.
        max_cells : int, default=400
            As in :meth:`from_membership`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : MembershipDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator has no memberships: it is of another kind or not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If ``max_cells`` is less than the number of clusters.
        """
        name = type(estimator).__name__
        if X is not None:
            if not hasattr(estimator, "predict_proba"):
                raise AttributeError(f"{name} has no memberships of new rows: no predict_proba")
            W, labels = estimator.predict_proba(X), estimator.predict(X)
        else:
            W = getattr(estimator, "membership_", getattr(estimator, "memberships_", None))
            if W is None:
                raise AttributeError(
                    f"this {name} has no memberships, neither membership_ nor memberships_; "
                    "call fit first"
                )
            labels = estimator.labels_
        return cls.from_membership(W, labels=labels, max_cells=max_cells, ax=ax)

    @classmethod
    def from_membership(
        cls,
        W: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        max_cells: int = 400,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the matrix ``W D^-1 W'`` of a factor.

        Parameters
        ----------
        W : array-like of shape (n_samples, n_columns)
            Rows are not negative and sum to 1; there may be more columns than clusters.
        labels : array-like of shape (n_samples,), default=None
            Clusters by which rows are put in order; within a cluster they are ordered by their
            largest column, and the most decided come first. None takes that column as the
            cluster.
        max_cells : int, default=400
            With more rows, neighbours are averaged until so many cells are left on a side, at
            least one for each cluster.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : MembershipDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If W has no rows in the simplex, labels are more or fewer than rows, or ``max_cells``
            is less than the number of clusters.

        Notes
        -----
        Means of Z over cells are products of means of W, so that no matrix of all pairs of rows
        is computed: O(n_samples n_columns + max_cells^2 n_columns) time, max_cells^2 memory.
        """
        W = _checked_membership(W)
        columns = W.argmax(axis=1)
        labels = columns if labels is None else np.asarray(labels)
        if labels.shape != (len(W),):
            raise ValueError(f"labels must have shape ({len(W)},), got {labels.shape}")
        names, clusters, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        if not isinstance(max_cells, int | np.integer) or max_cells < len(names):
            raise ValueError(
                f"max_cells must be an integer of at least the {len(names)} clusters, "
                f"got {max_cells!r}"
            )
        order = np.lexsort((-W.max(axis=1), columns, clusters))
        cell_edges = _cells(sizes, int(max_cells))
        return cls(
            _means_over_cells(W, order, cell_edges, np.sqrt(sizes[clusters])),
            cell_edges=cell_edges,
            cluster_edges=np.concatenate([[0], np.cumsum(sizes)]),
            cluster_names=names,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : MembershipDisplay
            Itself, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        """
        ax = checked_axes(self, ax, figsize=(4.8, 4.4))
        edges = self.cell_edges
        ax.pcolormesh(edges, edges, self.together, cmap="Greys", vmin=0, vmax=1, rasterized=True)
        for edge in self.cluster_edges[1:-1]:
            ax.axhline(edge, color="tab:red", linewidth=0.6)
            ax.axvline(edge, color="tab:red", linewidth=0.6)
        middles = (self.cluster_edges[1:] + self.cluster_edges[:-1]) / 2
        if len(middles) <= 20:  # more names than that would overlap
            ax.set_xticks(middles, self.cluster_names)
            ax.set_yticks(middles, self.cluster_names)
        ax.set(xlabel="row, by cluster", ylabel="row, by cluster", aspect="equal")
        ax.set(xlim=(0, edges[-1]), ylim=(edges[-1], 0))  # the first row on top
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _checked_membership(W):
    W = np.asarray(W)
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"W must be a matrix with entries, got shape {W.shape}")
    if not np.all(W >= 0):  # NaN, too
        raise ValueError(f"W must not be negative or NaN, got {W.min()}")
    sums = W.sum(axis=1, dtype=np.float64)
    worst = int(np.argmax(np.abs(sums - 1)))
    if not abs(sums[worst] - 1) <= 1e-3:
        raise ValueError(f"rows of W must sum to 1, row {worst} sums to {sums[worst]}")
    return W


def _cells(sizes, max_cells):
    """First rows of the cells: nearly equal ones in every cluster, and none across two."""
    n_spare = max_cells - len(sizes)
    n_cells = np.minimum(sizes, 1 + (n_spare * (sizes / sizes.sum())).astype(np.intp))
    if sizes.sum() <= max_cells:
        n_cells = sizes
    starts = np.cumsum(sizes) - sizes
    edges = [
        start + (np.arange(n) * size) // n
        for start, size, n in zip(starts, sizes, n_cells, strict=True)
    ]
    return np.concatenate([*edges, [sizes.sum()]])


def _means_over_cells(W, order, cell_edges, weights):
    """Mean of ``Z_ij weights_i weights_j`` over the rows of every two cells."""
    sums = W.sum(axis=0, dtype=np.float64)
    factor = W[order] * weights[order, None]
    means = np.add.reduceat(factor, cell_edges[:-1], axis=0) / np.diff(cell_edges)[:, None]
    return (means * np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)) @ means.T

"""Gaussian groups as ellipses among the rows they were fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes
from clusterlib.plotting._projection import principal_plane
from clusterlib.plotting._rows import some_rows

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array, ArrayLike, IntArray

__all__ = ["MixtureDisplay"]


class MixtureDisplay:
    """Rows and covariance ellipses of Gaussian groups, in a plane.

    Made by :meth:`from_estimator`; the arguments are for those who have the numbers already.

    Parameters
    ----------
    means : ndarray of shape (n_groups, 2)
        Centres of the groups in the plane.
    covariances : ndarray of shape (n_groups, 2, 2)
        Covariances in the plane.
    rows : ndarray of shape (n_shown, 2), default=None
        Some rows in the same plane.
    labels : ndarray of int of shape (n_shown,), default=None
        Their groups.
    axis_names : tuple of two str, default=("first axis", "second axis")
        Names of the axes.
    title : str, default=""
        What the plane is.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    MembershipDisplay : How decided the memberships are.
    ClusterDisplay : The same for clusters that are centres alone.

    Notes
    -----
    The ellipses lie where the distance to the mean is 1 and 2 standard deviations in every
    direction; of a Gaussian group 39 % and 86 % of the rows are inside.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.plotting import MixtureDisplay
    >>> display = MixtureDisplay(np.zeros((1, 2)), np.diag([4.0, 1.0])[None]).plot()
    >>> [round(float(ellipse.width), 2) for ellipse in display.ax_.patches]
    [4.0, 8.0]
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        means: Array,
        covariances: Array,
        *,
        rows: Array | None = None,
        labels: IntArray | None = None,
        axis_names: tuple[str, str] = ("first axis", "second axis"),
        title: str = "",
    ) -> None:
        self.means = means
        self.covariances = covariances
        self.rows = rows
        self.labels = labels
        self.axis_names = axis_names
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        features: tuple[int, int] | None = None,
        max_rows: int = 2000,
        ax: Axes | None = None,
    ) -> Self:
        """Draw a fitted mixture.

        Parameters
        ----------
        estimator : fitted estimator
            Has ``means_`` and ``covariances_`` of any ``covariance_type``; ``weights_``, and
            ``components_`` with ``noise_variance_`` for covariances on principal components, are
            used where they exist. Mixtures of scikit-learn can be drawn, too.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to show. ``labels_`` colours them if there is one for each, else
            ``estimator.predict``.
        features : pair of int, default=None
            Columns of X that are the axes. None takes both of two, and otherwise the two
            principal axes of the fitted mixture.
        max_rows : int, default=2000
            At most so many rows are shown, evenly spaced in X.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : MixtureDisplay
            With ``ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If the estimator is no mixture or not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If X has other features than the means, ``features`` are not two different columns or
            ``max_rows`` is below 1.
        """
        if not (hasattr(estimator, "means_") and hasattr(estimator, "covariances_")):
            raise AttributeError(
                f"this {type(estimator).__name__} has no means_ and covariances_; call fit first"
            )
        means = np.asarray(estimator.means_, dtype=np.float64)
        shapes = _Shapes(estimator, *means.shape)
        if features is None and means.shape[1] == 2:
            features = (0, 1)
        if features is not None:
            features = _checked_features(features, means.shape[1])
            axes, origin, title = np.eye(means.shape[1])[:, features], 0.0, ""
            names = tuple(f"feature {feature}" for feature in features)
        else:
            axes, origin, share = shapes.principal_plane(means)
            names = ("first principal axis", "second principal axis")
            title = f"{share:.0%} of the variance of the mixture"
        rows = labels = None
        if X is not None:
            rows, labels = some_rows(estimator, X, means.shape[1], max_rows)
            rows = (rows - origin) @ axes
        return cls(
            (means - origin) @ axes,
            shapes.in_plane(axes),
            rows=rows,
            labels=labels,
            axis_names=names,
            title=title,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the rows, the means and two ellipses for each group.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : MixtureDisplay
            Itself, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        """
        ax = checked_axes(self, ax, figsize=(5.2, 4.4))
        from matplotlib import colormaps, patches

        colors = colormaps["tab10"](np.arange(len(self.means)) % 10)
        if self.rows is not None:
            of_rows = "grey" if self.labels is None else colors[self.labels]
            ax.scatter(*self.rows.T, c=of_rows, s=6, alpha=0.6, linewidths=0)
        for color, mean, covariance in zip(colors, self.means, self.covariances, strict=True):
            variances, directions = np.linalg.eigh(covariance)
            width, height = 2 * np.sqrt(np.maximum(variances[::-1], 0))
            angle = np.degrees(np.arctan2(*directions[::-1, 1]))
            for level, style in ((1, "-"), (2, "--")):
                ax.add_patch(
                    patches.Ellipse(
                        mean,
                        level * width,
                        level * height,
                        angle=angle,
                        fill=False,
                        edgecolor=color,
                        linestyle=style,
                        linewidth=1.4,
                    )
                )
        ax.scatter(*self.means.T, c="black", marker="x", s=30, label="means")
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], title=self.title)
        ax.autoscale_view()
        ax.legend()
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


class _Shapes:
    """Covariances of an estimator in the coordinates they were found in."""

    def __init__(self, estimator, n_groups, n_features):
        axes = getattr(estimator, "components_", None)
        self.axes = np.eye(n_features) if axes is None else np.asarray(axes, dtype=np.float64)
        self.noise_variance = 0.0 if axes is None else getattr(estimator, "noise_variance_", 0.0)
        weights = getattr(estimator, "weights_", np.full(n_groups, 1 / n_groups))
        self.weights = np.asarray(weights, dtype=np.float64)
        self.matrices = _as_matrices(estimator, n_groups, len(self.axes))

    def in_plane(self, axes):
        """Covariances of the groups along the columns of ``axes``, of shape (n_groups, 2, 2)."""
        own = self.axes @ axes
        noise = self.noise_variance * (axes.T @ axes - own.T @ own)
        return own.T @ self.matrices @ own + noise

    def principal_plane(self, means):
        """Two principal axes of the mixture, its mean, and the share of its variance in them.

        Deviations of the means and the axes of each group, weighted, have its covariance.
        """
        origin = self.weights @ means
        values, directions = np.linalg.eigh(self.matrices)
        spokes = directions * np.sqrt(np.maximum(values, 0))[:, None, :]
        spokes = spokes.transpose(0, 2, 1).reshape(-1, len(self.axes)) @ self.axes
        points = np.concatenate([means - origin, spokes, -spokes])
        each = np.repeat(self.weights / 2, len(self.axes))
        # The variance of a spoke and its opposite is that of one axis at full weight.
        axes, _, _ = principal_plane(points, np.concatenate([self.weights, each, each]))
        shown = np.trace(_mixed(self.weights, self.in_plane(axes), (means - origin) @ axes))
        n_noise = means.shape[1] - len(self.axes)
        total = np.sum(self.weights @ (means - origin) ** 2) + self.noise_variance * n_noise
        total += self.weights @ np.trace(self.matrices, axis1=1, axis2=2)
        return axes, origin, float(shown / total) if total > 0 else 1.0


def _mixed(weights, covariances, deviations):
    return np.einsum("k,kij->ij", weights, covariances) + (deviations.T * weights) @ deviations


def _as_matrices(estimator, n_groups, n_features):
    """Covariances of shape (n_groups, n_features, n_features), whatever shape they are kept in."""
    covariances = np.asarray(estimator.covariances_, dtype=np.float64)
    kind = getattr(estimator, "covariance_type_", getattr(estimator, "covariance_type", None))
    full = (n_groups, n_features, n_features)
    if covariances.shape == full:
        return covariances
    if covariances.shape == full[1:] and kind == "tied":
        return np.broadcast_to(covariances, full)
    if covariances.shape in (full[:2], full[:1]):  # diagonals, or one variance for a group
        return covariances.reshape(n_groups, -1)[:, :, None] * np.eye(n_features)
    raise ValueError(
        f"covariances_ of shape {covariances.shape} do not belong to {n_groups} groups in "
        f"{n_features} dimensions with covariance_type={kind!r}"
    )


def _checked_features(features, n_features):
    features = list(features)
    valid = all(isinstance(one, int | np.integer) and 0 <= one < n_features for one in features)
    if len(features) != 2 or not valid or features[0] == features[1]:
        raise ValueError(
            f"features must be two different columns from 0 to {n_features - 1}, got {features}"
        )
    return features

"""Handwritten digits: do the clusters agree with what was written?"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.cluster import kmeans_plusplus
from sklearn.datasets import load_digits
from sklearn.metrics.cluster import contingency_matrix

from clusterlib.cluster import KMeans, SphericalKMeans
from clusterlib.demo.figures import INK, OURS, PAPER, draw_svg
from clusterlib.demo.judge import cosine_loss
from clusterlib.demo.race import race
from clusterlib.demo.results import Answer, Figure, Section, Settings

ORDER = 10
TITLE = "Handwritten digits"
N_CLUSTERS = 10
N_STARTS = 10


def unit_rows(images: np.ndarray) -> np.ndarray:
    """Take the mean image away and scale every row to length one.

    Parameters
    ----------
    images : ndarray of float64, shape (n_samples, n_features)
        No row is the mean.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_features)
    """
    X = images - images.mean(axis=0)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def _best_of(estimator, starts: list[np.ndarray]):
    """Return a contestant that keeps the best of the fits from the given starts."""

    def contestant(X: np.ndarray) -> Answer:
        fits = [
            estimator(n_clusters=N_CLUSTERS, init=start, n_init=1, tol=0.0).fit(X)
            for start in starts
        ]
        best = min(fits, key=lambda fit: fit.inertia_)
        return Answer(best.labels_, best.cluster_centers_)

    return contestant


def _match(y: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each digit a cluster; return the table digit x cluster in that order, and the order."""
    counts = contingency_matrix(y, labels)
    order = linear_sum_assignment(counts, maximize=True)[1]
    return counts[:, order], order


def draw_clusters(images: np.ndarray, y: np.ndarray, labels: np.ndarray) -> str:
    """Draw the mean image of every cluster, with the share that is its digit.

    Parameters
    ----------
    images : ndarray of shape (n_samples, 64)
    y, labels : ndarray of int, shape (n_samples,)

    Returns
    -------
    str
        Inline SVG.
    """
    counts, order = _match(y, labels)
    share = counts.diagonal() / counts.sum(axis=0)

    def paint(figure):
        for digit, axes in enumerate(figure.subplots(2, 5).flat):
            picture = images[labels == order[digit]].mean(axis=0).reshape(8, 8)
            axes.imshow(picture, cmap="Greys")
            axes.set_title(f"{digit}: {share[digit]:.0%}", fontsize=9)
            axes.set_axis_off()

    return draw_svg("clusters", (4.0, 2.3), "The mean image of each of the ten clusters", paint)


def _draw_counts(y: np.ndarray, labels: np.ndarray) -> str:
    from matplotlib.patches import Rectangle

    counts, _ = _match(y, labels)

    def paint(figure):
        axes = figure.subplots()
        for digit, cluster in np.argwhere(counts > 0):
            count = counts[digit, cluster]
            alpha = np.sqrt(count / counts.max())
            corner = (cluster - 0.5, digit - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=OURS, alpha=alpha))
            color = PAPER if alpha > 0.6 else INK
            axes.text(cluster, digit, count, ha="center", va="center", fontsize=8.5, color=color)
        axes.set_xlim(-0.5, N_CLUSTERS - 0.5)
        axes.set_ylim(N_CLUSTERS - 0.5, -0.5)
        axes.set_xticks(range(N_CLUSTERS))
        axes.set_yticks(range(N_CLUSTERS))
        axes.tick_params(length=0)
        axes.set_xlabel("cluster, matched to a digit")
        axes.set_ylabel("digit written")

    return draw_svg("counts", (4.0, 3.2), "Table of digits against clusters", paint)


def run(settings: Settings) -> Section:
    """Cluster the digits with k-means and with spherical k-means.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Section
    """
    images, y = load_digits(return_X_y=True)
    X = unit_rows(images)
    starts = [kmeans_plusplus(X, N_CLUSTERS, random_state=seed)[0] for seed in range(N_STARTS)]
    theirs = _best_of(TheirKMeans, starts)
    plain, _ = race(
        "Digits: KMeans",
        X,
        _best_of(KMeans, starts),
        theirs,
        settings,
        y=y,
    )
    spherical, answer = race(
        "Digits: SphericalKMeans, beside KMeans",
        X,
        _best_of(SphericalKMeans, starts),
        theirs,
        settings,
        y=y,
        loss=cosine_loss,
    )
    return Section(
        TITLE,
        "1,797 scanned digits of 8 x 8 pixels. The mean image is taken away and every row is "
        f"scaled to length one; the best of {N_STARTS} starts is kept. The classes serve for the "
        "scores alone: accuracy matches clusters to digits in the best way, NMI is the normalised "
        "mutual information. scikit-learn has no spherical k-means; its KMeans on the same rows "
        "of length one is the nearest thing, so that pair compares two methods, not two programs.",
        [plain, spherical],
        [
            Figure(
                "The mean image of each cluster of SphericalKMeans, matched to a digit, with the "
                "share of the cluster that is this digit.",
                lambda: draw_clusters(images, y, answer.labels),
            ),
            Figure(
                "Where the written digits went. Off the diagonal are the mistakes.",
                lambda: _draw_counts(y, answer.labels),
            ),
        ],
    )

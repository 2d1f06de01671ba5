"""First labels for Gaussian groups: from relaxed k-means, Ward's tree, k-means, random rows."""

from enum import Enum

import numpy as np
from scipy.cluster.hierarchy import fcluster, ward

from clusterlib.kernels import pairwise_argmin
from clusterlib.solvers.gaussian import CovarianceType
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.low_rank_sdp import low_rank_sdp
from clusterlib.solvers.sdp_rounding import round_membership
from clusterlib.solvers.seeding import kmeans_plusplus

__all__ = ["StartKind", "starting_labels"]

_KMEANS_STARTS = 4
# Ward's tree takes the distances of all pairs of rows.
_WARD_ROWS = 5000


class StartKind(Enum):
    """Where first labels come from.

    Attributes
    ----------
    SDP
        The semidefinite relaxation of k-means, rounded.
    WARD
        Ward's hierarchical clustering.
    KMEANS
        k-means from k-means++.
    RANDOM
        Cells of rows that are drawn at random.
    """

    SDP = "sdp"
    WARD = "ward"
    KMEANS = "k-means"
    RANDOM = "random"


# In the units of the data (False) or with all correlations taken out (True).
_MIXED = [
    (StartKind.SDP, False),
    (StartKind.WARD, False),
    (StartKind.KMEANS, False),
    (StartKind.WARD, True),
    (StartKind.KMEANS, True),
]


def starting_labels(X, n_clusters, kind, n_init, rng):
    """Draw first labels.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        The rows.
    n_clusters : int
        Number of clusters.
    kind : None or StartKind
        None mixes: one from the relaxation, two from Ward's trees and two from k-means, with and
        without the correlations of the data, then random ones.
    n_init : int
        How many. Ward's tree gives two different ones at most.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    labels : ndarray of shape (n_starts, n_samples), int32
        Each from 0 to ``n_clusters - 1``.

    Notes
    -----
    Every other start is made after the data are whitened: long groups side by side are then as
    near to round as one map can make them. Ward's tree is left out beyond 5000 rows, of which it
    would compare all pairs. O(n p K) time for each start, the relaxation and the tree apart.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.likelihood_starts import StartKind, starting_labels
    >>> X = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> labels = starting_labels(X, 2, StartKind.WARD, 1, np.random.default_rng(0))
    >>> bool(labels[0, 0] == labels[0, 1] != labels[0, 2] == labels[0, 3])
    True
    """
    types = (CovarianceType.SPHERICAL, CovarianceType.FULL)
    views = [GaussianFrame.of(X, of_type).coordinates for of_type in types]
    return np.stack(
        [
            _LABELS_OF[of_kind](views[whitened], n_clusters, rng)
            for of_kind, whitened in _plan(kind, n_init, len(X))
        ]
    )


def _plan(kind, n_init, n_samples):
    """Kind of each start, and whether the data are whitened before it."""
    too_many = n_samples > _WARD_ROWS
    if kind is None:
        plan = [start for start in _MIXED if not (too_many and start[0] is StartKind.WARD)]
        plan += [(StartKind.RANDOM, bool(index % 2)) for index in range(n_init)]
        return plan[:n_init]
    if kind is StartKind.WARD:
        n_init = min(n_init, 2)
    return [(kind, bool(index % 2)) for index in range(n_init)]


def _from_relaxation(X, n_clusters, rng):
    W = low_rank_sdp(X, n_clusters, rng=rng).W
    return round_membership(X, W, n_clusters, rng).labels


def _from_ward(X, n_clusters, rng):
    if len(X) == 1:
        return np.zeros(1, dtype=np.int32)
    return (fcluster(ward(X), n_clusters, "maxclust") - 1).astype(np.int32)


def _from_kmeans(X, n_clusters, rng):
    starts = (kmeans_plusplus(X, n_clusters, rng).centers for _ in range(_KMEANS_STARTS))
    return min((lloyd(X, start) for start in starts), key=lambda run: run.inertia).labels


def _from_random_rows(X, n_clusters, rng):
    centers = X[rng.choice(len(X), n_clusters, replace=False)]
    return pairwise_argmin(X, centers).astype(np.int32)


_LABELS_OF = {
    StartKind.SDP: _from_relaxation,
    StartKind.WARD: _from_ward,
    StartKind.KMEANS: _from_kmeans,
    StartKind.RANDOM: _from_random_rows,
}

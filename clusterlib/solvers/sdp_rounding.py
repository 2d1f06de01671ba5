"""From the factor of a relaxation to clusters: several ways, of which the cheapest end wins."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, tree_reduce
from clusterlib.kernels import cluster_sums
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.factor_embedding import denoised_embedding, spectral_embedding
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import kmeans_plusplus

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray, Int32Array, IntArray, Rows

__all__ = [
    "RoundedPartition",
    "Rounding",
    "candidate_labels",
    "round_factor",
    "round_membership",
    "unit_trace_columns",
]

# Seeds of an embedding are looked for among so many rows: enough for any cluster worth a centre.
_SEEDING_ROWS = 20_000
_N_STARTS = 4
_EMBEDDING_ITER = 50


class Rounding(Enum):
    """How a partition was found.

    Attributes
    ----------
    LARGEST
        Every row went to the cluster with the largest membership.
    SPECTRAL
        By k-means on the leading singular vectors of the factor.
    DENOISED
        By k-means on the rows, averaged by the relaxed membership matrix.
    KMEANS
        By k-means++ on the rows themselves.
    ONLY
        There is but one partition, or one of cost 0.
    """

    LARGEST = "largest membership"
    SPECTRAL = "spectral"
    DENOISED = "denoised"
    KMEANS = "k-means++"
    ONLY = "only choice"


class RoundedPartition(NamedTuple):
    """The best partition that :func:`round_membership` found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        Nearest of ``centers`` for every row.
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    inertia : float
        k-means cost, computed in float64.
    rounding : Rounding
        Which candidate it grew from.
    """

    labels: Int32Array
    centers: FloatArray
    inertia: float
    rounding: Rounding


def unit_trace_columns(W: Float64Array) -> Float64Array:
    """Scale the columns of a row-stochastic factor so that ``U U'`` is the relaxation's matrix.

    Parameters
    ----------
    W : ndarray of shape (n_samples, rank), float64
        Rows in the simplex.

    Returns
    -------
    U : ndarray of shape (n_samples, n_live), float64
        ``W D^-1/2`` with D the column sums, without columns whose sum is next to nothing: then
        ``Z = W D^-1 W' = U U'``.

    Notes
    -----
    O(n r) time and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import unit_trace_columns
    >>> U = unit_trace_columns(np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> (U @ U.T).round(3)
    array([[0.5, 0.5, 0. ],
           [0.5, 0.5, 0. ],
           [0. , 0. , 1. ]])
    """
    sums = W.sum(axis=0)
    live = sums > 1e-8 * len(W) / W.shape[1]
    return W[:, live] / np.sqrt(sums[live])


def round_membership(
    X: Rows,
    W: Float64Array,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    n_kmeans: int = 0,
    max_iter: int = 300,
    draws: RowDraws | None = None,
) -> RoundedPartition:
    """Turn the factor of a relaxation of k-means into a partition of low k-means cost.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    W : ndarray of shape (n_samples, rank), float64
        Rows in the simplex; the relaxed membership matrix is ``Z = W D^-1 W'``.
    n_clusters : int
        How many clusters.
    rng : numpy.random.Generator
        Source of randomness, for seeds in the embeddings.
    n_kmeans : int, default=0
        Starts by k-means++ that compete with what the relaxation says.
    max_iter : int, default=300
        Most iterations of Lloyd for each candidate.
    draws : RowDraws, default=None
        The order of the rows, if it is known already; used for k-means++.

    Returns
    -------
    partition : RoundedPartition
        The candidate with the lowest cost after Lloyd's iteration, the first of equal ones.

    Notes
    -----
    Candidates are those of :func:`candidate_labels`, and up to 20 000 rows all ends of k-means in
    the embeddings rather than the best ones: where clusters overlap, the lowest cost there need
    not lead to the lowest cost here. O(n r (r + p)) time, O(n (r + K)) memory; no
    array of n x n. None of the candidates is the best on all data, and a relaxation that is far
    from a partition can round to worse than plain k-means, hence ``n_kmeans``.

    References
    ----------
    .. [1] J. Peng and Y. Wei, "Approximating k-means-type clustering via semidefinite
       programming", SIAM J. Optim. 18(1), 2007.
    .. [2] D. G. Mixon, S. Villar and R. Ward, "Clustering subgaussian mixtures by semidefinite
       programming", Information and Inference 6(4), 2017 (the denoised rows).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import round_membership
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> W = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0], [0, 0, 1.0]])
    >>> partition = round_membership(X, W, 2, np.random.default_rng(0))
    >>> np.sort(partition.centers, axis=None), partition.inertia
    (array([0.5, 8.5]), 1.0)
    """
    candidates = []
    if W.shape[1] == n_clusters:
        candidates.append((Rounding.LARGEST, np.argmax(W, axis=1).astype(np.int32)))
    U = unit_trace_columns(W)
    for rounding, found in _embedded(X, U, n_clusters, rng).items():
        candidates += [(rounding, result.labels) for result in found]
    return _best_partition(X, candidates, n_clusters, rng, n_kmeans, max_iter, draws)


def round_factor(
    X: Rows,
    U: Float64Array,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    n_kmeans: int = 0,
    max_iter: int = 300,
    draws: RowDraws | None = None,
) -> RoundedPartition:
    """Round any factor of a relaxed membership matrix ``Z = U U'``; signs do not matter.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    U : ndarray of shape (n_samples, rank), float64
        The factor, of an eigendecomposition for example.
    n_clusters, rng, draws
        See :func:`round_membership`.
    n_kmeans : int, default=0
        See :func:`round_membership`.
    max_iter : int, default=300
        See :func:`round_membership`.

    Returns
    -------
    partition : RoundedPartition
        See :func:`round_membership`.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import round_factor
    >>> X = np.array([[0.0], [1.0], [9.0]])
    >>> U = np.array([[-0.5**0.5, 0.0], [-0.5**0.5, 0.0], [0.0, 1.0]])
    >>> round_factor(X, U, 2, np.random.default_rng(0)).inertia
    0.5
    """
    found = _embedded(X, U, n_clusters, rng)
    candidates = [(rounding, each.labels) for rounding in found for each in found[rounding]]
    return _best_partition(X, candidates, n_clusters, rng, n_kmeans, max_iter, draws)


def candidate_labels(
    X: Rows,
    W: Float64Array,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    group: IntArray | None = None,
) -> dict[Rounding, Array]:
    """Round a factor in every way that is known to be the best one on some data.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    W : ndarray of shape (n_samples, rank), float64
        Rows in the simplex.
    n_clusters : int
        How many clusters.
    rng : numpy.random.Generator
        Source of randomness, for seeds in the embeddings.
    group : ndarray of int of shape (rank,), default=None
        Cluster of each column, where columns have one.

    Returns
    -------
    candidates : dict of Rounding to ndarray of shape (n_samples,), int32
        ``LARGEST`` (with ``group`` only): the cluster whose columns have the largest sum.
        ``SPECTRAL``: k-means on the top ``n_clusters`` left singular vectors of ``U = W D^-1/2``.
        ``DENOISED``: k-means on the rows of ``Z X = U (U' X)``. The numbers of the last two are
        arbitrary: whoever has a meaning for them has to match.

    Notes
    -----
    O(n r (r + p)) time, O(n (r + K)) memory. Neither threads nor blocks change the answer.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import candidate_labels
    >>> X, W = np.array([[0.0], [9.0]]), np.array([[0.6, 0.4], [0.1, 0.9]])
    >>> found = candidate_labels(X, W, 2, np.random.default_rng(0), group=np.arange(2))
    >>> {rounding.value: len(np.unique(labels)) for rounding, labels in found.items()}
    {'largest membership': 2, 'spectral': 2, 'denoised': 2}
    """
    candidates = {}
    if group is not None:
        of_clusters = [W[:, group == k].sum(axis=1) for k in range(n_clusters)]
        candidates[Rounding.LARGEST] = np.argmax(of_clusters, axis=0).astype(np.int32)
    for rounding, found in _embedded(X, unit_trace_columns(W), n_clusters, rng).items():
        candidates[rounding] = min(found, key=lambda result: result.inertia).labels
    return candidates


def _embedded(X, U, n_clusters, rng):
    """Ends of k-means on the two embeddings of the rows."""
    places = {
        Rounding.SPECTRAL: spectral_embedding(U, n_clusters),
        Rounding.DENOISED: denoised_embedding(X, U),
    }
    return {rounding: _clusters(place, n_clusters, rng) for rounding, place in places.items()}


def _clusters(embedding, n_clusters, rng):
    """Ends of k-means on embedded rows, from seeds among some of them where they are many."""
    seeding = embedding
    if len(embedding) > _SEEDING_ROWS:
        seeding = embedding[np.sort(rng.choice(len(embedding), _SEEDING_ROWS, replace=False))]
    draws = RowDraws(as_blocks(seeding))
    starts = (
        kmeans_plusplus(seeding, n_clusters, rng, draws=draws).centers for _ in range(_N_STARTS)
    )
    found = [lloyd(seeding, start, max_iter=_EMBEDDING_ITER) for start in starts]
    if seeding is embedding:
        return found
    best = min(found, key=lambda result: result.inertia)
    return [lloyd(embedding, best.centers, max_iter=_EMBEDDING_ITER)]


def _best_partition(X, candidates, n_clusters, rng, n_kmeans, max_iter, draws):
    """Run Lloyd's iteration from all candidates and from k-means++, keep the lowest cost."""
    blocks = as_blocks(X)
    best, seen = None, set()
    for rounding, labels in candidates:
        # The same partition under other numbers leads to the same end.
        if (signature := _canonical(labels, n_clusters).tobytes()) in seen:
            continue
        seen.add(signature)
        best = _better(
            best, rounding, lloyd(blocks, _means(blocks, labels, n_clusters), max_iter=max_iter)
        )
    if n_kmeans and draws is None:
        draws = RowDraws(blocks)
    for _ in range(n_kmeans):
        centers = kmeans_plusplus(blocks, n_clusters, rng, draws=draws).centers
        best = _better(best, Rounding.KMEANS, lloyd(blocks, centers, max_iter=max_iter))
    return best


def _canonical(labels, n_clusters):
    """Numbers in the order of their first rows."""
    first = np.full(n_clusters, len(labels))
    np.minimum.at(first, labels, np.arange(len(labels)))
    rank = np.empty(n_clusters, dtype=np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(n_clusters)
    return rank[labels]


def _means(blocks, labels, n_clusters):
    """Means of the rows of each cluster; one without rows stands on another: Lloyd will move it."""
    parts = blocks.map(cluster_sums, (labels,), (n_clusters,))
    sums, weights = tree_reduce(lambda left, right: (left[0] + right[0], left[1] + right[1]), parts)
    means = np.empty((n_clusters, blocks.n_features))
    filled = weights > 0
    means[filled] = sums[filled] / weights[filled, None]
    means[~filled] = means[np.argmax(filled)]
    return means.astype(blocks.dtype)


def _better(best, rounding, result):
    if best is not None and best.inertia <= result.inertia:
        return best
    return RoundedPartition(result.labels, result.centers, result.inertia, rounding)

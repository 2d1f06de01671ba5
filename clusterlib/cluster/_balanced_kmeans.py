"""BalancedKMeans: clusters with sizes that are set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.base import all_or_nothing, with_callbacks
from clusterlib.blocks import Blocks, as_blocks, is_carried
from clusterlib.cluster._balanced_fit import fit_balanced, is_spherical, is_streamed
from clusterlib.cluster._centers import CentersEstimator
from clusterlib.cluster._warnings import warn_of_few_clusters, warn_of_no_convergence
from clusterlib.solvers import (
    assign_bounded,
    assign_priced,
    assign_streamed,
    cost_of_assignment,
)
from clusterlib.validation import (
    check_is_fitted,
    checked_matrix,
    checked_range,
    checked_sample_weight,
    checked_sizes,
)
from clusterlib.validation.carriers import checked_carrier

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Self

    from clusterlib.typing import (
        Array,
        ArrayLike,
        Carrier,
        Float64Array,
        FloatArray,
        Int32Array,
        Int64Array,
        RandomState,
        Weights,
    )

__all__ = ["BalancedKMeans"]


class BalancedKMeans(CentersEstimator):
    """k-means whose clusters have sizes within bounds, by exact assignments with a certificate.

    Finds centres and labels that minimise the sum of squared distances of the rows to their centres
    while every cluster has at least ``size_min`` and at most ``size_max`` rows. Each assignment is
    an optimum, which prices of the clusters prove, and no iteration raises the objective. The same
    seed gives the same answer for any number of threads and any layout of X; the unit of the data
    changes no label.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    size_min, size_max : None, int or array-like of int of shape (n_clusters,), default=None
        Fewest and most rows of a cluster. Both None stands for sizes as equal as possible, the
        floor and the ceiling of n_samples / n_clusters. If one is None it sets no bound. Bounds of
        single clusters need centres as ``init``: without them clusters have no numbers yet.
    assignment : {"exact", "streamed", "sinkhorn", "greedy"}, default="exact"
        How rows are assigned in every iteration: at the least cost; at the least cost in a few
        passes over rows that need not be in memory; by entropic transport to sizes as equal as the
        bounds allow, rounded; or closest pairs first. The last two keep their best iterate, and
        ``dual_gap_`` tells how much better its labels could be.
    metric : {"sqeuclidean", "cosine"}, default="sqeuclidean"
        What a row pays: its squared distance to the centre, or 1 - cosine. With the latter centres
        are unit vectors, and a row of zeros pays 1 anywhere and goes where there is room.
    init : {"k-means++", "k-means||", "random", "auto"}, callable or array-like of shape (n_clusters, n_features), \
default="k-means++"
        Where plain k-means starts, whose result is where the balanced iteration starts: greedy
        k-means++, which reads X once for each centre; k-means||, which reads it seven times;
        different rows drawn at random; "auto", the first up to 1,048,576 rows and the second
        beyond; what ``init(X, n_clusters, random_state=...)``
        returns. Centres given as an array are where the balanced iteration itself starts.
    n_init : "auto" or int, default="auto"
        Number of starts, of which the one with the lowest inertia is kept. "auto" is 1, and so is
        any number with given centres.
    exchange : bool, default=True
        Whether iterations that have come to rest are pushed on by rows that change places, two by
        two, where that gains. For exact assignments.
    n_swaps : int, default=0
        How many times a centre is tried in another place, after each start; what lowers the inertia
        is kept. For exact assignments. A try costs about five iterations, and lowers the inertia
        more than further starts in the same time.
    max_iter : int, default=300
        Most iterations of a start, and of what follows its swaps.
    tol : float, default=1e-4
        An iteration that lowers the inertia by no more than ``tol`` times itself is followed by
        exchanges; if these bring no more either, the start ends. With 0 labels have to stand still.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO; a program
        that has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Centres, in the dtype of X (float32 or float64).
    labels_ : ndarray of shape (n_samples,), int32
        Cluster of each row, within the bounds; of least cost for these centres with exact
        assignments. Rows of weight 0 have the label that ``predict`` gives.
    inertia_ : float
        Sum of the costs of the rows at their centres, in float64, times the weight of a row.
    prices_ : ndarray of shape (n_clusters,), float64
        What a place in each cluster is worth, in the unit of the costs: rows of an optimal
        assignment, which ``labels_`` are with exact ones, are where cost plus price is least.
        Above 0 only for clusters that are full, below 0 only for clusters at ``size_min``.
    dual_gap_ : float
        No assignment to these centres within the bounds costs less than ``(1 - dual_gap_)`` times
        ``inertia_``. About 1e-15 for exact and streamed assignments, unless the inertia itself is
        no more than rounding, or a streamed one meets many rows that are tied (1e-9 times the
        largest cost then); 0 where it is 0.
    n_iter_ : int
        Iterations of the start that was kept, tries of ``n_swaps`` included.
    converged_ : bool
        Whether that start came to rest.
    history_ : ndarray of shape (n_iter_,), float64
        Inertia after each of its iterations; never rising with exact assignments.
    cluster_sizes_ : ndarray of shape (n_clusters,), int64
        Number of rows of each cluster.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    KMeans : Without bounds.
    SinkhornClustering : Soft labels with equal shares.

    Notes
    -----
    Each iteration takes O(n_samples n_clusters n_features) time for the distances, and the time of
    an assignment, which is about as much again, or many times that where sizes cut across groups
    that lie far apart; see :func:`clusterlib.kernels.capacity_assignment_points`. The native
    kernels never hold an n_samples x n_clusters matrix: besides X, memory is O(n_samples +
    n_clusters^2 + n_clusters n_features). Measured were 330 bytes for each row, 1.3 times the bytes
    of X for 64 features in float32; it is meant to stay below 3 times X from there on. The other
    backends hold all costs in float64, and Sinkhorn's assignments may copy X up to three times.
    Ctrl-C interrupts between iterations, and within passes of streamed ones, and leaves what an
    earlier fit found. Fitting warns (ConvergenceWarning) when ``max_iter`` came
    before rest, and when clusters stayed empty because ``size_min`` is 0.

    With ``assignment="streamed"`` X may be anything that :func:`clusterlib.blocks.as_blocks` reads
    block by block: a memory map, the path of a file or of a folder of files, a Dask array, batches
    that can be read again. Prices are found from samples, of which each pass leaves fewer rows
    undecided, and the last rows are assigned exactly: two to six passes for an iteration. Memory
    is three blocks, 16384 rows (or 128 for each cluster, if that is more, and up to eight times as
    many where sizes cut across groups far apart), O(n_clusters n_features), and 16 bytes for each
    row (with "k-means||" or given centres; k-means++ and "random" need 80 bytes for each row, as
    they sort the rows). The results have the bits of an array in memory. ``exchange`` and
    ``n_swaps`` are for exact assignments. All methods take carriers, however the centres were
    found; ``assign`` then streams.

    ``sample_weight`` has to be the same for all rows, or 0 for rows that take no part: sizes count
    rows, and a row that stands for three might have to be split between clusters.

    References
    ----------
    .. [1] P. S. Bradley, K. P. Bennett and A. Demiriz, "Constrained k-means clustering", Microsoft
       Research MSR-TR-2000-65, 2000.
    .. [2] J. A. Hartigan, "Clustering Algorithms", Wiley 1975, chapter 4 (exchanges).
    .. [3] P. Franti, "Efficiency of random swap clustering", Journal of Big Data 5(13), 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import BalancedKMeans
    >>> X = np.array([[0.0], [0.1], [0.2], [0.3], [5.0], [6.0]])
    >>> kmeans = BalancedKMeans(n_clusters=2, random_state=0).fit(X)
    >>> kmeans.cluster_sizes_
    array([3, 3])
    >>> kmeans.labels_ == kmeans.labels_[0]
    array([ True,  True,  True, False, False, False])
    >>> bool(kmeans.dual_gap_ < 1e-12)
    True
    >>> int(BalancedKMeans(2, size_min=2, random_state=0).fit(X).cluster_sizes_.max())
    4
    """

    cluster_centers_: FloatArray
    labels_: Int32Array
    inertia_: float
    prices_: Float64Array
    dual_gap_: float
    n_iter_: int
    converged_: bool
    history_: Float64Array
    cluster_sizes_: Int64Array
    n_features_in_: int
    feature_names_in_: Array

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        size_min: int | ArrayLike | None = None,
        size_max: int | ArrayLike | None = None,
        assignment: Literal["exact", "streamed", "sinkhorn", "greedy"] = "exact",
        metric: Literal["sqeuclidean", "cosine"] = "sqeuclidean",
        init: Literal["k-means++", "k-means||", "random", "auto"]
        | Callable[..., Any]
        | ArrayLike = "k-means++",
        n_init: Literal["auto"] | int = "auto",
        exchange: bool = True,
        n_swaps: int = 0,
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.size_min = size_min
        self.size_max = size_max
        self.assignment = assignment
        self.metric = metric
        self.init = init
        self.n_init = n_init
        self.exchange = exchange
        self.n_swaps = n_swaps
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    _instead_of_blocks = "give assignment='streamed', which reads rows block by block"

    @property
    def _reads_blocks(self):
        return is_streamed(self)

    @property
    def _spherical(self):
        return is_spherical(self)

    def fit(self, X: Carrier, y: object = None, sample_weight: Weights = None) -> Self:
        """Find the clusters of X.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to cluster; at least n_clusters of them. float32 and float64 arrays are used as
            they are, in any layout; float16 becomes float32, all else float64. What is read block by
            block needs ``assignment="streamed"``; a memory map is an array for the other ones.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            One and the same weight for all rows, or 0 for rows to leave out. None means 1.

        Returns
        -------
        self : BalancedKMeans
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, bounds of sizes that no assignment can meet, NaN or
            infinity in X, values whose squares leave float64, nothing but zeros in X with cosine,
            fewer rows than clusters, different weights, weights of 0 for rows that are read block
            by block.
        TypeError
            For a parameter of a wrong type, sparse X, or an ``assignment`` that needs all rows in
            memory and X that is read block by block.
        """
        self._fit(X, sample_weight)
        warn_of_no_convergence(self, "iterations", self._last_fall(), "max_iter or tol")
        most = np.inf if self.size_max is None else np.asarray(self.size_max)
        if ((self.cluster_sizes_ == 0) & (most > 0)).any():  # not if they have to be empty
            warn_of_few_clusters(self)
        return self

    def _last_fall(self):
        if len(self.history_) < 2:
            return "one iteration cannot show that the inertia rests"
        before, last = self.history_[-2:]
        fall = (before - last) / last if last > 0 else 0.0
        return f"the last iteration lowered the inertia by {fall:.3g} of itself"

    @with_callbacks
    def _fit(self, X, sample_weight):
        with all_or_nothing(self):
            fit_balanced(self, X, sample_weight)

    def predict(self, X: Carrier) -> Int32Array:
        """Find where cost plus price is least, for each row.

        Rows that were fitted get their ``labels_`` again (with exact assignments), but for rows that
        lie on a border to the last digit, such as equal rows in different clusters. Sizes of what is
        predicted are not bounded; see :meth:`assign` for that.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Exact; the lowest index on ties. A row's label does not depend on other rows.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or its squares leave float64.
        """
        X = self._checked_rows(X)
        return assign_priced(X, self.cluster_centers_, self.prices_, spherical=self._spherical)

    def assign(
        self,
        X: Carrier,
        size_min: int | ArrayLike | None = None,
        size_max: int | ArrayLike | None = None,
    ) -> Int32Array:
        """Assign a batch of rows to the fitted centres within bounds, at the least cost.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign.
        size_min, size_max : None, int or array-like of int of shape (n_clusters,), default=None
            Fewest and most rows of this batch for each cluster. Both None stands for sizes as equal
            as possible; if one is None it sets no bound.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            An optimal assignment: a row's label depends on the whole batch.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, its squares leave float64,
            or no assignment can meet the bounds.
        TypeError
            For bounds that are no integers.
        """
        X = self._checked_rows(X)
        centers, prices = self.cluster_centers_, self.prices_
        bounds = checked_sizes(size_min, size_max, len(centers), X.shape[0])
        if isinstance(X, Blocks) or is_streamed(self):
            return assign_streamed(X, centers, *bounds, spherical=self._spherical).labels
        return assign_bounded(X, centers, *bounds, prices=prices, spherical=self._spherical).labels

    def score(self, X: Carrier, y: object = None, sample_weight: Weights = None) -> float:
        """Compute the negative of what the rows cost where ``predict`` puts them.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights, not negative; they may differ here. None means 1.

        Returns
        -------
        score : float
            Minus the weighted sum of the costs, prices not counted.

        Raises
        ------
        ValueError
            If X or the weights are not what they have to be, or squares of X leave float64.
        """
        blocks = as_blocks(self._checked_rows(X))
        weight = checked_sample_weight(sample_weight, blocks.n_samples, beside=X)
        spherical = self._spherical
        labels = assign_priced(blocks, self.cluster_centers_, self.prices_, spherical=spherical)
        options = {"sample_weight": weight, "spherical": spherical}
        return -cost_of_assignment(blocks, self.cluster_centers_, labels, **options)

    def _checked_rows(self, X):
        """Rows to assign; where squares are no numbers, any cluster would seem as good."""
        X = self._fitted_rows(X)
        checked_range(X)
        return X

    def _fitted_blocks(self, X):
        return as_blocks(self._fitted_rows(X))

    def _fitted_rows(self, X):
        """Rows of what was fitted in any way; a map of a file is an array unless it was streamed."""
        check_is_fitted(self, "cluster_centers_")
        if is_carried(X) and not isinstance(X, np.ndarray):
            return checked_carrier(self, X, reset=False)
        return checked_matrix(self, X, reset=False)

"""MiniBatchKMeans: k-means for data that are too many, or come bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.base import (
    FitReport,
    all_or_nothing,
    pass_progress,
    progress_log,
    with_callbacks,
)
from clusterlib.blocks import as_blocks
from clusterlib.cluster._centers import CentersEstimator
from clusterlib.cluster._minibatch_report import attributes_of, reporting
from clusterlib.cluster._minibatch_starts import (
    BatchOrder,
    best_centers,
    checked_batches,
    first_centers,
)
from clusterlib.cluster._starts import MAX_SEED, Starts
from clusterlib.cluster._warnings import warn_of_few_clusters, warn_of_no_convergence
from clusterlib.solvers import (
    RowDraws,
    assign_with_cost,
    cluster_weights,
    minibatch,
    pull,
    scatter,
)
from clusterlib.validation import (
    check_random_state,
    checked_flag,
    checked_integer,
    checked_matrix,
    checked_n_samples,
    checked_range,
    checked_real,
    checked_same_clusters,
    checked_same_side,
    checked_sample_weight,
    checked_verbose,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Self

    from clusterlib.typing import ArrayLike, Carrier, Float64Array, RandomState, Weights

__all__ = ["MiniBatchKMeans"]


class MiniBatchKMeans(CentersEstimator):
    """k-means clustering by small batches.

    Every batch pulls the centres towards its rows, each centre staying the mean of all rows it
    has seen. ``fit`` draws batches from X, with replacement and in proportion to the weights, or
    takes them as they come; ``partial_fit`` takes what it is given for one batch. The same seed gives the same answer for
    any number of threads, any block size and any layout of X; rows in another order, or repeated
    instead of weighted, change nothing but rounding.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    init : {"k-means++", "random"}, callable or array-like of shape (n_clusters, n_features), \
default="k-means++"
        First centres: greedy k-means++; different rows drawn at random; what
        ``init(X, n_clusters, random_state=...)`` returns; or the centres themselves.
    max_iter : int, default=100
        Most passes over X. A pass of random batches is as many draws as the weights add up to
        (n_samples without weights), or as there are different rows if those are more.
    batch_size : int, default=1024
        Rows of a batch.
    batches : {"random", "in_order"}, default="random"
        "random" draws the rows of every batch from all of X, with replacement and in proportion to
        the weights. "in_order" takes rows that follow each other, pass after pass, with their
        weights: for data that are read block by block. They should stand in random order: rows
        sorted by cluster pull the centres after them.
    verbose : int, default=0
        Above 0, every batch is logged by the logger "clusterlib" at level INFO; a program that
        has configured no logging gets the lines on its standard error.
    compute_labels : bool, default=True
        Whether to assign all rows when the centres are found.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.
    tol : float, default=0.0
        End when the squared moves of the centres in one batch add up to no more than ``tol``
        times the mean variance of the features; 0 never does.
    max_no_improvement : int or None, default=10
        End after so many batches in a row without a new lowest smoothed inertia; None never does.
    init_size : int, default=None
        Rows drawn to find first centres on, at least n_clusters. None means three times
        ``batch_size``, or ``n_clusters`` if that is more. All rows are used, undrawn, if not more
        of them are different. In order different rows are drawn, without replacement and in
        proportion to their weights, in a pass.
    n_init : "auto" or int, default="auto"
        Number of starts; the one with the lowest inertia on ``init_size`` other rows goes on.
        "auto" is 3 for random rows and callables, else 1.
    reassignment_ratio : float, default=0.01
        Whenever ten rows per centre have been seen, a centre that has seen less than this part of
        what the busiest one has seen is put on a random row.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Centres, in the dtype of X (float32 or float64).
    labels_ : ndarray of shape (n_samples,), int32
        Nearest centre of each row, of the last batch after ``partial_fit``. Only with
        ``compute_labels``.
    inertia_ : float
        Weighted sum of squared distances to the nearest centres, of the last batch after
        ``partial_fit``. Without ``compute_labels`` estimated from the batches of ``fit``.
    n_iter_ : int
        Passes over X, rounded up.
    n_steps_ : int
        Batches, those of ``partial_fit`` included.
    converged_ : bool
        Whether ``fit`` ended by ``tol`` or ``max_no_improvement``.
    history_ : ndarray of shape (n_steps,), float64
        Mean cost of a row of each batch of ``fit`` before it pulled, smoothed from the second batch on.
    n_relocated_ : int
        How many times a centre was put on a random row.
    cluster_sizes_ : ndarray of shape (n_clusters,), float64
        Weight of each cluster in X; only with ``compute_labels``, and only after ``fit``.
    counts_ : ndarray of shape (n_clusters,), float64
        Weight that each centre has seen.
    seed_ : int
        What the draws of later batches are derived from.
    rows_since_reassignment_ : int
        Rows seen since centres were last put on random rows.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    KMeans : Slower, and ends in a minimum.

    Notes
    -----
    A batch of b rows takes O(b n_clusters n_features) time. With random batches ``fit`` also sorts
    the rows once, O(n_samples (n_features + log n_samples)), and ``compute_labels`` is one pass of
    :class:`KMeans`; memory besides X is O(n_samples + n_clusters n_features).

    X may be anything that :func:`clusterlib.blocks.as_blocks` reads block by block. With
    ``batches="in_order"`` memory is then three blocks, two batches, the centres and 4 bytes of
    label for each row, none without ``compute_labels``. ``fit`` reads X once for the rows that
    first centres are found on (not for given centres), twice more for the scale of ``tol`` if
    that is above 0, then until ``max_no_improvement`` or ``tol`` ends it, often within the first
    pass, and once for the labels. The rows of a Dask array come to this process, block after
    block, one worker at a time; :class:`KMeans` works on all of them at once. Random batches need
    80 bytes for each row and rows that can be fetched one by one: arrays, memory maps, ``.npy``
    files. Both give the bits of an array in memory.

    X may be a float32 or float64 array on a CUDA device (CuPy's, or a CUDA tensor): the work is
    then done there, where labels, centres, sizes and what the methods return live, too.

    References
    ----------
    .. [1] D. Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import MiniBatchKMeans
    >>> X = np.array([[0.0], [1.0], [0.5], [8.0], [9.0], [8.5]])
    >>> kmeans = MiniBatchKMeans(n_clusters=2, random_state=0).fit(X)
    >>> kmeans.labels_ == kmeans.labels_[0]
    array([ True,  True,  True, False, False, False])
    >>> kmeans.partial_fit([[0.2], [8.1]]).n_steps_ > 1
    True
    """

    n_steps_: int
    counts_: Float64Array
    seed_: int
    rows_since_reassignment_: int

    _takes_device_arrays = True
    _reads_blocks = True

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Literal["k-means++", "random"] | Callable[..., Any] | ArrayLike = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: RandomState = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: Literal["auto"] | int = "auto",
        reassignment_ratio: float = 0.01,
        batches: Literal["random", "in_order"] = "random",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio
        self.batches = batches

    def fit(self, X: Carrier, y: object = None, sample_weight: Weights = None) -> Self:
        """Find the clusters of X.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to cluster; at least n_clusters of them. float32 and float64 arrays are used as
            they are, in any layout; float16 becomes float32, all else float64.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights, not negative. An integer acts as that many copies of the row, 0 as its
            absence. None means 1.

        Returns
        -------
        self : MiniBatchKMeans
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, fewer rows than clusters, weights
            that are negative, not finite or all zero; for random batches of rows that cannot be
            fetched one by one, and batches in order of rows on a device.
        TypeError
            For a parameter of a wrong type, or sparse X.
        """
        self._fit(X, sample_weight)
        if self.max_no_improvement is not None or self.tol > 0:  # an earlier end was asked for
            remaining = "the inertia of its batches still falls"
            warn_of_no_convergence(self, "passes", remaining, "max_iter, tol or batch_size")
        if self.compute_labels:
            warn_of_few_clusters(self)
        return self

    @with_callbacks
    def _fit(self, X, sample_weight):
        starts, options = self._checked_parameters()
        seed = int(check_random_state(self.random_state).randint(MAX_SEED))
        with all_or_nothing(self) as attempt:
            self._fit_checked(X, sample_weight, starts, options, seed, attempt)

    def _fit_checked(self, X, sample_weight, starts, options, seed, attempt):
        X = checked_matrix(self, X, reset=True)
        weight = checked_sample_weight(sample_weight, X.shape[0], beside=X)
        checked_n_samples(starts.n_clusters, X.shape[0], weight)
        if isinstance(X, np.ndarray):  # for a carrier it would be a pass
            checked_range(X)

        blocks = as_blocks(X)
        order = checked_batches(self.batches, blocks)
        with progress_log(self.verbose), pass_progress(self, blocks):
            draws = RowDraws(blocks, weight) if order is BatchOrder.RANDOM else None
            if options["tol"] > 0:
                options["tol"] *= scatter(blocks, sample_weight=weight)
            report = FitReport(self, X, weight, 1)
            rng = np.random.default_rng([seed, 1])
            size = self.init_size or 3 * max(self.batch_size, starts.n_clusters)
            centers = first_centers(starts, X, draws, weight, size, rng)
            report.begin_start(None)
            result = minibatch(
                blocks,
                centers,
                np.random.default_rng([seed, 0]),
                draws=draws,
                sample_weight=weight,
                callback=reporting(report, blocks, seed, attempt),
                **options,
            )
            vars(self).update(attributes_of(result, blocks, seed))
            self._store_labels(result, blocks, weight)
            attributes = {"cluster_centers_": self.cluster_centers_}
            report.end_start(attributes)
            report.end(attributes)

    def partial_fit(self, X: Carrier, y: object = None, sample_weight: Weights = None) -> Self:
        """Pull the centres towards the rows of one batch.

        The first call finds first centres on the rows it gets. Of the parameters, ``max_iter``,
        ``batch_size``, ``batches``, ``tol``, ``max_no_improvement`` and ``init_size`` do not matter
        here.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            The batch; at least n_clusters rows in the first call. Read in one pass, and in another
            one for the labels; all of it is one batch, however it is read.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights, not negative. None means 1.

        Returns
        -------
        self : MiniBatchKMeans
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            As in ``fit``, and for another number of features than before.
        """
        with all_or_nothing(self):
            self._pull(X, sample_weight, *self._checked_parameters())
        return self

    def _pull(self, X, sample_weight, starts, options):
        is_first = not hasattr(self, "cluster_centers_")
        X = checked_matrix(self, X, reset=is_first)
        weight = checked_sample_weight(sample_weight, X.shape[0], beside=X)
        if isinstance(X, np.ndarray):
            checked_range(X, tiny=not is_first)
        blocks = as_blocks(X)
        if not is_first:
            checked_same_clusters(starts.n_clusters, self.cluster_centers_)
            checked_same_side(self, X, self.cluster_centers_)
        else:
            self._begin(starts, X, blocks, weight)
        self.n_steps_ += 1
        self.rows_since_reassignment_ += X.shape[0]
        reassign = self.rows_since_reassignment_ >= 10 * starts.n_clusters
        if reassign:
            self.rows_since_reassignment_ = 0
        pulled = pull(
            blocks,
            blocks.to_host(self.cluster_centers_),
            self.counts_,
            # A generator for each batch: the state of a fitted estimator is numbers only.
            np.random.default_rng([self.seed_, self.n_steps_]),
            sample_weight=weight,
            reassignment_ratio=options["reassignment_ratio"],
            reassign=reassign,
        )
        self.cluster_centers_, self.counts_ = blocks.like(pulled.centers), pulled.counts
        self.n_relocated_ += pulled.n_reassigned
        if self.compute_labels:
            self._label(blocks, weight)

    def _checked_parameters(self):
        starts = Starts.of(self, default_n_init=3)
        checked_verbose(self.verbose)
        checked_flag("compute_labels", self.compute_labels)
        if self.init_size is not None:
            checked_integer("init_size", self.init_size, starts.n_clusters)
        patience = self.max_no_improvement
        if patience is not None:
            patience = checked_integer("max_no_improvement", patience, 1)
        return starts, {
            "batch_size": checked_integer("batch_size", self.batch_size, 1),
            "max_iter": checked_integer("max_iter", self.max_iter, 1),
            "tol": checked_real("tol", self.tol, 0),
            "max_no_improvement": patience,
            "reassignment_ratio": checked_real("reassignment_ratio", self.reassignment_ratio, 0, 1),
        }

    def _begin(self, starts, X, blocks, weight):
        checked_n_samples(starts.n_clusters, X.shape[0], weight)
        seed = int(check_random_state(self.random_state).randint(MAX_SEED))
        draws = RowDraws(blocks, weight) if starts.needs_order(blocks) else None
        seeds = np.random.default_rng([seed, 1]).integers(MAX_SEED, size=starts.n_init)
        self.cluster_centers_ = blocks.like(best_centers(starts, seeds, X, draws, blocks, weight))
        self.counts_ = np.zeros(starts.n_clusters)
        self.seed_ = seed
        self.n_steps_ = 0
        self.n_relocated_ = 0
        self.rows_since_reassignment_ = 0

    def _store_labels(self, result, blocks, weight):
        if self.compute_labels:
            self._label(blocks, weight)
            labels = blocks.to_host(self.labels_)
            self.cluster_sizes_ = blocks.like(cluster_weights(labels, len(result.centers), weight))
        else:
            total = blocks.n_samples if weight is None else float(weight.sum())
            self.inertia_ = float(result.history[-1]) * total

    def _label(self, blocks, weight):
        centers = self.cluster_centers_
        labels, self.inertia_ = assign_with_cost(blocks, centers, sample_weight=weight)
        self.labels_ = blocks.like(labels)

"""ClusteredMemory: the last rows of a stream, in balanced partitions that are cheap to search."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import all_or_nothing
from clusterlib.cluster._spherical_kmeans import SphericalKMeans
from clusterlib.cluster._starts import MAX_SEED
from clusterlib.cluster._stored_rows import StoredRows
from clusterlib.solvers import (
    assign,
    balanced_labels,
    moved_prototypes,
    nearest_in_partition,
    partition_sums,
    replace_rows,
    unit_rows,
)
from clusterlib.validation import (
    MemoryMetric,
    check_is_fitted,
    checked_choice,
    checked_flag,
    checked_integer,
    checked_matrix,
    checked_n_samples,
    checked_real,
    checked_same_clusters,
)

if TYPE_CHECKING:
    from typing import Literal, Self

    from clusterlib.typing import ArrayLike, FloatArray, Int32Array, Int64Array, RandomState

__all__ = ["ClusteredMemory"]

# Sums of partitions are kept up to date; every so many batches they are computed afresh.
_STEPS_BETWEEN_SUMS = 100


class ClusteredMemory(StoredRows, ClusterMixin, BaseEstimator):
    """Dynamic memory of a stream of embeddings, cut into partitions of nearly equal size.

    Keeps the last ``capacity`` rows as directions. Each batch is labelled by balanced codes, so
    that no partition starves, takes the place of the oldest rows, and moves the prototypes to the
    means of their partitions. :meth:`kneighbors` then looks up a query in one partition only. In
    self-supervised training the neighbours found are additional positives.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of partitions.
    capacity : int, default=8192
        Number of rows that are kept, at least ``n_clusters``.
    epsilon : float, default=0.1
        Entropic strength of the codes, in units of the distance; above 0.
    n_iters : int or None, default=10
        Normalisations of the codes; None goes on until the shares of a batch are equal.
    momentum : float, default=0.0
        How much of a prototype stays in each step, from 0 to 1.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance between directions that codes are made from.
    n_neighbors : int, default=5
        How many rows :meth:`kneighbors` finds.
    n_init : int, default=10
        Starts of spherical k-means, which finds the first prototypes.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    bank_ : ndarray of shape (n_stored, n_features)
        The rows that are kept, as unit vectors (float32 or float64). Slots are filled in order
        and then overwritten from the first on, so they are not sorted by age.
    labels_ : ndarray of shape (n_stored,), int32
        Partition of each of them; -1 as long as there are no prototypes.
    prototypes_ : ndarray of shape (n_clusters, n_features)
        Means of partitions, in the dtype of the bank; their directions count. Not there before
        the bank has been full once.
    sizes_ : ndarray of shape (n_clusters,), float64
        Number of rows in each partition.
    n_steps_ : int
        Batches that ``partial_fit`` has seen.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    SphericalKMeans : Clusters of directions that stand still.

    Notes
    -----
    A step with a batch of B rows takes O(B k d) time whatever the capacity is: the sums of
    partitions are kept up to date. Balanced codes need at least as many rows as partitions;
    the rows of a smaller batch get the nearest prototype.

    ``fit`` takes the last ``capacity`` rows of X and finds prototypes at once. ``partial_fit``
    waits until the bank is full.

    References
    ----------
    .. [1] S. Poulakakis-Daktylidis and H. Jamali-Rad, "BECLR: batch enhanced contrastive few-shot
       learning", ICLR 2024 (dynamic clustered memory).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import ClusteredMemory
    >>> stream = np.random.default_rng(0).normal(size=(20, 50, 16))
    >>> memory = ClusteredMemory(n_clusters=4, capacity=400, random_state=0)
    >>> for batch in stream:
    ...     memory = memory.partial_fit(batch)
    >>> memory.bank_.shape, int(memory.sizes_.sum())
    ((400, 16), 400)
    >>> distances, slots = memory.kneighbors(batch, n_neighbors=3)
    >>> memory.bank_[slots].shape
    (50, 3, 16)
    """

    _instead_of_blocks = "call partial_fit and predict with one batch after the other"

    def __init__(
        self,
        n_clusters: int = 8,
        capacity: int = 8192,
        *,
        epsilon: float = 0.1,
        n_iters: int | None = 10,
        momentum: float = 0.0,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        n_neighbors: int = 5,
        n_init: int = 10,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.capacity = capacity
        self.epsilon = epsilon
        self.n_iters = n_iters
        self.momentum = momentum
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Forget everything, store X and find prototypes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, the oldest first, at least n_clusters; of more than ``capacity`` the last ones
            are kept.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : ClusteredMemory
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, fewer rows than partitions, or
            nothing but rows of zeros.
        TypeError
            For a parameter of a wrong type, or sparse X.
        """
        settings = self._checked_parameters()
        with all_or_nothing(self):
            X = checked_matrix(self, X, reset=True)
            checked_n_samples(settings["n_clusters"], len(X), None)
            self._begin(X.dtype)
            self._store(unit_rows(X[-settings["capacity"] :]))
            self._take(self._kmeans().fit(self.bank_))
        return self

    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:
        """Store a batch in the place of the oldest rows and move the prototypes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows of the batch. It is converted to the dtype of the first one.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : ClusteredMemory
            The estimator.

        Raises
        ------
        ValueError, TypeError
            As in ``fit``, and for another number of features or partitions than before.
        """
        settings = self._checked_parameters()
        with all_or_nothing(self):
            self._add(X, settings)
        return self

    def _add(self, X, settings):
        is_first = not hasattr(self, "slots_")
        X = checked_matrix(self, X, reset=is_first)
        if is_first:
            self._begin(X.dtype)
        rows = unit_rows(X[-len(self.slots_) :]).astype(self.slots_.dtype, copy=False)
        self.n_steps_ += 1
        with self._kept(len(rows)):
            if hasattr(self, "prototypes_"):
                checked_same_clusters(settings["n_clusters"], self.prototypes_)
                self._step(rows, settings)
            else:
                self._store(rows)
                if self.n_stored_ == len(self.slots_):
                    self._take(self._kmeans().fit(self.bank_))

    def _checked_parameters(self):
        n_clusters = checked_integer("n_clusters", self.n_clusters, 1)
        checked_integer("n_neighbors", self.n_neighbors, 1)
        checked_integer("n_init", self.n_init, 1)
        return {
            "n_clusters": n_clusters,
            "capacity": checked_integer("capacity", self.capacity, n_clusters),
            "epsilon": checked_real("epsilon", self.epsilon, 0, low_open=True),
            "n_iters": None
            if self.n_iters is None
            else checked_integer("n_iters", self.n_iters, 1),
            "momentum": checked_real("momentum", self.momentum, 0, 1),
            "metric": checked_choice("metric", self.metric, MemoryMetric),
        }

    def _step(self, rows, settings):
        labels = balanced_labels(
            rows,
            self.prototypes_,
            settings["epsilon"],
            n_iters=settings["n_iters"],
            metric=settings["metric"].value,
        )
        slots = self._places(len(rows))
        partitions = replace_rows(
            self.slots_, self.slot_labels_, self.partitions_, slots, rows, labels
        )
        if self.n_steps_ % _STEPS_BETWEEN_SUMS == 0:
            partitions = partition_sums(self.bank_, self.labels_, len(self.prototypes_))
        self.partitions_, self.sizes_ = partitions, partitions.sizes
        self.prototypes_ = moved_prototypes(self.prototypes_, partitions, settings["momentum"])
        if np.count_nonzero(self.sizes_) == 1 < len(self.sizes_):
            self.recluster()

    def _kmeans(self):
        seed = int(np.random.default_rng([self.seed_, self.n_steps_]).integers(MAX_SEED))
        return SphericalKMeans(self.n_clusters, n_init=self.n_init, random_state=seed)

    def _take(self, kmeans):
        """Make partitions of clusters, where every row has its nearest prototype."""
        self.prototypes_ = kmeans.cluster_centers_
        self._label(kmeans.labels_)
        self.partitions_ = partition_sums(self.bank_, self.labels_, len(self.prototypes_))
        self.sizes_ = self.partitions_.sizes

    def recluster(self) -> Self:
        """Cut the bank into new partitions by spherical k-means, for example after an epoch.

        Nothing changes if k-means finds fewer clusters than there are partitions.

        Returns
        -------
        self : ClusteredMemory
            The estimator.

        Raises
        ------
        NotFittedError
            If there are no prototypes yet.
        """
        check_is_fitted(self, "prototypes_")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            kmeans = self._kmeans().fit(self.bank_)
        if np.count_nonzero(kmeans.cluster_sizes_) == len(self.prototypes_):
            with all_or_nothing(self):
                self._take(kmeans)
        return self

    def predict(self, X: ArrayLike) -> Int32Array:
        """Find the nearest prototype of each row by cosine, whatever the batch.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to assign.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            The lowest index on ties.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        NotFittedError
            If there are no prototypes yet.
        """
        return assign(self._checked_rows(X), self.prototypes_, spherical=True)

    def fit_predict(self, X: ArrayLike, y: object = None) -> Int32Array:
        """Fit, and find the nearest prototype of each row of X, those not kept included.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            As in ``fit``.
        y : object, default=None
            Ignored.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            As of ``predict``.
        """
        return self.fit(X).predict(X)

    def kneighbors(
        self, X: ArrayLike, n_neighbors: int | None = None, *, within_partition: bool = True
    ) -> tuple[FloatArray, Int64Array]:
        """Find the nearest rows of the bank by cosine.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Queries. Rows that were just stored find themselves first, if they were stored in the
            partition of their nearest prototype.
        n_neighbors : int, default=None
            How many, at most as many as there are in the bank; None means the parameter.
        within_partition : bool, default=True
            Search the partition of the nearest prototype only, unless it has no more rows than
            neighbours are wanted; otherwise the whole bank.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_neighbors)
            Cosine distances in increasing order (float32 or float64).
        slots : ndarray of shape (n_samples, n_neighbors), int64
            Places of the neighbours: ``bank_[slots]`` are their rows.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or ``n_neighbors`` is out
            of range.
        TypeError
            If ``n_neighbors`` is no integer or ``within_partition`` no truth value.
        NotFittedError
            If there are no prototypes yet.
        """
        rows = self._checked_rows(X)
        n_neighbors = checked_integer(
            "n_neighbors",
            self.n_neighbors if n_neighbors is None else n_neighbors,
            1,
            self.n_stored_,
            high_name="n_stored",
        )
        labels, prototypes = self.labels_, self.prototypes_
        if not checked_flag("within_partition", within_partition):
            labels, prototypes = np.zeros_like(labels), prototypes[:1]  # one partition of all
        return nearest_in_partition(rows, self.bank_, labels, prototypes, n_neighbors)

    def _checked_rows(self, X):
        check_is_fitted(
            self,
            "prototypes_",
            msg="This %(name)s has no prototypes yet: call fit, or partial_fit until the bank is "
            "full",
        )
        return unit_rows(checked_matrix(self, X, reset=False))

"""SinkhornClustering: clusters of which every one gets its share of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.base import with_callbacks
from clusterlib.cluster._centers import CentersEstimator
from clusterlib.cluster._prototypes import fit_prototypes, follow_prototypes
from clusterlib.cluster._warnings import warn_of_few_clusters, warn_of_no_convergence
from clusterlib.solvers import center_distances, row_norms, sinkhorn_assign
from clusterlib.validation import checked_real

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
        RandomState,
        Weights,
    )

__all__ = ["SinkhornClustering"]


class SinkhornClustering(CentersEstimator):
    """Clusters fixed embeddings by balanced codes: SwAV without the network.

    Finds unit vectors, the prototypes, and codes, soft labels of which every row has 1 in sum and
    every prototype its share of the rows: codes are the entropic transport of rows to prototypes,
    prototypes the directions of the rows' means under the codes. Where classes are about equally
    frequent, the shares take away nearly all influence of the start; where they are not, let
    ``prior="estimate"`` find the shares.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of prototypes.
    epsilon : float, default=0.05
        Entropic strength in units of cosines, at least 1e-6: small values give hard codes and
        take more iterations.
    n_iters : int or None, default=None
        Normalisations behind the codes of every iteration; 3 is what SwAV does. None computes
        exact codes.
    prior : {"uniform", "estimate"} or array-like of shape (n_clusters,), default="uniform"
        Shares of the prototypes: equal ones, those with the highest likelihood, or given ones
        (above 0, divided by their sum; which prototype gets which is up to the start).
    normalize : bool, default=True
        Whether rows count by their directions. With False, long rows count more, and lengths
        above a million epsilon are refused.
    init : {"auto", "k-means++", "k-means||", "random"}, callable or array-like of shape \
(n_clusters, n_features), default="auto"
        First prototypes. "k-means++": greedy k-means++ with cosine distances, which reads X once
        for each prototype. "k-means||": as spread out, and reads X seven times. "auto": the first
        up to 1,048,576 rows, the second beyond. "random": different rows drawn at random. Or what
        ``init(X, n_clusters, random_state=...)`` returns, or the prototypes themselves. They are
        normalised.
    n_init : "auto" or int, default="auto"
        Number of starts, of which the one with the highest objective is kept. "auto" is 10 for
        random rows and callables, else 1; given prototypes are one start in any case.
    max_iter : int, default=300
        Most moves of the prototypes in a start.
    tol : float, default=3e-4
        A start ends when no prototype turns by more than this angle, in radians (and estimated
        shares change by no more in sum).
    queue_size : int, default=0
        Earlier rows that ``partial_fit`` computes codes of a batch with; used once there are so
        many.
    decay : float, default=0.9
        How much the sums of earlier batches count in ``partial_fit``, from 0 to 1 (as much as the
        new one).
    temperature : float, default=0.1
        Of ``predict_proba``, above 0.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO; a program
        that has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Prototypes: unit vectors in the dtype of X (float32 or float64).
    labels_ : ndarray of shape (n_samples,), int32
        Prototype with the largest code of each row, of the last batch after ``partial_fit``. They
        keep the shares as far as hard labels can, so they may differ from ``predict``.
    prior_ : ndarray of shape (n_clusters,), float64
        Shares, wanted or estimated; their sum is 1.
    objective_ : float
        ``<Q, cosines> - epsilon KL(Q | a prior')`` of the codes Q and the weights a, in a sum of
        1; the mean log-likelihood times epsilon (up to a constant) when the prior is estimated.
    history_ : ndarray of shape (n_iter_,), float64
        The objective in each iteration; it rises, as far as codes are exact.
    marginal_error_ : float
        Sum of the absolute differences between the shares of the codes and the prior.
    code_entropy_ : float
        Mean entropy of a code in nats: 0 if all are hard, log(n_clusters) if none says anything.
    angle_ : float
        Largest turn of a prototype in the last iteration, in radians.
    n_iter_ : int
        Iterations of the start that was kept.
    n_sweeps_ : int
        How often it compared all rows with all prototypes for their codes.
    converged_ : bool
        Whether that start ended by ``tol``, with shares within ``tol`` of the prior.
    cluster_sizes_ : ndarray of shape (n_clusters,), float64
        Weight of the rows with each label, the number of rows without weights.
    counts_ : ndarray of shape (n_clusters,), float64
        Sums of the codes; faded sums after ``partial_fit``.
    vectors_ : ndarray of shape (n_clusters, n_features), float64
        Sums of the directions of rows under their codes; faded sums after ``partial_fit``.
    queue_ : ndarray of shape (n_queued, n_features)
        Rows of earlier batches, the latest first, in the dtype of the prototypes.
    n_steps_ : int
        Batches of ``partial_fit``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    SphericalKMeans : Hard assignments to the nearest centre, without shares.
    clusterlib.solvers.sinkhorn_assign : Codes of a batch of scores.

    Notes
    -----
    O(n_samples n_clusters n_features) time for a sweep; a fit takes some sweeps for each
    iteration, more for small epsilon. No array of n_samples x n_clusters is made; memory besides X
    is about 160 bytes for each row and, during k-means++, what it takes in :class:`KMeans`. A row
    of zeros has no direction and no part in the fit. The same seed gives the same answer for any
    number of threads, any block size and any layout of X.

    X may be anything that :func:`clusterlib.blocks.as_blocks` reads block by block: a memory map,
    the path of a file or of a folder of files, a Dask array, batches that can be read again. ``fit``
    then reads it once for each sweep, once for each move of the prototypes and four times more,
    and keeps nothing for a row but its label: memory is three blocks, the prototypes and 4 bytes
    for each row at the end (with "k-means||" or given prototypes; k-means++ and "random" need
    80 bytes for each row while they sort the rows). Potentials of rows
    are computed anew where they are needed, up to a third more work for each iteration. The
    results have the bits of an array in memory. ``transform``, ``predict_proba`` and ``assign``
    return n_clusters numbers for each row, in memory.

    X may be a float32 or float64 array on a
    CUDA device: labels, prototypes, sizes, the queue and what the methods return live there, too, and
    potentials of rows travel, 8 bytes for each row and sweep. Fitting warns (ConvergenceWarning) when
    ``max_iter`` came before ``tol``, and when fewer different clusters were found than asked for.

    References
    ----------
    .. [1] M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski and A. Joulin, "Unsupervised
       learning of visual features by contrasting cluster assignments", NeurIPS 2020.
    .. [2] A. Banerjee, I. S. Dhillon, J. Ghosh and S. Sra, "Clustering on the unit hypersphere
       using von Mises-Fisher distributions", JMLR 6, 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import SinkhornClustering
    >>> X = np.array([[1.0, 0.1], [20.0, 1.0], [0.1, 2.0], [0.0, 3.0]])
    >>> model = SinkhornClustering(n_clusters=2, random_state=0).fit(X)
    >>> model.labels_ == model.labels_[0]
    array([ True,  True, False, False])
    >>> model.assign(X).sum(axis=0).round(6)
    array([2., 2.])
    """

    cluster_centers_: FloatArray
    labels_: Int32Array
    prior_: Float64Array
    objective_: float
    history_: Float64Array
    marginal_error_: float
    code_entropy_: float
    angle_: float
    n_iter_: int
    n_sweeps_: int
    converged_: bool
    cluster_sizes_: Float64Array
    counts_: Float64Array
    vectors_: Float64Array
    queue_: FloatArray
    n_steps_: int
    n_features_in_: int
    feature_names_in_: Array

    _spherical = True
    _takes_device_arrays = True
    _reads_blocks = True

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        epsilon: float = 0.05,
        n_iters: int | None = None,
        prior: Literal["uniform", "estimate"] | ArrayLike = "uniform",
        normalize: bool = True,
        init: Literal["auto", "k-means++", "k-means||", "random"]
        | Callable[..., Any]
        | ArrayLike = "auto",
        n_init: Literal["auto"] | int = "auto",
        max_iter: int = 300,
        tol: float = 3e-4,
        queue_size: int = 0,
        decay: float = 0.9,
        temperature: float = 0.1,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.epsilon = epsilon
        self.n_iters = n_iters
        self.prior = prior
        self.normalize = normalize
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.queue_size = queue_size
        self.decay = decay
        self.temperature = temperature
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Carrier, y: object = None, sample_weight: Weights = None) -> Self:
        """Find prototypes of the rows of X.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to cluster; at least n_clusters of them, and one that is not zero. float32 and
            float64 arrays are used as they are, in any layout; everything else is converted to
            float64. What :func:`clusterlib.blocks.as_blocks` reads block by block is read so.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights, not negative. An integer acts as that many copies of the row, 0 as its
            absence. None means 1.

        Returns
        -------
        self : SinkhornClustering
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, nothing but zeros in X, fewer rows
            than clusters, weights that are negative, not finite or all zero.
        TypeError
            For a parameter of a wrong type, or sparse X.
        """
        self._fit(X, sample_weight)
        remaining = (
            f"prototypes still turn by {self.angle_:.3g} radians and shares differ from the prior "
            f"by {self.marginal_error_:.3g}"
        )
        warn_of_no_convergence(self, "iterations", remaining, "max_iter, tol or epsilon")
        warn_of_few_clusters(self)
        return self

    @with_callbacks
    def _fit(self, X, sample_weight):
        fit_prototypes(self, X, sample_weight)

    def partial_fit(self, X: Carrier, y: object = None) -> Self:
        """Compute codes of a batch and move the prototypes towards its rows.

        Codes are those of the batch together with the queue, once that is full; then the batch
        goes to the head of the queue. The first call finds first prototypes on the rows it gets,
        in a single start. What is one batch matters: codes share out the rows of it. ``max_iter``,
        ``tol`` and ``n_init`` do not matter here.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            The batch; at least n_clusters rows in the first call. Of what is read block by block,
            a single block at most: a slice of a memory map, say.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : SinkhornClustering
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            As in ``fit``, and for another number of features or clusters than before.
        """
        follow_prototypes(self, X)
        return self

    def transform(self, X: Carrier) -> FloatArray:
        """Compute the similarity of each row to each prototype.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to compare.

        Returns
        -------
        similarities : ndarray of shape (n_samples, n_clusters)
            Cosines, or inner products without ``normalize``, in the dtype of X; 0 for a row of
            zeros.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        blocks = self._fitted_blocks(X)
        return blocks.like(self._similarities(blocks))

    def _similarities(self, blocks):
        similarities = center_distances(blocks, self.cluster_centers_, spherical=True)
        np.subtract(1.0, similarities, out=similarities)
        if not self.normalize:
            norms = row_norms(blocks)[:, None].astype(similarities.dtype)
            similarities *= blocks.from_host(norms)
        return similarities

    def predict_proba(self, X: Carrier) -> FloatArray:
        """Compute SwAV's predictions: the softmax of the similarities over ``temperature``.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign, each by itself.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_clusters)
            Rows sum to 1; in the dtype of X. The largest is that of ``predict``, up to rounding.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or ``temperature`` is not
            above 0.
        """
        temperature = checked_real("temperature", self.temperature, 0, low_open=True)
        blocks = self._fitted_blocks(X)
        scores = self._similarities(blocks)
        scores -= scores.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # minus infinity has the probability 0
            scores /= temperature
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return blocks.like(scores)

    def assign(self, X: Carrier) -> FloatArray:
        """Compute balanced codes of a batch of rows.

        Unlike ``predict``, the answer for a row depends on the others: every prototype gets the
        share ``prior_`` of these rows. Use it for all rows of a data set, or for a batch that is
        composed like one.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            The batch.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_clusters)
            Rows sum to 1; in the dtype of X. A row of zeros, which is like no prototype, gets the
            prior.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        blocks = self._fitted_blocks(X)
        scores = self._similarities(blocks)
        options = {"epsilon": self.epsilon, "n_iters": self.n_iters, "prior": self.prior_}
        present = row_norms(blocks) > 0
        if present.all():
            return blocks.like(sinkhorn_assign(scores, **options))
        codes = np.empty_like(scores)
        codes[:] = blocks.from_host(self.prior_)
        present = blocks.from_host(present)
        codes[present] = sinkhorn_assign(scores[present], **options)
        return blocks.like(codes)

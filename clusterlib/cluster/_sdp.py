"""SDPClustering: k-means by its semidefinite relaxation, with a proof of how good it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import with_callbacks
from clusterlib.cluster._centers import CentersEstimator
from clusterlib.cluster._sdp_fit import fit_relaxation
from clusterlib.cluster._warnings import warn_of_few_clusters
from clusterlib.validation import check_is_fitted

if TYPE_CHECKING:
    from typing import Literal, Self

    from clusterlib.typing import Array, Carrier, Float64Array, FloatArray, Int32Array, RandomState

__all__ = ["SDPClustering"]


class SDPClustering(CentersEstimator):
    """k-means clustering by the semidefinite relaxation of Peng and Wei.

    A partition is a matrix Z that holds 1 / (size of the cluster) for every pair of rows of one
    cluster. Its k-means cost is ``|Xc|^2 - <Xc Xc', Z>``, with Xc the centred rows. Maximising
    ``<Xc Xc', Z>`` over all symmetric Z that are positive semidefinite and non-negative, have
    rows of sum 1 and the trace n_clusters, is a convex problem: it knows no bad starts, where
    clusters are apart its solution is a partition, and its value bounds the cost of every
    partition from below. Here it is solved through a factor of low rank, in time and memory
    linear in n_samples; the answer is rounded, improved by Lloyd's iteration and, on request,
    certified.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    solver : {"auto", "low_rank", "sketch", "cvxpy"}, default="auto"
        "low_rank" solves for a factor of all rows; "sketch" does so for balanced samples, and
        carries the centres over to all rows; "cvxpy" solves for Z itself, as a reference for at
        most 200 rows that needs the extra ``cvx``. "auto" takes the factor up to 4 million
        entries (n_samples times rank), the sketch above.
    certify : {"none", "fast", "block", "full"}, default="none"
        Lower bound of the k-means cost to compute. All but "none" first try to prove that the
        partition found is optimal, which succeeds where clusters are well apart. Else "fast"
        takes the best dual point that can be made from the partition (little more than the bound
        of PCA above 40 clusters), "block" adds up the bounds of parts of the rows, and "full"
        solves the dual with matrices of n_samples x n_samples (at most 10 000 rows). They take
        longer in this order, and are tighter than "fast".
    rank : int or None, default=None
        Columns of the factor, from n_clusters (plain k-means) to n_samples; more of them relax
        further. None is eight times n_clusters up to 1000 rows, four times up to 10 000 rows and
        twice beyond, n_samples at most, and 4096 unless n_clusters is more.
    n_init : int, default=1
        Starts of the low-rank solver. One is enough on most data.
    n_kmeans : int, default=5
        Starts of k-means++ that compete with the rounded relaxation for the labels; 0 for none.
    sketch_size : int or None, default=None
        Rows of a sample, at least n_clusters; None is ``50 n_clusters rank``, but not above
        ``1e6 / rank`` and not below 2000 and ``20 n_clusters``. With no more rows than that,
        "sketch" solves for all of them.
    n_sketches : int, default=2
        Samples that are relaxed; their centres are averaged in the end.
    max_iter : int or None, default=None
        Most iterations of a start, or of a sample; None is 5000, and 50 000 for "cvxpy", whose
        iterations are smaller steps.
    tol : float, default=1e-5
        The low-rank solver ends when the trace is within this of n_clusters, relatively, and its
        steps are within ten times this; 2e-6 at least for float32. From 2e-6 on it works in
        float32. Where clusters overlap, 1e-6 takes several times as long for an objective that
        is better by less than 1e-4 of the cost.
    allow_large : bool, default=False
        Whether "cvxpy" may be used above 200 rows, where it takes minutes to hours.
    verbose : int, default=0
        Above 0, the progress is logged by the logger "clusterlib" at level INFO; a program that
        has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Means of the clusters, in the dtype of X (float32 or float64).
    labels_ : ndarray of shape (n_samples,), int32
        Nearest centre of each row: always what ``predict`` gives for the same rows.
    inertia_ : float
        k-means cost of the labels, computed in float64.
    rounding_ : str
        Where the labels come from: "spectral", "denoised" or "largest membership" is the way the
        relaxation was rounded, "k-means++" a plain start that was better, "only choice" a
        problem without choice.
    cluster_sizes_ : ndarray of shape (n_clusters,), float64
        Rows of each cluster.
    membership_ : ndarray of shape (n_samples, rank), float64
        Memberships of the rows, non-negative and of sum 1: the factor of the relaxed solution, or
        indicators of the labels where that is a partition.
    objective_ : float
        ``<Xc Xc', Z>`` of the relaxed solution (of the partition for a sketch, and where that is
        clearly better): ``|Xc|^2 - objective_`` is what the relaxation takes for the cost, at
        most ``inertia_`` up to the tolerance. It is no bound, as the factor is one of low rank.
    lower_bound_ : float
        No partition into n_clusters has a lower k-means cost than this; 0.0, which is always
        true, if nothing better was computed.
    optimality_gap_ : float
        ``(inertia_ - lower_bound_) / inertia_``, from 0 (optimal) to 1 (nothing known). Of optimal
        labels it is 0, or what rounding the centres to float32 costs.
    certificate_ : {"exact", "bound", "none"}
        Whether the partition is known to be optimal, or how far it may be from that.
    certificate_rigorous_ : bool
        Whether that holds in spite of all rounding; False where the bound is the one that
        "cvxpy" brings along, which ``certify`` does not need to ask for.
    solver_ : {"exact", "low_rank", "sketch", "cvxpy"}
        What has run; "exact" if there was no choice (one cluster, as many clusters as different
        rows).
    trace_error_, residual_ : float
        How far the relaxed solution is from its trace (from all constraints for "cvxpy"), and
        the residual of the last step.
    n_iter_ : int
        Iterations of the solver, in the start with the highest objective (of all samples of a
        sketch).
    converged_ : bool
        Whether it ended by ``tol``.
    history_ : ndarray of shape (n_records, 4), float64
        Iterations so far, objective, trace error and residual: a record for each multiplier of
        the trace, or for each candidate of a sketch (pilot, samples, average; with the objective
        of its partition).
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    KMeans : The same objective from random starts, in less time and without bounds.

    Notes
    -----
    The factor is a matrix W whose rows are non-negative and sum to 1; with D the column sums,
    ``Z = W D^-1 W'``. An iteration takes O(n p r) time for rank r, and some hundred are usual
    (thousands where clusters overlap); memory besides X is about ``8 n (p + 6 r)`` bytes. A
    sketch takes a few passes over X, and memory of O(n) beside that of its samples; certificates
    copy X to float64. No matrix of n_samples x n_samples is made
    unless ``solver="cvxpy"``, ``certify="full"`` or :meth:`membership_matrix` ask for it.

    Labels are those of the lowest k-means cost among Lloyd's iterations from the rounded
    relaxation and from k-means++. The relaxation often wins where there are many features or
    clusters, plain starts sometimes where clusters overlap: neither always does. Where clusters
    have unlike shapes the partition of lowest cost is not the best one; with ``n_kmeans=0`` the
    labels stay close to what the relaxation says.

    X may be anything that :func:`clusterlib.blocks.as_blocks` reads block by block: a memory map,
    the path of a file or of a folder of files, a Dask array, batches that can be read again. A
    sketch reads it ``10 + 3 n_sketches`` times (two less for one sketch), once for each of at most
    ten last steps, and again for centres that have lost their rows. It keeps three blocks, its
    sample and about 20 bytes for each row, and has no certificate then (``certify`` needs all rows
    at once). The other solvers, and so "auto" up to its 4 million entries, read all rows into
    memory first: what they work on is larger. Results have the bits of an array.

    The relaxation has no weights of rows, so ``fit`` takes none. The same seed gives the same
    answer for any number of threads and any layout of X. Fitting warns (ConvergenceWarning)
    when the solver stopped early, and when fewer different clusters were found than asked for;
    the best point is kept then. Ctrl-C interrupts the fit, which then leaves nothing behind; from
    the work on a bound of "block" or "full" it moves on with the bound reached so far.

    References
    ----------
    .. [1] J. Peng and Y. Wei, "Approximating k-means-type clustering via semidefinite
       programming", SIAM J. Optim. 18(1), 2007.
    .. [2] Y. Zhuang, X. Chen and Y. Yang, "Likelihood adjusted semidefinite programs for
       clustering heterogeneous data", ICML 2023, arXiv 2209.15097.
    .. [3] Y. Zhuang, X. Chen and Y. Yang, "Sketch-and-lift: scalable subsampled semidefinite
       program for K-means clustering", AISTATS 2022.
    .. [4] Y. Zhuang, X. Chen, Y. Yang and R. Y. Zhang, "Statistically optimal K-means clustering
       via nonnegative low-rank semidefinite programming", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import SDPClustering
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2)) + 20 * np.eye(3, 2).repeat(100, axis=0)
    >>> model = SDPClustering(n_clusters=3, certify="fast", random_state=0).fit(X)
    >>> np.bincount(model.labels_), model.certificate_, model.optimality_gap_
    (array([100, 100, 100]), 'exact', 0.0)
    >>> model.membership_.shape
    (300, 24)
    """

    cluster_centers_: FloatArray
    labels_: Int32Array
    inertia_: float
    rounding_: str
    cluster_sizes_: Float64Array
    objective_: float
    lower_bound_: float
    optimality_gap_: float
    certificate_: Literal["exact", "bound", "none"]
    certificate_rigorous_: bool
    solver_: Literal["exact", "low_rank", "sketch", "cvxpy"]
    trace_error_: float
    residual_: float
    n_iter_: int
    converged_: bool
    history_: Float64Array
    n_features_in_: int
    feature_names_in_: Array

    _reads_blocks = True

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        solver: Literal["auto", "low_rank", "sketch", "cvxpy"] = "auto",
        certify: Literal["none", "fast", "block", "full"] = "none",
        rank: int | None = None,
        n_init: int = 1,
        n_kmeans: int = 5,
        sketch_size: int | None = None,
        n_sketches: int = 2,
        max_iter: int | None = None,
        tol: float = 1e-5,
        allow_large: bool = False,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.solver = solver
        self.certify = certify
        self.rank = rank
        self.n_init = n_init
        self.n_kmeans = n_kmeans
        self.sketch_size = sketch_size
        self.n_sketches = n_sketches
        self.max_iter = max_iter
        self.tol = tol
        self.allow_large = allow_large
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Carrier, y: object = None) -> Self:
        """Find the clusters of X.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to cluster; at least n_clusters of them. float32 and float64 arrays are used as
            they are, in any layout; float16 becomes float32, all else float64. Rows may be read
            block by block, see Notes.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : SDPClustering
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, fewer rows than clusters, more
            rows than a solver or a certificate is meant for, squares beyond float64, ``certify``
            for a sketch of rows that are not in memory.
        TypeError
            For a parameter of a wrong type, or sparse X.
        ImportError
            For ``solver="cvxpy"`` without cvxpy.
        """
        if self._fit(X):
            warnings.warn(
                f"SDPClustering did not converge in {self.n_iter_} iterations: the relaxation "
                f"misses its constraints by {self.trace_error_:.3g}, with a residual of "
                f"{self.residual_:.3g}; its best point is kept. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        warn_of_few_clusters(self)
        return self

    @with_callbacks
    def _fit(self, X):
        return fit_relaxation(self, X)

    @property
    def membership_(self) -> Float64Array:
        """Memberships of the rows: non-negative, and of sum 1 in each row.

        Returns
        -------
        W : ndarray of shape (n_samples, rank), float64
            The factor: the relaxed solution is ``W D^-1 W'`` with D the column sums. The columns
            are indicators of the labels, n_clusters of them and made on each access, where the
            solution is a partition itself: after a sketch, without choice, or when the partition
            has a clearly larger objective. For ``solver="cvxpy"`` column k tells how much of a row
            of Z lies on the rows of cluster k.
        """
        check_is_fitted(self, "labels_")
        if self._factor_ is not None:
            return self._factor_
        W = np.zeros((len(self.labels_), len(self.cluster_centers_)))
        W[np.arange(len(W)), self.labels_] = 1.0
        return W

    def membership_matrix(self) -> Float64Array:
        """Make the relaxed membership matrix of all pairs of rows.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_samples), float64
            Symmetric, non-negative, with rows of sum 1 and the trace n_clusters, up to the
            tolerance of the solver. It takes ``8 n_samples^2`` bytes: 800 MB for 10 000 rows.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self, "labels_")
        if self._matrix_ is not None:
            return self._matrix_.copy()
        W = self.membership_
        sizes = W.sum(axis=0)
        live = sizes > 0
        U = W[:, live] / np.sqrt(sizes[live])
        return U @ U.T

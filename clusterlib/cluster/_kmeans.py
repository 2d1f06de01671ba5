"""KMeans: the estimator that every other one here is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterlib.base import with_callbacks
from clusterlib.cluster._centers import CentersEstimator
from clusterlib.cluster._restarts import fit_lloyd
from clusterlib.cluster._warnings import warn_of_few_clusters, warn_of_no_convergence

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any, Literal, Self

    from clusterlib.typing import ArrayLike, Carrier, RandomState, Weights

__all__ = ["KMeans"]


class KMeans(CentersEstimator):
    """k-means clustering with exact assignments.

    Finds centres that minimise the weighted sum of squared distances of the rows to their nearest
    centres, by Lloyd's iteration from seeded starts. The same seed gives the same answer for any
    number of threads, any block size and any layout of X; rows in another order, or repeated
    instead of weighted, change nothing but rounding.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    init : {"auto", "k-means++", "k-means||", "random"}, callable or array-like of shape \
(n_clusters, n_features), default="auto"
        First centres. "k-means++": greedy k-means++, which reads X once for each centre.
        "k-means||": as spread out, and reads X seven times [3]_. "auto": the first up to
        1,048,576 rows, the second beyond. "random": different rows drawn at random. Or what
        ``init(X, n_clusters, random_state=...)`` returns, or the centres themselves.
    n_init : "auto" or int, default="auto"
        Number of starts, of which the one with the lowest inertia is kept. "auto" is 10 for
        random rows and callables, else 1; given centres are one start in any case.
    max_iter : int, default=300
        Most iterations of a start.
    tol : float, default=1e-4
        A start ends when the squared moves of the centres add up to no more than ``tol`` times
        the mean variance of the features. With 0 it ends when the centres stand still.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO; a program
        that has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.
    warm_start : bool, default=False
        Start from ``cluster_centers_`` of the previous fit, an interrupted one included, instead
        of ``init``.
    checkpoint : None, str or path-like, default=None
        File that keeps the state of the fit (centres and history, arrays only) and is replaced as
        a whole after every iteration. A fit of the same estimator on the same rows and weights
        goes on from a file that is there, whatever ``warm_start`` says, and ends with the bits of
        a fit that was not broken off. Deleted when the fit ends. Fits that run at the same time
        need a file each.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Centres, in the dtype of X (float32 or float64).
    labels_ : ndarray of shape (n_samples,), int32
        Nearest centre of each row: always what ``predict`` gives for the same rows.
    inertia_ : float
        Weighted sum of squared distances to the nearest centres, computed in float64.
    n_iter_ : int
        Iterations of the start that was kept.
    converged_ : bool
        Whether that start ended by ``tol``.
    history_ : ndarray of shape (n_iter_,), float64
        Sum of the squared moves of the centres in each of its iterations.
    n_relocated_ : int
        How many times a centre without rows was moved to the farthest row.
    cluster_sizes_ : ndarray of shape (n_clusters,), float64
        Weight of each cluster, the number of rows without weights.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    MiniBatchKMeans : The same objective on small batches.
    SphericalKMeans : Directions instead of places.

    Notes
    -----
    Each iteration takes O(n_samples n_clusters n_features) time, less once bounds keep rows in
    their clusters; memory besides X is O(n_samples + n_clusters n_features) (72 bytes for each
    row with 32 clusters and more), times ``2 + log(n_clusters)`` for the n_samples during
    k-means++. Fitting warns (ConvergenceWarning) when ``max_iter`` came before ``tol``, and when
    fewer different clusters were found than asked for.

    X may be anything that :func:`clusterlib.blocks.as_blocks` reads block by block: a memory map,
    the path of a file or of a folder of files, a Dask array, batches that can be read again. It
    is then read once for each iteration and never held as a whole: memory is three blocks, the
    centres and 4 bytes of label for each row (with "k-means||" or given centres; k-means++ and
    "random" need 80 bytes for each row, as they sort the rows). The results have the bits of an
    array in memory.

    Ctrl-C interrupts a fit and leaves the centres of its last iteration, so that ``predict``
    works and ``warm_start`` goes on from there.

    X may be a float32 or float64 array on a CUDA device (CuPy's, or a CUDA tensor): the work is
    then done there, where labels, centres, sizes and what the methods return live, too.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2), 1982.
    .. [2] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding",
       SODA 2007.
    .. [3] B. Bahmani, B. Moseley, A. Vattani, R. Kumar and S. Vassilvitskii, "Scalable k-means++",
       PVLDB 5(7), 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import KMeans
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0], [10.0, 0.0]])
    >>> kmeans = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> np.sort(kmeans.cluster_centers_, axis=0)
    array([[ 1.,  2.],
           [10.,  2.]])
    >>> labels = kmeans.predict([[0.0, 0.0], [12.0, 3.0]])
    >>> bool(labels[0] == kmeans.labels_[0]), bool(labels[1] == kmeans.labels_[3])
    (True, True)
    """

    _takes_device_arrays = True
    _reads_blocks = True

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Literal["auto", "k-means++", "k-means||", "random"]
        | Callable[..., Any]
        | ArrayLike = "auto",
        n_init: Literal["auto"] | int = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: RandomState = None,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.warm_start = warm_start
        self.checkpoint = checkpoint

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
        self : KMeans
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, fewer rows than clusters, weights
            that are negative, not finite or all zero.
        TypeError
            For a parameter of a wrong type, or sparse X.
        """
        self._fit(X, sample_weight)
        remaining = f"the squared moves of the centres still add up to {self.history_[-1]:.3g}"
        warn_of_no_convergence(self, "iterations", remaining, "max_iter or tol")
        warn_of_few_clusters(self)
        return self

    @with_callbacks
    def _fit(self, X, sample_weight):
        fit_lloyd(self, X, sample_weight, spherical=False)

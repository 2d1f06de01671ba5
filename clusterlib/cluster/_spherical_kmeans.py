"""SphericalKMeans: clusters of directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterlib.base import with_callbacks
from clusterlib.cluster._centers import CentersEstimator
from clusterlib.cluster._restarts import fit_lloyd
from clusterlib.cluster._warnings import warn_of_few_clusters, warn_of_no_convergence
from clusterlib.solvers import assign_several
from clusterlib.validation import checked_integer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any, Literal, Self

    from clusterlib.typing import ArrayLike, Carrier, FloatArray, Int32Array, RandomState, Weights

__all__ = ["SphericalKMeans"]


class SphericalKMeans(CentersEstimator):
    """Spherical k-means: clusters rows by their directions, with exact assignments.

    Finds unit vectors that minimise the weighted sum of cosine distances ``1 - cos`` of the rows
    to their nearest centre. Rows are normalised on the fly, X is neither changed nor copied, and
    centres are normalised in every iteration; k-means on normalised rows does the former only.
    Made for embeddings and texts, and for the coarse level of an inverted-file index, where
    :meth:`assign` gives several clusters for each row.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    init : {"auto", "k-means++", "k-means||", "random"}, callable or array-like of shape \
(n_clusters, n_features), default="auto"
        First centres, as in :class:`KMeans`, with cosine distances. They are normalised.
    n_init : "auto" or int, default="auto"
        Number of starts, of which the one with the lowest inertia is kept. "auto" is 10 for
        random rows and callables, else 1; given centres are one start in any case.
    max_iter : int, default=300
        Most iterations of a start.
    tol : float, default=1e-4
        A start ends when the squared moves of the centres add up to no more than ``tol`` times
        the mean variance of the features of normalised rows. With 0 it ends when the centres
        stand still.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO; a program
        that has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.
    warm_start : bool, default=False
        Start from ``cluster_centers_`` of the previous fit instead of ``init``.
    checkpoint : None, str or path-like, default=None
        File that keeps the state of the fit, as in :class:`KMeans`.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Unit vectors, in the dtype of X (float32 or float64).
    labels_ : ndarray of shape (n_samples,), int32
        Nearest centre of each row: always what ``predict`` gives for the same rows.
    inertia_ : float
        Weighted sum of cosine distances to the nearest centres, computed in float64.
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
    KMeans : Places instead of directions.

    Notes
    -----
    A row of zeros has no direction: it has the distance 1 to every centre, label 0, moves no
    centre and is never taken as one. An X of nothing else is refused. Costs,
    what X may be beside an array in memory, and what Ctrl-C leaves are as in :class:`KMeans`.

    X may be a float32 or float64 array on a CUDA device (CuPy's, or a CUDA tensor): the work is
    then done there, where labels, centres, sizes and what the methods return live, too.

    References
    ----------
    .. [1] I. S. Dhillon and D. S. Modha, "Concept decompositions for large sparse text data using
       clustering", Machine Learning 42, 2001.
    .. [2] K. Hornik, I. Feinerer, M. Kober and C. Buchta, "Spherical k-means clustering",
       J. Stat. Softw. 50(10), 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import SphericalKMeans
    >>> X = np.array([[1.0, 0.1], [20.0, 1.0], [0.1, 2.0], [0.0, 3.0]])
    >>> kmeans = SphericalKMeans(n_clusters=2, random_state=0).fit(X)
    >>> kmeans.labels_ == kmeans.labels_[0]
    array([ True,  True, False, False])
    >>> distances, labels = kmeans.assign(X, n_assign=2)
    >>> labels.shape
    (4, 2)
    """

    _spherical = True
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
        """Find the clusters of the directions of X.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to cluster; at least n_clusters of them, and one that is not zero. float32 and
            float64 arrays are used as they are, in any layout; everything else is converted to
            float64.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights, not negative. An integer acts as that many copies of the row, 0 as its
            absence. None means 1.

        Returns
        -------
        self : SphericalKMeans
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
        remaining = f"the squared moves of the centres still add up to {self.history_[-1]:.3g}"
        warn_of_no_convergence(self, "iterations", remaining, "max_iter or tol")
        warn_of_few_clusters(self)
        return self

    @with_callbacks
    def _fit(self, X, sample_weight):
        fit_lloyd(self, X, sample_weight, spherical=True)

    def assign(self, X: Carrier, n_assign: int = 1) -> tuple[FloatArray, Int32Array]:
        """Find the nearest centres of each row, the nearest one first.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign.
        n_assign : int, default=1
            How many centres for each row, from 1 to n_clusters.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_assign)
            Cosine distances in the dtype of X, in increasing order.
        labels : ndarray of shape (n_samples, n_assign), int32
            The centres they belong to; the first column is what ``predict`` returns.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or n_assign is out of
            range.
        TypeError
            If n_assign is not an integer.
        """
        blocks = self._fitted_blocks(X)
        n_clusters = len(self.cluster_centers_)
        n_assign = checked_integer("n_assign", n_assign, 1, n_clusters, high_name="n_clusters")
        found = assign_several(blocks, self.cluster_centers_, n_assign, spherical=True)
        return tuple(map(blocks.like, found))

"""LikelihoodAdjustedSDP: groups with covariances of their own, by semidefinite relaxation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from clusterlib.cluster._gaussian_groups import GaussianGroupsEstimator
from clusterlib.cluster._group_fit import fit_groups
from clusterlib.cluster._warnings import warn_of_few_clusters, warn_of_no_convergence

if TYPE_CHECKING:
    from typing import Literal, Self

    from clusterlib.typing import Array, ArrayLike, Float64Array, Int32Array, RandomState

__all__ = ["LikelihoodAdjustedSDP"]


class LikelihoodAdjustedSDP(GaussianGroupsEstimator):
    """Gaussian groups of different shapes, by likelihood-adjusted semidefinite programs.

    Wanted are a partition of the rows into groups G_k and covariances S_k with the largest
    likelihood of ``x_i ~ N(m_k, S_k)`` for i in G_k: labels are parameters, as in k-means, and not
    latent variables, as in EM. Means vanish when group k is written as a membership matrix
    ``Z_k = 1 1' / |G_k|`` on its rows: twice the log-likelihood is then ``sum_k <A_k, Z_k>``, but
    for a constant, with::

        A_k[i, j] = -(x_i - x_j)' S_k^-1 (x_i - x_j) / 2 - log|S_k| + 2 log w_k

    For given covariances that is maximised over a relaxation of the membership matrices, for given
    membership matrices the best covariances are known, and the two alternate until labels repeat.
    Starts of several kinds are tried, and the one with the largest likelihood times a weak prior
    of the covariances is kept.

    Prefer it over k-means where groups differ in size, shape or direction, and over EM
    (``sklearn.mixture.GaussianMixture``) where features are many, rows are few, or groups so long
    that EM is trapped near its start. Where rows are plenty and features few, EM is as good and
    faster; where groups are balls of one size, :class:`SDPClustering` and :class:`KMeans` are.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of groups.
    covariance_type : {"auto", "full", "tied", "diag", "spherical"}, default="auto"
        Shape of the covariances: any; the same for all groups; diagonal; multiples of the
        identity. "auto" chooses, see Notes; where ``covariances`` are known it means "full".
    covariances : array-like of the shape of ``covariances_``, default=None
        Covariances of the groups if they are known; means and labels are found for them, and
        group k has the k-th. Principal components are not taken.
    weights : {"auto", "equal", "estimated"}, default="auto"
        Whether the shares w_k of the groups are parameters of the likelihood. With "equal" all are
        1 / n_clusters, which favours groups of similar sizes. "auto" chooses, see Notes.
    trace : {"group", "total"}, default="group"
        What the relaxation asks of traces: 1 from each membership matrix, or n_clusters from their
        sum, which is looser. Every partition without empty groups has both.
    init : {"auto", "sdp", "ward", "k-means", "random"} or array-like of shape (n_samples,), \
default="auto"
        Where first labels come from: the relaxation of k-means, Ward's tree, k-means, cells of
        random rows, or all of them in this order. An array of labels from 0 to n_clusters - 1 is
        one start, and groups keep its numbers.
    n_init : int, default=10
        Number of starts that alternate. Fewer do where rows are many (20 000 in all), and 3 where
        the program is benign: for tied covariances with equal shares it is that of k-means.
    rank : int, default=1
        Columns of the factor of each membership matrix. With 1 the program is the likelihood of
        soft labels itself; 2 to 4 relax it, which is several times the work for answers that are
        about as good.
    n_components : "auto", int or None, default="auto"
        Principal components of X in which groups are found; None takes the features as they are.
        "auto" chooses, see Notes. Not the number of groups, which scikit-learn's mixtures call
        so and is ``n_clusters`` here.
    max_iter : int, default=20
        Most rounds of an alternation.
    tol : float, default=1e-6
        Relative tolerance of each program, for its traces and its steps.
    update : {"lifted", "hard"}, default="lifted"
        Covariances of a round: those that are best for the membership matrices,
        ``X' (diag(Z_k 1) - Z_k) X / (1' Z_k 1)``, or those of the rounded labels.
    verbose : int, default=0
        Above 0, every round is logged by the logger "clusterlib" at level INFO; a program that
        has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int32
        Group of each row: always what ``predict`` gives for the same rows. Groups are numbered as
        the rows meet them, unless labels or covariances were given.
    memberships_ : ndarray of shape (n_samples, n_clusters), float64
        Soft labels ``Z_k 1`` of the last program: rows sum to 1. Most are hard; the largest of a
        row may be another than its label, which has been improved upon since.
    means_ : ndarray of shape (n_clusters, n_features), float64
        Centres of the groups; where groups were found in principal components, the points there.
    covariances_ : ndarray of shape (n_clusters, q, q), float64
        Covariances of the q coordinates groups were found in (the features, unless
        ``components_`` says otherwise), prior included. That shape is for "full" as
        ``covariance_type_``; as in ``GaussianMixture`` it is (q, q) for "tied", (n_clusters, q)
        for "diag" and (n_clusters,) for "spherical".
    weights_ : ndarray of shape (n_clusters,), float64
        Shares of the groups; their sum is 1.
    covariance_type_ : str
        Shape of the covariances, given or chosen.
    weights_mode_ : str
        "equal" or "estimated", given or chosen.
    components_ : None or ndarray of shape (q, n_features), float64
        Orthonormal principal directions groups were found in; None for the features themselves.
    mean_ : None or ndarray of shape (n_features,), float64
        Mean of the rows, which has the coordinates 0 in ``components_``.
    noise_variance_ : None or float
        Mean variance along the directions that were left out; 0 if rows do not vary there.
    log_likelihood_ : float
        ``sum_i log(w_k N(x_i | m_k, S_k))``, k the label of row i, in the q coordinates.
    map_objective_ : float
        The same plus the log density of the prior, but for a constant: by it starts are compared.
    objective_history_ : ndarray of shape (n_iter_,), float64
        What the relaxed memberships reach after each round of the start that was kept, in units
        of ``map_objective_``. With ``update="lifted"`` it never falls.
    n_iter_ : int
        Rounds of that start.
    converged_ : bool
        Whether it ended because labels repeated, or the objective stood still.
    cluster_sizes_ : ndarray of shape (n_clusters,), float64
        Number of rows with each label.
    n_parameters_ : int
        Numbers that were estimated, for ``bic`` and ``aic``; see Notes.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    SDPClustering : The relaxation of k-means, with certificates.
    clusterlib.solvers.likelihood_sdp : The algorithm without estimator.

    Notes
    -----
    *Relaxation.* ``Z_k = W_k D_k^-1 W_k'`` with D_k the column sums of W_k: rows of
    ``(W_1, ..., W_K)`` lie in the simplex and are soft labels. That keeps ``Z_k`` positive
    semidefinite, not negative, and ``sum_k Z_k 1 = 1``; traces are left to multipliers. ``A_k`` is
    never formed.

    *Prior.* A fifth of a row for each covariance, which has ``cov(X) / n_clusters^(2 / q)``: that
    of equal groups that fill the volume of the data (the scale is from [2]_). So covariances are
    regular for groups of any size, and answers do not depend on units: those of single features
    where covariances are full, tied or diagonal, the common one where they are spherical.

    *Choices.* "auto" tries all, alone and together, and takes the smallest information criterion
    for small samples [3]_: what the likelihood overstates that of new rows by is counted with the
    sizes of the groups, not with the sample alone. For dimensions it tries all features up to
    ``2 n_clusters + 2`` of them, ``2 n_clusters`` components beyond, and both where rows are
    plenty.

    *Degenerate data.* Directions in which the rows do not vary at all (constant or collinear
    features) cannot be part of a covariance: groups are found in the others, with a warning if
    ``n_components`` asked for more. Without other noise, densities are then those of the
    components alone. All rows the same are an error.

    *Parameters.* ``n_parameters_`` counts means, covariances unless they are known, and shares
    if they are estimated, as ``GaussianMixture`` does. Where q components were taken it adds
    ``q (n_features - q)`` for the subspace, ``n_features - q`` for its place and 1 for the noise.

    *Costs.* A round takes O(n_samples n_clusters q^2 rank) time for some hundred steps of its
    program. Starts and models are compared on 1000 rows at most (100 for each group, if that is
    more). Memory is O(n_samples (n_features + n_clusters rank)) numbers of float64; nothing has
    the shape (n_samples, n_samples) but distances of those 1000 rows for Ward's tree.

    *Rows beyond memory.* ``fit`` needs all rows in memory. Fit a sample of them, and give all to
    ``predict`` and the methods beside it, which read them block by block from whatever
    :func:`clusterlib.blocks.as_blocks` takes.

    *Endings.* Fitting warns (ConvergenceWarning) when ``max_iter`` came before labels repeated,
    and when fewer different groups were found than asked for. Ctrl-C leaves the estimator as it
    was. The same seed gives the same answer for any number of threads of this library.

    References
    ----------
    .. [1] Y. Zhuang, X. Chen, Y. Yang, "Likelihood adjusted semidefinite programs for clustering
       heterogeneous data", ICML 2023, arXiv 2209.15097.
    .. [2] C. Fraley, A. E. Raftery, "Bayesian regularization for normal mixture estimation and
       model-based clustering", J. Classification 24, 2007.
    .. [3] E. J. Bedrick, C.-L. Tsai, "Model selection for multivariate regression in small
       samples", Biometrics 50(1), 1994.

    Examples
    --------
    Three parallel cigars, which k-means cuts across:

    >>> from clusterlib.cluster import KMeans, LikelihoodAdjustedSDP
    >>> from clusterlib.datasets import make_heterogeneous_mixture
    >>> from clusterlib.metrics import clustering_accuracy
    >>> X, y, *_ = make_heterogeneous_mixture("elongated", 150, random_state=0)
    >>> model = LikelihoodAdjustedSDP(n_clusters=3, random_state=0).fit(X)
    >>> round(clustering_accuracy(y, model.labels_), 2)
    1.0
    >>> kmeans = KMeans(n_clusters=3, n_init=10, random_state=0).fit(X)
    >>> bool(clustering_accuracy(y, kmeans.labels_) < 0.7)
    True
    >>> model.covariance_type_
    'tied'
    """

    labels_: Int32Array
    memberships_: Float64Array
    means_: Float64Array
    covariances_: Float64Array
    weights_: Float64Array
    covariance_type_: str
    weights_mode_: str
    components_: Float64Array | None
    mean_: Float64Array | None
    noise_variance_: float | None
    log_likelihood_: float
    map_objective_: float
    objective_history_: Float64Array
    n_iter_: int
    converged_: bool
    cluster_sizes_: Float64Array
    n_parameters_: int
    n_features_in_: int
    feature_names_in_: Array

    _instead_of_blocks = "fit it to a sample of the rows as an array; predict reads blocks"

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        covariance_type: Literal["auto", "full", "tied", "diag", "spherical"] = "auto",
        covariances: ArrayLike | None = None,
        weights: Literal["auto", "equal", "estimated"] = "auto",
        trace: Literal["group", "total"] = "group",
        init: Literal["auto", "sdp", "ward", "k-means", "random"] | ArrayLike = "auto",
        n_init: int = 10,
        rank: int = 1,
        n_components: Literal["auto"] | int | None = "auto",
        max_iter: int = 20,
        tol: float = 1e-6,
        update: Literal["lifted", "hard"] = "lifted",
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.covariances = covariances
        self.weights = weights
        self.trace = trace
        self.init = init
        self.n_init = n_init
        self.rank = rank
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.update = update
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the groups of the rows of X.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to cluster; at least n_clusters of them, not all the same. Worked on in float64.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : LikelihoodAdjustedSDP
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, fewer rows than clusters, rows that
            are all the same, known covariances of a wrong shape, not symmetric or not positive
            definite.
        TypeError
            For a parameter of a wrong type, sparse X, or rows that are read block by block.
        """
        fit_groups(self, X)
        warn_of_no_convergence(self, "rounds", "labels still changed in the last one", "max_iter")
        warn_of_few_clusters(self)
        _warn_of_few_directions(self)
        return self


def _warn_of_few_directions(estimator):
    """Warn if somebody asked for more dimensions than the rows vary in."""
    wanted, axes = estimator.n_components, estimator.components_
    if axes is None or wanted == "auto":
        return
    if wanted is None or wanted > len(axes):
        warnings.warn(
            f"the rank of X about its mean is {len(axes)}, less than n_components={wanted!r} asks "
            "for: groups were found in so many dimensions. Constant or collinear features, or few "
            "rows, are the reason.",
            UserWarning,
            stacklevel=3,
        )

"""Groups with covariances of their own: programs and covariances in turn, from many starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.solvers.gaussian import CovariancePrior, CovarianceType, GroupModel
from clusterlib.solvers.gaussian_em import classification_em
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.gaussian_moments import group_moments, indicators
from clusterlib.solvers.likelihood_alternation import alternate
from clusterlib.solvers.likelihood_choice import corrected_aic
from clusterlib.solvers.likelihood_program import Program
from clusterlib.solvers.likelihood_screening import permuted_labels, screen
from clusterlib.solvers.likelihood_starts import starting_labels
from clusterlib.solvers.low_rank_likelihood import Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.solvers.likelihood_starts import StartKind
    from clusterlib.typing import Array, Float64Array, Int32Array

__all__ = ["LikelihoodResult", "likelihood_sdp"]

# Starts and models are compared on so many rows, which tell them apart well enough.
_SCREENING_ROWS = 1000
_ROWS_PER_GROUP = 100
# Random starts that are screened for every start that is asked for.
_SCREENED_PER_START = 3
# Partitions of each model that are starts of the one that is chosen.
_SHARED = 3
# Alternations beyond so many rows in all are too dear to be repeated.
_ALTERNATION_ROWS = 20_000
# Of a program that has no bad local optima.
_RELAXED_ALTERNATIONS = 3
_POLISHING_ITER = 300


class LikelihoodResult(NamedTuple):
    """What :func:`likelihood_sdp` found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        ``argmax_k log w_k - log|S_k| / 2 - (x - m_k)' S_k^-1 (x - m_k) / 2`` of the groups below.
    memberships : ndarray of shape (n_samples, n_groups), float64
        Row sums of the membership matrices ``Z_k`` of the last program: soft labels.
    means : ndarray of shape (n_groups, n_features), float64
        Centres.
    covariances : ndarray of shape (n_groups, n_features, n_features), float64
        Of another shape if ``covariance_type`` is not FULL; see :class:`CovarianceType`.
    weights : ndarray of shape (n_groups,), float64
        Shares; 1 / n_groups each if they are not estimated.
    log_likelihood : float
        ``sum_i log(w_k N(x_i | m_k, S_k))`` with k the label of row i.
    map_objective : float
        The same with the log density of the prior of the covariances, but for a constant: by it
        starts are compared.
    corrected_aic : float
        By it models are compared; small is good. See :func:`corrected_aic`.
    covariance_type : CovarianceType
        As given, or as chosen.
    estimated_weights : bool
        As given, or as chosen.
    n_iter : int
        Rounds of the best start.
    converged : bool
        Whether its labels were met again, or its lifted objective stood still.
    objective_history : ndarray of shape (n_iter,), float64
        Lifted objective of the best start after each round: half the value of the program plus
        the log density of the prior, in the units of ``map_objective``. Never falls if
        ``lifted``.
    """

    labels: Int32Array
    memberships: Float64Array
    means: Float64Array
    covariances: Float64Array
    weights: Float64Array
    log_likelihood: float
    map_objective: float
    corrected_aic: float
    covariance_type: CovarianceType
    estimated_weights: bool
    n_iter: int
    converged: bool
    objective_history: Float64Array


def likelihood_sdp(
    X: Float64Array,
    n_clusters: int,
    *,
    rng: np.random.Generator,
    covariance_type: CovarianceType | None = None,
    estimated_weights: bool | None = None,
    covariances: Array | None = None,
    trace: Trace = Trace.GROUP,
    rank: int = 1,
    start: StartKind | None = None,
    labels: Int32Array | None = None,
    n_init: int = 10,
    max_iter: int = 20,
    tol: float = 1e-6,
    lifted: bool = True,
    callback: Callable[..., Any] | None = None,
    n_threads: int | None = None,
) -> LikelihoodResult:
    """Find Gaussian groups by likelihood-adjusted semidefinite programs.

    A partition and its covariances are wanted with the largest likelihood of the classification
    (times a weak prior of each covariance). For given covariances the memberships come
    from :func:`low_rank_likelihood`, for given memberships the covariances are known; the two
    alternate. As the likelihood has many local maxima, starts come from several methods and are
    improved by EM first; unless it is given, the model is chosen by :func:`corrected_aic`.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Finite rows.
    n_clusters : int
        From 1 to n_samples.
    rng : numpy.random.Generator
        Source of randomness.
    covariance_type : None or CovarianceType, default=None
        Shape of the covariances; None chooses. FULL or None if they are known.
    estimated_weights : None or bool, default=None
        Whether shares of the groups are parameters; None chooses.
    covariances : None or ndarray of shape (n_clusters, n_features, n_features), default=None
        Covariances that are known; each start is then one program.
    trace : Trace, default=Trace.GROUP
        See :func:`low_rank_likelihood`.
    rank : int, default=1
        Columns of each group; see :func:`low_rank_likelihood`.
    start : None or StartKind, default=None
        Where first labels come from; None mixes.
    labels : None or ndarray of shape (n_samples,), int32, default=None
        First labels that are given, instead of ``start`` and ``n_init``.
    n_init : int, default=10
        Alternations; less where rows are many (20 000 rows in all, at least one), and 3 at most
        where tied covariances and equal shares leave a benign program. Three times as many random
        starts are screened by EM if ``start`` is None.
    max_iter : int, default=20
        Most rounds of an alternation.
    tol : float, default=1e-6
        Relative tolerance of a program.
    lifted : bool, default=True
        Covariances of a round come from the membership matrices, ``X' (diag(Z_k 1) - Z_k) X``
        over ``1' Z_k 1``, rather than from the rounded labels.
    callback : None or callable, default=None
        ``callback(n_iter, objective)`` after each round of each start; True stops that start.
    n_threads : None or int, default=None
        See :func:`low_rank_likelihood`.

    Returns
    -------
    result : LikelihoodResult

    Notes
    -----
    Starts and models are compared on 1000 rows at most (100 for each group, if that is more), so
    time and memory are linear in n_samples. A partition that leaves no group empty is preferred.

    References
    ----------
    .. [1] Y. Zhuang, X. Chen, Y. Yang, "Likelihood adjusted semidefinite programs for clustering
       heterogeneous data", ICML 2023.
    .. [2] C. Biernacki, G. Celeux, G. Govaert, "Choosing starting values for the EM algorithm for
       getting the highest likelihood in multivariate Gaussian mixture models", Comput. Stat. Data
       Anal. 41, 2003: many short runs of EM.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import likelihood_sdp
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(40, 2)), 5 + 0.1 * rng.normal(size=(40, 2))])
    >>> result = likelihood_sdp(X, 2, rng=np.random.default_rng(0))
    >>> result.covariance_type, np.sort(result.covariances).round(1)
    (<CovarianceType.SPHERICAL: 'spherical'>, array([0. , 0.9]))
    """
    program = Program(rank, trace, lifted, max_iter, tol, n_threads)
    rows = _screening_rows(len(X), n_clusters, rng)
    given = labels is not None
    if given:
        starts = labels[rows][None]
    else:
        n_starts = n_init * (1 + _SCREENED_PER_START * (start is None))
        starts = starting_labels(X[rows], n_clusters, start, n_starts, rng)
    screened = _best_screened(
        X[rows], starts, n_clusters, covariance_type, estimated_weights, covariances, rng
    )
    frame, model = screened.frame, screened.model
    if len(rows) < len(X):
        frame, model = _frame_and_model(X, model, covariances)
    n_alternations = min(n_init, max(1, _ALTERNATION_ROWS // len(X)))
    if model.is_exchangeable:
        n_alternations = min(n_alternations, _RELAXED_ALTERNATIONS)
    n_screened = max(1, n_alternations // 2)
    firsts = np.concatenate([screened.labels[:n_screened], starts])[
        : 2 if given else n_alternations
    ]
    runs = []
    for first in firsts:
        first = _spread(frame.coordinates, rows, first, n_clusters, model)
        runs.append(alternate(frame.coordinates, first, n_clusters, model, program, rng, callback))
    best = min(runs, key=lambda run: (len(np.unique(run.labels)) < n_clusters, -run.objective))
    return _result(frame, model, n_clusters, best)


def _screening_rows(n_samples, n_clusters, rng):
    """Rows that starts are made and compared on, in increasing order."""
    size = max(_SCREENING_ROWS, _ROWS_PER_GROUP * n_clusters)
    if n_samples <= size:
        return np.arange(n_samples)
    return np.sort(rng.choice(n_samples, size, replace=False))


def _best_screened(X, starts, n_clusters, covariance_type, estimated_weights, covariances, rng):
    """Screen the starts under every model in question; the first model of equal ones.

    Partitions of simpler models are starts of the others, and those of all of them of the best.
    """
    # From few parameters to many: where rows are too few to compare, the simplest has to do.
    types = list(reversed(CovarianceType)) if covariance_type is None else [covariance_type]
    if covariances is not None:
        types = [CovarianceType.FULL]
        starts = permuted_labels(starts, n_clusters, rng)
    weights = [False, True] if estimated_weights is None else [estimated_weights]
    prior = CovariancePrior.weak(n_clusters, X.shape[1])
    models = [GroupModel(of_type, estimated, prior) for of_type in types for estimated in weights]
    screened = []
    for model in models:
        frame, model = _frame_and_model(X, model, covariances)
        known = [one.labels[:1] for one in screened]
        screened.append(screen(frame, np.concatenate([*known, starts]), n_clusters, model))
    best = min(screened, key=lambda one: one.criterion)
    if len(models) == 1:
        return best
    others = np.concatenate([one.labels[:_SHARED] for one in screened])
    again = screen(best.frame, others, n_clusters, best.model)
    return again if again.objective[0] > best.objective[0] else best


def _frame_and_model(X, model, covariances):
    """The frame of some rows, and the model in it."""
    frame = GaussianFrame.of(X, model.covariance_type)
    if covariances is None:
        return frame, model
    return frame, model._replace(covariances=frame.enter(covariances))


def _spread(X, rows, labels, n_clusters, model):
    """Label all rows by the groups that some of them form."""
    if len(rows) == len(X):
        return labels
    moments = group_moments(X[rows], indicators(labels[None], n_clusters), model.needed_moments)
    return model.log_joint(X, model.groups(moments))[0].argmax(axis=0).astype(np.int32)


def _result(frame, model, n_clusters, best):
    """Parameters of the best partition in the coordinates of the data."""
    X = frame.coordinates
    end = classification_em(X, best.labels[None], n_clusters, model, max_iter=_POLISHING_ITER)
    groups = frame.leave(end.groups, model.covariance_type)
    shift = len(X) * frame.log_determinant
    log_likelihood = float(end.log_likelihood[0]) - shift
    sizes = np.bincount(end.labels[0], minlength=n_clusters)
    return LikelihoodResult(
        end.labels[0],
        best.memberships,
        groups.means[0],
        groups.covariances[0],
        np.exp(groups.log_weights[0]),
        log_likelihood,
        float(end.objective[0]) - shift,
        corrected_aic(model, log_likelihood, sizes, X.shape[1]),
        model.covariance_type,
        model.estimated_weights,
        best.n_iter,
        best.converged,
        best.history - shift,
    )

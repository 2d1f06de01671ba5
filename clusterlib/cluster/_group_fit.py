"""The fit of LikelihoodAdjustedSDP: check, choose a space, solve, store."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from clusterlib.base import all_or_nothing, logger, progress_log
from clusterlib.cluster._principal_space import PrincipalAxes, PrincipalSpace
from clusterlib.cluster._starts import MAX_SEED
from clusterlib.solvers import (
    CovarianceType,
    LikelihoodResult,
    StartKind,
    Trace,
    aic_of_rest,
    candidate_dimensions,
    likelihood_sdp,
)
from clusterlib.validation import (
    CovarianceShape,
    CovarianceUpdate,
    GroupStart,
    GroupWeights,
    TraceRule,
    check_random_state,
    checked_choice,
    checked_covariances,
    checked_group_start,
    checked_integer,
    checked_matrix,
    checked_n_components,
    checked_n_samples,
    checked_real,
    checked_start_labels,
    checked_verbose,
)

__all__ = ["fit_groups"]

# What a choice is for the solver; None leaves it the choice.
_IS_ESTIMATED = {
    GroupWeights.AUTO: None,
    GroupWeights.EQUAL: False,
    GroupWeights.ESTIMATED: True,
}
# Mean square of the rows in units of known covariances: with less, nothing is left of the rows
# beside the determinants.
_LEAST_SPREAD = 1e-24
_UNLIKE_SCALES = (
    "covariances and the spread of the rows of X differ by too many orders of magnitude "
    "for float64: check the units of both"
)


class _Options:
    """Checked parameters of an estimator."""

    def __init__(self, estimator):
        self.n_clusters = checked_integer("n_clusters", estimator.n_clusters, 1)
        self.shape = checked_choice("covariance_type", estimator.covariance_type, CovarianceShape)
        self.start = checked_group_start(estimator.init)
        weights = checked_choice("weights", estimator.weights, GroupWeights)
        trace = checked_choice("trace", estimator.trace, TraceRule)
        update = checked_choice("update", estimator.update, CovarianceUpdate)
        is_named = self.start not in (GroupStart.AUTO, GroupStart.GIVEN)
        is_auto = self.shape is CovarianceShape.AUTO
        self.of_solver = {
            "covariance_type": None if is_auto else CovarianceType(self.shape.value),
            "estimated_weights": _IS_ESTIMATED[weights],
            "trace": Trace(trace.value),
            "lifted": update is CovarianceUpdate.LIFTED,
            "start": StartKind(self.start.value) if is_named else None,
            "n_init": checked_integer("n_init", estimator.n_init, 1),
            "rank": checked_integer("rank", estimator.rank, 1),
            "max_iter": checked_integer("max_iter", estimator.max_iter, 1),
            "tol": checked_real("tol", estimator.tol, 0, low_open=True),
        }
        self.verbose = checked_verbose(estimator.verbose)

    def meet(self, estimator, X):
        """Check what has to fit the data: numbers of rows and features, known arrays."""
        n_samples, n_features = X.shape
        n_clusters = self.n_clusters
        checked_n_samples(n_clusters, n_samples, None)
        self.covariances = self.labels = None
        is_known = estimator.covariances is not None
        if is_known:
            self.covariances = checked_covariances(
                estimator.covariances, self.shape, n_clusters, n_features
            )
            self.known_shape = self.shape
            if self.shape is CovarianceShape.AUTO:
                self.known_shape = CovarianceShape.FULL
            self.of_solver["covariance_type"] = CovarianceType.FULL
        wanted = checked_n_components(
            estimator.n_components, n_features, covariances_are_known=is_known
        )
        self.dimensions = (wanted,)
        if wanted is None:
            self.dimensions = candidate_dimensions(n_samples, n_features, n_clusters)
        if self.start is GroupStart.GIVEN:
            self.labels = checked_start_labels(estimator.init, n_clusters, n_samples)


def fit_groups(estimator, X):
    """Fit LikelihoodAdjustedSDP.

    Parameters
    ----------
    estimator : LikelihoodAdjustedSDP
        Gets the fitted attributes, all of them at the end.
    X : array-like or data frame of shape (n_samples, n_features)
        As the user gave it.
    """
    options = _Options(estimator)
    random_state = check_random_state(estimator.random_state)
    with all_or_nothing(estimator), progress_log(options.verbose):
        X = checked_matrix(estimator, X, reset=True)
        options.meet(estimator, X)
        axes = PrincipalAxes.of(X)
        seed = random_state.randint(MAX_SEED)
        dimensions = {min(dimension, len(axes.variances)) for dimension in options.dimensions}
        spaces = [axes.space(dimension) for dimension in sorted(dimensions)]
        if options.covariances is not None:
            _refuse_huge_covariances(options.covariances, axes)
            spaces = [axes.whole()]
        found = [_found(estimator, space, axes.unit, options, seed) for space in spaces]
        best = min(found, key=lambda one: one.criterion)
        _store(estimator, best, axes.mean, axes.unit)
        if options.covariances is not None:
            estimator.covariance_type_ = options.known_shape.value
            estimator.covariances_ = np.array(estimator.covariances, dtype=np.float64)
        estimator.labels_ = estimator._labels(X)
        sizes = np.bincount(estimator.labels_, minlength=options.n_clusters)
        estimator.cluster_sizes_ = sizes.astype(np.float64)
        estimator.n_parameters_ = _n_parameters(estimator, options.covariances is not None)


class _Found(NamedTuple):
    """Groups of one dimension, and what they are compared by; small is good."""

    space: PrincipalSpace
    result: LikelihoodResult
    criterion: float


def _found(estimator, space, unit, options, seed):
    coordinates = space.coordinates / unit
    n_samples, dimension = coordinates.shape
    known = options.covariances
    with _explained(known is not None):
        result = likelihood_sdp(
            coordinates,
            options.n_clusters,
            rng=np.random.default_rng(seed),
            covariances=None if known is None else known / unit**2,
            labels=options.labels,
            callback=_reporting(estimator, dimension) if options.verbose else None,
            **options.of_solver,
        )
    if known is None and options.labels is None:
        result = _in_order_of_appearance(result)
    criterion = result.corrected_aic
    if len(space.rest):
        criterion += aic_of_rest(space.rest / unit**2, dimension, n_samples)
    return _Found(space, result, criterion)


@contextmanager
def _explained(covariances_are_known):
    """Say why a factorisation failed: covariances that fit the rows by no order of magnitude."""
    try:
        yield
    except np.linalg.LinAlgError:
        if not covariances_are_known:
            raise
        raise ValueError(_UNLIKE_SCALES) from None


def _refuse_huge_covariances(covariances, axes):
    scatter = (axes.directions.T * (axes.variances / axes.unit**2)) @ axes.directions
    spreads = [np.trace(np.linalg.solve(one / axes.unit**2, scatter)) for one in covariances]
    if max(spreads) < _LEAST_SPREAD:
        raise ValueError(_UNLIKE_SCALES)


def _in_order_of_appearance(result):
    """Number the groups as the rows meet them: starts that end in one partition give one answer.

    Which of them is the best is up to rounding, and so to the units of X.
    """
    present, first = np.unique(result.labels, return_index=True)
    order = present[np.argsort(first)]
    absent = np.setdiff1d(np.arange(len(result.means)), present)
    order = np.concatenate([order, absent])
    covariances = result.covariances
    if result.covariance_type is not CovarianceType.TIED:
        covariances = covariances[order]
    return result._replace(
        labels=np.argsort(order)[result.labels].astype(np.int32),
        memberships=result.memberships[:, order],
        means=result.means[order],
        covariances=covariances,
        weights=result.weights[order],
    )


def _reporting(estimator, dimension):
    """A callback that logs every round of every start."""
    n_starts = 0

    def callback(n_iter, objective):
        nonlocal n_starts
        n_starts += n_iter == 1
        logger.info(
            "%s: %d dimensions, start %d, round %d: objective %.9g",
            type(estimator).__name__,
            dimension,
            n_starts,
            n_iter,
            objective,
        )

    return callback


def _store(estimator, found, mean, unit):
    """Write what the solver found, in units of X."""
    space, result, _ = found
    means = result.means * unit
    estimator.means_ = mean + (means if space.axes is None else means @ space.axes)
    estimator.covariances_ = result.covariances * unit**2
    estimator.weights_ = result.weights
    estimator.memberships_ = result.memberships
    is_reduced = space.axes is not None
    estimator.components_ = space.axes
    estimator.mean_ = mean if is_reduced else None
    estimator.noise_variance_ = space.noise_variance if is_reduced else None
    shift = means.shape[1] * len(result.labels) * np.log(unit)
    estimator.log_likelihood_ = float(result.log_likelihood - shift)
    estimator.map_objective_ = float(result.map_objective - shift)
    estimator.objective_history_ = result.objective_history - shift
    estimator.n_iter_ = result.n_iter
    estimator.converged_ = result.converged
    estimator.covariance_type_ = result.covariance_type.value
    weights = GroupWeights.ESTIMATED if result.estimated_weights else GroupWeights.EQUAL
    estimator.weights_mode_ = weights.value


def _n_parameters(estimator, covariances_are_known):
    """Numbers that were estimated: means, covariances, weights, and the space of the groups."""
    n_clusters, n_features = estimator.means_.shape
    axes = estimator.components_
    q = n_features if axes is None else len(axes)
    n_parameters = n_clusters * q
    if not covariances_are_known:
        n_parameters += {
            CovarianceShape.FULL: n_clusters * q * (q + 1) // 2,
            CovarianceShape.TIED: q * (q + 1) // 2,
            CovarianceShape.DIAG: n_clusters * q,
            CovarianceShape.SPHERICAL: n_clusters,
        }[CovarianceShape(estimator.covariance_type_)]
    if GroupWeights(estimator.weights_mode_) is GroupWeights.ESTIMATED:
        n_parameters += n_clusters - 1
    if axes is not None:
        # A subspace, where it lies, and the variance of what is outside.
        n_parameters += q * (n_features - q) + (n_features - q)
        n_parameters += estimator.noise_variance_ > 0
    return int(n_parameters)

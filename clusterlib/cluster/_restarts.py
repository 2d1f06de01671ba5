"""The fit of the estimators that run Lloyd's iteration from several starts."""

import numpy as np

from clusterlib.base import FitReport, progress_log
from clusterlib.blocks import as_blocks
from clusterlib.cluster._starts import MAX_SEED, Starts
from clusterlib.solvers import RowDraws, lloyd, row_norms, scatter
from clusterlib.validation import (
    check_random_state,
    checked_integer,
    checked_matrix,
    checked_n_samples,
    checked_real,
    checked_sample_weight,
    checked_verbose,
)

__all__ = ["fit_lloyd", "weights_of_directions"]


def fit_lloyd(estimator, X, sample_weight, *, spherical):
    """Fit KMeans or SphericalKMeans: check, seed, iterate, keep the best.

    Parameters
    ----------
    estimator : KMeans or SphericalKMeans
        Gets the fitted attributes.
    X : array-like or data frame of shape (n_samples, n_features)
        As the user gave it.
    sample_weight : None, float or array-like of shape (n_samples,)
        As the user gave it.
    spherical : bool
        Which geometry.
    """
    starts = Starts.of(estimator, default_n_init=10)
    max_iter = checked_integer("max_iter", estimator.max_iter, 1)
    tol = checked_real("tol", estimator.tol, 0)
    verbose = checked_verbose(estimator.verbose)
    random_state = check_random_state(estimator.random_state)
    X = checked_matrix(estimator, X, reset=True)
    weight = checked_sample_weight(sample_weight, len(X), beside=X)
    checked_n_samples(starts.n_clusters, len(X), weight)
    seeds = random_state.randint(MAX_SEED, size=starts.n_init)

    blocks = as_blocks(X)
    directed = weights_of_directions(blocks, weight) if spherical else weight
    draws = RowDraws(blocks, directed) if starts.draws_rows else None
    if tol > 0:
        tol *= scatter(blocks, sample_weight=weight, spherical=spherical)
    best = None
    with progress_log(verbose):
        report = FitReport(estimator, X, weight, starts.n_init)
        for seed in seeds:
            centers = starts.centers(
                X if draws is None else blocks, draws, seed, spherical=spherical
            )
            report.begin_start(max_iter)
            result = lloyd(
                blocks,
                centers,
                sample_weight=weight,
                max_iter=max_iter,
                tol=tol,
                spherical=spherical,
                callback=_reporting(report, blocks),
            )
            # Starts that end in the same clusters have the same bits: the first one is kept.
            if best is None or result.inertia < best.inertia:
                best = result
            if report.end_start(lambda best=best: {"cluster_centers_": blocks.like(best.centers)}):
                break
        _store(estimator, best, blocks, weight)
        report.end(lambda: {"cluster_centers_": blocks.like(best.centers)})


def weights_of_directions(blocks, weight):
    """Weights without rows of zeros, which are no directions to draw."""
    has_direction = row_norms(blocks) > 0
    directed = has_direction.astype(np.float64) if weight is None else weight * has_direction
    if not directed.any():
        raise ValueError(
            "X has no row with a direction: every row (with a weight above zero) is zero, and "
            "spherical k-means compares directions"
        )
    return directed


def _reporting(report, blocks):
    def callback(centers, history):
        message = f"squared moves of the centres {history[-1]:.6g}"
        return report.end_iteration(message, lambda: {"cluster_centers_": blocks.like(centers)})

    return callback


def _store(estimator, result, blocks, weight):
    estimator.cluster_centers_ = blocks.like(result.centers)
    estimator.labels_ = blocks.like(result.labels)
    estimator.inertia_ = result.inertia
    estimator.n_iter_ = result.n_iter
    estimator.converged_ = result.converged
    estimator.history_ = result.history
    estimator.n_relocated_ = result.n_relocated
    labels = blocks.to_host(result.labels)
    sizes = np.bincount(labels, weights=weight, minlength=len(result.centers))
    estimator.cluster_sizes_ = blocks.like(sizes.astype(np.float64))

"""The published procedure for many rows: by passes over them, without an array of their domains."""

from functools import partial

import numpy as np

from clusterlib.blocks import Blocks, as_blocks, mapped
from clusterlib.label_shift._class_fit import ClassFit
from clusterlib.label_shift._ddfa import (
    PROJECTIONS,
    best_clustering,
    class_factors,
    number_of_clusters,
)
from clusterlib.label_shift._pooled import FrozenDomains, ProjectedClasses
from clusterlib.solvers import domain_logistic, row_classes, sampled_rows
from clusterlib.solvers.row_classes import cluster_domain_counts
from clusterlib.validation import Discriminator

__all__ = ["fit_carried_ddfa"]

# Strength of the penalty, as where rows are few.
_C = 0.05
# Rows whose domain probabilities are clustered: so many for each cluster, between these.
_ROWS_PER_CLUSTER, _FEWEST_ROWS, _MOST_ROWS = 1000, 10_000, 100_000


def fit_carried_ddfa(rows, found, n_classes, options, rng, callback=None):
    """Find classes by the published procedure in passes over the rows.

    Parameters
    ----------
    rows : DomainRows
        The rows, an array or a carrier.
    found : None
        Nothing is known of the domains of the rows before.
    n_classes : int
        Number of classes.
    options : object
        Has ``discriminator``, ``given_discriminator``, ``n_folds``, ``domains`` and what
        :func:`class_factors` asks for.
    rng : numpy.random.Generator
        Deals folds, draws a sample and centres, and seeds the factorisation.
    callback : None or callable, default=None
        ``callback(0, n_iter, log_likelihood)`` at the end.

    Returns
    -------
    fit : ClassFit
        With ``posteriors`` for an array only, and without ``pooled``.
    """
    blocks = as_blocks(rows.X)
    n_clusters = number_of_clusters(options, n_classes, blocks.n_samples)
    discriminator, f = _discriminated(blocks, rows, options, rng)
    size = min(max(_ROWS_PER_CLUSTER * n_clusters, _FEWEST_ROWS), _MOST_ROWS)
    sample = f.take(sampled_rows(blocks.n_samples, size, rng))
    centers = best_clustering(sample, n_clusters, options.n_starts, rng).centers
    counts = cluster_domain_counts(f, centers, rows.codes, rows.n_domains)
    D, marginals, n_iter, converged = class_factors(counts, n_classes, options, rng)
    project = PROJECTIONS[options.adjust]
    pooled = mapped(f, partial(project, domain_given_class=D), n_classes, np.float64)
    in_memory = not isinstance(rows.X, Blocks)
    classes = row_classes(pooled, D, rows.codes, keep_posteriors=in_memory)
    log_likelihood = classes.log_likelihood
    if callback is not None:
        callback(0, n_iter, log_likelihood)
    return ClassFit(
        ProjectedClasses(discriminator, D, project),
        None,
        classes.posteriors,
        D,
        marginals,
        log_likelihood,
        n_iter,
        converged,
        np.array([log_likelihood]),
        1.0,
        None,
        np.array([log_likelihood]),
        classes._replace(posteriors=None),
    )


def _discriminated(blocks, rows, options, rng):
    """What tells domains of new rows, and a carrier of what is said of those of the rows."""
    if options.discriminator is Discriminator.GIVEN:
        frozen = FrozenDomains.of(options.given_discriminator, options.domains)
        read = partial(_by_classifier, classifier=frozen)
        return frozen, mapped(blocks, read, rows.n_domains, np.float64)
    folds = None
    if options.n_folds:
        # A draw for each row: folds are even enough where rows are many, and take a byte.
        kind = np.int8 if options.n_folds < 128 else np.int32
        folds = rng.integers(0, options.n_folds, blocks.n_samples, dtype=kind)
    model = domain_logistic(
        blocks, rows.codes, rows.n_domains, C=_C, folds=folds, n_folds=options.n_folds
    )
    return model.of_all(), model.carried(blocks, folds)


def _by_classifier(rows, *, classifier):
    return classifier.probabilities(rows)

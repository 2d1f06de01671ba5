"""Many rows: the tempered method on micro-clusters."""

from typing import NamedTuple

import numpy as np

from clusterlib.blocks import Blocks
from clusterlib.label_shift._class_fit import ClassFit
from clusterlib.solvers import pooled_posteriors, scaled_label_shift
from clusterlib.validation import checked_integer

__all__ = ["ModelClasses", "fit_scaled"]


class ModelClasses(NamedTuple):
    """Classes from the model that took the place of the micro-clusters."""

    model: NamedTuple
    dtype: np.dtype

    def probabilities(self, X):
        found = pooled_posteriors(X.astype(self.dtype, copy=False), self.model)
        return found.astype(np.float64, copy=False)


def fit_scaled(rows, found, n_classes, options, rng, callback=None):
    """Find classes by tempered EM on a table of micro-clusters and domains.

    Parameters
    ----------
    rows : DomainRows
        The rows.
    found : None
        Nothing tells domains apart but the table.
    n_classes : int
        Number of classes.
    options : object
        Has ``n_micro``, ``tau``, ``beta``, ``n_starts``, ``max_iter`` and ``tol``.
    rng : numpy.random.Generator
        Source of randomness.
    callback : None or callable, default=None
        ``callback(stage, iteration, log_likelihood)``; True ends that stage.

    Returns
    -------
    fit : ClassFit
    """
    if options.n_micro is not None:
        checked_integer(
            "n_micro_clusters", options.n_micro, n_classes, rows.X.shape[0], high_name="n_samples"
        )
    result = scaled_label_shift(
        rows.X,
        rows.codes,
        rows.n_domains,
        n_classes,
        rng=rng,
        n_micro=options.n_micro,
        tau=options.tau,
        beta=options.beta,
        n_starts=options.n_starts,
        max_iter=options.max_iter,
        tol=options.tol,
        keep_posteriors=not isinstance(rows.X, Blocks),
        callback=callback,
    )
    return ClassFit(
        ModelClasses(result.model, rows.X.dtype),
        result.pooled,
        result.posteriors,
        result.domain_given_class,
        result.marginals,
        result.log_likelihood,
        result.n_iter,
        result.converged,
        result.start_log_likelihoods,
        result.start_agreement,
        None,
        result.history,
        result.rows,
    )

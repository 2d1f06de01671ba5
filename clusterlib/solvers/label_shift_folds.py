"""Domains of rows that were left out: how well classes predict what they have not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.solvers.domain_folds import blended_log_likelihoods
from clusterlib.solvers.label_shift import tempered_label_shift
from clusterlib.solvers.tempered_em import posteriors_of_neighbors

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.solvers.domain_folds import DomainFold
    from clusterlib.typing import Float64Array, Int32Array

__all__ = ["left_out_log_likelihoods"]


def left_out_log_likelihoods(
    folds: list[DomainFold],
    domains: Int32Array,
    n_domains: int,
    n_classes: int,
    *,
    rng: np.random.Generator,
    **options: Any,
) -> Float64Array:
    """Log-likelihoods of the domains of rows by classes that were found without them.

    Parameters
    ----------
    folds : list of DomainFold
        Of :func:`domain_folds`.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    n_domains, n_classes : int
        How many there are.
    rng : numpy.random.Generator
        Source of randomness of the starts.
    **options
        Of :func:`tempered_label_shift`.

    Returns
    -------
    log_likelihoods : ndarray of shape (n_left_out,), float64
        log q(domain | row) in nats, of the rows that some fold leaves out, fold by fold.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_folds, left_out_log_likelihoods
    >>> neighbors = np.array([[1, 2], [0, 2], [3, 1], [2, 1]], dtype=np.int32)
    >>> domains = np.array([0, 0, 1, 1], dtype=np.int32)
    >>> rng = np.random.default_rng(0)
    >>> folds = domain_folds(neighbors, domains, 2, 2, rng=rng, n_averaged=1)
    >>> left_out_log_likelihoods(folds, domains, 2, 1, rng=rng).round(3)
    array([-0.693, -0.693, -0.693, -0.693])
    """
    own, mean = [], []
    for fold in folds:
        known, asked = domains[fold.kept], domains[fold.left_out]
        if n_classes == 1:
            columns = np.bincount(known, minlength=n_domains)[:, None] / len(known)
            pooled = np.ones((len(asked), 1))
        else:
            fit = tempered_label_shift(
                fold.f, fold.neighbors, known, n_domains, n_classes, rng=rng, **options
            )
            columns = fit.domain_given_class
            tau = options.get("tau", 2.0)
            pooled = posteriors_of_neighbors(fit.responsibilities, fold.left_out_neighbors, tau=tau)
        own.append(np.einsum("ik,ik->i", pooled, columns[asked]))
        mean.append(columns.mean(axis=1)[asked])
    return blended_log_likelihoods(np.concatenate(own), np.concatenate(mean))

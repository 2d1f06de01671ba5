"""Whether the classes of a fit are identified, and how far their shares may be wrong."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.label_shift._class_fit import DomainRows, counted_neighbors
from clusterlib.solvers import (
    RowClasses,
    cluster_domain_table,
    corrected_marginals,
    domain_counts,
    label_shift_report,
    marginal_intervals,
    nearest_other_rows,
    shift_strength,
    simulated_refits,
)

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array

__all__ = [
    "FittedRows",
    "IdentifiabilityWarning",
    "LabelMarginalIntervals",
    "intervals_of_marginals",
    "left_out_strength",
    "refits_of",
    "report_of",
    "table_of",
    "warn_if_not_identified",
]

# warn, the function here, fit of the estimator, its caller.
_STACKLEVEL = 3


class IdentifiabilityWarning(UserWarning):
    """The domains hardly tell the classes of a fit apart: they may mean nothing.

    Attributes
    ----------
    args : tuple of str
        The message, with the reasons that ``report_`` has.
    """


class LabelMarginalIntervals(NamedTuple):
    """Intervals of class shares; see :meth:`LatentLabelShift.label_marginals_interval`.

    Attributes
    ----------
    lower, upper : ndarray of shape (n_domains, n_classes), float64
        Ends of the intervals, from 0 to 1.
    corrected : ndarray of shape (n_domains, n_classes), float64
        Shares from which the mean error of the refits is taken off; rows sum to 1.
    """

    lower: Float64Array
    upper: Float64Array
    corrected: Float64Array


class FittedRows(NamedTuple):
    """The rows of a fit without copies, and what was found of them, for a look back.

    Attributes
    ----------
    rows : DomainRows
        The rows and their domains.
    pooled : ndarray of shape (n, k), float64, or RowClasses
        q(class | row) without the domain, or what is kept of it.
    posteriors : ndarray of shape (n, k), float64, or None
        q(class | row) with the domain.
    table : ndarray of shape (m, n_domains), float64
        Clusters by domains.
    start_agreement : float
        Of the fit.
    tempering : dict
        Exponents of the fit, and ``n_averaged`` neighbours.
    seed : int
        Of refits.
    """

    rows: DomainRows
    pooled: np.ndarray | RowClasses
    posteriors: np.ndarray | None
    table: np.ndarray
    start_agreement: float
    tempering: dict
    seed: int


def table_of(rows, found, fit, rng):
    """Clusters by domains: of what is said of the domains, or the classes where rows are many."""
    if found is not None:
        return cluster_domain_table(found.f, rows.codes, rows.n_domains, rng)
    labels = fit.posteriors.argmax(axis=1) if fit.rows is None else fit.rows.labels
    return domain_counts(labels, rows.codes, fit.marginals.shape[1], rows.n_domains)


def report_of(fitted, domain_given_class, marginals, *, strength=None, refits=None):
    """The report on fitted rows, with refits or without."""
    return label_shift_report(
        fitted.pooled,
        domain_given_class,
        marginals,
        fitted.rows.codes,
        fitted.table,
        start_agreement=fitted.start_agreement,
        strength=strength,
        refits=refits,
    )


def left_out_strength(fitted, found, options):
    """Strength of the shift by rows that are left out of further fits."""
    return shift_strength(
        found.neighbors,
        fitted.rows.codes,
        fitted.rows.n_domains,
        fitted.posteriors.shape[1],
        rng=np.random.default_rng(fitted.seed),
        f=None if options.by_neighbors else found.f,
        **fitted.tempering,
    )


def refits_of(fitted, domain_given_class, n_refits):
    """Refits to data that are simulated from the fit; the same for the same number."""
    n_counted = counted_neighbors(len(fitted.rows.X))
    n_wanted = max(n_counted, fitted.tempering["n_averaged"])
    return simulated_refits(
        fitted.posteriors,
        domain_given_class,
        nearest_other_rows(fitted.rows.X, n_wanted),
        fitted.rows.codes,
        rng=np.random.default_rng(fitted.seed),
        n_refits=n_refits,
        **fitted.tempering,
    )


def intervals_of_marginals(fitted, marginals, refits, **options):
    """Intervals of the shares, and the shares without the mean error of the refits."""
    sizes = np.bincount(fitted.rows.codes, minlength=len(marginals))
    lower, upper = marginal_intervals(marginals, refits, sizes, **options)
    return LabelMarginalIntervals(lower, upper, corrected_marginals(marginals, refits))


def warn_if_not_identified(estimator):
    """Warn if the report of a fit has something against it, or no class was found but one."""
    reasons = estimator.report_.reasons
    if estimator.class_choice_ is not None and estimator.n_classes_ == 1:
        reasons = ("No number of classes predicts the domains better than 1: they hardly differ.",)
    if reasons:
        warnings.warn(
            "LatentLabelShift: the classes are hardly identified and may mean nothing. "
            + " ".join(reasons),
            IdentifiabilityWarning,
            stacklevel=_STACKLEVEL,
        )

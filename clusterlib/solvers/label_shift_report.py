"""Whether the domains of a fit tell its classes apart at all, judged without any label."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.domain_rank import class_margin, domain_rank
from clusterlib.solvers.label_shift_folds import left_out_log_likelihoods
from clusterlib.solvers.row_classes import RowClasses

if TYPE_CHECKING:
    from clusterlib.solvers.simulated_shift import SimulatedRefits
    from clusterlib.typing import CsrArray, Float64Array, Int32Array

__all__ = ["ShiftReport", "label_shift_report", "shift_strength"]

# Below these a fit is not identified. Made on half of the seeds of the study in
# docs/methods/ddfa_diagnostics.md and confirmed on the others.
_LEAST_STRENGTH = 0.036
_LEAST_FITTED_STRENGTH = 0.042
_LEAST_ACCURACY = 0.75
_LEAST_AGREEMENT = 0.7
# A class needs so many rows, or its share may be a trace of the others.
_LEAST_ROWS = 5.0


class ShiftReport(NamedTuple):
    """What speaks for the classes of a fit, and what against them.

    Attributes
    ----------
    identified : bool
        Whether nothing speaks against them.
    reasons : tuple of str
        What does, in sentences; empty if identified.
    shift_strength : float
        Nats that a row tells of its domain if it was left out of the fit, over (k - 1) / 2: at most
        about 1 / (1 + alpha) where the shares of the domains are Dirichlet of total concentration
        alpha, and 0 or less without shift.
    expected_accuracy : None or float
        Share of rows whose class refits to simulated data find; None without them.
    rank_classes : int
        Classes that the rank test counts; too few where data are few.
    class_margin : float
        Singular value that the last class needs, over the threshold of the noise.
    start_agreement : float
        Smallest share of rows that a finished start puts into the matching class.
    condition_number : float
        Of the marginals.
    smallest_share : float
        Of a class among all rows.
    mean_entropy : float
        Of q(class | row), in nats.
    domain_accuracy : float
        What the largest class of each domain would get right, if the marginals are.
    label_floor : float
        Mean error that the marginals would have if every label were known.
    """

    identified: bool
    reasons: tuple[str, ...]
    shift_strength: float
    expected_accuracy: float | None
    rank_classes: int
    class_margin: float
    start_agreement: float
    condition_number: float
    smallest_share: float
    mean_entropy: float
    domain_accuracy: float
    label_floor: float


def label_shift_report(
    pooled: Float64Array | RowClasses,
    domain_given_class: Float64Array,
    marginals: Float64Array,
    domains: Int32Array,
    table: Float64Array,
    *,
    start_agreement: float = 1.0,
    strength: float | None = None,
    refits: SimulatedRefits | None = None,
) -> ShiftReport:
    """Judge whether the classes of a fit are identified by the domains.

    Parameters
    ----------
    pooled : ndarray of shape (n, k), float64, or RowClasses
        q(class | row) of the fit, from other rows; rows sum to 1. Or what is kept of them where
        rows are many.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class); columns sum to 1.
    marginals : ndarray of shape (r, k), float64
        Shares of the classes in each domain; rows sum to 1.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    table : ndarray of shape (m, r), float64
        Clusters by domains, of :func:`cluster_domain_table`.
    start_agreement : float, default=1.0
        Of the fit.
    strength : None or float, default=None
        Of :func:`shift_strength`. None takes the likelihood of the fitted rows less (r - 1) / n for
        each class, which is too high where rows have few features: a row tells its domain to its
        neighbours, and these tell it back.
    refits : None or SimulatedRefits, default=None
        Of the fit; without them the accuracy is not judged.

    Returns
    -------
    report : ShiftReport
        Named tuple: ``identified``, ``reasons`` and what they were read from.

    Notes
    -----
    The verdict rests on the strength of the shift, the accuracy of refits to simulated data, the
    agreement of starts and the size of the smallest class. Other measures are for the reader: the
    margin of the rank test is below 1 in many fits that are good.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_counts, label_shift_report
    >>> classes = np.repeat([0, 1], 100)
    >>> domains = np.tile(np.arange(4, dtype=np.int32), 50)
    >>> pooled, D = np.eye(2)[classes], np.full((4, 2), 0.25)
    >>> table = domain_counts(classes, domains, 2, 4)
    >>> report = label_shift_report(pooled, D, np.full((4, 2), 0.5), domains, table, strength=0.0)
    >>> report.identified, report.reasons[0][:55]
    (False, 'The shares of the classes hardly differ between domains')
    """
    r, k = domain_given_class.shape
    rows = np.bincount(domains, minlength=r)
    shares = rows / len(domains)
    rank = domain_rank(table)
    least_strength = _LEAST_STRENGTH
    if strength is None:
        least_strength = _LEAST_FITTED_STRENGTH
        strength = _fitted_strength(pooled, domain_given_class, domains, shares)
    if isinstance(pooled, RowClasses):
        entropies = pooled.entropies
    else:
        entropies = -np.sum(pooled * np.log(np.maximum(pooled, 1e-300)), axis=1)
    measures = {
        "shift_strength": float(strength),
        "expected_accuracy": None if refits is None else float(refits.accuracies.mean()),
        "rank_classes": rank.n_classes,
        "class_margin": class_margin(rank, k),
        "start_agreement": float(start_agreement),
        "condition_number": float(np.linalg.cond(marginals)),
        "smallest_share": float((shares @ marginals).min()),
        "mean_entropy": float(entropies.mean()),
        "domain_accuracy": float(shares @ marginals.max(axis=1)),
        "label_floor": float(_label_floor(marginals, rows)),
    }
    reasons = _reasons(measures, least_strength, k, len(domains))
    return ShiftReport(not reasons, reasons, **measures)


def shift_strength(
    neighbors: Int32Array,
    domains: Int32Array,
    n_domains: int,
    n_classes: int,
    *,
    rng: np.random.Generator,
    f: CsrArray | None = None,
    n_averaged: int = 10,
    n_folds: int = 4,
    n_starts: int = 3,
    tau: float = 2.0,
    beta: float = 3.0,
    max_iter: int = 40,
    tol: float = 1e-3,
) -> float:
    """Measure what rows that were left out of the fit tell of their domains.

    Parameters
    ----------
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows of each row, the nearest first: 30 or more, of which a part is left out.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    n_domains, n_classes : int
        How many there are.
    rng : numpy.random.Generator
        Source of randomness of folds and starts.
    f : None or csr_array of shape (n, n_domains), default=None
        Estimates of q(domain | row) from elsewhere; None counts the domains of the neighbours.
    n_averaged : int, default=10
        Neighbours that classes are averaged over.
    n_folds : int, default=4
        Parts that are left out in turn.
    n_starts : int, default=3
        Starts of each fit.
    tau, beta : float, default=2.0 and 3.0
        As in :func:`choose_n_classes`.
    max_iter : int, default=40
        Most iterations of a start.
    tol : float, default=1e-3
        As in :func:`choose_n_classes`.

    Returns
    -------
    strength : float
        Mean log q(domain | row) less that of one class, in nats, over (k - 1) / 2; 0 where no row
        can be left out, as no domain has a second one.

    Notes
    -----
    Small shifts of the shares that lie in all directions alike, of relative variance v, tell
    (k - 1) v / 2 nats [1]_, and v is 1 / (1 + alpha) for Dirichlet shares of total concentration
    alpha. Classes that are found badly tell less; without shift the strength is 0 or below. The
    time is that of ``n_folds * n_starts`` starts.

    References
    ----------
    .. [1] T. M. Cover and J. A. Thomas, "Elements of information theory", 2nd ed., Wiley 2006,
       chapter 11: relative entropy is half the chi-square distance where shares are close.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nearest_other_rows, shift_strength
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 400)
    >>> X = 8.0 * classes[:, None] + rng.normal(size=(400, 2))
    >>> near = nearest_other_rows(X, 30)
    >>> shifted = (rng.random(400) < np.where(classes == 0, 0.8, 0.3)).astype(np.int32)
    >>> alike = rng.integers(0, 2, 400).astype(np.int32)
    >>> shift_strength(near, shifted, 2, 2, rng=rng) > 0.2
    True
    >>> shift_strength(near, alike, 2, 2, rng=rng) < 0.02
    True
    """
    if n_classes == 1:
        return 0.0
    folds = domain_folds(
        neighbors, domains, n_domains, n_folds, rng=rng, f=f, n_averaged=n_averaged
    )
    if not any(len(fold.left_out) for fold in folds):
        return 0.0
    options = {"tau": tau, "beta": beta, "n_starts": n_starts, "max_iter": max_iter, "tol": tol}
    known, chance = (
        left_out_log_likelihoods(folds, domains, n_domains, k, rng=rng, **options).mean()
        for k in (n_classes, 1)
    )
    return float(2 * (known - chance) / (n_classes - 1))


def _fitted_strength(pooled, domain_given_class, domains, shares):
    """The strength by the rows that were fitted, less what fitting gains."""
    r, k = domain_given_class.shape
    if k == 1:
        return 0.0
    if isinstance(pooled, RowClasses):
        own = pooled.likelihoods
    else:
        own = np.einsum("ik,ik->i", pooled, domain_given_class[domains])
    known = blended_log_likelihoods(own, domain_given_class.mean(axis=1)[domains]).mean()
    gain = known - np.log(shares)[domains].mean() - (k - 1) * (r - 1) / len(domains)
    return 2 * gain / (k - 1)


def _label_floor(marginals, rows):
    """Mean absolute error of the frequencies of labels, by the normal approximation."""
    return np.sqrt(2 / np.pi * marginals * (1 - marginals) / rows[:, None]).mean()


def _reasons(measures, least_strength, n_classes, n_rows):
    """What speaks against the fit, the gravest first."""
    reasons = []
    if n_classes > 1 and measures["shift_strength"] < least_strength:
        reasons.append(
            f"The shares of the classes hardly differ between domains: shift strength "
            f"{measures['shift_strength']:.3f}, at least {least_strength} is needed."
        )
    accuracy = measures["expected_accuracy"]
    if accuracy is not None and accuracy < _LEAST_ACCURACY:
        reasons.append(
            f"Refits to data simulated from the fit find {accuracy:.0%} of the classes again; "
            f"{_LEAST_ACCURACY:.0%} are needed."
        )
    if measures["start_agreement"] < _LEAST_AGREEMENT:
        reasons.append(
            f"The best starts disagree: they share {measures['start_agreement']:.0%} of the "
            f"labels; {_LEAST_AGREEMENT:.0%} are needed."
        )
    if measures["smallest_share"] * n_rows < _LEAST_ROWS:
        reasons.append(
            f"The smallest class has {measures['smallest_share'] * n_rows:.1f} rows; "
            f"{_LEAST_ROWS:g} are needed. There may be fewer than {n_classes} classes."
        )
    return tuple(reasons)

"""Whether the domains of a fit tell its classes apart at all, judged without any label."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.domain_rank import class_margin, domain_rank
from clusterlib.solvers.label_shift_choice import expected_log_likelihood

__all__ = ["ShiftReport", "label_shift_report"]

# Below these a fit is not identified. Made on half of the seeds of the study in
# docs/methods/ddfa_diagnostics.md and confirmed on the others.
_LEAST_STRENGTH = 0.045
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
        Nats that a row tells of its domain, less what fitting gains, over (k - 1) / 2: about
        1 / (1 + alpha) where the shares of the domains are Dirichlet of total concentration alpha.
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
    reasons: tuple
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
    pooled, domain_given_class, marginals, domains, table, *, start_agreement=1.0, refits=None
):
    """Judge whether classes are identified by their domains.

    Parameters
    ----------
    pooled : ndarray of shape (n, k), float64
        q(class | row) of the fit, from other rows; rows sum to 1.
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
    refits : None or SimulatedRefits, default=None
        Of the fit; without them the accuracy is not judged.

    Returns
    -------
    report : ShiftReport
    """
    r, k = domain_given_class.shape
    rows = np.bincount(domains, minlength=r)
    shares = rows / len(domains)
    rank = domain_rank(table)
    accuracy = None if refits is None else float(refits.accuracies.mean())
    smallest = float((shares @ marginals).min())
    measures = {
        "shift_strength": _strength(pooled, domain_given_class, domains, shares),
        "expected_accuracy": accuracy,
        "rank_classes": rank.n_classes,
        "class_margin": class_margin(rank, k),
        "start_agreement": float(start_agreement),
        "condition_number": float(np.linalg.cond(marginals)),
        "smallest_share": smallest,
        "mean_entropy": float(-np.sum(pooled * np.log(np.maximum(pooled, 1e-300))) / len(pooled)),
        "domain_accuracy": float(shares @ marginals.max(axis=1)),
        "label_floor": float(_label_floor(marginals, rows)),
    }
    reasons = _reasons(measures, k, len(domains))
    return ShiftReport(not reasons, reasons, **measures)


def _strength(pooled, domain_given_class, domains, shares):
    """Information of a row on its domain, for each direction that k classes need."""
    k = domain_given_class.shape[1]
    if k == 1:
        return 0.0
    known = expected_log_likelihood(pooled, domain_given_class, domains)
    chance = np.log(shares)[domains].mean() - (len(shares) - 1) / len(domains)
    return float(2 * (known - chance) / (k - 1))


def _label_floor(marginals, rows):
    """Mean absolute error of the frequencies of labels, by the normal approximation."""
    return np.sqrt(2 / np.pi * marginals * (1 - marginals) / rows[:, None]).mean()


def _reasons(measures, n_classes, n_rows):
    """What speaks against the fit, the gravest first."""
    reasons = []
    if n_classes > 1 and measures["shift_strength"] < _LEAST_STRENGTH:
        reasons.append(
            f"The shares of the classes hardly differ between domains: shift strength "
            f"{measures['shift_strength']:.3f}, at least {_LEAST_STRENGTH} is needed."
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

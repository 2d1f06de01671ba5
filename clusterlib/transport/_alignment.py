"""What OTPrototypeClassifier does with checked arrays: means, alignment, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from clusterlib.solvers import align_prototypes, align_prototypes_adaptively
from clusterlib.solvers.episode_costs import EpisodeCosts
from clusterlib.validation import (
    CostScale,
    Marginals,
    Mix,
    Normalization,
    PrototypeRule,
    checked_choice,
    checked_cost_scale,
    checked_integer,
    checked_marginals,
    checked_mix,
    checked_n_passes,
    checked_normalization,
    checked_real,
)

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray

__all__ = ["AlignedPrototypes", "aligned", "class_means", "class_scores", "prototype_settings"]

_ADAPTIVE_PASSES = 6
# The published procedure: passes for one labelled row of each class and for more, and how much of
# a prototype comes from the queries.
_SINGLE_PASSES, _SINGLE_MIX = 5, 1.0
_SEVERAL_PASSES, _SEVERAL_MIX = 1, 0.7


class AlignedPrototypes(NamedTuple):
    """Prototypes before and after they were moved to a batch of queries.

    Attributes
    ----------
    queries : ndarray of shape (n_queries, n_features)
        The batch as it was normalised (float32 or float64).
    prototypes_before, prototypes_after : ndarray of shape (n_classes, n_features)
        Class means and where they were moved, in the same dtype.
    plan : ndarray of shape (n_classes, n_queries)
        Mass between classes and queries in the last pass, in the same dtype; sums to 1.
    class_masses : ndarray of shape (n_classes,), float64
        Shares of the queries that the classes were given.
    is_balanced : bool
        False if those shares were estimated.
    evidence : float
        By how much estimated shares lower the objective, in nats; 0 if marginals are given.
    n_iter : int
        Sweeps over the costs in all passes.
    converged : bool
        Whether the solver met its tolerance in every pass.
    """

    queries: FloatArray
    prototypes_before: Array
    prototypes_after: Array
    plan: Array
    class_masses: Float64Array
    is_balanced: bool
    evidence: float
    n_iter: int
    converged: bool


class Settings(NamedTuple):
    """The parameters of an OTPrototypeClassifier, checked."""

    epsilon: float
    marginals: Marginals
    shares: np.ndarray | None
    n_passes: int | None
    mix: Mix
    share: float | None
    support_weight: float
    marginal_penalty: float
    normalization: Normalization
    power: float | None
    cost_scale: str | float
    rule: PrototypeRule
    max_sweeps: int
    tol: float


def prototype_settings(estimator, n_classes, n_features):
    """Check the parameters of an OTPrototypeClassifier for data of this shape."""
    marginals, shares = checked_marginals(estimator.marginals, n_classes)
    mix, share = checked_mix(estimator.mix)
    scale = checked_cost_scale(estimator.cost_scale)
    power = estimator.power
    return Settings(
        epsilon=checked_real("epsilon", estimator.epsilon, 0, low_open=True),
        marginals=marginals,
        shares=np.full(n_classes, 1 / n_classes) if shares is None else shares,
        n_passes=checked_n_passes(estimator.n_passes),
        mix=mix,
        share=share,
        support_weight=checked_real("support_weight", estimator.support_weight, 0, low_open=True),
        marginal_penalty=checked_real(
            "marginal_penalty", estimator.marginal_penalty, 0, infinite=True
        ),
        normalization=checked_normalization(estimator.normalize, n_features),
        power=None if power is None else checked_real("power", power, 0, low_open=True),
        cost_scale=scale.value if isinstance(scale, CostScale) else scale,
        rule=checked_choice("classifier", estimator.classifier, PrototypeRule),
        max_sweeps=checked_integer("max_sweeps", estimator.max_sweeps, 1),
        tol=checked_real("tol", estimator.tol, 0),
    )


def class_means(rows, codes, n_classes):
    """Mean of the rows of each class, summed in float64, and how many there are.

    ``rows`` are (E, n_support, n_features), ``codes`` (E, n_support); each class has a row.
    """
    members = (codes[:, None, :] == np.arange(n_classes)[:, None]).astype(np.float64)
    counts = members.sum(axis=2)
    means = np.matmul(members / counts[:, :, None], rows.astype(np.float64, copy=False))
    return means.astype(rows.dtype, copy=False), counts.astype(np.int64)


def aligned(prototypes, counts, queries, settings):
    """Move the prototypes (E, n_classes, n_features) of E episodes to their queries."""
    is_adaptive = settings.marginals is Marginals.ADAPTIVE
    keywords = {
        "mix": _mix(settings, counts, is_adaptive),
        "n_passes": settings.n_passes or _auto_passes(counts, is_adaptive),
        "cost_scale": settings.cost_scale,
        "max_iter": settings.max_sweeps,
        "tol": settings.tol,
    }
    mass = settings.support_weight * counts
    if is_adaptive:
        return align_prototypes_adaptively(
            prototypes,
            queries,
            settings.epsilon,
            mass,
            marginal_penalty=settings.marginal_penalty,
            **keywords,
        )
    return align_prototypes(
        prototypes,
        queries,
        settings.epsilon,
        class_masses=settings.shares,
        support_mass=mass,
        **keywords,
    )


def _mix(settings, counts, is_adaptive):
    if settings.mix is Mix.FIXED:
        return settings.share
    if settings.mix is Mix.MASS or is_adaptive:
        return None
    return np.where(counts == 1, _SINGLE_MIX, _SEVERAL_MIX)


def _auto_passes(counts, is_adaptive):
    if is_adaptive:
        return _ADAPTIVE_PASSES
    return _SINGLE_PASSES if (counts == 1).all() else _SEVERAL_PASSES


def class_scores(prototypes, queries, settings):
    """Logarithms of class probabilities up to a constant, (E, n_queries, n_classes)."""
    if settings.rule is PrototypeRule.LOGISTIC and prototypes.shape[1] > 1:
        return np.array([_logistic(*pair) for pair in zip(prototypes, queries, strict=True)])
    costs = EpisodeCosts(queries, settings.epsilon, settings.cost_scale).of(prototypes)
    return (costs.transpose(0, 2, 1) / -settings.epsilon).astype(queries.dtype, copy=False)


def _logistic(prototypes, queries):
    model = LogisticRegression(max_iter=1000).fit(prototypes, np.arange(len(prototypes)))
    with np.errstate(divide="ignore"):  # probabilities of 0
        return model.predict_log_proba(queries)

"""Which model predicts the classes of a row: chosen by the domains of rows that were held out."""

from enum import Enum
from typing import NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_blocks
from clusterlib.kernels import LEAF_ROWS, pairwise_argmin
from clusterlib.solvers.class_mixture import class_mixture
from clusterlib.solvers.class_network import class_network
from clusterlib.solvers.frozen_em import frozen_em
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.micro_clusters import sampled_rows
from clusterlib.solvers.seeding import random_rows

__all__ = ["ClassModel", "ModelChoice", "MicroClasses", "chosen_model", "pooled_posteriors"]

# Rows on which the models are fitted and compared.
_SAMPLE_ROWS = 100_000
_SAMPLE_ROWS_PER_DOMAIN = 50
_HELD_OUT_PART = 0.2
# Gaussian components for each class, and at most.
_COMPONENTS_PER_CLASS = 10
_MOST_COMPONENTS = 256
_KMEANS_ITERATIONS = 20


class ClassModel(Enum):
    """What predicts the classes of a row.

    Attributes
    ----------
    MICRO
        The micro-cluster it is in: :class:`MicroClasses`.
    MIXTURE
        :class:`ClassMixture`.
    NETWORK
        :class:`ClassNetwork`.
    """

    MICRO = "micro"
    MIXTURE = "mixture"
    NETWORK = "network"


class MicroClasses(NamedTuple):
    """Class probabilities of the nearest micro-cluster.

    Attributes
    ----------
    centers : ndarray of shape (n_micro, p)
        The centres.
    classes : ndarray of shape (n_micro, k)
        q(class | micro-cluster).
    """

    centers: np.ndarray
    classes: np.ndarray

    def pooled(self, rows):
        """q(class | row), shape (len(rows), k)."""
        return self.classes[pairwise_argmin(rows, self.centers)]


class ModelChoice(NamedTuple):
    """What :func:`chosen_model` returns.

    Attributes
    ----------
    model : MicroClasses, ClassMixture or ClassNetwork
        The one with the highest held-out likelihood.
    name : ClassModel
        Which one it is.
    log_likelihoods : dict of ClassModel to float
        Mean log q(domain | row) of the rows that were held out, in nats.
    """

    model: NamedTuple
    name: ClassModel
    log_likelihoods: dict


def chosen_model(X, domains, micro, domain_given_class, sizes, rng, *, models, callback=None):
    """Fit models of q(class | row) that see more than the micro-cluster of a row, and choose.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p)
        The rows; those of a sample are read.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    micro : MicroClasses
        Classes of the micro-clusters: the first candidate, and what the others begin with.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class) that belongs to it.
    sizes : ndarray of shape (n_micro,)
        Rows of each micro-cluster.
    rng : numpy.random.Generator
        Source of randomness.
    models : sequence of ClassModel
        Which ones to try, besides MICRO.
    callback : None or callable, default=None
        ``callback(name, iteration, log_likelihood)`` while one is fitted; True ends that fit.

    Returns
    -------
    choice : ModelChoice

    Notes
    -----
    The sample has 100 000 rows, or 50 for each domain where that is more, of which a fifth is held
    out. Every model predicts its domains with shares q(domain | class) fitted to the other rows.
    """
    blocks = as_blocks(X)
    r = len(domain_given_class)
    size = max(_SAMPLE_ROWS, _SAMPLE_ROWS_PER_DOMAIN * r)
    sample = sampled_rows(blocks.n_samples, size, rng)
    rows, dealt = blocks.take(sample), domains[sample]
    held_out = np.zeros(len(rows), dtype=bool)
    held_out[sampled_rows(len(rows), max(1, round(_HELD_OUT_PART * len(rows))), rng)] = True
    X_fit, d_fit = rows[~held_out], dealt[~held_out]
    pooled = _in_chunks(micro, X_fit)
    targets = pooled * domain_given_class[d_fit].astype(pooled.dtype)
    targets /= targets.sum(axis=1, keepdims=True)
    candidates = {ClassModel.MICRO: micro}
    given = X_fit, d_fit, targets, domain_given_class
    if ClassModel.MIXTURE in models:
        centers = _component_centers(micro.centers, sizes, targets.shape[1], rng)
        report = _named(callback, ClassModel.MIXTURE)
        candidates[ClassModel.MIXTURE] = class_mixture(*given, centers, callback=report)
    if ClassModel.NETWORK in models:
        report = _named(callback, ClassModel.NETWORK)
        candidates[ClassModel.NETWORK] = class_network(*given, rng, callback=report)
    likelihoods = {}
    for name, model in candidates.items():
        D = frozen_em(_in_chunks(model, X_fit), domain_given_class, d_fit).domain_given_class
        sums = np.einsum("ik,ik->i", _in_chunks(model, rows[held_out]), D[dealt[held_out]])
        likelihoods[name] = float(np.log(sums).mean())
    name = max(likelihoods, key=likelihoods.get)
    return ModelChoice(candidates[name], name, likelihoods)


def pooled_posteriors(X, model):
    """Classes of rows whose domain is not known.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p)
        The rows, in the dtype of the model.
    model : MicroClasses, ClassMixture or ClassNetwork
        Of :func:`scaled_label_shift`.

    Returns
    -------
    pooled : ndarray of shape (n, k), dtype of X
        q(class | row); rows sum to 1. Each row depends on itself and its place among the leaves
        of 4096 rows, not on blocks.
    """
    return np.concatenate(map_blocks(lambda rows: _in_chunks(model, rows), as_blocks(X)))


def _in_chunks(model, rows):
    starts = range(0, len(rows), LEAF_ROWS)
    return np.concatenate([model.pooled(rows[start : start + LEAF_ROWS]) for start in starts])


def _component_centers(centers, sizes, n_classes, rng):
    """k-means of the micro-clusters: where components begin."""
    n_components = min(_COMPONENTS_PER_CLASS * n_classes, _MOST_COMPONENTS, len(centers))
    weights = sizes.astype(np.float64)
    start = random_rows(centers, n_components, rng, sample_weight=weights).centers
    return lloyd(centers, start, sample_weight=weights, max_iter=_KMEANS_ITERATIONS).centers


def _named(callback, name):
    if callback is None:
        return None
    return lambda iteration, log_likelihood: callback(name, iteration, log_likelihood)

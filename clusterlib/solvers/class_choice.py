"""Which model predicts the classes of a row: chosen by the domains of rows that were held out."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import LEAF_ROWS, pairwise_argmin
from clusterlib.solvers.class_mixture import class_mixture
from clusterlib.solvers.class_network import class_network
from clusterlib.solvers.frozen_em import frozen_em
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.micro_clusters import sampled_rows
from clusterlib.solvers.seeding import random_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self

    from clusterlib.solvers.class_mixture import ClassMixture
    from clusterlib.solvers.class_network import ClassNetwork
    from clusterlib.typing import Float64Array, FloatArray, Int32Array, IntArray, Rows

__all__ = ["ClassModel", "MicroClasses", "ModelChoice", "chosen_model", "pooled_posteriors"]

# Rows on which the models are fitted and compared.
_SAMPLE_ROWS = 100_000
_SAMPLE_ROWS_PER_DOMAIN = 50
_HELD_OUT_PART = 0.2
# Gaussian components for each class, and at most.
_COMPONENTS_PER_CLASS = 10
_MOST_COMPONENTS = 256
_KMEANS_ITERATIONS = 20
# Of the shares of the domains: models that are this near to each other are equally good.
_DOMAIN_ITERATIONS = 20
_DOMAIN_TOL = 1e-3


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
    centers : ndarray of shape (n_micro, p), dtype of X
        The centres.
    classes : ndarray of shape (n_micro, k), dtype of X
        q(class | micro-cluster).
    """

    centers: FloatArray
    classes: FloatArray

    def pooled(self, rows: FloatArray) -> FloatArray:
        """q(class | row), shape (len(rows), k)."""
        return self.classes[pairwise_argmin(rows, self.centers)]

    def reordered(self, order: IntArray) -> Self:
        """The same model with the classes in another order."""
        return self._replace(classes=np.ascontiguousarray(self.classes[:, order]))


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
    log_likelihoods: dict[ClassModel, float]


def chosen_model(
    X: Rows,
    domains: Int32Array,
    micro: MicroClasses,
    labels: Int32Array,
    domain_given_class: Float64Array,
    rng: np.random.Generator,
    *,
    models: Sequence[ClassModel],
    callback: Callable[..., Any] | None = None,
) -> ModelChoice:
    """Fit models of q(class | row) that see more than the micro-cluster of a row, and choose.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p)
        The rows; those of a sample are read.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    micro : MicroClasses
        Classes of the micro-clusters: the first candidate, and what the others begin with.
    labels : ndarray of shape (n,), int32
        Micro-cluster of each row.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class) that belongs to the micro-clusters.
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
    The domains of the held-out rows are in the classes of the micro-clusters, which makes these look
    a little better than they are.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import ClassModel, MicroClasses, chosen_model
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 4000)
    >>> X = 3.0 * classes[:, None] + rng.normal(size=(4000, 2))
    >>> domains = np.where(rng.random(4000) < 0.9, classes, 1 - classes).astype(np.int32)
    >>> micro = MicroClasses(X[:3], np.array([[0.4, 0.6], [0.4, 0.6], [0.6, 0.4]]))
    >>> labels = np.zeros(4000, dtype=np.int32)
    >>> D = np.array([[0.8, 0.2], [0.2, 0.8]])
    >>> models = [ClassModel.MIXTURE]
    >>> chosen_model(X, domains, micro, labels, D, rng, models=models).name
    <ClassModel.MIXTURE: 'mixture'>
    """
    sample = _Sample.draw(as_blocks(X), domains, labels, len(domain_given_class), rng)
    pooled = micro.classes[sample.labels]
    candidates = {ClassModel.MICRO: micro}
    if models:
        fitted = ~sample.held_out
        X_fit, d_fit = sample.rows[fitted], sample.domains[fitted]
        targets = pooled[fitted] * domain_given_class[d_fit].astype(pooled.dtype)
        targets /= targets.sum(axis=1, keepdims=True)
        given = X_fit, d_fit, targets, domain_given_class
    if ClassModel.MIXTURE in models:
        centers = _component_centers(micro.centers, labels, targets.shape[1], rng)
        report = _named(callback, ClassModel.MIXTURE)
        candidates[ClassModel.MIXTURE] = class_mixture(*given, centers, callback=report)
    if ClassModel.NETWORK in models:
        report = _named(callback, ClassModel.NETWORK)
        candidates[ClassModel.NETWORK] = class_network(*given, rng, callback=report)
    likelihoods = {}
    for name, model in candidates.items():
        if name is not ClassModel.MICRO:
            pooled = _in_chunks(sample.rows, model)
        likelihoods[name] = sample.held_out_likelihood(pooled, domain_given_class)
    name = max(likelihoods, key=likelihoods.get)
    return ModelChoice(candidates[name], name, likelihoods)


class _Sample(NamedTuple):
    """Rows on which models are fitted, and those that are held out."""

    rows: np.ndarray
    domains: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray

    @classmethod
    def draw(cls, blocks, domains, labels, n_domains, rng):
        size = max(_SAMPLE_ROWS, _SAMPLE_ROWS_PER_DOMAIN * n_domains)
        index = sampled_rows(blocks.n_samples, size, rng)
        held_out = np.zeros(len(index), dtype=bool)
        held_out[sampled_rows(len(index), max(1, round(_HELD_OUT_PART * len(index))), rng)] = True
        return cls(blocks.take(index), domains[index], labels[index], held_out)

    def held_out_likelihood(self, pooled, domain_given_class):
        """Mean log q(domain | row) where D is fitted to the other rows."""
        fitted = ~self.held_out
        options = {"max_iter": _DOMAIN_ITERATIONS, "tol": _DOMAIN_TOL}
        fit = frozen_em(pooled[fitted], domain_given_class, self.domains[fitted], **options)
        D = fit.domain_given_class[self.domains[self.held_out]]
        return float(np.log(np.einsum("ik,ik->i", pooled[self.held_out], D)).mean())


def pooled_posteriors(X: Rows, model: MicroClasses | ClassMixture | ClassNetwork) -> FloatArray:
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
        q(class | row); rows sum to 1, no entry is 0.

    Notes
    -----
    Rows are taken in leaves of 4096, so the bits do not depend on blocks. With the domain d of a
    row known, its posterior is in proportion to ``pooled * domain_given_class[d]``. O(n p J) time
    for J centres, components or hidden units; O(n k) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import MicroClasses, pooled_posteriors
    >>> model = MicroClasses(np.array([[0.0], [4.0]]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> pooled_posteriors(np.array([[3.0], [1.0]]), model)
    array([[0.2, 0.8],
           [0.9, 0.1]])
    """
    blocks = as_blocks(X)
    pooled = None
    stop = 0
    for part in blocks.map(_in_chunks, broadcast=(model,)):
        if pooled is None:  # filled as it comes: a list of parts would need the memory twice
            pooled = np.empty((blocks.n_samples, part.shape[1]), part.dtype)
        start, stop = stop, stop + len(part)
        pooled[start:stop] = part
    return pooled


def _in_chunks(rows, model):
    starts = range(0, len(rows), LEAF_ROWS)
    return np.concatenate([model.pooled(rows[start : start + LEAF_ROWS]) for start in starts])


def _component_centers(centers, labels, n_classes, rng):
    """k-means of the micro-clusters: where components begin."""
    sizes = np.bincount(labels, minlength=len(centers))
    n_components = min(_COMPONENTS_PER_CLASS * n_classes, _MOST_COMPONENTS, len(centers))
    weights = sizes.astype(np.float64)
    start = random_rows(centers, n_components, rng, sample_weight=weights).centers
    return lloyd(centers, start, sample_weight=weights, max_iter=_KMEANS_ITERATIONS).centers


def _named(callback, name):
    if callback is None:
        return None
    return lambda iteration, log_likelihood: callback(name, iteration, log_likelihood)

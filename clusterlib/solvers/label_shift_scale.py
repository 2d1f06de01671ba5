"""Latent label shift for millions of rows and thousands of domains."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, mapped
from clusterlib.kernels import LEAF_ROWS, pairwise_topk
from clusterlib.solvers.class_choice import (
    ClassModel,
    MicroClasses,
    chosen_model,
    pooled_posteriors,
)
from clusterlib.solvers.class_mixture import ClassMixture
from clusterlib.solvers.class_network import ClassNetwork
from clusterlib.solvers.frozen_em import frozen_em
from clusterlib.solvers.label_shift import class_agreement
from clusterlib.solvers.micro_clusters import domain_table, micro_clusters
from clusterlib.solvers.row_classes import RowClasses, row_classes
from clusterlib.solvers.tempered_plsa import TableStarts, tempered_plsa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from clusterlib.typing import Float64Array, FloatArray, Int32Array, Rows

__all__ = ["ScaledLabelShift", "scaled_label_shift"]

_MOST_MICRO = 4000
_ROWS_PER_MICRO = 50
# Clusters over which the classes of one are smoothed, itself included.
_NEIGHBORS = 5
# Groups of a start in multiples of the classes, in turn.
_MULTIPLES = (1, 2, 3)
_SCREENING_ITERATIONS = 6
# More change little: what is found is where the models of rows begin.
_MOST_ITERATIONS = 10
_FINALISTS = 2
_DOMAIN_ITERATIONS = 50
_DOMAIN_TOL = 1e-3


class ScaledLabelShift(NamedTuple):
    """What :func:`scaled_label_shift` returns. Classes come by falling share.

    Attributes
    ----------
    posteriors : ndarray of shape (n, k), dtype of X, or None
        q(class | row, its domain); None unless kept.
    pooled : ndarray of shape (n, k), dtype of X, or None
        q(class | row) without the domain; None unless kept.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class); columns sum to 1.
    marginals : ndarray of shape (r, k), float64
        p(class | domain): mean posteriors; rows sum to 1.
    class_prior : ndarray of shape (k,), float64
        Shares of the classes among all rows.
    model : MicroClasses, ClassMixture or ClassNetwork
        What gives the pooled posteriors of any rows, by :func:`pooled_posteriors`.
    model_log_likelihoods : dict of ClassModel to float
        Mean log q(domain | row) of held-out rows for each model, in nats: the highest was taken.
    log_likelihood : float
        The mean over all rows at the end.
    start_log_likelihoods : ndarray of shape (n_starts,), float64
        Of all starts on the micro-clusters after the first few iterations.
    start_agreement : float
        Smallest share of rows that another finished start puts into the matching class.
    n_iter : int
        Iterations of the best start.
    converged : bool
        Whether the shares of the domains stood still at the end.
    history : ndarray of shape (n_iter,), float64
        Log-likelihood of the best start at each iteration.
    rows : RowClasses
        Labels and what else is kept of each row in any case.
    """

    posteriors: FloatArray | None
    pooled: FloatArray | None
    domain_given_class: Float64Array
    marginals: Float64Array
    class_prior: Float64Array
    model: MicroClasses | ClassMixture | ClassNetwork
    model_log_likelihoods: dict[ClassModel, float]
    log_likelihood: float
    start_log_likelihoods: Float64Array
    start_agreement: float
    n_iter: int
    converged: bool
    history: Float64Array
    rows: RowClasses


def scaled_label_shift(
    X: Rows,
    domains: Int32Array,
    n_domains: int,
    n_classes: int,
    *,
    rng: np.random.Generator,
    n_micro: int | None = None,
    tau: float = 1.0,
    beta: float = 3.0,
    n_starts: int = 3,
    max_iter: int = 10,
    tol: float = 1e-3,
    models: Sequence[ClassModel] = (ClassModel.MIXTURE, ClassModel.NETWORK),
    keep_posteriors: bool = True,
    callback: Callable[..., Any] | None = None,
) -> ScaledLabelShift:
    """Find classes whose shares differ between domains, in time and memory linear in the rows.

    Micro-clusters stand for the rows while classes are sought: tempered EM on the sparse table of
    micro-clusters and domains, from several starts at the corners of the simplex of domain shares.
    Then models that see the row itself are fitted to the domains of a sample, the one that
    predicts held-out domains best gives the class probabilities of all rows, and EM fits the
    shares of the domains to them.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p), float32 or float64
        The rows; three passes read them block by block.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    n_domains, n_classes : int
        How many there are; at least as many domains as classes.
    rng : numpy.random.Generator
        Source of randomness.
    n_micro : None or int, default=None
        Micro-clusters; None takes one for 50 rows, 4000 at most.
    tau, beta : float, default=1.0 and 3.0
        Exponents of :func:`tempered_plsa`.
    n_starts : int, default=3
        Starts on the micro-clusters, of which the best two are finished.
    max_iter : int, default=10
        Most iterations, and no more than 10; a start is given 6 of them to be compared.
    tol : float, default=1e-3
        As in :func:`tempered_plsa`.
    models : sequence of ClassModel, default=(ClassModel.MIXTURE, ClassModel.NETWORK)
        What may take the place of the micro-clusters.
    keep_posteriors : bool, default=True
        Make the arrays of rows and classes. Without them X is read again wherever they are needed:
        in each iteration of the last EM (3 to 10 as a rule, 50 at most) and twice at its end, with
        the same bits.
    callback : None or callable, default=None
        ``callback(stage, iteration, log_likelihood)`` with the number of a start or a
        :class:`ClassModel` for the stage; True ends that stage.

    Returns
    -------
    result : ScaledLabelShift

    Notes
    -----
    O(n n_micro p) time for the nearest micro-clusters, O(nnz k) for an iteration on the table, which
    has ``nnz <= min(n, n_micro r)``, and O(n J (p + k)) for a model of J components or units. Memory
    beside X, with numbers of b bytes: ``2 k b + 44`` for each row, 44 without ``keep_posteriors``, ``40 n_micro (p b + 72)`` for the
    sample of the micro-clusters, ``b (p + 10 k)`` for each row of the sample of the models.

    References
    ----------
    .. [1] M. Roberts, P. Mani, S. Garg, Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022, arXiv 2207.13179: the setting and the simplex.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import scaled_label_shift
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 4000)
    >>> X = 8.0 * classes[:, None] + rng.normal(size=(4000, 2))
    >>> domains = np.where(rng.random(4000) < 0.8, classes, 1 - classes).astype(np.int32)
    >>> result = scaled_label_shift(X, domains, 2, 2, rng=rng)
    >>> labels = result.posteriors.argmax(axis=1)
    >>> float(max(np.mean(labels == classes), np.mean(labels != classes)))
    1.0
    """
    blocks = as_blocks(X)
    n = blocks.n_samples
    if n_micro is None:
        n_micro = min(_MOST_MICRO, max(2 * max(_MULTIPLES) * n_classes, n // _ROWS_PER_MICRO))
    n_micro = min(n_micro, n)
    clusters = micro_clusters(blocks, n_micro, rng)
    table = domain_table(clusters.labels, domains, n_micro, n_domains, blocks.dtype)
    near = pairwise_topk(clusters.centers, clusters.centers, min(_NEIGHBORS, n_micro))[1]
    options = {"tau": tau, "beta": beta, "tol": tol}
    finished, likelihoods = _best_starts(
        table, near, n_classes, rng, n_starts, max_iter, options, callback
    )
    best = finished[0]
    labels = [fit.pooled.argmax(axis=1)[clusters.labels] for fit in finished]
    agreement = min(class_agreement(labels[0], other, n_classes) for other in labels)
    micro = MicroClasses(clusters.centers, best.pooled)
    D = best.domain_given_class.astype(np.float64)
    choice = chosen_model(
        blocks, domains, micro, clusters.labels, D, rng, models=models, callback=callback
    )
    pooled = None
    if not keep_posteriors:
        h = _carried(blocks, choice.model, np.arange(n_classes))
    elif choice.name is ClassModel.MICRO:
        h = pooled = best.pooled[clusters.labels]
    else:
        h = pooled = pooled_posteriors(blocks, choice.model)
    fit = frozen_em(as_blocks(h), D, domains, max_iter=_DOMAIN_ITERATIONS, tol=_DOMAIN_TOL)
    class_prior = np.bincount(domains, minlength=n_domains) @ fit.marginals / n
    order = np.argsort(-class_prior, kind="stable")
    if keep_posteriors:
        h = _reordered(pooled, order)
    else:
        h = _carried(blocks, choice.model, order)
    D = np.ascontiguousarray(fit.domain_given_class[:, order])
    rows = row_classes(h, D, domains, keep_posteriors=keep_posteriors)
    return ScaledLabelShift(
        rows.posteriors,
        pooled,
        D,
        fit.marginals[:, order],
        class_prior[order],
        choice.model.reordered(order),
        choice.log_likelihoods,
        fit.log_likelihood,
        likelihoods,
        agreement,
        len(best.history),
        fit.converged,
        best.history,
        rows._replace(posteriors=None),
    )


def _carried(blocks, model, order):
    """Class probabilities of rows that are read again whenever these are."""
    fn = partial(_ordered_classes, model=model, order=order)
    return mapped(blocks, fn, len(order), blocks.dtype)


def _ordered_classes(rows, *, model, order):
    return model.pooled(rows)[:, order]


def _reordered(values, order):
    """Columns in another order, in place, so that no second array of all rows is made."""
    for start in range(0, len(values), LEAF_ROWS):
        values[start : start + LEAF_ROWS] = values[start : start + LEAF_ROWS, order]
    return values


def _best_starts(table, near, n_classes, rng, n_starts, max_iter, options, callback):
    """The best starts, that of highest likelihood first, and the likelihoods of all."""
    starts = TableStarts(table, n_classes)
    likelihoods, finalists = [], []
    for start in range(n_starts):
        n_groups = min(_MULTIPLES[start % len(_MULTIPLES)] * n_classes, table.shape[0])
        fit = tempered_plsa(
            table,
            *starts.start(n_groups, rng),
            near,
            max_iter=min(_SCREENING_ITERATIONS, max_iter),
            callback=_numbered(callback, start),
            **options,
        )
        likelihoods.append(fit.log_likelihood)
        finalists.append((-fit.log_likelihood, start, fit))
        finalists = sorted(finalists, key=lambda entry: entry[:2])[:_FINALISTS]
    finished = []
    for _, start, fit in finalists:
        left = min(max_iter, _MOST_ITERATIONS) - len(fit.history)
        if left > 0 and not fit.converged:
            rest = tempered_plsa(
                table,
                fit.responsibilities,
                fit.domain_given_class,
                near,
                max_iter=left,
                callback=_numbered(callback, start),
                **options,
            )
            fit = rest._replace(history=np.concatenate([fit.history, rest.history]))
        finished.append(fit)
    finished.sort(key=lambda fit: -fit.log_likelihood)
    return finished, np.array(likelihoods)


def _numbered(callback, start):
    if callback is None:
        return None
    return lambda iteration, log_likelihood: callback(start, iteration, log_likelihood)

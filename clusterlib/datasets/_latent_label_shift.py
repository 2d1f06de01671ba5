"""Domains with drawn class shares that are met to the row, as in the study of latent label shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.datasets._draws import checked_weights, class_codes, seeded_generator
from clusterlib.datasets._label_marginals import deal_rows, draw_label_marginals, shuffled_within
from clusterlib.validation import checked_integer, checked_real

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Float64Array, IndexArray, RandomState

__all__ = ["LatentLabelShiftDomains", "make_latent_label_shift"]

_NEGLIGIBLE = 1e-7  # shares below this are set to 0


class LatentLabelShiftDomains(NamedTuple):
    """Rows in domains; see :func:`make_latent_label_shift`.

    Attributes
    ----------
    X : ndarray of shape (n_samples, ...)
        The rows, domain by domain, in the dtype of the pool.
    y : ndarray of shape (n_samples,)
        Their classes, in the dtype of the pool; a method that looks for classes must not see it.
    domains : ndarray of shape (n_samples,), intp
        Their domains, 0 to ``n_domains - 1``.
    label_marginals : ndarray of shape (n_domains, n_classes), float64
        Drawn share of each class in each domain, classes in sorted order.
    condition : float
        Condition number of the drawn matrix; above ``max_condition`` if no draw met it.
    indices : ndarray of shape (n_samples,), intp
        Positions in the pool; no row occurs twice.
    """

    X: Array
    y: Array
    domains: IndexArray
    label_marginals: Float64Array
    condition: float
    indices: IndexArray


def make_latent_label_shift(
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_domains: int = 10,
    concentration: float = 3.0,
    max_condition: float | None = None,
    max_draws: int = 20_000,
    domain_weights: ArrayLike | None = None,
    random_state: RandomState = None,
) -> LatentLabelShiftDomains:
    """Deal labelled rows to domains, in numbers that follow drawn class shares to the row.

    The construction of the study of unsupervised learning under latent label shift [1]_: class
    shares of each domain are drawn from a Dirichlet law, and of class y domain d gets::

        floor(q(d) p_d(y) N_min / max_z sum_e q(e) p_e(z))

    rows without replacement, N_min being the size of the smallest class and q(d) the weights of
    the domains. What is left over is thrown away. Shares are met up to the rounding, where
    :func:`make_label_shift_domains` draws the numbers of rows as well.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...)
        The pool: anything with a row for each label.
    y : array-like of shape (n_rows,)
        Class labels that can be sorted.
    n_domains : int, default=10
        Number of domains.
    concentration : float, default=3.0
        Total concentration of the Dirichlet law, ``concentration / n_classes`` for each class;
        the smaller, the fewer classes dominate a domain. Above 0. The study takes 0.5, 3 and 10.
    max_condition : float, default=None
        Redraw all shares until the condition number of their matrix is at most this; small
        numbers make the domains tell the classes apart. Needs ``n_domains >= n_classes``. None
        takes the first draw.
    max_draws : int, default=20000
        How often shares are drawn at most. If none has the wanted condition number, the best of
        them is taken, which ``condition`` of the result tells.
    domain_weights : array-like of shape (n_domains,), default=None
        Relative sizes of the domains, at least 0. None makes them equal up to the rounding.
    random_state : None, int or RandomState, default=None
        Shares, and which rows. An integer seeds ``numpy.random.default_rng``.

    Returns
    -------
    sample : LatentLabelShiftDomains
        ``X``, ``y``, ``domains``, ``label_marginals``, ``condition`` and ``indices``.

    Raises
    ------
    ValueError
        If X and y differ in length, a domain gets no row at all, ``max_condition`` is given for
        fewer domains than classes, or a number is out of range.
    TypeError
        If an option is of the wrong kind.

    See Also
    --------
    make_label_shift_domains : Domains of one size, dealt with or without replacement.

    Notes
    -----
    Time is O(k^2 r) for each draw, k classes and r domains, and O(n + n_rows k) for n dealt rows;
    memory O(n + k r) beside the rows. With as many domains as classes small condition numbers are
    rare: for k = r = 10 none of 20 000 draws at ``concentration=3`` has one of 4 or less.

    References
    ----------
    .. [1] M. Roberts, P. Mani, S. Garg, Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_latent_label_shift
    >>> X, y = np.arange(400.0).reshape(400, 1), np.repeat(["ant", "bee"], 200)
    >>> sample = make_latent_label_shift(X, y, n_domains=3, max_condition=2, random_state=0)
    >>> sample.label_marginals.round(2).tolist()
    [[0.12, 0.88], [0.29, 0.71], [0.94, 0.06]]
    >>> bees = np.bincount(sample.domains[sample.y == "bee"])
    >>> (bees / np.bincount(sample.domains)).round(2).tolist()
    [0.88, 0.71, 0.05]
    """
    X, (classes, codes) = np.asarray(X), class_codes(y)
    if X.ndim == 0 or len(X) != len(codes):
        raise ValueError(f"X must have a row for each of the {len(codes)} labels, got {X.shape}")
    n_domains = checked_integer("n_domains", n_domains, 1)
    concentration = checked_real("concentration", concentration, 0, low_open=True)
    max_draws = checked_integer("max_draws", max_draws, 1)
    if max_condition is not None:
        max_condition = checked_real("max_condition", max_condition, 1)
        if n_domains < len(classes):
            raise ValueError(
                f"max_condition needs n_domains >= n_classes={len(classes)}, got {n_domains}"
            )
    weights = checked_weights(domain_weights, n_domains)
    rng = seeded_generator(random_state)
    drawn = draw_label_marginals(
        rng, n_domains, len(classes), concentration, max_condition, max_draws
    )
    marginals = np.where(drawn.marginals < _NEGLIGIBLE, 0.0, drawn.marginals)
    marginals /= marginals.sum(axis=1, keepdims=True)
    counts = _row_counts(marginals, weights, np.bincount(codes).min())
    sizes = counts.sum(axis=1)
    if not sizes.all():
        raise ValueError(
            f"domain {int(np.argmin(sizes))} gets no row: y has too few for n_domains={n_domains} "
            "and these domain_weights"
        )
    indices = shuffled_within(rng, deal_rows(rng, codes, counts, replace=False), sizes)
    domains = np.repeat(np.arange(n_domains), sizes)
    labels = classes[codes[indices]]
    return LatentLabelShiftDomains(X[indices], labels, domains, marginals, drawn.condition, indices)


def _row_counts(marginals, weights, smallest_class):
    """Rows of each domain and class, so that the most frequent class takes ``smallest_class``."""
    joint = weights[:, None] * marginals
    return np.floor(joint * (smallest_class / joint.sum(axis=0).max())).astype(np.intp)

"""Domains that differ in how often each class occurs, and in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.datasets._draws import class_codes, random_generator
from clusterlib.datasets._label_marginals import deal_rows, draw_label_marginals
from clusterlib.validation import checked_flag, checked_integer, checked_real

if TYPE_CHECKING:
    from clusterlib.typing import (
        Array,
        ArrayLike,
        Float64Array,
        IndexArray,
        RandomState,
    )

__all__ = ["make_label_shift_domains"]

_MAX_DRAWS = 1000


def make_label_shift_domains(
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_domains: int = 10,
    n_samples: int | None = None,
    concentration: float = 5.0,
    max_condition: float | None = None,
    replace: bool = True,
    random_state: RandomState = None,
) -> tuple[Array, Array, IndexArray, Float64Array]:
    """Deal labelled rows to domains whose class marginals are drawn from a Dirichlet law.

    Given the class, rows have the same distribution in every domain, which is what methods for
    (latent) label shift assume [1]_.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...)
        The pool: anything with a row for each label.
    y : array-like of shape (n_rows,)
        Class labels that can be sorted.
    n_domains : int, default=10
        Number of domains.
    n_samples : int, default=None
        Rows of each domain. None takes ``n_rows // n_domains``.
    concentration : float, default=5.0
        Total concentration of the Dirichlet law, ``concentration / n_classes`` for each class;
        the smaller, the fewer classes dominate a domain. Above 0.
    max_condition : float, default=None
        Redraw all marginals until the condition number of their matrix is at most this; small
        numbers make the domains tell the classes apart. Needs ``n_domains >= n_classes``. None
        takes the first draw.
    replace : bool, default=True
        Whether a row of the pool may be dealt repeatedly.
    random_state : None, int or RandomState, default=None
        Marginals, numbers of rows, and which rows.

    Returns
    -------
    X : ndarray of shape (n_domains * n_samples, ...)
        The rows of domain 0, then those of domain 1, and so on, in the dtype of X.
    y : ndarray of shape (n_domains * n_samples,)
        Their classes, in the dtype of y.
    domains : ndarray of shape (n_domains * n_samples,), intp
        Their domains.
    label_marginals : ndarray of shape (n_domains, n_classes), float64
        The drawn marginals, classes in sorted order; the observed shares scatter around them.

    Raises
    ------
    ValueError
        If X and y differ in length, a class has too few rows for ``replace=False``, no drawn
        matrix meets ``max_condition``, or a number is out of range.
    TypeError
        If an option is of the wrong kind.

    References
    ----------
    .. [1] P. Mani, M. Roberts, S. Garg, Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_label_shift_domains
    >>> X, y = np.arange(100.0).reshape(100, 1), np.repeat([0, 1], 50)
    >>> X, y, domains, marginals = make_label_shift_domains(X, y, n_domains=3, random_state=0)
    >>> X.shape, np.bincount(domains).tolist(), marginals.shape
    ((99, 1), [33, 33, 33], (3, 2))
    """
    X, (classes, codes) = np.asarray(X), class_codes(y)
    if X.ndim == 0 or len(X) != len(codes):
        raise ValueError(f"X must have a row for each of the {len(codes)} labels, got {X.shape}")
    n_domains = checked_integer("n_domains", n_domains, 1)
    n_samples = len(codes) // n_domains if n_samples is None else n_samples
    n_samples = checked_integer("n_samples", n_samples, 1)
    concentration = checked_real("concentration", concentration, 0, low_open=True)
    replace = checked_flag("replace", replace)
    rng = random_generator(random_state)
    marginals = _acceptable_marginals(rng, n_domains, len(classes), concentration, max_condition)
    counts = np.array([rng.multinomial(n_samples, shares) for shares in marginals])
    if not replace:
        _check_supply(codes, counts)
    indices = deal_rows(rng, codes, counts, replace=replace)
    indices = rng.permuted(indices.reshape(n_domains, n_samples), axis=1).ravel()
    domains = np.repeat(np.arange(n_domains), n_samples)
    return X[indices], classes[codes[indices]], domains, marginals


def _acceptable_marginals(rng, n_domains, n_classes, concentration, max_condition):
    if max_condition is not None:
        max_condition = checked_real("max_condition", max_condition, 1)
        if n_domains < n_classes:
            raise ValueError(
                f"max_condition needs n_domains >= n_classes={n_classes}, got {n_domains}"
            )
    drawn = draw_label_marginals(
        rng, n_domains, n_classes, concentration, max_condition, _MAX_DRAWS
    )
    if max_condition is not None and drawn.condition > max_condition:
        raise ValueError(
            f"none of {_MAX_DRAWS} drawn matrices has a condition number of at most "
            f"{max_condition}, the best {drawn.condition:.3g}; raise max_condition, lower "
            "concentration or take more domains"
        )
    return drawn.marginals


def _check_supply(codes, counts):
    """Refuse to deal more rows of a class than there are."""
    for label, (total, supply) in enumerate(
        zip(counts.sum(axis=0), np.bincount(codes), strict=True)
    ):
        if total > supply:
            raise ValueError(
                f"class number {label} has {supply} rows and {total} were drawn; take fewer "
                "n_samples or replace=True"
            )

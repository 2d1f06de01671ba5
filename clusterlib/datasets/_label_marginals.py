"""What generators of label shift share: drawn marginals, and rows dealt to domains."""

from typing import NamedTuple

import numpy as np

__all__ = ["DrawnMarginals", "deal_rows", "draw_label_marginals", "shuffled_within"]


class DrawnMarginals(NamedTuple):
    """Class shares of each domain, and how well they tell the classes apart."""

    marginals: np.ndarray  # (n_domains, n_classes)
    condition: float


def draw_label_marginals(rng, n_domains, n_classes, concentration, max_condition, max_draws):
    """Draw class shares until their matrix is well conditioned; the best of all draws if none is.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draws.
    n_domains, n_classes : int
        Shape of the matrix.
    concentration : float
        Total concentration of the Dirichlet law.
    max_condition : float or None
        Stop at a condition number of at most this; None takes the first draw.
    max_draws : int
        How many matrices are drawn at most.

    Returns
    -------
    drawn : DrawnMarginals
        The matrix and its condition number, which may be above ``max_condition``, and is
        infinite with fewer domains than classes.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets._label_marginals import draw_label_marginals
    >>> drawn = draw_label_marginals(np.random.default_rng(0), 3, 2, 1.0, 1.5, 1000)
    >>> drawn.marginals.shape, drawn.condition <= 1.5
    ((3, 2), True)
    """
    alpha = np.full(n_classes, concentration / n_classes)
    best = None
    for _ in range(1 if max_condition is None else max_draws):
        marginals = rng.dirichlet(alpha, size=n_domains)
        condition = float(np.linalg.cond(marginals)) if n_domains >= n_classes else np.inf
        drawn = DrawnMarginals(marginals, condition)
        if best is None or drawn.condition < best.condition:
            best = drawn
        if max_condition is not None and best.condition <= max_condition:
            break
    return best


def deal_rows(rng, codes, counts, *, replace):
    """Choose rows of each class for every domain.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draws.
    codes : ndarray of shape (n_rows,), intp
        Class of each row of the pool.
    counts : ndarray of shape (n_domains, n_classes), intp
        Rows wanted; without replacement a class must have as many as its column says.
    replace : bool
        Whether a row may be chosen repeatedly.

    Returns
    -------
    indices : ndarray of shape (counts.sum(),), intp
        Positions in the pool, domain by domain, and by class within a domain.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets._label_marginals import deal_rows
    >>> codes, counts = np.array([0, 0, 1, 1]), np.array([[0, 1], [2, 1]])
    >>> indices = deal_rows(np.random.default_rng(0), codes, counts, replace=False)
    >>> codes[indices].tolist()
    [1, 0, 0, 1]
    """
    wanted = np.concatenate([np.repeat(np.arange(counts.shape[1]), row) for row in counts])
    indices = np.empty(len(wanted), dtype=np.intp)
    for label, total in enumerate(counts.sum(axis=0)):
        indices[wanted == label] = rng.choice(
            np.flatnonzero(codes == label), total, replace=replace
        )
    return indices


def shuffled_within(rng, indices, sizes):
    """Shuffle stretches of an array, each for itself.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draws.
    indices : ndarray of shape (sizes.sum(),)
        Stretches one behind the other.
    sizes : ndarray of shape (n_stretches,), intp
        Their lengths.

    Returns
    -------
    indices : ndarray of shape (sizes.sum(),)
        The same numbers in every stretch, in another order.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets._label_marginals import shuffled_within
    >>> shuffled = shuffled_within(np.random.default_rng(0), np.arange(6), np.array([2, 4]))
    >>> sorted(shuffled[:2].tolist()), sorted(shuffled[2:].tolist())
    ([0, 1], [2, 3, 4, 5])
    """
    return np.concatenate(
        [rng.permutation(part) for part in np.split(indices, np.cumsum(sizes)[:-1])]
    )

"""Where the batches of MiniBatchKMeans come from, and the rows that it starts on."""

from enum import Enum

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.cluster._starts import MAX_SEED
from clusterlib.solvers import RowDraws, race_rows, total_cost
from clusterlib.validation import Start, checked_choice

__all__ = ["BatchOrder", "best_centers", "checked_batches", "first_centers"]


class BatchOrder(Enum):
    """How rows come into batches."""

    RANDOM = "random"
    IN_ORDER = "in_order"


def checked_batches(batches, blocks):
    """Say how rows come into batches, which has to suit what they lie in.

    Parameters
    ----------
    batches : {"random", "in_order"}
        The parameter of an estimator.
    blocks : Blocks
        The rows.

    Returns
    -------
    order : BatchOrder
        What was asked for.

    Raises
    ------
    TypeError, ValueError
        For another value; for random batches of rows that cannot be fetched one by one, and for
        rows on a device in order.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.cluster._minibatch_starts import checked_batches
    >>> checked_batches("in_order", as_blocks(np.zeros((3, 2))))
    <BatchOrder.IN_ORDER: 'in_order'>
    """
    order = checked_choice("batches", batches, BatchOrder)
    if order is BatchOrder.RANDOM and not (blocks.takes_cheaply and blocks.runs_here):
        raise ValueError(
            "batches='random' needs rows that can be fetched one by one, and those of a "
            f"{type(blocks).__name__} are read in order; set batches='in_order', or use KMeans"
        )
    if order is BatchOrder.IN_ORDER and not blocks.on_host:
        raise ValueError(
            "batches='in_order' is for rows on the host, and X lies on a device; set "
            "batches='random'"
        )
    return order


def first_centers(starts, X, draws, weight, size, rng):
    """Find first centres on some rows: of several starts, those with the lowest cost on others.

    Parameters
    ----------
    starts : Starts
        How centres are made.
    X : array or Blocks of shape (n_samples, n_features)
        All rows.
    draws : RowDraws or None
        Order of the rows to draw from; None for batches in order.
    weight : ndarray of shape (n_samples,) or None
        Their weights.
    size : int
        How many rows are drawn, if there are more.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.

    Notes
    -----
    Without ``draws`` a pass over X, another one for several starts, none for given centres;
    memory for ``size`` rows, O(log n_samples) times while they are drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import MiniBatchKMeans
    >>> from clusterlib.cluster._minibatch_starts import first_centers
    >>> from clusterlib.cluster._starts import Starts
    >>> starts = Starts.of(MiniBatchKMeans(2, init="random", n_init=1), default_n_init=3)
    >>> X = np.arange(100.0)[:, None]
    >>> first_centers(starts, X, None, None, 20, np.random.default_rng(0)).shape
    (2, 1)
    """
    blocks = as_blocks(X)
    if draws is None and starts.kind is Start.GIVEN:
        return starts.centers(X, None, None)
    sample, judges = X, blocks
    if size < (blocks.n_samples if draws is None else draws.n_groups):
        sample, judges = _two_samples(blocks, draws, weight, size, rng, starts.n_init > 1)
        rows, weight = as_blocks(sample), None
        draws = RowDraws(rows) if starts.needs_order(rows) else None
    elif draws is None and starts.needs_order(blocks):  # few rows
        draws = RowDraws(blocks, weight)
    seeds = rng.integers(MAX_SEED, size=starts.n_init)
    return best_centers(starts, seeds, sample, draws, judges, weight)


def _two_samples(blocks, draws, weight, size, rng, are_judged):
    """Rows to find first centres on, and others to judge them by if there are several starts."""
    if draws is None:
        sample = race_rows(blocks, size, rng, sample_weight=weight).centers
        if not are_judged:
            return sample, as_blocks(sample)
        return sample, as_blocks(race_rows(blocks, size, rng, sample_weight=weight).centers)
    # Shuffled for callables that take the first rows for random ones.
    sample = blocks.take(rng.permutation(draws.draw(rng, size)))
    return sample, as_blocks(blocks.take(draws.draw(rng, size)))


def best_centers(starts, seeds, X, draws, judges, weight):
    """Return the centres of the start that costs least.

    Parameters
    ----------
    starts : Starts
        How centres are made.
    seeds : ndarray of int
        One for each start.
    X : array or Blocks of shape (n, n_features)
        Rows that they are made on.
    draws : RowDraws or None
        The order of these rows, if ``starts`` needs it.
    judges : Blocks
        Rows that the starts are judged by, if there are several.
    weight : ndarray or None
        Weights of both.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
        The first of equally good ones.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.cluster import MiniBatchKMeans
    >>> from clusterlib.cluster._minibatch_starts import best_centers
    >>> from clusterlib.cluster._starts import Starts
    >>> X = np.array([[0.0], [4.0]])
    >>> starts = Starts.of(MiniBatchKMeans(2, init=X), default_n_init=3)
    >>> best_centers(starts, [0], X, None, as_blocks(X), None)
    array([[0.],
           [4.]])
    """
    candidates = [starts.centers(X, draws, seed, sample_weight=weight) for seed in seeds]
    if len(candidates) == 1:
        return candidates[0]
    costs = [total_cost(judges, centers, sample_weight=weight) for centers in candidates]
    return candidates[int(np.argmin(costs))]

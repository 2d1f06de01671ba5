"""Rows drawn without replacement in one pass: exponential races by numbered random bits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce
from clusterlib.kernels import LEAF_ROWS
from clusterlib.solvers.geometry import Flat, Sphere, unit_rows
from clusterlib.solvers.seeding import Seeds

if TYPE_CHECKING:
    from clusterlib.typing import Array, Rows

__all__ = [
    "Race",
    "Winners",
    "first_different",
    "has_weight",
    "race_rows",
    "run_race",
    "winners_of_block",
]

# Philox makes four words from one value of its counter; leaves start at multiples of four.
_WORDS = 4
# Fewer rows than these are not worth a merge of their own.
_FEW_ROWS = 64


class Race(NamedTuple):
    """What tells one race from another; small, and handed to every block.

    Attributes
    ----------
    seed, number : int
        The key of the random bits: row i takes word i of the stream of this key.
    size : int
        How many different rows are wanted.
    spherical : bool
        Whether rows are different if their directions are, and rows of zeros stay away.
    """

    seed: int
    number: int
    size: int
    spherical: bool


class Winners(NamedTuple):
    """The first rows of a race, in the order of their arrival.

    Attributes
    ----------
    keys : ndarray of shape (m,), float64
        Logarithms of their arrival times.
    numbers : ndarray of shape (m,), int
        Which rows of X they are.
    rows : ndarray of shape (m, n_features)
        The rows themselves, no two of them equal.
    """

    keys: np.ndarray
    numbers: np.ndarray
    rows: np.ndarray


def race_rows(
    X: Rows,
    n_rows: int,
    rng: np.random.Generator,
    *,
    sample_weight: Array | None = None,
    spherical: bool = False,
) -> Seeds:
    """Take different rows at random, in proportion to their weights, in one pass.

    The draw of :func:`random_rows` without an order of all rows: nothing is kept for a row that
    does not win. Row i runs with the random bits of number i, so that neither the carrier nor
    the cut into blocks changes a draw; another order of the rows does.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host.
    n_rows : int
        How many; beyond the number of different rows they are taken again in the same order.
    rng : numpy.random.Generator
        Gives one integer, the key of the random bits.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, finite; a row of weight 0 is never taken, and equal rows count as one row with
        the sum of their weights.
    spherical : bool, default=False
        Return directions instead of rows; rows of zeros are never taken.

    Returns
    -------
    seeds : Seeds
        Centres and indices, in the order of being drawn.

    Raises
    ------
    ValueError
        If no row can be taken, or X lies on a device.

    Notes
    -----
    One pass, O(n + n_rows d log(n / n_rows)) time beyond reading, O(n_rows d log n) memory.
    Row i arrives at ``E_i / w_i``, E a unit exponential; the rows that arrive first are a draw
    without replacement [1]_. The first of equal rows arrives like one row with all their weight.

    References
    ----------
    .. [1] P. S. Efraimidis and P. G. Spirakis, "Weighted random sampling with a reservoir",
       Inf. Process. Lett. 97(5), 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import race_rows
    >>> X = np.array([[0.0], [0.0], [1.0]])
    >>> np.sort(race_rows(X, 2, np.random.default_rng(0)).centers, axis=None)
    array([0., 1.])
    """
    race = Race(int(rng.integers(2**63)), 0, n_rows, spherical)
    winners = run_race(race, X, sample_weight)
    again = np.resize(np.arange(len(winners.keys)), n_rows)
    points = (Sphere if spherical else Flat).points(winners.rows[again])
    return Seeds(points, winners.numbers[again])


def run_race(race, X, sample_weight=None):
    """Let all rows run, in proportion to their weights, and return those that arrive first.

    Parameters
    ----------
    race : Race
        Its key and how many are wanted.
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights; None means 1.

    Returns
    -------
    winners : Winners
        At most ``race.size`` rows, fewer if there are not so many different ones.

    Raises
    ------
    ValueError
        If no row can be taken, or X lies on a device.

    Notes
    -----
    One pass, see :func:`race_rows`.

    Examples
    --------
    >>> from clusterlib.solvers.races import Race, run_race
    >>> len(run_race(Race(0, 0, 5, False), [[1.0], [2.0], [1.0]]).numbers)
    2
    """
    blocks = as_blocks(X)
    if not blocks.on_host:
        raise ValueError(
            "X lies on a device, and races of rows run on the host; use random_rows or "
            "kmeans_plusplus there"
        )
    winners = map_reduce(
        _race_of_block,
        partial(first_different, race=race),
        blocks,
        range(blocks.n_samples),
        sample_weight,
        broadcast=(race,),
    )
    if len(winners.keys) == 0:
        what = "row with a direction" if race.spherical else "row"
        raise ValueError(f"X has no {what} of a weight above zero, so there is none to draw")
    return winners


def _race_of_block(rows, numbers, weight, race):
    return winners_of_block(rows, numbers, weight, race, _same_for_all)


def _same_for_all(leaf):
    return None


def winners_of_block(rows, numbers, weight, race, log_rates):
    """Let the rows of one block run.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Rows of an aligned block.
    numbers : range
        Their numbers in X.
    weight : ndarray of shape (n,) or None
        Their weights.
    race : Race
        Which race it is.
    log_rates : callable
        ``log_rates(leaf)`` returns an array with a logarithm for each row of the slice ``leaf``,
        by which its weight counts more: minus infinity for a row that must not win. None stands
        for zeros.

    Returns
    -------
    winners : Winners
        The first of the block.

    Notes
    -----
    Works on leaves of 4096 rows; O(race.size) copies of rows in memory, at least 128.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.races import Race, winners_of_block
    >>> rows = np.array([[1.0], [2.0], [1.0]])
    >>> only_last = lambda leaf: np.array([-np.inf, -np.inf, 0.0])
    >>> winners_of_block(rows, range(3), None, Race(0, 0, 5, False), only_last).numbers
    array([2])
    """
    key = np.array([race.seed, race.number], dtype=np.uint64)
    bits = np.random.Philox(key=key).advance(numbers.start // _WORDS)
    ahead = Winners(np.empty(0), np.empty(0, dtype=np.intp), rows[:0])
    slowest = np.inf
    # Rows are copied only in the order of their arrival, few at a time: all of a leaf run at first.
    some = max(race.size, _FEW_ROWS)
    for start in range(0, len(rows), LEAF_ROWS):
        leaf = slice(start, min(start + LEAF_ROWS, len(rows)))
        keys = _log_arrivals(bits.random_raw(leaf.stop - start), rows, weight, race, leaf)
        if (rates := log_rates(leaf)) is not None:
            keys -= rates
        ran = np.flatnonzero(keys < slowest)
        ran = ran[np.argsort(keys[ran], kind="stable")]
        while len(ran):
            first, ran = ran[:some], ran[some:]
            arrived = Winners(keys[first], numbers.start + start + first, rows[start + first])
            ahead = first_different(ahead, arrived, race=race)
            if len(ahead.keys) == race.size:
                slowest = ahead.keys[-1]
                ran = ran[keys[ran] < slowest]
    return ahead


def _log_arrivals(words, rows, weight, race, leaf):
    """Logarithms of arrival times, which stay in range whatever weights and costs are."""
    # 52 bits and a half: a number inside (0, 1), exactly.
    uniform = ((words >> np.uint64(12)) + 0.5) * 2.0**-52
    keys = np.log(-np.log(uniform))
    weight = None if weight is None else weight[leaf]
    away = ~has_weight(rows[leaf], weight, race.spherical)
    if weight is not None:
        keys -= np.log(np.where(away, 1.0, weight))
    keys[away] = np.inf
    return keys


def has_weight(rows, weight, spherical):
    """Tell which rows may be drawn: those with weight and, on the sphere, a direction.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Some rows.
    weight : ndarray of shape (n,) or None
        Their weights.
    spherical : bool
        Whether rows of zeros count as nothing.

    Returns
    -------
    present : ndarray of shape (n,), bool
        True for rows that may be drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.races import has_weight
    >>> has_weight(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 1.0, 0.0]), True)
    array([False,  True, False])
    """
    present = np.ones(len(rows), dtype=bool) if weight is None else weight > 0
    return present & rows.any(axis=1) if spherical else present


def first_different(*parts, race):
    """Merge lists of winners: the first different rows of all, of equal ones the first.

    Parameters
    ----------
    *parts : Winners
        Lists of the same race.
    race : Race
        Says how many are wanted and what is different.

    Returns
    -------
    winners : Winners
        In the order of arrival, the lower number first on ties. Which rows they are does not
        depend on how the rows of a race are spread over lists.

    Notes
    -----
    O(m (d + log m)) time and O(m d) memory for m rows in all lists.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.races import Race, Winners, first_different
    >>> left = Winners(np.array([0.5]), np.array([0]), np.array([[7.0]]))
    >>> right = Winners(np.array([0.1, 0.2]), np.array([1, 2]), np.array([[7.0], [8.0]]))
    >>> first_different(left, right, race=Race(0, 0, 5, False)).numbers
    array([1, 2])
    """
    keys, numbers, rows = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    # Adding zero turns -0.0, whose bits differ, into 0.0.
    points = (unit_rows(rows) if race.spherical else rows) + 0.0
    seen, kept = set(), []
    for place in np.lexsort((numbers, keys)):
        point = points[place].tobytes()
        if point not in seen:
            seen.add(point)
            kept.append(place)
            if len(kept) == race.size:
                break
    kept = np.array(kept, dtype=np.intp)
    return Winners(keys[kept], numbers[kept], np.ascontiguousarray(rows[kept]))

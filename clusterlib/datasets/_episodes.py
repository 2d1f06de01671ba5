"""Few-shot episodes: small classification problems drawn from labelled rows."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.datasets._draws import class_codes, random_generator
from clusterlib.validation import checked_choice, checked_integer, checked_real

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import Array, ArrayLike, IndexArray, RandomState

__all__ = ["Episodes", "make_episodes"]

_MAX_DRAWS = 1000


class QuerySizes(Enum):
    """How many queries each class of an episode has."""

    BALANCED = "balanced"
    DIRICHLET = "dirichlet"


class Episodes(NamedTuple):
    """Few-shot problems of one shape; see :func:`make_episodes`.

    Attributes
    ----------
    X : ndarray of shape (n_episodes, n_way * n_shot, ...)
        Labelled rows, class after class, in the dtype of the pool.
    y : ndarray of shape (n_episodes, n_way * n_shot)
        Their classes, in the dtype of the labels.
    queries : ndarray of shape (n_episodes, n_way * n_query, ...)
        Rows to classify, class after class, in the dtype of the pool.
    y_queries : ndarray of shape (n_episodes, n_way * n_query)
        Their classes, in the dtype of the labels.
    support_rows : ndarray of shape (n_episodes, n_way * n_shot), intp
        Which rows of the pool ``X`` are.
    query_rows : ndarray of shape (n_episodes, n_way * n_query), intp
        Which rows of the pool ``queries`` are.
    """

    X: Array
    y: Array
    queries: Array
    y_queries: Array
    support_rows: IndexArray
    query_rows: IndexArray

    def with_shots(self, n_shot: int) -> Episodes:
        """Keep the first ``n_shot`` labelled rows of each class, and the same queries.

        Parameters
        ----------
        n_shot : int
            At most as many as the episodes have.

        Returns
        -------
        episodes : Episodes
            Arrays of the same dtypes; the queries are shared, not copied.

        Raises
        ------
        ValueError
            If n_shot is out of range.
        """
        n_support = self.y.shape[1]
        n_way = len(np.unique(self.y[0]))
        n_shot = checked_integer("n_shot", n_shot, 1, n_support // n_way)
        kept = np.arange(n_support).reshape(n_way, -1)[:, :n_shot].ravel()
        return self._replace(
            X=self.X[:, kept], y=self.y[:, kept], support_rows=self.support_rows[:, kept]
        )


def make_episodes(
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_episodes: int = 2000,
    n_way: int = 5,
    n_shot: int = 1,
    n_query: int = 15,
    query_sizes: Literal["balanced", "dirichlet"] = "balanced",
    concentration: float = 2.0,
    random_state: RandomState = None,
) -> Episodes:
    """Draw few-shot episodes: a few labelled rows of a few classes, and queries of the same.

    Classes are drawn without replacement for each episode, and so are the rows of each class:
    the first ``n_shot`` are labelled, the others are queries. Different episodes may share rows.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...)
        The pool: anything with a row for each label.
    y : array-like of shape (n_rows,)
        Class labels that can be sorted.
    n_episodes : int, default=2000
        Number of episodes.
    n_way : int, default=5
        Classes of each.
    n_shot : int, default=1
        Labelled rows of each class.
    n_query : int, default=15
        Queries of each class, on average: an episode has ``n_way * n_query`` in any case.
    query_sizes : {"balanced", "dirichlet"}, default="balanced"
        Whether each class has ``n_query`` queries, or the numbers are drawn: shares from a
        symmetric Dirichlet law, numbers from a multinomial law with these shares. Numbers that a
        class of the pool is too small for are drawn again, together with the classes.
    concentration : float, default=2.0
        Parameter of the Dirichlet law for each class; the smaller, the less balanced. Above 0.
    random_state : None, int or RandomState, default=None
        Classes, rows and sizes. An episode's draws do not depend on how many follow.

    Returns
    -------
    episodes : Episodes
        Named tuple of arrays in the dtypes of X and y; the rows are copied, so memory is
        ``n_episodes * n_way * (n_shot + n_query)`` rows.

    Raises
    ------
    ValueError
        If X and y differ in length, there are fewer than n_way classes, a class has too few rows,
        or a number is out of range.
    TypeError
        If an option is of the wrong kind.

    Notes
    -----
    To compare several numbers of shots on the same queries, draw the largest and take
    ``episodes.with_shots(1)``.

    References
    ----------
    .. [1] O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu and D. Wierstra, "Matching
       networks for one shot learning", NeurIPS 2016.
    .. [2] O. Veilleux, M. Boudiaf, P. Piantanida and I. Ben Ayed, "Realistic evaluation of
       transductive few-shot learning", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_episodes
    >>> X, y = np.arange(90.0).reshape(30, 3), np.repeat(list("abc"), 10)
    >>> episodes = make_episodes(X, y, n_episodes=4, n_way=2, n_query=5, random_state=0)
    >>> episodes.X.shape, episodes.queries.shape
    ((4, 2, 3), (4, 10, 3))
    """
    X, (classes, codes) = np.asarray(X), class_codes(y)
    if X.ndim == 0 or len(X) != len(codes):
        raise ValueError(f"X must have a row for each of the {len(codes)} labels, got {X.shape}")
    n_episodes = checked_integer("n_episodes", n_episodes, 1)
    n_way = checked_integer("n_way", n_way, 1, len(classes), high_name="n_classes")
    n_shot = checked_integer("n_shot", n_shot, 1)
    n_query = checked_integer("n_query", n_query, 1)
    sizes = checked_choice("query_sizes", query_sizes, QuerySizes)
    concentration = checked_real("concentration", concentration, 0, low_open=True)
    counts = np.bincount(codes)
    if counts.min() < n_shot + (n_query if sizes is QuerySizes.BALANCED else 0):
        smallest = int(np.argmin(counts))
        raise ValueError(
            f"class {str(classes[smallest])!r} has {counts[smallest]} rows, too few for "
            f"n_shot={n_shot} and n_query={n_query}"
        )
    rng = random_generator(random_state)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    support = np.empty((n_episodes, n_way * n_shot), dtype=np.intp)
    queries = np.empty((n_episodes, n_way * n_query), dtype=np.intp)
    for episode in range(n_episodes):
        ways, n_queries = _draw_sizes(rng, counts - n_shot, n_way, n_query, sizes, concentration)
        drawn = [
            rng.choice(members[way], n_shot + size, replace=False)
            for way, size in zip(ways, n_queries, strict=True)
        ]
        support[episode] = np.concatenate([rows[:n_shot] for rows in drawn])
        queries[episode] = np.concatenate([rows[n_shot:] for rows in drawn])
    labels = classes[codes]
    return Episodes(X[support], labels[support], X[queries], labels[queries], support, queries)


def _draw_sizes(rng, available, n_way, n_query, sizes, concentration):
    """Classes of an episode and how many queries each has."""
    for _ in range(_MAX_DRAWS):
        ways = rng.choice(len(available), n_way, replace=False)
        if sizes is QuerySizes.BALANCED:
            return ways, np.full(n_way, n_query)
        shares = rng.dirichlet(np.full(n_way, concentration))
        n_queries = rng.multinomial(n_way * n_query, shares)
        if (n_queries <= available[ways]).all():
            return ways, n_queries
    raise ValueError(
        f"no sizes in {_MAX_DRAWS} draws fit the classes of the pool, whose smallest has "
        f"{available.min()} rows left for queries; lower n_query={n_query} or n_shot"
    )

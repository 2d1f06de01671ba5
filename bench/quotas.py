"""Clusters of bounded sizes: the rows, the costs, and whether an answer is optimal.

``quotas`` assigns rows to centres, ``capacity`` the rows of a stored matrix of squared distances,
both to clusters of n/k rows each; ``balanced`` is a whole fit from given centres. Nobody is
believed: costs, sizes and prices are put into the problem in float64, whose optimum lies above the
dual value of anybody's prices.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import kmeans_plusplus

BLOCK_VALUES = 1 << 22
MODES = 60
WIDTHS = 0.055, 0.165  # of the modes, in every coordinate, for directions of length 1


class Assigned(NamedTuple):
    """Answer of an assignment: labels, and prices if the method has some."""

    labels: np.ndarray
    prices: np.ndarray | None = None


class Verdict(NamedTuple):
    """What is kept of an answer.

    ``cost`` is that of the labels, ``dual`` no assignment can be below (-inf without prices),
    ``gap`` their difference from non-negative terms, so that it keeps its digits; ``outside`` is
    the number of rows too many or too few.
    """

    cost: float
    dual: float
    gap: float
    outside: int


def zipf(rng, case):
    """Directions around modes of different widths with shares 1, 1/2, 1/3, ...; centres drawn by
    k-means++."""
    modes = _unit(rng.standard_normal((MODES, case.d)))
    widths = rng.uniform(*WIDTHS, size=(MODES, 1))
    shares = 1 / np.arange(1, MODES + 1)
    which = rng.choice(MODES, size=case.n, p=shares / shares.sum())
    X = np.empty((case.n, case.d), dtype=case.dtype)
    step = max(1, BLOCK_VALUES // case.d)
    for start in range(0, case.n, step):
        cut = slice(start, start + step)
        noise = rng.standard_normal((len(X[cut]), case.d))
        X[cut] = _unit(modes[which[cut]] + widths[which[cut]] * noise)
    return X, kmeans_plusplus(X, case.k, random_state=int(rng.integers(2**31)))[0]


def _unit(A):
    return A / np.linalg.norm(A, axis=1, keepdims=True)


def sizes(case) -> tuple[int, int]:
    """Bounds of every cluster: n/k, rounded down and up."""
    return case.n // case.k, -(-case.n // case.k)


def costs(X, Y) -> np.ndarray:
    """Squared distances in float64 from differences: nothing cancels."""
    return cdist(X.astype(np.float64), Y.astype(np.float64), "sqeuclidean")


def digest(problem, answer):
    """Of an assignment its :class:`Verdict`, of a fit (labels) its inertia and rows outside."""
    if problem.case.op == "balanced":
        labels = np.asarray(answer)
        return inertia(problem.X, labels, problem.case.k), outside(labels, *_setup(problem.case))
    return judged(answer, _blocks(problem), *_setup(problem.case))


def verdicts(problem, digests: Mapping[str, object]) -> dict[str, dict]:
    """Fields of a result line.

    ``error`` is what the contestant's own prices leave open of the cost of an assignment, or
    without prices how much it is above the best lower bound that anybody's prices prove, relative to
    the cost; of a fit, its inertia above the best one. ``infeasible`` are the rows outside of the
    bounds.
    """
    if problem.case.op == "balanced":
        best = min(value for value, _ in digests.values())
        return {
            name: {"error": value / best - 1, "inertia": value, "infeasible": wrong}
            for name, (value, wrong) in digests.items()
        }
    best = max(found.dual for found in digests.values())
    return {
        name: {
            "error": _open_share(found, best),
            "infeasible": found.outside,
        }
        for name, found in digests.items()
    }


def _open_share(found, best):
    """Of the gap every term counts, while a difference of totals has no digits below 1e-16."""
    if np.isfinite(found.gap):
        return found.gap / found.cost
    return max(1 - best / found.cost, 0.0)


def judged(answer: Assigned, blocks, n_clusters: int, low: int, high: int) -> Verdict:
    """Cost, dual value and gap of an answer, from blocks of rows of the costs in float64."""
    labels, prices = np.asarray(answer.labels), answer.prices
    p = np.zeros(n_clusters) if prices is None else np.asarray(prices, dtype=np.float64)
    cost = dual = slack = 0.0
    start = 0
    for D in blocks:
        own = labels[start : start + len(D)]
        chosen = D[np.arange(len(D)), own]
        priced = D + p
        least = priced.min(axis=1)
        cost += float(chosen.sum())
        dual += float(least.sum())
        slack += float((priced[np.arange(len(D)), own] - least).sum())
        start += len(D)
    counts = np.bincount(labels, minlength=n_clusters)
    quota = np.where(p > 0, high, low)
    dual -= float(quota @ p)
    gap = slack + float((p * (quota - counts)).sum())
    wrong = outside(labels, n_clusters, low, high)
    return Verdict(cost, *((-np.inf, np.inf) if prices is None else (dual, gap)), wrong)


def outside(labels, n_clusters: int, low: int, high: int) -> int:
    """Rows that are too many or too few in their clusters."""
    counts = np.bincount(labels, minlength=n_clusters)
    return int(np.maximum(counts - high, 0).sum() + np.maximum(low - counts, 0).sum())


def inertia(X, labels, n_clusters: int) -> float:
    """Squared distances to the means of the clusters, in float64."""
    X = X.astype(np.float64)
    order = np.argsort(labels, kind="stable")
    cuts = np.searchsorted(labels[order], np.arange(n_clusters + 1))
    parts = (X[order[a:b]] for a, b in pairwise(cuts) if b > a)
    return float(sum(np.square(part - part.mean(axis=0)).sum() for part in parts))


def _setup(case):
    return case.k, *sizes(case)


def _blocks(problem):
    if problem.case.op == "capacity":
        return [problem.cost]
    step = max(1, BLOCK_VALUES // problem.case.k)
    return (
        costs(problem.X[start : start + step], problem.Y)
        for start in range(0, problem.case.n, step)
    )

"""Whole factorisations: the matrix that everybody is given, and the objective of what comes back.

``nmf`` minimises squares on a dense product with noise, ``counts`` the Kullback-Leibler divergence
of a sparse table drawn from topics. A contestant returns ``Factors``; ``error`` is how far its
objective, in float64, is above the best one of the case.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse

OPS = ("nmf", "counts")
ROW_SUM = 900  # mean number of counts in a row
NOISE = 0.1
BLOCK = 500


class Factors(NamedTuple):
    """Answer of a factorisation: X is near W H."""

    W: np.ndarray
    H: np.ndarray


@lru_cache(maxsize=1)
def matrix(case):
    """X of a case: ndarray, or CSR array of counts."""
    rng = np.random.default_rng(0)
    if case.op == "nmf":
        W = rng.dirichlet(np.full(case.k, 0.3), case.n)
        X = W @ rng.random((case.k, case.d)) + NOISE * rng.random((case.n, case.d))
        return X.astype(case.dtype)
    topics = rng.dirichlet(np.full(case.d, 0.02), case.k)
    W = rng.dirichlet(np.full(case.k, 0.1), case.n)
    blocks = [W[first : first + BLOCK] @ topics for first in range(0, case.n, BLOCK)]
    counts = [sparse.csr_array(rng.poisson(ROW_SUM * block)) for block in blocks]
    return sparse.vstack(counts, format="csr").astype(case.dtype)


def objective(case, answer: Factors) -> float:
    """Half the squares, or the divergence up to a constant of the table."""
    X = matrix(case)
    W, H = (np.asarray(factor, dtype=np.float64) for factor in answer)
    if case.op == "nmf":
        return float(sum(np.square(X[i : i + BLOCK] - W[i : i + BLOCK] @ H).sum() / 2
                         for i in range(0, case.n, BLOCK)))  # fmt: skip
    total = float(W.sum(axis=0) @ H.sum(axis=1))
    for i in range(case.n):
        cells = slice(X.indptr[i], X.indptr[i + 1])
        expected = W[i] @ H[:, X.indices[cells]]
        total += float(X.data[cells] @ np.log(X.data[cells] / np.maximum(expected, 1e-300)))
    return total - float(X.sum())


def verdicts(digests: Mapping[str, float]) -> dict[str, dict]:
    """``error``: the objective over the best one, less 1."""
    best = min(digests.values())
    return {name: {"error": value / best - 1} for name, value in digests.items()}

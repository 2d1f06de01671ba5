"""Steps of mixtures: what everybody is given, and the answer in float64.

``plsa`` and ``fold`` take the largest numbers of X as counts, and sizes of numbers as factors;
``shift`` and ``tempered`` take rows of X as classifications, and draw a domain for each.
"""

import numpy as np

POWERS = {"shift": 1.0, "tempered": 3.0}
_LEAST = 0.954165  # leaves ``cases.SHARE_OF_CELLS`` of a normal distribution
TINY = 1e-300

__all__ = ["POWERS", "full_table", "is_mixture", "posterior_arguments", "table", "true_rows"]


def is_mixture(problem) -> bool:
    """Whether an answer has a row for each row of the table."""
    return problem.case.op in ("plsa", "fold")


def table(problem) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Compressed rows, W (n, k) and H (d, k)."""
    filled = problem.X > _LEAST
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    cells = indptr, np.nonzero(filled)[1].astype(np.int32), problem.X[filled]
    return cells, np.abs(problem.X[:, : problem.case.k]), np.ascontiguousarray(np.abs(problem.Y.T))


def full_table(problem) -> np.ndarray:
    """The same counts with the cells that hold nothing."""
    return np.where(problem.X > _LEAST, problem.X, 0)


def posterior_arguments(problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H (n, d), D (k, d) and the domain of each row."""
    domains = np.random.default_rng(1).integers(0, problem.case.k, problem.case.n, dtype=np.int32)
    return np.abs(problem.X), np.abs(problem.Y), domains


def true_rows(problem) -> np.ndarray:
    """Rows ``problem.rows`` of the sums or weights of a table; all sums of domains."""
    if problem.case.op in POWERS:
        H, D, domains = posterior_arguments(problem)
        P = H.astype(np.float64) * D[domains]
        G = P ** POWERS[problem.case.op]
        G /= G.sum(axis=1, keepdims=True)
        return np.stack([np.bincount(domains, g, len(D)) for g in G.T], axis=1)
    X = full_table(problem)[problem.rows].astype(np.float64)
    _, W, H = table(problem)
    W, H = W[problem.rows].astype(np.float64), H.astype(np.float64)
    if problem.case.op == "plsa":
        return W * ((X / (W @ H.T)) @ H)
    W = np.full(W.shape, 1 / W.shape[1])
    for _ in range(problem.case.iterations):
        quotients = X / np.maximum(W @ H.T, TINY)
        W *= quotients @ H / np.maximum(X.sum(axis=1, keepdims=True), TINY)
    return np.where(X.any(axis=1)[:, None], W, 1 / W.shape[1])

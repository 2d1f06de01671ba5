"""One sweep over a non-negative factor: what everybody is given, and the answer in float64.

``hals`` works on the products R = X H' and G = H H', ``masked`` on X itself with weights of 0 and 1
for its cells. Sweeps are in place: the first one is judged, those that are timed go on from there.
"""

import numpy as np

SHARE = 0.7  # of the cells that have weight

__all__ = ["arguments", "is_factor", "true_rows"]


def is_factor(problem) -> bool:
    """Whether a case is such a sweep."""
    return problem.case.op in ("hals", "masked")


def arguments(problem) -> tuple[np.ndarray, ...]:
    """The factor (n, k) to be changed, then R and G, or X, V and H."""
    H, W = np.abs(problem.Y), np.abs(problem.X[:, : problem.case.k])
    if problem.case.op == "hals":
        return W, problem.X @ H.T, H @ H.T
    weights = np.random.default_rng(1).random(problem.X.shape) < SHARE
    return W, problem.X, weights.astype(problem.case.dtype), H


def true_rows(problem) -> np.ndarray:
    """Rows ``problem.rows`` after one sweep."""
    W, *rest = arguments(problem)
    rows = problem.rows
    W, *rest = (A.astype(np.float64) for A in (W[rows], rest[0][rows], *rest[1:]))
    if problem.case.op == "hals":
        R, G = rest
        for t in range(problem.case.k):
            W[:, t] = np.maximum(0, W[:, t] + (R[:, t] - W @ G[:, t]) / G[t, t])
        return W
    X, V, H = rest
    V = V[rows]
    for t, h in enumerate(H):
        d = V @ (h * h)
        step = (V * (X - W @ H)) @ h / np.where(d > 0, d, 1)
        W[:, t] = np.maximum(0, W[:, t] + step)
    return W

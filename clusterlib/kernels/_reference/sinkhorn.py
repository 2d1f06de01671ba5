"""Reference of the kernels in ``kernels/sinkhorn.py``: float64 throughout, one leaf at a time."""

import numpy as np

from clusterlib.kernels._reference.pairwise import pairwise_distances
from clusterlib.kernels._reference.sinkhorn_columns import column_step, logs_to_trust
from clusterlib.kernels.leaves import SWEEP_ROWS

__all__ = [
    "scaling_iterate",
    "sinkhorn_batch",
    "sinkhorn_iterate",
    "sinkhorn_iterate_points",
    "sinkhorn_plan",
    "sinkhorn_sweep",
    "sinkhorn_sweep_points",
    "weighted_gram_product",
]


def _stored(C, scores=False):
    """Rows of a stored cost, or of a plan, in float64; sums depend on the order in memory."""
    sign = -1.0 if scores else 1.0
    return lambda rows: sign * np.array(C[rows], dtype=np.float64, order="C")


def _between_points(X, Y, metric):
    """Rows of the cost between two point clouds; refuses NaN and infinity."""

    def cost(rows):
        out = np.empty((rows.stop - rows.start, len(Y)))
        pairwise_distances(X[rows], Y, metric, out, 1)
        return out

    return cost


def _leaves(n):
    return [slice(i, min(i + SWEEP_ROWS, n)) for i in range(0, n, SWEEP_ROWS)]


def _tree_sum(leaves, terms):
    """Sum ``terms(leaf)``: neighbours first, an odd last one carried up."""
    if len(leaves) == 1:
        return terms(leaves[0])
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    return _tree_sum(leaves[:left], terms) + _tree_sum(leaves[left:], terms)


def _row_potentials(gap, epsilon, log_a, tau_a, f_max):
    """New potentials of rows with g_j - C_ij = ``gap``, and their plan.

    The plan of a balanced row is its softmax times its weight, which is exact whatever the
    rounding of the potential; a damped or capped one follows from the potential.
    """
    highest = gap.max(axis=1)
    softmax = np.exp((gap - highest[:, None]) / epsilon)
    total = softmax.sum(axis=1)
    softmax /= total[:, None]
    f = np.minimum(f_max, tau_a * (epsilon * (log_a - np.log(total)) - highest))
    f[log_a == -np.inf] = -np.inf
    balanced = (f < f_max) if tau_a == 1.0 else np.zeros(len(f), dtype=bool)
    by_weight = np.exp(log_a)[:, None] * softmax
    return f, np.where(balanced[:, None], by_weight, _plan_rows(gap, epsilon, f))


def _plan_rows(gap, epsilon, f):
    return np.exp((f[:, None] + gap) / epsilon)


def _column_sums(rows, plan):
    return plan.sum(axis=0)


def _sweep(
    cost, n, epsilon, log_a, f, g, tau_a=1.0, f_max=np.inf, update_f=True, terms=_column_sums
):
    """Sum over the leaves of ``terms(rows, plan)``; f (n,) is updated in place."""

    def leaf_terms(rows):
        gap = g - cost(rows)
        if not update_f:
            return terms(rows, _plan_rows(gap, epsilon, f[rows]))
        f[rows], plan = _row_potentials(gap, epsilon, log_a[rows], tau_a, f_max)
        return terms(rows, plan)

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _tree_sum(_leaves(n), leaf_terms) if n else 0.0


def sinkhorn_sweep(
    C, epsilon, log_a, f, g, tau_a, f_max, update_f, precise, scores, column_sums, n_threads
):
    """Update row potentials, write the column sums; f, g, sums are (R, n), (R, m), (R, m)."""
    for r in range(len(f)):
        column_sums[r] = _sweep(
            _stored(C, scores), len(C), epsilon, log_a[r], f[r], g[r], tau_a, f_max, update_f
        )


def sinkhorn_sweep_points(
    X, Y, metric, epsilon, log_a, f, g, tau_a, f_max, update_f, column_sums, n_threads
):
    """Do the same for the cost between two point clouds; vectors are one-dimensional."""
    cost = _between_points(X, Y, metric)
    column_sums[:] = _sweep(cost, len(X), epsilon, log_a, f, g, tau_a, f_max, update_f)


def _column_logs(cost, n, epsilon, f, g):
    """Logarithms of the column sums, shifted by the largest exponent: nothing underflows."""
    logs = np.full(len(g), -np.inf)
    for rows in _leaves(n):
        exponents = (f[rows, None] + g - cost(rows)) / epsilon
        highest = exponents.max(axis=0)
        shift = np.where(np.isfinite(highest), highest, 0.0)
        total = np.exp(exponents - shift).sum(axis=0)
        logs = np.logaddexp(logs, shift + np.log(total))
    return logs


def _iterate(cost, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, history):
    """Iterate one or several right-hand sides together; return how many iterations were done."""
    n = log_a.shape[1]
    for done in range(n_iters):
        steps = []
        for r in range(len(f)):
            sums = _sweep(cost, n, epsilon, log_a[r], f[r], g[r], tau_a)
            with np.errstate(divide="ignore", over="ignore"):
                logs = np.log(sums)
                if not logs_to_trust(logs, log_b[r]).all():
                    exact = _column_logs(cost, n, epsilon, f[r], g[r])
                    logs = np.where(logs_to_trust(logs, log_b[r]), logs, exact)
                    sums = np.exp(logs)
            target, history[r, done, 0], history[r, done, 1] = column_step(
                epsilon, log_a[r], log_b[r], f[r], g[r], tau_a, tau_b, sums, logs
            )
            steps.append(target)
        if tol > 0 and (history[:, done, 0] <= tol).all():
            return done + 1
        for r, target in enumerate(steps):
            here = log_b[r] > -np.inf
            g[r, here] += relaxation * (target[here] - g[r, here])
    return n_iters


def sinkhorn_iterate(
    C, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, precise, history,
    n_threads,
):  # fmt: skip
    """Iterate on a stored cost; vectors and history have a leading axis of right-hand sides."""
    return _iterate(
        _stored(C), epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, history
    )


def sinkhorn_iterate_points(
    X, Y, metric, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, history,
    n_threads,
):  # fmt: skip
    """Iterate on the cost between two point clouds; vectors are one-dimensional."""
    cost = _between_points(X, Y, metric)
    one = (a[None] for a in (log_a, log_b, f, g))
    return _iterate(cost, epsilon, *one, tau_a, tau_b, relaxation, n_iters, tol, history[None])


def sinkhorn_plan(
    C, epsilon, log_a, f, g, row_weight, precise, scores, out, row_sums, column_sums,
    column_squares, n_threads,
):  # fmt: skip
    """Write the plan with its row sums, column sums and weighted column sums of squares."""

    def terms(rows, plan):
        out[rows] = plan
        row_sums[rows] = plan.sum(axis=1)
        weight = 0.0 if row_weight is None else row_weight[rows, None]
        return np.stack([plan.sum(axis=0), (weight * plan**2).sum(axis=0)])

    sums = np.zeros((2, len(g)))
    sums += _sweep(
        _stored(C, scores), len(C), epsilon, log_a, f, g, update_f=log_a is not None, terms=terms
    )
    column_sums[:] = sums[0]
    if column_squares is not None:
        column_squares[:] = sums[1]


def sinkhorn_batch(
    C, epsilon, log_a, log_b, f, g, tau_a, tau_b, max_iter, tol, n_iter, error, n_threads
):
    """Iterate every problem by itself."""
    history = np.empty((1, max_iter, 2))
    for b in range(len(C)):
        one = (a[b : b + 1] for a in (log_a, log_b, f, g))
        n_iter[b] = _iterate(
            _stored(C[b]), epsilon[b], *one, tau_a, tau_b, 1.0, max_iter, tol, history
        )
        error[b] = history[0, n_iter[b] - 1, 0]


def _divide(numerator, denominator, otherwise):
    """numerator / denominator; ``otherwise`` where that is no positive number."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = numerator / denominator
    return np.where(np.isfinite(ratio) & (ratio > 0), ratio, otherwise)


def scaling_iterate(K, a, b, u, v, relaxation, n_iters, tol, limit, history, n_threads):
    """Iterate u = a / Kv, v = b / K'u; return how many iterations were done."""
    u[a == 0], v[b == 0] = 0.0, 0.0
    rows_of, leaves = _stored(K), _leaves(len(K))
    for done in range(n_iters):

        def terms(rows):
            k = rows_of(rows)
            u[rows] = np.where(a[rows] > 0, _divide(a[rows], k @ v, limit * limit), 0.0)
            return u[rows] @ k

        sums = _tree_sum(leaves, terms)
        history[done] = np.abs(v * sums - b).sum()
        if tol > 0 and history[done] <= tol:
            return done + 1
        here = b > 0
        ratio = _divide(b[here], sums[here], limit * limit)
        v[here] = v[here] ** (1.0 - relaxation) * ratio**relaxation
        scalings = np.concatenate([u[a > 0], v[here]])
        if ((scalings > limit) | (scalings < 1.0 / limit)).any():
            return done + 1
    return n_iters


def weighted_gram_product(K, weight, vector, product, n_threads):
    """Write K' diag(weight) K vector."""
    rows_of = _stored(K)

    def terms(rows):
        k = rows_of(rows)
        return (weight[rows] * (k @ vector)) @ k

    product[:] = _tree_sum(_leaves(len(K)), terms) if len(K) else 0.0

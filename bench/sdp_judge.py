"""Are the answers of the semidefinite cases right? Their objectives are evaluated in float64.

No solver is believed: what it gives back, a factor or a matrix, is put into the program as it is
written down, and how far it breaks the constraints is reported beside its value, because a matrix
that breaks them may well have a value above the optimum.
"""

from collections.abc import Mapping

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import linear_sum_assignment

from bench.problems import BLOCK, Bound, Factor, Matrices, Problem, Simplex

FEASIBLE = 1e-3  # a value counts as one to be compared with if no constraint is broken by more
ROUNDING = 1e-9
MOST_STEPS = 50


def digest(problem: Problem, answer) -> tuple | float:
    """What is kept of an answer: (value, infeasibility, iterations), a cost, a share, a bound."""
    case = problem.case
    if isinstance(answer, Bound):
        if answer.W is None:
            return float(answer.lower), None
        value, _, _ = _relaxed_value(problem, Simplex(answer.W))
        return float(answer.lower), _scatter(problem) - value
    if case.op == "mixture":
        return _share_found(problem.labels, np.asarray(answer), case.k)
    if case.op == "sketch":
        return _cost(problem, np.asarray(answer))
    if case.op == "likelihood":
        return _likelihood_value(problem, answer)
    return _relaxed_value(problem, answer)


def verdicts(problem: Problem, digests: Mapping[str, object]) -> dict[str, dict]:
    """Fields of a result line about correctness.

    ``error`` of a ``relaxation`` is how much more its k-means cost is than the lowest one among
    the contestants, relative to it; of a ``likelihood`` how much less its value is than the
    largest, for each number of X; of a ``sketch`` how much more its cost is than that of Lloyd's
    iteration from the planted centres; of a ``certificate`` or ``bound`` the gap to that cost,
    and a ``false_bound`` lies above it. ``infeasible`` is the largest error of a trace or a row
    sum or the least entry, ``accuracy`` the share of rows in their planted group.
    """
    op = problem.case.op
    if op == "mixture":
        return {name: {"accuracy": value} for name, value in digests.items()}
    if op in ("sketch", "certificate", "bound"):
        cost = reference_cost(problem)
        if op == "sketch":
            return {name: {"error": value / cost - 1} for name, value in digests.items()}
        return {name: _gap(cost, *value) for name, value in digests.items()}
    feasible = [value for value, infeasible, _ in digests.values() if infeasible <= FEASIBLE]
    best = max(feasible or [value for value, _, _ in digests.values()])
    scale = problem.X.size if op == "likelihood" else _scatter(problem) - best
    return {
        name: {"error": (best - value) / scale, "infeasible": infeasible, "n_iter": n_iter}
        for name, (value, infeasible, n_iter) in digests.items()
    }


def _gap(cost, lower, relaxed):
    wanted = cost if relaxed is None else relaxed
    return {"error": (wanted - lower) / wanted, "false_bound": lower > cost * (1 + ROUNDING)}


def reference_cost(problem: Problem) -> float:
    """k-means cost at the end of Lloyd's iteration from the planted partition."""
    labels, last = problem.labels, None
    for _ in range(MOST_STEPS):
        centers = _means(problem, labels)
        labels, cost = _assign(problem, centers)
        if last is not None and cost >= last * (1 - 1e-12):
            break
        last = cost
    return cost


def _relaxed_value(problem, answer):
    """``<A, Z>`` with A the inner products of the centred rows."""
    mean = problem.X.mean(axis=0, dtype=np.float64)
    if isinstance(answer, Matrices):
        X, Z = problem.X - mean, answer.Z[0]
        return float(np.vdot(X @ X.T, Z)), _broken(answer.Z, problem.case.k), int(answer.n_iter)
    U, n_iter, infeasible = _factor(problem, answer)
    products = sum(_centred(problem, rows, mean).T @ U[rows] for rows in _blocks(len(U)))
    traces = abs((U * U).sum() - problem.case.k)
    return float((products**2).sum()), float(max(infeasible, traces)), n_iter


def _likelihood_value(problem, answer):
    """``sum_k <A_k, Z_k>``, see :func:`clusterlib.solvers.likelihood_gram`, traces 1 for each."""
    whitened, lengths, offsets = _whitened(problem)
    value, infeasible = 0.0, 0.0
    if isinstance(answer, Matrices):
        for Y, length, offset, Z in zip(whitened, lengths, offsets, answer.Z, strict=True):
            value += np.vdot(Y @ Y.T, Z) + (offset - length) @ Z.sum(axis=1)
            infeasible = max(infeasible, abs(np.trace(Z) - 1), -Z.min())
        rows = np.abs(answer.Z.sum(axis=(0, 2)) - 1).max()
        return float(value), float(max(infeasible, rows)), int(answer.n_iter)
    W = np.asarray(answer.W, dtype=np.float64)
    sizes = W.sum(axis=0)
    for k, (Y, length, offset) in enumerate(zip(whitened, lengths, offsets, strict=True)):
        live = np.flatnonzero((answer.group == k) & (sizes > 0))
        columns = W[:, live]
        value += (((Y.T @ columns) ** 2).sum(axis=0) / sizes[live]).sum()
        value += (offset - length) @ columns.sum(axis=1)
        trace = ((columns**2).sum(axis=0) / sizes[live]).sum()
        infeasible = max(infeasible, abs(trace - 1))
    rows = np.abs(W.sum(axis=1) - 1).max()
    return float(value), float(max(infeasible, rows, -W.min())), int(answer.n_iter)


def _whitened(problem):
    X = problem.X - problem.X.mean(axis=0, dtype=np.float64)
    factors = np.linalg.cholesky(problem.covariances)
    whitened = [solve_triangular(factor, X.T, lower=True).T for factor in factors]
    lengths = [(Y * Y).sum(axis=1) for Y in whitened]
    return whitened, lengths, [-2 * np.log(np.diag(factor)).sum() for factor in factors]


def _factor(problem, answer):
    """U with ``Z = U U'``, the iterations, and how far rows and signs are off."""
    if isinstance(answer, Factor):
        U = np.asarray(answer.U, dtype=np.float64)
        rows = U @ U.sum(axis=0)
        return U, int(answer.n_iter), max(np.abs(rows - 1).max(), -U.min())
    if isinstance(answer, Simplex):
        W = np.asarray(answer.W, dtype=np.float64)
        n_iter = int(answer.n_iter)
    else:  # labels of a partition
        W, n_iter = np.zeros((problem.case.n, problem.case.k)), 0
        W[np.arange(len(W)), answer] = 1.0
    sizes = W.sum(axis=0)
    live = sizes > 0
    rows = np.abs(W.sum(axis=1) - 1).max()
    return W[:, live] / np.sqrt(sizes[live]), n_iter, max(rows, -W.min())


def _broken(Z, n_clusters):
    traces = abs(np.trace(Z, axis1=1, axis2=2).sum() - n_clusters)
    return float(max(traces, np.abs(Z.sum(axis=(0, 2)) - 1).max(), -Z.min()))


def _blocks(n):
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


def _centred(problem, rows, mean):
    return problem.X[rows] - mean


def _scatter(problem):
    mean = problem.X.mean(axis=0, dtype=np.float64)
    return float(
        sum((_centred(problem, rows, mean) ** 2).sum() for rows in _blocks(len(problem.X)))
    )


def _means(problem, labels):
    sums = np.zeros((problem.case.k, problem.case.d))
    for rows in _blocks(len(problem.X)):
        np.add.at(sums, labels[rows], problem.X[rows].astype(np.float64))
    return sums / np.maximum(np.bincount(labels, minlength=problem.case.k), 1)[:, None]


def _assign(problem, centers):
    """Nearest centres, and what they cost."""
    labels, cost = np.empty(problem.case.n, dtype=np.int32), 0.0
    half = (centers**2).sum(axis=1) / 2
    for rows in _blocks(problem.case.n):
        X = problem.X[rows].astype(np.float64)
        scores = X @ centers.T - half
        labels[rows] = scores.argmax(axis=1)
        cost += (X * X).sum() - 2 * scores.max(axis=1).sum()
    return labels, float(cost)


def _cost(problem, centers):
    return _assign(problem, centers.astype(np.float64))[1]


def _share_found(truth, labels, k):
    """Share of rows in their planted group, under the best matching of the names."""
    table = np.zeros((k, max(k, labels.max() + 1)))
    np.add.at(table, (truth, labels), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(truth))

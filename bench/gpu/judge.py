"""What an answer is worth: a sample of it against float64 on the host."""

import numpy as np

from bench.gpu.cases import TOP
from bench.gpu.problems import Problem
from clusterlib import kernels

SAMPLES = {"distances": 64, "topk": 128, "sinkhorn": 128, "points": 128}
SAMPLE = 512


def judge(problem: Problem, answer) -> dict:
    """Compare a sample of rows (``sums``, ``moments``: all of it).

    Returns ``checked``, the number of rows, and ``wrong``, how many of their integers differ from
    the exact ones, or ``deviation``, the largest error beside the largest value. Nothing is said of
    None, which only stands for a cost.
    """
    if answer is None:
        return {"checked": 0}
    return _JUDGES[problem.case.op](problem, answer)


def _sampled(problem, array):
    """Evenly spaced rows, on the host."""
    wanted = SAMPLES.get(problem.case.op, SAMPLE)
    step = max(1, problem.case.n // wanted)
    return problem.device.to_host(array[::step][:wanted])


def _wide(problem):
    """The sample of X and all of Y in float64."""
    X, Y = _sampled(problem, problem.X), problem.device.to_host(problem.Y)
    return X.astype(np.float64), Y.astype(np.float64)


def _deviation(result, expected):
    result, expected = np.asarray(result, np.float64), np.asarray(expected, np.float64)
    if result.shape != expected.shape:
        raise ValueError(f"an answer of shape {result.shape} instead of {expected.shape}")
    scale = max(float(np.max(np.abs(expected), initial=0.0)), 1e-300)
    worst = float(np.max(np.abs(result - expected), initial=0.0)) / scale
    return {"checked": len(expected), "deviation": worst}


def _argmin(problem, labels):
    X, Y = _wide(problem)
    wrong = _sampled(problem, labels) != kernels.pairwise_argmin(X, Y)
    return {"checked": len(X), "wrong": int(wrong.sum())}


def _topk(problem, nearest):
    X, Y = _wide(problem)
    expected = kernels.pairwise_topk(X, Y, min(TOP, len(Y)))[1]
    return {"checked": len(X), "wrong": int((_sampled(problem, nearest) != expected).sum())}


def _distances(problem, D):
    return _deviation(_sampled(problem, D), kernels.pairwise_distances(*_wide(problem)))


def _logsumexp(problem, lse):
    return _deviation(_sampled(problem, lse), kernels.pairwise_logsumexp(*_wide(problem)))


def _sums(problem, sums):
    X, labels = (problem.device.to_host(array) for array in (problem.X, problem.labels))
    return _deviation(
        problem.device.to_host(sums), kernels.cluster_sums(X, labels, problem.case.k)[0]
    )


def _updated_rows(case, scores):
    """The potentials of rows whose (g - cost) / epsilon are given."""
    top = scores.max(axis=1)
    lse = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return case.epsilon * (-np.log(case.n) - lse)


def _sinkhorn(problem, f):
    scores = -_sampled(problem, problem.X).astype(np.float64) / problem.case.epsilon
    return _deviation(_sampled(problem, f), _updated_rows(problem.case, scores))


def _points(problem, potentials):
    """The potentials of the rows are the update that belongs to those of the columns."""
    f, g = potentials
    g = problem.device.to_host(g).astype(np.float64)
    scores = (g - kernels.pairwise_distances(*_wide(problem))) / problem.case.epsilon
    return _deviation(_sampled(problem, f), _updated_rows(problem.case, scores))


def _softmax(problem, posterior):
    scores = _sampled(problem, problem.X).astype(np.float64)
    expected = np.exp(scores - scores.max(axis=1)[:, None])
    expected /= expected.sum(axis=1)[:, None]
    return _deviation(_sampled(problem, posterior), expected)


def _moments(problem, scatters):
    """Scatters of the first classes."""
    X, labels = (problem.device.to_host(array) for array in (problem.X, problem.labels))
    some = range(min(3, problem.case.k))
    members = [X[labels == c].astype(np.float64) for c in some]
    centred = [rows - rows.sum(axis=0) / max(len(rows), 1) for rows in members]
    expected = [rows.T @ rows for rows in centred]
    return _deviation(problem.device.to_host(scatters[: len(some)]), np.array(expected))


def _fit(problem, answer):
    """Every row has the label of its nearest centre, and the cost is that of the fit."""
    labels, centers = answer
    X = _sampled(problem, problem.X).astype(np.float64)
    Y = problem.device.to_host(centers).astype(np.float64)
    nearest, costs = kernels.pairwise_argmin(X, Y, return_distance=True)
    wrong = _sampled(problem, labels) != nearest
    return {"checked": len(X), "wrong": int(wrong.sum()), "cost": float(costs.mean())}


_JUDGES = {
    "argmin": _argmin,
    "distances": _distances,
    "topk": _topk,
    "logsumexp": _logsumexp,
    "sums": _sums,
    "sinkhorn": _sinkhorn,
    "points": _points,
    "moments": _moments,
    "softmax": _softmax,
    "fit": _fit,
}

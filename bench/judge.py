"""Is the answer right? Every timed answer is compared with the others and with float64 sums.

``digest`` keeps of an answer what is compared, so that large answers can be freed at once;
``verdicts`` compares the digests.
"""

from collections.abc import Mapping

import numpy as np

from bench import factor_fits, mixtures, pairings, quotas, sdp_judge, transport_judge
from bench.cases import QUOTAS, SDP, TRANSPORT
from bench.factors import is_factor, true_rows
from bench.problems import Problem

MAX_ROWS = 400  # disputed rows that are recomputed
UNDECIDED = 1e-12  # distances closer than this (relative) may swap in any float64 summation
SAME_INERTIA = 1e-5


def digest(problem: Problem, answer) -> np.ndarray | tuple[float, int] | None:
    """What is kept of an answer; None when the contestant only produces time."""
    if answer is None:
        return None
    if problem.case.op == "fit":
        return _inertia(problem, answer.centers), answer.n_iter
    if problem.case.op in TRANSPORT:
        return transport_judge.digest(problem, answer)
    if problem.case.op in SDP:
        return sdp_judge.digest(problem, answer)
    if problem.case.op in QUOTAS:
        return quotas.digest(problem, answer)
    if problem.case.op == "pairing":
        return pairings.digest(problem, answer)
    if problem.case.op in factor_fits.OPS:
        return factor_fits.objective(problem.case, answer)
    answer = np.asarray(answer)
    by_rows = problem.case.op in ("distances", "logsumexp", "softmax")
    if by_rows or is_factor(problem) or mixtures.is_mixture(problem):
        return np.array(answer[problem.rows], dtype=np.float64)
    return np.array(answer)


def verdicts(problem: Problem, digests: Mapping[str, object]) -> dict[str, dict]:
    """Fields of a result line about correctness, for each contestant that gave an answer.

    ``agreement`` is the share of rows on which the first contestant says the same; ``wrong`` the
    number among ``checked`` rows (a sample and all rows in dispute, up to a limit) where a better
    answer exists in float64; ``error`` a largest difference; ``inertia`` that of the final centres.
    Of transport see ``transport_judge``, of semidefinite programs ``sdp_judge``, of bounded sizes
    ``quotas``, of linear assignments ``pairings``.
    """
    digests = {name: value for name, value in digests.items() if value is not None}
    if not digests:
        return {}
    if problem.case.op in TRANSPORT:
        return transport_judge.verdicts(problem, digests)
    if problem.case.op in SDP:
        return sdp_judge.verdicts(problem, digests)
    if problem.case.op in QUOTAS:
        return quotas.verdicts(problem, digests)
    if problem.case.op == "pairing":
        return pairings.verdicts(problem, digests)
    if problem.case.op in factor_fits.OPS:
        return factor_fits.verdicts(digests)
    judge = {"argmin": _judge_indices, "topk": _judge_indices, "fit": _judge_fit}
    return judge.get(problem.case.op, _judge_values)(problem, digests)


def _distances(problem: Problem, row: int) -> np.ndarray:
    """Squared distances of one row in float64, from differences: nothing cancels."""
    difference = problem.Y.astype(np.float64) - problem.X[row].astype(np.float64)
    return np.einsum("ij,ij->i", difference, difference)


def _judge_indices(problem, digests):
    answers = {name: value.reshape(problem.case.n, -1) for name, value in digests.items()}
    first = next(iter(answers.values()))
    same = {name: (value == first).all(axis=1) for name, value in answers.items()}
    disputed = np.flatnonzero(~np.logical_and.reduce(list(same.values())))
    rng = np.random.default_rng(0)
    if len(disputed) > MAX_ROWS:
        disputed = rng.choice(disputed, MAX_ROWS, replace=False)
    rows = np.union1d(problem.rows, disputed)
    wrong = dict.fromkeys(answers, 0)
    for row in rows:
        distances = _distances(problem, row)
        best = np.sort(distances)[: first.shape[1]] * (1 + UNDECIDED)
        for name, value in answers.items():
            wrong[name] += bool((distances[value[row]] > best).any())
    return {
        name: {
            "agreement": float(same[name].mean()),
            "checked": len(rows),
            "wrong": wrong[name],
        }
        for name in answers
    }


def _judge_values(problem, digests):
    truth = _TRUTHS[problem.case.op](problem)
    scale = np.abs(truth).max()
    return {
        name: {"error": float(np.abs(value - truth).max() / scale)}
        for name, value in digests.items()
    }


def _true_distances(problem):
    squared = np.array([_distances(problem, row) for row in problem.rows])
    return np.sqrt(squared) if problem.case.metric == "euclidean" else squared


def _true_logsumexp(problem):
    scores = -problem.inverse_temperature * _true_distances(problem)
    top = scores.max(axis=1)
    return top + np.log(np.exp(scores - top[:, None]).sum(axis=1))


def _true_sums(problem):
    sums = np.zeros((problem.case.k, problem.case.d))
    np.add.at(sums, problem.labels, problem.X.astype(np.float64))
    return sums


def _true_scatters(problem):
    scatters = np.zeros((problem.case.k, problem.case.d, problem.case.d))
    for label, scatter in enumerate(scatters):
        x = problem.X[problem.labels == label].astype(np.float64)
        x -= x.mean(axis=0) if len(x) else 0
        scatter[:] = x.T @ x
    return scatters


def _true_posteriors(problem):
    scores = problem.X[problem.rows].astype(np.float64)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


_TRUTHS = {
    "distances": _true_distances,
    "logsumexp": _true_logsumexp,
    "sums": _true_sums,
    "moments": _true_scatters,
    "softmax": _true_posteriors,
    "hals": true_rows,
    "masked": true_rows,
    **dict.fromkeys(("plsa", "fold", "shift", "tempered"), mixtures.true_rows),
}


def _inertia(problem, centers) -> float:
    """Sum of squared distances to the nearest of the final centres, in float64."""
    centers = np.asarray(centers, dtype=np.float64)
    half = np.einsum("ij,ij->i", centers, centers) / 2
    total = 0.0
    for start in range(0, problem.case.n, 8192):
        X = problem.X[start : start + 8192].astype(np.float64)
        best = (X @ centers.T - half).max(axis=1)
        total += np.einsum("ij,ij->", X, X) - 2 * best.sum()
    return float(total)


def _judge_fit(problem, digests):
    first = next(iter(digests.values()))[0]
    return {
        name: {
            "inertia": inertia,
            "n_iter": int(n_iter),
            "error": abs(inertia - first) / first,
            "same_inertia": abs(inertia - first) <= SAME_INERTIA * first,
        }
        for name, (inertia, n_iter) in digests.items()
    }

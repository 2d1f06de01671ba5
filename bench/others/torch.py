"""PyTorch on the CPU: cdist, and products followed by argmin, top-k or log-sum-exp in blocks.

Of transport: the textbook iterations, and the loop SwAV assigns its codes with.
"""

import torch

from bench.problems import Potentials
from bench.race import fastest

DISTRIBUTION = "torch"
BLOCKS = (128, 512, 2048, 8192)
TUNING_ROWS = 16384


def set_threads(threads):
    torch.set_num_threads(threads)


def entries(problem):
    case = problem.case
    X, Y = torch.from_numpy(problem.X), torch.from_numpy(problem.Y)
    if case.op in ("argmin", "topk", "logsumexp"):
        yield f"torch addmm+{case.op}", lambda: _blocked(problem, X, Y)
    if case.op == "distances" and case.metric == "euclidean":
        yield "torch cdist", lambda: lambda: torch.cdist(X, Y).numpy()
    if case.op == "distances" and case.metric == "sqeuclidean":
        yield "torch addmm", lambda: _matrix(X, Y)
    if case.op == "sinkhorn":
        yield "torch logsumexp", lambda: _sinkhorn(problem)
    if case.op == "scaling":
        yield "torch two products", lambda: _scaling(problem)
    if case.op == "codes":
        yield "torch codes", lambda: _codes(problem)


def _norms(A):
    return (A * A).sum(1)


def _matrix(X, Y):
    """Squared distances into a buffer that exists beforehand."""
    out = torch.empty((len(X), len(Y)), dtype=X.dtype)

    def call():
        torch.addmm(_norms(Y)[None, :], X, Y.T, alpha=-2, out=out)
        return out.add_(_norms(X)[:, None]).clamp_(min=0).numpy()

    return call


def _blocked(problem, X, Y):
    """The reduction of every block of rows while the block's scores are in cache."""
    reduce = _REDUCTIONS[problem.case.op]

    def pass_over(rows, block):
        def call():
            bias = -_norms(Y)[None, :] / 2
            parts = [reduce(problem, x, torch.addmm(bias, x, Y.T)) for x in X[:rows].split(block)]
            return torch.cat(parts).numpy()

        return call

    block = fastest({block: pass_over(TUNING_ROWS, block) for block in BLOCKS})
    return pass_over(len(X), block)


# Scores are <x, y> - |y|^2 / 2 = (|x|^2 - |x - y|^2) / 2.
_REDUCTIONS = {
    "argmin": lambda problem, x, scores: scores.argmax(1),
    "topk": lambda problem, x, scores: scores.topk(problem.case.top).indices,
    "logsumexp": lambda problem, x, scores: (
        scores.mul_(2 * problem.inverse_temperature).logsumexp(1)
        - problem.inverse_temperature * _norms(x)
    ),
}


def _weights(problem):
    return (torch.from_numpy(weights) for weights in problem.weights())


def _sinkhorn(problem):
    """Both updates as a log-sum-exp over the scaled cost."""
    epsilon = problem.case.epsilon
    scores = torch.from_numpy(problem.cost) / -epsilon
    log_a, log_b = (weights.log() for weights in _weights(problem))

    def run(number):
        v = torch.zeros_like(log_b)
        for _ in range(number):
            u = log_a - torch.logsumexp(scores + v, 1)
            v = log_b - torch.logsumexp(scores + u[:, None], 0)
        return Potentials(epsilon * u.numpy(), epsilon * v.numpy())

    return problem.per_iteration(run)


def _scaling(problem):
    epsilon, K = problem.case.epsilon, torch.from_numpy(problem.kernel)
    a, b = _weights(problem)

    def run(number):
        v = torch.ones_like(b)
        for _ in range(number):
            u = a / (K @ v)
            v = b / (u @ K)
        return Potentials(epsilon * u.log().numpy(), epsilon * v.log().numpy())

    return problem.per_iteration(run)


def _codes(problem):
    """The loop as SwAV's authors published it: prototypes in rows, in place, total first."""
    scores, epsilon = torch.from_numpy(problem.cost), problem.case.epsilon

    @torch.no_grad()
    def call():
        Q = torch.exp(scores / epsilon).t()
        prototypes, samples = Q.shape
        Q /= Q.sum()
        for _ in range(problem.case.iterations):
            Q /= Q.sum(dim=1, keepdim=True)
            Q /= prototypes
            Q /= Q.sum(dim=0, keepdim=True)
            Q /= samples
        Q *= samples
        return Q.t().numpy()

    return call

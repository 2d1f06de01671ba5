"""PyTorch: cdist and products in chunks of rows, without TF32; softmax, index_add and logsumexp."""

import math

import torch

from bench.gpu.cases import ITERATIONS, SWEEPS, TOP

CHUNK_BYTES = 256 << 20


def entries(problem):
    op = problem.case.op
    tensors = [None if a is None else problem.device.torch(a) for a in problem[2:]]
    for name, of_op, setup in (
        ("torch cdist + argmin", "argmin", _argmin),
        ("torch cdist", "distances", _distances),
        ("torch cdist + topk", "topk", _topk),
        ("torch addmm + logsumexp", "logsumexp", _logsumexp),
        ("torch index_add", "sums", _sums),
        ("torch logsumexp", "sinkhorn", _sinkhorn),
        ("torch addmm + logsumexp", "points", _points),
        ("torch class by class, float64", "moments", _moments),
        ("torch softmax", "softmax", _softmax),
        ("torch cdist + index_add", "fit", _fit),
    ):
        if op == of_op:
            yield name, lambda setup=setup: setup(problem.case, *tensors)


def _slices(X, Y):
    """Slices of rows of X whose products with Y fill CHUNK_BYTES."""
    rows = max(1, CHUNK_BYTES // (len(Y) * X.element_size()))
    return [slice(start, min(start + rows, len(X))) for start in range(0, len(X), rows)]


def _nearest(X, Y, labels):
    for rows in _slices(X, Y):
        torch.argmin(torch.cdist(X[rows], Y), dim=1, out=labels[rows])
    return labels


def _argmin(case, X, Y, _):
    labels = torch.empty(case.n, dtype=torch.int64, device=X.device)
    return lambda: _nearest(X, Y, labels)


def _distances(case, X, Y, _):
    return lambda: torch.cdist(X, Y).square_()


def _topk(case, X, Y, _):
    def call():
        found = [
            torch.topk(torch.cdist(X[rows], Y), min(TOP, case.k), dim=1, largest=False).indices
            for rows in _slices(X, Y)
        ]
        return torch.cat(found)

    return call


def _logsumexp(case, X, Y, _):
    def call():
        y, lse = (Y * Y).sum(1), []
        for rows in _slices(X, Y):
            x = (X[rows] * X[rows]).sum(1)
            scores = torch.addmm(-y[None, :], X[rows], Y.T, alpha=2)
            lse.append(torch.logsumexp(scores, dim=1) - x)
        return torch.cat(lse)

    return call


def _sums(case, X, _, labels):
    def call():
        sums = torch.zeros((case.k, case.d), dtype=X.dtype, device=X.device)
        return sums.index_add_(0, labels, X)

    return call


def _sinkhorn(case, C, *_):
    def call():
        f = case.epsilon * (-math.log(case.n) - torch.logsumexp(C / -case.epsilon, dim=1))
        torch.logsumexp((f[:, None] - C) / case.epsilon, dim=0)  # the column sums
        return f

    return call


def _updated(case, X, Y, potentials):
    """Potentials of the rows of X from those of Y; costs never exist as a whole."""
    bias, updated = (potentials - (Y * Y).sum(1)) / case.epsilon, []
    for rows in _slices(X, Y):
        scores = torch.addmm(bias[None, :], X[rows], Y.T, alpha=2 / case.epsilon)
        lse = torch.logsumexp(scores, dim=1)
        updated.append((X[rows] * X[rows]).sum(1) - case.epsilon * (math.log(len(X)) + lse))
    return torch.cat(updated)


def _points(case, X, Y, _):
    def call():
        g = torch.zeros(case.k, dtype=X.dtype, device=X.device)
        for _ in range(SWEEPS - 1):
            g = _updated(case, Y, X, _updated(case, X, Y, g))
        return _updated(case, X, Y, g), g

    return call


def _moments(case, X, _, labels):
    """In float64, as the contract asks for."""

    def call():
        scatters = []
        for c in range(case.k):
            rows = X[labels == c].double()
            rows = rows - rows.mean(0)
            scatters.append(rows.T @ rows)
        return torch.stack(scatters)

    return call


def _softmax(case, X, *_):
    def call():
        posterior = torch.softmax(X, dim=1)
        torch.argmax(posterior, dim=1)
        return posterior

    return call


def _fit(case, X, start, _):
    """Lloyd's iteration from the given centres; the last labels are those of the last centres."""
    labels = torch.empty(case.n, dtype=torch.int64, device=X.device)
    ones = torch.ones(case.n, dtype=X.dtype, device=X.device)

    def call():
        centers = start.clone()
        for _ in range(ITERATIONS):
            _nearest(X, centers, labels)
            sums = torch.zeros_like(centers).index_add_(0, labels, X)
            counts = torch.zeros(case.k, dtype=X.dtype, device=X.device)
            counts.index_add_(0, labels, ones)
            centers = torch.where(counts[:, None] > 0, sums / counts[:, None], centers)
        return _nearest(X, centers, labels), centers

    return call

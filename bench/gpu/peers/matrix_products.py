"""Products by cuBLAS (cupy.matmul) in chunks of rows, and what follows by CuPy."""

import numpy as np

CHUNK_BYTES = 256 << 20


def entries(problem):
    op = problem.case.op
    if op == "argmin":
        yield "cupy matmul + argmin", lambda: _argmin(problem)
    if op == "distances":
        yield "cupy matmul + norms", lambda: _distances(problem)
    if op == "logsumexp":
        yield "cupy matmul + logsumexp", lambda: _logsumexp(problem)
    if op == "sinkhorn":
        yield "cupy logsumexp", lambda: _sinkhorn(problem)


def chunks(problem):
    """Slices of rows whose products fill a buffer of CHUNK_BYTES, and the buffer."""
    case, runtime = problem.case, problem.device.runtime
    rows = max(1, min(case.n, CHUNK_BYTES // (case.k * case.itemsize)))
    slices = [slice(start, min(start + rows, case.n)) for start in range(0, case.n, rows)]
    return slices, runtime.empty((rows, case.k), np.dtype(case.dtype))


def _half_squares(A):
    return (A * A).sum(axis=1) / 2


def _argmin(problem):
    X, Y, runtime = problem.X, problem.Y, problem.device.runtime
    slices, buffer = chunks(problem)
    labels = runtime.empty((len(X),), np.int64)

    def call():
        bias = _half_squares(Y)
        for rows in slices:
            scores = buffer[: rows.stop - rows.start]
            runtime.matmul(X[rows], Y, scores)
            scores -= bias
            labels[rows] = scores.argmax(axis=1)
        return labels

    return call


def _distances(problem):
    X, Y, runtime = problem.X, problem.Y, problem.device.runtime
    out = runtime.empty((len(X), len(Y)), X.dtype)

    def call():
        runtime.matmul(X, Y, out)
        np.multiply(out, -2, out=out)
        np.add(out, 2 * _half_squares(X)[:, None], out=out)
        np.add(out, 2 * _half_squares(Y), out=out)
        return np.maximum(out, 0, out=out)

    return call


def _logsumexp(problem):
    X, Y, runtime = problem.X, problem.Y, problem.device.runtime
    slices, buffer = chunks(problem)
    lse = runtime.empty((len(X),), X.dtype)

    def call():
        x, y = 2 * _half_squares(X), 2 * _half_squares(Y)
        for rows in slices:
            scores = buffer[: rows.stop - rows.start]
            runtime.matmul(X[rows], Y, scores)
            np.multiply(scores, 2, out=scores)
            np.subtract(scores, y, out=scores)
            np.subtract(scores, x[rows][:, None], out=scores)
            top = scores.max(axis=1)
            np.subtract(scores, top[:, None], out=scores)
            np.exp(scores, out=scores)
            lse[rows] = np.log(scores.sum(axis=1)) + top
        return lse

    return call


def _sinkhorn(problem):
    C, runtime, n, epsilon = problem.X, problem.device.runtime, problem.case.n, problem.case.epsilon
    scores = runtime.empty(C.shape, C.dtype)

    def call():
        np.multiply(C, -1 / epsilon, out=scores)
        top = scores.max(axis=1)
        np.subtract(scores, top[:, None], out=scores)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1)
        columns = (scores / sums[:, None]).sum(axis=0)  # what the other half needs
        del columns
        return epsilon * (-np.log(n) - np.log(sums) - top)

    return call

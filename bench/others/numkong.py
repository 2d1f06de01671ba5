"""NumKong: the full matrix, from plain and from packed second points."""

import numkong
import numpy as np

DISTRIBUTION = "numkong"


def entries(problem):
    case = problem.case
    if case.op != "distances" or problem.threads > 1:  # its calls run on one thread
        return
    yield "numkong cdist", lambda: _cdist(problem)
    if case.metric == "euclidean" and case.dtype == "float32":
        yield "numkong euclideans_packed", lambda: _packed(problem)


def _cdist(problem):
    X, Y, metric = problem.X, problem.Y, problem.case.metric
    return lambda: np.asarray(numkong.cdist(X, Y, metric))


def _packed(problem):
    out = numkong.zeros((problem.case.n, problem.case.k), dtype="float64")

    def call():
        numkong.euclideans_packed(problem.X, numkong.dots_pack(problem.Y), out=out)
        return np.asarray(out)

    return call

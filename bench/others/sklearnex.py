"""scikit-learn-intelex: the accelerated KMeans and brute neighbours (oneDAL)."""

import daal4py
from sklearnex.cluster import KMeans
from sklearnex.neighbors import NearestNeighbors

from bench.others.sklearn import fit, neighbours, predict

DISTRIBUTION = "scikit-learn-intelex"


def set_threads(threads):
    daal4py.daalinit(nthreads=threads)


def entries(problem):
    op = problem.case.op
    if op == "argmin":
        yield "sklearnex predict", lambda: predict(KMeans, problem)
    if op == "topk":
        yield "sklearnex NearestNeighbors", lambda: neighbours(NearestNeighbors, problem)
    if op == "fit":
        yield "sklearnex lloyd", lambda: fit(KMeans, problem, algorithm="lloyd")

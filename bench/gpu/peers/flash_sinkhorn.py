"""FlashSinkhorn: Triton kernels for Sinkhorn between points, which gives a cost and no potentials."""

import math

from flash_sinkhorn import SamplesLoss

from bench.gpu.cases import SWEEPS


def entries(problem):
    if problem.case.op == "points":
        yield "flash-sinkhorn (TF32)", lambda: _loss(problem)


def _loss(problem):
    X, Y = (problem.device.torch(array) for array in (problem.X, problem.Y))
    blur = math.sqrt(problem.case.epsilon)
    loss = SamplesLoss(loss="sinkhorn", blur=blur, debias=False, n_iters=SWEEPS)

    def call():
        loss(X, Y)

    return call

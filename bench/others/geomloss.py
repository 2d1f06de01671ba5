"""GeomLoss: its symmetric log-domain iterations on a stored cost, through PyTorch.

Rows and columns are updated at once and averaged, with an epsilon that falls on the way: after the
same number of iterations its plan is another one, so that only its cost is compared.
"""

import torch
from geomloss import ot

DISTRIBUTION = "geomloss"


def entries(problem):
    if problem.case.op == "sinkhorn":
        yield "geomloss solve", lambda: _setup(problem)


def _setup(problem):
    cost = torch.from_numpy(problem.cost)

    def run(number):
        ot.solve(cost, reg=problem.case.epsilon, max_iter=number)

    return problem.per_iteration(run)

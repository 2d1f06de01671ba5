"""The bench of linear assignment: its costs, and what its judge finds."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from bench.cases import CASES, SHORT, Case
from bench.judge import digest, verdicts
from bench.pairings import LARGEST, Paired
from bench.problems import make_problem
from clusterlib.kernels import linear_assignment

KINDS = ("uniform", "gaussian", "integers", "products")


def problem_of(data, n=30, k=30):
    d = 4 if data == "gaussian" else k
    return make_problem(Case("pairing", n, d, k, dtype="float64", data=data), 1)


def test_every_kind_of_costs_has_cases():
    for cases in (CASES, SHORT):
        assert {case.data for case in cases if case.op == "pairing"} == set(KINDS)


def test_costs_are_what_their_names_say():
    costs = {data: problem_of(data, 20, 30).cost for data in KINDS}
    assert all(C.shape == (20, 30) and C.min() >= 0 for C in costs.values())
    assert costs["uniform"].max() < 1 and costs["products"][4, 6] == 35
    whole = costs["integers"]
    assert np.array_equal(whole, np.round(whole)) and whole.max() <= LARGEST
    assert len(np.unique(costs["gaussian"])) == 600


@pytest.mark.parametrize("data", KINDS)
def test_the_judge_tells_the_best_answer_from_others(data):
    problem = problem_of(data)
    found = linear_assignment(problem.cost)
    answers = {
        "clusterlib": Paired(found.columns, found.u, found.v),
        "scipy": Paired(linear_sum_assignment(problem.cost)[1]),
        "worse": Paired(np.roll(found.columns, 1), found.u, found.v - 0.25),
    }
    judged = verdicts(problem, {name: digest(problem, a) for name, a in answers.items()})
    assert judged["clusterlib"]["error"] <= 1e-12 and judged["scipy"]["error"] <= 1e-12
    assert abs(judged["clusterlib"]["gap"]) <= 1e-12 and judged["scipy"]["gap"] is None
    assert judged["clusterlib"]["infeasible"] == 0 and judged["worse"]["infeasible"] == 0
    assert judged["worse"]["error"] > 1e-3
    assert judged["worse"]["gap"] >= judged["worse"]["error"] + 0.25 * 30 / found.cost / 2


def test_broken_answers_are_noticed():
    problem = problem_of("uniform")
    found = linear_assignment(problem.cost)
    _, _, excess = digest(problem, Paired(found.columns, found.u + 0.5, found.v))
    assert excess == pytest.approx(0.5)
    with pytest.raises(ValueError, match="gives a column to two rows, or none to one"):
        digest(problem, Paired(np.zeros(30, int)))

"""The semidefinite cases of the bench: what is compared, who is believed, what is reported.

Nothing here looks at how long something took.
"""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import adapters, closing, growth, judge, page, run, sdp_judge, table, verdict
from bench.cases import CASES, SDP, Case
from bench.others import nlr
from bench.problems import Bound, Factor, Matrices, Simplex, make_problem
from bench.records import Run
from clusterlib.solvers import likelihood_gram


@pytest.fixture(autouse=True, scope="module")
def cache_of_its_own(tmp_path_factory):
    """The probe is compiled once for this file, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def problem_of(op, **options):
    """A small problem of an operation."""
    data = "ellipsoids" if op in ("likelihood", "mixture") else "balls"
    sizes = {"n": 24, "d": 4, "k": 3, "dtype": "float64", "data": data, "separation": 8.0}
    return make_problem(Case(op, **(sizes | {"rank": 3} | options)), 1, "reference")


def verdicts_of(problem, answers):
    digests = {name: judge.digest(problem, answer) for name, answer in answers.items()}
    return judge.verdicts(problem, digests)


def random_simplex(problem, columns):
    W = np.random.default_rng(1).dirichlet(np.ones(columns), problem.case.n)
    return W, W / np.sqrt(W.sum(axis=0))


def test_every_operation_has_a_case():
    assert {case.op for case in CASES} >= set(SDP)
    assert all(case.separation for case in CASES if case.op in SDP)


def test_planted_clusters_are_the_labels():
    problem = problem_of("relaxation", n=3000, separation=20.0)
    nearest = ((problem.X[:, None] - problem.Y) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, problem.labels)
    gaps = ((problem.Y[:, None] - problem.Y) ** 2).sum(axis=2)[~np.eye(3, dtype=bool)]
    np.testing.assert_allclose(np.sqrt(gaps), 20.0)


def test_ellipsoids_have_their_covariances():
    problem = problem_of("mixture", n=30_000)
    for k, covariance in enumerate(problem.covariances):
        np.testing.assert_allclose(np.cov(problem.X[k::3].T), covariance, atol=0.2)
    assert np.abs(problem.covariances[0] - problem.covariances[1]).max() > 1


def test_factors_and_matrices_are_the_same_answer():
    problem = problem_of("relaxation")
    W, U = random_simplex(problem, 5)
    answers = {"simplex": Simplex(W), "factor": Factor(U), "matrix": Matrices((U @ U.T)[None])}
    values = [judge.digest(problem, answer) for answer in answers.values()]
    X = problem.X - problem.X.mean(axis=0)
    expected = np.vdot(X @ X.T, U @ U.T)
    trace = abs(np.trace(U @ U.T) - 3)
    for value, infeasible, _ in values:
        assert value == pytest.approx(expected, rel=1e-12)
        assert infeasible == pytest.approx(trace, rel=1e-9)


def test_group_factors_and_matrices_are_the_same_answer():
    problem = problem_of("likelihood", rank=2)
    W, U = random_simplex(problem, 6)
    group = np.repeat([0, 1, 2], 2)
    Z = np.array([U[:, group == k] @ U[:, group == k].T for k in range(3)])
    gram = likelihood_gram(problem.X, problem.covariances)
    for answer in (Simplex(W, 7, group), Matrices(Z, 7)):
        value, infeasible, n_iter = judge.digest(problem, answer)
        assert value == pytest.approx(np.vdot(gram, Z), rel=1e-12)
        assert infeasible == pytest.approx(np.abs(np.trace(Z, axis1=1, axis2=2) - 1).max())
        assert n_iter == 7


def test_labels_are_judged_as_a_partition():
    problem = problem_of("relaxation")
    spoiled = problem.labels.copy()
    spoiled[0] = 1
    found = verdicts_of(problem, {"planted": problem.labels, "spoiled": spoiled})
    assert found["planted"]["error"] == 0 and found["planted"]["infeasible"] < 1e-12
    assert found["spoiled"]["error"] > 0.01


def test_an_infeasible_value_is_not_the_one_to_reach():
    problem = problem_of("relaxation")
    W = np.zeros((24, 3))
    W[np.arange(24), problem.labels] = 1
    U = W / np.sqrt(8)
    found = verdicts_of(problem, {"right": Simplex(W), "too long": Factor(1.1 * U)})
    assert found["right"]["error"] == 0
    assert found["too long"]["error"] < 0 and found["too long"]["infeasible"] > 0.2
    negative = Factor(np.hstack([U, U[:, :1] / 3, -U[:, :1] / 3]))
    assert verdicts_of(problem, {"negative": negative})["negative"]["infeasible"] > 0.05


def test_costs_and_bounds_are_held_against_lloyd():
    problem = problem_of("sketch", rank=None)
    cost = sdp_judge.reference_cost(problem)
    means = np.array([problem.X[problem.labels == k].mean(axis=0) for k in range(3)])
    assert cost == pytest.approx(((problem.X - means[problem.labels]) ** 2).sum())
    found = verdicts_of(problem, {"means": means, "moved": means + 0.5})
    assert found["means"]["error"] == pytest.approx(0, abs=1e-12)
    assert found["moved"]["error"] > 0.1
    W = np.eye(3)[problem.labels]
    answers = {"half": Bound(cost / 2), "too much": Bound(cost * 1.001), "tight": Bound(cost, W)}
    bounds = verdicts_of(problem_of("bound", rank=None), answers)
    assert bounds["half"] == {"error": pytest.approx(0.5), "false_bound": False}
    assert bounds["too much"]["false_bound"]
    assert bounds["tight"]["error"] == pytest.approx(0, abs=1e-12)


def test_share_of_a_mixture_does_not_depend_on_names():
    problem = problem_of("mixture")
    renamed = (problem.labels + 1) % 3
    renamed[:6] = 0
    found = verdicts_of(problem, {"renamed": renamed})["renamed"]["accuracy"]
    assert found == pytest.approx(1 - 4 / 24)


@pytest.mark.parametrize("op", ["relaxation", "likelihood"])
def test_solvers_reach_the_program_as_it_is_written_down(op):
    pytest.importorskip("cvxpy")
    problem = problem_of(op, rank=6 if op == "relaxation" else 3)
    lines = list(run.measure(problem, adapters.load(["ours", "cvxpy"]), 2, 0.01))
    assert [line["why"] for line in lines if line["kind"] == "failed"] == []
    answers = {line["contestant"]: line for line in lines}
    assert answers.keys() >= {"clusterlib", "cvxpy SCS", "cvxpy Clarabel"}
    assert max(line["error"] for line in lines) < 1e-3
    assert max(line["infeasible"] for line in lines) < 1e-3


def test_published_solver_is_on_its_way(monkeypatch):
    monkeypatch.setattr(nlr, "MOST_STEPS", 2000)  # of some ten thousand
    problem = problem_of("relaxation", n=1000, d=20, rank=6)
    assert not list(nlr.entries(problem))  # its step suits more rows
    answers = {"NLR": nlr._solve(problem), "planted": problem.labels}
    assert answers["NLR"].U.min() >= 0 and answers["NLR"].n_iter == 2000
    assert (answers["NLR"].U ** 2).sum() == pytest.approx(3)
    found = verdicts_of(problem, answers)
    assert abs(found["NLR"]["error"]) < 2e-3 and found["NLR"]["infeasible"] < 0.01


@pytest.mark.parametrize("op", ["mixture", "sketch", "certificate", "bound"])
def test_estimators_and_certificates_give_answers(op):
    options = {"n": 300, "rank": None, "separation": 12.0} if op != "mixture" else {"n": 90}
    problem = problem_of(op, **options)
    object.__setattr__(problem, "backend", None)
    lines = list(run.measure(problem, adapters.load(["ours", "sklearn"]), 2, 0.01))
    assert [line["why"] for line in lines if line["kind"] == "failed"] == []
    answers = {line["contestant"]: line for line in lines}
    assert "clusterlib" in answers
    for line in answers.values():
        assert line.get("accuracy", 1) > 0.95 and line.get("error", 0) < 1e-3
        assert not line.get("false_bound")


def line_of(contestant, milliseconds, **more):
    """A result line as ``bench.run`` writes it."""
    return {
        "kind": "result", "case": "relaxation-a", "threads": 1, "contestant": contestant,
        "op": "relaxation", "isa": None, "goals": ("relaxation n=300",), "n": 300, "k": 4, "d": 9,
        "ns_median": milliseconds * 1e6, "over_floor_median": None, "over_floor": None,
        "over_memory": None, "error": 1e-6, "infeasible": 2e-7, "n_iter": 90,
    } | more  # fmt: skip


def test_goal_of_an_error():
    lines = [line_of("clusterlib", 1.0, error=1e-3), line_of("cvxpy SCS", 500.0)]
    found = {check.figure: check.reached for check in verdict.checks(Run([], lines, []))}
    assert found == {"cvxpy SCS / ours": True, "error": False}


def test_reports_show_value_and_feasibility(tmp_path, capsys):
    machine = {"kind": "machine", "cpu": "a processor", "isa": "none", "threads": 1}
    machine |= {"limits": {"float32_flops": 2e9}, "versions": {"numpy": "2"}, "pools": []}
    bound = {"op": "bound", "case": "bound-a", "goals": (), "infeasible": 0.0, "false_bound": True}
    lines = [
        line_of("clusterlib", 1.0),
        line_of("cvxpy SCS", 500.0),
        line_of("clusterlib", 2.0) | bound,
    ]
    text = table.render(Run([machine], lines, []))
    assert "error 1e-06, infeasible 2e-07, 90 iterations" in text and "BOUND IS FALSE" in text
    path = tmp_path / "summary.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (machine, *lines)))
    page.main([path.as_posix()])
    shown = capsys.readouterr().out
    assert (
        "| `relaxation-a` | 1 | 1 (error 1e-06, infeasible 2e-07) | cvxpy SCS **500.00**" in shown
    )
    assert "FALSE" in shown and "ours / floor" not in shown


def test_growth_is_fitted_over_cases_that_differ_in_rows(tmp_path, capsys):
    sizes = (100, 1000, 10_000)
    lines = [
        line_of(name, 3 * (n / 1000) ** power, n=n, case=f"relaxation-n{n}-d9-k4")
        for name, power in (("clusterlib", 1.0), ("cvxpy SCS", 2.5))
        for n in sizes
    ]
    lines += [line_of("clusterlib", 1.0, n=n, case=f"relaxation-n{n}-d7-k4", d=7) for n in (5, 6)]
    found = {series.contestant: series for series in growth.growths(lines)}
    assert found["clusterlib"].exponent == pytest.approx(1)
    assert found["cvxpy SCS"].exponent == pytest.approx(2.5)
    assert found["clusterlib"].rows == sizes
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    growth.main([str(path)])
    shown = capsys.readouterr().out
    assert "| `relaxation-d9-k4` | cvxpy SCS | 1 |" in shown and "| 2.50 |" in shown


def test_certificates_close_as_clusters_move_apart(capsys):
    options = ["--rows", "120", "--d", "4", "--k", "3", "--seeds", "2", "--full"]
    near, far = closing.main([*options, "--separation", "3", "--separation", "30"])
    assert near.proved == 0 and 0 < near.full_gap <= near.fast_gap < 0.5
    assert far == closing.Closing(30.0, 2, 1.0, 0.0, 0.0)
    assert "| 30 | 2 | 1.00 | 0.0e+00 | 0.0e+00 |" in capsys.readouterr().out

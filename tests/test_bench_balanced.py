"""The bench of clusters of bounded sizes: the judge, the rows, and the program around the race.

Nothing here looks at how long something took.
"""

import json

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")

from bench import adapters, balanced, hard_quotas, judge, page, quotas
from bench.cases import CASES, QUOTAS, Case
from bench.problems import make_problem
from bench.quotas import Assigned

SMALL = {"n": 60, "d": 6, "k": 5, "dtype": "float64", "data": "zipf"}


@pytest.fixture(scope="module")
def problem():
    return make_problem(Case("quotas", **SMALL), 1)


def optimum(problem):
    """Labels by a full assignment problem, every centre repeated."""
    optimize = pytest.importorskip("scipy.optimize")
    n, k = problem.case.n, problem.case.k
    slots = np.repeat(np.arange(k), n // k)
    return slots[optimize.linear_sum_assignment(problem.cost[:, slots])[1]]


def test_sizes_of_the_cases_divide():
    cases = [case for case in CASES if case.op in QUOTAS]
    assert {case.op for case in cases} == set(QUOTAS)
    assert all(quotas.sizes(case) == (case.n // case.k,) * 2 for case in cases)
    assert quotas.sizes(Case("quotas", 10, 2, 3)) == (3, 4)


def test_rows_are_directions_and_modes_have_different_shares():
    case = Case("quotas", 4000, 16, 20, dtype="float32", data="zipf")
    problem = make_problem(case, 1)
    np.testing.assert_allclose(np.linalg.norm(problem.X, axis=1), 1, rtol=1e-6)
    shares = np.sort(np.bincount(problem.cost.argmin(axis=1), minlength=20))
    assert shares[-1] > 4 * shares[0]


def test_costs_are_squared_distances(problem):
    expected = np.square(problem.X[:, None] - problem.Y).sum(axis=2)
    np.testing.assert_allclose(problem.cost, expected, rtol=1e-14)


@pytest.mark.parametrize("op", ["quotas", "capacity"])
def test_the_judge_finds_the_gap_of_labels_and_of_prices(op):
    problem = make_problem(Case(op, **SMALL), 1)
    best = optimum(problem)
    swapped = best.copy()
    first, other = np.flatnonzero(best == 0)[0], np.flatnonzero(best == 1)[0]
    swapped[[first, other]] = best[[other, first]]
    prices = np.zeros(5)
    answers = {
        "best": Assigned(best, prices),
        "swapped": Assigned(swapped, prices + 1.0),
        "nearest": Assigned(problem.cost.argmin(axis=1)),
    }
    digests = {name: judge.digest(problem, answer) for name, answer in answers.items()}
    cost = problem.cost[np.arange(60), best].sum()
    bound = problem.cost.min(axis=1).sum()
    assert digests["best"].cost == pytest.approx(cost, rel=1e-14)
    assert digests["best"].dual == pytest.approx(bound, rel=1e-14)
    # Prices that all rise alike prove the same.
    assert digests["swapped"].dual == pytest.approx(bound, rel=1e-12)
    assert digests["swapped"].gap > digests["best"].gap == pytest.approx(cost - bound, rel=1e-12)
    found = judge.verdicts(problem, digests)
    assert found["best"]["error"] == pytest.approx(1 - bound / cost, rel=1e-9)
    assert found["best"]["infeasible"] == found["swapped"]["infeasible"] == 0
    assert found["nearest"]["infeasible"] > 0
    assert found["swapped"]["error"] > found["best"]["error"] > found["nearest"]["error"] == 0


def test_prices_of_both_signs_are_held_against_both_bounds():
    costs = np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 9.0]])
    labels = np.array([1, 0, 0])
    # At most two rows in a cluster and at least one: the price of the first is between 1 and 3.
    for prices in ([2.0, 0.0], [0.0, -2.0], [1.0, -1.0]):
        found = quotas.judged(Assigned(labels, np.array(prices)), [costs], 2, 1, 2)
        assert found == (1.0, 1.0, 0.0, 0)
    worse = quotas.judged(Assigned(labels, np.array([5.0, 0.0])), [costs], 2, 1, 2)
    assert (worse.dual, worse.gap) == (-1.0, 2.0)
    blocks = [costs[:1], costs[1:]]
    assert quotas.judged(Assigned(labels, np.array([5.0, 0.0])), blocks, 2, 1, 2) == worse


def test_inertia_is_about_the_means(problem):
    labels = np.arange(60) % 5
    expected = sum(
        np.square(problem.X[labels == k] - problem.X[labels == k].mean(axis=0)).sum()
        for k in range(5)
    )
    assert quotas.inertia(problem.X, labels, 5) == pytest.approx(expected, rel=1e-13)
    case = Case("balanced", **SMALL)
    fitted = make_problem(case, 1)
    digests = {"a": judge.digest(fitted, labels), "b": judge.digest(fitted, optimum(fitted))}
    found = judge.verdicts(fitted, digests)
    assert found["b"]["error"] == 0 < found["a"]["error"]
    assert found["a"]["infeasible"] == 0


@pytest.mark.parametrize("peer", ["bench_assignment", "pot", "kmeans_constrained"])
def test_contestants_find_the_optimum(peer):
    group = "ours" if peer.startswith("bench") else peer
    field = adapters.load([group])
    if peer not in field.adapters:
        pytest.skip(field.skipped[peer])
    for op in ("capacity", "quotas"):
        problem = make_problem(Case(op, **SMALL), 1)
        cost = problem.cost[np.arange(60), optimum(problem)].sum()
        for name, setup in field.adapters[peer].entries(problem):
            answer = setup()()
            if answer is None:
                assert name in {"one pass", "all distances"}
                continue
            found = judge.digest(problem, answer)
            # Costs in thousandths are what one of them sees.
            assert found.cost == pytest.approx(cost, rel=1e-3 if "constrained" in name else 1e-13)
            assert found.outside == 0
            if answer.prices is not None:
                assert abs(found.gap) < 1e-12 * cost


@pytest.mark.parametrize("peer", ["bench_balanced", "kmeans_constrained"])
def test_fits_keep_the_sizes(peer):
    group = "ours" if peer.startswith("bench") else peer
    field = adapters.load([group])
    if peer not in field.adapters:
        pytest.skip(field.skipped[peer])
    problem = make_problem(Case("balanced", **SMALL), 1)
    answers = {name: setup()() for name, setup in field.adapters[peer].entries(problem)}
    digests = {name: judge.digest(problem, labels) for name, labels in answers.items()}
    found = judge.verdicts(problem, digests)
    assert found
    assert all(line["infeasible"] == 0 and line["error"] < 0.2 for line in found.values())


@pytest.mark.parametrize("family", sorted(hard_quotas.FAMILIES))
def test_hard_inputs_have_the_sizes_that_were_asked_for(family):
    X, Y = hard_quotas.make(family, 130, 7)
    assert X.shape == (130, Y.shape[1]) and len(Y) == 7
    assert X.dtype == Y.dtype == np.float64
    assert np.isfinite(X).all() and np.isfinite(Y).all()
    again = hard_quotas.make(family, 130, 7)
    np.testing.assert_array_equal(again[0], X)


def test_hard_inputs_are_solved_in_processes_of_their_own(tmp_path, capsys):
    out = tmp_path / "hard.jsonl"
    arguments = ["hard", "--family", "line", "--rows", "40", "80", "--k", "4"]
    lines = balanced.main([*arguments, "--contestant", "clusterlib", "--out", str(out)])
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    assert [(line["family"], line["n"]) for line in lines] == [("line", 40), ("line", 80)]
    for line in lines:
        assert line["gap"] < 1e-12 and line["infeasible"] == 0 and line["seconds"] > 0
    assert "| line | 4 | clusterlib | 40: " in capsys.readouterr().out


def test_whoever_is_not_there_says_so(monkeypatch):
    monkeypatch.delenv("CLUSTERLIB_PROTOTYPES", raising=False)
    arguments = ["hard", "--family", "line", "--rows", "40", "--k", "4"]
    (line,) = balanced.main([*arguments, "--contestant", "prototype"])
    assert line["why"] == "ImportError: CLUSTERLIB_PROTOTYPES names no folder"


def test_whoever_takes_too_long_is_stopped():
    arguments = ["hard", "--family", "line", "--rows", "40", "--k", "4", "--limit", "0.01"]
    assert {line["why"] for line in balanced.main(arguments)} == {"more than 0.01 s"}


def test_memory_is_told_beside_the_bytes_of_the_data(capsys):
    lines = balanced.main(["memory", "--rows", "2000", "--k", "4"])
    assert [line["call"] for line in lines] == list(balanced.MEMORY_CALLS)
    for line in lines:
        assert line["data_bytes"] == 2000 * 64 * 4
        assert line["extra_bytes"] >= 0 and line["seconds"] >= 0
    assert "| one assignment | 2000 | 4 |" in capsys.readouterr().out


def test_ours_finds_the_same_clusters_at_any_scale():
    options = balanced.parse(["scale"])
    for factor in balanced.FACTORS:
        setting = {"contestant": "clusterlib", "factor": factor}
        assert balanced.measure_scale(options, setting)["same_labels"] == 1.0


def test_the_page_shows_gaps_and_the_tables_of_the_program(tmp_path, capsys):
    machine = {"kind": "machine", "cpu": "a processor", "isa": "avx512", "limits": {}}
    same = {"kind": "result", "op": "capacity", "threads": 1, "case": "capacity-a"}
    lines = [
        machine | {"versions": {}},
        same | {"contestant": "clusterlib", "ns_median": 2e6, "error": 1e-16},
        same | {"contestant": "pot emd", "ns_median": 8e6, "error": 3e-5},
        {"kind": "balanced hard", "family": "line", "k": 4, "n": 40, "contestant": "clusterlib",
         "seconds": 0.5, "n_paths": 7, "gap": 1e-17},
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page.main([path.as_posix()])
    text = capsys.readouterr().out
    assert "| `capacity-a` | 1 | 2 (gap 1e-16) | pot emd **4.00** (gap 3e-05) |" in text
    assert "| line | 4 | clusterlib | 40: 0.5 |  | 7 | 1e-17 |" in text

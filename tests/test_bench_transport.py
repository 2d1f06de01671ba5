"""The transport cases of the bench: what is timed, what is compared, what is reported.

Nothing here looks at how long something took.
"""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import adapters, judge, memory, page, race, run, transport_judge, verdict
from bench.cases import CASES, ITERATED, TRANSPORT, Case
from bench.problems import Potentials, make_problem
from bench.race import Difference
from bench.records import Run

ANSWERED = ("numpy", "pot", "torch", "ott")
PRECISION = {"float32": 2e-6, "float64": 1e-13}


@pytest.fixture(autouse=True, scope="module")
def cache_of_its_own(tmp_path_factory):
    """The probe is compiled once for this file, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def case_of(op, **options):
    """A small case of an operation."""
    sizes = {"n": 30, "d": 4, "k": 20, "data": "sphere", "epsilon": 0.1}
    sizes |= {"problems": 6} if op in ("batch", "episodes") else {}
    sizes |= {"n": 5} if op == "episodes" else {}
    return Case(op, **(sizes | options))


def plain_plan(problem, iterations):
    """Rows first, from g = 0, by the definition."""
    n, k = problem.case.n, problem.case.k
    K = np.exp(-problem.cost.astype(float) / problem.case.epsilon)
    v = np.ones(k)
    for _ in range(iterations):
        u = 1 / n / (K @ v)
        v = 1 / k / (u @ K)
    return u[:, None] * K * v


def test_every_operation_has_a_case():
    assert {case.op for case in CASES} >= set(TRANSPORT)
    assert all(case.epsilon for case in CASES if case.op in TRANSPORT)


def test_difference_is_the_time_of_one_iteration(monkeypatch):
    clock = {"now": 0.0}
    for name in ("process_time", "perf_counter"):
        monkeypatch.setattr(race.time, name, lambda: clock["now"])
    made = []

    def run_iterations(number):
        made.append(number)
        clock["now"] += 100 + 7 * number  # the set-up, and every iteration

    call = Difference(run_iterations, 1, 11)
    timing = race.race({"a": call}, lambda: 1e9, threads=1, repeats=3, seconds=1e9)["a"]
    assert timing.seconds == [7.0] * 3
    assert set(made) == {1, 11}


def test_difference_answers_with_the_larger_number():
    assert Difference(lambda number: number, 1, 11)() == 11


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_largest_cost_is_one(dtype):
    for op in ("sinkhorn", "batch"):
        cost = make_problem(case_of(op, dtype=dtype), 1).cost
        assert cost.dtype == dtype
        assert cost.max() == pytest.approx(1, abs=1e-6) and cost.min() >= 0


def test_codes_are_of_cosines():
    scores = make_problem(case_of("codes"), 1).cost
    assert scores.min() < 0 and np.abs(scores).max() <= 1 + 1e-6


def test_judge_follows_the_iterations():
    problem = make_problem(case_of("sinkhorn", dtype="float64"), 1)
    right = plain_plan(problem, problem.case.counts[1])
    late = plain_plan(problem, problem.case.counts[1] + 1)
    shifted = right * 1.01
    answers = {"right": right, "late": late, "shifted": shifted}
    digests = {name: judge.digest(problem, plan) for name, plan in answers.items()}
    errors = {name: line["error"] for name, line in judge.verdicts(problem, digests).items()}
    assert errors["right"] < 1e-14
    assert errors["late"] > 1e-6
    assert errors["shifted"] == pytest.approx(0.01)


def test_potentials_and_plan_are_the_same_answer():
    for op in ("sinkhorn", "batch"):
        problem = make_problem(case_of(op, dtype="float64"), 1)
        rng = np.random.default_rng(1)
        a, b = problem.weights()
        f, g = rng.normal(size=a.shape) / 10, rng.normal(size=b.shape) / 10
        plan = np.exp((f[..., :, None] + g[..., None, :] - problem.cost) / problem.case.epsilon)
        np.testing.assert_allclose(
            judge.digest(problem, Potentials(f, g)), judge.digest(problem, plan), rtol=1e-13
        )


def test_judge_of_a_solve_knows_the_error_of_both_marginals():
    problem = make_problem(case_of("solve", dtype="float64"), 1)
    epsilon = problem.case.epsilon
    f = epsilon * np.log(1 / 30 / np.exp(-problem.cost / epsilon).sum(axis=1))
    plan = np.exp((f[:, None] - problem.cost) / epsilon)
    expected = np.abs(plan.sum(axis=0) - 1 / 20).sum()
    answer = Potentials(f, np.zeros(20), 7)
    found = judge.verdicts(problem, {"rows only": judge.digest(problem, answer)})["rows only"]
    assert found == {"error": pytest.approx(expected), "sweeps": 7}


def test_judge_of_episodes_counts_classes():
    problem = make_problem(case_of("episodes"), 1)
    classes = np.tile(np.arange(20) % 5, (6, 1))
    spoiled = classes.copy()
    spoiled[0, :3] = 4 - spoiled[0, :3]  # 0, 1 and 2 become 4, 3 and 2
    digests = {"right": classes, "spoiled": spoiled}
    found = judge.verdicts(problem, digests)
    assert found["right"]["accuracy"] == 1
    assert found["spoiled"]["accuracy"] == pytest.approx(1 - 2 / 120)


def test_column_errors_are_those_of_the_points():
    problem = make_problem(case_of("lazy", dtype="float64"), 1)
    K = np.exp(-problem.cost / problem.case.epsilon)
    f = np.full(30, problem.case.epsilon * np.log(1 / 30))
    g = problem.case.epsilon * np.log(1.5 / 20 / (K.sum(axis=0) / 30))
    assert transport_judge.column_errors(problem, Potentials(f, g)) == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", [*ITERATED, "batch", "codes"])
def test_answers_of_all_contestants(op, dtype, monkeypatch):
    monkeypatch.setattr(run, "median", lambda seconds: 1.0)  # answers are judged here, no times
    field = adapters.load(["ours", *ANSWERED])
    problem = make_problem(case_of(op, dtype=dtype), 1, "reference")
    lines = list(run.measure(problem, field, 2, 0.01))
    assert [line["why"] for line in lines if line["kind"] == "failed"] == []
    errors = {line["contestant"]: line["error"] for line in lines}
    assert "clusterlib" in errors and max(errors.values()) < PRECISION[dtype], errors


def test_published_steps_find_the_same_classes():
    problem = make_problem(case_of("episodes", d=16, problems=40, epsilon=0.05), 1)
    lines = list(run.measure(problem, adapters.load(["ours", "numpy", "pot"]), 2, 0.01))
    assert [line["why"] for line in lines if line["kind"] == "failed"] == []
    accuracy = {line["contestant"]: line["accuracy"] for line in lines}
    assert accuracy.keys() >= {"clusterlib", "plain OpTA", "numpy batch"}
    peers = [value for name, value in accuracy.items() if name != "clusterlib"]
    assert max(peers) - min(peers) <= 0.01 and min(peers) > 0.4


def test_geomloss_stands_for_a_cost():
    pytest.importorskip("geomloss")
    field = adapters.load(["geomloss"])
    (line,) = run.measure(make_problem(case_of("sinkhorn"), 1), field, 2, 0.01)
    assert line["kind"] == "result" and "error" not in line


def test_iterations_that_drown_in_the_set_up_have_no_figure(monkeypatch):
    clock = {"now": 0.0}
    for name in ("process_time", "perf_counter"):
        monkeypatch.setattr(race.time, name, lambda: clock["now"])

    def run_iterations(number):
        clock["now"] += 100 - number

    def entries(problem):
        yield "noise", lambda: Difference(run_iterations, 1, 11)

    field = adapters.load(["nothing"])
    noisy = type("Noisy", (), {"DISTRIBUTION": None, "entries": staticmethod(entries)})
    field.adapters.clear()
    field.adapters["noisy"] = noisy
    (line,) = run.measure(make_problem(case_of("scaling"), 1), field, 2, 1.0)
    assert line["kind"] == "failed" and "set-up" in line["why"]


def test_read_once_is_no_answer():
    problem = make_problem(case_of("scaling"), 1)
    (line,) = run.measure(problem, adapters.load(["read"]), 2, 0.01)
    assert line["contestant"] == "read once" and "error" not in line


def test_memory_of_a_sweep(capsys):
    line = memory.main(["--rows", "150", "--d", "8", "--backend", "reference"])
    assert json.loads(capsys.readouterr().out) == line
    assert line["matrix_bytes"] == 4 * 150**2 and line["sweeps"] == 1
    assert line["extra_bytes"] >= 0 and line["error"] < 1e-5


def line_of(contestant, milliseconds, *, op="sinkhorn", case="sinkhorn-a", threads=1, **more):
    """A result line as ``bench.run`` writes it."""
    return {
        "kind": "result", "case": case, "threads": threads, "contestant": contestant, "op": op,
        "isa": None, "goals": (), "n": 1000, "k": 1000, "problems": 1,
        "ns_median": milliseconds * 1e6, "over_floor_median": None, "over_floor": None,
    } | more  # fmt: skip


def test_goals_of_seconds_sweeps_and_scaling():
    goals = ("sinkhorn n=10016",)
    solved = {"op": "solve", "case": "solve-a", "goals": ("solve 0.003",), "error": 1e-7}
    episodes = {"op": "episodes", "case": "episodes-a", "goals": ("episodes",)}
    lines = [
        line_of("clusterlib", 1.0, goals=goals),
        line_of("clusterlib", 0.5, goals=goals, threads=2),
        line_of("clusterlib", 9.0, **solved, sweeps=201),
        line_of("clusterlib", 900.0, **episodes, accuracy=0.9),
    ]
    found = {check.figure: check for check in verdict.checks(Run([], lines, []))}
    assert (
        found["one thread / two threads"].value == 2 and found["one thread / two threads"].reached
    )
    assert found["sweeps"].value == 201 and not found["sweeps"].reached
    assert found["seconds"].value == pytest.approx(0.9) and found["seconds"].reached


def test_page_shows_transport_in_a_table_of_its_own(tmp_path, capsys):
    machine = {"kind": "machine", "cpu": "a processor", "isa": "none"}
    machine |= {"limits": {"float32_flops": 2e9}, "versions": {"numpy": "2"}}
    grown = {"kind": "memory", "case": "lazy-b", "threads": 1, "sweeps": 1, "seconds": 9.0}
    grown |= {"extra_bytes": 3e6, "matrix_bytes": 4e10}
    lines = [
        machine,
        line_of("clusterlib", 2.0),
        line_of("pot sinkhorn_log", 50.0),
        line_of("clusterlib", 1.0, threads=2),
        line_of("clusterlib", 4.0, op="batch", case="batch-a", problems=1000),
        line_of("clusterlib", 4.0, op="solve", case="solve-a", error=2e-7, sweeps=94),
        grown,
    ]
    path = tmp_path / "summary.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page.main([path.as_posix()])
    shown = capsys.readouterr().out
    assert "| `sinkhorn-a` | 1 | 2 | 2 ns | pot sinkhorn_log **25.00** |" in shown
    assert "| `sinkhorn-a` | 2 | 1 (one thread takes 2.00 times as long) | 1 ns |  |" in shown
    assert "| `batch-a` | 1 | 4 | 4 us |  |" in shown
    assert "4 (error 2e-07, 94)" in shown
    assert "3 MB more than before at most; the matrix of the costs would take 40 GB" in shown
    assert "ours / floor" not in shown

"""The bench as a program: cases are sound, the harness runs, results are read and compared.

Nothing here looks at how long something took.
"""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import adapters, compare, floors, judge, page, run, table, verdict
from bench.cases import CASES, SHORT, Case, select
from bench.floors import build
from bench.goals import GOALS
from bench.problems import KINDS, Fit, make_problem
from bench.race import race
from bench.records import read

ROOT = Path(__file__).parents[1]
SMALL = Case("argmin", 60, 5, 7)


@pytest.fixture(autouse=True, scope="module")
def cache_of_its_own(tmp_path_factory):
    """The probe is compiled once for this file, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def result_line(contestant, over_floor, *, case="argmin-a", threads=1, goals=("argmin",), **more):
    """A result line as ``bench.run`` writes it."""
    return {
        "kind": "result", "case": case, "threads": threads, "contestant": contestant,
        "isa": "avx512" if contestant.startswith("clusterlib") else None, "goals": goals,
        "op": "argmin", "ns": over_floor * 1000, "ns_median": over_floor * 1010,
        "over_floor": over_floor, "over_floor_median": over_floor * 1.01, "over_memory": 3.0,
        "agreement": 1.0, "checked": 100, "wrong": 0,
    } | more  # fmt: skip


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("cases", [CASES, SHORT], ids=["all", "short"])
def test_cases_are_well_formed(cases):
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert case.data in KINDS
        assert set(case.goals) <= GOALS.keys()
        assert case.k <= case.n or case.op != "fit"
        assert case.flops > 0 and case.bytes > 0


def test_every_goal_has_its_case():
    assert {goal for case in CASES for goal in case.goals} == GOALS.keys()


def test_floor_counts_two_operations_per_multiply_add():
    assert Case("argmin", 10, 3, 4).flops == 2 * 10 * 3 * 4
    assert Case("fit", 10, 3, 4).flops == 20 * 2 * 10 * 3 * 4


def test_select_by_pattern():
    assert select(CASES, []) == list(CASES)
    chosen = select(CASES, ["topk", "fit-*-clustered"])
    assert {case.op for case in chosen} == {"topk", "fit"}
    assert {case.data for case in chosen if case.op == "fit"} == {"clustered"}


def test_cut_case_loses_its_goals():
    case = CASES[0]
    assert case.with_rows(100).goals == ()
    assert case.with_rows(case.n) == case


@pytest.mark.parametrize("data", sorted(KINDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_problems_are_the_same_every_time(data, dtype):
    case = Case("argmin", 60, 5, 7, dtype=dtype, data=data)
    one, two = make_problem(case, 1), make_problem(case, 1)
    assert one.X.shape == (60, 5) and one.Y.shape == (7, 5)
    assert one.X.dtype == one.Y.dtype == dtype
    np.testing.assert_array_equal(one.X, two.X)
    np.testing.assert_array_equal(one.Y, two.Y)


def test_race_gives_every_contestant_its_turns():
    calls = {"a": lambda: 1, "b": lambda: 2}
    timings = race(calls, lambda: 1e9, threads=1, repeats=3, seconds=10)
    assert {name: len(timing.samples) for name, timing in timings.items()} == {"a": 3, "b": 3}
    summary = timings["a"].summary(1000)
    assert 0 < summary["over_floor"] <= summary["over_floor_median"]
    assert summary["peak_flops"] == 1e9


def test_race_without_a_probe_has_no_ratio():
    timing = race({"a": int}, floors.NoProbe(), threads=1, repeats=2, seconds=1)["a"]
    assert timing.summary(10)["over_floor"] is None
    assert timing.summary(10)["ns"] >= 0


def test_judge_finds_a_wrong_label():
    problem = make_problem(SMALL, 1)
    right = ((problem.X[:, None].astype(float) - problem.Y) ** 2).sum(2).argmin(1)
    spoiled = right.copy()
    spoiled[3] = (right[3] + 1) % SMALL.k
    found = judge.verdicts(problem, {"right": right, "spoiled": spoiled})
    assert (found["right"]["wrong"], found["spoiled"]["wrong"]) == (0, 1)
    assert found["spoiled"]["agreement"] == pytest.approx(1 - 1 / SMALL.n)


def test_judge_finds_another_inertia():
    problem = make_problem(Case("fit", 60, 5, 7), 1)
    answers = {"a": Fit(problem.Y, 20), "b": Fit(problem.Y * 1.001, 20)}
    digests = {name: judge.digest(problem, answer) for name, answer in answers.items()}
    found = judge.verdicts(problem, digests)
    assert found["a"]["same_inertia"] and not found["b"]["same_inertia"]
    squared = ((problem.X[:, None].astype(float) - problem.Y) ** 2).sum(2).min(1).sum()
    assert found["a"]["inertia"] == pytest.approx(squared, rel=1e-10)


def test_harness_runs_with_nothing(tmp_path):
    options = ["--short", "--rows", "40", "--repeat", "2", "--contestants", "nothing"]
    path = run.main([*options, "--out", str(tmp_path / "out.jsonl")])
    result = read(path)
    assert {line["contestant"] for line in result.results} == {"nothing"}
    assert len(result.results) == len({case.with_rows(40).name for case in SHORT})
    assert len(result.machines) == 1 and result.machines[0]["cpu"]
    assert "nothing" in table.render(result)


def test_harness_checks_our_answers(tmp_path):
    options = ["--rows", "50", "--repeat", "2", "--contestants", "ours", "--backend", "reference"]
    cases = ["--case", "argmin-float32-ties", "--case", "sums"]
    result = read(run.main([*options, *cases, "--out", str(tmp_path / "out.jsonl")]))
    argmin, sums = (line for line in result.results if line["contestant"] == "clusterlib")
    assert argmin["wrong"] == 0 and argmin["checked"] == 50
    assert sums["error"] < 1e-12


def test_failed_contestant_is_reported_and_the_others_run(monkeypatch):
    def entries(problem):
        yield "broken", lambda: 1 / 0

    broken = type("Broken", (), {"DISTRIBUTION": None, "entries": staticmethod(entries)})
    field = adapters.load(["nothing"])
    field.adapters["broken"] = broken
    lines = list(run.measure(make_problem(SMALL, 1), field, 2, 1.0))
    assert [(line["kind"], line["contestant"]) for line in lines] == [
        ("failed", "broken"),
        ("result", "nothing"),
    ]


def test_unknown_contestant_is_refused():
    with pytest.raises(ValueError, match="unknown contestants"):
        adapters.load(["no-such-library"])


def test_without_a_compiler_figures_are_missing_not_wrong(monkeypatch):
    def refuse():
        raise build.NoCompiler("no compiler")

    build.load_library.cache_clear()
    monkeypatch.setattr(build, "compile_probe", refuse)
    limits = floors.measure_limits(1, memory_floats=1 << 10)
    assert limits["float32_flops"] is None and limits["read_bytes"] is None
    assert limits["sgemm_flops"] > 0
    assert math.isnan(floors.make_probe("float32", 1)())


def test_goals_are_held_against_results(tmp_path):
    lines = [
        result_line("clusterlib", 1.0),
        result_line("sgemm", 0.9),
        result_line("faiss IndexFlatL2", 1.3),
        result_line("sklearn predict", 1.3),
        result_line("nothing", 1e-6),
        result_line("clusterlib", 0.6, threads=2),
    ]
    found = list(verdict.checks(read(write(tmp_path / "a.jsonl", lines))))
    reached = {check.figure: check.reached for check in found if check.threads == 1}
    assert reached == {
        "ours / floor": True,
        "sgemm / ours": False,
        "faiss IndexFlatL2 / ours": True,
        "sklearn predict / ours": True,
    }
    (scaling,) = [check for check in found if check.goal == "two threads"]
    assert scaling.value == pytest.approx(1 / 0.6) and not scaling.reached


def test_goal_about_the_narrow_screen_takes_the_right_line():
    lines = {
        "clusterlib": result_line("clusterlib", 0.7, isa="avx512_vnni"),
        "clusterlib avx512": result_line("clusterlib avx512", 1.05, isa="avx512"),
    }
    assert verdict.ours_for(GOALS["screened"], lines)["over_floor"] == 0.7
    assert verdict.ours_for(GOALS["argmin"], lines)["over_floor"] == 1.05


@pytest.mark.parametrize(
    ("factor", "status"), [(1.0, 0), (1.04, 0), (1.2, 1), (0.8, 0)], ids=lambda value: str(value)
)
def test_compare_flags_a_planted_regression(tmp_path, capsys, factor, status):
    base = [result_line("clusterlib", 1.0), result_line("clusterlib", 2.0, case="argmin-b")]
    head = [
        result_line("clusterlib", 1.0),
        result_line("clusterlib", 2.0 * factor, case="argmin-b"),
    ]
    paths = [write(tmp_path / name, lines) for name, lines in (("base", base), ("head", head))]
    assert compare.main([str(path) for path in paths]) == status
    slower = [line for line in capsys.readouterr().out.splitlines() if line.endswith("slower")]
    assert [line.split()[0] for line in slower[:-1]] == ["argmin-b"] * status


def test_compare_looks_at_one_thread_and_ours_only(tmp_path):
    same = result_line("clusterlib", 1.0)
    base = [same, result_line("clusterlib", 1.0, threads=2), result_line("sgemm", 1.0)]
    head = [same, result_line("clusterlib", 9.0, threads=2), result_line("sgemm", 9.0)]
    paths = [write(tmp_path / name, lines) for name, lines in (("base", base), ("head", head))]
    assert compare.main([str(path) for path in paths]) == 0


def test_table_and_picture(tmp_path):
    pytest.importorskip("matplotlib")
    from bench.picture import draw

    lines = [result_line("clusterlib", 1.0), result_line("sgemm", 2.0, wrong=3, agreement=0.9)]
    machine = {"kind": "machine", "cpu": "a processor", "isa": "avx512", "threads": 1}
    machine |= {"limits": {"float32_flops": 2e9}, "versions": {"numpy": "2"}, "pools": ["blas"]}
    result = read(write(tmp_path / "a.jsonl", [machine, *lines]))
    text = table.render(result, markdown=True)
    assert "| argmin-a | 1 | sgemm |" in text and "3 of 100 wrong" in text and "| 2.00 |" in text
    draw(result, tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_the_page_shows_what_the_committed_results_say(capsys):
    results = sorted((ROOT / "bench" / "results").glob("summary*.jsonl"))
    page.main([path.as_posix() for path in results])
    shown = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf8")
    assert capsys.readouterr().out == shown

"""Non-negative factors and mixtures in the bench: everybody gives the answer that the judge knows.

Nothing here looks at how long something took.
"""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import adapters, floors, judge, mixtures, page, race, run
from bench.cases import SHARE_OF_CELLS, Case
from bench.problems import make_problem
from bench.race import Difference, observed

CONTESTANTS = ("ours", "numpy", "sklearn")
PRECISION = {"float32": 2e-6, "float64": 1e-13}
PEERS = {"hals": 1, "masked": 1, "plsa": 1, "fold": 1, "shift": 2, "tempered": 2}


@pytest.mark.parametrize("dtype", sorted(PRECISION))
@pytest.mark.parametrize("op", sorted(PEERS))
def test_everybody_gives_the_same_answer(op, dtype):
    problem = make_problem(Case(op, 40, 30, 5, dtype=dtype), 1, "reference")
    digests = {
        name: judge.digest(problem, setup()())
        for adapter in adapters.load(CONTESTANTS).adapters.values()
        for name, setup in adapter.entries(problem)
    }
    assert len(digests) == 1 + PEERS[op]
    for name, fields in judge.verdicts(problem, digests).items():
        assert fields["error"] < PRECISION[dtype], name


def test_a_table_is_as_full_as_its_operations_say():
    problem = make_problem(Case("plsa", 300, 400, 5), 1)
    (indptr, indices, data), W, H = mixtures.table(problem)
    full = mixtures.full_table(problem)
    assert indptr[-1] == np.count_nonzero(full)
    assert abs(indptr[-1] / full.size / SHARE_OF_CELLS - 1) < 0.02
    rows = np.repeat(np.arange(300), np.diff(indptr))
    np.testing.assert_array_equal(full[rows, indices], data)
    assert W.shape == (300, 5) and H.shape == (400, 5) and min(W.min(), H.min()) >= 0


def test_rows_without_cells_have_uniform_weights():
    problem = make_problem(Case("fold", 200, 6, 3, dtype="float64"), 1, "reference")
    empty = ~mixtures.full_table(problem).any(axis=1)
    assert 0 < empty.sum() < 200
    np.testing.assert_array_equal(mixtures.true_rows(problem)[empty[problem.rows]], 1 / 3)
    for adapter in adapters.load(("ours", "numpy")).adapters.values():
        for _, setup in adapter.entries(problem):
            np.testing.assert_array_equal(setup()()[empty], 1 / 3)


def test_a_long_call_is_timed_once(monkeypatch):
    monkeypatch.setattr(race, "LONG_SECONDS", 0)
    made = []
    answer, sample = observed(lambda: made.append(0) or "answer", lambda: 1e9)
    assert answer == "answer" and sample.peak == 1e9
    options = {"threads": 1, "repeats": 3, "seconds": 1}
    timings = race.race(
        {"long": made.clear, "a": int}, lambda: 1e9, known={"long": sample}, **options
    )
    assert made == [0]
    assert [(name, len(timing.samples)) for name, timing in timings.items()] == [
        ("long", 1),
        ("a", 3),
    ]
    assert observed(Difference(lambda number: number, 1, 3), lambda: 1e9) == (3, None)


def test_long_fits_are_on_the_page_with_their_errors(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(race, "LONG_SECONDS", 0)
    monkeypatch.setattr(floors, "make_probe", lambda *_: lambda: 1e9)
    path = tmp_path / "out.jsonl"
    cases = ["--case", "nmf", "--case", "counts", "--rows", "60", "--repeat", "1"]
    run.main(["--short", *cases, "--contestants", "ours,sklearn_nmf", "--out", str(path)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    results = [line for line in lines if line["kind"] == "result"]
    assert {line["repeats"] for line in results} == {1}
    assert min(line["error"] for line in results) == 0
    capsys.readouterr()
    page.main([str(path)])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert all("clusterlib, tol 1e-3 **" in row and row.count("(error") >= 4 for row in rows)

"""The bench of what latent label shift says of itself: draws, lines, tables, going on."""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import label_shift_diagnostics as bench
from bench.label_shift_cases import CONDITION, Setting


def test_independent_rows_are_drawn_once_from_the_shares():
    task = Setting("digits", 10, 3, CONDITION[3]).draw(0)
    drawn = bench.independent(task, "digits", np.random.default_rng(0))
    everything = np.unique(bench.DATA["digits"]()[0], axis=0)
    assert len(everything) == 1797 and len(np.unique(drawn.X, axis=0)) == len(drawn.X)
    assert len(drawn.X) == len(drawn.y) == len(drawn.domains)
    assert len(drawn.X_test) == 0
    sizes = np.bincount(drawn.domains)
    # A class that runs out costs a few rows.
    assert sizes.max() - sizes.min() <= 0.1 * sizes.max()
    counts = np.zeros((10, 10))
    np.add.at(counts, (drawn.domains, drawn.y), 1)
    spread = np.sqrt(task.label_marginals * (1 - task.label_marginals) / sizes[:, None])
    distance = (counts / sizes[:, None] - task.label_marginals) / np.maximum(spread, 0.02)
    assert 0.6 < np.sqrt((distance[task.label_marginals > 0.02] ** 2).mean()) < 1.4


def test_lines_go_on_and_become_tables(tmp_path, capsys):
    path = tmp_path / "lines.jsonl"
    options = ["--out", str(path), "--data", "digits", "--domains", "12", "--concentration", "0.5"]
    options += ["--seeds", "1", "--part", "report"]
    (line,) = bench.main(options)
    assert json.loads(path.read_text())["accuracy"] == line["accuracy"]
    assert line["identified"] and line["accuracy"] > 0.9
    assert abs(line["expected_accuracy"] - line["accuracy"]) < 0.05
    assert "| digits r=12 a=0.5 | 1 | 0 of 1 |" in capsys.readouterr().out
    assert len(bench.main(options)) == 1
    assert len(path.read_text().splitlines()) == 1


def test_tables_of_made_up_lines():
    line = {"part": "choice", "data": "digits", "r": 20, "a": 3.0, "seed": 0, "k": 10}
    line |= {"chosen": 11, "rank_classes": 9, "sure": False, "seconds": 2.0}
    table = bench.tables([line, line | {"chosen": 10, "sure": True, "seconds": 4.0, "seed": 1}])
    assert "| digits r=20 a=3 | 2 | +1 +0 | +1 | -1 -1 | 3.0 |" in table
    assert bench.tables([]) == ""

"""The bench of heads: rules, tables, files that it goes on with."""

import json

import pytest

from bench import noisy_label_heads
from bench.noisy_label_heads import NAMES, RULES


def line(scores, accuracy, errors=0.1, data="digits", seed=0):
    """What a fit leaves, all heads with the same standard error."""
    return {
        "cell": f"{data}, none",
        "data": data,
        "seed": seed,
        "scores": dict(zip(NAMES, scores, strict=True)),
        "errors": dict.fromkeys(NAMES, errors),
        "accuracy": dict(zip(NAMES, accuracy, strict=True)),
    }


@pytest.mark.parametrize(
    ("rule", "head"),
    [
        ("best score of all", "transition"),
        ("best score of weighted, gaussian, combined", "gaussian"),
        ("the simplest of these within one standard error", "weighted"),
        ("combined if within one, else the simplest", "weighted"),
        ("combined if within two, else the simplest", "combined"),
        ("the most accurate of all, of each fit", "logistic"),
    ],
)
def test_rules_choose(rule, head):
    # logistic, weighted, gaussian, combined, transition
    found = line([-2.0, -1.05, -1.0, -1.15, -0.5], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert RULES[rule](found) == head


def test_where_the_best_is_far_from_the_best_of_all_a_rule_still_chooses():
    found = line([-2.0, -1.5, -1.0, -3.0, -0.5], [0.9, 0.8, 0.7, 0.6, 0.5], errors=-1.0)
    assert RULES["combined if within one, else the simplest"](found) == "gaussian"


def test_table_holds_means_of_each_data_set():
    lines = [
        line([-2, -1, -3, -3, -3], [0.5, 0.6, 0, 0, 0], seed=0),
        line([-2, -1, -3, -3, -3], [0.7, 0.9, 0, 0, 0], seed=1),
        line([-1, -2, -3, -3, -3], [0.1, 0.2, 0, 0, 0], data="gauss"),
    ]
    rows = noisy_label_heads.report(lines).splitlines()
    assert rows[0] == "| head | digits | gauss |"
    assert "| always logistic | 60.0 | 10.0 |" in rows
    assert "| best score of all | 75.0 | 10.0 |" in rows
    assert "| the most accurate of all, of each fit | 75.0 | 20.0 |" in rows


def test_a_run_goes_on_where_it_stopped(tmp_path, capsys):
    out = tmp_path / "heads.jsonl"
    options = ["--cells", "digits, frequency 0.4", "--out", str(out)]
    (first,) = noisy_label_heads.main([*options, "--seeds", "1"])
    assert first["choice"] in NAMES and set(first["accuracy"]) == set(NAMES)
    assert all(0.5 < value <= 1 for value in first["accuracy"].values())
    both = noisy_label_heads.main([*options, "--seeds", "2"])
    assert both[0] == first and both[1]["seed"] == 1
    assert [json.loads(text) for text in out.read_text().splitlines()] == both
    assert "| always gaussian |" in capsys.readouterr().out

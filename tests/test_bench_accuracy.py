"""The error table of the bench: who is asked about what, what is kept, what is reported."""

import json
import math

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import accuracy
from bench.accuracy_cases import METHODS, OURS, PEERS, SETTINGS, Sample


def line_of(setting, method, seed, error):
    return {"kind": "error", "setting": setting, "method": method, "seed": seed, "error": error}


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_have_groups_without_gaps(setting):
    sample = SETTINGS[setting](0)
    assert sample.X.shape[0] == len(sample.labels)
    assert np.bincount(sample.labels).min() > 1
    if sample.covariances is not None:
        assert len(sample.covariances) == sample.n_groups


def test_axes_are_left_alone_where_they_are_few():
    X = np.random.default_rng(0).normal(size=(30, 6))
    labels = np.arange(30) % 2
    assert METHODS["EM after PCA"](Sample(X, labels), 0) is None
    assert METHODS["known covariances"](Sample(X, labels), 0) is None


def test_runs_go_on_where_they_stopped(tmp_path, monkeypatch):
    calls = []

    def method(sample, seed):
        calls.append(seed)
        return (sample.labels + 1) % 3

    monkeypatch.setitem(METHODS, "Ward", method)
    path = tmp_path / "errors.jsonl"
    options = ["--out", str(path), "--setting", "crossed", "--method", "Ward"]
    accuracy.main([*options, "--seeds", "2"])
    accuracy.main([*options, "--seeds", "3"])
    accuracy.main([*options, "--seeds", "2", "--first-seed", "2"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert calls == [0, 1, 2, 3] == [line["seed"] for line in lines]
    assert all(line["error"] == pytest.approx(0, abs=1e-12) for line in lines)


def test_failures_are_told_and_tried_again(tmp_path, monkeypatch, capsys):
    def fail(sample, seed):
        raise RuntimeError("no groups today")

    path = tmp_path / "errors.jsonl"
    options = ["--out", str(path), "--setting", "crossed", "--method", "KMeans", "--seeds", "1"]
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "KMeans", fail)
        accuracy.main(options)
    assert "no groups today" in capsys.readouterr().out
    (line,) = accuracy.main(options)
    assert 0 <= line["error"] < 0.5 and "no groups today" not in capsys.readouterr().out


def test_summary_knows_standard_errors():
    lines = [line_of("iris", "EM", seed, error) for seed, error in enumerate((0.1, 0.2, 0.6))]
    mean, spread, count = accuracy.summary(lines)["iris"]["EM"]
    assert (mean, count) == (pytest.approx(0.3), 3)
    assert spread == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1) / math.sqrt(3))


def test_table_names_the_best_and_how_ours_compares():
    errors = dict.fromkeys(PEERS, 0.2) | {"Ward": 0.1, "EM diag": 0.01, OURS: 0.15}
    lines = [line_of("iris", method, 0, error) for method, error in errors.items()]
    lines += [line_of("wine", method, 0, error) for method, error in errors.items()]
    lines += [line_of("wine", OURS, 1, 0.05), line_of("wine", "known covariances", 0, 0.001)]
    iris, wine = accuracy.table(lines).splitlines()[2:]
    assert "**0.010**" in iris and iris.endswith("| +0.050 WORSE |")
    assert "0.100 ± 0.050" in wine and wine.endswith("| +0.000 |")
    assert "**0.010**" in wine and "| 0.001 |" in wine

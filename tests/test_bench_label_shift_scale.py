"""The bench of label shift at scale: rows are what they are said to be, figures are in reach."""

import json

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")

from bench import label_shift_scale

SMALL = ["--rows", "8000", "--domains", "20", "--classes", "3", "--d", "6", "--spread", "2"]


@pytest.fixture(scope="module")
def rows():
    return label_shift_scale.drawn(label_shift_scale.parse(SMALL), None)


def test_rows_are_dealt_as_the_marginals_say(rows):
    counts = np.zeros(rows.marginals.shape)
    np.add.at(counts, (rows.domains, rows.classes), 1)
    assert (counts.sum(axis=1) == 400).all()
    # Five standard deviations of a share of 400 rows are at most 0.125.
    assert np.abs(counts / 400 - rows.marginals).max() < 0.125


def test_a_file_holds_the_same_rows(rows, tmp_path):
    mapped = label_shift_scale.drawn(label_shift_scale.parse(SMALL), tmp_path / "X.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), rows.X)
    np.testing.assert_array_equal(mapped.classes, rows.classes)


def test_bayes_rule_is_better_than_any_guess(rows):
    best = label_shift_scale.bayes_accuracy(rows)
    nearest = np.square(rows.X[:, None, None] - rows.centers).sum(axis=3).min(axis=1)
    assert best > np.mean(nearest.argmin(axis=1) == rows.classes)


def test_a_run_is_printed(capsys):
    line = label_shift_scale.main([*SMALL, "--micro", "200", "--mapped"])
    assert json.loads(capsys.readouterr().out) == line
    assert line["domain_only"] < line["bayes"] - 0.2
    assert abs(line["accuracy"] - line["bayes"]) < 0.03
    assert line["error"] < 2 * line["label_floor"]
    assert line["seconds"] > 0

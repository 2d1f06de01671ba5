"""The bench of the noise model's time: what is timed, and what is told of it."""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import noisy_label_speed as bench
from bench.label_shift_cases import Absent
from clusterlib.kernels import LEAF_ROWS
from clusterlib.solvers import noisy_gaussians
from clusterlib.solvers.noisy_gaussian_sweep import _CHUNK_ROWS, _LEAST_POSTERIOR

SMALL = ["iteration", "--rows", "5000", "--features", "6", "--classes", "4"]


def test_an_iteration_is_held_against_its_products(capsys, tmp_path):
    out = tmp_path / "lines.jsonl"
    line = bench.main([*SMALL, "--rounds", "3", "--out", str(out)])
    table = capsys.readouterr().out
    seconds = line["seconds"]
    assert list(seconds) == [
        "iteration",
        "whitening",
        "scatters",
        "scatters, all rows in all classes",
    ]
    assert all(f"| {name} | {value:.3f} |" in table for name, value in seconds.items())
    ratio = seconds["iteration"] / (seconds["whitening"] + seconds["scatters"])
    assert f"An iteration takes {ratio:.2f} times its products" in table
    assert 1 <= line["classes_of_a_row"] <= 4
    machine, kept = map(json.loads, out.read_text().splitlines())
    assert machine["kind"] == "machine" and kept == line


def test_sizes_are_those_of_the_solver():
    assert (bench.WHITENED_ROWS, bench.LEAST_POSTERIOR) == (_CHUNK_ROWS, _LEAST_POSTERIOR)


@pytest.mark.parametrize(("spread", "low", "high"), [(0.1, 3.9, 4.0), (20.0, 1.0, 1.1)])
def test_rows_are_members_of_classes_with_a_posterior(spread, low, high):
    options = bench.parse([*SMALL, "--spread", str(spread), "--dtype", "float64"])
    X, codes = bench.overlapping(options)
    assert X.shape == (5000, 6) and X.dtype == np.float64
    fit = noisy_gaussians(X, codes, 4, shrinkage=30, max_iter=9)
    members = bench.members_of_leaves(X, codes, fit)
    assert members.shape == (2, 4) and members[0].max() <= LEAF_ROWS
    assert members[1].max() <= 5000 - LEAF_ROWS
    assert low <= members.sum() / 5000 <= high


def test_a_fit_is_held_against_cleanlab(capsys):
    pytest.importorskip("cleanlab")
    line = bench.main(
        ["fit", "--rows", "600", "--features", "12", "--classes", "3", "--components", "5"]
    )
    table = capsys.readouterr().out
    seconds, precision = line["seconds"], line["average_precision"]
    contestants = ["noise model", "one covariance", "classifier", "cleanlab"]
    assert list(seconds) == list(precision) == contestants
    # A fifth of the labels is wrong: whoever guesses has 0.2.
    assert all(0.6 < value <= 1 for value in precision.values())
    assert line["n_iter"] > 1 and line["shrinkage"] > 0 and line["n_iter_together"] > 1
    times = seconds["cleanlab"] / seconds["noise model"]
    assert f"The noise model is {times:.2f} times as fast: 5 components" in table
    together = seconds["cleanlab"] / seconds["one covariance"]
    assert f"one covariance for all features it is {together:.2f} times as fast" in table
    assert f"the classifier {seconds['cleanlab'] / seconds['classifier']:.2f} times" in table


def test_embeddings_are_drawn_with_noise(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        bench,
        "load_embeddings",
        lambda name: {"data": rng.normal(size=(40, 7)), "target": np.arange(40) % 4},
    )
    options = bench.parse(["fit", "--rows", "300", "--data", "newsgroups"])
    X, labels, wrong = bench.embedded(options)
    assert X.shape == (300, 7) and len(np.unique(X, axis=0)) == 300
    assert set(labels) == {0, 1, 2, 3} and 0.1 < wrong.mean() < 0.3

    def absent(name):
        raise FileNotFoundError("get them there")

    monkeypatch.setattr(bench, "load_embeddings", absent)
    with pytest.raises(Absent, match="get them there"):
        bench.embedded(options)


def test_labels_are_wrong_as_told():
    options = bench.parse(["fit", "--rows", "4000", "--features", "50", "--classes", "5"])
    X, labels, wrong = bench.embedded(options)
    assert X.shape == (4000, 50) and X.dtype == np.float32
    assert abs(wrong.mean() - bench.WRONG) < 0.03
    means = np.stack([X[(labels == c) & ~wrong].mean(axis=0) for c in range(5)])
    nearest = np.square(X[:, None] - means).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest[~wrong] == labels[~wrong]) > 0.8 > np.mean(nearest == labels)

"""The bench of subclasses: what methods it compares, and that their sizes are what they say."""

import numpy as np
import pytest

from bench import subclass_balancing as bench
from bench.label_shift_cases import Absent
from clusterlib.solvers import unit_rows


@pytest.fixture(scope="module")
def rows():
    return unit_rows(np.random.default_rng(0).normal(size=(47, 5)) + 1)


@pytest.mark.parametrize("name", bench.METHODS)
def test_methods_cut_rows_into_parts_of_equal_size(rows, name):
    method = bench.METHODS[name]
    if method is bench.constrained:
        pytest.importorskip("k_means_constrained")
    sizes = np.bincount(method(rows, 5, seed=0), minlength=5)
    assert sizes.sum() == 47
    if method is bench.capped_greedy:
        assert sizes.max() <= bench.THRESHOLD
    elif method is not bench.plain:
        assert sorted(sizes) == [9, 9, 9, 10, 10]


def test_greedy_takes_the_best_pair_that_is_left():
    costs = np.array([[1, 2, 3], [1, 5, 9], [1, 1.5, 8], [2, 2, 2], [0, 7, 7], [3, 1, 4]])
    labels = bench._greedy_labels(-costs, [(2, 6)])
    assert labels.tolist() == [0, 2, 1, 2, 0, 1]
    assert costs[np.arange(6), labels].sum() == 14.5  # the least is 8.5
    # Two rounds: first one row for each centre, then one more for some of them.
    assert np.bincount(bench._greedy_labels(-costs, [(1, 3), (2, 2)]) + 1).tolist()[0] == 1


def test_exact_is_below_greedy(capsys):
    means = bench.main(["costs", "--data", "digits", "--seeds", "1"])
    lines = capsys.readouterr().out.splitlines()
    for rule in ("code", "cap"):
        ours = means["digits", rule, "exact balanced, with exchanges"]
        assert ours[0] <= means["digits", rule, "exact balanced"][0] * (1 + 1e-12)
        for name, (error, spread, largest, seconds) in means.items():
            if name[1] == rule and "greedy" in name[2]:
                assert error > ours[0] and largest >= 1 and spread > 0 and seconds >= 0
        assert means["digits", rule, "k-means, sizes free"][1] > 5 * ours[1]
    assert sum(line.startswith("| exact balanced |") for line in lines) == 2
    assert ("digits", "code", "greedy of the paper, closed at M") not in means


def test_accuracies_are_those_of_equal_shares(capsys):
    means = bench.main(["frozen", "--data", "digits", "--seeds", "1"])
    assert "| classifier | ratio 10 | ratio 50 | ratio 100 |" in capsys.readouterr().out
    assert len(means) == 9 * len(bench.RATIOS)
    assert all(0.3 < score < 1 for score in means.values())
    # The longer the tail, the more is lost by whoever takes its shares for those of all rows.
    plain = [means["digits", "classes", ratio] for ratio in bench.RATIOS]
    assert plain[0] > plain[-1]


def test_patch_features_keep_the_images_apart(monkeypatch):
    try:
        images, y = bench.digit_images()
    except Absent as why:
        pytest.skip(f"MNIST is not there: {why}")
    monkeypatch.setattr(bench, "digit_images", lambda: (images[::10], y[::10]))  # 500 are enough
    X, y = bench._patch_features.__wrapped__()
    assert X.shape == (500, 64) and np.isfinite(X).all()
    centers = np.stack([X[y == c].mean(axis=0) for c in range(10)])
    nearest = np.square(X[:, None] - centers).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == y) > 0.7


def test_absent_data_are_left_out(monkeypatch, capsys):
    def absent():
        raise Absent("get them there")

    monkeypatch.setitem(bench.DATA, "mnist", absent)
    assert bench.main(["costs", "--data", "mnist"]) == {}
    assert "mnist is left out: get them there" in capsys.readouterr().out

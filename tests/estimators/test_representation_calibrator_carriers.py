"""Gaussians of classes with wrong labels, from rows that are read block by block."""

import logging
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.imbalance import RepresentationCalibrator
from tests.carriers import CARRIERS, Elsewhere

OPTIONS = [
    {"shrinkage": 8.0},
    {"shrinkage": np.inf, "tol": 0.0, "max_iter": 12},
    {"shrinkage": 8.0, "degrees_of_freedom": 5.0},
    {"shrinkage": np.inf, "degrees_of_freedom": 5.0},
]
FITTED = [
    "classes_",
    "means_",
    "covariances_",
    "class_prior_",
    "effective_counts_",
    "label_quality_",
    "other_labels_",
    "transition_matrix_",
    "shrinkage_",
    "history_",
    "n_iter_",
    "converged_",
    "sample_indices_",
    "n_features_in_",
]


def labelled(n=20_011, m=4, dtype=np.float32, seed=0):
    """Rows of three classes of very different sizes; a tenth of the labels are wrong."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(3, size=n, p=[0.7, 0.25, 0.05])
    X = rng.normal(size=(n, m)) * (1 + classes[:, None]) + 6 * rng.normal(size=(3, m))[classes]
    wrong = rng.random(n) < 0.1
    y = np.where(wrong, rng.integers(3, size=n), classes)
    return X.astype(dtype), np.array(["ant", "bee", "cat"])[y], rng.uniform(size=n).round(1)


def assert_same(found, expected):
    for name in FITTED:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def fitted(X, y, weight=None, **options):
    return RepresentationCalibrator(random_state=0, **options).fit(X, y, sample_weight=weight)


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_carrier_gives_the_same_bits(options, tmp_path):
    X, y, weight = labelled()
    expected = fitted(X, y, weight, max_iter=options.pop("max_iter", 4), **options)
    for name, carrier in CARRIERS.items():
        model = fitted(carrier(X, tmp_path), y, weight, max_iter=expected.max_iter, **options)
        assert_same(model, expected)
        assert_array_equal(model.find_label_issues()[0], expected.find_label_issues()[0], name)


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("dtype", [np.float64, np.int16])
@pytest.mark.parametrize("carrier", ["file", "batches", "elsewhere"])
def test_the_shrinkage_is_chosen_from_the_same_sample(carrier, dtype, tmp_path):
    X, y, _ = labelled(9000, dtype=np.float64)
    X = (100 * X).round().astype(dtype)
    expected = fitted(X, y, max_iter=2)
    model = fitted(CARRIERS[carrier](X, tmp_path), y, max_iter=2)
    assert expected.shrinkage_choice_.n_scored > 2000
    assert_array_equal(model.shrinkage_choice_.scores, expected.shrinkage_choice_.scores)
    assert_same(model, expected)


@pytest.mark.parametrize("runs_here", [True, False])
def test_rows_are_read_once_for_each_iteration(runs_here, tmp_path):
    X, y, _ = labelled()
    blocks = CARRIERS["file" if runs_here else "elsewhere"](X, tmp_path)
    passes = []
    blocks.observer = passes.append
    model = fitted(blocks, y, shrinkage=8.0)
    assert model.n_iter_ > 3
    assert passes.count(0) == 2 + model.n_iter_ + (1 if runs_here else 2)
    assert sum(passes) == passes.count(0) * len(X)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_memory_is_blocks_and_some_numbers_for_each_row(tmp_path):
    n, m = 100_000, 32
    X, y, _ = labelled(n, m)
    codes = np.unique(y, return_inverse=True)[1]
    np.save(tmp_path / "X.npy", X)
    blocks = as_blocks(tmp_path / "X.npy", block_rows=4096)
    fitted(blocks, codes, shrinkage=8.0, max_iter=1)
    tracemalloc.start()
    fitted(blocks, codes, shrinkage=8.0, max_iter=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # NumPy sorts y with five numbers of 8 bytes for each label. In passes there are three of them for
    # each row, three blocks, and a few leaves in float64.
    leaf = 4096 * m * 8
    bound = max(45 * n, 25 * n + 3 * leaf // 2 + 4 * leaf)
    assert peak < bound < 0.7 * X.nbytes


def test_paths_memory_maps_and_tiny_numbers(tmp_path):
    X, y, _ = labelled(5000)
    np.save(tmp_path / "X.npy", X)
    expected = fitted(X, y, shrinkage=8.0)
    for given in (tmp_path / "X.npy", str(tmp_path / "X.npy"), np.load(tmp_path / "X.npy", "r")):
        assert_same(fitted(given, y, shrinkage=8.0), expected)
    tiny = X.astype(np.float64) * 1e-95
    for scale, message in [(1e-95, "from 4.9e-91 on, or be zero"), (1e140, "Scale X")]:
        with pytest.raises(ValueError, match=message):
            fitted(as_blocks(X * np.float64(scale), block_rows=4096), y, shrinkage=8.0)
    assert fitted(tiny, y, shrinkage=8.0).converged_


def test_only_arrays_are_resampled_and_samples_fill_up(tmp_path):
    X, y, _ = labelled(5000)
    model = RepresentationCalibrator(shrinkage=8.0, random_state=0)
    with pytest.raises(
        TypeError, match=r"fit_resample of .* returns all rows at once: use fit, and"
    ):
        model.fit_resample(as_blocks(X), y)
    np.save(tmp_path / "X.npy", X)
    expected = model.fit_resample(X, y)
    found = model.fit_resample(np.load(tmp_path / "X.npy", "r"), y)
    assert_array_equal(found[0], expected[0])
    assert_array_equal(found[1], expected[1])
    sizes = np.unique(y, return_counts=True)[1]
    model.fit(as_blocks(X, block_rows=4096), y)
    drawn, labels = model.sample(sizes.max() - sizes, random_state=1)
    assert drawn.shape == (3 * sizes.max() - len(y), 4)
    assert_array_equal(np.unique(np.append(y, labels), return_counts=True)[1], 3 * [sizes.max()])
    means = [drawn[labels == label].mean(axis=0) for label in ("bee", "cat")]
    np.testing.assert_allclose(means, model.means_[1:], atol=0.4)
    assert_array_equal(model.sample(2, random_state=1)[1], np.repeat(model.classes_, 2))
    for wrong, error in [([1, 2], ValueError), (-1, ValueError), (1.5, TypeError)]:
        with pytest.raises(error, match="counts must"):
            model.sample(wrong)


def test_the_paper_needs_rows_in_memory(tmp_path):
    X, y, _ = labelled(2000)
    model = RepresentationCalibrator(recovery="paper")
    with pytest.raises(TypeError, match=r"RepresentationCalibrator needs .*recovery='noise_model'"):
        model.fit(as_blocks(X), y)
    np.save(tmp_path / "X.npy", X)
    found = model.fit(np.load(tmp_path / "X.npy", "r"), y).covariances_
    assert_array_equal(found, model.fit(X, y).covariances_)


@pytest.mark.parametrize("carrier", ["array", "file", "elsewhere"])
def test_what_is_wrong_is_named(carrier, tmp_path):
    X, y, _ = labelled()
    X[17_123, 2] = np.nan
    blocks = CARRIERS[carrier](X, tmp_path)
    with pytest.raises(ValueError, match="Input X contains NaN in row 17123, column 2"):
        fitted(blocks, y, shrinkage=8.0)
    with pytest.raises(ValueError, match="a label for each of the 20011 rows of X; got 20010 lab"):
        fitted(as_blocks(np.ones_like(X)), y[1:])
    with pytest.raises(ValueError, match="requires y to be passed"):
        RepresentationCalibrator().fit(as_blocks(np.ones_like(X)), None)
    with pytest.raises(ValueError, match="missing label nan in row 1"):
        fitted(as_blocks(X[:2]), [1.0, np.nan])


def test_progress_is_told_for_every_pass(caplog):
    X, y, _ = labelled()
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        fitted(Elsewhere(X, 8192), y, shrinkage=8.0, verbose=1)
    told = [r.getMessage() for r in caplog.records if "rows/s" in r.getMessage()]
    assert told[0].startswith("RepresentationCalibrator: pass 1: 20011 rows in")

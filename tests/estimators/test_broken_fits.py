"""Fits on rows that are read block by block, broken off: by Ctrl-C, wrong rows, a shorter file."""

import logging
import os
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from clusterlib.blocks import as_blocks
from clusterlib.cluster import (
    KMeans,
    MiniBatchKMeans,
    SDPClustering,
    SinkhornClustering,
    SphericalKMeans,
)
from clusterlib.imbalance import RepresentationCalibrator
from clusterlib.label_shift import LatentLabelShift, _domain_fit
from tests.carriers import Elsewhere

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge")

N_SAMPLES = 12_011
START = {"init": "k-means||", "random_state": 0}
MODELS = {
    "KMeans": KMeans(3, max_iter=4, tol=0, **START),
    "SphericalKMeans": SphericalKMeans(3, max_iter=4, tol=0, **START),
    "SinkhornClustering": SinkhornClustering(3, max_iter=3, n_iters=2, tol=0, **START),
    "MiniBatchKMeans": MiniBatchKMeans(
        3, batches="in_order", max_iter=3, max_no_improvement=None, random_state=0
    ),
    "SDPClustering": SDPClustering(
        3, solver="sketch", sketch_size=100, tol=1e-2, n_sketches=1, random_state=0
    ),
    "RepresentationCalibrator": RepresentationCalibrator(shrinkage=8.0, random_state=0),
    "tempered": LatentLabelShift(3, n_micro_clusters=30, n_init=2, random_state=0),
    "ddfa": LatentLabelShift(3, method="ddfa", cross_fit=2, n_init=2, random_state=0),
    "frozen": LatentLabelShift(3, method="ddfa", factorizer="anchor", random_state=0),
}
# What these leave after Ctrl-C, as soon as there is an iteration.
GOING_ON = ("KMeans", "SphericalKMeans", "SinkhornClustering", "MiniBatchKMeans")


@pytest.fixture(autouse=True)
def few_rows_are_many(monkeypatch):
    monkeypatch.setattr(_domain_fit, "_MOST_ROWS", 5_000)


@cache
def rows(n_features=4, seed=0):
    """Rows of three classes that three domains have in different shares, and the domains."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(3, size=N_SAMPLES)
    X = rng.normal(size=(N_SAMPLES, n_features)) + 4 * np.eye(3, n_features)[classes]
    y = np.where(rng.random(N_SAMPLES) < 0.7, classes, rng.integers(3, size=N_SAMPLES))
    return X.astype(np.float32), y


def model_for(name, X, y):
    model = clone(MODELS[name])
    if name == "frozen":
        model.set_params(discriminator=FrozenEstimator(LogisticRegression().fit(X[::9], y[::9])))
    return model


def attributes(model):
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


def assert_untouched(model, expected):
    found = attributes(model)
    assert found.keys() == expected.keys()
    assert all(found[name] is value for name, value in expected.items())


def stop_after(n_passes, n_blocks):
    """An observer that raises as Ctrl-C does, within a pass."""
    seen = []

    def observe(n_rows):
        seen.append(n_rows)
        if seen.count(0) > n_passes and seen[::-1].index(0) == n_blocks:
            raise KeyboardInterrupt

    return observe


def answer(model, X, y):
    if isinstance(model, RepresentationCalibrator):
        return model.find_label_issues()[0]
    return model.predict(X, y) if isinstance(model, LatentLabelShift) else model.predict(X)


@pytest.mark.parametrize("name", MODELS)
def test_an_interrupted_fit_leaves_what_belongs_together(name):
    """Every pass is broken off, of a fit to rows with another number of features."""
    X, y = rows()
    other, other_y = rows(3, seed=1)
    before = model_for(name, X, y).fit(X, y)
    expected = answer(before, X, y)
    model = model_for(name, other, other_y)
    whole = clone(model).fit(other, other_y)
    n_passes, outcomes = 0, []
    while True:
        vars(model).update(attributes(before))
        blocks = Elsewhere(other, 4096)
        blocks.observer = stop_after(n_passes, 1 + n_passes % 2)
        try:
            model.fit(blocks, other_y)
            break
        except KeyboardInterrupt:
            n_passes += 1
        if model.n_features_in_ == 4:
            outcomes.append("before")
            assert_untouched(model, attributes(before))
            assert_array_equal(answer(model, X, y), expected)
        else:
            outcomes.append("on the way")
            assert not {"labels_", "inertia_", "cluster_sizes_"} & set(vars(model))
            assert answer(model, other, other_y).shape == (N_SAMPLES,)
            assert model.cluster_centers_.shape == (3, 3)
            if hasattr(model, "partial_fit"):
                assert model.partial_fit(other[:500]).labels_.shape == (500,)
        for left in set(attributes(model)):
            delattr(model, left)
    assert n_passes > 1
    n_before = outcomes.count("before")
    assert outcomes == ["before"] * n_before + ["on the way"] * (n_passes - n_before)
    assert (n_before < n_passes) == (name in GOING_ON)
    for attribute, value in attributes(whole).items():
        if isinstance(value, np.ndarray) and attribute != "posteriors_":
            assert_array_equal(getattr(model, attribute), value, err_msg=attribute)


@pytest.mark.parametrize("n_passes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_interrupted_batch_has_not_been(n_passes, is_first):
    X, _ = rows()
    model = MiniBatchKMeans(3, random_state=0)
    if not is_first:
        model.partial_fit(X[:300])
    before = attributes(model)
    blocks = Elsewhere(X, 4096)
    blocks.observer = stop_after(n_passes - 1, 2)
    try:
        model.partial_fit(blocks)
    except KeyboardInterrupt:
        assert attributes(model) == before
    else:
        assert not is_first
        assert n_passes > 2


@pytest.mark.parametrize("name", MODELS)
def test_wrong_rows_leave_the_estimator_as_it_was(name, tmp_path):
    """The error names the row, and for a file that has become shorter the file."""
    X, y = rows()
    other, _ = rows(4 if name == "frozen" else 3, seed=1)
    model = model_for(name, X, y).fit(X, y)
    expected = attributes(model)
    bad = other.copy()
    bad[11_999, 1] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(ValueError, match="Input X contains NaN in row 11999, column 1"):
        model.fit(as_blocks(tmp_path / "bad.npy", block_rows=4096), y)
    np.save(tmp_path / "short.npy", other)
    blocks = as_blocks(tmp_path / "short.npy", block_rows=4096)
    os.truncate(tmp_path / "short.npy", 128 + 11_000 * other.strides[0])
    with pytest.raises((ValueError, OSError), match=r"short\.npy"):
        model.fit(blocks, y)
    assert_untouched(model, expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_pass_is_told(name, caplog):
    X, y = rows()
    blocks = Elsewhere(X, 4096)
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        model_for(name, X, y).set_params(verbose=1).fit(blocks, y)
    told = [r.getMessage() for r in caplog.records if "rows/s" in r.getMessage()]
    assert len(told) > 1
    assert told[0].startswith(f"{type(MODELS[name]).__name__}: pass ")
    assert all(f"{N_SAMPLES} rows in" in line for line in told)
    assert blocks.observer is None


@pytest.mark.parametrize("name", ["RepresentationCalibrator", "tempered", "ddfa", "frozen"])
def test_rows_of_a_sample_are_named_as_well(name):
    """Half of the rows of all blocks but the first are wrong, so that any sample has some."""
    X, y = rows()
    model = model_for(name, X, y)
    if name == "RepresentationCalibrator":
        model.set_params(shrinkage="auto")
    bad = X.copy()
    bad[4097::2, 2] = np.inf
    with pytest.raises(
        ValueError, match=r"Input X contains infinity in row \d+, column 2"
    ) as error:
        model.fit(Elsewhere(bad, 4096), y)
    assert int(str(error.value).split("row ")[1].split(",")[0]) % 2 == 1


@pytest.mark.parametrize("name", GOING_ON)
def test_a_late_error_leaves_the_estimator_as_it_was(name):
    """Nobody asked to stop, so nothing of a fit that failed after its first iterations stays."""
    X, y = rows()
    model = model_for(name, X, y)
    blocks = Elsewhere(X, 4096)
    passes = []
    blocks.observer = passes.append
    model.fit(blocks)
    before = attributes(model)
    interrupt = stop_after(passes.count(0) - 1, 1)  # in the last pass of all

    def fail(n_rows):
        try:
            interrupt(n_rows)
        except KeyboardInterrupt:
            raise OSError("the disk is gone") from None

    blocks.observer = fail
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(blocks)
    assert_untouched(model, before)

"""Every estimator that reads blocks has the bits of an array on a real cluster of two workers."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("distributed")

# In a process of its own, which workers import anew.
FITS = """
import os, sys, warnings
from functools import partial
from pathlib import Path

import numpy as np

N_SAMPLES, N_FEATURES = 20_011, 4
warnings.simplefilter("ignore")


def scaled(rows, matrix):
    return rows @ matrix


def fits(X, given, classes, weight):
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    from clusterlib.blocks import mapped
    from clusterlib.cluster import LikelihoodAdjustedSDP, MiniBatchKMeans, SDPClustering
    from clusterlib.cluster import SinkhornClustering
    from clusterlib.imbalance import RepresentationCalibrator
    from clusterlib.label_shift import LatentLabelShift
    from clusterlib.solvers import kmeans_parallel, lloyd, race_rows

    start = {"init": "k-means||", "max_iter": 2, "random_state": 0}
    for options in ({}, {"prior": "estimate"}, {"normalize": False, "epsilon": 2.0}):
        model = SinkhornClustering(5, n_iters=2, **start | options)
        yield model.fit(given, sample_weight=weight), model.predict(given)
    model = MiniBatchKMeans(5, batches="in_order", batch_size=3000, **start)
    yield model.fit(given, sample_weight=weight), model.predict(given)
    model = SDPClustering(3, solver="sketch", sketch_size=100, tol=1e-2, random_state=0)
    yield model.fit(given), model.predict(given)
    yield None, LikelihoodAdjustedSDP(3, random_state=0).fit(X[:300]).predict(given)
    for shrinkage, dof in ((8.0, None), (8.0, 5.0), (np.inf, None), (np.inf, 5.0), ("auto", None)):
        model = RepresentationCalibrator(
            shrinkage=shrinkage, degrees_of_freedom=dof, max_iter=2, random_state=0
        )
        yield model.fit(given, classes), model.find_label_issues()[0]
    frozen = FrozenEstimator(LogisticRegression().fit(X[::9], classes[::9]))
    for options in (
        {"n_micro_clusters": 60},
        {"method": "ddfa", "cross_fit": 2},
        {"method": "ddfa", "adjust": "kl", "discriminator": frozen},
    ):
        model = LatentLabelShift(3, random_state=0, n_init=2, **options).fit(given, classes)
        yield model, model.predict(given, classes)
        yield None, model.transform(given), np.array(model.score(given, classes))
    halves = mapped(given, partial(scaled, matrix=np.eye(N_FEATURES, 2)), 2, np.float64)
    found = lloyd(halves, np.eye(3, 2), sample_weight=weight, max_iter=3)
    yield None, found.labels, found.centers
    rng = np.random.default_rng(0)
    for spherical in (False, True):
        for draw in (kmeans_parallel, race_rows):
            yield None, *draw(given, 9, rng, sample_weight=weight, spherical=spherical)


def values(model, *arrays):
    found = {} if model is None else vars(model)
    names = [name for name in found if name.endswith("_") and not name.startswith("_")]
    skipped = "posteriors_", "shrinkage_choice_", "report_"  # None, and tuples of these
    return {name: found[name] for name in names if name not in skipped} | dict(enumerate(arrays))


if __name__ == "__main__":
    import dask.array as da
    from distributed import Client, LocalCluster

    from clusterlib.label_shift import _domain_fit

    _domain_fit._MOST_ROWS = 5000  # fewer rows would be read into memory
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=N_SAMPLES)
    X = rng.normal(size=(N_SAMPLES, N_FEATURES)) + 4 * np.eye(3, N_FEATURES)[classes]
    X = X.astype(np.float32)
    classes = np.where(rng.random(N_SAMPLES) < 0.8, classes, rng.integers(3, size=N_SAMPLES))
    weight = rng.uniform(size=N_SAMPLES).round(1)
    lazy = da.from_array(X, chunks=(8192, N_FEATURES))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Client(cluster):
            pairs = zip(fits(X, X, classes, weight), fits(X, lazy, classes, weight), strict=True)
            for number, (expected, found) in enumerate(pairs):
                expected, found = values(*expected), values(*found)
                assert expected.keys() == found.keys(), number
                for name, value in expected.items():
                    np.testing.assert_array_equal(found[name], value, f"{number}, {name}")
            assert number == 21, number
    Path(sys.argv[1], "done").touch()
"""


def test_two_workers_change_no_bit(tmp_path):
    script = tmp_path / "fits.py"
    script.write_text(FITS)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (tmp_path / "done").exists(), done.stderr[-3000:]

"""Say what a fit of each estimator takes at a size that is feasible: ``python -m bench.estimator_sizes``.

The table of the page that helps to choose an estimator (``docs/choose.rst``). Each fit has a process
of its own, one thread, and data made for it; what is printed is CPU time, which other work on the
machine changes little, and what the fit holds at most beside X. Names as arguments choose some.
"""

import argparse
import functools
import json
import subprocess
import sys
import time
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

import clusterlib
from bench.memory import peak_bytes, resident_bytes
from clusterlib import cluster, datasets, decomposition, imbalance, label_shift, transport


def blobs(n, d, k, separation=6.0):
    """Float32 rows around k centres, and the number of the centre of each."""
    rng = np.random.default_rng(0)
    y = rng.integers(k, size=n)
    centers = rng.standard_normal((k, d), dtype=np.float32) * np.float32(separation / d**0.5 * 2)
    return centers[y] + rng.standard_normal((n, d), dtype=np.float32), y


def rows(estimator, n, d, k, separation=6.0):
    """The fit of a clustering."""
    X, _ = blobs(n, d, k, separation)
    return functools.partial(estimator.fit, X)


def moved(n, d):
    """The fit of a transport of n rows onto as many others."""
    X, y = blobs(2 * n, d, 10)
    model = transport.SinkhornTransport()
    return functools.partial(model.fit, X[:n], y[:n], target=X[n:])


def queries(n, d, k):
    """Predictions for a batch of n queries by a labelled row for each class."""
    X, y = blobs(n + 1000, d, k)
    first = np.unique(y, return_index=True)[1]
    return functools.partial(transport.OTPrototypeClassifier().fit(X[first], y[first]).predict, X)


def domains(n, d, k):
    """The fit of classes from domains alone."""
    data = datasets.make_latent_label_shift(*blobs(n, d, k), n_domains=2 * k, random_state=0)
    return functools.partial(
        label_shift.LatentLabelShift(k, random_state=0).fit, data.X, data.domains
    )


def long_tail(estimator, n, d, k, noise_rate):
    """The fit to a long tail of classes, some of whose labels are wrong."""
    X, y = datasets.make_long_tail(*blobs(n, d, k, 4.0), imbalance_ratio=50, random_state=0)
    if noise_rate:
        y, _ = datasets.make_noisy_labels(y, noise_rate=noise_rate, random_state=0)
    return functools.partial(estimator.fit, X, y)


def mixtures(n, d, k):
    """The fit of a non-negative factorisation."""
    rng = np.random.default_rng(0)
    W, H = rng.dirichlet(np.full(k, 0.3), n), rng.random((k, d)) ** 4
    X = (W @ H + 0.01 * rng.random((n, d))).astype(np.float32)
    return functools.partial(decomposition.SimplexNMF(k, random_state=0).fit, X)


SEED = {"random_state": 0}
CASES = {
    "KMeans": (rows, cluster.KMeans(256, **SEED), 200_000, 64, 256),
    "SphericalKMeans": (rows, cluster.SphericalKMeans(256, **SEED), 200_000, 64, 256),
    "MiniBatchKMeans": (rows, cluster.MiniBatchKMeans(256, **SEED), 200_000, 64, 256),
    "BalancedKMeans": (rows, cluster.BalancedKMeans(100, **SEED), 50_000, 64, 100),
    "SinkhornClustering": (rows, cluster.SinkhornClustering(100, **SEED), 50_000, 64, 100),
    "SDPClustering, fast": (
        rows,
        cluster.SDPClustering(8, certify="fast", **SEED),
        100_000,
        20,
        8,
        6,
    ),
    "SDPClustering, full": (rows, cluster.SDPClustering(4, certify="full", **SEED), 1000, 20, 4, 2),
    "LikelihoodAdjustedSDP": (rows, cluster.LikelihoodAdjustedSDP(3, **SEED), 20_000, 10, 3),
    "SinkhornTransport": (moved, 5_000, 64),
    "OTPrototypeClassifier": (queries, 10_000, 64, 20),
    "LatentLabelShift": (domains, 20_000, 16, 10),
    "LatentLabelShift, larger": (domains, 200_000, 16, 10),
    "SubclassBalancer": (long_tail, imbalance.SubclassBalancer(**SEED), 50_000, 64, 20, 0),
    "RepresentationCalibrator": (
        *(long_tail, imbalance.RepresentationCalibrator(**SEED)),
        *(50_000, 64, 20, 0.2),
    ),
    "NoisyLabelClassifier": (
        *(long_tail, imbalance.NoisyLabelClassifier(**SEED)),
        *(20_000, 64, 20, 0.2),
    ),
    "SimplexNMF": (mixtures, 20_000, 200, 20),
}


def measure(name):
    """CPU seconds and MB of one fit, as a dictionary."""
    make, *arguments = CASES[name]
    fit = make(*arguments)
    first = fit.args[0]
    before, start = resident_bytes(), time.process_time()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit()
    seconds, extra = time.process_time() - start, peak_bytes() - before
    shape = {"rows": first.shape[0], "features": first.shape[1], "X_mb": first.nbytes / 1e6}
    return {"fit": name, **shape, "seconds": seconds, "extra_mb": extra / 1e6}


def main(argv=None):
    """Print a line for each fit."""
    parser = argparse.ArgumentParser(prog="python -m bench.estimator_sizes", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(CASES)}")
    parser.add_argument("--here", action="store_true", help="one name, in this process, as JSON")
    options = parser.parse_args(argv)
    if options.here:
        print(json.dumps(measure(*options.names)))
        return
    print(f"clusterlib {clusterlib.__version__}, one thread")
    print(f"{'fit':26} {'rows':>8} x {'d':<4} {'X, MB':>6} {'CPU s':>7} {'MB more':>8}")
    for name in options.names or CASES:
        command = [sys.executable, "-m", "bench.estimator_sizes", "--here", name]
        line = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(
            f"{name:26} {line['rows']:8} x {line['features']:<4} {line['X_mb']:6.0f} "
            f"{line['seconds']:7.1f} {line['extra_mb']:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""iLA-SDP: groups of different shapes, and recovery at the threshold of the k-means relaxation."""

import numpy as np
from sklearn.mixture import GaussianMixture

from bench.accuracy_cases import METHODS, MIXTURES, OURS, Sample
from bench.papers.record import Check, Found, Paper, Table, beside, figures, mean
from clusterlib.cluster import KMeans, LikelihoodAdjustedSDP, SDPClustering
from clusterlib.datasets import (
    make_heterogeneous_mixture,
    make_separated_mixture,
    recovery_distance,
)
from clusterlib.metrics import clustering_accuracy

PAPER = Paper(
    method="Likelihood-adjusted SDP (iLA-SDP)",
    page="ila_sdp",
    authors="Y. Zhuang, X. Chen and Y. Yang",
    title="Likelihood adjusted semidefinite programs for clustering heterogeneous data",
    venue="ICML",
    year=2023,
    where="abstract; threshold of X. Chen and Y. Yang, IEEE Trans. Inf. Theory 67, 2021",
    claim="Where groups differ in their covariances, iLA-SDP has fewer wrong labels than k-means, "
    "the semidefinite relaxation of k-means and EM; it depends less on the start than EM and is "
    "more stable in high dimensions. Where they are equal balls, the relaxation of k-means finds "
    "every label as soon as centres are above a threshold distance. Tables of the paper were not "
    "available to us, so that the comparison is one of signs.",
)

RIVALS = ("KMeans", "SDPClustering", "EM")
SHAPES = (
    "elongated",
    "wide_and_tight",
    "wide_and_tight n=60",
    "crossed",
    "crossed n=60",
    "concentric",
    "unequal_balls",
    "unequal_sizes",
    "nested",
)
FIRST_SEED = 100  # no default of the library was chosen by samples of these seeds
ONE_ROW = 1 / 150  # a difference that counts as none
DIMENSIONS = (10, 50, 200)
STARTED = ("elongated", "wide_and_tight", "crossed n=60")
MULTIPLES = (0.6, 0.8, 1.0, 1.2)  # of the threshold
BALLS = {"n_samples": 1000, "n_features": 200, "n_clusters": 4}


def reproduce(*, quick: bool = False) -> Found:
    """Errors by shape, by dimension and by start, and exact recovery by distance."""
    seeds = range(FIRST_SEED, FIRST_SEED + (2 if quick else 10))
    shapes = SHAPES[:1] if quick else SHAPES
    dimensions = DIMENSIONS[:1] if quick else DIMENSIONS
    errors = {s: _errors([MIXTURES[s](seed) for seed in seeds], seeds) for s in shapes}
    wide = {p: _errors([_long_axes(p, seed) for seed in seeds], seeds) for p in dimensions}
    started = {setting: MIXTURES[setting](FIRST_SEED) for setting in STARTED}
    starts = _starts(started, seeds)
    recovered = _recovery(seeds, quick)
    shown = (*RIVALS, OURS)
    overall = _overall(errors)
    tables = (
        beside(
            *(
                (f"wrong labels, less those of {rival}", "fewer", overall[OURS] - overall[rival])
                for rival in RIVALS
            ),
            (
                f"samples without a wrong label at {max(recovered):g} times the threshold",
                "all, as rows become many",
                mean(recovered[max(recovered)][1]),
            ),
            digits=3,
        ),
        Table("Share of wrong labels.", ("setting", *shown), _rows(errors, shown)),
        Table(
            "The same for long axes in p dimensions.",
            ("p", *shown),
            _rows({f"{p}": row for p, row in wide.items()}, shown),
        ),
        Table(
            "One sample of each setting, single starts: share of wrong labels.",
            ("setting", *starts),
            tuple((s, *(figures(found[s]) for found in starts.values())) for s in STARTED),
        ),
        Table(
            f"Share of samples without a wrong label: {BALLS['n_clusters']} balls of unit noise, "
            f"{BALLS['n_samples']} rows, {BALLS['n_features']} features; distance of the centres "
            "over the threshold.",
            ("distance", "k-means, one start", "relaxation"),
            tuple((f"{m:g}", *map(mean, pair)) for m, pair in recovered.items()),
            digits=2,
        ),
    )
    return Found(
        setting="Settings of `make_heterogeneous_mixture`, 150 rows where no number is told; "
        "k-means and EM have ten starts each.",
        seeds=f"{seeds.start} to {seeds.stop - 1}",
        tables=tables,
        checks=tuple(_checks(errors, wide, starts, recovered)),
        limits="The body of the paper was not available, so its settings are not repeated. EM "
        "with full covariances of 150 rows in 50 dimensions is a weak rival: on principal "
        "components it comes close, as the table of the method page shows.",
    )


def _long_axes(p, seed):
    mixture = make_heterogeneous_mixture("long_axes", n_features=p, random_state=seed)
    return Sample(mixture.X, mixture.labels, mixture.covariances)


def _error(sample, method, seed):
    return 1 - clustering_accuracy(sample.labels, METHODS[method](sample, seed))


def _errors(samples, seeds):
    pairs = list(zip(samples, seeds, strict=True))
    return {m: [_error(sample, m, seed) for sample, seed in pairs] for m in (*RIVALS, OURS)}


def _starts(samples, seeds):
    """Errors on each sample from several single starts."""
    found = {"EM": {}, OURS: {}}
    for setting, sample in samples.items():
        k = sample.n_groups
        for seed in seeds:
            one_start = {
                "EM": GaussianMixture(k, random_state=seed),
                OURS: LikelihoodAdjustedSDP(k, n_init=1, random_state=seed),
            }
            for method, model in one_start.items():
                accuracy = clustering_accuracy(sample.labels, model.fit_predict(sample.X))
                found[method].setdefault(setting, []).append(1 - accuracy)
    return found


def _recovery(seeds, quick):
    """Whether all labels are right, of k-means from one start and of the relaxation."""
    size = BALLS | ({"n_samples": 200, "n_features": 20} if quick else {})
    threshold = recovery_distance(size["n_samples"], size["n_features"], size["n_clusters"])
    found = {}
    for multiple in MULTIPLES[-1:] if quick else MULTIPLES:
        exact = [], []
        for seed in seeds:
            X, labels = make_separated_mixture(
                **size, separation=multiple * threshold, random_state=seed
            )
            one = KMeans(size["n_clusters"], n_init=1, random_state=seed)
            relaxation = SDPClustering(size["n_clusters"], random_state=seed)
            for model, right in zip((one, relaxation), exact, strict=True):
                right.append(clustering_accuracy(labels, model.fit_predict(X)) == 1)
        found[multiple] = exact
    return found


def _overall(errors):
    """Mean of the settings, by method."""
    return {m: mean(np.concatenate([row[m] for row in errors.values()])) for m in (*RIVALS, OURS)}


def _spread(errors):
    return np.mean([np.std(values) for values in errors.values()])


def _rows(errors, shown):
    return tuple((name, *(figures(row[m]) for m in shown)) for name, row in errors.items())


def _checks(errors, wide, starts, recovered):
    overall = _overall(errors)
    for rival in RIVALS:
        yield Check(
            f"fewer wrong labels than {rival}, mean of the settings",
            overall[OURS] - overall[rival],
            "<",
            0,
        )
    worst = max(
        mean(row[OURS]) - min(mean(row[rival]) for rival in RIVALS) for row in errors.values()
    )
    yield Check(
        "in no setting more than one row of 150 behind the best of the three", worst, "<=", ONE_ROW
    )
    low, high = min(wide), max(wide)
    rise = {m: mean(wide[high][m]) - mean(wide[low][m]) for m in ("EM", OURS)}
    yield Check(f"errors rise by less than .05 from p = {low} to {high}", rise[OURS], "<", 0.05)
    yield Check("those of EM rise by more than .2", rise["EM"], ">", 0.2)
    yield Check(
        "single starts matter less than to EM: spread of errors over that of EM",
        _spread(starts[OURS]) / _spread(starts["EM"]),
        "<",
        0.5,
    )
    yield Check(
        "1.2 times the threshold: nine samples of ten without an error",
        mean(recovered[max(recovered)][1]),
        ">=",
        0.9,
    )
    if len(recovered) > 1:
        yield Check(
            "0.6 times the threshold: less than one of two",
            mean(recovered[min(recovered)][1]),
            "<",
            0.5,
        )

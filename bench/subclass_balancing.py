"""Subclasses of a long tail: ``python -m bench.subclass_balancing costs`` and ``... frozen``.

``costs`` cuts every class of a long tail (500 to 5 rows, M = 10) by several methods and gives the
sum of squared distances to the means of the subclasses, on rows of length 1, how much their sizes
spread, and processor seconds. ``frozen`` trains linear classifiers on fixed features of long tails
and gives their balanced accuracy on rows of equal shares: with class labels, with subclasses whose
probabilities are added up, and with subclasses drawn at random, each with the best of some strengths
of regularisation, chosen by these very rows. Both print tables in markdown.
"""

import argparse
import time
import warnings
from functools import cache
from itertools import product

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench.label_shift_cases import DATA as POINTS
from bench.label_shift_cases import Absent, digit_images
from clusterlib.cluster import KMeans
from clusterlib.datasets import make_long_tail
from clusterlib.imbalance import SubclassClassifier
from clusterlib.solvers import balanced_lloyd, kmeans_plusplus, lloyd, subclass_counts, unit_rows
from clusterlib.solvers.subclass import piece_sizes

THRESHOLD = 10  # M, or delta
GREEDY_ITERATIONS = 100
CODE_TOLERANCE = 1e-4
RATIOS = (10, 50, 100)
STRENGTHS = (0.01, 0.1, 1.0)  # C of logistic regression
PATCH, WORDS, CONTRAST = 6, 96, 0.01


def pooled_patches(n_words):
    """Images by how near their patches are to each of some mean patches, in each quarter."""
    images, y = digit_images()
    side = int(np.sqrt(images.shape[1]))
    views = np.lib.stride_tricks.sliding_window_view(
        images.reshape(-1, side, side).astype(np.float32), (PATCH, PATCH), axis=(1, 2)
    )
    n, places = len(images), views.shape[1]
    patches = np.ascontiguousarray(views.reshape(n, places, places, PATCH**2))
    rows = patches.reshape(-1, PATCH**2)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.sqrt(rows.var(axis=1, keepdims=True) + CONTRAST)
    sample = rows[np.random.default_rng(0).permutation(len(rows))[:40_000]]
    words = KMeans(n_words, random_state=0).fit(sample)
    pooled = np.empty((n, 4 * n_words), dtype=np.float32)
    half = places // 2
    for i, image in enumerate(patches):
        distances = words.transform(image.reshape(-1, PATCH**2)).reshape(places, places, n_words)
        near = np.maximum(distances.mean(axis=2, keepdims=True) - distances, 0)
        quarters = near[:half, :half], near[:half, half:], near[half:, :half], near[half:, half:]
        pooled[i] = np.concatenate([quarter.mean(axis=(0, 1)) for quarter in quarters])
    return pooled.astype(np.float64), y


@cache
def _patch_features():
    """64 components of that."""
    pooled, y = pooled_patches(WORDS)
    return PCA(64, random_state=0).fit_transform(pooled), y


DATA = {"patches": _patch_features} | {
    name: POINTS[name] for name in ("mnist", "digits", "newsgroups")
}


# Methods that cut one class of unit rows: (rows, k, seed) -> labels.


def _start(rows, k, seed):
    return kmeans_plusplus(rows, k, np.random.default_rng(seed)).centers


def plain(rows, k, seed):
    """k-means, whose sizes are what they are."""
    return lloyd(rows, _start(rows, k, seed)).labels


def exact(rows, k, seed, exchange=True):
    """k-means, then balanced k-means with exact assignments, as SubclassBalancer has it."""
    centers = lloyd(rows, _start(rows, k, seed)).centers
    return balanced_lloyd(rows, centers, *piece_sizes(len(rows), k), exchange=exchange).labels


def exact_alone(rows, k, seed):
    """The same without exchanges of rows."""
    return exact(rows, k, seed, exchange=False)


def _greedy_labels(scores, rounds):
    """Take the pair of a row and a centre with the highest score, again and again.

    Each round lets centres have ``most`` rows, and ends after ``places`` rows.
    """
    n, k = scores.shape
    order = np.argsort(-scores, axis=None, kind="stable")
    labels, sizes = np.full(n, -1), np.zeros(k, dtype=int)
    for most, places in rounds:
        for flat in order:
            if places == 0:
                break
            row, center = divmod(int(flat), k)
            if labels[row] < 0 and sizes[center] < most:
                labels[row], sizes[center], places = center, sizes[center] + 1, places - 1
    return labels


def _even_rounds(n, k):
    """Sizes as equal as can be: n // k rows for each, then one more for some."""
    low, extra = divmod(n, k)
    return (low, low * k), (low + 1, extra)


def _means(rows, labels, centers):
    """Means of the clusters; the centre itself where there is no row."""
    means = [rows[labels == j].mean(axis=0) if j in labels else c for j, c in enumerate(centers)]
    return np.stack(means)


def _best_greedy(rows, k, seed, rounds):
    centers, best = _start(rows, k, seed), (np.inf, None)
    for _ in range(GREEDY_ITERATIONS):
        labels = _greedy_labels(rows @ unit_rows(centers).T, rounds)
        best = min(best, (squared_error(rows, labels), labels), key=lambda pair: pair[0])
        centers = _means(rows, labels, centers)
    return best[1]


def paper_greedy(rows, k, seed):
    """The paper's assignment, pairs by cosine, with the sizes of all others; the best iterate."""
    return _best_greedy(rows, k, seed, _even_rounds(len(rows), k))


def capped_greedy(rows, k, seed):
    """The paper's assignment as it stands there: a centre is closed once it has M rows."""
    return _best_greedy(rows, k, seed, [(THRESHOLD, len(rows))])


def code_greedy(rows, k, seed):
    """The published program: similarities to a centre are divided by their sum over the rows."""
    centers = _start(rows, k, seed)
    for _ in range(GREEDY_ITERATIONS):
        similarities = rows @ unit_rows(centers).T
        scores = similarities / similarities.sum(axis=0)
        labels = _greedy_labels(scores, _even_rounds(len(rows), k))
        moved = _means(rows, labels, centers)
        shift = np.sqrt(np.square(moved - centers).sum(axis=1)).sum() ** 2
        centers = moved
        if shift < CODE_TOLERANCE:
            break
    return labels


def constrained(rows, k, seed):
    """k-means-constrained, by minimum cost flows of unsquared distances."""
    from k_means_constrained import KMeansConstrained

    low, high = piece_sizes(len(rows), k)
    return (
        KMeansConstrained(k, size_min=low, size_max=high, n_init=1, random_state=seed)
        .fit(rows)
        .labels_
    )


METHODS = {
    "k-means, sizes free": plain,
    "exact balanced, with exchanges": exact,
    "exact balanced": exact_alone,
    "greedy of the paper, best of 100": paper_greedy,
    "greedy of the paper, closed at M": capped_greedy,
    "greedy of the program, divided by sums": code_greedy,
    "k-means-constrained": constrained,
}


def squared_error(rows, labels):
    """Sum of the squared distances of rows to the means of their clusters."""
    return sum(
        np.square(rows[labels == j] - rows[labels == j].mean(axis=0)).sum()
        for j in np.unique(labels)
    )


def measure_costs(X, y, rule, seed):
    """Squared error, spread of sizes and seconds of every method, over all classes that are cut."""
    X, y = make_long_tail(X, y, imbalance_ratio=100, random_state=seed)
    counts = subclass_counts(np.bincount(y), THRESHOLD, capped=rule == "cap")
    found = {}
    for name, method in METHODS.items():
        if method is capped_greedy and rule != "cap":
            continue  # there would be no room for all rows
        error, sizes, seconds = 0.0, [], 0.0
        for c in np.flatnonzero(counts > 1):
            rows, k = unit_rows(X[y == c]), int(counts[c])
            begin = time.process_time()
            try:
                labels = method(rows, k, seed)
            except ImportError:
                break
            seconds += time.process_time() - begin
            error += squared_error(rows, labels)
            sizes.append(np.bincount(labels, minlength=k) / (len(rows) / k))
        else:
            sizes = np.concatenate(sizes)
            found[name] = error, sizes.std(), sizes.max(), seconds
    return found


# Classifiers on fixed features.


def _logistic(**options):
    return LogisticRegression(max_iter=1000, **options)


class _RandomSubclasses:
    """Subclasses of the same sizes, drawn without a look at the rows."""

    def __init__(self, seed, strength):
        self.rng, self.strength = np.random.default_rng(seed), strength

    def fit(self, X, y):
        counts = subclass_counts(np.bincount(y), max(np.bincount(y).min(), THRESHOLD), capped=True)
        self.firsts = np.cumsum(counts) - counts
        labels = np.empty(len(y), dtype=int)
        for c, count in enumerate(counts):
            rows = self.rng.permutation(np.flatnonzero(y == c))
            labels[rows] = self.firsts[c] + np.arange(len(rows)) % count
        self.inner = _logistic(C=self.strength).fit(X, labels)
        return self

    def predict_proba(self, X):
        return np.add.reduceat(self.inner.predict_proba(X), self.firsts, axis=1)


def measure_frozen(X, y, ratio, seed, strength):
    """Balanced accuracy of every classifier, trained on a tail and tested on equal shares."""
    rng = np.random.default_rng(seed)
    y = np.unique(y, return_inverse=True)[1]
    order = rng.permutation(len(y))
    X, y = X[order], y[order]
    n_test = np.bincount(y).min() * 3 // 10
    rank = np.empty(len(y), dtype=int)
    for c in range(y.max() + 1):
        rank[y == c] = np.arange(np.count_nonzero(y == c))
    test = rank < n_test
    tail, labels = make_long_tail(
        X[~test], y[~test], imbalance_ratio=ratio, class_order=rng.permutation(y.max() + 1),
        random_state=seed,
    )  # fmt: skip
    scaler = StandardScaler().fit(tail)
    tail, new, truth = scaler.transform(tail), scaler.transform(X[test]), y[test]
    prior = np.bincount(labels) / len(labels)
    subclasses = {"random_state": seed, "delta": THRESHOLD}
    fitted = {
        "classes": _logistic(C=strength),
        "classes, balanced weights": _logistic(C=strength, class_weight="balanced"),
        "subclasses, cap": SubclassClassifier(_logistic(C=strength), **subclasses),
        "subclasses, code": SubclassClassifier(
            _logistic(C=strength), size_rule="code", **subclasses
        ),
        "subclasses at random": _RandomSubclasses(seed, strength),
    }
    found = {}
    for name, model in fitted.items():
        h = model.fit(tail, labels).predict_proba(new)
        found[name] = balanced_accuracy_score(truth, h.argmax(axis=1))
        if "balanced" not in name:
            adjusted = (h / prior).argmax(axis=1)
            found[f"{name}; over the class shares"] = balanced_accuracy_score(truth, adjusted)
    return found


def _points(names):
    for name in names:
        try:
            yield name, *DATA[name]()
        except Absent as why:
            print(f"\n{name} is left out: {why}")


def _costs(names, n_seeds):
    means = {}
    for name, X, y in _points(names):
        for rule in ("code", "cap"):
            runs = [measure_costs(X, y, rule, seed) for seed in range(n_seeds)]
            print(f"\n{name}, rule {rule}, {n_seeds} seeds\n")
            print("| method | squared error | over exact | spread of sizes | largest | seconds |")
            print("|---|---|---|---|---|---|")
            ours = np.mean([run["exact balanced, with exchanges"][0] for run in runs])
            for method in runs[0]:
                mean = means[name, rule, method] = np.mean([run[method] for run in runs], axis=0)
                print(
                    f"| {method} | {mean[0]:.1f} | {mean[0] / ours - 1:+.1%} | {mean[1]:.2f} | "
                    f"{mean[2]:.2f} | {mean[3]:.2f} |"
                )
    return means


def _frozen(names, n_seeds):
    best = {}
    for name, X, y in _points(names):
        for ratio, strength in product(RATIOS, STRENGTHS):
            runs = [measure_frozen(X, y, ratio, seed, strength) for seed in range(n_seeds)]
            for method in runs[0]:
                scores = [run[method] for run in runs]
                key = name, method, ratio
                best[key] = max(best.get(key, scores), scores, key=np.mean)
        print(f"\n{name}, balanced accuracy in percent, {n_seeds} seeds\n")
        print(f"| classifier | {' | '.join(f'ratio {ratio}' for ratio in RATIOS)} |")
        print(f"|---|{'---|' * len(RATIOS)}")
        for method in dict.fromkeys(key[1] for key in best if key[0] == name):
            cells = [
                f"{100 * np.mean(scores):.1f} ± {100 * np.std(scores):.1f}"
                for scores in (best[name, method, ratio] for ratio in RATIOS)
            ]
            print(f"| {method} | {' | '.join(cells)} |")
    return {key: float(np.mean(scores)) for key, scores in best.items()}


def main(argv=None):
    """Print the tables of one of the two parts; return the means behind them."""
    parser = argparse.ArgumentParser(prog="python -m bench.subclass_balancing", description=__doc__)
    parser.add_argument("part", choices=["costs", "frozen"])
    parser.add_argument("--data", action="append", choices=DATA, help="default patches, mnist")
    parser.add_argument("--seeds", type=int, default=3, help="how many, default 3")
    options = parser.parse_args(argv)
    run = _costs if options.part == "costs" else _frozen
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers say so where they stop early
        return run(options.data or ["patches", "mnist"], options.seeds)


if __name__ == "__main__":
    main()

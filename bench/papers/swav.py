"""SwAV: equal shares against collapse, the strength of the entropy, and the queue of small batches."""

import numpy as np
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from bench.papers.network import OUTPUT, Adam, embedded, gradients, new_weights
from bench.papers.record import Check, Found, Missing, Paper, Table, beside, figures, mean
from clusterlib.cluster import SinkhornClustering
from clusterlib.datasets import load_embeddings
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import sinkhorn_assign, unit_rows

PAPER = Paper(
    method="Codes of equal shares (SwAV)",
    page="swav",
    authors="M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski and A. Joulin",
    title="Unsupervised learning of visual features by contrasting cluster assignments",
    venue="NeurIPS",
    year=2020,
    where="section 3.1, and the table of models in the published program's README",
    claim="Codes whose shares are equal keep prototypes from collapsing to one, in three "
    "normalisations of Sinkhorn and Knopp. A small epsilon keeps codes apart from the trivial "
    "uniform ones. With a queue of earlier rows a small batch is nearly as good as a large one.",
    published=(
        Table(
            "Published: linear top-1 accuracy on ImageNet, ResNet-50.",
            ("epochs", "batch 4096", "batch 256 with queue", "difference"),
            (("200", 73.9, 72.7, -1.2), ("400", 74.6, 74.3, -0.3)),
            digits=1,
        ),
    ),
)

PUBLISHED_LOSS = 0.012  # of a small batch with a queue
EPSILONS = (0.01, 0.02, 0.05, 0.1, 0.2)
COLLAPSING = (0.01, 0.05, 0.2)
FLAT = 2.0  # an epsilon with which a code says nothing about its row
PUBLISHED_EPSILON, TEMPERATURE = 0.05, 0.1
BATCH, EPOCHS, VIEW_NOISE = 256, 40, 0.3  # of the training of a network
NEAR = 0.01  # spread of first prototypes that are nearly one
BATCHES = (64,)
QUEUE, PASSES, SOFT_STEPS = 512, 10, 100
N_TEXTS = 2000


def reproduce(*, quick: bool = False) -> Found:
    """What codes tell after a start where all are alike; accuracies of batches with a queue."""
    seeds = range(1 if quick else 10)
    data, missing = _data(quick)
    used = {
        (name, e): _collapse(X, k, e, seeds[:2])
        for name, (X, _, k) in data.items()
        for e in (COLLAPSING[:1] if quick else COLLAPSING)
    }
    X, y, k = data["digits"]
    fits = [SinkhornClustering(k, random_state=seed).fit(X) for seed in seeds]
    whole = [_accuracy(model, X, y) for model in fits]
    entropy = {e: _entropy(X, fits[0].cluster_centers_, e) for e in (*EPSILONS, FLAT)}
    streamed = {
        (size, queue): [
            _streamed(X, y, k, size, queue, seed, 1 if quick else PASSES) for seed in seeds[:5]
        ]
        for size in (BATCHES[-1:] if quick else BATCHES)
        for queue in (0, QUEUE)
    }
    learned = {
        equal: [_trained(X, k, seed, 1 if quick else EPOCHS, equal=equal) for seed in seeds]
        for equal in (False, True)
    }
    return Found(
        setting="Digits of scikit-learn, 32 principal components, ten prototypes; sentence "
        f"embeddings of {N_TEXTS} posts of 20 Newsgroups, centred, twenty prototypes. Rows have "
        "length 1. The table of rows that stay as they are is of the first two seeds, batches are "
        "of the first five.",
        seeds=f"{seeds.start} to {seeds.stop - 1}",
        tables=_tables(k, used, learned, entropy, streamed, whole),
        checks=tuple(_checks(learned, entropy, streamed, whole)),
        limits="A network with one hidden layer stands for one that sees images. Where rows stay as "
        "they are nothing collapses at a small epsilon even without a condition on the codes, which "
        "we had expected to see in the table of such rows: collapse comes from training. The queue "
        "is that of `partial_fit`, which moves prototypes to means, and accuracy is that of "
        "clusters, not of a linear classifier.",
        missing=missing,
    )


def _tables(k, used, learned, entropy, streamed, whole):
    return (
        beside(
            (
                f"a small batch with a queue less all at once, in points (here {BATCHES[-1]} rows)",
                "-1.2 and -0.3",
                100 * (mean(streamed[BATCHES[-1], QUEUE]) - mean(whole)),
            ),
        ),
        Table(
            "Clusters that predictions tell apart after a network was trained on codes of the other "
            "view of each row: the exponential of what a prediction says about its row, 1 after a "
            f"collapse and {k} at most. Digits.",
            ("codes without a condition", "equal shares, 3 iterations"),
            (tuple(figures(values) for values in learned.values()),),
            digits=2,
        ),
        Table(
            "The same of codes where rows stay as they are: first prototypes nearly alike, then codes "
            "and means in turn.",
            ("data", "epsilon", "codes without a condition", "equal shares, 3 iterations"),
            tuple(
                (name, f"{e:g}", *(figures(v) for v in pair)) for (name, e), pair in used.items()
            ),
            digits=2,
        ),
        Table(
            "Entropy of a code over the largest possible, digits, at the prototypes of the fit.",
            ("epsilon", *(f"{e:g}" for e in entropy)),
            (("entropy", *entropy.values()),),
            digits=2,
        ),
        Table(
            f"Accuracy on digits: {PASSES} passes in batches, and the fit to all rows.",
            ("batch", "no queue", f"queue of {QUEUE}"),
            (
                *(
                    (f"{s}", *(figures(streamed[s, length]) for length in (0, QUEUE)))
                    for s, q in streamed
                    if q
                ),
                ("all rows", figures(whole), None),
            ),
        ),
    )


def _data(quick):
    X, y = load_digits(return_X_y=True)
    reduced = PCA(32, svd_solver="full").fit_transform(X)
    found = {"digits": (unit_rows(reduced.astype(np.float32)), y, 10)}
    try:
        part = load_embeddings("20newsgroups-train")
    except FileNotFoundError:
        return found, (Missing("20 Newsgroups"),)
    rows = np.random.default_rng(0).permutation(len(part["data"]))[: 200 if quick else N_TEXTS]
    X = part["data"][rows]
    return found | {"20 Newsgroups": (unit_rows(X - X.mean(axis=0)), part["target"][rows], 20)}, ()


def _collapse(X, k, epsilon, seeds):
    """Clusters that codes tell apart, without a condition on them and with equal shares."""
    free, equal = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        first = rng.normal(size=X.shape[1])
        first = first / np.linalg.norm(first) + NEAR * rng.normal(size=(k, X.shape[1]))
        C = unit_rows(first.astype(X.dtype))
        model = SinkhornClustering(k, epsilon=epsilon, n_iters=3, init=C).fit(X)
        equal.append(_told_apart(model.assign(X)))
        free.append(_told_apart(_soft_codes(X, C, epsilon)))
    return free, equal


def _soft_codes(X, C, epsilon):
    """Codes that are plain softmaxes, after prototypes have followed them."""
    for _ in range(SOFT_STEPS):
        codes = softmax(X @ C.T / epsilon, axis=1)
        C = unit_rows(codes.T @ X)
    return codes


def _trained(X, k, seed, epochs, *, equal):
    """What predictions tell after a network has learned codes of the other view of each row."""
    rng = np.random.default_rng(seed)
    X = X / X.std(axis=0)
    weights, C = new_weights(rng, X.shape[1]), unit_rows(rng.normal(size=(k, OUTPUT)))
    adam = Adam([*weights, C])
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            views = [X[rows] + VIEW_NOISE * rng.normal(size=(BATCH, X.shape[1])) for _ in range(2)]
            passes = [embedded(view, weights) for view in views]
            scores = [one[0] @ C.T for one in passes]
            codes = [_codes(one, equal) for one in scores]
            total = [np.zeros_like(array) for array in adam.arrays]
            for view, one, mine, target in zip(views, passes, scores, codes[::-1], strict=True):
                g = (softmax(mine / TEMPERATURE, axis=1) - target) / (TEMPERATURE * BATCH)
                for sum_, part in zip(
                    total, (*gradients(view, one, weights, g @ C), g.T @ one[0]), strict=True
                ):
                    sum_ += part
            adam.move(total)
            C[:] = unit_rows(C)
    return _told_apart(softmax(embedded(X, weights)[0] @ C.T / TEMPERATURE, axis=1))


def _codes(scores, equal):
    if equal:
        return sinkhorn_assign(scores, PUBLISHED_EPSILON, n_iters=3)
    return softmax(scores / PUBLISHED_EPSILON, axis=1)


def _told_apart(codes):
    """Exponential of what a code says about its row: 1 if all are the same, k if all are hard."""
    return float(np.exp(_mean_entropy(codes.mean(axis=0)[None]) - _mean_entropy(codes)))


def _mean_entropy(codes):
    safe = np.maximum(codes, np.finfo(codes.dtype).tiny)
    return float(-(codes * np.log(safe)).sum(axis=1).mean())


def _entropy(X, C, epsilon):
    """Mean entropy of a code over the largest possible."""
    return _mean_entropy(sinkhorn_assign(X @ C.T, epsilon, n_iters=3)) / np.log(len(C))


def _accuracy(model, X, y):
    return clustering_accuracy(y, model.predict(X))


def _streamed(X, y, k, size, queue, seed, passes):
    model = SinkhornClustering(k, queue_size=queue, random_state=seed)
    rng = np.random.default_rng(seed)
    for _ in range(passes):
        order = rng.permutation(len(X))
        for start in range(0, len(X) - size + 1, size):
            model.partial_fit(X[order[start : start + size]])
    return _accuracy(model, X, y)


def _checks(learned, entropy, streamed, whole):
    yield Check("without a condition training collapses", mean(learned[False]), "<", 1.5)
    yield Check("with equal shares half of the clusters and more", mean(learned[True]), ">", 5)
    steps = np.diff(list(entropy.values()))
    yield Check("the entropy of codes rises with epsilon, at every step", steps.min(), ">", 0)
    yield Check(f"codes say next to nothing at epsilon = {FLAT:g}", entropy[FLAT], ">=", 0.95)
    yield Check("and are nearly hard at 0.01", entropy[0.01], "<", 0.1)
    gains = [mean(streamed[s, QUEUE]) - mean(streamed[s, 0]) for s, q in streamed if q]
    yield Check("the queue helps", mean(gains), ">", 0)
    yield Check(
        f"batches of {BATCHES[-1]} with a queue lose at most what was published, 1.2 points",
        mean(whole) - mean(streamed[BATCHES[-1], QUEUE]),
        "<=",
        PUBLISHED_LOSS,
    )

"""Every public kernel, called with arguments made of one matrix and a generator of numbers.

``call(X, rng, **options)`` returns the kernel's answers as a tuple. Options are ``backend`` and
``n_threads``; what a kernel writes to in place is returned, too.
"""

import numpy as np

from clusterlib import kernels as k


def _centers(X, rng, number=5):
    return X[rng.integers(len(X), size=number)]


def _metric(rng):
    return str(rng.choice(["sqeuclidean", "euclidean", "cosine", "inner_product"]))


def _labels(X, rng, n_classes=3):
    return rng.integers(-1, n_classes, size=len(X))


def argmin(X, rng, **options):
    return (k.pairwise_argmin(X, _centers(X, rng), metric=_metric(rng), **options),)


def topk(X, rng, **options):
    Y = _centers(X, rng)
    distances, indices = k.pairwise_topk(X, Y, 3, metric=_metric(rng), **options)
    return indices, distances


def threshold(X, rng, **options):
    Y, metric = _centers(X, rng), _metric(rng)
    limit = float(k.pairwise_distances(X[:1], Y, metric=metric, backend="reference").max())
    return (k.pairwise_threshold(X, Y, limit, metric=metric, **options),)


def distances(X, rng, **options):
    # Roots of squares that cancel are left out, and squares are compared beside those of rows.
    metric = str(rng.choice(["sqeuclidean", "cosine", "inner_product"]))
    found = k.pairwise_distances(X, _centers(X, rng), metric=metric, **options)
    unit = 1.0 if metric == "cosine" else min(max(1.0, float(np.abs(X).max())), 1e150)
    return (found / unit / unit,)


def logsumexp(X, rng, **options):
    Y, scale = _centers(X, rng), max(1.0, float(np.abs(X).max()))
    if scale > 1e150:  # products that leave float64 are infinite, as documented
        X, Y, scale = X / scale, Y / scale, 1.0
    weight = np.where(rng.random(len(Y)) < 0.2, -np.inf, rng.normal(size=len(Y)))
    b = 1.0 / scale**2
    arguments = {"inverse_temperature": b, "log_weight": weight, "values": Y / X.dtype.type(scale)}
    return k.pairwise_logsumexp(X, Y, metric=_metric(rng), **arguments, **options)


def cluster_sums(X, rng, **options):
    labels, weight = _labels(X, rng), rng.random(len(X))
    return k.cluster_sums(X, labels, 3, sample_weight=weight, **options)


def bounded_argmin(X, rng, **options):
    centers = np.ascontiguousarray(_centers(X, rng))
    labels = np.zeros(len(X), np.int32)
    upper = np.full(len(X), np.inf, np.float32)
    lower = np.zeros((len(X), k.BOUND_GROUPS), np.float32)
    moves = np.zeros(len(centers), np.float32)
    for step in range(2):
        k.bounded_argmin(X, centers, moves, labels, upper, lower, sample=step == 0, **options)
    return (labels,)


def class_moments(X, rng, **options):
    moments = k.class_moments(X, _labels(X, rng), 3, sample_weight=rng.random(len(X)), **options)
    return tuple(k.merge_moments(moments, moments))


def linear_assignment(X, rng, **options):
    options.pop("n_threads", None)
    found = k.linear_assignment(X, maximize=bool(rng.integers(2)), **options)
    return (np.float64(found.cost),)


def capacity_assignment(X, rng, **options):
    return (np.float64(k.capacity_assignment(X, None, len(X), **options).cost),)


def capacity_points(X, rng, **options):
    Y = _centers(X, rng)
    most = -(-len(X) // len(Y))
    return (np.float64(k.capacity_assignment_points(X, Y, None, most, **options).cost),)


def priced_argmin(X, rng, **options):
    Y = _centers(X, rng)
    prices = rng.normal(size=len(Y)) * min(1e100, float(np.abs(X).max()))
    return (k.priced_argmin(X, Y, prices, metric=_metric(rng), **options),)


def _factors(X, rng):
    scale = max(float(np.abs(X).max()), float(np.finfo(X.dtype).tiny))
    data = np.abs(X) / X.dtype.type(scale)
    H = rng.random((2, X.shape[1])).astype(X.dtype)
    return data, rng.random((len(X), 2)).astype(X.dtype), H


def hals(X, rng, **options):
    data, W, H = _factors(X, rng)
    moves = k.hals_sweep(W, np.ascontiguousarray(data) @ H.T, H @ H.T, n_sweeps=2, **options)
    return W, moves


def masked_hals(X, rng, **options):
    data, W, H = _factors(X, rng)
    present = rng.random(X.shape) < 0.7
    moves, loss = k.masked_hals_sweep(W, data, present, H, l1=0.01, l2=0.1, **options)
    return W, moves, np.float64(loss)


def _table(X, rng):
    data, W, H = _factors(X, rng)
    indptr = np.arange(len(X) + 1) * X.shape[1]
    return (indptr, np.tile(np.arange(X.shape[1]), len(X)), data.ravel()), W, H.T.copy()


def plsa(X, rng, **options):
    table, W, H = _table(X, rng)
    return tuple(map(np.asarray, k.plsa_step(*table, W, H, beta=2.0, **options)))


def mixture(X, rng, **options):
    table, _, H = _table(X, rng)
    return (k.mixture_weights(*table, H, max_iter=5, **options)[0],)


def tempered(X, rng, **options):
    data, _, _ = _factors(X, rng)
    domains, D = rng.integers(0, 2, size=len(X)), rng.random((2, X.shape[1]))
    found = k.tempered_posterior(
        data, D, domains, floor=0.01, tau=2.0, beta=1.5, return_posterior=True, **options
    )
    return tuple(map(np.asarray, found))


def projection(X, rng, **options):
    return (k.simplex_projection(X, **options),)


def softmax(X, rng, **options):
    found = k.row_softmax(X, log_weight=rng.normal(size=X.shape[1]), return_labels=True, **options)
    return found.labels, found.posteriors, found.lse


def descent(X, rng, **options):
    data, _, _ = _factors(X, rng)
    tiles = k.pack_rows(data / np.sqrt(data.size).astype(X.dtype))
    W = k.simplex_projection(rng.random((len(X), 3)).astype(X.dtype), backend="reference")
    W = k.pack_rows(W)
    settings = {"target": [1.0], "multiplier": [0.0], "penalty": 1.0, "n_iters": 1}
    k.simplex_descent(tiles, W, len(X), **settings, **options)
    return (k.unpack_rows(W, len(X)),)


def _costs(X, rng):
    epsilon = max(float(np.abs(X).max()), 1e-30)
    log_a, log_b = np.full(len(X), -np.log(len(X))), np.full(X.shape[1], -np.log(X.shape[1]))
    return epsilon, log_a, log_b, np.zeros(len(X)), np.zeros(X.shape[1])


def sinkhorn_sweep(X, rng, **options):
    epsilon, log_a, _, f, g = _costs(X, rng)
    sums = k.sinkhorn_sweep(X, epsilon, log_a, f, g, **options)
    return f / epsilon, sums


def sinkhorn_iterate(X, rng, **options):
    epsilon, log_a, log_b, f, g = _costs(X, rng)
    k.sinkhorn_iterate(X, epsilon, log_a, log_b, f, g, n_iters=3, **options)
    return f / epsilon, g / epsilon


def _point_costs(X, rng):
    Y, metric = _centers(X, rng), "euclidean"
    # Beside lengths of rows, whose roundings distances of near rows consist of.
    reach = float(k.pairwise_distances(X, Y, metric=metric).max()), float(np.abs(X).max())
    epsilon = max(*reach, 1e-30)
    log_a, log_b = np.full(len(X), -np.log(len(X))), np.full(len(Y), -np.log(len(Y)))
    return Y, epsilon, log_a, log_b, np.zeros(len(X)), np.zeros(len(Y)), metric


def sinkhorn_points(X, rng, **options):
    Y, epsilon, log_a, _, f, g, metric = _point_costs(X, rng)
    sums = k.sinkhorn_sweep_points(X, Y, epsilon, log_a, f, g, metric=metric, **options)
    return f / epsilon, sums


def sinkhorn_iterate_points(X, rng, **options):
    Y, epsilon, *weights, f, g, metric = _point_costs(X, rng)
    k.sinkhorn_iterate_points(X, Y, epsilon, *weights, f, g, metric=metric, n_iters=3, **options)
    return f / epsilon, g / epsilon


def sinkhorn_plan(X, rng, **options):
    epsilon, log_a, _, f, g = _costs(X, rng)
    return tuple(k.sinkhorn_plan(X, epsilon, f, g, log_a=log_a, **options))[:3]


def sinkhorn_batch(X, rng, **options):
    epsilon, log_a, log_b, f, g = _costs(X, rng)
    f, g = f[None], g[None]
    k.sinkhorn_batch(X[None], epsilon, log_a, log_b, f, g, max_iter=3, **options)
    return f / epsilon, g / epsilon


def scaling(X, rng, **options):
    data, _, _ = _factors(X, rng)
    kernel = data + X.dtype.type(0.1)
    u, v = np.ones(len(X)), np.ones(X.shape[1])
    weights = np.full(len(X), 1 / len(X)), np.full(X.shape[1], 1 / X.shape[1])
    history = k.scaling_iterate(kernel, *weights, u, v, n_iters=3, **options)
    return u, v, history


def gram(X, rng, **options):
    data, _, _ = _factors(X, rng)
    return (k.weighted_gram_product(data, rng.random(len(X)), rng.random(X.shape[1]), **options),)


# What has the same bits, or is the same number, whatever the backend.
EXACT = {
    "pairwise_argmin": argmin,
    "pairwise_threshold": threshold,
    "cluster_sums": cluster_sums,
    "bounded_argmin": bounded_argmin,
    "priced_argmin": priced_argmin,
}
# What differs by rounding.
ROUNDED = {
    "pairwise_topk": topk,
    "pairwise_distances": distances,
    "pairwise_logsumexp": logsumexp,
    "class_moments": class_moments,
    "linear_assignment": linear_assignment,
    "capacity_assignment": capacity_assignment,
    "capacity_assignment_points": capacity_points,
    "hals_sweep": hals,
    "masked_hals_sweep": masked_hals,
    "plsa_step": plsa,
    "mixture_weights": mixture,
    "tempered_posterior": tempered,
    "simplex_projection": projection,
    "simplex_descent": descent,
    "row_softmax": softmax,
    "sinkhorn_sweep": sinkhorn_sweep,
    "sinkhorn_sweep_points": sinkhorn_points,
    "sinkhorn_iterate": sinkhorn_iterate,
    "sinkhorn_iterate_points": sinkhorn_iterate_points,
    "sinkhorn_plan": sinkhorn_plan,
    "sinkhorn_batch": sinkhorn_batch,
    "scaling_iterate": scaling,
    "weighted_gram_product": gram,
}
CALLS = EXACT | ROUNDED
"""Name of each kernel -> what calls it. merge_moments and the packing of rows are among them."""

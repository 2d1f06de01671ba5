"""The network of classes against a plain version of its training, number by number."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.class_network import class_network


def problem(n, p=3, r=4, k=2, dtype=np.float64, seed=0):
    """Rows that say something about their class, domains, and class probabilities to begin with."""
    rng = np.random.default_rng(seed)
    D = rng.dirichlet(np.full(r, 2.0), size=k).T + 0.02
    D /= D.sum(axis=0)
    classes = rng.integers(0, k, n)
    X = 7.0 + 3.0 * (2.0 * np.eye(k, p)[classes] + rng.normal(size=(n, p)))
    domains = np.array([rng.choice(r, p=D[:, y]) for y in classes], dtype=np.int32)
    targets = D[domains] / D[domains].sum(axis=1, keepdims=True)
    return X.astype(dtype), domains, targets.astype(dtype), D


def probabilities(rows, weights):
    """Hidden units and class probabilities of centred rows."""
    units = np.maximum(rows @ weights[0] + weights[1], 0)
    scores = units @ weights[2] + weights[3]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True)) + 1e-7
    return units, odds / odds.sum(axis=1, keepdims=True)


def gradient(rows, units, error, weights):
    """Back-propagation of the mean error of the scores."""
    error = error / len(rows)
    back = (error @ weights[2].T) * (units > 0)
    return [rows.T @ back, back.sum(axis=0), units.T @ error, error.sum(axis=0)]


def adam(weights, slopes, memory, n_done, n_steps):
    """One step of Kingma and Ba's method with decay, at a rate that falls as a cosine."""
    rate = 3e-3 * (1 + np.cos(np.pi * n_done / n_steps)) / 2
    for i, (values, slope) in enumerate(zip(weights, slopes, strict=True)):
        memory[0][i] = 0.9 * memory[0][i] + 0.1 * slope
        memory[1][i] = 0.99 * memory[1][i] + 0.01 * slope**2
        mean = memory[0][i] / (1 - 0.9 ** (n_done + 1))
        square = memory[1][i] / (1 - 0.99 ** (n_done + 1))
        values *= 1 - 1e-4 * rate
        values -= rate * mean / (np.sqrt(square) + 1e-8)


def reference(X, domains, targets, D, rng, n_hidden, n_passes, last_pass=None):
    """The training as the documentation tells it; returns what predicts, and the likelihoods."""
    n, p = X.shape
    center, k, r = X.mean(axis=0), targets.shape[1], len(D)
    scale = np.sqrt(np.square(X - center).mean()) or 1.0
    Z = (X - center) / scale
    weights = [
        rng.normal(scale=np.sqrt(2 / p), size=(p, n_hidden)), np.zeros(n_hidden),
        rng.normal(scale=np.sqrt(1 / n_hidden), size=(n_hidden, k)), np.zeros(k),
    ]  # fmt: skip
    memory = [[np.zeros_like(w) for w in weights] for _ in range(2)]
    batch = min(max(n // 64, 32), 512, n)
    n_batches, likelihoods, n_done = n // batch, [], 0
    for n_pass in range(1, (last_pass or n_passes) + 1):
        order = rng.permutation(n)[: n_batches * batch]
        predicted = []
        for rows in np.split(order, n_batches):
            units, classes = probabilities(Z[rows], weights)
            wanted = targets[rows]
            if n_pass > round(0.2 * n_passes):
                wanted = classes * D[domains[rows]]
                wanted /= wanted.sum(axis=1, keepdims=True)
            slopes = gradient(Z[rows], units, classes - wanted, weights)
            adam(weights, slopes, memory, n_done, n_passes * n_batches)
            predicted.append(classes)
            n_done += 1
        joint = np.concatenate(predicted) * D[domains[order]]
        likelihoods.append(np.log(joint.sum(axis=1)).mean())
        if n_pass > round(0.2 * n_passes):
            counts = np.full((r, k), 0.5 / r)
            np.add.at(counts, domains[order], joint / joint.sum(axis=1, keepdims=True))
            D = counts / counts.sum(axis=0)
    return center, scale, weights, likelihoods


@pytest.mark.parametrize(
    ("n", "p", "k", "n_passes", "last_pass"),
    [
        (20, 3, 2, 40, None),  # one batch of all rows
        (75, 2, 3, 40, None),  # batches of 32, and rows that are left over in each pass
        (75, 1, 2, 40, 8),  # the last pass that imitates
        (75, 1, 2, 40, 9),  # the first that follows the domains
        (75, 3, 4, 40, 10),
        (4104, 1, 2, 39, None),  # 2500 steps of 64 rows are a little less than 39 passes
        (4103, 1, 2, 39, 2),
        (4102, 1, 2, 40, 2),  # and here a little more
    ],
)
def test_training_is_that_of_a_plain_version(n, p, k, n_passes, last_pass):
    X, domains, targets, D = problem(n, p, k=k)
    seen = []

    def callback(n_pass, log_likelihood):
        seen.append((n_pass, log_likelihood))
        return n_pass == last_pass

    rng = np.random.default_rng(1)
    network = class_network(X, domains, targets, D, rng, n_hidden=5, callback=callback)
    rng = np.random.default_rng(1)
    center, scale, weights, likelihoods = reference(
        X, domains, targets, D, rng, 5, n_passes, last_pass
    )
    assert [n_pass for n_pass, _ in seen] == list(range(1, (last_pass or n_passes) + 1))
    assert_allclose([value for _, value in seen], likelihoods, rtol=1e-9)
    assert_allclose(network.center, center, rtol=1e-12)
    assert_allclose(network.hidden, weights[0] / scale, rtol=1e-6, atol=1e-9)
    for found, expected in zip(network[2:], weights[1:], strict=True):
        assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    _, classes = probabilities((X - center) / scale, weights)
    assert_allclose(network.pooled(X), classes, rtol=1e-6)


@pytest.mark.parametrize(("n", "batch"), [(32_700, 510), (32_768, 512), (40_000, 512)])
def test_batches_have_at_most_512_rows(n, batch):
    """Batches are seen in the likelihood of a first pass, which has one row in them all at least.

    Rows are equal, so the first pass knows nothing but the targets, and each batch moves all
    probabilities alike: the likelihood depends on how many steps there were.
    """
    X, domains = np.ones((n, 1)), np.zeros(n, dtype=np.int32)
    targets, D = np.tile([0.9, 0.1], (n, 1)), np.array([[0.9, 0.2], [0.1, 0.8]])
    seen = []

    def callback(_, log_likelihood):
        seen.append(log_likelihood)
        return True

    class_network(X, domains, targets, D, np.random.default_rng(0), n_hidden=1, callback=callback)
    q, values, expected = 0.5, np.zeros(2), []
    n_batches = n // batch
    n_passes = min(40, -(-2500 * batch // n))
    memory = [[np.zeros(2)], [np.zeros(2)]]
    for n_done in range(n_batches):
        odds = np.exp(values - values.max()) + 1e-7
        q = odds / odds.sum()
        expected.append(np.log(q @ D[0]))
        adam([values], [q - [0.9, 0.1]], memory, n_done, n_passes * n_batches)
    assert_allclose(seen, [np.mean(expected)], rtol=1e-12)


def test_many_rows_are_seen_once_at_least():
    n = 1_300_000  # 2500 steps of 512 rows are less than one pass
    X, domains = np.zeros((n, 1), dtype=np.float32), np.zeros(n, dtype=np.int32)
    targets, D = np.full((n, 1), 1, dtype=np.float32), np.ones((1, 1))
    passes = []
    class_network(
        X, domains, targets, D, np.random.default_rng(0), n_hidden=1,
        callback=lambda n_pass, _: passes.append(n_pass),
    )  # fmt: skip
    assert passes == [1]


def test_narrow_numbers_stay_narrow_and_near_the_wide_ones():
    wide, narrow = (
        class_network(*problem(75, dtype=dtype), np.random.default_rng(1), n_hidden=5)
        for dtype in (np.float64, np.float32)
    )
    for found, expected in zip(narrow, wide, strict=True):
        assert found.dtype == np.float32
        assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_no_class_of_a_distant_row_is_impossible():
    network = class_network(*problem(75), np.random.default_rng(1), n_hidden=5)
    X = 1e9 * np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    # A class that has lost keeps 1e-7 beside the 1 of the other.
    assert_allclose(network.pooled(X).min(axis=1), 1e-7 / (1 + 2e-7), rtol=1e-6)
    assert_allclose(network.pooled(X).sum(axis=1), 1, rtol=1e-12)


def test_rows_without_a_scale_teach_the_shares_alone():
    X, domains, targets, D = problem(75)
    X[:] = 3.0
    network = class_network(X, domains, targets, D, np.random.default_rng(1))
    assert np.ptp(network.pooled(X), axis=0).max() == 0
    # Their unit is 1, which other rows see.
    scale, weights = reference(X, domains, targets, D, np.random.default_rng(1), 64, 40)[1:3]
    assert scale == 1.0
    assert_allclose(network.hidden, weights[0], rtol=1e-6)


def test_another_order_of_the_classes_moves_their_columns():
    X, domains, targets, D = problem(75, k=3)
    network = class_network(X, domains, targets, D, np.random.default_rng(1), n_hidden=5)
    turned = network.reordered(np.array([2, 0, 1]))
    assert_array_equal(turned.output, network.output[:, [2, 0, 1]])
    assert_allclose(turned.pooled(X), network.pooled(X)[:, [2, 0, 1]], rtol=1e-13)

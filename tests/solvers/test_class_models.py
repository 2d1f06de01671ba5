"""Models of q(class | row) that are trained on domains: gradients, known classes, the choice."""

import numpy as np
import pytest
from scipy.special import log_softmax

from clusterlib.solvers.class_choice import (
    ClassModel,
    MicroClasses,
    chosen_model,
    pooled_posteriors,
)
from clusterlib.solvers.class_mixture import class_mixture
from clusterlib.solvers.class_network import class_network
from clusterlib.solvers.micro_clusters import micro_clusters

D_OF_TWO = np.array([[0.45, 0.1], [0.35, 0.1], [0.1, 0.35], [0.1, 0.45]])


def dealt(classes, D, rng):
    """Domains of rows whose classes are known."""
    return np.array([rng.choice(len(D), p=D[:, y]) for y in classes], dtype=np.int32)


def diagonal_pairs(n=6000, seed=0, dtype=np.float64):
    """Four balls at the corners of a square; opposite ones are of the same class."""
    rng = np.random.default_rng(seed)
    mode = rng.integers(0, 4, n)
    X = 2.5 * np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])[mode] + rng.normal(size=(n, 2))
    classes = mode // 2
    return X.astype(dtype), classes, dealt(classes, D_OF_TWO, rng)


def begun(domains, D=D_OF_TWO, dtype=np.float64):
    """Class probabilities by the domain alone, and shares that are only half right."""
    D = 0.5 * D + 0.5 / len(D)
    targets = D[domains] / D[domains].sum(axis=1, keepdims=True)
    return targets.astype(dtype), D


def accuracy(model, X, classes):
    return np.mean(model.pooled(X).argmax(axis=1) == classes)


def exact_accuracy(X, classes):
    centers = 2.5 * np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])
    densities = np.exp(-0.5 * np.square(X[:, None] - centers).sum(axis=2))
    return np.mean((densities[:, :2].sum(axis=1) < densities[:, 2:].sum(axis=1)) == classes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mixture_finds_classes_of_several_modes(dtype):
    X, classes, domains = diagonal_pairs(dtype=dtype)
    targets, D = begun(domains, dtype=dtype)
    mixture = class_mixture(X, domains, targets, D, X[:12])
    assert mixture.pooled(X).dtype == dtype
    assert accuracy(mixture, X, classes) > exact_accuracy(X, classes) - 0.01
    assert mixture.variance == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_network_finds_classes_of_several_modes(dtype):
    X, classes, domains = diagonal_pairs(dtype=dtype)
    targets, D = begun(domains, dtype=dtype)
    network = class_network(X, domains, targets, D, np.random.default_rng(0), n_hidden=16)
    assert network.pooled(X).dtype == dtype
    assert accuracy(network, X, classes) > exact_accuracy(X, classes) - 0.02


def test_a_distant_origin_and_a_unit_change_nothing():
    X, _, domains = diagonal_pairs(n=2000)
    targets, D = begun(domains)
    moved = 1e3 * (X + 50.0)
    mixtures = [class_mixture(Z, domains, targets, D, Z[:8]) for Z in (X, moved)]
    networks = [
        class_network(Z, domains, targets, D, np.random.default_rng(0), n_hidden=4)
        for Z in (X, moved)
    ]
    for at_home, away in (mixtures, networks):
        np.testing.assert_allclose(away.pooled(moved), at_home.pooled(X), rtol=0, atol=1e-5)


def test_a_step_of_the_network_follows_the_likelihood():
    """Adam's first step is the sign of the gradient: that of the domains' log-likelihood."""
    from clusterlib.solvers.class_network import _Adam, _Weights

    X, _, domains = diagonal_pairs(n=60)
    weights = _Weights.random(2, 5, 2, np.float64, np.random.default_rng(1))
    before = weights.values.copy()

    def loss(values):
        hidden, offset, output, last = np.split(values, np.cumsum([10, 5, 10]))
        units = np.maximum(X @ hidden.reshape(2, 5) + offset, 0)
        classes = np.exp(log_softmax(units @ output.reshape(5, 2) + last, axis=1))
        return -np.log((classes * D_OF_TWO[domains]).sum(axis=1)).mean()

    weights.learn(_Adam(weights.values, 10), X, D_OF_TWO, domains, None)
    step = 1e-6 * np.eye(len(before))
    slopes = np.array([loss(before + e) - loss(before - e) for e in step]) / 2e-6
    np.testing.assert_allclose(weights._gradient, slopes, atol=1e-6)
    clear = np.abs(slopes) > 1e-5
    moved = np.sign(weights.values - before)
    np.testing.assert_array_equal(moved[clear], -np.sign(slopes)[clear])


def test_components_are_those_that_were_planted():
    rng = np.random.default_rng(0)
    planted = np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0]])
    mode = rng.choice(3, 3000, p=[0.5, 0.3, 0.2])
    X = planted[mode] + 0.7 * rng.normal(size=(3000, 3))
    domains = dealt(mode, np.array([[0.6, 0.2, 0.3], [0.4, 0.8, 0.7]]), rng)
    D = np.full((2, 3), 0.5)
    mixture = class_mixture(X, domains, np.eye(3)[mode], D, planted + 1.0)
    np.testing.assert_allclose(mixture.centers + mixture.origin, planted, atol=0.1)
    assert mixture.variance == pytest.approx(0.49, rel=0.05)
    np.testing.assert_allclose(np.exp(mixture.log_weights), [0.5, 0.3, 0.2], atol=0.03)
    np.testing.assert_allclose(mixture.memberships(X).sum(axis=1), 1)


def micro_start(X, domains, n_micro=60):
    """Micro-clusters that know half of the truth about their classes."""
    clusters = micro_clusters(X, n_micro, np.random.default_rng(0))
    _, D = begun(domains)
    targets, _ = begun(domains, dtype=X.dtype)
    sums = np.zeros((n_micro, 2), X.dtype)
    np.add.at(sums, clusters.labels, targets)
    sums += 1e-3
    return MicroClasses(clusters.centers, sums / sums.sum(axis=1, keepdims=True)), clusters, D


def test_gaussian_rows_are_left_to_the_mixture():
    rng = np.random.default_rng(0)
    n, p = 6000, 12
    classes = rng.integers(0, 2, n)
    mode = classes + 2 * rng.integers(0, 4, n)
    X = 1.1 * rng.normal(size=(8, p))[mode] + rng.normal(size=(n, p))
    domains = dealt(classes, D_OF_TWO, rng)
    micro, clusters, D = micro_start(X, domains)
    models = (ClassModel.MIXTURE, ClassModel.NETWORK)
    choice = chosen_model(X, domains, micro, clusters.labels, D, rng, models=models)
    assert set(choice.log_likelihoods) == set(ClassModel)
    assert choice.log_likelihoods[choice.name] == max(choice.log_likelihoods.values())
    assert choice.name is ClassModel.MIXTURE


def test_a_boundary_that_balls_cannot_follow_is_left_to_the_network():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 20))
    # No clusters at all: the class is which of two directions is longer.
    classes = (np.abs(X[:, 0]) > np.abs(X[:, 1])).astype(int)
    domains = dealt(classes, D_OF_TWO, rng)
    micro, clusters, D = micro_start(X, domains)
    models = (ClassModel.MIXTURE, ClassModel.NETWORK)
    choice = chosen_model(X, domains, micro, clusters.labels, D, rng, models=models)
    assert choice.name is ClassModel.NETWORK


def test_without_other_models_the_micro_clusters_remain():
    X, _, domains = diagonal_pairs(n=1000)
    micro, clusters, D = micro_start(X, domains, 20)
    rng = np.random.default_rng(0)
    choice = chosen_model(X, domains, micro, clusters.labels, D, rng, models=())
    assert choice.name is ClassModel.MICRO
    assert choice.model is micro


def test_pooled_posteriors_do_not_depend_on_blocks(tmp_path):
    X, _, domains = diagonal_pairs(n=10_000, dtype=np.float32)
    targets, D = begun(domains, dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    models = [
        class_mixture(X, domains, targets, D, X[:8]),
        class_network(X[:2000], domains[:2000], targets[:2000], D, np.random.default_rng(0)),
        MicroClasses(X[:9], targets[:9]),
    ]
    for model in models:
        pooled = pooled_posteriors(X, model)
        np.testing.assert_array_equal(pooled_posteriors(tmp_path / "X.npy", model), pooled)
        np.testing.assert_allclose(pooled.sum(axis=1), 1, rtol=1e-5)
        assert pooled.min() > 0
        turned = pooled_posteriors(X, model.reordered([1, 0]))
        np.testing.assert_allclose(turned[:, ::-1], pooled, rtol=1e-5)

"""The choice of a class model against its description: sample, targets, fits, likelihoods."""

from importlib import import_module

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import frozen_em, lloyd, random_rows, sampled_rows
from clusterlib.solvers.class_choice import (
    ClassModel,
    MicroClasses,
    chosen_model,
    pooled_posteriors,
)
from clusterlib.solvers.class_mixture import class_mixture
from clusterlib.solvers.class_network import class_network

module = import_module("clusterlib.solvers.class_choice")
ALL = (ClassModel.MIXTURE, ClassModel.NETWORK)


def problem(n=200, n_micro=30, k=2, r=4, seed=0):
    """Rows, domains, classes of micro-clusters, labels and shares of the domains."""
    rng = np.random.default_rng(seed)
    D = rng.dirichlet(np.full(r, 2.0), size=k).T + 0.02
    D /= D.sum(axis=0)
    classes = rng.integers(0, k, n)
    X = 2.0 * np.eye(k, 3)[classes] + rng.normal(size=(n, 3))
    domains = np.array([rng.choice(r, p=D[:, y]) for y in classes], dtype=np.int32)
    centers = X[:n_micro]
    labels = np.square(X[:, None] - centers).sum(axis=2).argmin(axis=1).astype(np.int32)
    micro = MicroClasses(centers, rng.dirichlet(np.ones(k), size=n_micro))
    return X, domains, micro, labels, D


def plain_choice(X, domains, micro, labels, D, rng, models, size):
    """Fits to four fifths of a sample, and the mean log q(domain | row) of the rest."""
    index = sampled_rows(len(X), size, rng)
    held = np.zeros(len(index), dtype=bool)
    held[sampled_rows(len(index), max(1, round(0.2 * len(index))), rng)] = True
    X, d, own = X[index], domains[index], labels[index]
    targets = micro.classes[own[~held]] * D[d[~held]]
    targets /= targets.sum(axis=1, keepdims=True)
    given, found = (X[~held], d[~held], targets, D), {ClassModel.MICRO: micro}
    if ClassModel.MIXTURE in models:
        sizes = np.bincount(labels, minlength=len(micro.centers)).astype(float)
        n_components = min(10 * D.shape[1], 256, len(micro.centers))
        start = random_rows(micro.centers, n_components, rng, sample_weight=sizes).centers
        means = lloyd(micro.centers, start, sample_weight=sizes, max_iter=20).centers
        found[ClassModel.MIXTURE] = class_mixture(*given, means)
    if ClassModel.NETWORK in models:
        found[ClassModel.NETWORK] = class_network(*given, rng)
    scores = {}
    for name, model in found.items():
        h = micro.classes[own] if name is ClassModel.MICRO else model.pooled(X)
        fit = frozen_em(h[~held], D, d[~held], max_iter=20, tol=1e-3)
        scores[name] = np.log((h[held] * fit.domain_given_class[d[held]]).sum(axis=1)).mean()
    return found, scores


@pytest.mark.parametrize("models", [(), ALL[:1], ALL[1:], ALL])
@pytest.mark.parametrize("n", [3, 60, 200])
def test_models_and_likelihoods_are_those_of_the_description(n, models):
    X, domains, micro, labels, D = problem(n, n_micro=min(n, 30))
    arguments = X, domains, micro, labels, D
    choice = chosen_model(*arguments, np.random.default_rng(5), models=models)
    found, scores = plain_choice(*arguments, np.random.default_rng(5), models, 100_000)
    assert list(choice.log_likelihoods) == list(found)
    for name, score in scores.items():
        assert choice.log_likelihoods[name] == pytest.approx(score, rel=1e-8)
    assert choice.name is max(scores, key=scores.get)
    for one, other in zip(choice.model, found[choice.name], strict=True):
        assert_allclose(one, other, rtol=1e-7)


@pytest.mark.parametrize(("rows", "of_domain", "size"), [(50, 1, 50), (3, 20, 80), (500, 1, 200)])
def test_a_sample_is_as_large_as_the_larger_of_its_limits(rows, of_domain, size, monkeypatch):
    monkeypatch.setattr(module, "_SAMPLE_ROWS", rows)
    monkeypatch.setattr(module, "_SAMPLE_ROWS_PER_DOMAIN", of_domain)
    arguments = problem()
    choice = chosen_model(*arguments, np.random.default_rng(5), models=ALL[:1])
    _, scores = plain_choice(*arguments, np.random.default_rng(5), ALL[:1], size)
    for name, score in scores.items():
        assert choice.log_likelihoods[name] == pytest.approx(score, rel=1e-8)


def test_components_are_ten_for_each_class_as_far_as_there_are_micro_clusters():
    for n_micro, expected in ((40, 20), (12, 12)):
        X, domains, micro, labels, D = problem(400, n_micro)
        micro = micro._replace(classes=np.full((n_micro, 2), 0.5))
        found = []

        def spy(*given, found=found, **options):
            found.append(given[-1])
            return class_mixture(*given, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "class_mixture", spy)
            rng = np.random.default_rng(0)
            chosen_model(X, domains, micro, labels, D, rng, models=ALL[:1])
        assert found[0].shape == (expected, 3)


def test_callbacks_hear_the_name_and_may_end_a_fit():
    heard = []

    def callback(name, iteration, log_likelihood):
        heard.append((name, iteration))
        assert np.isfinite(log_likelihood)
        return iteration == 2

    chosen_model(*problem(), np.random.default_rng(0), models=ALL, callback=callback)
    assert heard == [(name, iteration) for name in ALL for iteration in (1, 2)]


def test_micro_classes_are_those_of_the_nearest_centre():
    X, _, micro, labels, _ = problem()
    assert_array_equal(micro.pooled(X), micro.classes[labels])
    turned = micro.reordered(np.array([1, 0]))
    assert_array_equal(turned.pooled(X), micro.classes[labels][:, ::-1])
    assert turned.classes.flags.c_contiguous


@pytest.mark.parametrize("block_rows", [4096, 9000])
def test_posteriors_of_several_leaves_come_in_their_order(block_rows):
    X = np.random.default_rng(0).normal(size=(9000, 3))
    micro = problem()[2]
    found = pooled_posteriors(as_blocks(X, block_rows=block_rows), micro)
    assert_array_equal(found, micro.pooled(X))
    assert found.dtype == micro.classes.dtype

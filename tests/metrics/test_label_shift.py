"""Errors of class shares under one matching with the accuracy, and the yardsticks beside them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from clusterlib.metrics import (
    clustering_accuracy,
    label_marginal_error,
    label_shift_floors,
    latent_label_shift_scores,
)


def shares(seed, n_domains, n_classes):
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=n_domains)


def error_of(true, found, order):
    """Error with found class j as class ``order[j]``; the smaller matrix is filled up with 0."""
    size = max(true.shape[1], found.shape[1])
    true_all, renamed = np.zeros((2, len(true), size))
    true_all[:, : true.shape[1]] = true
    for column, name in enumerate(order):
        if column < found.shape[1]:
            renamed[:, name] = found[:, column]
    return np.abs(true_all - renamed).sum() / true.size


@pytest.mark.parametrize(("n_classes", "n_found"), [(1, 1), (4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_error_is_the_smallest_of_all_matchings(n_classes, n_found, seed):
    true, found = shares(seed, 6, n_classes), shares(seed + 50, 6, n_found)
    orders = itertools.permutations(range(max(n_classes, n_found)))
    expected = min(error_of(true, found, order) for order in orders)
    assert label_marginal_error(true, found) == pytest.approx(expected, rel=1e-12)


def test_error_under_a_given_matching():
    true = shares(0, 5, 4)
    order = np.array([2, 0, 3, 1])
    assert label_marginal_error(true, true[:, order], class_of_label=order) == 0
    found = shares(1, 5, 4)
    expected = np.abs(true[:, order] - found).mean()
    assert label_marginal_error(true, found, class_of_label=order) == pytest.approx(expected)
    # A found class without a class counts in full, and so does the class it leaves without one.
    order[0] = -1
    expected += (true[:, 2] + found[:, 0] - np.abs(true[:, 2] - found[:, 0])).sum() / true.size
    assert label_marginal_error(true, found, class_of_label=order) == pytest.approx(expected)


def test_error_is_at_most_two_over_the_number_of_classes():
    true = np.tile([1.0, 0.0, 0.0], (2, 1))
    assert label_marginal_error(true, np.roll(true, 1, axis=1), class_of_label=[0, 1, 2]) == 2 / 3
    assert label_marginal_error(true, np.roll(true, 1, axis=1)) == 0


@pytest.mark.parametrize("n_found", [3, 4, 6])
@pytest.mark.parametrize("seed", range(4))
def test_scores_share_the_matching_of_the_accuracy(n_found, seed):
    rng = np.random.default_rng(seed)
    y_true, y_pred = rng.integers(4, size=200), rng.integers(n_found, size=200)
    true, found = shares(seed, 7, 4), shares(seed + 9, 7, n_found)
    scores = latent_label_shift_scores(y_true, y_pred, true, found)
    assert scores.accuracy == pytest.approx(clustering_accuracy(y_true, y_pred), rel=1e-12)
    assert scores.accuracy == np.mean(scores.class_of_label[y_pred] == y_true)
    again = label_marginal_error(true, found, class_of_label=scores.class_of_label)
    assert scores.marginal_error == again >= label_marginal_error(true, found)


def test_names_and_order_of_classes_do_not_matter():
    rng = np.random.default_rng(3)
    y_true, y_pred = rng.integers(4, size=300), rng.integers(4, size=300)
    true, found, order = shares(3, 5, 4), shares(4, 5, 4), rng.permutation(4)
    first = latent_label_shift_scores(y_true, y_pred, true, found)
    renamed = latent_label_shift_scores(y_true, np.argsort(order)[y_pred], true, found[:, order])
    assert renamed[:2] == pytest.approx(first[:2], rel=1e-14)
    names = np.array(["w", "x", "y", "z"])
    texts = latent_label_shift_scores(
        pd.Series(names[y_true]), y_pred, true[:, order], found, classes=names[order]
    )
    assert texts[:2] == pytest.approx(first[:2], rel=1e-14)


def test_a_class_may_be_missing_among_the_rows():
    true = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    found = true[:, [1, 2, 0]]
    y_true, y_pred = np.array([0, 2, 2]), np.array([2, 1, 1])
    scores = latent_label_shift_scores(y_true, y_pred, true, found, classes=[0, 1, 2])
    assert scores[:2] == (1.0, 0.0) and scores.class_of_label.tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match="y_true has 2 classes and label_marginals 3 columns"):
        latent_label_shift_scores(y_true, y_pred, true, found)
    with pytest.raises(ValueError, match="y_true has a label that is not in classes: 2"):
        latent_label_shift_scores(y_true, y_pred, true, found, classes=[0, 1, 3])


def test_equally_good_matchings_are_told_apart_by_their_error():
    true = np.array([[0.1, 0.9], [0.7, 0.3]])
    scores = latent_label_shift_scores([0, 0, 1, 1], [0, 1, 0, 1], true, true[:, ::-1])
    assert scores.accuracy == 0.5 and scores.marginal_error == 0
    assert scores.class_of_label.tolist() == [1, 0]


def test_floors_of_rows_drawn_by_the_shares():
    rng = np.random.default_rng(0)
    true, sizes = shares(5, 6, 4), np.array([100, 200, 300, 400, 500, 600])
    domains = np.repeat(np.arange(6), sizes)
    y = np.array([rng.choice(4, p=true[domain]) for domain in domains])
    floors = label_shift_floors(true, y, domains)
    realised = np.array([np.bincount(y[domains == d], minlength=4) for d in range(6)])
    estimated = realised / sizes[:, None]
    order = np.arange(4)
    assert floors.label_floor == pytest.approx(
        label_marginal_error(true, estimated, class_of_label=order), rel=1e-12
    )
    guesses = true.argmax(axis=1)[domains]
    assert abs(floors.domain_only_accuracy - np.mean(guesses == y)) < 5 * 0.5 / np.sqrt(len(y))
    shuffled = rng.permutation(len(y))
    assert label_shift_floors(true, y[shuffled], domains[shuffled]) == floors


def test_floors_of_exact_rows():
    true = np.array([[0.75, 0.25], [0.5, 0.5]])
    floors = label_shift_floors(true, list("aaabaabb"), [0] * 4 + [1] * 4)
    assert floors == (0.0, 0.625)
    floors = label_shift_floors(
        true[:, ::-1], list("aaabaabb"), [0] * 4 + [1] * 4, classes=["b", "a"]
    )
    assert floors == (0.0, 0.625)


GOOD = np.array([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("true", "found", "message"),
    [
        (GOOD.T, GOOD, "rows of label_marginals must be shares"),
        (GOOD, GOOD.T, "rows of estimated must be shares"),
        (GOOD, GOOD - [[0.1, -0.1]], "rows of estimated must be shares"),
        (GOOD, GOOD[:2], "a row for each of the 3 domains"),
        (GOOD, np.full((3, 2), np.nan), "NaN"),
        (GOOD[:0], GOOD[:0], "at least 1 row"),
    ],
)
def test_wrong_shares_are_refused(true, found, message):
    with pytest.raises(ValueError, match=message):
        label_marginal_error(true, found)
    with pytest.raises(ValueError, match=message):
        latent_label_shift_scores([0, 1], [0, 1], true, found)


@pytest.mark.parametrize("matching", [[0, 0], [0, 2], [0, -2], [0], [0.0, 1.0]])
def test_wrong_matchings_are_refused(matching):
    with pytest.raises(ValueError, match="class_of_label"):
        label_marginal_error(GOOD, GOOD, class_of_label=matching)


@pytest.mark.parametrize(
    ("y", "domains", "classes", "message"),
    [
        ([0, 1, 1], [0, 1, 1], None, "domain 2 of label_marginals has no row"),
        ([0, 1, 1], [0, 1, 3], None, "domains must be from 0 to 2, got 0 to 3"),
        ([0, 1, 1], [0, -1, 2], None, "domains must be from 0 to 2"),
        ([0, 1, 1], [0.0, 1.0, 2.0], None, "domains must hold an integer"),
        ([0, 1, 1], [0, 1], None, "domains must hold an integer for each of 3 rows"),
        ([0, 1, 2], [0, 1, 2], None, "y has 3 classes"),
        ([0, 1, 1], [0, 1, 2], [0, 0], "twice"),
        ([0, 1, 1], [0, 1, 2], [0], "classes must have 2 entries"),
    ],
)
def test_wrong_labels_and_domains_are_refused(y, domains, classes, message):
    with pytest.raises(ValueError, match=message):
        label_shift_floors(GOOD, y, domains, classes=classes)

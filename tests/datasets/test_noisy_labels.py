"""Kinds of wrong labels by their formulas, and draws that stay what they were."""

import numpy as np
import pytest
from scipy.special import expit

from clusterlib.datasets import make_noisy_labels

SIZES = [500, 120, 30, 6]
Y = np.repeat([3, 4, 7, 9], SIZES)
MEANS = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0], [1, 1, 4]])
X = np.repeat(MEANS, SIZES, axis=0) + np.random.default_rng(0).normal(size=(len(Y), 3))


def formula(kind, rate):
    n, k = len(Y), len(SIZES)
    transition = np.zeros((k, k))
    for i in range(k):
        for j in range(k):
            share = {
                "symmetric": 1 / (k - 1),
                "frequency": SIZES[j] / (n - SIZES[i]),
                "next": float(j == (i + 1) % k),
            }[kind]
            transition[i, j] = rate * share if i != j else 1 - rate
    return transition


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("kind", ["symmetric", "frequency", "next"])
def test_transition_is_the_published_formula(kind, rate):
    found = make_noisy_labels(Y, kind=kind, noise_rate=rate)[1]
    np.testing.assert_allclose(found, formula(kind, rate), rtol=1e-15, atol=0)


def test_next_turns_the_last_class_into_the_first():
    noisy, _ = make_noisy_labels(Y, kind="next", noise_rate=1.0, random_state=0)
    np.testing.assert_array_equal(noisy, np.repeat([4, 7, 9, 3], SIZES))


def test_two_classes_have_one_way_to_be_wrong():
    y, points = Y[:620], X[:620]
    expected = [[0.75, 0.25], [0.25, 0.75]]
    for kind in ["symmetric", "frequency", "next", "pair", "boundary"]:
        found = make_noisy_labels(y, X=points, kind=kind, noise_rate=0.25)[1]
        np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("kind", ["symmetric", "frequency", "pair", "next"])
@pytest.mark.parametrize("order", [slice(None), np.random.default_rng(1).permutation(len(Y))])
def test_draws_are_one_choice_for_each_class(kind, order):
    """Seeds of earlier versions keep their labels."""
    y = Y[order]
    noisy, transition = make_noisy_labels(y, X=X[order], kind=kind, random_state=5)
    rng = np.random.default_rng(np.random.RandomState(5).randint(2**31 - 1))
    for row, label in enumerate(np.unique(y)):
        drawn = rng.choice(4, size=np.sum(y == label), p=transition[row])
        np.testing.assert_array_equal(noisy[y == label], np.unique(y)[drawn])


def observed_flips(points, y, rate, n_draws=2000):
    """Share of each observed class, row by row, over many draws."""
    rng = np.random.RandomState(0)
    counts = np.zeros((len(y), y.max() + 1))
    for _ in range(n_draws):
        noisy, _ = make_noisy_labels(
            y, X=points, kind="boundary", noise_rate=rate, random_state=rng
        )
        counts[np.arange(len(y)), noisy] += 1
    return counts / n_draws


@pytest.mark.parametrize("third", [[0.0, 4], [-3.5, 0]])
@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_boundary_noise_has_the_probabilities_of_its_formula(rate, third):
    y = np.repeat([0, 1, 2], [9, 6, 4])
    points = np.array([[0.0, 0], [3, 0], third])[y] + np.random.default_rng(2).normal(size=(19, 2))
    means = np.stack([points[y == k].mean(axis=0) for k in range(3)])
    spread = np.sqrt(np.mean((points - means[y]) ** 2))
    distances = ((points[:, None] - means) ** 2).sum(axis=2)
    expected = np.zeros((19, 3))
    for i in range(3):
        rows = np.flatnonzero(y == i)
        others = np.array([k for k in range(3) if k != i])
        aims = others[distances[np.ix_(rows, others)].argmin(axis=1)]
        if i == 0 and third[0] < 0:  # between the others: rows differ in where they go
            assert set(aims) == {1, 2}
        gap = np.linalg.norm(means[aims] - means[i], axis=1)
        b = (distances[rows, aims] - distances[rows, i]) / (2 * gap)
        low, high = -50.0, 50.0  # the offset that gives the mean, by halving
        for _ in range(100):
            a = (low + high) / 2
            low, high = (a, high) if expit(a - b / spread).mean() < rate else (low, a)
        expected[rows, aims] = expit(a - b / spread)
        expected[rows, i] = 1 - expected[rows, aims]
    found = observed_flips(points, y, rate)
    deviation = np.sqrt(expected * (1 - expected) / 2000)
    assert np.all(np.abs(found - expected) <= 5 * deviation + 1e-12)
    transition = make_noisy_labels(y, X=points, kind="boundary", noise_rate=rate)[1]
    means_by_class = [expected[y == i].mean(axis=0) for i in range(3)]
    np.testing.assert_allclose(transition, means_by_class, atol=1e-11)


def test_boundary_noise_prefers_rows_near_another_class():
    y = np.repeat([0, 1], 20_000)
    points = 4.0 * y[:, None] + np.random.default_rng(0).normal(size=(40_000, 1))
    wrong = make_noisy_labels(y, X=points, kind="boundary", random_state=0)[0] != y
    assert wrong[y == 0].mean() == pytest.approx(0.2, abs=0.01)
    side = np.where(y == 0, 2 - points[:, 0], points[:, 0] - 2)  # distance to the boundary
    odds = [wrong[c].mean() / (1 - wrong[c].mean()) for c in (abs(side - 1) < 0.1, side > 2.9)]
    assert odds[0] > 5 * odds[1]


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_boundary_noise_does_not_depend_on_scale_and_place(scale):
    first, transition = make_noisy_labels(Y, X=X, kind="boundary", random_state=0)
    moved, again = make_noisy_labels(Y, X=(X + 3.0) * scale, kind="boundary", random_state=0)
    np.testing.assert_array_equal(moved, first)
    np.testing.assert_allclose(again, transition, rtol=1e-9)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((len(Y), 1)),
        Y[:, None].astype(np.float32),
        np.random.default_rng(0).permutation(len(Y))[:, None] % 2,
    ],
    ids=["one place", "no spread", "integers"],
)
def test_boundary_noise_of_degenerate_rows_keeps_its_rate(points):
    noisy, transition = make_noisy_labels(
        Y, X=points, kind="boundary", noise_rate=0.3, random_state=0
    )
    np.testing.assert_array_equal(np.diagonal(transition), 0.7)
    np.testing.assert_allclose(transition.sum(axis=1), 1.0, rtol=1e-15)
    assert np.mean(noisy[Y == 3] != 3) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 500))


def test_boundary_noise_of_no_label_and_of_every_label():
    same, stays = make_noisy_labels(Y, X=X, kind="boundary", noise_rate=0)
    np.testing.assert_array_equal(same, Y)
    np.testing.assert_array_equal(stays, np.eye(4))
    other, leaves = make_noisy_labels(Y, X=X, kind="boundary", noise_rate=1)
    assert (other != Y).all()
    np.testing.assert_array_equal(np.diagonal(leaves), 0)
    np.testing.assert_allclose(leaves.sum(axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_boundary_noise_refuses_what_is_not_finite(value):
    points = X.copy()
    points[5, 1] = value
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        make_noisy_labels(Y, X=points, kind="boundary")


def test_boundary_noise_leaves_its_input_alone():
    before = X.copy()
    make_noisy_labels(Y, X=X, kind="boundary")
    np.testing.assert_array_equal(X, before)

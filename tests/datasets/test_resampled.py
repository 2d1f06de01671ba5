"""Long tails, noisy labels and label-shift domains made from labelled data."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from clusterlib.datasets import make_label_shift_domains, make_long_tail, make_noisy_labels


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture
def pool():
    """Rows that know their label, so that a mix-up is seen."""
    y = np.repeat(["a", "b", "c"], [500, 400, 300])
    X = np.column_stack([np.searchsorted(["a", "b", "c"], y), np.arange(len(y))])
    return X, y


@pytest.mark.parametrize("imbalance_ratio", [1, 10, 20.0, 100])
def test_long_tail_has_the_sizes_of_the_formula(digits, imbalance_ratio):
    X, y, kept = make_long_tail(
        *digits, imbalance_ratio=imbalance_ratio, return_indices=True, random_state=0
    )
    sizes = np.bincount(y)
    expected = sizes[0] * float(imbalance_ratio) ** (-np.arange(10) / 9)
    assert np.all(np.abs(sizes - expected) <= 0.5)
    assert sizes[0] == 174 if imbalance_ratio == 1 else sizes[0] >= 174  # the smallest digit
    np.testing.assert_array_equal(X, digits[0][kept])
    np.testing.assert_array_equal(y, digits[1][kept])
    assert np.all(np.diff(kept) > 0)


def test_long_tail_takes_the_most_rows_that_there_are(digits):
    available = np.bincount(digits[1])
    sizes = np.bincount(make_long_tail(*digits, imbalance_ratio=20)[1])
    assert np.all(sizes <= available)
    with pytest.raises(ValueError, match="asks for"):
        make_long_tail(*digits, imbalance_ratio=20, n_max=int(sizes[0]) + 1)


def test_long_tail_in_another_order(pool):
    X, y = make_long_tail(*pool, imbalance_ratio=100, n_max=300, class_order=["c", "a", "b"])
    labels, sizes = np.unique(y, return_counts=True)
    assert dict(zip(labels.tolist(), sizes.tolist(), strict=True)) == {"c": 300, "a": 30, "b": 3}
    assert np.array_equal(np.array(["a", "b", "c"])[X[:, 0]], y)


def test_long_tail_is_seeded_and_random(pool):
    first, again, other = (
        make_long_tail(*pool, return_indices=True, random_state=seed)[2] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_long_tail_of_one_class_and_of_frames():
    X, y = make_long_tail(pd.DataFrame({"a": [1.0, 2.0]}), pd.Series(["x", "x"]))
    assert X.shape == (2, 1) and y.tolist() == ["x", "x"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"imbalance_ratio": 0.5}, ValueError, "imbalance_ratio"),
        ({"imbalance_ratio": "10"}, TypeError, "imbalance_ratio"),
        ({"n_max": 0}, ValueError, "n_max"),
        ({"class_order": ["a", "b"]}, ValueError, "class_order"),
        ({"class_order": ["a", "b", "b"]}, ValueError, "class_order"),
        ({"return_indices": 1}, TypeError, "return_indices"),
    ],
)
def test_long_tail_refuses_wrong_options(pool, options, error, message):
    with pytest.raises(error, match=message):
        make_long_tail(*pool, **options)


@pytest.mark.parametrize("make", [make_long_tail, make_label_shift_domains])
def test_unequal_lengths_are_refused(make):
    with pytest.raises(ValueError, match="a row for each of the 3 labels"):
        make(np.ones((2, 2)), [0, 1, 1])
    with pytest.raises(ValueError, match="1 dimension"):
        make(np.ones((2, 2)), [[0], [1]])


@pytest.mark.parametrize("kind", ["symmetric", "pair", "frequency", "next", "boundary"])
@pytest.mark.parametrize("noise_rate", [0.0, 0.3, 1.0])
def test_noise_follows_its_transition_matrix(pool, kind, noise_rate):
    X, y = (np.tile(part, 20 if part.ndim == 1 else (20, 1)) for part in pool)
    noisy, transition = make_noisy_labels(y, X=X, noise_rate=noise_rate, kind=kind, random_state=1)
    np.testing.assert_allclose(transition.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(np.diagonal(transition), 1.0 - noise_rate)
    labels = np.array(["a", "b", "c"])
    for i, row in enumerate(transition):
        observed = noisy[y == labels[i]]
        shares = np.mean(observed[:, None] == labels, axis=0)
        # Five standard deviations of a share; the seed is fixed.
        assert np.all(np.abs(shares - row) <= 5 * np.sqrt(row * (1 - row) / len(observed)))
    assert noisy.dtype == y.dtype


def test_kinds_of_noise():
    y = np.repeat([3, 5, 9], [1, 2, 7])
    X = np.array([[0.0], *[[4.0]] * 2, *[[5.0]] * 7])
    rate = 0.5
    symmetric = make_noisy_labels(y, noise_rate=rate)[1]
    assert symmetric.tolist() == [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    pair = make_noisy_labels(y, X=X, noise_rate=rate, kind="pair")[1]
    assert pair.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]
    frequency = make_noisy_labels(y, noise_rate=rate, kind="frequency")[1]
    np.testing.assert_allclose(
        frequency, [[0.5, 1 / 9, 3.5 / 9], [1 / 16, 0.5, 7 / 16], [1 / 6, 2 / 6, 0.5]], rtol=1e-15
    )


def test_noise_is_seeded(pool):
    first, again, other = (make_noisy_labels(pool[1], random_state=s)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        ([0, 0], {}, ValueError, "at least 2 classes"),
        ([0, 1], {"noise_rate": 1.5}, ValueError, "noise_rate"),
        ([0, 1], {"noise_rate": None}, TypeError, "noise_rate"),
        ([0, 1], {"kind": "asymmetric"}, ValueError, "'frequency', 'next', 'boundary'"),
        ([0, 1], {"kind": "pair"}, ValueError, "'pair' needs X"),
        ([0, 1], {"kind": "pair", "X": np.ones((3, 1))}, ValueError, "2 rows"),
        ([0, 1], {"kind": "boundary"}, ValueError, "'boundary' needs X"),
        ([0, 1], {"kind": "boundary", "X": np.ones((3, 1))}, ValueError, "2 rows"),
        ([0, 1], {"kind": "boundary", "X": np.ones(2)}, ValueError, "X must have 2 dimensions"),
        ([0, 1], {"kind": "boundary", "X": [[1.0], [np.inf]]}, ValueError, "X contains NaN or inf"),
    ],
)
def test_noise_refuses_wrong_input(y, options, error, message):
    with pytest.raises(error, match=message):
        make_noisy_labels(y, **options)


def test_domains_follow_their_marginals(pool):
    X, y, domains, marginals = make_label_shift_domains(
        *pool, n_domains=4, n_samples=5000, random_state=0
    )
    assert X.shape == (20000, 2)
    np.testing.assert_array_equal(np.array(["a", "b", "c"])[X[:, 0]], y)
    np.testing.assert_array_equal(domains, np.repeat(np.arange(4), 5000))
    np.testing.assert_allclose(marginals.sum(axis=1), 1.0)
    for domain, row in enumerate(marginals):
        shares = np.mean(y[domains == domain][:, None] == ["a", "b", "c"], axis=0)
        assert np.all(np.abs(shares - row) <= 5 * np.sqrt(row * (1 - row) / 5000))
    # Within a domain the classes are mixed: neighbours differ as often as random pairs.
    largest = np.argmin(np.abs(marginals.max(axis=1) - 0.5))
    inside = y[domains == largest]
    expected = 1 - np.sum(np.mean(inside[:, None] == ["a", "b", "c"], axis=0) ** 2)
    assert abs(np.mean(inside[1:] != inside[:-1]) - expected) < 0.05


def test_rows_of_a_class_are_dealt_alike(pool):
    X, y, _, _ = make_label_shift_domains(*pool, n_samples=3000, random_state=0)
    for label, low, high in [("a", 0, 500), ("b", 500, 900), ("c", 900, 1200)]:
        position = (X[y == label, 1] - low) / (high - low)
        assert position.min() >= 0 and position.max() < 1
        assert abs(position.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(position))


def test_domains_without_repetition(pool):
    X, _, _, _ = make_label_shift_domains(
        *pool, n_domains=3, n_samples=60, replace=False, random_state=0
    )
    assert len(np.unique(X[:, 1])) == len(X)
    with pytest.raises(ValueError, match="were drawn"):
        make_label_shift_domains(*pool, n_domains=3, n_samples=1000, replace=False)


def test_concentration_decides_how_pure_domains_are(pool):
    largest = [
        make_label_shift_domains(*pool, n_domains=50, concentration=c, random_state=0)[3].max(1)
        for c in (0.1, 3.0, 1e6)
    ]
    assert largest[0].mean() > 0.9 > largest[1].mean() > 0.4 > largest[2].mean()


def test_condition_number_is_met(pool):
    marginals = make_label_shift_domains(*pool, n_domains=3, max_condition=2.0, random_state=0)[3]
    assert np.linalg.cond(marginals) <= 2.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_domains": 0}, ValueError, "n_domains"),
        ({"n_samples": 0}, ValueError, "n_samples"),
        ({"n_domains": 2000}, ValueError, "n_samples"),
        ({"concentration": 0.0}, ValueError, "concentration"),
        ({"replace": None}, TypeError, "replace"),
        ({"n_domains": 2, "max_condition": 10}, ValueError, "n_domains >= n_classes=3"),
        ({"concentration": 1e9, "max_condition": 2}, ValueError, "none of 1000"),
    ],
)
def test_domains_refuse_wrong_options(pool, options, error, message):
    with pytest.raises(error, match=message):
        make_label_shift_domains(*pool, **options)

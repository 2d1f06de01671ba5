"""Accuracy under the best matching, renamed clusters, balance."""

import itertools
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import entropy
from sklearn.metrics import accuracy_score

from clusterlib.metrics import cluster_balance, clustering_accuracy, matched_labels


def accuracy_by_enumeration(y_true, y_pred, weight):
    """Try every injective map from clusters to classes (or classes to clusters)."""
    classes, clusters = sorted(set(y_true)), sorted(set(y_pred))
    best = 0.0
    small, large = sorted((classes, clusters), key=len)
    for chosen in itertools.permutations(large, len(small)):
        pairs = set(zip(small, chosen, strict=True))
        if small is clusters:
            pairs = {(b, a) for a, b in pairs}
        agree = [pair in pairs for pair in zip(y_true, y_pred, strict=True)]
        best = max(best, float(np.dot(agree, weight)))
    return best


@pytest.mark.parametrize(("n_classes", "n_clusters"), [(1, 1), (3, 3), (2, 5), (5, 2), (4, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_accuracy_is_the_best_of_all_matchings(n_classes, n_clusters, seed):
    rng = np.random.default_rng(seed)
    y_true, y_pred = rng.integers(n_classes, size=60), rng.integers(n_clusters, size=60)
    weight = rng.integers(0, 5, size=60)
    expected = accuracy_by_enumeration(y_true.tolist(), y_pred.tolist(), weight)
    found = clustering_accuracy(y_true, y_pred, sample_weight=weight, normalize=False)
    assert found == expected
    share = clustering_accuracy(y_true, y_pred, sample_weight=weight)
    assert share == expected / weight.sum()


@pytest.mark.parametrize("seed", range(5))
def test_matched_labels_score_the_same(seed):
    rng = np.random.default_rng(seed)
    y_true, y_pred = rng.integers(6, size=200), rng.integers(4 + seed, size=200)
    renamed = matched_labels(y_true, y_pred)
    assert accuracy_score(y_true, renamed) == clustering_accuracy(y_true, y_pred)
    # One to one: a renamed cluster is the cluster, unless two are left over.
    for label in set(renamed.tolist()) - {-1}:
        assert len(set(y_pred[renamed == label].tolist())) == 1


def test_names_of_clusters_do_not_matter():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(5, size=100), rng.integers(5, size=100)
    renamed = rng.permutation(5)[y_pred]
    assert clustering_accuracy(y_true, y_pred) == clustering_accuracy(y_true, renamed)
    assert clustering_accuracy(y_true, y_pred) == clustering_accuracy(y_pred, y_true)
    assert clustering_accuracy(renamed, y_pred) == 1.0
    np.testing.assert_array_equal(matched_labels(renamed, y_pred), renamed)


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        np.array,
        lambda y: np.array(y, dtype=object),
        pd.Series,
        lambda y: pd.Series(y, dtype="string"),
        lambda y: pd.Series(y, dtype="category"),
        pd.Categorical,
        pl.Series,
        lambda y: pl.Series(y, dtype=pl.Categorical),
        lambda y: np.array([*map(ord, y)], dtype=np.uint8),
        lambda y: np.array([*map(ord, y)], dtype=np.float32),
        lambda y: np.array([*map(ord, y)], dtype="datetime64[D]"),
    ],
)
def test_labels_of_any_type(convert):
    y_true, y_pred = convert(list("aabbccddc")), list("xxyyzzwwy")
    assert clustering_accuracy(y_true, y_pred) == 8 / 9
    assert clustering_accuracy(y_pred, y_true) == 8 / 9
    agree = [a == b for a, b in zip(y_true, matched_labels(y_true, y_pred), strict=True)]
    assert np.mean(agree) == 8 / 9


def test_boolean_labels():
    y_true = [False, False, True, True]
    assert clustering_accuracy(y_true, ["x", "x", "y", "x"]) == 0.75
    assert matched_labels(y_true, ["x", "x", "y", "x"]).tolist() == [False, False, True, False]


def test_objects_without_an_order():
    y_true = [("a", 1), None.__class__, 3, "x", 3]
    array = np.empty(5, dtype=object)
    array[:] = y_true
    assert clustering_accuracy(array, [4, 3, 2, 1, 2]) == 1.0
    assert matched_labels(array, [4, 3, 2, 1, 2]).tolist() == y_true


def test_noise_is_wrong_and_belongs_to_no_cluster():
    y_true = ["a", "a", "b", "b", "b"]
    y_pred = [0, 0, -1, -1, -1]
    assert clustering_accuracy(y_true, y_pred) == 1.0
    assert clustering_accuracy(y_true, y_pred, noise_label=-1) == 0.4
    assert matched_labels(y_true, y_pred, noise_label=-1).tolist() == ["a", "a", "", "", ""]
    assert clustering_accuracy(y_true, [-1] * 5, noise_label=-1) == 0.0
    assert clustering_accuracy(y_true, [7] * 5, noise_label=-1) == 0.6
    assert cluster_balance(y_pred, noise_label=-1).normalized_entropy == 1.0
    assert cluster_balance(y_pred).imbalance_ratio == 1.5


@pytest.mark.parametrize(
    ("y_true", "unmatched", "expected"),
    [
        (np.array([5, 5, 6, 6], dtype=np.int8), None, -1),
        (np.array([5, 5, 6, 6], dtype=np.uint8), None, -1),
        (np.array([5, 5, 6, 6], dtype=np.float32), None, -1.0),
        (np.array([5, 5, 6, 6], dtype=np.int8), 1000, 1000),
        (np.array([5, 5, 6, 6]), "none", "none"),
        (np.array([False, False, True, True]), None, -1),
        (np.array(["a", "a", "b", "b"]), None, ""),
        (np.array(["a", "a", "b", "b"]), "unknown", "unknown"),
        (np.array(["a", "a", "b", "b"]), -1, -1),
        (np.array(["a", "a", "b", "b"], dtype=object), None, None),
    ],
)
def test_label_of_clusters_left_over(y_true, unmatched, expected):
    renamed = matched_labels(y_true, [0, 0, 1, 2], unmatched=unmatched)
    assert renamed[:3].tolist() == y_true[:3].tolist()
    assert renamed[3] == expected and type(renamed.tolist()[3]) is type(expected)


def test_label_of_clusters_left_over_must_be_new():
    y_true = [-1, -1, 0, 0]
    assert matched_labels(y_true, [4, 4, 5, 5]).tolist() == y_true  # nobody needs it
    with pytest.raises(ValueError, match="itself a class"):
        matched_labels(y_true, [4, 4, 5, 6])
    assert matched_labels(y_true, [4, 4, 5, 6], unmatched=-2).tolist() == [-1, -1, 0, -2]


def test_weights_are_repetitions():
    rng = np.random.default_rng(3)
    y_true, y_pred = rng.integers(4, size=50), rng.integers(5, size=50)
    weight = rng.integers(0, 4, size=50)
    repeated = np.repeat(y_true, weight), np.repeat(y_pred, weight)
    assert clustering_accuracy(y_true, y_pred, sample_weight=weight) == clustering_accuracy(
        *repeated
    )
    np.testing.assert_array_equal(
        np.repeat(matched_labels(y_true, y_pred, sample_weight=weight), weight),
        matched_labels(*repeated),
    )
    assert cluster_balance(y_pred, sample_weight=weight) == cluster_balance(repeated[1])


def test_perfect_is_one_for_any_weights():
    rng = np.random.default_rng(4)
    y = rng.integers(50, size=1000)
    weight = rng.uniform(size=1000) * 10.0 ** rng.uniform(-10, 10, size=1000)
    assert clustering_accuracy(y, -y, sample_weight=weight) == 1.0


@pytest.mark.parametrize(
    ("y_true", "y_pred", "options", "error", "message"),
    [
        ([], [], {}, ValueError, "y_true is empty"),
        ([1, 2], [1], {}, ValueError, "y_pred must have 2 entries, got 1"),
        ([[1], [2]], [1, 2], {}, ValueError, "y_true must have 1 dimension"),
        (3, [1], {}, ValueError, "1 dimension"),
        ([1.0, np.nan], [1, 2], {}, ValueError, "y_true has a missing label at index 1"),
        ([1, 2], [None, 1], {}, ValueError, "y_pred has a missing label at index 0"),
        ([1, 2], pd.Series([pd.NA, 1], dtype="Int64"), {}, ValueError, "missing"),
        (np.array(["2024", "NaT"], dtype="datetime64[D]"), [1, 2], {}, ValueError, "missing"),
        (np.array([[1], {2}, [3]], dtype=object), [1, 2, 3], {}, TypeError, "hashed"),
        ([1, 2], [1, 2], {"sample_weight": [1, -1]}, ValueError, "sample_weight"),
        ([1, 2], [1, 2], {"sample_weight": [1, np.nan]}, ValueError, "sample_weight"),
        ([1, 2], [1, 2], {"sample_weight": [1, 2, 3]}, ValueError, "sample_weight"),
        ([1, 2], [1, 2], {"sample_weight": [0, 0]}, ValueError, "0 everywhere"),
    ],
)
def test_wrong_input_is_refused(y_true, y_pred, options, error, message):
    with pytest.raises(error, match=message):
        clustering_accuracy(y_true, y_pred, **options)


def test_balance_of_known_shares():
    balance = cluster_balance(["a"] * 2 + ["b"] + ["c"], n_clusters=4)
    nats = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert balance.normalized_entropy == pytest.approx(nats / math.log(4), rel=1e-15)
    assert balance.effective_clusters == pytest.approx(math.exp(nats), rel=1e-15)
    assert balance.imbalance_ratio == math.inf
    assert balance.imbalance_factor == pytest.approx(4 * (0.25 + 0.0625 + 0.0625), rel=1e-15)


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 7, 1000])
def test_balance_of_equal_sizes_is_perfect(n_clusters):
    balance = cluster_balance(np.repeat(np.arange(n_clusters), 3))
    assert balance == pytest.approx((1.0, n_clusters, 1.0, 1.0), rel=1e-12)
    assert balance.normalized_entropy <= 1.0 and balance.effective_clusters <= n_clusters
    assert balance.imbalance_factor >= 1.0


def test_balance_of_a_single_full_cluster():
    assert cluster_balance([3, 3, 3], n_clusters=5) == (0.0, 1.0, math.inf, 5.0)
    assert cluster_balance([3, 3, 3]) == (1.0, 1.0, 1.0, 1.0)


def test_balance_agrees_with_an_independent_entropy():
    labels = np.random.default_rng(0).integers(9, size=500) ** 2
    expected = math.exp(entropy(np.bincount(labels)))
    assert cluster_balance(labels).effective_clusters == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_clusters": 1}, ValueError, "labels name 2"),
        ({"n_clusters": 2.0}, TypeError, "integer"),
        ({"sample_weight": [0, 0, 0]}, ValueError, "weight above 0"),
        ({"sample_weight": [1, 1, -1]}, ValueError, "sample_weight"),
    ],
)
def test_balance_refuses_wrong_input(options, error, message):
    with pytest.raises(error, match=message):
        cluster_balance([0, 0, 1], **options)


def test_balance_refuses_noise_alone():
    with pytest.raises(ValueError, match="belongs to a cluster"):
        cluster_balance([-1, -1], noise_label=-1)

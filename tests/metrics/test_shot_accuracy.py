"""Accuracy by the size of classes in training: groups, limits, labels of any type, weights."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from clusterlib.metrics import shot_accuracy

SIZES = np.array([500, 101, 100, 60, 20, 19, 1])
Y_TRAIN = np.repeat(np.arange(7), SIZES)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y_true = rng.choice(7, size=400, p=np.arange(1, 8) / 28)
    y_pred = np.where(rng.random(400) < 0.6, y_true, rng.integers(7, size=400))
    return y_true, y_pred


def test_groups_are_means_of_recalls(rows):
    accuracy = shot_accuracy(*rows, Y_TRAIN)
    recalls = recall_score(*rows, average=None)
    np.testing.assert_allclose(accuracy.recalls, recalls, rtol=1e-15)
    # More than 100 is many, fewer than 20 is few: 100 and 20 themselves lie between.
    assert accuracy.many == pytest.approx(recalls[:2].mean(), rel=1e-14)
    assert accuracy.medium == pytest.approx(recalls[2:5].mean(), rel=1e-14)
    assert accuracy.few == pytest.approx(recalls[5:].mean(), rel=1e-14)
    assert accuracy.balanced == pytest.approx(balanced_accuracy_score(*rows), rel=1e-14)
    np.testing.assert_array_equal(accuracy.train_sizes, SIZES)
    np.testing.assert_array_equal(accuracy.classes, np.arange(7))


def test_limits_can_be_set(rows):
    recalls = recall_score(*rows, average=None)
    accuracy = shot_accuracy(*rows, Y_TRAIN, many=19, few=19)
    assert accuracy.many == pytest.approx(recalls[:5].mean(), rel=1e-14)
    assert accuracy.medium == pytest.approx(recalls[5], rel=1e-14)
    assert accuracy.few == pytest.approx(recalls[6], rel=1e-14)


def test_a_group_without_classes_is_nan_and_the_rest_is_not():
    accuracy = shot_accuracy([0, 1, 1], [0, 1, 0], [0] * 30 + [1] * 25)
    assert np.isnan(accuracy.many) and np.isnan(accuracy.few)
    assert accuracy.medium == accuracy.balanced == 0.75


def test_only_classes_of_the_scored_rows_count():
    accuracy = shot_accuracy(["b", "b"], ["b", "z"], np.repeat(["a", "b", "c"], [200, 150, 3]))
    assert accuracy.many == accuracy.balanced == 0.5
    assert np.isnan(accuracy.few)
    assert accuracy.classes.tolist() == ["b"] and accuracy.train_sizes.tolist() == [150]


def test_a_class_that_training_lacks_is_few():
    accuracy = shot_accuracy([0, 5, 9], [0, 5, 9], [0] * 200)
    assert accuracy.train_sizes.tolist() == [200, 0, 0]
    assert accuracy.few == 1.0


def test_all_right_is_one_and_all_wrong_zero(rows):
    y_true, _ = rows
    assert shot_accuracy(y_true, y_true, Y_TRAIN)[:4] == (1.0, 1.0, 1.0, 1.0)
    assert shot_accuracy(y_true, y_true + 1, Y_TRAIN)[:4] == (0.0, 0.0, 0.0, 0.0)


def test_names_of_classes_and_containers_do_not_matter(rows):
    expected = shot_accuracy(*rows, Y_TRAIN)
    names = np.array(["g", "c", "a", "f", "b", "e", "d"])
    found = shot_accuracy(*(pd.Series(names[part]) for part in rows), names[Y_TRAIN].tolist())
    assert found[:4] == pytest.approx(expected[:4], rel=1e-14)
    assert dict(zip(found.classes, found.train_sizes, strict=True)) == dict(
        zip(names, SIZES, strict=True)
    )


def test_weights_are_repetitions(rows):
    weight = np.random.default_rng(1).integers(0, 4, size=400)
    weight[rows[0] == 6] = 0
    found = shot_accuracy(*rows, Y_TRAIN, sample_weight=weight)
    expected = shot_accuracy(*(np.repeat(part, weight) for part in rows), Y_TRAIN)
    assert found[:4] == pytest.approx(expected[:4], rel=1e-14)
    np.testing.assert_array_equal(found.classes, np.arange(6))
    np.testing.assert_allclose(found.recalls, expected.recalls, rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([], [], [0]), {}, ValueError, "y_true is empty"),
        (([0], [0, 1], [0]), {}, ValueError, "y_pred must have 1 entries, got 2"),
        (([0], [0], []), {}, ValueError, "y_train is empty"),
        (([0], [0], [[0]]), {}, ValueError, "y_train must have 1 dimension"),
        (([0, np.nan], [0, 0], [0]), {}, ValueError, "y_true has a missing label"),
        (([0], [0], ["0"]), {}, ValueError, "no class of y_true occurs in y_train: 0 .* '0'"),
        (([0], [0], [0]), {"many": 10}, ValueError, "few must be an int in .*many=10.*; got 20"),
        (([0], [0], [0]), {"many": -1}, ValueError, "many must be an int in"),
        (([0], [0], [0]), {"few": 2.5}, TypeError, "few must be an int in"),
        (([0], [0], [0]), {"sample_weight": [-1]}, ValueError, "sample_weight .* at least 0"),
        (([0], [0], [0]), {"sample_weight": [0]}, ValueError, "must not be 0 everywhere"),
    ],
)
def test_bad_input_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        shot_accuracy(*arguments, **options)

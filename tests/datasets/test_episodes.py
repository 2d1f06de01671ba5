"""Episodes have the classes, the shots and the sizes that were asked for, and no row twice."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.datasets import make_episodes

X = np.arange(600, dtype=np.float32).reshape(200, 3)
Y = np.repeat(np.array(list("abcdefgh")), 25)


def test_rows_and_labels_belong_together():
    episodes = make_episodes(X, Y, n_episodes=50, n_way=4, n_shot=3, n_query=6, random_state=0)
    assert episodes.X.shape == (50, 12, 3)
    assert episodes.queries.shape == (50, 24, 3)
    assert episodes.X.dtype == X.dtype
    for rows, points, labels in (
        (episodes.support_rows, episodes.X, episodes.y),
        (episodes.query_rows, episodes.queries, episodes.y_queries),
    ):
        assert_array_equal(points, X[rows])
        assert_array_equal(labels, Y[rows])
    rows = np.concatenate([episodes.support_rows, episodes.query_rows], axis=1)
    assert all(len(np.unique(drawn)) == 36 for drawn in rows)
    for labels, repeats in ((episodes.y, 3), (episodes.y_queries, 6)):
        classes = labels[:, ::repeats]
        assert_array_equal(labels, np.repeat(classes, repeats, axis=1))
        assert all(len(set(names)) == 4 for names in classes)
    assert set(episodes.y.ravel()) == set(Y)


def test_drawn_sizes_scatter_as_the_law_says():
    episodes = make_episodes(
        X, Y, n_episodes=2000, n_way=2, n_shot=1, n_query=10, query_sizes="dirichlet",
        random_state=0,
    )  # fmt: skip
    sizes = (episodes.y_queries == episodes.y[:, :1]).sum(axis=1)
    # The share of one of two classes under Dirichlet(2, 2) has the variance 1 / 20, the number of
    # 20 draws that of a beta-binomial law, 20 * 24 / 20 = 24; the pool refuses no size here.
    assert abs(sizes.mean() - 10) < 4 * np.sqrt(24 / 2000)
    assert abs(sizes.var() - 24) < 2
    even = make_episodes(
        X, Y, n_episodes=500, n_way=2, n_query=10, query_sizes="dirichlet", concentration=1e6,
        random_state=0,
    )  # fmt: skip
    sizes = (even.y_queries == even.y[:, :1]).sum(axis=1)
    assert abs(sizes.var() - 5) < 1.5  # binomial


def test_fewer_shots_keep_the_queries():
    episodes = make_episodes(X, Y, n_episodes=5, n_way=3, n_shot=4, n_query=2, random_state=0)
    fewer = episodes.with_shots(2)
    assert_array_equal(fewer.queries, episodes.queries)
    assert_array_equal(fewer.y, np.repeat(episodes.y[:, ::4], 2, axis=1))
    assert_array_equal(fewer.X, X[fewer.support_rows])
    assert_array_equal(fewer.support_rows[:, :2], episodes.support_rows[:, :2])
    for wrong in (0, 5):
        with pytest.raises(ValueError, match=r"n_shot must be an int in \[1, 4\]"):
            episodes.with_shots(wrong)


def test_a_seed_is_an_answer_and_more_episodes_only_follow():
    few, many, other = (
        make_episodes(X, Y, n_episodes=n, n_query=2, random_state=seed)
        for n, seed in ((4, 0), (9, 0), (4, 1))
    )
    assert_array_equal(few.query_rows, many.query_rows[:4])
    assert (few.query_rows != other.query_rows).any()


def test_sizes_that_the_pool_lacks_are_drawn_again():
    episodes = make_episodes(
        X, Y, n_episodes=200, n_way=2, n_query=20, query_sizes="dirichlet", random_state=0
    )
    sizes = (episodes.y_queries == episodes.y[:, :1]).sum(axis=1)
    assert sizes.max() <= 24
    assert sizes.min() >= 40 - 24


def test_images_are_rows_too():
    episodes = make_episodes(X.reshape(200, 3, 1), Y, n_episodes=2, n_query=1, random_state=0)
    assert episodes.queries.shape == (2, 5, 3, 1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_way": 9}, ValueError, r"n_way must be an int in \[1, n_classes=8\]; got 9"),
        ({"n_shot": 11}, ValueError, "class 'a' has 25 rows, too few for n_shot=11"),
        ({"n_shot": 0}, ValueError, "n_shot must be"),
        ({"n_query": 2.0}, TypeError, "n_query must be"),
        ({"n_episodes": 0}, ValueError, "n_episodes must be"),
        ({"query_sizes": "even"}, ValueError, "query_sizes must be one of 'balanced'"),
        ({"concentration": 0}, ValueError, "concentration must be"),
        ({"n_query": 1000, "query_sizes": "dirichlet"}, ValueError, "lower n_query=1000"),
        ({"y": Y[1:]}, ValueError, "X must have a row for each of the 199 labels"),
    ],
)
def test_bad_input(changes, error, message):
    arguments = {"X": X, "y": Y} | changes
    with pytest.raises(error, match=message):
        make_episodes(arguments.pop("X"), arguments.pop("y"), **arguments)

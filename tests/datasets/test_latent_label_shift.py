"""Domains whose class shares are met to the row, every row dealt at most once."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from clusterlib.datasets import make_latent_label_shift
from clusterlib.datasets._label_marginals import draw_label_marginals

NAMES = np.array(["a", "b", "c"])


@pytest.fixture
def pool():
    """Rows that know their label and their position, so that a mix-up is seen."""
    codes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [5000, 4000, 3000]))
    return np.column_stack([codes, np.arange(len(codes))]), NAMES[codes]


def counted(sample, classes=NAMES):
    """Rows of each domain and class."""
    return np.array(
        [
            [np.sum((sample.domains == domain) & (sample.y == name)) for name in classes]
            for domain in range(len(sample.label_marginals))
        ]
    )


@pytest.mark.parametrize("concentration", [0.5, 3.0, 10.0])
@pytest.mark.parametrize("n_domains", [3, 7])
def test_numbers_of_rows_are_those_of_the_formula(pool, n_domains, concentration):
    sample = make_latent_label_shift(
        *pool, n_domains=n_domains, concentration=concentration, random_state=0
    )
    shares = sample.label_marginals
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-15)
    expected = shares / n_domains * 3000 / shares.mean(axis=0).max()
    counts = counted(sample)
    assert np.all(counts <= expected + 1e-9) and np.all(expected < counts + 1 + 1e-9)
    assert counts.sum() == len(sample.X) == len(sample.y)
    # The most frequent class takes the smallest class but for one row a domain.
    assert 3000 - n_domains <= counts.sum(axis=0).max() <= 3000


def test_rows_keep_their_labels_and_occur_once(pool):
    sample = make_latent_label_shift(*pool, n_domains=5, random_state=1)
    np.testing.assert_array_equal(sample.X, pool[0][sample.indices])
    np.testing.assert_array_equal(sample.y, NAMES[sample.X[:, 0]])
    assert len(np.unique(sample.indices)) == len(sample.indices)
    np.testing.assert_array_equal(sample.domains, np.sort(sample.domains))
    assert sample.y.dtype == pool[1].dtype and sample.domains.dtype == np.intp


def test_rows_are_mixed_within_domains_and_dealt_alike(pool):
    sample = make_latent_label_shift(*pool, n_domains=3, concentration=1e6, random_state=0)
    for domain in range(3):
        inside = sample.y[sample.domains == domain]
        assert abs(np.mean(inside[1:] != inside[:-1]) - 2 / 3) < 0.05
        position = sample.indices[sample.domains == domain] / len(pool[1])
        assert abs(position.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(position))


def test_domains_have_the_wanted_weights(pool):
    weights = np.array([1.0, 2.0, 5.0])
    sample = make_latent_label_shift(*pool, n_domains=3, domain_weights=weights, random_state=2)
    counts = counted(sample)
    joint = sample.label_marginals * weights[:, None]
    expected = joint * 3000 / joint.sum(axis=0).max()
    assert np.all(counts <= expected + 1e-9) and np.all(expected < counts + 1 + 1e-9)
    equal = make_latent_label_shift(*pool, n_domains=3, random_state=2)
    np.testing.assert_array_equal(equal.label_marginals, sample.label_marginals)


def test_condition_number_is_met_or_the_best_is_told(pool):
    good = make_latent_label_shift(*pool, n_domains=4, max_condition=2.0, random_state=0)
    assert good.condition <= 2.0
    assert good.condition == pytest.approx(np.linalg.cond(good.label_marginals))
    options = {"n_domains": 3, "concentration": 10.0, "max_condition": 1.001, "random_state": 0}
    best = [make_latent_label_shift(*pool, max_draws=n, **options).condition for n in (1, 10, 500)]
    assert best[0] >= best[1] >= best[2] > 1.001 and best[0] > best[2]


def test_the_best_of_all_draws_is_returned():
    drawn = draw_label_marginals(np.random.default_rng(3), 4, 3, 2.0, 1.0, 50)
    rng = np.random.default_rng(3)
    matrices = [rng.dirichlet(np.full(3, 2 / 3), size=4) for _ in range(50)]
    conditions = [np.linalg.cond(matrix) for matrix in matrices]
    np.testing.assert_array_equal(drawn.marginals, matrices[np.argmin(conditions)])
    assert drawn.condition == min(conditions)


def test_tiny_shares_are_set_to_zero():
    X, y = load_digits(return_X_y=True)
    sample = make_latent_label_shift(X, y, n_domains=30, concentration=0.2, random_state=0)
    shares = sample.label_marginals
    assert np.any(shares == 0) and shares[shares > 0].min() >= 1e-7
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-15)


def test_fewer_domains_than_classes_tell_nothing_apart(pool):
    assert make_latent_label_shift(*pool, n_domains=2, random_state=0).condition == np.inf
    with pytest.raises(ValueError, match="n_domains >= n_classes=3"):
        make_latent_label_shift(*pool, n_domains=2, max_condition=5)


def test_same_seed_same_rows(pool):
    first, again, other = (
        make_latent_label_shift(*pool, n_domains=4, random_state=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.indices, again.indices)
    assert not np.array_equal(first.label_marginals, other.label_marginals)
    moving = np.random.RandomState(0)
    one, two = (make_latent_label_shift(*pool, random_state=moving) for _ in range(2))
    assert not np.array_equal(one.label_marginals, two.label_marginals)


def test_one_class_and_frames():
    frame = pd.DataFrame({"a": np.arange(10.0)})
    sample = make_latent_label_shift(frame, pd.Series(["x"] * 10), n_domains=2, random_state=0)
    assert sample.X.shape == (10, 1) and sample.label_marginals.tolist() == [[1.0], [1.0]]
    assert sample.condition == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_domains": 0}, ValueError, "n_domains"),
        ({"n_domains": 3.0}, TypeError, "n_domains"),
        ({"concentration": 0.0}, ValueError, "concentration"),
        ({"max_condition": 0.5}, ValueError, "max_condition"),
        ({"max_draws": 0}, ValueError, "max_draws"),
        ({"domain_weights": [1, 2]}, ValueError, "weights"),
        ({"n_domains": 2, "domain_weights": [1, 0]}, ValueError, "domain 1 gets no row"),
        ({"n_domains": 50_000}, ValueError, "gets no row"),
        ({"random_state": "x"}, ValueError, "seed"),
    ],
)
def test_wrong_options_are_refused(pool, options, error, message):
    with pytest.raises(error, match=message):
        make_latent_label_shift(*pool, **options)


def test_wrong_rows_are_refused():
    with pytest.raises(ValueError, match="a row for each of the 3 labels"):
        make_latent_label_shift(np.ones((2, 2)), [0, 1, 1])
    with pytest.raises(ValueError, match="1 dimension"):
        make_latent_label_shift(np.ones((2, 2)), [[0], [1]])

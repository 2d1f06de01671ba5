"""What is special to OTPrototypeClassifier: the published steps, batches, episodes, bad input."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from clusterlib.datasets import make_episodes
from clusterlib.transport import OTPrototypeClassifier

IMAGES, DIGITS = load_digits(return_X_y=True)
EMBEDDING = PCA(32, random_state=0).fit_transform(IMAGES)
PUBLISHED = {"epsilon": 0.05, "marginals": "uniform"}


def draw(n_episodes, n_shot, query_sizes="balanced", seed=0):
    return make_episodes(
        EMBEDDING, DIGITS, n_episodes=n_episodes, n_shot=n_shot, query_sizes=query_sizes,
        random_state=seed,
    )  # fmt: skip


def published_steps(support, queries, n_shot, threshold, n_sweeps):
    """BECLR's evaluation, transcribed: plans, prototypes and normalised queries of E episodes.

    The authors' Sinkhorn loop ends at a threshold of 1e-4 for the change of u, or 1000 sweeps.
    """
    support, queries = (
        (f - f.mean(-1, keepdims=True)) / f.std(-1, ddof=1, keepdims=True)
        for f in (support, queries)
    )
    start = prototypes = support.reshape(len(support), 5, n_shot, -1).mean(axis=2)
    mu, nu = 1 / 5 + 1e-8, 1 / queries.shape[1] + 1e-8
    for _ in range(5 if n_shot == 1 else 1):
        cost = ((prototypes[:, :, None] - queries[:, None]) ** 2).sum(axis=3)
        cost /= cost.max(axis=(1, 2), keepdims=True)
        kernel = np.exp(-cost / 0.05)  # at least exp(-20): no logarithms are needed
        row, column = np.ones((len(cost), 5, 1)), np.ones((len(cost), 1, queries.shape[1]))
        for _ in range(n_sweeps):
            before, row = row, mu / (kernel @ column.transpose(0, 2, 1))
            column = nu / (row.transpose(0, 2, 1) @ kernel)
            if np.abs(0.05 * np.log(row / before)).sum(axis=1).max() < threshold:
                break
        plan = row * kernel * column
        prototypes = plan @ queries / plan.sum(axis=2, keepdims=True)
    if n_shot > 1:
        prototypes = 0.7 * prototypes + 0.3 * start
    return plan, prototypes, queries


def nearest(prototypes, queries):
    return ((prototypes[:, :, None] - queries[:, None]) ** 2).sum(axis=3).argmin(axis=1)


@pytest.mark.parametrize("n_shot", [1, 5])
def test_published_steps_are_reached_by_options(n_shot):
    episodes = draw(200, n_shot)
    plans, prototypes, queries = published_steps(
        episodes.X, episodes.queries, n_shot, threshold=1e-10, n_sweeps=4000
    )
    model = OTPrototypeClassifier(**PUBLISHED, tol=1e-10, max_sweeps=4000)
    with warnings.catch_warnings():  # some episodes would need more sweeps
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = model.predict_episodes(episodes.X, episodes.y, episodes.queries)
        aligned = [
            model.fit(*pair).align(batch)
            for *pair, batch in zip(episodes.X, episodes.y, episodes.queries, strict=True)
        ]
    classes = episodes.y[:, ::n_shot]
    expected = np.take_along_axis(classes, nearest(prototypes, queries), axis=1)
    assert_array_equal(labels, expected)
    for e, order in enumerate(np.argsort(classes, axis=1)):
        assert_allclose(aligned[e].plan, plans[e, order], atol=1e-6)
        assert_allclose(aligned[e].prototypes_after, prototypes[e, order], atol=1e-3)


def test_published_classifier_is_reached_by_an_option():
    episodes = draw(5, 5)
    model = OTPrototypeClassifier(**PUBLISHED, classifier="logistic", tol=1e-6, max_sweeps=4000)
    _, prototypes, queries = published_steps(episodes.X, episodes.queries, 5, 1e-10, 4000)
    for e in range(5):
        reference = LogisticRegression(max_iter=1000).fit(prototypes[e], episodes.y[e, ::5])
        found = model.fit(episodes.X[e], episodes.y[e]).predict(episodes.queries[e])
        assert_array_equal(found, reference.predict(queries[e]))


def test_stopping_where_the_authors_stop_changes_next_to_nothing():
    episodes = draw(200, 1)
    _, prototypes, queries = published_steps(episodes.X, episodes.queries, 1, 1e-4, 1000)
    expected = np.take_along_axis(episodes.y, nearest(prototypes, queries), axis=1)
    model = OTPrototypeClassifier(**PUBLISHED)
    labels = model.predict_episodes(episodes.X, episodes.y, episodes.queries)
    assert (labels == expected).mean() > 0.995


@pytest.mark.parametrize("n_shot", [1, 5])
def test_adaptive_marginals_keep_the_gain_and_avoid_the_loss(n_shot):
    gains = {}
    for sizes in ("balanced", "dirichlet"):
        episodes = draw(300, n_shot, sizes, seed=7)
        data = episodes.X, episodes.y, episodes.queries
        accuracy = [
            (model.predict_episodes(*data) == episodes.y_queries).mean()
            for model in (
                OTPrototypeClassifier(mix=0.0),
                OTPrototypeClassifier(**PUBLISHED),
                OTPrototypeClassifier(),
            )
        ]
        gains[sizes] = np.array(accuracy[1:]) - accuracy[0]
    plain, adaptive = gains["balanced"]
    assert adaptive > 0.8 * plain > 0.01
    plain, adaptive = gains["dirichlet"]
    assert adaptive > -0.003
    assert plain < -0.03


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"marginals": "uniform", "normalize": "l2", "cost_scale": "mean"},
        {"marginals": [0.4, 0.3, 0.1, 0.1, 0.1], "mix": "mass", "power": 0.5},
        {"normalize": None, "cost_scale": 2000.0, "classifier": "logistic", "n_passes": 2},
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_episodes_are_single_fits(options, dtype):
    episodes = draw(5, 3, "dirichlet")
    names = np.array(list("abcdefghij"))[episodes.y]
    X, queries = episodes.X.astype(dtype), episodes.queries.astype(dtype)
    model = OTPrototypeClassifier(**options)
    labels = model.predict_episodes(X, names, queries)
    assert labels.dtype == names.dtype
    for e in range(5):
        assert_array_equal(model.fit(X[e], names[e]).predict(queries[e]), labels[e])
        assert model.prototypes_.dtype == dtype
        probabilities = model.predict_proba(queries[e])
        assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        assert_array_equal(model.classes_[probabilities.argmax(axis=1)], labels[e])


def test_episodes_may_share_their_labels():
    episodes = draw(4, 2)
    y = np.repeat([3, 1, 4, 0, 5], 2)
    model = OTPrototypeClassifier()
    one = model.predict_episodes(episodes.X, y, episodes.queries)
    other = model.predict_episodes(episodes.X, np.tile(y, (4, 1)), episodes.queries)
    assert_array_equal(one, other)
    assert set(one.ravel()) == set(y)


def test_a_batch_is_classified_together_in_any_order():
    episodes = draw(1, 1)
    model = OTPrototypeClassifier().fit(episodes.X[0], episodes.y[0])
    queries = episodes.queries[0]
    order = np.random.default_rng(0).permutation(len(queries))
    assert_array_equal(model.predict(queries[order]), model.predict(queries)[order])
    alone = np.concatenate([model.predict(query[None]) for query in queries])
    start = ((model.prototypes_[:, None] - model.align(queries).queries) ** 2).sum(axis=2)
    assert_array_equal(alone, model.classes_[start.argmin(axis=0)])
    assert (alone != model.predict(queries)).any()


def test_alignment_says_what_was_done():
    episodes = draw(1, 5, "dirichlet", seed=3)
    model = OTPrototypeClassifier().fit(episodes.X[0], episodes.y[0])
    aligned = model.align(episodes.queries[0])
    assert_array_equal(aligned.prototypes_before, model.prototypes_)
    assert aligned.plan.shape == (5, 75)
    assert_allclose(aligned.plan.sum(), 1)
    assert_allclose(aligned.class_masses.sum(), 1)
    assert aligned.converged
    assert aligned.n_iter > 0
    counts = (episodes.y_queries[0] == model.classes_[:, None]).sum(axis=1)
    price = 3.25 * 2 * np.log(75)
    assert aligned.is_balanced == (aligned.evidence <= price)
    assert not aligned.is_balanced
    assert np.abs(75 * aligned.class_masses - counts).max() < 6
    never = model.set_params(marginal_penalty=np.inf).align(episodes.queries[0])
    assert never.is_balanced
    assert_allclose(never.evidence, aligned.evidence)


def test_given_shares_help():
    episodes = draw(1, 1, "dirichlet", seed=3)
    model = OTPrototypeClassifier(marginals="uniform").fit(episodes.X[0], episodes.y[0])
    counts = (episodes.y_queries[0] == model.classes_[:, None]).sum(axis=1)
    told = clone(model).set_params(marginals=counts / 75).fit(episodes.X[0], episodes.y[0])
    scores = [m.score(episodes.queries[0], episodes.y_queries[0]) for m in (model, told)]
    assert scores[1] > scores[0]
    assert_allclose(told.align(episodes.queries[0]).plan.sum(axis=1), counts / 75, atol=1e-3)


@pytest.mark.parametrize("normalize", ["standardize", "l2", None])
@pytest.mark.parametrize("marginals", ["adaptive", "uniform"])
def test_rows_without_direction_are_no_trouble(normalize, marginals):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 4)), np.repeat([0, 1, 2], 2)
    queries = np.r_[rng.normal(size=(8, 4)), np.zeros((2, 4)), np.full((2, 4), 0.1)]
    model = OTPrototypeClassifier(normalize=normalize, marginals=marginals)
    for support, batch in ((X, queries), (np.ones((6, 4)), np.ones((3, 4))), (0 * X, 0 * queries)):
        model.fit(support, y)
        assert np.isfinite(model.predict_proba(batch)).all()
        assert set(model.predict(batch)) <= {0, 1, 2}
    zeros = model.fit(X, y).align(np.full((2, 4), 0.1, dtype=np.float32)).queries
    assert (normalize == "standardize") == (not zeros.any())


@pytest.mark.parametrize("normalize", ["standardize", "l2"])
@pytest.mark.parametrize("factor", [2.0**-500, 2.0**500])
def test_lengths_of_rows_do_not_matter(normalize, factor):
    episodes = draw(1, 2)
    model = OTPrototypeClassifier(normalize=normalize, power=0.5)
    expected = model.fit(episodes.X[0], episodes.y[0]).predict(episodes.queries[0])
    found = model.fit(factor * episodes.X[0], episodes.y[0]).predict(factor * episodes.queries[0])
    assert_array_equal(found, expected)


def test_data_frames_and_strings():
    pandas = pytest.importorskip("pandas")
    episodes = draw(1, 2)
    columns = [f"feature {j}" for j in range(32)]
    frame = pandas.DataFrame(episodes.X[0], columns=columns)
    names = pandas.Series([f"digit {y}" for y in episodes.y[0]])
    model = OTPrototypeClassifier().fit(frame, names)
    labels = model.predict(pandas.DataFrame(episodes.queries[0], columns=columns))
    numbers = model.fit(episodes.X[0], episodes.y[0]).predict(episodes.queries[0])
    assert_array_equal(labels, [f"digit {number}" for number in numbers])


def test_unequal_shots_and_a_single_class():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 5)), [0, 0, 0, 0, 1, 2, 2]
    model = OTPrototypeClassifier(normalize=None, **PUBLISHED).fit(X, y)
    assert_array_equal(model.class_counts_, [4, 1, 2])
    assert_allclose(model.prototypes_[2], X[5:].mean(axis=0))
    aligned = model.align(X)
    means = aligned.plan @ X / aligned.plan.sum(axis=1, keepdims=True)
    assert_allclose(aligned.prototypes_after[1], means[1])
    assert_allclose(aligned.prototypes_after[0], 0.7 * means[0] + 0.3 * model.prototypes_[0])
    for classifier in ("nearest", "logistic"):
        model = OTPrototypeClassifier(classifier=classifier).fit(X, np.full(7, "only"))
        assert_array_equal(model.predict(X), np.full(7, "only"))
        assert_array_equal(model.predict_proba(X), np.ones((7, 1)))


@pytest.mark.filterwarnings("ignore:OTPrototypeClassifier. the transport")
@pytest.mark.parametrize("marginals", ["adaptive", "uniform"])
@pytest.mark.parametrize("cost_scale", ["max", 1.0])
@pytest.mark.parametrize("epsilon", [1e-2, 1e-7, 1e-8])
def test_narrow_rows_follow_wide_ones_where_costs_are_many_epsilon(epsilon, cost_scale, marginals):
    episodes = draw(1, 5)
    support, y, queries = episodes.X[0], episodes.y[0], episodes.queries[0]
    model = OTPrototypeClassifier(
        epsilon, cost_scale=cost_scale, marginals=marginals, normalize=None, max_sweeps=20
    )
    rows = support.astype(np.float32), queries.astype(np.float32)
    narrow = model.fit(rows[0], y).align(rows[1])
    wide = model.fit(rows[0].astype(float), y).align(rows[1].astype(float))
    assert narrow.prototypes_after.dtype == narrow.plan.dtype == np.float32
    assert_allclose(narrow.prototypes_after, wide.prototypes_after, rtol=0.01, atol=0.01)


def test_unfinished_transports_are_reported():
    episodes = draw(3, 1, "dirichlet")
    model = OTPrototypeClassifier(0.002, marginals="uniform", max_sweeps=2)
    with pytest.warns(ConvergenceWarning, match=r"3 of 3 batches did not converge in max_sweeps=2"):
        model.predict_episodes(episodes.X, episodes.y, episodes.queries)
    model.fit(episodes.X[0], episodes.y[0])
    for method in (model.predict, model.predict_proba, model.align):
        with pytest.warns(ConvergenceWarning) as record:
            method(episodes.queries[0])
        assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OTPrototypeClassifier().predict_episodes(episodes.X, episodes.y, episodes.queries)


GOOD = np.random.default_rng(0).normal(size=(6, 4))


@pytest.mark.parametrize(
    ("parameter", "value", "error", "message"),
    [
        ("epsilon", 0.0, ValueError, r"epsilon must be a float in \(0, inf\); got 0.0"),
        ("epsilon", "small", TypeError, "epsilon must be a float"),
        ("marginals", "even", ValueError, "'uniform' or an array of shares; got 'even'"),
        ("marginals", 0.5, TypeError, "marginals must be one of"),
        ("marginals", [0.5, 0.5], ValueError, r"shape \(n_classes,\)=\(3,\); got \(2,\)"),
        ("marginals", [0.5, 0.5, 0.5], ValueError, "must sum to 1; got .* with a sum of 1.5"),
        ("marginals", [1.5, -0.5, 0.0], ValueError, "finite and not negative"),
        ("marginals", ["a", "b", "c"], TypeError, "must hold real numbers"),
        ("n_passes", 0, ValueError, "n_passes must be an int"),
        ("n_passes", "many", ValueError, "n_passes must be 'auto' or an int"),
        ("mix", 1.5, ValueError, "mix must be a float"),
        ("mix", "half", ValueError, r"'mass' or a float in \[0, 1\]; got 'half'"),
        ("support_weight", 0, ValueError, "support_weight must be"),
        ("marginal_penalty", -1, ValueError, "marginal_penalty must be"),
        ("normalize", "max", ValueError, "normalize must be one of .* or None; got 'max'"),
        ("power", 0, ValueError, "power must be"),
        ("cost_scale", "min", ValueError, "cost_scale must be one of"),
        ("classifier", "svm", ValueError, "classifier must be one of 'nearest', 'logistic'"),
        ("max_sweeps", 0, ValueError, "max_sweeps must be"),
        ("tol", -1.0, ValueError, "tol must be"),
    ],
)
def test_bad_parameters(parameter, value, error, message):
    model = OTPrototypeClassifier(**{parameter: value})
    y = np.repeat([0, 1, 2], 2)
    with pytest.raises(error, match=message):
        model.fit(GOOD, y)
    with pytest.raises(error, match=message):
        model.predict_episodes(GOOD[None], y, GOOD[None])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": GOOD}, r"X must have shape \(n_episodes, n_rows, n_features\)"),
        ({"queries": np.zeros((2, 0, 4))}, "queries must have shape"),
        ({"queries": np.zeros((3, 5, 4))}, "as many episodes and features"),
        ({"queries": np.zeros((2, 5, 3))}, "as many episodes and features"),
        ({"queries": np.full((2, 5, 4), np.nan)}, "queries contains NaN"),
        ({"y": [0, 1, 2]}, r"y must have shape \(6,\) or \(2, 6\)"),
        ({"y": [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1]]}, "got 3 in episode 0 and 2 in episode 1"),
        ({"y": [0.5, 0.5, 1.5, 1.5, 2.5, 2.5]}, "[Cc]ontinuous"),
    ],
)
def test_bad_episodes(changes, message):
    episodes = {"X": np.stack([GOOD, -GOOD]), "y": np.repeat([0, 1, 2], 2)}
    episodes |= {"queries": np.stack([GOOD, GOOD])} | changes
    with pytest.raises(ValueError, match=message):
        OTPrototypeClassifier().predict_episodes(*episodes.values())


def test_bad_data():
    model = OTPrototypeClassifier(normalize=None)
    with pytest.raises(ValueError, match="magnitude 1e\\+200; squared distances of float64"):
        model.fit(1e200 + 0 * GOOD, np.repeat([0, 1], 3))
    with pytest.raises(ValueError, match="needs at least 2; got n_features=1"):
        OTPrototypeClassifier().fit(GOOD[:, :1], np.repeat([0, 1], 3))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(GOOD, [0.0, 0.0, 1.0, 1.0, np.nan, 1.0])
    model.fit(GOOD, np.repeat([0, 1], 3))
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((2, 4), np.nan))
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        model.predict(np.zeros((0, 4)))

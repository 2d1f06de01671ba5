"""LikelihoodAdjustedSDP: groups it finds, densities it gives, invariances."""

import logging
import pickle
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.cluster import KMeans, LikelihoodAdjustedSDP
from clusterlib.config import config_context
from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.metrics import clustering_accuracy
from tests.estimators.cases import blobs
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

TYPES = ["full", "tied", "diag", "spherical"]
RESULTS = ["labels_", "memberships_", "means_", "covariances_", "weights_", "objective_history_"]


def groups(**options):
    return LikelihoodAdjustedSDP(**({"n_clusters": 3, "n_init": 3, "random_state": 0} | options))


def assert_same_fit(one, other):
    for name in RESULTS:
        assert_array_equal(getattr(one, name), getattr(other, name))


def matrices(estimator):
    """Covariances of all groups in the space of all features, from the documented attributes."""
    q = estimator.means_.shape[1]
    axes = np.eye(q) if estimator.components_ is None else estimator.components_
    kind, given = estimator.covariance_type_, estimator.covariances_
    n_clusters = len(estimator.means_)
    if kind in ("diag", "spherical"):
        given = given.reshape(n_clusters, -1, 1) * np.eye(len(axes))
    given = np.broadcast_to(given, (n_clusters, len(axes), len(axes)))
    noise = estimator.noise_variance_ or 0.0
    return axes.T @ given @ axes + noise * (np.eye(q) - axes.T @ axes)


def joint(estimator, X):
    """``log w_k + log N(x | m_k, S_k)`` by SciPy."""
    normals = zip(estimator.means_, matrices(estimator), estimator.weights_, strict=True)
    return np.stack([np.log(w) + multivariate_normal(m, S).logpdf(X) for m, S, w in normals], 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", ["auto", *TYPES])
def test_finds_blobs(covariance_type, dtype):
    X, y = blobs(dtype=dtype)
    estimator = groups(covariance_type=covariance_type).fit(X)
    assert adjusted_rand_score(y, estimator.labels_) == 1
    assert estimator.labels_.dtype == np.int32
    assert estimator.converged_
    allowed = TYPES if covariance_type == "auto" else [covariance_type]
    assert estimator.covariance_type_ in allowed
    assert_array_equal(estimator.predict(X), estimator.labels_)
    assert_array_equal(clone(estimator).fit_predict(X), estimator.labels_)
    assert_array_equal(estimator.cluster_sizes_, np.bincount(estimator.labels_))
    assert_allclose(estimator.memberships_.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(estimator.memberships_.argmax(axis=1), estimator.labels_)
    for name in RESULTS[1:]:
        assert getattr(estimator, name).dtype == np.float64
    means = [X[estimator.labels_ == k].mean(axis=0, dtype=float) for k in range(3)]
    assert_allclose(estimator.means_, means, atol=1e-5)


@pytest.mark.parametrize("weights", ["equal", "estimated"])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_densities_are_those_of_the_attributes(covariance_type, weights):
    X = make_heterogeneous_mixture("crossed", 90, random_state=0).X
    estimator = groups(covariance_type=covariance_type, weights=weights, n_clusters=4).fit(X)
    shapes = {"full": (4, 4, 4), "tied": (4, 4), "diag": (4, 4), "spherical": (4,)}
    assert estimator.covariances_.shape == shapes[covariance_type]
    expected = joint(estimator, X)
    assert_array_equal(estimator.predict(X), expected.argmax(axis=1))
    densities = np.exp(expected).sum(axis=1)
    assert_allclose(estimator.score_samples(X), np.log(densities), rtol=1e-9)
    assert_allclose(estimator.predict_proba(X), np.exp(expected) / densities[:, None], atol=1e-9)
    assert_allclose(estimator.score(X), np.log(densities).mean(), rtol=1e-9)
    if weights == "equal":
        assert_allclose(estimator.weights_, 0.25)
    same = GaussianMixture(4, covariance_type=covariance_type, random_state=0).fit(X)
    n_parameters = same._n_parameters() - (3 if weights == "equal" else 0)
    assert estimator.n_parameters_ == n_parameters
    log_likelihood = np.log(densities).sum()
    assert_allclose(estimator.aic(X), 2 * n_parameters - 2 * log_likelihood, rtol=1e-9)
    bic = n_parameters * np.log(90) - 2 * log_likelihood
    assert_allclose(estimator.bic(X), bic, rtol=1e-9)


def test_likelihood_is_that_of_the_classification():
    X = make_heterogeneous_mixture("crossed", 90, random_state=0).X
    for weights in ("equal", "estimated"):
        estimator = groups(covariance_type="full", weights=weights).fit(X)
        value = joint(estimator, X)[np.arange(90), estimator.labels_].sum()
        assert_allclose(estimator.log_likelihood_, value, rtol=1e-9)
        assert estimator.map_objective_ != estimator.log_likelihood_


@pytest.mark.parametrize("n_components", [2, 4])
def test_reduced_densities_integrate_to_one_in_all_features(n_components):
    X = make_heterogeneous_mixture("long_axes", 120, n_features=12, random_state=0).X
    estimator = groups(n_components=n_components).fit(X)
    axes = estimator.components_
    assert axes.shape == (n_components, 12)
    assert_allclose(axes @ axes.T, np.eye(n_components), atol=1e-12)
    assert_allclose(estimator.mean_, X.mean(axis=0))
    rest = (X - estimator.mean_) @ (np.eye(12) - axes.T @ axes)
    assert_allclose(estimator.noise_variance_, np.square(rest).sum() / (120 * (12 - n_components)))
    densities = np.exp(joint(estimator, X)).sum(axis=1)
    assert_allclose(estimator.score_samples(X), np.log(densities), rtol=1e-9)
    assert_array_equal(estimator.predict(X), joint(estimator, X).argmax(axis=1))
    assert_array_equal(estimator.predict(X), estimator.labels_)


def test_features_that_say_nothing_are_taken_as_noise():
    X, y = blobs()
    noisy = np.c_[X, np.random.default_rng(0).normal(size=(150, 3))]
    reduced = groups(n_components=3, covariance_type="full").fit(noisy)
    whole = groups(n_components=None, covariance_type="full").fit(noisy)
    assert adjusted_rand_score(y, reduced.labels_) == 1
    assert reduced.bic(noisy) < whole.bic(noisy)


def test_criteria_find_the_number_of_groups():
    X, _ = blobs()
    fits = [groups(n_clusters=k, covariance_type="spherical").fit(X) for k in (1, 2, 3, 4, 5)]
    assert np.argmin([fit.bic(X) for fit in fits]) == 2
    assert np.argmax([fit.score(X) for fit in fits]) >= 2


def test_many_features_are_reduced_by_default():
    mixture = make_heterogeneous_mixture("long_axes", n_features=200, random_state=0)
    estimator = groups(n_init=10).fit(mixture.X)
    assert estimator.components_.shape[0] < 20
    assert clustering_accuracy(mixture.labels, estimator.labels_) > 0.95


@pytest.mark.parametrize("setting", ["elongated", "wide_and_tight", "concentric"])
def test_shapes_that_defeat_k_means(setting):
    mixture = make_heterogeneous_mixture(setting, random_state=0)
    n_clusters = len(mixture.means)
    estimator = groups(n_clusters=n_clusters, n_init=10).fit(mixture.X)
    kmeans = KMeans(n_clusters, n_init=10, random_state=0).fit(mixture.X)
    accuracy = clustering_accuracy(mixture.labels, estimator.labels_)
    assert accuracy > 0.9
    assert accuracy > clustering_accuracy(mixture.labels, kmeans.labels_) + 0.1


def test_known_covariances_are_kept():
    mixture = make_heterogeneous_mixture("crossed", random_state=0)
    estimator = groups(covariances=mixture.covariances, n_init=10).fit(mixture.X)
    assert_array_equal(estimator.covariances_, mixture.covariances)
    assert clustering_accuracy(mixture.labels, estimator.labels_) > 0.9
    # Which group has which covariance is known, too: labels need no matching.
    assert (mixture.labels == estimator.labels_).mean() > 0.9
    n_weights = 2 if estimator.weights_mode_ == "estimated" else 0
    assert estimator.n_parameters_ == 3 * 4 + n_weights


@pytest.mark.parametrize(
    ("covariance_type", "covariances"),
    [("tied", np.eye(3) / 4), ("diag", np.full((3, 3), 0.25)), ("spherical", np.full(3, 0.25))],
)
def test_known_covariances_of_every_type(covariance_type, covariances):
    X, y = blobs()
    estimator = groups(covariance_type=covariance_type, covariances=covariances).fit(X)
    full = groups(covariances=np.tile(np.eye(3) / 4, (3, 1, 1))).fit(X)
    assert_array_equal(estimator.covariances_, covariances)
    assert estimator.covariance_type_ == covariance_type
    assert adjusted_rand_score(y, estimator.labels_) == 1
    assert_allclose(estimator.score_samples(X), full.score_samples(X), rtol=1e-9)
    assert estimator.n_parameters_ == full.n_parameters_


@pytest.mark.parametrize("init", ["auto", "sdp", "ward", "k-means", "random"])
def test_starts(init):
    X, y = blobs()
    estimator = groups(init=init).fit(X)
    assert adjusted_rand_score(y, estimator.labels_) == 1


def test_given_labels_are_one_start():
    X, y = blobs()
    estimator = groups(init=y.tolist(), n_init=5).fit(X)
    assert_array_equal(estimator.labels_, y)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("update", ["lifted", "hard"])
@pytest.mark.parametrize("trace", ["group", "total"])
def test_forms_of_the_program(trace, update, rank):
    X, y = blobs(n=90)
    estimator = groups(trace=trace, update=update, rank=rank, n_init=2).fit(X)
    assert adjusted_rand_score(y, estimator.labels_) == 1
    history = estimator.objective_history_
    assert len(history) == estimator.n_iter_
    assert (np.diff(history) >= -1e-6 * np.abs(history[1:])).all()


@pytest.mark.parametrize("factor", [1e-6, 3e-3, 1e6])
def test_units_change_no_label(factor):
    mixture = make_heterogeneous_mixture("crossed", 90, random_state=1)
    estimator = groups().fit(mixture.X)
    scaled = groups().fit(mixture.X * factor)
    assert_array_equal(scaled.labels_, estimator.labels_)
    assert_allclose(scaled.means_, factor * estimator.means_, rtol=1e-6, atol=1e-6 * factor)
    shift = np.log(factor) * mixture.X.shape[1]
    assert_allclose(
        scaled.score_samples(mixture.X * factor) + shift, estimator.score_samples(mixture.X)
    )
    known = [groups(covariances=mixture.covariances * f**2).fit(mixture.X * f) for f in (1, factor)]
    assert_array_equal(known[0].labels_, known[1].labels_)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_units_of_single_features_change_no_label(covariance_type):
    mixture = make_heterogeneous_mixture("wide_and_tight", 90, random_state=1)
    units = np.array([1e4, 1.0, 1e-4, 7.0, 0.3])
    estimator = groups(covariance_type=covariance_type, init=mixture.labels)
    one, other = (clone(estimator).fit(mixture.X * factors) for factors in (1.0, units))
    assert_array_equal(one.labels_, other.labels_)
    assert_allclose(other.means_, one.means_ * units, rtol=1e-7, atol=1e-9 * units.max())
    shift = 90 * np.log(units).sum()
    assert_allclose(other.log_likelihood_ + shift, one.log_likelihood_, rtol=1e-8)
    assert_allclose(other.bic(mixture.X * units) - 2 * shift, one.bic(mixture.X), rtol=1e-8)


def test_an_offset_changes_no_label():
    X = make_heterogeneous_mixture("crossed", 90, random_state=1).X
    estimator, far = groups().fit(X), groups().fit(X + 1e6)
    assert_array_equal(far.labels_, estimator.labels_)
    assert_array_equal(far.predict(X + 1e6), far.labels_)
    assert_allclose(far.means_, estimator.means_ + 1e6, rtol=1e-9)
    assert_allclose(far.score_samples(X + 1e6), estimator.score_samples(X), atol=1e-5)


@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
def test_layouts_change_no_label(layout, tmp_path):
    X, _ = blobs(n=60)
    other = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    expected, estimator = groups().fit(X), groups().fit(other)
    assert_array_equal(estimator.labels_, expected.labels_)
    assert_allclose(estimator.means_, expected.means_, rtol=1e-9)
    assert_array_equal(estimator.predict(other), estimator.labels_)


@pytest.mark.parametrize("kind", [np.int64, np.float16, object])
def test_other_numbers_are_taken_as_double(kind):
    X = blobs(n=60)[0].round().astype(kind)
    assert_same_fit(groups().fit(X), groups().fit(X.astype(np.float64)))


def test_single_precision_is_near_double():
    X, _ = blobs(dtype=np.float32)
    narrow, wide = groups().fit(X), groups().fit(X.astype(np.float64))
    assert_array_equal(narrow.labels_, wide.labels_)
    assert_allclose(narrow.covariances_, wide.covariances_, rtol=1e-5)


def test_a_seed_is_an_answer_for_any_number_of_threads():
    X = make_heterogeneous_mixture("crossed", 300, random_state=0).X
    fits = []
    for n_threads in (1, 3):
        with config_context(n_threads=n_threads):
            fits.append(groups().fit(X))
    assert_same_fit(*fits)
    assert_same_fit(fits[0], clone(fits[0]).fit(X))
    assert_same_fit(fits[0], fits[1].fit(X))  # a second fit starts afresh


def test_relabelled_and_reordered_rows():
    mixture = make_heterogeneous_mixture("wide_and_tight", random_state=3)
    order = np.random.default_rng(0).permutation(150)
    estimator, other = groups(n_init=10).fit(mixture.X), groups(n_init=10).fit(mixture.X[order])
    assert adjusted_rand_score(estimator.labels_[order], other.labels_) > 0.95


def test_memory_grows_with_the_rows_and_not_with_their_pairs():
    X = make_heterogeneous_mixture("crossed", 20_000, random_state=0).X
    estimator = groups(n_init=1, init="k-means", covariance_type="full")
    tracemalloc.start()
    estimator.fit(X).predict_proba(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Rows, three layouts of them, products of their features, factors: far from 20 000 for each.
    assert peak < 8 * len(X) * 200


def test_pipeline_and_storage():
    X, y = blobs()
    pipeline = make_pipeline(StandardScaler(), groups()).fit(X)
    assert adjusted_rand_score(y, pipeline.predict(X)) == 1
    again = pickle.loads(pickle.dumps(pipeline))
    assert_array_equal(again.score_samples(X), pipeline.score_samples(X))
    allowed = (np.ndarray, np.generic, int, float, bool, str, type(None))
    state = vars(pipeline[-1])
    assert {name for name, value in state.items() if not isinstance(value, allowed)} == set()


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames(frames):
    library = pytest.importorskip(frames)
    X, _ = blobs()
    frame = library.DataFrame({name: X[:, j] for j, name in enumerate("abc")})
    estimator = groups().fit(frame)
    assert_same_fit(estimator, groups().fit(X))
    assert_array_equal(estimator.predict(frame), estimator.labels_)
    if hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        assert list(estimator.feature_names_in_) == ["a", "b", "c"]


def test_verbose_logs_every_round(caplog):
    estimator = groups(verbose=1, n_init=2).fit(blobs()[0])
    assert len(caplog.records) >= estimator.n_iter_
    assert all(record.levelno == logging.INFO for record in caplog.records)
    assert (
        "LikelihoodAdjustedSDP: 3 dimensions, start 1, round 1: objective"
        in caplog.records[0].getMessage()
    )
    caplog.clear()
    estimator.set_params(verbose=0).fit(blobs()[0])
    assert caplog.records == []

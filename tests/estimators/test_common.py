"""What every estimator has to do, scikit-learn's own checks first."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from clusterlib.cluster import KMeans, SphericalKMeans
from clusterlib.config import config_context
from tests.estimators.cases import CLASSES, ESTIMATORS, blobs, expected_failures
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

RESULTS = ["cluster_centers_", "labels_", "inertia_", "history_", "cluster_sizes_"]


def assert_same_fit(one, other):
    for name in RESULTS:
        assert_array_equal(getattr(one, name), getattr(other, name))


# As a list: scikit-learn 1.6 hands over a generator, which pytest takes with a warning.
CHECKS = parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)


# The checks fit unstructured data with too few iterations, on purpose.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:.*was given no target:UserWarning")
@pytest.mark.filterwarnings("ignore::clusterlib.label_shift.IdentifiabilityWarning")
@pytest.mark.filterwarnings("ignore:By the noise model fewer than 4 labels are right:UserWarning")
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater:UserWarning")
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), ids=CHECKS.kwargs["ids"])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def estimator(request):
    return request.param(n_clusters=3, random_state=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finds_blobs(estimator, dtype):
    X, y = blobs(dtype=dtype)
    estimator.fit(X)
    assert adjusted_rand_score(y, estimator.labels_) == 1
    assert estimator.cluster_centers_.dtype == dtype
    assert estimator.labels_.dtype == np.int32
    assert isinstance(estimator.inertia_, float)
    assert estimator.converged_
    assert_array_equal(estimator.cluster_sizes_, np.bincount(estimator.labels_))
    assert_array_equal(estimator.predict(X), estimator.labels_)
    assert_array_equal(np.argmin(estimator.transform(X), axis=1), estimator.labels_)
    assert_allclose(estimator.score(X), -estimator.inertia_, rtol=1e-12)
    assert estimator.transform(X).dtype == dtype


@pytest.mark.parametrize("max_iter", [1, 2])
@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_labels_are_those_of_predict_before_convergence_too(estimator, max_iter):
    X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    estimator.set_params(n_clusters=9, max_iter=max_iter, init="random", n_init=1)
    estimator.fit(X)
    assert_array_equal(estimator.predict(X), estimator.labels_)
    assert_allclose(estimator.score(X), -estimator.inertia_, rtol=1e-12)


def test_single_precision_is_near_double(estimator):
    X, _ = blobs(dtype=np.float32)
    narrow, wide = (clone(estimator).fit(X.astype(dtype)) for dtype in (np.float32, np.float64))
    assert_array_equal(narrow.labels_, wide.labels_)
    assert_allclose(narrow.cluster_centers_, wide.cluster_centers_, atol=2e-5)
    assert_allclose(narrow.inertia_, wide.inertia_, rtol=1e-5)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, bool, object])
def test_other_numbers_are_taken_as_double(estimator, kind):
    X = (np.abs(blobs()[0]) > 4).astype(kind) if kind is bool else blobs()[0].round().astype(kind)
    if kind is np.uint16:
        X = np.abs(blobs()[0].round()).astype(kind)
    assert_same_fit(clone(estimator).fit(X), clone(estimator).fit(X.astype(np.float64)))


def test_half_precision_is_taken_as_single(estimator):
    X = blobs()[0].astype(np.float16)
    assert_same_fit(clone(estimator).fit(X), clone(estimator).fit(X.astype(np.float32)))


@pytest.mark.parametrize("init", ["k-means++", "random", "k-means||"])
@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
def test_layouts_change_no_bit(estimator, init, layout, tmp_path):
    X, _ = blobs()
    estimator.set_params(init=init, n_init=2)
    other = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    assert_same_fit(clone(estimator).fit(other), clone(estimator).fit(X))


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_threads_and_blocks_change_no_bit(estimator, tmp_path):
    X = np.random.default_rng(0).normal(size=(10_000, 4)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    estimator.set_params(n_clusters=6, max_iter=5, tol=1e-4)
    expected = clone(estimator).fit(X)
    for n_threads in (1, 3):
        with config_context(n_threads=n_threads, block_bytes=4096 * 16):
            assert_same_fit(clone(estimator).fit(mapped), expected)
            assert_array_equal(expected.predict(mapped), expected.labels_)


def test_a_seed_is_an_answer(estimator):
    X = np.random.default_rng(0).normal(size=(200, 3))
    estimator.set_params(n_clusters=8, n_init=2, init="random")
    fits = [clone(estimator).set_params(random_state=seed).fit(X) for seed in (0, 0, 1)]
    assert_same_fit(fits[0], fits[1])
    assert (fits[0].cluster_centers_ != fits[2].cluster_centers_).any()
    assert_same_fit(fits[0], fits[0].fit(X))  # a second fit starts afresh


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_weights_are_repetitions_in_any_order(estimator, init):
    X = np.random.default_rng(0).normal(size=(80, 3))
    weight = np.random.default_rng(1).integers(0, 4, size=80)
    order = np.random.default_rng(2).permutation(80)
    estimator.set_params(n_clusters=5, init=init, n_init=4, tol=1e-3)
    weighted = clone(estimator).fit(X[order], sample_weight=weight[order])
    repeated = clone(estimator).fit(np.repeat(X, weight, axis=0))
    assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-10)
    assert_allclose(weighted.inertia_, repeated.inertia_, rtol=1e-10)
    assert_array_equal(weighted.cluster_sizes_, repeated.cluster_sizes_)
    assert weighted.n_iter_ == repeated.n_iter_
    assert_array_equal(weighted.predict(X), repeated.predict(X))
    score = weighted.score(X, sample_weight=weight)
    assert_allclose(score, weighted.score(np.repeat(X, weight, axis=0)), rtol=1e-12)


def test_weights_of_one_are_none(estimator):
    X, _ = blobs()
    plain = clone(estimator).fit(X)
    for ones in (1, 1.0, np.ones(len(X)), [1] * len(X)):
        assert_same_fit(clone(estimator).fit(X, sample_weight=ones), plain)


def test_weightless_rows_are_absent(estimator):
    X, _ = blobs()
    far = np.r_[X, np.full((5, 3), 1e9)]
    weight = np.r_[np.ones(len(X)), np.zeros(5)]
    with_far = clone(estimator).fit(far, sample_weight=weight)
    without = clone(estimator).fit(X)
    assert_allclose(with_far.cluster_centers_, without.cluster_centers_, rtol=1e-12)
    assert_array_equal(with_far.labels_[:-5], without.labels_)
    assert_allclose(with_far.inertia_, without.inertia_, rtol=1e-12)


def test_given_and_called_starts(estimator):
    X, _ = blobs()
    calls = []

    def init(rows, n_clusters, random_state):
        calls.append(random_state.randint(100))
        return rows[:n_clusters]

    estimator.set_params(tol=0.0)
    given = clone(estimator).set_params(init=X[:3].tolist()).fit(X)
    called = clone(estimator).set_params(init=init, n_init=3).fit(X)
    assert_array_equal(given.cluster_centers_, called.cluster_centers_)
    assert len(set(calls)) == 3


def test_more_starts_are_better():
    X = np.random.default_rng(0).normal(size=(300, 4))
    for cls in (KMeans, SphericalKMeans):
        estimator = cls(12, init="random", random_state=0)
        inertia = [estimator.set_params(n_init=n).fit(X).inertia_ for n in (1, 4, 16)]
        assert inertia == sorted(inertia, reverse=True)
        assert inertia[-1] < inertia[0]


def test_pipeline_and_grid_search(estimator):
    X, y = blobs()
    pipeline = make_pipeline(StandardScaler(with_mean=False), estimator).fit(X)
    assert adjusted_rand_score(y, pipeline.predict(X)) == 1
    search = GridSearchCV(estimator, {"n_clusters": [2, 3]}, cv=2).fit(X)
    assert search.best_params_ == {"n_clusters": 3}


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames_in_and_out(estimator, frames):
    library = pytest.importorskip(frames)
    X, _ = blobs()
    frame = library.DataFrame({name: X[:, j] for j, name in enumerate("abc")})
    estimator.set_output(transform=frames)
    out = estimator.fit_transform(frame)
    prefix = type(estimator).__name__.lower()
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == [f"{prefix}{j}" for j in range(3)]
    assert_array_equal(estimator.predict(frame), estimator.labels_)
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        return  # scikit-learn 1.6 does not see the names of a recent polars
    assert list(estimator.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(frame[["b", "a", "c"]])


def test_fit_predict_and_fit_transform_take_weights(estimator):
    X, _ = blobs()
    weight = np.random.default_rng(0).integers(0, 3, size=len(X))
    expected = clone(estimator).fit(X, sample_weight=weight)
    labels = clone(estimator).fit_predict(X, sample_weight=weight)
    assert_array_equal(labels, expected.labels_)
    distances = clone(estimator).fit_transform(X, sample_weight=weight)
    assert_array_equal(distances, expected.transform(X))

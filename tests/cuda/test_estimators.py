"""Estimators on a CUDA device: what the host finds, found where the rows live."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import get_tags

from clusterlib.blocks import as_blocks
from clusterlib.cluster import KMeans, MiniBatchKMeans, SphericalKMeans
from clusterlib.kernels.dispatch import is_device_array
from clusterlib.solvers import RowDraws, draws, scatter
from tests.estimators.cases import CLASSES, ESTIMATORS, blobs

OTHERS = list(
    {
        type(model): model
        for model in ESTIMATORS
        if not getattr(type(model), "_takes_device_arrays", False)
    }.values()
)


@pytest.fixture
def moved(emulated):
    """What brings arrays to the device: ``moved(X)``."""
    return emulated.to_device


def on_host(emulated, *arrays):
    assert all(is_device_array(array) for array in arrays)
    return [emulated.to_host(array) for array in arrays]


def assert_same_fit(emulated, found, expected, dtype):
    """Labels exactly, centres and sums of costs within rounding; scalars are plain numbers."""
    labels, centers, sizes = on_host(
        emulated, found.labels_, found.cluster_centers_, found.cluster_sizes_
    )
    assert labels.dtype == np.int32
    assert labels.tolist() == expected.labels_.tolist()
    assert centers.dtype == dtype
    np.testing.assert_allclose(centers, expected.cluster_centers_, rtol=1e-6, atol=1e-9)
    assert sizes.tolist() == expected.cluster_sizes_.tolist()
    assert type(found.inertia_) is float
    assert found.inertia_ == pytest.approx(expected.inertia_, rel=1e-6)
    assert type(found.history_) is np.ndarray
    for name in ("n_iter_", "converged_", "n_relocated_", "n_features_in_"):
        assert getattr(found, name) == getattr(expected, name), name
        assert not isinstance(getattr(found, name), np.ndarray)


WEIGHTS = np.random.default_rng(1).integers(0, 4, size=140).astype(np.float64)


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", [KMeans, SphericalKMeans])
def test_a_fit_from_given_centres(emulated, moved, cls, dtype, weight):
    X, _ = blobs(140, 5, 3, dtype=dtype)
    model = cls(3, init=X[:3])
    expected = model.fit(X, sample_weight=weight)
    found = cls(3, init=X[:3]).fit(moved(X), sample_weight=weight)
    assert found.n_iter_ > 1
    assert_same_fit(emulated, found, expected, dtype)

    new, _ = blobs(20, 5, 3, dtype=dtype, seed=1)
    answers = on_host(emulated, found.predict(moved(new)), found.transform(moved(new)))
    assert answers[0].tolist() == expected.predict(new).tolist()
    assert answers[1].dtype == dtype
    np.testing.assert_allclose(answers[1], expected.transform(new), rtol=1e-5, atol=1e-6)
    score = found.score(moved(new), sample_weight=None if weight is None else WEIGHTS[:20])
    expected = expected.score(new, sample_weight=None if weight is None else WEIGHTS[:20])
    assert score == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        KMeans(3, random_state=5),
        KMeans(3, init="random", n_init=2, random_state=5, tol=0),
        SphericalKMeans(3, random_state=5),
    ],
    ids=["k-means++", "random", "spherical"],
)
def test_the_same_seed_draws_the_same_rows(emulated, moved, model):
    X, _ = blobs(120, 4, 3, dtype=np.float32)
    found = model.__class__(**model.get_params()).fit(moved(X), sample_weight=moved(WEIGHTS[:120]))
    assert_same_fit(emulated, found, model.fit(X, sample_weight=WEIGHTS[:120]), np.float32)


def test_small_batches(emulated, moved):
    X, _ = blobs(60, 3, 2, dtype=np.float32)
    parameters = {"batch_size": 30, "max_iter": 2, "max_no_improvement": None, "random_state": 0}
    expected = MiniBatchKMeans(2, **parameters).fit(X)
    found = MiniBatchKMeans(2, **parameters).fit(moved(X))
    assert_same_fit(emulated, found, expected, np.float32)
    new, _ = blobs(10, 3, 2, dtype=np.float32, seed=1)
    expected.partial_fit(new)
    found.partial_fit(moved(new))
    centers, labels = on_host(emulated, found.cluster_centers_, found.labels_)
    np.testing.assert_allclose(centers, expected.cluster_centers_, rtol=1e-6)
    assert labels.tolist() == expected.labels_.tolist()
    assert found.counts_.tolist() == expected.counts_.tolist()


def test_several_centres_for_a_row(emulated, moved):
    X, _ = blobs(30, 4, 3, dtype=np.float32)
    expected = SphericalKMeans(3, init=X[:3]).fit(X).assign(X, 2)
    distances, labels = SphericalKMeans(3, init=X[:3]).fit(moved(X)).assign(moved(X), 2)
    assert emulated.to_host(labels).tolist() == expected[1].tolist()
    np.testing.assert_allclose(emulated.to_host(distances), expected[0], rtol=1e-5, atol=1e-6)


def test_rows_never_come_to_the_host(emulated, moved, monkeypatch):
    monkeypatch.setattr(draws, "_LEAF_ROWS", 16)
    X, _ = blobs(100, 7, 3, dtype=np.float32)
    device = moved(X)
    brought, to_host = [], emulated.to_host
    monkeypatch.setattr(
        emulated, "to_host", lambda array: brought.append(array.size) or to_host(array)
    )
    model = KMeans(3, random_state=0).fit(device)
    for ask in (model.predict, model.transform, model.score):
        ask(device)
    assert max(brought) <= len(X)
    # The order of the rows, costs and labels of the fit and of the score: none of an iteration.
    assert brought.count(len(X)) == 5


def test_an_empty_cluster_moves_to_the_farthest_row(emulated, moved):
    X, _ = blobs(80, 2, 2, dtype=np.float64)
    start = np.vstack([X[:2], np.full((2, 2), 500.0)])
    expected = KMeans(4, init=start).fit(X)
    assert expected.n_relocated_ > 0
    found = KMeans(4, init=moved(start)).fit(moved(X))
    assert_same_fit(emulated, found, expected, np.float64)


def test_as_many_clusters_as_rows(emulated, moved):
    X, _ = blobs(6, 3, 3, dtype=np.float32)
    found = KMeans(6, random_state=0).fit(moved(X))
    assert_same_fit(emulated, found, KMeans(6, random_state=0).fit(X), np.float32)
    assert found.inertia_ == 0


def test_equal_rows_are_drawn_once_and_fill_too_few_clusters(emulated, moved):
    X = np.repeat(np.array([[0.3, 0.1, 0.7], [5.0, 1.1, 2.3]]), 20, axis=0)[::-1]
    with pytest.warns(ConvergenceWarning, match="found 2 different clusters"):
        expected = KMeans(3, random_state=0).fit(X)
    with pytest.warns(ConvergenceWarning, match="found 2 different clusters"):
        found = KMeans(3, random_state=0).fit(moved(X))
    assert_same_fit(emulated, found, expected, np.float64)


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["equal", "weighted"])
def test_draws_from_leaves_are_those_from_all_rows(emulated, moved, monkeypatch, weight):
    monkeypatch.setattr(draws, "_LEAF_ROWS", 8)
    monkeypatch.setattr(draws, "_DEVICE_CHUNK_VALUES", 100)
    X, _ = blobs(140, 3, 3)
    X[::5] = X[0]
    mass = np.random.default_rng(2).exponential(size=140)
    mass[40:90] = 0.0
    host, device = RowDraws(as_blocks(X), weight), RowDraws(as_blocks(moved(X)), weight)
    assert device.n_groups == host.n_groups < 140
    repeated = next(row for row in range(0, 140, 5) if weight is None or weight[row] > 0)
    assert len(host.group_of(repeated)) > 1
    assert device.group_of(repeated).tolist() == host.group_of(repeated).tolist()
    for seed in range(5):
        rngs = np.random.default_rng(seed), np.random.default_rng(seed)
        expected = host.draw(rngs[0], 20, mass)
        assert device.draw(rngs[1], 20, moved(mass)).tolist() == expected.tolist()
        assert mass[expected].all()


def test_the_last_row_with_mass_is_within_reach(emulated, moved):
    class Ones:
        def random(self, size):
            return np.full(size, np.nextafter(1.0, 0.0))

    X = np.arange(10.0)[:, None]
    mass = np.array([0.1] * 7 + [0.0] * 3)
    device = RowDraws(as_blocks(moved(X)))
    assert device.draw(Ones(), 2, moved(mass)).tolist() == [6, 6]


def test_the_scale_of_tol(emulated, moved):
    X, _ = blobs(60, 4, 3, dtype=np.float32)
    for spherical in (False, True):
        expected = scatter(X, sample_weight=WEIGHTS[:60], spherical=spherical)
        found = scatter(moved(X), sample_weight=WEIGHTS[:60], spherical=spherical)
        assert found == pytest.approx(expected, rel=1e-6)


def test_a_callable_start_gets_what_the_user_gave(emulated, moved):
    X, _ = blobs(30, 2, 2, dtype=np.float32)
    device = moved(X)
    given = []

    def first_rows(rows, n_clusters, random_state):
        given.append(rows)
        return rows[:n_clusters]

    found = KMeans(2, init=first_rows, n_init=1).fit(device)
    assert given[0] is device
    assert_same_fit(emulated, found, KMeans(2, init=X[:2]).fit(X), np.float32)


class Tensor:
    """Another library's array on the device: nothing but what DLPack and arithmetic need."""

    def __init__(self, array):
        self.array = array
        self.shape, self.ndim = array.shape, array.ndim
        self.dtype = f"torch.{array.dtype}"

    def __dlpack_device__(self):
        return (2, 0)

    def __len__(self):
        return len(self.array)

    def __ne__(self, other):
        return self.array != other

    __hash__ = None

    def cpu(self):
        return self.array


def test_tensors_get_tensors_back(emulated, moved, monkeypatch):
    owns, asarray = emulated.owns, emulated.asarray
    monkeypatch.setattr(emulated, "owns", lambda value: isinstance(value, Tensor) or owns(value))
    monkeypatch.setattr(emulated, "asarray", lambda value: asarray(getattr(value, "array", value)))
    monkeypatch.setattr(
        emulated,
        "like",
        lambda result, original: Tensor(result) if isinstance(original, Tensor) else result,
    )
    X, _ = blobs(40, 3, 2, dtype=np.float32)
    tensor = Tensor(moved(X))
    model = KMeans(2, init=X[:2]).fit(tensor)
    answers = model.predict(tensor), model.transform(tensor)
    fitted = model.labels_, model.cluster_centers_, model.cluster_sizes_
    assert {type(array) for array in (*answers, *fitted)} == {Tensor}
    assert type(model.score(tensor)) is float
    with pytest.raises(TypeError, match=r"pass X\.cpu\(\), or fit it"):
        KMeans(2, random_state=0).fit(X).predict(tensor)


@pytest.mark.parametrize("name", ["predict", "transform", "score"])
def test_both_sides_at_once_are_refused(emulated, moved, name):
    X, _ = blobs(20, 2, 2)
    device = KMeans(2, init=X[:2]).fit(moved(X))
    with pytest.raises(TypeError, match="X is on the host and KMeans was fitted on a CUDA device"):
        getattr(device, name)(X)
    host = KMeans(2, init=X[:2]).fit(X)
    with pytest.raises(TypeError, match="X is on a CUDA device and KMeans was fitted on the host"):
        getattr(host, name)(moved(X))


def test_weights_and_batches_of_the_other_side_are_refused(emulated, moved):
    X, _ = blobs(20, 2, 2)
    with pytest.raises(TypeError, match="sample_weight is on a CUDA device and X is on the host"):
        KMeans(2).fit(X, sample_weight=moved(np.ones(20)))
    model = MiniBatchKMeans(2, random_state=0).partial_fit(X)
    with pytest.raises(TypeError, match="MiniBatchKMeans was fitted on the host"):
        model.partial_fit(moved(X))


BAD = [
    (np.ones((5, 2), dtype=np.int64), TypeError, "float32 or float64 on a CUDA device"),
    (np.ones(5), ValueError, "Expected 2D array, got 1D array"),
    (np.ones((0, 2)), ValueError, r"0 sample\(s\)"),
    (np.ones((5, 0)), ValueError, r"0 feature\(s\)"),
    (np.array([[1.0, np.nan], [0.0, 0.0]]), ValueError, "Input X contains NaN"),
    (np.array([[1.0, np.inf], [0.0, 0.0]]), ValueError, "Input X contains infinity"),
    (np.ones((1, 2)), ValueError, "n_clusters=2 must not be above n_samples=1"),
]


@pytest.mark.parametrize(("X", "error", "message"), BAD)
@pytest.mark.parametrize("cls", CLASSES)
def test_bad_data_are_refused(emulated, moved, cls, X, error, message):
    with pytest.raises(error, match=message):
        cls(2).fit(moved(X))


def test_other_features_are_refused(emulated, moved):
    X, _ = blobs(20, 3, 2)
    model = KMeans(2, init=X[:2]).fit(moved(X))
    with pytest.raises(ValueError, match="X has 2 features, but KMeans is expecting 3 features"):
        model.predict(moved(X[:, :2]))


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
def test_other_estimators_name_themselves(emulated, moved, model):
    X, y = blobs(60, 3, 3)
    X = np.abs(X)
    message = f"X is on a CUDA device and {type(model).__name__} works on host arrays: pass cupy"
    with pytest.raises(TypeError, match=message):
        model.fit(moved(X), y)


@pytest.mark.parametrize(
    "model",
    [model for model in OTHERS if get_tags(model).target_tags.required],
    ids=lambda model: type(model).__name__,
)
def test_other_estimators_refuse_labels_as_well(emulated, moved, model):
    X, y = blobs(60, 3, 3)
    with pytest.raises(TypeError, match=r"y is on a CUDA device .* pass cupy\.asnumpy\(y\)"):
        model.fit(np.abs(X), moved(y))


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
def test_other_estimators_refuse_new_rows_as_well(emulated, moved, model):
    X, y = blobs(60, 3, 3)
    X = np.abs(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model.__class__(**model.get_params(deep=False)).fit(X, y)
    names = [name for name in ("predict", "transform", "fit_resample") if hasattr(model, name)]
    assert names
    for name in names:
        method = getattr(model, name)
        rest = [y] if "y" in inspect.signature(method).parameters else []
        with pytest.raises(TypeError, match="CUDA device"):
            method(moved(X), *rest)

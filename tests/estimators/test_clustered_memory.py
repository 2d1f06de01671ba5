"""ClusteredMemory: what is kept, how partitions follow the stream, and what is found."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from clusterlib.cluster import ClusteredMemory, SphericalKMeans, _clustered_memory
from clusterlib.solvers import unit_rows
from tests.estimators.cases import blobs

X, y = blobs(n=300, d=5, k=4)


def fed(memory, batches):
    for batch in batches:
        memory.partial_fit(batch)
    return memory


def test_the_bank_keeps_the_last_rows():
    memory = ClusteredMemory(4, 100, random_state=0)
    assert fed(memory, np.split(X[:60], 3)).bank_.shape == (60, 5)
    assert (memory.labels_ == -1).all()
    fed(memory, np.split(X[60:], 8))
    assert_allclose(memory.bank_[np.arange(200, 300) % 100], unit_rows(X[200:]))
    assert memory.n_steps_ == 11
    memory.partial_fit(X)  # more than it can hold
    assert_array_equal(np.sort(memory.bank_, axis=0), np.sort(unit_rows(X[200:]), axis=0))


def test_partitions_describe_the_bank():
    memory = ClusteredMemory(4, 100, random_state=0)
    for batch in np.array_split(X, 17):
        memory.partial_fit(batch)
        if not hasattr(memory, "prototypes_"):
            continue
        assert_array_equal(memory.sizes_, np.bincount(memory.labels_, minlength=4))
        means = [memory.bank_[memory.labels_ == c].mean(axis=0) for c in range(4)]
        assert_allclose(unit_rows(memory.prototypes_), unit_rows(np.array(means)), atol=0.02)
    assert_allclose(memory.prototypes_, means, rtol=1e-10)


def test_fit_is_spherical_k_means_at_first():
    memory = ClusteredMemory(4, random_state=0).fit(X)
    assert_array_equal(memory.predict(X), memory.labels_)
    best = SphericalKMeans(4, n_init=10, random_state=0).fit(X)
    cosines = (memory.bank_ * memory.prototypes_[memory.labels_]).sum(axis=1)
    assert (1 - cosines).sum() == pytest.approx(best.inertia_, rel=1e-6)
    assert_array_equal(ClusteredMemory(4, random_state=0).fit_predict(X), memory.labels_)


def test_of_many_rows_fit_keeps_the_last():
    memory = ClusteredMemory(4, 50, random_state=0)
    labels = memory.fit_predict(X)
    assert_allclose(memory.bank_, unit_rows(X[-50:]))
    assert_array_equal(labels[-50:], memory.labels_)
    assert labels.shape == (300,)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_partitions_of_digits_are_pure_and_balanced(metric):
    data, digits = load_digits(return_X_y=True)
    data = PCA(32, random_state=0).fit_transform(data)
    memory = ClusteredMemory(40, 1024, metric=metric, random_state=0)
    rng = np.random.default_rng(0)
    kept = np.empty(0, dtype=int)
    for _ in range(24):
        chosen = rng.choice(len(data), 128, replace=False)
        memory.partial_fit(data[chosen])
        kept = np.r_[kept, digits[chosen]]
    slots = np.arange(len(kept)) % 1024
    classes = np.empty(1024, dtype=int)
    classes[slots[-1024:]] = kept[-1024:]
    majority = [np.bincount(classes[memory.labels_ == c]).max() for c in range(40)]
    assert sum(majority) / 1024 > 0.8
    assert memory.sizes_.min() > 0.3 * 1024 / 40
    assert (memory.predict(memory.bank_) == memory.labels_).mean() > 0.7
    _, neighbours = memory.kneighbors(data[chosen])
    assert (classes[neighbours] == digits[chosen][:, None]).mean() > 0.9


def test_neighbours_in_the_partition_and_everywhere():
    memory = ClusteredMemory(4, 150, random_state=0).fit(X)
    queries = X[-20:] + 0.01
    distances, slots = memory.kneighbors(queries, 3)
    assert (memory.labels_[slots] == memory.predict(queries)[:, None]).all()
    everywhere, all_slots = memory.kneighbors(queries, 3, within_partition=False)
    cosines = unit_rows(queries) @ memory.bank_.T
    assert_array_equal(all_slots, np.argsort(-cosines, axis=1)[:, :3])
    assert (everywhere <= distances + 1e-12).all()
    assert memory.kneighbors(queries)[0].shape == (20, 5)
    assert memory.kneighbors(queries, 150)[1].shape == (20, 150)  # no partition is that large


def test_reclustering_forgets_the_partitions():
    memory = ClusteredMemory(4, 100, random_state=0).fit(X[:100])
    memory.slot_labels_[:] = np.arange(100) % 4
    memory.prototypes_ = unit_rows(np.random.default_rng(0).normal(size=(4, 5)))
    memory.recluster()
    assert_array_equal(memory.predict(memory.bank_), memory.labels_)
    assert_array_equal(memory.sizes_, np.bincount(memory.labels_))


def test_reclustering_that_would_lose_a_partition_is_left_out():
    few = np.repeat(np.eye(5), 20, axis=0)
    memory = ClusteredMemory(5, 100, random_state=0).fit(few)
    prototypes = memory.prototypes_.copy()
    memory.slots_[few[:, 4] == 1] = few[0]
    memory.recluster()
    assert_array_equal(memory.prototypes_, prototypes)


def test_a_collapsed_memory_is_clustered_again():
    memory = ClusteredMemory(2, 10, random_state=0).fit(np.repeat(np.eye(2), 5, axis=0))
    # One row at a time gets the nearest prototype, so all rows may end in one partition.
    fed(memory, [[[1.0, 0.1 * i]] for i in range(10)])
    assert memory.sizes_.min() > 0


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("method", "n_stored", "place"),
    [
        ("fit", 100, "moved_prototypes"),
        ("fit", 80, "moved_prototypes"),
        ("fit", 80, "partition_sums"),
        ("partial_fit", 95, "partition_sums"),  # the batch that fills it
    ],
)
def test_a_batch_that_is_broken_off_changes_nothing(method, n_stored, place, monkeypatch):
    memory = getattr(ClusteredMemory(4, 100, random_state=0), method)(X[:n_stored])
    before = pickle.dumps(memory)
    memory = pickle.loads(before)
    monkeypatch.setattr(_clustered_memory, "_STEPS_BETWEEN_SUMS", 1)
    monkeypatch.setattr(_clustered_memory, place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        memory.partial_fit(X[100:110])
    assert pickle.dumps(memory) == before


def test_reclustering_that_is_broken_off_changes_nothing(monkeypatch):
    memory = ClusteredMemory(4, 100, random_state=0).fit(X[:100]).partial_fit(X[100:150])
    before = pickle.dumps(memory)
    memory = pickle.loads(before)
    monkeypatch.setattr(_clustered_memory, "partition_sums", interrupted)
    with pytest.raises(KeyboardInterrupt):
        memory.recluster()
    assert pickle.dumps(memory) == before


def test_the_same_seed_gives_the_same_bits():
    batches = np.split(X.astype(np.float32), 10)
    one, other = (fed(ClusteredMemory(4, 90, random_state=3), batches) for _ in range(2))
    assert_array_equal(one.prototypes_, other.prototypes_)
    assert one.bank_.dtype == one.prototypes_.dtype == np.float32
    again = pickle.loads(pickle.dumps(one)).partial_fit(batches[0])
    assert_array_equal(again.labels_, other.partial_fit(batches[0]).labels_)


BAD = [
    ({"n_clusters": 0}, ValueError, r"n_clusters must be an int in \[1, inf\); got 0"),
    ({"n_clusters": 301}, ValueError, r"n_clusters=301 must not be above n_samples=300"),
    ({"capacity": 3}, ValueError, r"capacity must be an int in \[4, inf\); got 3"),
    ({"capacity": 9.0}, TypeError, r"capacity .* got 9.0"),
    ({"epsilon": 0.0}, ValueError, r"epsilon must be a float in \(0, inf\); got 0.0"),
    ({"n_iters": 0}, ValueError, r"n_iters must be an int in \[1, inf\); got 0"),
    ({"momentum": 1.5}, ValueError, r"momentum must be a float in \[0, 1\]; got 1.5"),
    ({"metric": "l2"}, ValueError, r"metric must be one of 'euclidean', 'cosine'; got 'l2'"),
    ({"n_neighbors": 0}, ValueError, r"n_neighbors must be an int in \[1, inf\); got 0"),
    ({"n_init": 0}, ValueError, r"n_init must be an int in \[1, inf\); got 0"),
]


@pytest.mark.parametrize(("parameters", "error", "message"), BAD)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        ClusteredMemory(**({"n_clusters": 4} | parameters)).fit(X)


def test_bad_calls():
    memory = ClusteredMemory(4, 100, random_state=0).partial_fit(X[:50])
    for method in ("predict", "kneighbors"):
        with pytest.raises(NotFittedError, match="partial_fit until the bank is full"):
            getattr(memory, method)(X)
    with pytest.raises(NotFittedError):
        memory.recluster()
    with pytest.raises(ValueError, match="2 features, but .* expecting 5"):
        memory.partial_fit(X[:, :2])
    memory.partial_fit(X)
    with pytest.raises(ValueError, match=r"n_neighbors must be an int in \[1, n_stored=100\]"):
        memory.kneighbors(X, 101)
    with pytest.raises(TypeError, match="within_partition must be True or False; got 1"):
        memory.kneighbors(X, within_partition=1)
    with pytest.raises(ValueError, match="n_clusters=3 cannot be changed between batches"):
        memory.set_params(n_clusters=3).partial_fit(X)
    with pytest.raises(ValueError, match="no row with a direction"):
        ClusteredMemory(2).fit(np.zeros((5, 3)))

"""A checkpoint belongs to one fit: what differs is refused, what may differ is not."""

from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.cluster import KMeans, SphericalKMeans
from clusterlib.cluster._checkpoint import Checkpoint, FitState
from clusterlib.solvers import LloydResult
from tests.carriers import Elsewhere

X = np.random.default_rng(0).normal(size=(9000, 4)).astype(np.float32)
WEIGHT = np.random.default_rng(1).uniform(size=len(X))
RANDOM = {"init": "random", "n_init": 3, "tol": 1e-5, "max_iter": 9, "random_state": 0}


def break_off(model, n_passes, X=X, sample_weight=None):
    """Fit until some passes are done and stop as Ctrl-C does, in the middle of the next."""
    blocks, seen = Elsewhere(X, 4096), []

    def observe(n_rows):
        seen.append(n_rows)
        if seen.count(0) > n_passes:
            raise KeyboardInterrupt

    blocks.observer = observe
    with pytest.raises(KeyboardInterrupt):
        model.fit(blocks, sample_weight=sample_weight)
    return model


def passes_of(model, X=X):
    blocks, seen = Elsewhere(X, 4096), []
    blocks.observer = seen.append
    model.fit(blocks)
    return seen.count(0)


def assert_same(found, expected):
    for name in ("cluster_centers_", "labels_", "history_", "cluster_sizes_"):
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in ("inertia_", "n_iter_", "converged_", "n_relocated_"):
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("cls", [KMeans, SphericalKMeans])
def test_other_weights_centres_or_rows_are_refused(cls, tmp_path):
    path = tmp_path / "fit"
    break_off(cls(5, checkpoint=path, **RANDOM), 20, sample_weight=WEIGHT)
    whole = cls(5, **RANDOM).fit(X, sample_weight=WEIGHT)
    for other in (None, 1 - WEIGHT):
        with pytest.raises(ValueError, match="belongs to another fit: it has sample_weight=an arr"):
            cls(5, checkpoint=path, **RANDOM).fit(X, sample_weight=other)
    with pytest.raises(ValueError, match="belongs to another fit: starts end at .*X has changed"):
        cls(5, checkpoint=path, **RANDOM).fit(X + X**2, sample_weight=WEIGHT)
    assert_same(cls(5, checkpoint=path, **RANDOM).fit(X, sample_weight=WEIGHT), whole)
    options = {"tol": 1e-6, "checkpoint": path, "max_iter": 50}
    break_off(cls(5, init=X[:5], **options), 8)
    with pytest.raises(ValueError, match="belongs to another fit: it has init=an array of centres"):
        cls(5, init=X[1:6], **options).fit(X)
    cls(5, init=X[:5].tolist(), **options).fit(X)
    assert not path.exists()


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("n_passes", [9, 16, 25])
def test_a_warm_start_goes_on_from_the_checkpoint(n_passes, tmp_path):
    whole = KMeans(5, **RANDOM).fit(X)
    model = KMeans(5, warm_start=True, checkpoint=tmp_path / "fit", **RANDOM)
    break_off(model, n_passes)
    assert (tmp_path / "fit").exists() and hasattr(model, "cluster_centers_")
    assert_same(model.fit(X), whole)
    assert not (tmp_path / "fit").exists()
    assert model.fit(X).n_iter_ > 0  # and then from the centres


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_a_broken_off_warm_start_goes_on(tmp_path):
    options = RANDOM | {"max_iter": 3, "tol": 0}
    model = KMeans(5, warm_start=True, checkpoint=tmp_path / "fit", **options).fit(X)
    whole = KMeans(5, init=model.cluster_centers_, max_iter=9, tol=0).fit(X)
    break_off(model.set_params(max_iter=9), 4)
    assert 0 < model.n_iter_ < 9
    assert_same(model.fit(X), whole)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_nothing_is_drawn_where_no_start_is_left(tmp_path):
    options = {"init": "random", "n_init": 1, "tol": 0, "max_iter": 12, "random_state": 0}
    path = tmp_path / "fit"
    whole = KMeans(5, **options).fit(X)
    break_off(KMeans(5, checkpoint=path, **options), 8)
    n_done = len(np.load(path)["history"])
    model = KMeans(5, checkpoint=path, **options)
    assert passes_of(model) == whole.n_iter_ - n_done + 1
    assert_same(model, whole)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_more_iterations_may_be_asked_for(tmp_path):
    options = {"init": X[:5], "tol": 0, "checkpoint": tmp_path / "fit"}
    break_off(KMeans(5, max_iter=4, **options), 4)  # while the labels are made
    whole = KMeans(5, init=X[:5], tol=0, max_iter=9).fit(X)
    assert_same(KMeans(5, max_iter=9, **options).fit(X), whole)


@pytest.mark.parametrize("kind", ["npy", "npz", "text", "nothing"])
def test_other_files_are_refused_and_stay(kind, tmp_path):
    path = tmp_path / f"other.{kind}"
    if kind == "npy":
        np.save(path, X)
    elif kind == "npz":
        np.savez(path, version=np.arange(3))
    else:
        path.write_text("text" if kind == "text" else "")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is no checkpoint of clusterlib"):
        KMeans(3, checkpoint=path).fit(X)
    assert path.read_bytes() == before


def stored_in(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_centers", None),
        ("seeds", np.zeros((2, 2), np.int64)),
        ("seeds", np.array(["a"])),
        ("start", 99),
        ("start", -1),
        ("centers", np.ones((4, 4), np.float32)),
        ("centers", np.ones((5, 4))),
        ("centers", np.full((5, 4), np.nan, np.float32)),
        ("centers", np.ones(5, np.float32)),
        ("best_centers", np.ones((2, 4), np.float32)),
        ("history", np.ones((2, 2))),
        ("n_relocated", "many"),
        ("n_relocated", np.inf),
    ],
)
def test_wrong_contents_are_refused_by_name(name, value, tmp_path):
    path = tmp_path / "fit.npz"
    break_off(KMeans(5, checkpoint=path, **RANDOM), 20)
    stored = stored_in(path)
    del stored[name]
    np.savez(path, **stored, **({} if value is None else {name: value}))
    with pytest.raises(ValueError, match="is no checkpoint of clusterlib"):
        KMeans(5, checkpoint=path, **RANDOM).fit(X)


@pytest.mark.parametrize("compression", [ZIP_STORED, ZIP_DEFLATED])
def test_no_memory_is_taken_for_what_the_file_does_not_hold(compression, tmp_path):
    path = tmp_path / "fit"
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**45, 8)}
    with ZipFile(path, "w", compression) as members, members.open("version.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(
        ValueError, match=r"no checkpoint .*: version\.npy is not as long as it says"
    ):
        KMeans(5, checkpoint=path, **RANDOM).fit(X)


def test_compressed_contents_are_refused(tmp_path):
    """A small file could stand for any amount of memory."""
    path = tmp_path / "fit.npz"
    break_off(KMeans(5, checkpoint=path, **RANDOM), 20)
    np.savez_compressed(path, **stored_in(path))
    with pytest.raises(ValueError, match="is no checkpoint of clusterlib"):
        KMeans(5, checkpoint=path, **RANDOM).fit(X)


@pytest.mark.parametrize("error", [MemoryError, PermissionError])
def test_a_checkpoint_that_cannot_be_read_now_is_not_called_broken(error, tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    break_off(KMeans(5, checkpoint=path, **RANDOM), 20)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises(error):
        KMeans(5, checkpoint=path, **RANDOM).fit(X)


def test_an_interrupted_later_start_leaves_the_best_before_it():
    """Broken off after seeding and before its first iteration, a start has nothing to show."""
    options = {"init": "random", "tol": 1e9, "random_state": 0}
    n_passes = passes_of(KMeans(5, n_init=2, **options))
    model = break_off(KMeans(5, n_init=2, **options), n_passes - 2)  # iterate, make labels
    first = KMeans(5, n_init=1, **options).fit(X)
    assert_array_equal(model.cluster_centers_, first.cluster_centers_)
    assert_array_equal(model.history_, first.history_)
    assert not hasattr(model, "labels_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ended", [None, True, False])
def test_what_is_read_has_the_bits_of_what_was_saved(dtype, ended, tmp_path):
    rng = np.random.default_rng(2)
    best = None
    if ended is not None:
        centers, history = rng.normal(size=(3, 2)).astype(dtype), rng.uniform(size=4)
        best = LloydResult(None, centers, 1 / 3, len(history), ended, 5, history)
    centers, history = rng.normal(size=(3, 2)).astype(dtype), rng.uniform(size=7)
    state = FitState(rng.integers(2**31, size=9), 4, centers, history, 2, best, 0.1)
    checkpoint = Checkpoint(tmp_path / "fit", {"name": "KMeans", "count": 3})
    checkpoint.save(state)
    read = checkpoint.load()
    assert (read.best is None) == (best is None)
    assert (read.start, read.n_relocated, read.tol) == (4, 2, 0.1)
    assert_array_equal(read.seeds, state.seeds, strict=True)
    for one, other in [(read, state), (read.best, best)][: 1 if best is None else 2]:
        assert_array_equal(one.centers, other.centers, strict=True)
        assert_array_equal(one.history, other.history, strict=True)
        assert one.n_relocated == other.n_relocated
    if best is not None:
        assert (read.best.inertia, read.best.n_iter, read.best.converged) == (1 / 3, 4, ended)


def test_a_crash_while_it_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "fit", {})
    state = FitState(np.arange(2), 0, X[:3], np.ones(1), 0, None, 0.0)
    checkpoint.save(state)

    def breaks_off(file, **arrays):
        file.write(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(state._replace(history=np.ones(2)))
    assert len(checkpoint.load().history) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_moves_to_far_rows_before_and_after_are_counted(tmp_path):
    init = np.full((6, 4), 1e3, dtype=np.float32) * np.arange(6, dtype=np.float32)[:, None]
    options = {"init": init, "tol": 0, "max_iter": 5}
    whole = KMeans(6, **options).fit(X)
    assert whole.n_relocated_ > 0
    break_off(KMeans(6, checkpoint=tmp_path / "fit", **options), 4)
    assert np.load(tmp_path / "fit")["n_relocated"] > 0
    assert_same(KMeans(6, checkpoint=tmp_path / "fit", **options).fit(X), whole)


def test_a_start_that_had_ended_is_not_iterated_again(tmp_path):
    points = np.repeat([[0.0], [1.0], [9.0]], 3000, axis=0)
    options = {"init": points[[0, 3000]], "tol": 0}
    whole = KMeans(2, **options).fit(points)
    n_passes = passes_of(KMeans(2, **options), points)
    break_off(KMeans(2, checkpoint=tmp_path / "fit", **options), n_passes - 1, points)
    assert np.load(tmp_path / "fit")["history"][-1] == 0
    model = KMeans(2, checkpoint=tmp_path / "fit", **options)
    assert passes_of(model, points) == 1  # the labels
    assert_same(model, whole)

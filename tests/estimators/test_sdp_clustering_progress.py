"""SDPClustering: memory, storage, progress, interruption and data frames."""

import logging
import pickle
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from clusterlib.cluster import KMeans
from clusterlib.cluster import _sdp_fit as fit_module
from tests.estimators.cases import blobs
from tests.estimators.test_sdp_clustering import SOLVERS, assert_same_fit, mixture, sdp


@pytest.fixture(params=SOLVERS)
def estimator(request):
    return sdp(**SOLVERS[request.param])


@pytest.mark.parametrize("solver", ["low_rank", "sketch"])
def test_memory_is_linear_in_the_rows(solver):
    X, _ = mixture(n=20_000, p=20, separation=6.0)
    estimator = sdp(n_clusters=4, solver=solver, tol=1e-4)
    tracemalloc.start()
    estimator.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 8 * 20_000 * (20 + 6 * 8) + 1e6  # a matrix of all pairs takes 3.2e9


def test_storage_round_trip(estimator):
    X, _ = blobs()
    again = pickle.loads(pickle.dumps(estimator.fit(X)))
    assert_same_fit(again, estimator)
    assert_array_equal(again.predict(X), estimator.labels_)


def test_verbose_reports_the_solver_and_the_bound(estimator, caplog):
    X, _ = mixture(separation=3.0)
    estimator.set_params(verbose=1, certify="block").fit(X)
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert {record.name for record in caplog.records} == {"clusterlib"}
    assert "SDPClustering: start 1/" in text
    assert "the k-means cost is at least" in text
    assert "block 1/1" in text


def test_silence_is_the_default(estimator, caplog, capsys):
    with caplog.at_level(logging.INFO):
        estimator.set_params(certify="fast").fit(blobs()[0])
    assert [record for record in caplog.records if "start" in record.getMessage()] == []
    assert capsys.readouterr() == ("", "")


def test_an_interrupted_fit_leaves_nothing(estimator, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "round_membership", interrupted)
    monkeypatch.setattr(fit_module, "sketch_sdp", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(mixture()[0])
    fitted = {name for name in vars(estimator) if name.endswith("_")}
    assert fitted == set()
    assert not hasattr(estimator, "membership_")
    for method in (estimator.membership_matrix, lambda: estimator.predict(mixture()[0])):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            method()


@pytest.mark.skipif(not hasattr(KMeans, "set_callbacks"), reason="scikit-learn has no callbacks")
@pytest.mark.parametrize("solver", ["low_rank", "sketch"])
def test_callbacks_see_the_iterations_and_may_stop(solver):
    class Stopping:
        def __init__(self):
            self.events, self.scores = [], []

        def setup(self, estimator, context):
            self.events.append("setup")

        def on_fit_task_begin(self, estimator, context):
            self.events.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            self.events.append(f"end {context.task_name}")
            self.scores.append(fitted_estimator.score(X))
            return self.events.count("end iteration") == 1

        def teardown(self, estimator, context):
            self.events.append("teardown")

    X, _ = mixture(n=300, separation=2.0)
    callback = Stopping()
    estimator = sdp(**SOLVERS[solver], tol=1e-9).set_callbacks(callback).fit(X)
    assert callback.events[0] == "setup"
    assert callback.events[-1] == "teardown"
    assert callback.events.count("end iteration") == 1
    assert_allclose(callback.scores[-1], -estimator.inertia_)
    assert np.isfinite(estimator.objective_)


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames_in_and_out(frames):
    library = pytest.importorskip(frames)
    X, _ = blobs()
    frame = library.DataFrame({name: X[:, j] for j, name in enumerate("abc")})
    estimator = sdp().set_output(transform=frames)
    out = estimator.fit_transform(frame)
    assert list(out.columns) == [f"sdpclustering{j}" for j in range(3)]
    assert_array_equal(estimator.predict(frame), estimator.labels_)
    assert_array_equal(sdp().fit(X).labels_, estimator.labels_)

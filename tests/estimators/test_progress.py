"""Log, callbacks and interruption of a fit."""

import logging
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import sklearn

from clusterlib.base import logger
from clusterlib.cluster import KMeans, MiniBatchKMeans
from tests.estimators.cases import CLASSES, blobs

X = blobs()[0]
HAS_CALLBACKS = hasattr(KMeans, "set_callbacks")
needs_callbacks = pytest.mark.skipif(
    not HAS_CALLBACKS, reason=f"scikit-learn {sklearn.__version__} has no callbacks"
)


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def estimator(request):
    return request.param(n_clusters=3, random_state=0)


@contextmanager
def bare_logging():
    """A program that has configured no logging; pytest has, for the time of a test."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


@pytest.mark.parametrize("verbose", [1, 2, True])
def test_verbose_shows_every_iteration(estimator, verbose, capsys):
    with bare_logging():
        estimator.set_params(verbose=verbose, init="random", n_init=2).fit(X)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0].startswith(f"clusterlib: {type(estimator).__name__}: start 1/")
    assert len(lines) >= len(estimator.history_)
    assert logger.handlers == []
    assert logger.level == logging.NOTSET


def test_verbose_uses_the_logging_of_the_program(estimator, caplog):
    estimator.set_params(verbose=1).fit(X)
    assert [record.name for record in caplog.records] == ["clusterlib"] * len(estimator.history_)
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_silence_is_the_default(estimator, capsys):
    with bare_logging():
        estimator.fit(X)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_leaves_no_handler_behind(cls):
    def init(*_, **__):
        raise KeyboardInterrupt

    with bare_logging(), pytest.raises(KeyboardInterrupt):
        cls(3, init=init, verbose=1).fit(X)
    assert logger.handlers == []
    assert logger.level == logging.NOTSET


class Recorder:
    """Notes what it is told; stops as soon as it has seen so many iterations."""

    def __init__(self, stop_after=None, interrupt=False):
        self.stop_after, self.interrupt = stop_after, interrupt
        self.events, self.scores = [], []

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None):
        assert len(X) == 150
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None, fitted_estimator=None):
        self.events.append(("end", context.task_name))
        self.scores.append(fitted_estimator.score(X))
        n_iterations = self.events.count(("end", "iteration"))
        if self.interrupt and n_iterations == 2:
            raise KeyboardInterrupt
        return self.stop_after is not None and n_iterations >= self.stop_after

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))


@needs_callbacks
def test_callbacks_see_every_task(estimator):
    recorder = Recorder()
    estimator.set_callbacks(recorder).fit(X)
    for event in ("begin", "end"):
        assert recorder.events.count((event, "iteration")) == len(estimator.history_)
        assert recorder.events.count((event, "start")) == 1
        assert recorder.events.count((event, "fit")) == 1
    assert recorder.events[0] == ("setup", "fit")
    assert recorder.events[-1] == ("teardown", "fit")
    np.testing.assert_allclose(recorder.scores[-1], -estimator.inertia_)


@needs_callbacks
def test_callbacks_change_nothing(estimator):
    plain = estimator.fit(X).cluster_centers_
    watched = estimator.set_callbacks(Recorder()).fit(X).cluster_centers_
    np.testing.assert_array_equal(plain, watched)


@needs_callbacks
def test_callbacks_may_stop():
    data = np.random.default_rng(0).normal(size=(150, 3))
    estimator = KMeans(9, init="random", n_init=4, tol=0.0, random_state=0)
    estimator.set_callbacks(Recorder(stop_after=2)).fit(data)
    assert estimator.n_iter_ == 2
    assert not estimator.converged_
    np.testing.assert_array_equal(estimator.predict(data), estimator.labels_)
    mini = MiniBatchKMeans(9, batch_size=10, random_state=0)
    mini.set_callbacks(Recorder(stop_after=3)).fit(data)
    assert mini.n_steps_ == 3


@needs_callbacks
def test_interruption_between_iterations_tears_down():
    data = np.random.default_rng(0).normal(size=(150, 3))
    recorder = Recorder(interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        KMeans(9, tol=0.0, random_state=0).set_callbacks(recorder).fit(data)
    assert recorder.events[-1] == ("teardown", "fit")
    assert recorder.events.count(("end", "iteration")) == 2


def test_old_scikit_learn_has_a_stand_in():
    """The same fit runs where scikit-learn has no callbacks: in a process that hides them."""
    program = (
        "import sys; sys.modules['sklearn.callback'] = None\n"
        "from clusterlib.cluster import KMeans, MiniBatchKMeans, SphericalKMeans\n"
        "for cls in (KMeans, MiniBatchKMeans, SphericalKMeans):\n"
        "    assert not hasattr(cls, 'set_callbacks')\n"
        "    assert cls(1).fit([[1.0], [2.0]]).labels_.tolist() == [0, 0]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)

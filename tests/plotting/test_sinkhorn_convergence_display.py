"""The picture of convergence shows the history it was given."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.plotting import SinkhornConvergenceDisplay
from clusterlib.solvers import sinkhorn
from clusterlib.transport import SinkhornTransport

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

ERROR = np.geomspace(0.5, 1e-7, 12)
DUAL = 3.0 - np.geomspace(1.0, 1e-9, 12)


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def result():
    history = np.column_stack([ERROR, DUAL])
    return SimpleNamespace(history=history, method="plain sweeps", n_iter=14)


def test_error_and_dual_are_drawn(pyplot, result):
    display = SinkhornConvergenceDisplay.from_result(result, tol=1e-6)
    error, tol = display.ax_.lines
    np.testing.assert_array_equal(error.get_xdata(), np.arange(1, 13))
    np.testing.assert_array_equal(error.get_ydata(), ERROR)
    assert set(tol.get_ydata()) == {1e-6}
    [missing] = display.dual_ax_.lines
    np.testing.assert_allclose(missing.get_ydata(), DUAL.max() - DUAL)
    assert display.ax_.get_yscale() == display.dual_ax_.get_yscale() == "log"
    assert display.ax_.get_title() == "plain sweeps (14 sweeps)"
    entries = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert entries == ["marginal error", "tol", "dual objective below its best"]
    display.figure_.canvas.draw()


def test_results_of_the_solver_and_of_an_estimator_of_it(pyplot):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 2)), rng.normal(size=(7, 2))
    result = sinkhorn(rng.random((9, 7)), 0.05)
    display = SinkhornConvergenceDisplay.from_result(result)
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), result.history[:, 0])
    assert display.ax_.get_title().startswith(result.method[:20])
    transport = SinkhornTransport(tol=1e-4).fit(X, target=Y)
    error, tol = SinkhornConvergenceDisplay.from_result(transport).ax_.lines
    np.testing.assert_array_equal(error.get_ydata(), transport.history_[:, 0])
    assert set(tol.get_ydata()) == {1e-4}


def test_history_of_an_estimator(pyplot):
    estimator = SimpleNamespace(history_=ERROR, method_="", n_iter_=12, tol=1e-3)
    display = SinkhornConvergenceDisplay.from_result(estimator)
    error, tol = display.ax_.lines
    np.testing.assert_array_equal(error.get_ydata(), ERROR)
    assert set(tol.get_ydata()) == {1e-3}
    assert display.dual_ax_ is None and display.ax_.get_title() == ""


def test_a_long_method_is_wrapped(pyplot, result):
    result.method = "truncated Newton steps because plain sweeps made little headway " * 2
    title = SinkhornConvergenceDisplay.from_result(result).ax_.get_title()
    assert title.count("\n") == 2 and title.endswith("(14 sweeps)")


@pytest.mark.parametrize("history", [np.empty((0, 2)), np.zeros((1, 2)), np.zeros((3, 2))])
def test_short_and_exact_histories_are_drawn(pyplot, history):
    display = SinkhornConvergenceDisplay.from_result(SimpleNamespace(history=history))
    assert display.ax_.get_yscale() == "linear"
    display.figure_.canvas.draw()


def test_given_axes_are_used(pyplot, result):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = SinkhornConvergenceDisplay.from_result(result, ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got list"):
        display.plot(ax=[left])


def test_wrong_input_is_refused(pyplot):
    with pytest.raises(AttributeError, match="this SimpleNamespace has no history"):
        SinkhornConvergenceDisplay.from_result(SimpleNamespace())
    with pytest.raises(ValueError, match=r"history must have .* got \(4, 3\)"):
        SinkhornConvergenceDisplay.from_result(SimpleNamespace(history=np.ones((4, 3))))


def test_absent_matplotlib_is_named(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"SinkhornConvergenceDisplay needs matplotlib"):
        SinkhornConvergenceDisplay.from_result(result)

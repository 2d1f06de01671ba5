"""The heat map shows the plan it was given, class by class, with its marginals."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.plotting import TransportPlanDisplay
from clusterlib.solvers import PointCost, sinkhorn
from clusterlib.transport import SinkhornTransport

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def plan():
    return np.random.default_rng(0).random((5, 8)) / 40


def result_of(plan):
    """What the display asks of a result: the potentials for the size, and the plan."""
    return SimpleNamespace(f=np.zeros(len(plan)), g=np.zeros(plan.shape[1]), plan=lambda: plan)


def drawn(display):
    return np.asarray(display.ax_.images[0].get_array())


def test_plan_and_marginals_are_drawn(pyplot, plan):
    display = TransportPlanDisplay.from_result(result_of(plan))
    np.testing.assert_array_equal(drawn(display), plan)
    right, above = (axes.patches[0].get_data().values for axes in display.marginal_axes_)
    np.testing.assert_allclose(right, plan.sum(axis=1))
    np.testing.assert_allclose(above, plan.sum(axis=0))
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()


def test_plans_of_the_solver_and_of_an_estimator_of_it(pyplot):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 2)), rng.normal(size=(7, 2))
    result = sinkhorn(PointCost(X, Y), 1.0)
    transport = SinkhornTransport(1.0, cost_scale=None).fit(X, target=Y)
    for answer in (result, transport):
        display = TransportPlanDisplay.from_result(answer)
        np.testing.assert_array_equal(drawn(display), answer.plan())
        with pytest.raises(ValueError, match="9 x 7 entries, more than max_entries=62"):
            TransportPlanDisplay.from_result(answer, max_entries=62)


def test_plan_of_an_estimator(pyplot, plan):
    for answer in (SimpleNamespace(plan_=plan), SimpleNamespace(plan=plan)):
        display = TransportPlanDisplay.from_result(answer)
        np.testing.assert_array_equal(drawn(display), plan)


def test_classes_are_put_side_by_side(pyplot, plan):
    rows, columns = np.array([1, 0, 1, 0, 0]), np.array(list("abcabcab"))
    display = TransportPlanDisplay.from_result(
        result_of(plan), row_labels=rows, column_labels=columns
    )
    order = [1, 3, 4, 0, 2], [0, 3, 6, 1, 4, 7, 2, 5]
    np.testing.assert_array_equal(drawn(display), plan[np.ix_(*order)])
    horizontal, *vertical = display.ax_.lines
    assert set(horizontal.get_ydata()) == {2.5}
    assert [set(line.get_xdata()) for line in vertical] == [{2.5}, {5.5}]
    assert display.ax_.get_xlabel() == "column, by class"


def test_one_large_entry_does_not_hide_the_rest(pyplot):
    plan = np.full((40, 40), 1e-4)
    plan[0, 0] = 1.0
    assert TransportPlanDisplay(plan).plot().ax_.images[0].get_clim() == (0, 1e-4)


def test_plan_of_zeros_is_drawn(pyplot):
    display = TransportPlanDisplay(np.zeros((2, 3))).plot()
    display.figure_.canvas.draw()
    assert display.ax_.images[0].get_clim() == (0, 1)


def test_given_axes_are_used(pyplot, plan):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = TransportPlanDisplay.from_result(result_of(plan), ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got ndarray"):
        display.plot(ax=np.array([left, right]))


def test_a_large_plan_is_not_computed(pyplot):
    def plan():
        raise AssertionError("nobody needs it")

    large = SimpleNamespace(f=np.zeros(2000), g=np.zeros(1000), plan=plan)
    with pytest.raises(ValueError, match="2000 x 1000 entries, more than max_entries=1000000"):
        TransportPlanDisplay.from_result(large)
    with pytest.raises(ValueError, match="3 x 2 entries, more than max_entries=5"):
        TransportPlanDisplay.from_result(SimpleNamespace(plan_=np.ones((3, 2))), max_entries=5)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (np.ones(3), r"matrix with entries, got shape \(3,\)"),
        (np.ones((0, 3)), r"matrix with entries, got shape \(0, 3\)"),
        (-np.ones((2, 2)), "negative or NaN, got -1.0"),
        (np.full((2, 2), np.nan), "negative or NaN, got nan"),
    ],
)
def test_no_plan_at_all(pyplot, plan, message):
    with pytest.raises(ValueError, match=message):
        TransportPlanDisplay(plan).plot()


def test_wrong_input_is_refused(pyplot, plan):
    with pytest.raises(AttributeError, match="this SimpleNamespace has no plan"):
        TransportPlanDisplay.from_result(SimpleNamespace())
    with pytest.raises(ValueError, match=r"row_labels must have shape \(5,\), got \(4,\)"):
        TransportPlanDisplay(plan, row_labels=np.zeros(4)).plot()
    with pytest.raises(ValueError, match=r"column_labels must have shape \(8,\), got \(5,\)"):
        TransportPlanDisplay(plan, column_labels=np.zeros(5)).plot()
    assert pyplot.get_fignums() == []


def test_absent_matplotlib_is_named(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'TransportPlanDisplay .*"clusterlib-native\[plot\]"'):
        TransportPlanDisplay(plan).plot()

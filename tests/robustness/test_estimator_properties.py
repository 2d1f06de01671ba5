"""Every estimator of the table on rows nobody would choose: finite and consistent, or a refusal.

A campaign of one estimator: ``CLUSTERLIB_CAMPAIGN=100 pytest tests/robustness -k "KMeans"``.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.validation import has_fit_parameter

from tests.estimators.cases import ESTIMATORS
from tests.robustness import fitting
from tests.robustness.fitting import IDS
from tests.robustness.strategies import (
    BROKEN_MAKERS,
    LABELS,
    SEEDS,
    WEIGHTS,
    Refused,
    examples,
    make_labels,
    make_weight,
    outcome,
    rows,
)

NUMBERS = st.integers(1, 6)
WEIGHTED = [model for model in ESTIMATORS if has_fit_parameter(model, "sample_weight")]


def check_fit(model, X, y, **weights):
    """A fit is finite and consistent, and so are its answers; or it is refused and leaves nothing."""
    before = X.copy()
    found = fitting.fit(model, X, y, **weights)
    np.testing.assert_array_equal(X, before)
    if isinstance(found, Refused):
        fitting.assert_clear(found)
        assert not fitting.fitted_state(model), "something is left of a refused fit"
        return
    fitting.assert_consistent(model, X)
    fitting.assert_answers(model, X, y)
    if fitting.promises_same_labels(model):
        np.testing.assert_array_equal(outcome(model.predict, X), model.labels_)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=IDS)
@examples(2)
@given(
    data=rows(st.integers(1, 24)), number=NUMBERS, labels=st.sampled_from(list(LABELS)), seed=SEEDS
)
def test_a_fit_is_finite_and_consistent_or_refused(estimator, data, number, labels, seed):
    model = fitting.with_number(estimator, number)
    check_fit(model, data.make(), make_labels(labels, data.n, seed))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=IDS)
@examples(3)  # the first one has no rows
@given(data=rows(st.integers(0, 12), kinds=list(BROKEN_MAKERS)), number=NUMBERS, seed=SEEDS)
def test_no_rows_and_rows_that_are_not_finite(estimator, data, number, seed):
    model = fitting.with_number(estimator, number)
    check_fit(model, data.make(), make_labels("few", data.n, seed))


@pytest.mark.parametrize("estimator", WEIGHTED, ids=lambda model: IDS[ESTIMATORS.index(model)])
@examples(2)
@given(
    data=rows(st.integers(1, 24)), number=NUMBERS, weight=st.sampled_from(list(WEIGHTS)), seed=SEEDS
)
def test_a_fit_with_weights_is_finite_and_consistent_or_refused(
    estimator, data, number, weight, seed
):
    model = fitting.with_number(estimator, number)
    y = make_labels("few", data.n, seed)
    check_fit(model, data.make(), y, sample_weight=make_weight(weight, data.n, seed))

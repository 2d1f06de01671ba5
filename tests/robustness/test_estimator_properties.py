"""Every estimator of the table on rows nobody would choose: finite and consistent, or a refusal.

A campaign of one estimator: ``CLUSTERLIB_CAMPAIGN=100 pytest tests/robustness -k "KMeans"``.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.estimators.cases import ESTIMATORS
from tests.robustness import fitting
from tests.robustness.fitting import IDS
from tests.robustness.strategies import (
    LABELS,
    SEEDS,
    Refused,
    examples,
    make_labels,
    outcome,
    rows,
)

NUMBERS = st.integers(1, 6)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=IDS)
@examples(2)
@given(
    data=rows(st.integers(1, 24)), number=NUMBERS, labels=st.sampled_from(list(LABELS)), seed=SEEDS
)
def test_a_fit_is_finite_and_consistent_or_refused(estimator, data, number, labels, seed):
    X, y = data.make(), make_labels(labels, data.n, seed)
    before = X.copy()
    model = fitting.with_number(estimator, number)
    found = fitting.fit(model, X, y)
    np.testing.assert_array_equal(X, before)
    if isinstance(found, Refused):
        fitting.assert_clear(found)
        assert not fitting.fitted_state(model), "something is left of a refused fit"
        return
    fitting.assert_consistent(model, X)
    fitting.assert_answers(model, X, y)
    if fitting.promises_same_labels(model):
        np.testing.assert_array_equal(outcome(model.predict, X), model.labels_)

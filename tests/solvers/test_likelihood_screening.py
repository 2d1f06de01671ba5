"""Screening of starts: its steps once more, how many starts there are, and their order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.solvers import CovarianceType, likelihood_screening
from clusterlib.solvers.gaussian import CovariancePrior, GroupModel
from clusterlib.solvers.gaussian_em import (
    classification_em,
    expectation_maximisation,
)
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.gaussian_moments import indicators
from clusterlib.solvers.likelihood_choice import corrected_aic
from clusterlib.solvers.likelihood_screening import permuted_labels, screen

DATA = make_heterogeneous_mixture("crossed", 90, random_state=0)


def setting(n_starts=14, kind=CovarianceType.DIAG):
    frame = GaussianFrame.of(DATA.X, kind)
    model = GroupModel(kind, True, CovariancePrior.weak(3, 4))
    return frame, model, np.random.default_rng(0).integers(0, 3, (n_starts, 90)).astype(np.int32)


def test_the_best_ten_go_on_and_all_ends_are_ranked():
    frame, model, labels = setting()
    screened = screen(frame, labels, 3, model)
    X = frame.coordinates
    short = expectation_maximisation(X, indicators(labels, 3), model, max_iter=15)
    best = np.argsort(-short.objective, kind="stable")[:10]
    ends = expectation_maximisation(X, indicators(short.labels[best], 3), model, max_iter=100)
    final = classification_em(X, np.concatenate([ends.labels, labels]), 3, model)
    found = {}
    for row, objective, likelihood in zip(
        final.labels, final.objective, final.log_likelihood, strict=True
    ):
        found.setdefault(row.tobytes(), (row, objective, likelihood))
    full = [each for each in found.values() if len(np.unique(each[0])) == 3]
    few = [each for each in found.values() if len(np.unique(each[0])) < 3]
    order = [*sorted(full, key=lambda each: -each[1]), *sorted(few, key=lambda each: -each[1])]
    assert_array_equal(screened.labels, [row for row, *_ in order])
    assert_allclose(screened.objective, [objective for _, objective, _ in order])
    # In the units of the data: n times the logarithm of the map is taken off.
    likelihood = order[0][2] - 90 * frame.log_determinant
    sizes = np.bincount(screened.labels[0], minlength=3)
    expected = corrected_aic(model, likelihood, sizes, 4)
    assert_allclose(screened.criterion, expected, rtol=1e-12)


@pytest.mark.parametrize(("work", "n_starts"), [(9, 9), (8, 8), (5, 6), (1e9, 14)])
def test_large_problems_take_fewer_starts(monkeypatch, work, n_starts):
    frame, model, labels = setting()
    seen = []

    def recorded(X, memberships, model, max_iter):
        seen.append((len(memberships), max_iter))
        return expectation_maximisation(X, memberships, model, max_iter=max_iter)

    # In iterations of one start, O(n p^2 K).
    monkeypatch.setattr(likelihood_screening, "_WORK", (work + 0.5) * 3 * 90 * 4**2)
    monkeypatch.setattr(likelihood_screening, "expectation_maximisation", recorded)
    screen(frame, labels, 3, model)
    assert seen == [(n_starts, 15), (min(n_starts, 10), 100)]


def test_orders_of_known_groups_are_all_or_random():
    labels = np.arange(3, dtype=np.int32)[None]
    few = permuted_labels(labels, 3, np.random.default_rng(0))
    assert sorted(map(tuple, few.tolist())) == [
        (0, 1, 2),
        (0, 2, 1),
        (1, 0, 2),
        (1, 2, 0),
        (2, 0, 1),
        (2, 1, 0),
    ]
    rng = np.random.default_rng(3)
    many = permuted_labels(np.arange(5, dtype=np.int32)[None], 5, np.random.default_rng(3))
    expected = [np.arange(5), *(rng.permutation(5) for _ in range(23))]
    assert_array_equal(many, expected)

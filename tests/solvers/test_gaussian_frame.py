"""Coordinates in which data are round, and the way there and back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.gaussian import CovariancePrior, CovarianceType, GaussianGroups, GroupModel
from clusterlib.solvers.gaussian_frame import GaussianFrame

TYPES = list(CovarianceType)


def data(n=50, p=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * [1.0, 100.0, 0.01][:p] + 7.0


@pytest.mark.parametrize("kind", TYPES)
def test_coordinates_are_round_and_lead_back(kind):
    X = data()
    frame = GaussianFrame.of(X, kind)
    Z = frame.coordinates
    assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    covariance = Z.T @ Z / len(Z)
    if kind.is_matrix:
        assert_allclose(covariance, np.eye(3), atol=1e-9)
    elif kind is CovarianceType.DIAG:
        assert_allclose(np.diag(covariance), 1)
    else:
        assert_allclose(np.trace(covariance) / 3, 1)
        assert_allclose(frame.axes, frame.axes[0, 0] * np.eye(3), rtol=0)
    assert_allclose(frame.origin + Z @ frame.axes.T, X, rtol=1e-9)
    assert_allclose(frame.log_determinant, np.linalg.slogdet(frame.axes)[1], rtol=1e-9)


@pytest.mark.parametrize("kind", TYPES)
def test_densities_change_by_the_determinant(kind):
    X = data()
    frame = GaussianFrame.of(X, kind)
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(1, 2, 3, 3))
    covariances = {
        CovarianceType.FULL: roots @ roots.transpose(0, 1, 3, 2) + np.eye(3),
        CovarianceType.TIED: roots[:, 0] @ roots[:, 0].transpose(0, 2, 1) + np.eye(3),
        CovarianceType.DIAG: rng.uniform(0.5, 2.0, size=(1, 2, 3)),
        CovarianceType.SPHERICAL: rng.uniform(0.5, 2.0, size=(1, 2)),
    }[kind]
    groups = GaussianGroups(rng.normal(size=(1, 2, 3)), covariances, np.log([[0.3, 0.7]]))
    model = GroupModel(kind, True, CovariancePrior(0.1, 1.0))
    left = frame.leave(groups, kind)
    inside = model.log_joint(frame.coordinates, groups)
    assert_allclose(model.log_joint(X, left), inside - frame.log_determinant, rtol=1e-8)
    assert_array_equal(left.log_weights, groups.log_weights)
    if kind is CovarianceType.FULL:
        assert_allclose(frame.enter(left.covariances[0]), covariances[0], rtol=1e-8)
        assert_array_equal(left.covariances, np.swapaxes(left.covariances, -1, -2))
        entered = frame.enter(left.covariances[0])
        assert_array_equal(entered, np.swapaxes(entered, -1, -2))


@pytest.mark.parametrize("kind", TYPES)
def test_what_does_not_vary_keeps_its_unit(kind):
    X = data()
    X[:, 1] = 3.0
    frame = GaussianFrame.of(X, kind)
    assert_array_equal(frame.coordinates[:, 1] if not kind.is_matrix else 0.0, 0.0)
    assert np.isfinite(frame.coordinates).all()
    assert_allclose(frame.origin + frame.coordinates @ frame.axes.T, X, rtol=1e-9)
    constant = GaussianFrame.of(np.full((5, 2), 3.0), kind)
    assert_array_equal(constant.coordinates, 0.0)
    assert_array_equal(np.abs(constant.axes), np.eye(2))
    assert constant.log_determinant == 0.0


def test_directions_of_rounding_keep_a_share_of_the_largest():
    """The third feature repeats the first: one direction of three has no variance."""
    X = data(p=2)
    X = np.column_stack([X, X[:, 0]])
    frame = GaussianFrame.of(X, CovarianceType.FULL)
    lengths = np.sort(np.linalg.norm(frame.axes / X.std(axis=0)[:, None], axis=0))
    assert_allclose(lengths[0] / lengths[-1], 1e-7, rtol=1e-3)
    assert np.abs(frame.coordinates).max() < 10


@pytest.mark.parametrize("kind", TYPES)
def test_units_of_features_change_coordinates_only_where_groups_are_balls(kind):
    X = data()
    scales = np.array([4.0, 0.25, 64.0])
    if kind is CovarianceType.SPHERICAL:
        scales[:] = 8.0
    found = GaussianFrame.of(X * scales, kind).coordinates
    assert_allclose(np.abs(found), np.abs(GaussianFrame.of(X, kind).coordinates), atol=1e-6)

"""What rows may be whose labels are wrong: the posteriors, written down."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.solvers import likely_other_classes, noisy_gaussians
from tests.solvers.test_noisy_gaussians import FAMILIES, log_density, planted


@pytest.mark.parametrize(("nu", "dof"), FAMILIES)
def test_the_likeliest_other_class(nu, dof):
    X, _, codes, _, _ = planted()
    fit = noisy_gaussians(X, codes, 4, shrinkage=nu, degrees_of_freedom=dof)
    joint = np.log(fit.class_prior) + np.log(fit.transition.T[codes])
    joint += np.stack(
        [log_density(X, fit.means[k], fit.covariances[k], dof) for k in range(4)], axis=1
    )
    joint[np.arange(600), codes] = -np.inf
    assert_array_equal(likely_other_classes(X, codes, fit), joint.argmax(axis=1))


def test_no_other_class_is_the_label_itself():
    X, codes = np.arange(8.0)[:, None], np.zeros(8, dtype=int)
    fit = noisy_gaussians(X, codes, 1, shrinkage=1)
    assert_array_equal(likely_other_classes(X, codes, fit), codes)

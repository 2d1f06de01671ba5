"""Gaussians of classes whose labels may be wrong: two ways to find them, and their parameters."""

import numpy as np

from clusterlib.blocks import Blocks
from clusterlib.imbalance._label_views import small_unit
from clusterlib.solvers import (
    HeadWeights,
    RidgeKind,
    calibrate_tail,
    choose_shrinkage,
    class_inliers,
    inlier_gaussians,
    likely_other_classes,
    noisy_gaussians,
    sample_gaussians,
)
from clusterlib.validation import (
    Recovery,
    checked_choice,
    checked_integer,
    checked_number_or_word,
    checked_real,
)

__all__ = [
    "OF_ONE_RECOVERY",
    "drawn_rows",
    "noise_model",
    "noise_model_options",
    "paper_calibration",
    "paper_options",
]

# What one recovery leaves and the other does not.
OF_ONE_RECOVERY = (
    "label_quality_",
    "other_labels_",
    "transition_matrix_",
    "shrinkage_",
    "shrinkage_choice_",
    "history_",
    "inlier_mask_",
    "head_classes_",
    "neighbors_",
    "weights_",
    "gamma_",
)

# Most iterations and least tolerance of a fit that only compares shrinkages.
_CHOICE_ITER, _CHOICE_TOL = 40, 1e-4


def noise_model_options(estimator):
    """Check the parameters of the noise model; they are arguments of :func:`noise_model`."""
    degrees_of_freedom = estimator.degrees_of_freedom
    if degrees_of_freedom is not None:
        degrees_of_freedom = checked_real(
            "degrees_of_freedom", degrees_of_freedom, 2, low_open=True
        )
    return {
        "shrinkage": checked_number_or_word(
            "shrinkage", estimator.shrinkage, "auto", 0, low_open=True, infinite=True
        ),
        "degrees_of_freedom": degrees_of_freedom,
        "max_iter": checked_integer("max_iter", estimator.max_iter, 1),
        "tol": checked_real("tol", estimator.tol, 0),
    }


def paper_options(estimator):
    """Check the parameters of the paper; they are arguments of :func:`paper_calibration`."""
    outliers = {
        "n_neighbors": checked_integer("n_neighbors", estimator.n_neighbors, 1),
        "threshold": checked_real(
            "outlier_threshold", estimator.outlier_threshold, 0, low_open=True
        ),
    }
    tail = {
        "n_neighbors": checked_integer("n_heads", estimator.n_heads, 1),
        "gamma": checked_number_or_word("gamma", estimator.gamma, "eb", 0, 1),
        "alpha": checked_real("alpha", estimator.alpha, 0),
        "ridge": checked_choice("ridge", estimator.ridge, RidgeKind),
        "weights": checked_choice("weights", estimator.weights, HeadWeights),
    }
    return {"outliers": outliers, "tail": tail}


def noise_model(
    X,
    codes,
    classes,
    rng,
    on_iteration,
    *,
    sample_weight=None,
    shrinkage,
    degrees_of_freedom,
    max_iter,
    tol,
):
    """Fitted attributes of an estimator by the noise model; shrinkage None is chosen from X."""
    options = {
        "degrees_of_freedom": degrees_of_freedom,
        "sample_weight": sample_weight,
        "tol": tol,
    }
    # Variances below some limit count as none. Carriers with such values are refused.
    unit = 0 if isinstance(X, Blocks) else small_unit(X)
    if unit:
        X = np.ldexp(X, -unit)
    choice = None
    if shrinkage is None:
        shorter = {"max_iter": min(max_iter, _CHOICE_ITER), "tol": max(tol, _CHOICE_TOL)}
        choice = choose_shrinkage(X, codes, len(classes), rng, **options | shorter)
        shrinkage = choice.shrinkage
    options |= {"max_iter": max_iter, "callback": on_iteration}
    fit = noisy_gaussians(X, codes, len(classes), shrinkage=shrinkage, **options)
    # Student's t has a larger covariance than its scale matrix says.
    dof = degrees_of_freedom
    wider = 1.0 if dof is None else dof / (dof - 2)
    right = fit.label_quality if sample_weight is None else sample_weight * fit.label_quality
    return {
        "means_": np.ldexp(fit.means, unit),
        "covariances_": np.ldexp(fit.covariances, 2 * unit) * wider,
        "class_prior_": fit.class_prior,
        "effective_counts_": np.bincount(codes, weights=right),
        "label_quality_": fit.label_quality,
        "other_labels_": classes[likely_other_classes(X, codes, fit)],
        "transition_matrix_": fit.transition,
        "shrinkage_": shrinkage,
        "shrinkage_choice_": choice,
        "history_": fit.history,
        "n_iter_": fit.n_iter,
        "converged_": fit.converged,
    }


def paper_calibration(X, codes, n_classes, *, outliers, tail):
    """Fitted attributes of an estimator by the calibration of the paper."""
    sizes = np.bincount(codes)
    inliers = class_inliers(X, codes, n_classes, **outliers)
    means, covariances = inlier_gaussians(X, codes, n_classes, inliers)
    found = calibrate_tail(sizes, means, covariances, **tail)
    return {
        "means_": found.means,
        "covariances_": found.covariances,
        "class_prior_": sizes / len(codes),
        "effective_counts_": np.bincount(codes, weights=inliers),
        "inlier_mask_": inliers,
        "head_classes_": found.head_classes,
        "neighbors_": found.neighbors,
        "weights_": found.weights,
        "gamma_": found.gamma,
        "n_iter_": 1,
        "converged_": True,
    }


def drawn_rows(calibrator, counts, rng):
    """Draw rows of the Gaussians, or distributions of Student, that a calibrator has found.

    Parameters
    ----------
    calibrator : RepresentationCalibrator
        Fitted.
    counts : ndarray of shape (n_classes,), int
        How many rows of each class.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    rows : ndarray of shape (sum(counts), n_features), float64
        The rows, class by class.
    codes : ndarray of shape (sum(counts),), intp
        Their classes.
    """
    means, covariances = calibrator.means_, calibrator.covariances_
    rows, codes = sample_gaussians(np.zeros_like(means), covariances, counts, rng)
    dof = calibrator.degrees_of_freedom
    if calibrator.recovery == Recovery.NOISE_MODEL.value and dof is not None:
        rows *= np.sqrt((dof - 2) / rng.chisquare(dof, size=(len(rows), 1)))
    return rows + means[codes], codes

"""Classifiers for long tails with wrong labels, for ``bench.noisy_labels``.

A method takes rows, their labels, test rows and a seed, and predicts the classes of the test rows.
Methods that have a strength of regularisation are there once for each; whoever reads the results
takes the strength that does best on the test rows, which favours them.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from bench.noisy_label_cases import Problem
from clusterlib.imbalance import NoisyLabelClassifier, RepresentationCalibrator, logit_adjustment

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of logistic regression
SMOTE_STRENGTHS = (0.01, 0.1)
PAPER_STRENGTHS = (1.0, 0.01)
N_FOLDS = 5
RANKING_STRENGTHS = (0.01, 1.0)
SMOTE_NEIGHBORS = 5


class Predicted(NamedTuple):
    """Classes of the test rows, and what the method has chosen, if it says so."""

    labels: np.ndarray
    choice: str = ""


def _regression(strength, class_weight="balanced"):
    return LogisticRegression(C=strength, class_weight=class_weight, max_iter=1000)


def regression(problem, seed, strength):
    """Logistic regression with balanced class weights, for which all labels are right."""
    model = _regression(strength).fit(problem.X, problem.labels)
    return Predicted(model.predict(problem.X_test))


def whole_regression(problem, seed, strength):
    """The same with all features of rows that are reduced."""
    return regression(problem.unreduced, seed, strength)


def smote(problem, seed, strength):
    """Logistic regression after SMOTE; a class of one row gets copies of it."""
    from imblearn.over_sampling import SMOTE

    X, labels = problem.X, problem.labels
    single = np.isin(labels, np.flatnonzero(np.bincount(labels) == 1))
    X, labels = np.concatenate([X, X[single]]), np.concatenate([labels, labels[single]])
    sizes = np.bincount(labels)
    n_neighbors = min(SMOTE_NEIGHBORS, sizes[sizes > 0].min() - 1)
    X, labels = SMOTE(k_neighbors=n_neighbors, random_state=seed).fit_resample(X, labels)
    model = _regression(strength, None).fit(X, labels)
    return Predicted(model.predict(problem.X_test))


def adjusted(problem, seed, strength):
    """Logistic regression without class weights; logarithms of class shares are subtracted."""
    model = _regression(strength, None).fit(problem.X, problem.labels)
    scores = model.predict_log_proba(problem.X_test)
    sizes = np.unique(problem.labels, return_counts=True)[1]
    return Predicted(model.classes_[logit_adjustment(scores, sizes).argmax(axis=1)])


@lru_cache(maxsize=4)
def cross_validated(problem: Problem, seed, strength):
    """Numbers of the labels, and probabilities by regressions that have not seen the row.

    Problems are the same if they are one object.
    """
    codes = np.unique(problem.labels, return_inverse=True)[1]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    found = cross_val_predict(
        _regression(strength), problem.X, codes, cv=folds, method="predict_proba"
    )
    return codes, found


def filtered(problem, seed, strength):
    """Logistic regression without the rows that cleanlab finds to be wrongly labelled."""
    from cleanlab.filter import find_label_issues

    codes, probabilities = cross_validated(problem, seed, strength)
    kept = ~find_label_issues(codes, probabilities, n_jobs=1)
    model = _regression(strength).fit(problem.X[kept], problem.labels[kept])
    return Predicted(model.predict(problem.X_test))


def discriminant(problem, seed):
    """Linear discriminant analysis with equal priors, for which all labels are right."""
    n_classes = len(np.unique(problem.labels))
    model = LinearDiscriminantAnalysis(priors=np.full(n_classes, 1 / n_classes))
    return Predicted(model.fit(problem.X, problem.labels).predict(problem.X_test))


def published(problem, seed, strength):
    """Logistic regression after the calibration of the paper has filled up all classes."""
    sampler = RepresentationCalibrator(recovery="paper", random_state=seed)
    X, labels = sampler.fit_resample(problem.X, problem.labels)
    model = _regression(strength, None).fit(X, labels)
    return Predicted(model.predict(problem.X_test))


@lru_cache(maxsize=2)
def calibrated(problem: Problem, seed: int, shrinkage: float | str):
    """The noise model, once for all who ask."""
    model = RepresentationCalibrator(shrinkage=shrinkage, random_state=seed)
    return model.fit(problem.X, problem.labels)


def gaussians(problem, seed, shrinkage="auto"):
    """The most likely Gaussian of the noise model, with equal shares of the classes."""
    model = calibrated(problem, seed, shrinkage)
    densities = [
        multivariate_normal(mean, covariance, allow_singular=True).logpdf(problem.X_test)
        for mean, covariance in zip(model.means_, model.covariances_, strict=True)
    ]
    choice = f"{model.shrinkage_ / problem.X.shape[1]:.3g} m" if shrinkage == "auto" else ""
    return Predicted(model.classes_[np.argmax(densities, axis=0)], choice)


def whole_gaussians(problem, seed):
    """The same with one covariance for all features of rows that are reduced."""
    return gaussians(problem.unreduced, seed, np.inf)


def weighted(problem, seed, strength):
    """Logistic regression whose rows weigh what the noise model believes in their labels."""
    weights = calibrated(problem, seed, "auto").label_quality_
    model = _regression(strength).fit(problem.X, problem.labels, sample_weight=weights)
    return Predicted(model.predict(problem.X_test))


def classifier(problem, seed):
    """Noise models, and the head that the wrong labels speak for; it reduces rows by itself."""
    problem = problem.unreduced
    model = NoisyLabelClassifier(random_state=seed).fit(problem.X, problem.labels)
    return Predicted(model.predict(problem.X_test), model.head_)


def _at(method, strengths, name):
    return {f"{name}, C={C:g}": partial(method, strength=C) for C in strengths}


Method = Callable[[Problem, int], Predicted]

CLEAN = "clean labels"  # regression that knows the right labels
TUNED, WHOLE = "regression, tuned", "regression on all features, tuned"
WHOLE_GAUSSIANS = "one covariance of all features"
CLASSIFIER = "NoisyLabelClassifier"
FAMILIES: dict[str, dict[str, Method]] = {
    "regression, C=1": {"regression, C=1": partial(regression, strength=1.0)},
    TUNED: _at(regression, STRENGTHS, "regression"),
    WHOLE: _at(whole_regression, STRENGTHS, "regression on all features"),
    "SMOTE": _at(smote, SMOTE_STRENGTHS, "SMOTE"),
    "logit adjustment": _at(adjusted, STRENGTHS, "logit adjustment"),
    "cleanlab": _at(filtered, STRENGTHS, "cleanlab"),
    "discriminant analysis": {"discriminant analysis": discriminant},
    **{
        name: {name: method}
        for name, method in _at(published, PAPER_STRENGTHS, "calibration of the paper").items()
    },
    "Gaussians": {"Gaussians": gaussians},
    "Gaussians, one covariance": {
        "Gaussians, one covariance": partial(gaussians, shrinkage=np.inf)
    },
    WHOLE_GAUSSIANS: {WHOLE_GAUSSIANS: whole_gaussians},
    "weighted regression": _at(weighted, STRENGTHS, "weighted regression"),
    CLASSIFIER: {CLASSIFIER: classifier},
    CLEAN: _at(regression, STRENGTHS, CLEAN),
}
"""Columns of the tables: methods by their names; of several the best of a cell is shown."""

OF_TEXTS = (
    "regression, C=1",
    TUNED,
    WHOLE,
    "Gaussians",
    "Gaussians, one covariance",
    WHOLE_GAUSSIANS,
    "weighted regression",
    CLASSIFIER,
    CLEAN,
)
"""Columns for rows that are reduced."""

OTHERS = tuple(name for name in FAMILIES if name not in (WHOLE, WHOLE_GAUSSIANS))
"""Columns for rows that come with all features."""


# Rankings of the training rows: the probability that a label is wrong, or what stands for it.


def doubted(problem, seed):
    """One less the probability that a label is right by the noise model."""
    return 1 - calibrated(problem, seed, "auto").label_quality_


def classifier_doubted(problem, seed):
    """The same by a classifier, whose noise models see components and all features."""
    problem = problem.unreduced
    model = NoisyLabelClassifier(random_state=seed).fit(problem.X, problem.labels)
    return 1 - model.label_quality_


def cleanlab_score(problem, seed, strength, score):
    """One less a score of cleanlab, from cross-validated regressions on all features."""
    from cleanlab.rank import get_label_quality_scores

    found = cross_validated(problem.unreduced, seed, strength)
    return 1 - get_label_quality_scores(*found, method=score)


OURS, CLEANLAB = "noise model", "cleanlab"
RANKINGS: dict[str, dict[str, Callable[[Problem, int], np.ndarray]]] = {
    OURS: {OURS: doubted},
    CLASSIFIER: {CLASSIFIER: classifier_doubted},
    CLEANLAB: {
        name: ranking
        for score in ("self_confidence", "normalized_margin")
        for name, ranking in _at(
            partial(cleanlab_score, score=score), RANKING_STRENGTHS, f"cleanlab {score}"
        ).items()
    },
}
"""The same of rankings; of several the best of a data set is shown."""

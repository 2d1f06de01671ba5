"""A student: a classifier trained on the classes that were found, kept if it is better.

Neighbours are averaged in the space of the rows as it is, a classifier may find a better one. It
learns the most probable class of each row, and not the domain. Classes are unknown, so the two are
compared by how well they predict the domains of rows that neither has seen.
"""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.base import logger
from clusterlib.label_shift._cross_fit import code_probabilities, dealt_folds, fitted_classifier
from clusterlib.label_shift._pooled import StudentClasses
from clusterlib.solvers import frozen_em
from clusterlib.validation import Student

__all__ = ["StudentFit", "taught"]

# A quarter of each domain is held out.
_FOLDS = 4
_TINY = np.finfo(np.float64).tiny


class StudentFit(NamedTuple):
    """The student that was taken, if one was, and how much better it seemed.

    Attributes
    ----------
    fit : ClassFit
        The fit with the student in it, or as it was.
    classifier : None or classifier
        The student, fitted to all rows.
    gain, standard_error : float
        Mean log-likelihood of the domains of held-out rows above that without it, of the best
        student, and its standard error; NaN where there was nothing to hold out.
    """

    fit: NamedTuple
    classifier: ClassifierMixin | None
    gain: float
    standard_error: float


def student_candidates(kind, given, seed):
    """Classifiers that may become the student: the one of the user, or a line and a network."""
    if kind is Student.GIVEN:
        return [given]
    network = MLPClassifier((64,), max_iter=60, alpha=1e-3, random_state=seed)
    return [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        make_pipeline(StandardScaler(), network),
    ]


def taught(rows, fit, refit, kind, given, rng):
    """Let classifiers compete with a fit, and take the best one if it is clearly better.

    Parameters
    ----------
    rows : DomainRows
        All rows.
    fit : ClassFit
        Their fit.
    refit : callable
        ``refit(rows)`` fits a part of them in the same way.
    kind : Student
        What competes.
    given : None or classifier
        The classifier of the user.
    rng : numpy.random.Generator
        Deals rows to be held out, and seeds networks.

    Returns
    -------
    student : StudentFit
    """
    candidates = student_candidates(kind, given, int(rng.integers(np.iinfo(np.int32).max)))
    held = dealt_folds(rows.codes, _FOLDS, rng) == 0
    held &= np.bincount(rows.codes)[rows.codes] > 1  # every domain keeps a row to learn from
    if not held.any():
        return StudentFit(fit, None, np.nan, np.nan)
    with warnings.catch_warnings():
        if kind is Student.AUTO:  # nobody has asked for these, and a few epochs are enough
            warnings.simplefilter("ignore", ConvergenceWarning)
        best = _best(rows.take(~held), rows.take(held), fit, refit, candidates)
        if not best.gain > best.standard_error:
            return best._replace(classifier=None)
        with_student, classifier = _with_student(rows, fit, best.classifier)
    return best._replace(fit=with_student, classifier=classifier)


def _best(seen, unseen, fit, refit, candidates):
    """The candidate that predicts the domains of unseen rows best, and how much better."""
    part, best = refit(seen), None
    before = _log_likelihoods(part, unseen)
    for candidate in candidates:
        student, _ = _with_student(seen, part, candidate)
        gains = _log_likelihoods(student, unseen) - before
        gain, error = float(gains.mean()), float(gains.std() / np.sqrt(max(1, len(gains) - 1)))
        name = " ".join(repr(candidate).split())
        logger.info("student %s: held-out gain %.5g +- %.2g nats", name, gain, error)
        if best is None or gain > best.gain:
            best = StudentFit(fit, candidate, gain, error)
    return best


def _with_student(rows, fit, classifier):
    """The fit with the classes of a classifier that was trained on its own, and the classifier."""
    labels, n_classes = fit.posteriors.argmax(axis=1), fit.posteriors.shape[1]
    fitted = fitted_classifier(classifier, rows.X, labels)
    pooled = code_probabilities("student", fitted, rows.X, n_classes)
    shares = frozen_em(pooled, fit.domain_given_class, rows.codes)
    order = np.argsort(-shares.posteriors.mean(axis=0), kind="stable")
    with_student = fit._replace(
        classes_of_rows=StudentClasses(fitted, order),
        pooled=pooled[:, order],
        posteriors=shares.posteriors[:, order],
        domain_given_class=shares.domain_given_class[:, order],
        marginals=shares.marginals[:, order],
        log_likelihood=shares.log_likelihood,
        rows=None,
    )
    return with_student, fitted[0]


def _log_likelihoods(fit, rows):
    pooled = fit.classes_of_rows.probabilities(rows.X)
    likelihood = np.einsum("ij,ij->i", pooled, fit.domain_given_class[rows.codes])
    return np.log(np.maximum(likelihood, _TINY))

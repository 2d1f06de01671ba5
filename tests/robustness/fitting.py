"""How any estimator of the table is fitted and asked, for the property tests of all of them."""

from contextlib import nullcontext

import numpy as np
from sklearn.base import ClassifierMixin, clone

from clusterlib.cluster import LikelihoodAdjustedSDP
from clusterlib.imbalance import RepresentationCalibrator, SubclassBalancer
from clusterlib.label_shift import BlackBoxShiftEstimator, EMShiftEstimator, LatentLabelShift
from clusterlib.transport import SinkhornTransport
from tests.estimators.cases import ESTIMATORS
from tests.robustness.strategies import Refused, outcome

IDS = [repr(estimator).replace("\n", "").replace(" ", "") for estimator in ESTIMATORS]
LABELLED = (BlackBoxShiftEstimator, EMShiftEstimator, RepresentationCalibrator, SubclassBalancer)

# Documented infinities: potentials of weight 0, what nothing is known of, dependent components.
MAY_BE_INFINITE = {
    "f_",
    "g_",
    "shrinkage_",
    "candidates",
    "corrected_covariance_",
    "condition_number_",
    "condition_",
    "prior_errors_",
    "centers_",
    "shrinkage",
    "left_out_scores",
    "class_margin",
    "condition_number",
}
# Documented NaN: what was not compared.
MAY_BE_NAN = {"scores", "standard_errors", "student_gain_"}
# Methods that take rows alone.
ASKED = [
    "predict",
    "predict_proba",
    "decision_function",
    "transform",
    "score_samples",
    "assign",
    "domain_probabilities",
    "kneighbors",
]


def takes_labels(estimator):
    """Tell whether y of fit are classes of the rows."""
    return isinstance(estimator, (*LABELLED, ClassifierMixin))


def with_number(estimator, number):
    """Return a copy that looks for so many clusters, classes or components, if it is told how many."""
    model = clone(estimator)
    for name in ("n_clusters", "n_components", "n_classes"):
        value = model.get_params(deep=False).get(name)
        if isinstance(value, int) and not hasattr(model, "head"):
            model.set_params(**{name: number})
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=0)
    return model


def fit(model, X, y, **weights):
    """Fit with what this estimator takes for y."""
    with arithmetic_of(model):
        return _fit(model, X, y, **weights)


def arithmetic_of(model):
    """Context in which the user's classifier may overflow where it gets the rows as they are."""
    theirs = isinstance(model, BlackBoxShiftEstimator | EMShiftEstimator)
    return np.errstate(all="ignore") if theirs else nullcontext()


def _fit(model, X, y, **weights):
    if takes_labels(model) or isinstance(model, LatentLabelShift):
        return outcome(model.fit, X, y, **weights)
    if isinstance(model, SinkhornTransport):
        target = np.asarray(X)[::-1] if len(np.shape(X)) == 2 else X
        return outcome(model.fit, X, target=target, **weights)
    return outcome(model.fit, X, **weights)


def fitted_state(model):
    """Return attributes that a fit has stored."""
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


def assert_same_state(model, expected):
    """Both fits have stored the same bits, as far as they are arrays and numbers."""
    found, wanted = fitted_state(model), fitted_state(expected)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert_same_bits(name, found[name], wanted[name])


def assert_same_bits(name, found, wanted):
    """The same arrays, numbers and words, in whatever a value holds; objects are not compared."""
    if isinstance(wanted, tuple | list):
        assert len(found) == len(wanted), name
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_same_bits(f"{name}[{place}]", one, other)
    elif isinstance(wanted, np.ndarray | np.generic | float | int | str):
        assert np.asarray(found).dtype == np.asarray(wanted).dtype, name
        np.testing.assert_array_equal(found, wanted, err_msg=name)


def assert_finite(name, value):
    """Look for NaN, and for infinities that are not documented, in whatever a value holds."""
    if isinstance(value, Refused) or value is None:
        return
    if isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        for field, part in zip(names, value, strict=True):
            assert_finite(f"{name}.{field}", part)
        return
    if not isinstance(value, np.ndarray | np.generic | float):
        return
    value = np.asarray(value)
    if value.dtype.kind == "f":
        field = name.rpartition(".")[2]
        assert field in MAY_BE_NAN or not np.isnan(value).any(), f"{name} has NaN"
        if field not in MAY_BE_INFINITE:
            assert not np.isinf(value).any(), f"{name} is not finite"


def assert_clear(refused):
    """A refusal says something about an argument, in one or a few sentences."""
    assert 15 < len(refused.message) < 1000, refused.message


def assert_consistent(model, X):
    """What holds of any fit that came to an end."""
    for name, value in fitted_state(model).items():
        if name == "history_" and isinstance(model, LatentLabelShift):
            value = value[1:]  # a start may rule out the domain of a row
        assert_finite(name, value)
    labels = getattr(model, "labels_", None)
    if labels is not None and not isinstance(model, LatentLabelShift):
        k = model.n_clusters
        assert labels.dtype == np.int32 and labels.shape == (len(X),)
        assert labels.min() >= 0 and labels.max() < k
        sizes = getattr(model, "cluster_sizes_", None)
        if sizes is not None:
            assert sizes.shape == (k,) and (sizes >= 0).all()
    for name in ("memberships_", "posteriors_", "label_marginals_", "assignments_"):
        shares = getattr(model, name, None)
        if shares is not None:
            assert (shares >= 0).all(), name
            np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5, err_msg=name)
    inertia = getattr(model, "inertia_", None)
    assert inertia is None or inertia >= 0


def assert_answers(model, X, y):
    """Whatever is asked of a fitted estimator is finite, and of the documented range."""
    for name in ASKED:
        if not hasattr(model, name):
            continue
        with arithmetic_of(model):
            answer = outcome(getattr(model, name), X)
        if isinstance(answer, Refused):
            assert_clear(answer)
            continue
        assert_finite(name, answer)
        if name in ("predict_proba", "domain_probabilities"):
            assert (answer >= 0).all(), name
            np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5, err_msg=name)
        if name == "predict" and hasattr(model, "classes_") and not hasattr(model, "parent_"):
            assert np.isin(answer, model.classes_).all()
    if not hasattr(model, "score"):
        return
    arguments = (X, y) if takes_labels(model) or isinstance(model, LatentLabelShift) else (X,)
    with arithmetic_of(model):
        assert_finite("score", outcome(model.score, *arguments))


def promises_same_labels(model):
    """Tell whether predict of the training rows is documented to be labels_."""
    names = ("KMeans", "SphericalKMeans", "LikelihoodAdjustedSDP", "MiniBatchKMeans")
    return type(model).__name__ in names or isinstance(model, LikelihoodAdjustedSDP)

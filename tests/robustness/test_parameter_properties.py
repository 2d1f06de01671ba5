"""Every parameter of every estimator given what its docstring rules out: one error that names it.

The table of estimators has settings that run through different code, each of which must look at
each parameter before anything is fitted, whether it will use it or not.
"""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from clusterlib.cluster import BalancedKMeans, KMeans, LikelihoodAdjustedSDP, SinkhornClustering
from clusterlib.decomposition import SimplexNMF
from clusterlib.imbalance import NoisyLabelClassifier
from clusterlib.label_shift import LatentLabelShift
from clusterlib.transport import OTPrototypeClassifier, SinkhornTransport
from tests.estimators.cases import ESTIMATORS, blobs
from tests.robustness import fitting
from tests.robustness.fitting import IDS
from tests.test_docstrings import entries, sections

X, Y = blobs(60)
X = np.abs(X)  # for factorisations
BEYOND_FLOATS = 10**400
FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

# A value, and the words of a documented type that let it pass.
WRONG = [
    (object(), set()),
    (1 + 2j, set()),
    (b"bytes", set()),
    ({}, set()),
    ([], set()),
    ([[1.0, np.nan]], set()),
    (-1, set()),
    (-2.5, set()),
    ("no such word", {"str"}),
    (np.nan, {"nan"}),
    (np.inf, {"inf"}),
    (None, {"None"}),
    (True, {"bool"}),
    (1, {"int", "float"}),
    (2.5, {"float"}),
    (BEYOND_FLOATS, {"int"}),
]
# Infinity has a meaning that the description tells.
INFINITE = {"shrinkage", "marginal_penalty", "rho_a", "rho_b"}
ARRAY = re.compile(r"array-like( of int)?( of (the )?shape ([(].*?[)]|of \S+))?")


def documented_types(estimator):
    """Words of the type of each parameter, and what its default is."""
    found = {}
    for names, kind, _ in entries(sections(type(estimator).__doc__)["Parameters"]):
        words = set(re.findall(r"\w+", ARRAY.sub("", kind.replace("default=", ""))))
        found |= dict.fromkeys(names, words)
    for name in INFINITE & set(found):
        found[name].add("inf")
    if "verbose" in found:
        found["verbose"].add("bool")
    if "random_state" in found:
        found["random_state"].add("bool")  # scikit-learn takes it for a number
    return found


def fitted(estimator, /, **parameters):
    """Fit a copy; return it and the error, if there was one."""
    model = clone(estimator)
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=0)
    model.set_params(**parameters)
    arguments = {"target": X} if isinstance(model, SinkhornTransport) else {}
    if fitting.takes_labels(model) or isinstance(model, LatentLabelShift):
        arguments["y"] = Y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return model.fit(X, **arguments), None
        except FAULTS as error:
            return model, error


def fault(model, error, name):
    """What is wrong with how a parameter was refused, or None."""
    if error is None:
        return "taken"
    if type(error) not in (TypeError, ValueError):
        return f"{type(error).__name__}: {error}"
    if not re.search(rf"\b{name}\b", str(error)):
        return f"not named: {error}"
    if fitting.fitted_state(model):
        return f"left {sorted(fitting.fitted_state(model))}"
    return None


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=IDS)
def test_what_the_docstring_rules_out_is_refused_by_name(estimator):
    faults, n_tried = [], 0
    for name, words in documented_types(estimator).items():
        for value, passes in WRONG:
            if not passes & words:
                n_tried += 1
                found = fault(*fitted(estimator, **{name: value}), name)
                if found:
                    faults.append(f"{name}={str(value)[:40]} of {sorted(words)}: {found}")
    assert not faults, "\n".join(faults)
    assert n_tried > 8 * len(estimator.get_params(deep=False))


def nearest(value, towards, kind):
    return value + (1 if towards > value else -1) if kind == "int" else np.nextafter(value, towards)


ONE_OF_EACH = list({type(estimator): estimator for estimator in reversed(ESTIMATORS)}.values())


def named_interval(estimator, name):
    """The interval in the error that a value far too low brings: kind, brackets and ends."""
    _, error = fitted(estimator, **{name: -(10**6)})
    pattern = r"(int|float) in ([\[(])([-.\de]+), (?:\w+=)?([-.\de]+|inf)([\])])"
    return re.search(pattern, str(error))


@pytest.mark.parametrize("estimator", ONE_OF_EACH, ids=lambda model: type(model).__name__)
def test_the_interval_that_an_error_names_is_the_one_that_is_checked(estimator):
    faults, n_tried = [], 0
    for name in set(documented_types(estimator)) - {"random_state"}:
        found = named_interval(estimator, name)
        if not found:
            continue
        kind, left, low, high, right = found.groups()
        of_kind = {"int": int, "float": float}[kind]
        ends = [(of_kind(low), -np.inf, left == "[")]
        if high != "inf":
            ends.append((of_kind(high), np.inf, right == "]"))
        for end, outside, belongs in ends:
            n_tried += 1
            _, error = fitted(estimator, **{name: nearest(end, outside, kind)})
            if found.group() not in str(error):
                faults.append(f"{name} beyond {end} of {found.group()}: {error}")
            _, error = fitted(estimator, **{name: end})
            if (found.group() in str(error)) is belongs:
                faults.append(f"{name}={end} of {found.group()}: {error}")
    assert not faults, "\n".join(faults)
    assert n_tried or not {"n_clusters", "n_components", "tol"} & set(estimator.get_params())


def numpy_value(value):
    """The same as a scalar of NumPy."""
    if isinstance(value, bool):
        return np.bool_(value)
    return np.asarray(value)[()] if isinstance(value, int | float | str) else value


@pytest.mark.parametrize("estimator", ONE_OF_EACH, ids=lambda model: type(model).__name__)
def test_scalars_of_numpy_are_numbers_flags_and_words(estimator):
    parameters = {
        name: numpy_value(value) for name, value in estimator.get_params(deep=False).items()
    }
    parameters.pop("random_state", None)
    model, error = fitted(estimator, **parameters)
    expected, other = fitted(estimator)
    assert error is None and other is None
    fitting.assert_same_state(model, expected)


@pytest.mark.parametrize(
    ("model", "arguments", "name"),
    [
        (KMeans(2), {"X": [[BEYOND_FLOATS, 1], [1, 1]]}, "X"),
        (SimplexNMF(2), {"X": [[BEYOND_FLOATS, 1], [1, 1]]}, "X"),
        (KMeans(2), {"sample_weight": BEYOND_FLOATS}, "sample_weight"),
        (BalancedKMeans(2, init=[[BEYOND_FLOATS] * 3] * 2), {}, "init"),
        (SimplexNMF(2, init=[[BEYOND_FLOATS] * 3] * 2), {}, "init"),
        (SimplexNMF(2), {"cell_weight": np.full(X.shape, BEYOND_FLOATS)}, "cell_weight"),
        (LikelihoodAdjustedSDP(2, covariances=[BEYOND_FLOATS, 1]), {}, "covariances"),
        (SinkhornClustering(2, prior=[BEYOND_FLOATS, 1]), {}, "prior"),
        (NoisyLabelClassifier(prior=[BEYOND_FLOATS, 1, 1]), {"y": Y}, "prior"),
        (OTPrototypeClassifier(marginals=[BEYOND_FLOATS, 1, 1]), {"y": Y}, "marginals"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_integers_beyond_all_floats_are_refused_by_name(model, arguments, name):
    with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b.*too large"):
        model.fit(**({"X": X} | arguments))

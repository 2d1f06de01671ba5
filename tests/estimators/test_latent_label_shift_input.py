"""Bad and unusual input of LatentLabelShift."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.svm import LinearSVC

from clusterlib.label_shift import IdentifiabilityWarning, LatentLabelShift
from tests.estimators.test_latent_label_shift import UNIDENTIFIED, blobs_in_domains
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

DATA = blobs_in_domains(n=1200)
X, D = DATA.X, DATA.domains
NUMBERS = ["label_marginals_", "class_prior_", "domain_given_class_", "posteriors_"]


def model(**options):
    return LatentLabelShift(**({"n_classes": 3, "random_state": 0, "n_init": 2} | options))


def assert_sound(fitted):
    for name in NUMBERS:
        values = getattr(fitted, name)
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert_allclose(fitted.label_marginals_.sum(axis=1), 1, rtol=1e-9)
    assert np.isfinite(fitted.log_likelihood_)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("n_classes", 0, ValueError, r"n_classes must be 'auto' or an int in \[1, inf\); got 0"),
        ("n_classes", 2.0, TypeError, "n_classes must be 'auto' or an int .* got 2.0"),
        ("n_classes", "all", ValueError, "n_classes must be 'auto' or an int .* got 'all'"),
        ("n_classes", 7, ValueError, "n_classes=7 must not be above the number of domains, 6: the"),
        ("method", "DDFA", ValueError, "method must be one of 'tempered', 'ddfa'; got 'DDFA'"),
        ("method", None, TypeError, "method must be one of"),
        ("discriminator", "svm", ValueError, "'auto', 'neighbors', 'logistic' or a classifier"),
        ("discriminator", None, TypeError, "discriminator must be one of .* got None"),
        ("discriminator", LinearSVC(), TypeError, "discriminator must have predict_proba; Linear"),
        ("discriminator", LinearSVC, TypeError, "discriminator must be one of"),
        (
            "cross_fit",
            1,
            ValueError,
            r"cross_fit must be True, False or an int in \[2, inf\); got 1",
        ),
        ("cross_fit", "yes", TypeError, "cross_fit must be True, False or an int"),
        ("n_clusters", 0, ValueError, r"n_clusters must be 'auto' or an int in \[1, inf\); got 0"),
        ("n_clusters", 3.0, TypeError, "n_clusters must be 'auto' or an int"),
        ("factorizer", "spa", ValueError, "factorizer must be one of 'nmf', 'anchor'; got 'spa'"),
        ("adjust", "clip", ValueError, "adjust must be one of 'pinv', 'kl'; got 'clip'"),
        (
            "domain_shares",
            "equal",
            ValueError,
            "must be one of 'empirical', 'uniform'; got 'equal'",
        ),
        ("student", "mlp", ValueError, "student must be None, one of 'auto' or a classifier"),
        ("student", LinearSVC(), TypeError, "student must have predict_proba"),
        (
            "n_neighbors",
            0,
            ValueError,
            r"n_neighbors must be 'auto' or an int in \[1, inf\); got 0",
        ),
        ("tau", 0, ValueError, r"tau must be 'auto' or a float in \(0, inf\); got 0"),
        ("tau", np.nan, ValueError, "tau must be 'auto' or a float .* got nan"),
        ("tau", "none", ValueError, "tau must be 'auto' or a float .* got 'none'"),
        ("n_micro_clusters", 0, ValueError, r"n_micro_clusters must be 'auto' or an int in \[1, "),
        ("n_micro_clusters", 2, ValueError, r"an int in \[3, n_samples=\d+\]; got 2"),
        ("beta", -1.0, ValueError, r"beta must be a float in \(0, inf\); got -1.0"),
        ("beta", "hard", TypeError, "beta must be a float"),
        ("n_init", 0, ValueError, r"n_init must be 'auto' or an int in \[1, inf\); got 0"),
        ("max_iter", 0, ValueError, r"max_iter must be 'auto' or an int in \[1, inf\); got 0"),
        ("tol", -1e-3, ValueError, r"tol must be a float in \[0, inf\)"),
        ("verbose", "yes", TypeError, "verbose"),
        ("random_state", "seed", ValueError, "seed"),
    ],
)
def test_parameters(name, value, error, message):
    estimator = model(**{name: value})
    with pytest.raises(error, match=message):
        estimator.fit(X, D)
    assert not hasattr(estimator, "labels_")
    assert not hasattr(estimator, "n_features_in_")


def with_value(value):
    bad = X.copy()
    bad[7, 1] = value
    return bad


@pytest.mark.parametrize(
    ("data", "domains", "message"),
    [
        (X[:, 0], D, "2D array"),
        (X[:0], D[:0], "0 sample"),
        (X[:, :0], D, "0 feature"),
        (with_value(np.nan), D, "NaN"),
        (with_value(np.inf), D, "infinity"),
        (X, D[:-1], "inconsistent numbers of samples"),
        (X, np.zeros(len(X), dtype=int), "y must hold at least 2 domains.*told apart by how often"),
        (X, X[:, 0], "y must hold the domain of each row, a name or a whole number; got .* row 0"),
        (X, np.where(D == 1, np.nan, D), "Input y contains NaN"),
        (X, np.c_[D, D], "1d array"),
        (np.full_like(X, 7.0), D, "all rows of X are the same"),
    ],
)
def test_data(data, domains, message):
    estimator = model()
    with pytest.raises(ValueError, match=message):
        estimator.fit(data, domains)
    assert not hasattr(estimator, "labels_")


def test_no_domains():
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        model().fit(X, None)
    with pytest.raises(TypeError, match="y"):
        model().fit(X)


def test_domains_that_cannot_be_sorted():
    domains = np.array([1, "a"] * (len(X) // 2) + [None] * (len(X) % 2), dtype=object)
    with pytest.raises((TypeError, ValueError), match="sorted|NaN|None"):
        model().fit(X, domains)


def test_sparse_rows():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="[Ss]parse"):
        model().fit(sparse.csr_array(X), D)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "adapt"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(model(), method)(X)


FITTED = model().fit(X, np.array(list("abcdef"))[D])


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_domains_of_new_rows(method):
    function = getattr(FITTED, method)
    with pytest.raises(ValueError, match="domain has 'g', which was not seen by fit.*with adapt"):
        function(X[:3], domain="g")
    with pytest.raises(ValueError, match="domain has 'g'"):
        function(X[:3], domain=["a", "b", "g"])
    with pytest.raises(ValueError, match="domain has 0, which"):
        function(X[:3], domain=0)
    with pytest.raises(ValueError, match=r"\(n_samples,\)=\(3,\), one for each row; got \(2,\)"):
        function(X[:3], domain=["a", "b"])
    with pytest.raises(ValueError, match="expecting 6 features"):
        function(X[:3, :5], domain="a")
    with pytest.raises(ValueError, match="NaN"):
        function(with_value(np.nan), domain="a")


def test_names_of_new_domains():
    with pytest.raises(ValueError, match="domain 'a' was seen by fit.*label_marginals_"):
        FITTED.adapt(X[:5], domain="a")
    with pytest.raises(ValueError, match="domain must be the name of one new domain"):
        FITTED.adapt(X[:5], domain=["x", "y"])
    with pytest.raises(ValueError, match="NaN"):
        FITTED.adapt(with_value(np.nan))


@pytest.mark.parametrize("factorizer", ["nmf", "anchor"])
def test_fewer_clusters_than_classes(factorizer):
    estimator = model(method="ddfa", factorizer=factorizer, n_clusters=2)
    with pytest.raises(ValueError, match=r"n_clusters must be an int in \[n_classes=3, .* got 2"):
        estimator.fit(X, D)
    with pytest.raises(ValueError, match="n_clusters must be an int .* got 5000"):
        estimator.set_params(n_clusters=5000).fit(X, D)


class Broken(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are none."""

    def __init__(self, fault="sum"):
        self.fault = fault

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        found = np.full((len(X), len(self.classes_)), 1.0 / len(self.classes_))
        if self.fault == "shape":
            return found[:, 1:]
        found[0, 0] += {"sum": 0.5, "nan": np.nan, "negative": -1.0}[self.fault]
        return found


@pytest.mark.parametrize("fault", ["sum", "nan", "negative", "shape"])
@pytest.mark.parametrize("part", ["discriminator", "student"])
def test_classifiers_whose_probabilities_are_none(part, fault):
    with pytest.raises(ValueError, match=f"{part}: predict_proba must"):
        model(**{part: Broken(fault)}).fit(X, D)


@UNIDENTIFIED
def test_an_early_end_warns_once():
    with pytest.warns(ConvergenceWarning) as caught:
        fitted = model(max_iter=1, tol=0.0, n_neighbors=10).fit(X, D)
    assert len(caught) == 1
    assert "did not converge in 1 iterations. Raise max_iter or tol" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert_sound(fitted)


# What is unusual but not bad.


@pytest.mark.parametrize("options", [{}, {"method": "ddfa"}, {"discriminator": "logistic"}])
def test_domains_with_one_row(options):
    domains = D.copy()
    domains[0], domains[1] = 17, 18
    fitted = model(**options).fit(X, domains)
    assert fitted.domains_.tolist() == [0, 1, 2, 3, 4, 5, 17, 18]
    assert_sound(fitted)
    assert fitted.predict(X[:4], domain=17).shape == (4,)


@UNIDENTIFIED
@pytest.mark.parametrize("student", [None, "auto"])
@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_fewer_rows_than_neighbours(n, student):
    rng = np.random.default_rng(0)
    fitted = model(n_classes=2, student=student).fit(rng.normal(size=(n, 2)), np.arange(n) % 2)
    assert_sound(fitted)
    assert fitted.transform(np.zeros((1, 2))).shape == (1, 2)


# What a classifier of scikit-learn says of so many classes.
@UNIDENTIFIED
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater")
def test_every_row_a_domain_of_its_own():
    for options in ({}, {"method": "ddfa"}):
        assert_sound(model(**options).fit(X[:30], np.arange(30)))


def test_one_class():
    fitted = model(n_classes=1).fit(X, D)
    assert_array_equal(fitted.labels_, 0)
    assert_array_equal(fitted.label_marginals_, np.ones((6, 1)))
    assert_allclose(fitted.domain_given_class_[:, 0], fitted.domain_shares_, atol=1e-3)


@UNIDENTIFIED
def test_as_many_classes_as_domains():
    assert_sound(model(n_classes=6).fit(X, D))


@UNIDENTIFIED
def test_one_feature_and_constant_features():
    assert_sound(model(n_classes=2).fit(X[:, :1], D))
    with_constant = np.c_[X, np.full(len(X), 5.0)]
    fitted = model().fit(with_constant, D)
    assert np.mean(fitted.labels_ == model().fit(X, D).labels_) > 0.99


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("options", [{}, {"method": "ddfa"}, {"n_classes": "auto"}])
def test_domains_without_a_shift(options):
    domains = np.random.default_rng(0).permutation(D)
    fitted = LatentLabelShift(**({"n_classes": 3, "random_state": 0} | options))
    with pytest.warns(IdentifiabilityWarning, match="hardly identified.*hardly differ") as caught:
        fitted.fit(X, domains)
    assert caught[0].filename == __file__
    assert fitted.n_classes_ == 1 or not fitted.report_.identified
    assert_sound(fitted)


@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
def test_layouts_change_no_bit(layout, tmp_path):
    other = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    one, two = model().fit(X, D), model().fit(other, D)
    assert_array_equal(one.posteriors_, two.posteriors_)
    assert_array_equal(one.predict_proba(X[:20], 3), two.predict_proba(X[:20], 3))


def test_rows_far_from_all_others():
    data = X.copy()
    data[5] = 1e9
    fitted = model().fit(data, D)
    assert_sound(fitted)
    assert np.isfinite(fitted.predict_proba([[1e9] * 6, [-1e9] * 6], domain=0)).all()


def test_single_precision_and_double_meet():
    narrow = model().fit(X.astype(np.float32), D)
    assert_array_equal(narrow.predict(X), narrow.predict(X.astype(np.float32)))


@pytest.mark.parametrize("unit", ["M", "D", "s", "ns"])
def test_domains_may_be_dates(unit):
    months = (np.datetime64("2026-01", "M") + D).astype(f"M8[{unit}]")
    fitted, known = model().fit(X, months), model().fit(X, D)
    assert fitted.domains_.dtype == months.dtype
    assert_array_equal(fitted.labels_, known.labels_)
    for march in (np.datetime64("2026-03-01"), np.datetime64("2026-03", "ns")):
        assert_array_equal(fitted.predict(X, domain=march), known.predict(X, domain=2))
    assert_array_equal(fitted.predict(X, domain=months), known.predict(X, domain=D))
    with pytest.raises(ValueError, match="was seen by fit"):
        fitted.adapt(X[:9], domain=np.datetime64("2026-03-01"))


def test_a_missing_date_is_no_domain():
    months = np.datetime64("2026-01", "M") + D
    months[7] = "NaT"
    with pytest.raises(ValueError, match="y must hold a domain for each row; got NaT in row 7"):
        model().fit(X, months)


@pytest.mark.parametrize("use", ["adapt", "predict"])
def test_what_has_no_hash_is_no_name(use):
    with pytest.raises(TypeError, match="domain must .* unhashable"):
        getattr(model().fit(X, D), use)(X[:9], domain={"a": 1})


def test_clusters_of_the_published_procedure_do_not_bound_the_classes_of_another():
    chosen = model(n_classes="auto").fit(X, D).n_classes_
    assert model(n_classes="auto", n_clusters=1).fit(X, D).n_classes_ == chosen > 1

"""What LatentLabelShift says of itself: number of classes, report, intervals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from clusterlib.label_shift import IdentifiabilityWarning, LatentLabelShift
from clusterlib.metrics import latent_label_shift_scores
from tests.estimators.test_latent_label_shift import DATA, blobs_in_domains, model, scores

FITTED = model().fit(DATA.X, DATA.domains)


# How many classes.


@pytest.mark.parametrize("options", [{}, {"method": "ddfa"}, {"n_micro_clusters": 150}])
def test_the_number_of_classes_is_chosen(options):
    X, domains = DATA.X[::2], DATA.domains[::2]
    fitted = LatentLabelShift(random_state=0, max_iter=2000, **options).fit(X, domains)
    choice = fitted.class_choice_
    assert fitted.n_classes_ == choice.n_classes == 3
    assert fitted.label_marginals_.shape == (6, 3)
    assert choice.sure
    assert choice.candidates.tolist() == sorted(set(choice.candidates))
    assert len(choice.scores) == len(choice.candidates)
    assert FITTED.class_choice_ is None


def test_fewer_clusters_limit_the_choice():
    fitted = LatentLabelShift(method="ddfa", n_clusters=2, random_state=0)
    assert fitted.fit(DATA.X[::3], DATA.domains[::3]).n_classes_ == 2


# Whether they are identified.


def test_the_report_of_clear_classes_has_nothing_against_them():
    report = FITTED.report_
    assert report.identified
    assert report.reasons == ()
    assert report.shift_strength > 0.1
    assert report.rank_classes == 3
    assert report.expected_accuracy is None
    assert_allclose(report.smallest_share, FITTED.class_prior_.min())
    largest = FITTED.domain_shares_ @ FITTED.label_marginals_.max(axis=1)
    assert_allclose(report.domain_accuracy, largest)
    assert_allclose(report.condition_number, np.linalg.cond(FITTED.label_marginals_))


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("options", [{}, {"n_micro_clusters": 100}])
def test_domains_that_hardly_differ_are_reported(options):
    data = blobs_in_domains(n=3000, alpha=100.0, max_condition=None)
    fitted = model(**options)
    with pytest.warns(IdentifiabilityWarning) as caught:
        fitted.fit(data.X, data.domains)
    caught = [each for each in caught if each.category is IdentifiabilityWarning]
    assert len(caught) == 1
    assert not fitted.report_.identified
    for reason in fitted.report_.reasons:
        assert reason in str(caught[0].message)
    assert caught[0].filename == __file__


def test_refits_tell_the_accuracy_without_labels():
    data = blobs_in_domains(n=2500, noise=2.0)
    fitted = model().fit(data.X, data.domains)
    report = fitted.diagnose(5)
    assert abs(report.expected_accuracy - scores(fitted, data).accuracy) < 0.08
    assert report._replace(expected_accuracy=None) == fitted.report_


# How far the shares may be wrong.


def test_intervals_hold_the_shares():
    intervals = FITTED.label_marginals_interval(0.95, n_refits=4)
    lower, upper, corrected = intervals
    assert lower.shape == upper.shape == corrected.shape == (6, 3)
    assert (lower >= 0).all()
    assert (lower <= corrected).all()
    assert (corrected <= upper).all()
    assert (upper <= 1).all()
    assert_allclose(corrected.sum(axis=1), 1, rtol=1e-9)
    classes = latent_label_shift_scores(
        DATA.y, FITTED.labels_, DATA.label_marginals, FITTED.label_marginals_
    ).class_of_label
    true = DATA.label_marginals[:, classes]
    assert np.mean((lower <= true) & (true <= upper)) > 0.8
    assert np.mean(upper - lower) < 0.2
    wide = FITTED.label_marginals_interval(0.999, n_refits=4)
    assert (wide.lower <= lower).all()
    assert (wide.upper >= upper).all()
    assert (wide.upper - wide.lower).sum() > (upper - lower).sum()


def test_intervals_of_the_rows_are_narrower_than_those_of_their_source():
    source, rows = (
        FITTED.label_marginals_interval(n_refits=4, sampled_fraction=part) for part in (0.0, 1.0)
    )
    widths = [intervals.upper - intervals.lower for intervals in (source, rows)]
    assert np.all(widths[1] <= widths[0]) and widths[1].mean() < 0.7 * widths[0].mean()
    np.testing.assert_array_equal(source.corrected, rows.corrected)


def test_intervals_are_repeatable_and_change_nothing():
    fitted = model(n_init=2).fit(DATA.X[::2], DATA.domains[::2])
    marginals = fitted.label_marginals_.copy()
    first = fitted.label_marginals_interval(n_refits=2)
    again = clone(fitted).fit(DATA.X[::2], DATA.domains[::2]).label_marginals_interval(n_refits=2)
    for one, other in zip(first, again, strict=True):
        assert_array_equal(one, other)
    assert_array_equal(fitted.label_marginals_, marginals)
    refitted = fitted.fit(DATA.X[1::2], DATA.domains[1::2]).label_marginals_interval(n_refits=2)
    assert (refitted.lower != first.lower).any()


@pytest.mark.parametrize(
    "options", [{"method": "ddfa"}, {"n_micro_clusters": 100}, {"discriminator": "logistic"}]
)
def test_refits_are_refused_where_there_are_none(options):
    fitted = model(max_iter=2000, **options).fit(DATA.X, DATA.domains)
    for method in (fitted.diagnose, fitted.label_marginals_interval):
        with pytest.raises(ValueError, match="method='tempered' with discriminator='neighbors'"):
            method()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"level": 1.0}, ValueError, r"level must be a float in \(0, 1\); got 1.0"),
        ({"level": 0.0}, ValueError, r"level must be a float in \(0, 1\); got 0.0"),
        ({"level": "95%"}, TypeError, "level must be a float"),
        ({"n_refits": 1}, ValueError, r"n_refits must be an int in \[2, inf\); got 1"),
        ({"n_refits": 2.5}, TypeError, "n_refits must be an int"),
        ({"sampled_fraction": 1.5}, ValueError, r"sampled_fraction must be a float in \[0, 1\]"),
    ],
)
def test_parameters_of_intervals(options, error, message):
    with pytest.raises(error, match=message):
        FITTED.label_marginals_interval(**options)


def test_diagnoses_need_a_fit():
    for method in (model().diagnose, model().label_marginals_interval):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            method()

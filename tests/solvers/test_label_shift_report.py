"""The report on a fit: strength of the shift, what it flags, and each reason for it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.domain_neighbors import domain_histograms, nearest_other_rows
from clusterlib.solvers.domain_rank import class_margin, domain_rank
from clusterlib.solvers.domain_vertices import domain_counts
from clusterlib.solvers.label_shift import class_agreement, tempered_label_shift
from clusterlib.solvers.label_shift_choice import cluster_domain_table
from clusterlib.solvers.label_shift_folds import left_out_log_likelihoods
from clusterlib.solvers.label_shift_report import label_shift_report, shift_strength
from clusterlib.solvers.row_classes import RowClasses
from clusterlib.solvers.simulated_shift import SimulatedRefits, simulated_refits


def planted(strength, k=3, r=6, n=900, seed=0):
    """Separated balls; shares of the domains between all alike and one class each."""
    rng = np.random.default_rng(seed)
    shares = strength * np.eye(k)[np.arange(r) % k] + (1 - strength) / k
    domains = rng.integers(0, r, n).astype(np.int32)
    classes = (rng.random(n)[:, None] > shares.cumsum(axis=1)[domains][:, :-1]).sum(axis=1)
    X = 7.0 * np.eye(k, 8)[classes] + rng.normal(size=(n, 8))
    return nearest_other_rows(X, 30), domains, classes


def fitted(near, domains, k=3, seed=0):
    rng = np.random.default_rng(seed)
    r = int(domains.max()) + 1
    f = domain_histograms(near, domains, r)
    fit = tempered_label_shift(f, near[:, :10].copy(), domains, r, k, rng=rng, n_starts=4)
    return fit, cluster_domain_table(f, domains, r, rng)


def judged(fit, table, domains, **options):
    arrays = fit.pooled, fit.domain_given_class, fit.marginals
    options.setdefault("start_agreement", fit.start_agreement)
    return label_shift_report(*arrays, domains, table, **options)


def strength_of(near, domains, k=3):
    r = int(domains.max()) + 1
    return shift_strength(near, domains, r, k, rng=np.random.default_rng(0), n_starts=2)


def test_shift_is_identified_and_its_absence_is_not():
    for amount, identified in ((0.6, True), (0.0, False)):
        near, domains, _ = planted(amount, n=600)
        fit, table = fitted(near, domains)
        strength = strength_of(near, domains)
        report = judged(fit, table, domains, strength=strength)
        assert report.identified == identified
        assert (len(report.reasons) == 0) == identified
        assert report.shift_strength == strength
        assert report.rank_classes == (3 if identified else 1)


def test_strength_is_the_information_of_the_classes():
    """Where classes are plain, their domains are known as well as the shares allow."""
    near, domains, classes = planted(0.5, n=4000)
    counts = domain_counts(domains, classes, 6, 3) / len(domains)
    outer = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0)
    information = (counts * np.log(counts / outer)).sum()
    # Two directions; less than 1 % of the rows is misread, and the folds know a little less.
    assert_allclose(strength_of(near, domains), information, rtol=0.1)


def test_strength_without_shift_is_nothing_in_few_dimensions():
    rng = np.random.default_rng(0)
    near = nearest_other_rows(rng.normal(size=(800, 2)), 30)
    domains = rng.integers(0, 8, 800).astype(np.int32)
    assert strength_of(near, domains, k=4) < 0.01
    assert strength_of(near, domains, k=1) == 0.0


def test_measures_of_a_plain_fit():
    near, domains, classes = planted(0.6)
    fit, table = fitted(near, domains)
    report = judged(fit, table, domains)
    shares = domain_counts(domains, classes, 6, 3)
    shares /= shares.sum(axis=1, keepdims=True)
    rows = np.bincount(domains)
    assert_allclose(report.domain_accuracy, rows @ shares.max(axis=1) / 900, atol=0.01)
    assert_allclose(report.condition_number, np.linalg.cond(shares), rtol=0.1)
    assert_allclose(report.smallest_share, np.bincount(classes).min() / 900, atol=0.01)
    floor = np.sqrt(2 / np.pi * shares * (1 - shares) / rows[:, None]).mean()
    assert_allclose(report.label_floor, floor, rtol=0.05)
    assert report.mean_entropy < 0.1
    assert report.class_margin > 1.0
    assert report.expected_accuracy is None
    assert report.identified


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"strength": 0.01}, "shift strength 0.010"),
        ({"start_agreement": 0.5}, "50% of the labels"),
        ({"refits": SimulatedRefits(np.zeros((2, 6, 3)), np.array([0.5, 0.7]))}, "60% of the"),
    ],
)
def test_each_reason_is_said(options, word):
    near, domains, _ = planted(0.6)
    fit, table = fitted(near, domains)
    report = judged(fit, table, domains, **options)
    assert not report.identified
    assert len(report.reasons) == 1
    assert word in report.reasons[0]


def test_a_class_without_rows_is_said():
    near, domains, _ = planted(0.6)
    fit, table = fitted(near, domains)
    marginals = np.column_stack([fit.marginals[:, :2], np.zeros(6), fit.marginals[:, 2]])
    pooled = np.column_stack([fit.pooled[:, :2], np.zeros(900), fit.pooled[:, 2]])
    D = np.column_stack([fit.domain_given_class[:, :2], np.full(6, 1 / 6), np.ones(6) / 6])
    report = label_shift_report(pooled, D, marginals, domains, table, strength=1.0)
    assert report.smallest_share == 0.0
    assert "smallest class has 0.0 rows" in report.reasons[0]


def test_refits_tell_how_good_a_fit_is():
    """Classes that overlap: the accuracy of the refits is near the true one."""
    rng = np.random.default_rng(3)
    shares = 0.6 * np.eye(3)[np.arange(9) % 3] + 0.4 / 3
    domains = rng.integers(0, 9, 1500).astype(np.int32)
    classes = (rng.random(1500)[:, None] > shares.cumsum(axis=1)[domains][:, :-1]).sum(axis=1)
    X = 3.2 * np.eye(3)[classes] + rng.normal(size=(1500, 3))
    near = nearest_other_rows(X, 30)
    fit, _ = fitted(near, domains)
    accuracy = class_agreement(fit.posteriors.argmax(axis=1), classes, 3)
    options = {"rng": np.random.default_rng(0), "n_refits": 3, "n_starts": 3}
    refits = simulated_refits(fit.posteriors, fit.domain_given_class, near, domains, **options)
    assert 0.8 < accuracy < 0.98
    assert abs(refits.accuracies.mean() - accuracy) < 0.05
    assert refits.errors.shape == (3, 9, 3)
    # Shares of refit and draw both sum to 1.
    assert_allclose(refits.errors.sum(axis=2), 0.0, atol=1e-9)
    options["rng"] = np.random.default_rng(0)
    again = simulated_refits(fit.posteriors, fit.domain_given_class, near, domains, **options)
    assert again.errors.tobytes() == refits.errors.tobytes()


def test_domains_of_one_row_keep_one():
    near, domains, classes = planted(0.6, n=300)
    domains[:4] = [6, 7, 8, 9]
    D = np.full((10, 3), 0.25 / 600)
    D[:6] = (1 - D[6:].sum(axis=0)) / 6
    refits = simulated_refits(
        np.eye(3)[classes], D, near, domains, rng=np.random.default_rng(0), n_refits=2, n_starts=1
    )
    assert np.isfinite(refits.errors).all()


def test_strength_is_nothing_where_no_row_can_be_left_out():
    near = nearest_other_rows(np.random.default_rng(0).normal(size=(40, 2)), 30)
    domains = np.arange(40, dtype=np.int32)
    assert shift_strength(near, domains, 40, 2, rng=np.random.default_rng(0)) == 0.0


def random_fit(n=400, r=5, k=3, seed=0):
    """Numbers that could be those of a fit, and a table of clusters."""
    rng = np.random.default_rng(seed)
    pooled, D = rng.dirichlet(np.ones(k), n), rng.dirichlet(np.ones(r), k).T
    pooled[0] = np.eye(k)[0]  # a sure row
    domains = np.r_[np.arange(r), rng.integers(0, r, n - r)].astype(np.int32)
    marginals = rng.dirichlet(np.ones(k), r)
    return pooled, D, marginals, domains, rng.integers(1, 60, (8, r)).astype(float)


def test_every_measure_is_its_definition():
    pooled, D, marginals, domains, table = random_fit()
    report = label_shift_report(pooled, D, marginals, domains, table, start_agreement=0.8)
    rows = np.bincount(domains)
    shares = rows / 400
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies = -np.nansum(pooled * np.log(pooled), axis=1)
    assert_allclose(report.mean_entropy, entropies.mean())
    assert_allclose(report.smallest_share, min(shares @ marginals[:, y] for y in range(3)))
    assert_allclose(report.domain_accuracy, sum(shares[d] * max(marginals[d]) for d in range(5)))
    assert_allclose(report.condition_number, np.linalg.cond(marginals))
    errors = [
        np.sqrt(2 / np.pi * p * (1 - p) / rows[d]) for d in range(5) for p in marginals[d].tolist()
    ]
    assert_allclose(report.label_floor, np.mean(errors))
    assert report.class_margin == class_margin(domain_rank(table), 3)
    assert report.rank_classes == domain_rank(table).n_classes
    assert report.start_agreement == 0.8
    # Nats of the fitted rows over those of the shares, less two parameters for each free domain.
    own = np.sum(pooled * D[domains], axis=1)
    known = blended_log_likelihoods(own, D.mean(axis=1)[domains]).mean()
    gain = known - np.log(shares[domains]).mean() - 2 * 4 / 400
    assert_allclose(report.shift_strength, 2 * gain / 2)
    kept = RowClasses(np.zeros(400, np.int32), own, entropies, shares)
    same = label_shift_report(kept, D, marginals, domains, table, start_agreement=0.8)
    assert_allclose(same[2], report[2])
    assert_allclose(same.mean_entropy, report.mean_entropy)
    one = label_shift_report(
        np.ones((400, 1)), np.full((5, 1), 0.2), np.ones((5, 1)), domains, table
    )
    assert (one.shift_strength, one.identified, one.class_margin) == (0.0, True, np.inf)


def test_strength_of_left_out_rows_is_that_of_its_folds():
    # Rows without classes, so that no two starts end alike.
    near = nearest_other_rows(np.random.default_rng(0).normal(size=(240, 3)), 30)
    domains, rng = (np.arange(240) % 6).astype(np.int32), np.random.default_rng(5)
    found = shift_strength(near, domains, 6, 3, rng=np.random.default_rng(5))
    folds = domain_folds(near, domains, 6, 4, rng=rng, n_averaged=10)
    options = {"tau": 2.0, "beta": 3.0, "n_starts": 3, "max_iter": 40, "tol": 1e-3, "rng": rng}
    three, one = (left_out_log_likelihoods(folds, domains, 6, k, **options) for k in (3, 1))
    assert_allclose(found, three.mean() - one.mean(), rtol=1e-12)  # over (3 - 1) / 2


@pytest.mark.parametrize(
    ("measure", "least", "word"),
    [
        ("strength", 0.036, "hardly differ"),
        ("fitted", 0.042, "hardly differ"),
        ("accuracy", 0.75, "75% are needed"),
        ("agreement", 0.7, "70% are needed"),
        ("rows", 5.0, "5 are needed"),
    ],
)
def test_reasons_begin_where_they_say(measure, least, word):
    pooled, D, marginals, domains, table = random_fit()
    for value in (least * (1 - 1e-6), least * (1 + 1e-6)):
        options = {"strength": 1.0}
        rare = marginals.copy()
        if measure == "strength":
            options["strength"] = value
        elif measure == "fitted":
            # Rows whose own likelihood is all that counts: its mean is the strength and the rest.
            shares = np.bincount(domains) / 400
            level = np.exp(value + np.log(shares[domains]).mean() + 2 * 4 / 400)
            options["strength"] = None
            pooled = RowClasses(np.zeros(400), np.full(400, level), np.ones(400), shares)
        elif measure == "accuracy":
            options["refits"] = SimulatedRefits(np.zeros((1, 5, 3)), np.array([value]))
        elif measure == "agreement":
            options["start_agreement"] = value
        else:
            rare[:] = [value / 400, 0.5, 0.5 - value / 400]
        if measure == "fitted":
            D = np.full((5, 3), 1e-9)  # nothing to mix with
        report = label_shift_report(pooled, D, rare, domains, table, **options)
        assert report.identified == (value > least)
        assert len(report.reasons) == (value < least)
        assert all(word in reason for reason in report.reasons)

"""Choosing a head: factors, the rule of one error, what is planted, and what is unusual."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import (
    HeadKind,
    LabelHead,
    PartKind,
    choose_head,
    fitted_parts,
    head_scores,
    part_scores,
)
from clusterlib.solvers.label_folds import label_folds
from clusterlib.solvers.label_heads import _LeftOut, spread
from tests.solvers.test_label_parts import SHRINKAGES, two_views
from tests.solvers.test_noisy_gaussians import planted


def choice_of(views, codes, n_classes, shrinkages=(20.0,), seed=0, **options):
    """All kinds are compared, unless options say otherwise."""
    rng = np.random.default_rng(seed)
    options = {"kinds": tuple(HeadKind)} | options
    return choose_head(views, codes, n_classes, shrinkages, rng, **options)


def assert_same_choice(one, other):
    assert one.head == other.head and one.heads == other.heads
    assert one.n_scored == other.n_scored
    assert_array_equal(one.scores, other.scores)
    assert_array_equal(one.standard_errors, other.standard_errors)


def taken_by_the_rule(choice):
    """The rule as it is told: the combined head if it is within one error, or else the simplest."""
    losses = choice.scores.max() - choice.scores
    alike = losses <= choice.standard_errors + 1e-10
    combined = [head for head in choice.heads if head.kind is HeadKind.COMBINED]
    if combined and alike[choice.heads.index(combined[0])]:
        return combined[0]
    return choice.heads[int(np.flatnonzero(alike)[0])]


def test_the_combined_head_or_the_simplest_within_one_error_is_taken():
    places = set()
    without = tuple(kind for kind in HeadKind if kind is not HeadKind.COMBINED)
    for seed in range(8):
        X, _, codes, _, _ = planted(n=150, m=3, noise=0.15 * (seed % 3), seed=seed)
        choice = choice_of([X], codes, 4, seed=seed)
        assert choice.head == taken_by_the_rule(choice)
        fewer = choice_of([X], codes, 4, seed=seed, kinds=without)
        assert fewer.head == taken_by_the_rule(fewer)
        best = fewer.heads[int(fewer.scores.argmax())]
        places.add((fewer.head.kind, best.kind))
    assert any(taken is not best for taken, best in places)
    assert len({taken for taken, _ in places}) > 1


@pytest.mark.parametrize("of_labels", [False, True])
def test_factors_undo_what_is_too_sure(of_labels):
    views, codes, weight = two_views()
    parts = fitted_parts(views, codes, 4, SHRINKAGES, {}, sample_weight=weight)
    left_out = _LeftOut(codes, weight, np.zeros(300, dtype=np.intp))
    left_out.add(0, views, parts)
    scores = left_out.scores[PartKind.GAUSSIAN, 1]
    factor, logs = left_out.factor(scores, of_labels=of_labels)
    for scale in (1 / 7, 30):
        found, same = left_out.factor(scale * scores, of_labels=of_labels)
        assert_allclose(scale * found, factor, rtol=0.05)
        assert_allclose(same @ weight, logs @ weight, atol=0.05)
    assert logs @ weight > left_out.logs(scores, of_labels=of_labels) @ weight - 1e-9
    assert_allclose(logs, left_out.logs(factor * scores, of_labels=of_labels))


def test_gaussians_of_few_rows_are_too_sure():
    rng = np.random.default_rng(0)
    codes = np.arange(120) % 3
    X = rng.normal(size=(120, 25)) + 3 * np.eye(25)[codes]
    few = choice_of([X], codes, 3, [1.0], kinds=(HeadKind.GAUSSIAN,))
    assert few.head.factors[0] < 0.5
    codes = np.arange(3000) % 3
    X = rng.normal(size=(3000, 4)) + 2 * np.eye(4)[codes]
    many = choice_of([X], codes, 3, [1000.0], kinds=(HeadKind.GAUSSIAN,))
    assert_allclose(many.head.factors, [1], rtol=0.2)


def crescents(n, seed):
    """Two classes on bent lines: far from Gaussians, but logistic regression parts them."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, size=n)
    along = rng.uniform(-3, 3, size=n)
    side = np.where(codes, along**2 + 0.4, along**2 - 0.4)
    X = np.column_stack([along, along**2, side]) + 0.2 * rng.normal(size=(n, 3))
    return X, codes


def test_a_regression_of_the_labels_is_taken_where_they_are_right():
    X, codes = crescents(400, 0)
    choice = choice_of([X], codes, 2, [15.0])
    assert choice.head.kind is HeadKind.LOGISTIC
    assert choice.scores[2] < choice.scores[0] - 2 * choice.standard_errors[2]


def test_the_noise_model_is_taken_where_it_is_right():
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 3, size=900)
    # One class within the other: no plane parts them. Labels of half of the last class are wrong.
    X = rng.normal(size=(900, 4)) * np.array([0.3, 1.5, 6.0])[classes, None]
    codes = np.where((classes == 2) & (rng.random(900) < 0.4), 0, classes)
    choice = choice_of([X], codes, 3, [20.0])
    assert choice.head.kind is HeadKind.COMBINED
    assert choice.scores[2] > choice.scores[[0, 1, 4]].max() + 0.2
    # It is as good as the noise model because that is nearly all it is.
    assert_allclose(choice.scores[3], choice.scores[2], atol=0.01)
    alone = choice_of([X], codes, 3, [20.0], kinds=(HeadKind.GAUSSIAN, HeadKind.WEIGHTED))
    assert alone.head.kind is HeadKind.GAUSSIAN


def test_scores_of_heads_are_sums():
    views, codes, _ = two_views()
    strengths = {PartKind.WEIGHTED: [0.1], PartKind.TRANSITION: [0.1]}
    parts = fitted_parts(views, codes, 4, SHRINKAGES, strengths)
    names = ((PartKind.GAUSSIAN, 0), (PartKind.GAUSSIAN, 1), (PartKind.WEIGHTED, 0.1))
    head = LabelHead(HeadKind.COMBINED, names, (0.2, 0.3, 1.5))
    new = [rows[:7] + 0.5 for rows in views]
    expected = sum(
        f * part_scores(new, parts, name) for f, name in zip(head.factors, names, strict=True)
    )
    assert_allclose(head_scores(new, parts, head), expected, rtol=1e-12)
    assert head.strengths() == {PartKind.WEIGHTED: [0.1]}
    assert LabelHead(HeadKind.GAUSSIAN, names[:2], (1.0, 1.0)).strengths() == {}


@pytest.mark.parametrize("kind", HeadKind)
def test_one_kind_is_what_it_is_among_all(kind):
    views, codes, _ = two_views(n=90)
    among = choice_of(views, codes, 4, SHRINKAGES)
    place = list(HeadKind).index(kind)
    alone = choice_of(views, codes, 4, SHRINKAGES, kinds=(kind,))
    assert alone.head == among.heads[place] and alone.heads == (alone.head,)
    assert alone.scores == [among.scores[place]] and alone.standard_errors == [0]


def test_kinds_are_compared_from_the_simplest_on():
    views, codes, _ = two_views(n=90)
    kinds = (HeadKind.TRANSITION, HeadKind.GAUSSIAN, HeadKind.LOGISTIC)
    choice = choice_of(views, codes, 4, SHRINKAGES, kinds=kinds)
    assert [head.kind for head in choice.heads] == list(kinds[::-1])


def test_nothing_is_fitted_that_is_not_compared(monkeypatch):
    fitted = []

    def recorded(views, codes, n_classes, shrinkages, strengths, **options):
        fitted.append({kind.value: len(several) for kind, several in strengths.items()})
        return fitted_parts(views, codes, n_classes, shrinkages, strengths, **options)

    monkeypatch.setattr("clusterlib.solvers.label_heads.fitted_parts", recorded)
    views, codes, _ = two_views(n=60)
    expected = {
        HeadKind.LOGISTIC: {"logistic": 4},
        HeadKind.WEIGHTED: {"weighted": 4},
        HeadKind.GAUSSIAN: {},
        HeadKind.COMBINED: {"weighted": 4},
        HeadKind.TRANSITION: {"transition": 3},
    }
    for kind, strengths in expected.items():
        choice_of(views, codes, 4, SHRINKAGES, kinds=(kind,))
        assert fitted == [strengths] * 3
        fitted.clear()


@pytest.mark.parametrize("max_rows", [3000, 60])
def test_weightless_rows_are_absent(max_rows):
    views, codes, weight = two_views(n=150)
    weight[np.random.default_rng(4).random(150) < 0.4] = 0
    counted = weight > 0
    for rows in views:
        rows[~counted] = 1e6
    given = choice_of(views, codes, 4, SHRINKAGES, sample_weight=weight, max_rows=max_rows)
    left = choice_of(
        [rows[counted] for rows in views],
        codes[counted],
        4,
        SHRINKAGES,
        sample_weight=weight[counted],
        max_rows=max_rows,
    )
    assert_same_choice(given, left)
    assert (given.n_scored <= 60) == (max_rows == 60)


def test_weights_of_one_change_no_bit():
    views, codes, _ = two_views(n=90)
    ones = choice_of(views, codes, 4, SHRINKAGES, sample_weight=np.ones(90))
    assert_same_choice(ones, choice_of(views, codes, 4, SHRINKAGES))


def test_many_rows_are_sampled():
    X, _, codes, _, _ = planted(n=600)
    choice = choice_of([X], codes, 4, max_rows=100, kinds=(HeadKind.GAUSSIAN,))
    assert 90 <= choice.n_scored <= 100
    assert choice_of([X], codes, 4, kinds=(HeadKind.GAUSSIAN,)).n_scored == 600


def test_the_generator_decides():
    views, codes, _ = two_views(n=90)
    one, same, other = (choice_of(views, codes, 4, SHRINKAGES, seed) for seed in (0, 0, 1))
    assert_same_choice(one, same)
    assert (one.scores != other.scores).any()


def test_iterations_and_tolerance_are_those_of_the_noise_model():
    X, _, codes, _, _ = planted(n=120)
    kinds = {"kinds": (HeadKind.GAUSSIAN,)}
    short = choice_of([X], codes, 4, max_iter=2, **kinds)
    usual = choice_of([X], codes, 4, **kinds)
    loose = choice_of([X], codes, 4, tol=np.inf, **kinds)
    assert short.scores != usual.scores and loose.scores != usual.scores
    # The first iteration in which the pooled covariance stands.
    assert_array_equal(loose.scores, choice_of([X], codes, 4, max_iter=11, **kinds).scores)


def test_every_fold_is_told():
    views, codes, _ = two_views(n=60)
    told = []
    choice_of(views, codes, 4, SHRINKAGES, kinds=(HeadKind.LOGISTIC,), callback=told.append)
    assert told == [0, 1, 2]


def test_the_numbers_of_the_classes_do_not_matter():
    X, _, codes, _, _ = planted(n=200)
    order = np.array([2, 0, 3, 1])
    parts, other = (
        fitted_parts([X], labels, 4, [20.0], {PartKind.WEIGHTED: [0.1], PartKind.TRANSITION: [0.1]})
        for labels in (codes, order[codes])
    )
    for kind, names in {
        HeadKind.WEIGHTED: ((PartKind.WEIGHTED, 0.1),),
        HeadKind.TRANSITION: ((PartKind.TRANSITION, 0.1),),
        HeadKind.GAUSSIAN: ((PartKind.GAUSSIAN, 0),),
    }.items():
        head = LabelHead(kind, names, (0.7,))
        found, moved = (head_scores([X], fit, head) for fit in (parts, other))
        assert_allclose(moved[:, order], found, rtol=0.02, atol=0.02)


# What is unusual but not bad.


@pytest.mark.parametrize("codes", [[0], [0, 1], [0, 1, 2], [0, 0, 1], [0, 0, 0]])
def test_too_few_rows_to_score(codes):
    X = 2 * np.random.default_rng(0).normal(size=(len(codes), 3))
    unit = spread(X, None)
    choice = choice_of([X, X], np.array(codes), 3, SHRINKAGES)
    usual = (PartKind.LOGISTIC, 0.01 / unit)
    assert choice.head == LabelHead(HeadKind.LOGISTIC, (usual,), (1.0,)) == choice.heads[0]
    gaussians = ((PartKind.GAUSSIAN, 0), (PartKind.GAUSSIAN, 1))
    weighted, transition = (PartKind.WEIGHTED, 0.01 / unit), (PartKind.TRANSITION, 0.01 / unit)
    assert [head.parts for head in choice.heads] == [
        (usual,),
        (weighted,),
        gaussians,
        (*gaussians, weighted),
        (transition,),
    ]
    assert [head.factors for head in choice.heads] == [(1.0,) * n for n in (1, 1, 2, 3, 1)]
    assert np.isnan(choice.scores).all() and np.isnan(choice.standard_errors).all()
    assert choice.n_scored == sum(codes.count(label) > 1 for label in codes)
    gaussian = choice_of([X], np.array(codes), 3, kinds=(HeadKind.GAUSSIAN,))
    assert gaussian.head.kind is HeadKind.GAUSSIAN


def test_a_class_of_one_row():
    X, _, codes, _, _ = planted(n=80)
    X, codes = np.r_[X, np.full((1, 4), 9.0)], np.r_[codes, 4]
    choice = choice_of([X], codes, 5)
    assert choice.n_scored == 80 and np.isfinite(choice.scores).all()
    assert np.isfinite(choice.standard_errors).all()
    # It is not scored, and its weight does not count in the mean of those that are.
    weight = np.r_[np.full(80, 2.0), 500.0]
    left_out = _LeftOut(codes, weight, label_folds(codes, np.random.default_rng(0)))
    assert_array_equal(left_out.share, np.ones(80))


def test_one_class():
    X = np.random.default_rng(0).normal(size=(30, 2))
    choice = choice_of([X], np.zeros(30, dtype=int), 1)
    assert choice.head.kind is HeadKind.COMBINED
    assert_allclose(choice.scores, 0, atol=1e-12)
    assert np.isfinite([f for head in choice.heads for f in head.factors]).all()


@pytest.mark.parametrize("rows", [np.full((40, 3), 3.0), np.zeros((40, 1))])
def test_rows_that_tell_nothing(rows):
    codes = np.arange(40) % 2
    choice = choice_of([rows], codes, 2)
    assert_allclose(choice.scores, -np.log(2), atol=0.06)
    assert choice.head.kind is HeadKind.COMBINED
    assert choice.head.parts[1][1] in (0.001, 0.01, 0.1, 1.0)  # the spread counts as 1


def test_the_spread_is_the_mean_variance():
    X = np.random.default_rng(0).normal(size=(50, 3)) * [1, 2, 3] + 7
    weight = np.arange(50) % 3
    assert_allclose(spread(X, None), X.var(axis=0).mean())
    assert_allclose(spread(X, weight), np.repeat(X, weight, axis=0).var(axis=0).mean())
    assert spread(np.full((4, 2), 5.0), None) == 1
    for scale in (1e-30, 1e30):  # whose squares leave float32
        found = spread((scale * X).astype(np.float32), None)
        assert_allclose(found, scale**2 * X.var(axis=0).mean(), rtol=1e-5)


def test_heads_that_imitate_labels_are_compared_only_if_asked_for():
    X, _, codes, _, _ = planted(n=150, m=3, noise=0.2, seed=0)
    rng = np.random.default_rng(0)
    choice = choose_head([X], codes, 4, (20.0,), rng)
    asked = (HeadKind.WEIGHTED, HeadKind.GAUSSIAN, HeadKind.COMBINED)
    assert [head.kind for head in choice.heads] == list(asked)
    assert_same_choice(choice, choice_of([X], codes, 4, kinds=asked))


@pytest.mark.parametrize(("sign", "end"), [(-1.0, -8.0), (1e-9, 4.0)])
def test_factors_end_where_scores_say_nothing_or_the_opposite(sign, end):
    """From exp(-8), for scores that are wrong, to exp(4), for those that are far too small."""
    views, codes, _ = two_views()
    parts = fitted_parts(views, codes, 4, SHRINKAGES, {})
    left_out = _LeftOut(codes, None, np.zeros(300, dtype=np.intp))
    left_out.add(0, views, parts)
    factor, _ = left_out.factor(sign * left_out.scores[PartKind.GAUSSIAN, 1])
    assert_allclose(np.log(factor), end, atol=0.03)


def test_four_rows_can_be_scored():
    X = 2 * np.random.default_rng(0).normal(size=(4, 3))
    choice = choice_of([X], np.array([0, 0, 1, 1]), 2)
    assert choice.n_scored == 4
    assert np.isfinite(choice.scores).all()

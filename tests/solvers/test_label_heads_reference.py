"""Scores, factors and errors of heads against a plain reference that fits one solver after another."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from clusterlib.solvers import (
    HeadKind,
    PartKind,
    noisy_gaussian_scores,
    noisy_gaussians,
    noisy_logistic,
    noisy_logistic_scores,
)
from clusterlib.solvers.label_folds import label_folds
from tests.solvers.test_label_heads import choice_of
from tests.solvers.test_label_parts import SHRINKAGES, two_views

C_OF_KIND = {
    "logistic": (0.001, 0.01, 0.1, 1.0),
    "weighted": (0.001, 0.01, 0.1, 1.0),
    "transition": (0.01, 0.1, 1.0),
}


class PlainFold:
    """All that is fitted without a fold, one solver after another."""

    def __init__(self, views, codes, K, weight, held, unit):
        kept, w = ~held, weight[~held]
        self.held, self.codes = held, codes[held]
        options = {"sample_weight": w, "prior_iter": 10, "max_iter": 40, "tol": 1e-4}
        fits = [
            noisy_gaussians(rows[kept], codes[kept], K, shrinkage=nu, **options)
            for rows, nu in zip(views, SHRINKAGES, strict=True)
        ]
        self.T = sum(fit.transition for fit in fits) / len(fits)
        self.prior = sum(fit.class_prior for fit in fits) / len(fits)
        self.shares = np.bincount(codes[kept], weights=w) / w.sum()
        quality = sum(fit.label_quality for fit in fits) / len(fits)
        self.scores = {
            ("gaussian", view): noisy_gaussian_scores(views[view][held], fit)
            for view, fit in enumerate(fits)
        }
        of_kind = {
            "logistic": {"sample_weight": self.even(w, codes[kept], K)},
            "weighted": {"sample_weight": self.even(w * quality, codes[kept], K)},
            "transition": {
                "sample_weight": w,
                "transition": self.T,
                "class_prior": self.prior,
            },
        }
        for kind, several in C_OF_KIND.items():
            fit = None
            for C in several:  # each from the one before: they stop at 1e-4 of the optimum
                options = {"C": C / unit, "start": fit, **of_kind[kind]}
                fit = noisy_logistic(views[0][kept], codes[kept], K, **options)
                self.scores[kind, C] = noisy_logistic_scores(views[0][held], fit)

    @staticmethod
    def even(weight, codes, K):
        return weight * weight.sum() / K / np.bincount(codes, weights=weight)[codes]

    def logs(self, scores, of_labels):
        rows = np.arange(len(self.codes))
        if of_labels:
            return log_softmax(scores + np.log(self.shares), axis=1)[rows, self.codes]
        logs = log_softmax(scores + np.log(self.prior), axis=1)
        return logsumexp(logs + np.log(self.T.T[self.codes]), axis=1)


class Plain:
    """Scores of heads by the words of the documentation."""

    def __init__(self, views, codes, K, weight, folds):
        mean = np.average(views[0], axis=0, weights=weight)
        self.unit = np.average(np.square(views[0] - mean), axis=0, weights=weight).mean()
        self.folds = [PlainFold(views, codes, K, weight, folds == f, self.unit) for f in range(3)]
        self.share = weight / weight.mean()

    def logs(self, factors, of_labels=False):
        """Of all rows, where parts have these factors."""
        found = np.zeros(len(self.share))
        for fold in self.folds:
            scores = sum(f * fold.scores[name] for name, f in factors.items())
            found[fold.held] = fold.logs(scores, of_labels)
        return found

    def best_factor(self, factors, of_labels=False):
        def loss(x):
            scaled = {name: np.exp(x[0]) * f for name, f in factors.items()}
            return -np.mean(self.share * self.logs(scaled, of_labels))

        options = {"xatol": 1e-4, "fatol": 1e-9}
        found = minimize(loss, [-1.0], method="Nelder-Mead", options=options)
        return float(np.exp(found.x[0])), -found.fun

    def of_regression(self, kind):
        """The best C, its factor and its score."""
        found = {C: self.best_factor({(kind, C): 1.0}, kind == "logistic") for C in C_OF_KIND[kind]}
        best = max(found, key=lambda C: found[C][1])
        return (kind, best), *found[best]

    def of_sum(self, names):
        factors = {name: self.best_factor({name: 1.0})[0] for name in names}
        return factors, self.best_factor(factors)[1]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "weighted"])
def compared(request):
    """A choice between all kinds, and the reference on the same folds."""
    views, codes, weight = two_views(n=150)
    # Classes that overlap, or many factors would be as good.
    noise = 3 * np.random.default_rng(5).normal(size=views[1].shape)
    views = [views[0] + noise[:, :3], views[1] + noise]
    weight = weight if request.param else None
    choice = choice_of(views, codes, 4, SHRINKAGES, sample_weight=weight)
    folds = label_folds(codes, np.random.default_rng(0))
    return choice, Plain(views, codes, 4, np.ones(150) if weight is None else weight, folds)


@pytest.mark.parametrize("kind", ["logistic", "weighted", "transition"])
def test_scores_of_regressions_are_those_of_the_reference(compared, kind):
    choice, plain = compared
    place = list(HeadKind).index(HeadKind(kind))
    name, factor, score = plain.of_regression(kind)
    assert_allclose(choice.scores[place], score, atol=1e-3)
    head = choice.heads[place]
    assert head.kind is HeadKind(kind)
    ((part, C),) = head.parts
    assert part is PartKind(kind)
    assert_allclose(C, name[1] / plain.unit, rtol=1e-12)
    assert_allclose(head.factors, [factor], rtol=0.05)


def test_the_score_of_the_noise_models_is_that_of_the_reference(compared):
    choice, plain = compared
    names = [("gaussian", 0), ("gaussian", 1)]
    factors, score = plain.of_sum(names)
    assert_allclose(choice.scores[2], score, atol=1e-3)
    head = choice.heads[2]
    assert head.parts == ((PartKind.GAUSSIAN, 0), (PartKind.GAUSSIAN, 1))
    ratio = factors[names[0]] / factors[names[1]]
    assert_allclose(head.factors[0] / head.factors[1], ratio, rtol=0.05)


def test_the_score_of_the_sum_is_that_of_the_reference(compared):
    choice, plain = compared
    regression, factor, _ = plain.of_regression("weighted")
    factors, score = plain.of_sum([("gaussian", 0), ("gaussian", 1), regression])
    assert_allclose(factors[regression], factor, rtol=1e-3)
    assert_allclose(choice.scores[3], score, atol=1e-3)
    head = choice.heads[3]
    assert head.kind is HeadKind.COMBINED
    assert head.parts[:2] == ((PartKind.GAUSSIAN, 0), (PartKind.GAUSSIAN, 1))
    assert head.parts[2] == (PartKind.WEIGHTED, choice.heads[1].parts[0][1])
    expected = np.array(list(factors.values()))
    found = np.array(head.factors)
    assert_allclose(found / found[2], expected / expected[2], rtol=0.05)


def test_errors_are_those_of_paired_differences(compared):
    choice, plain = compared
    logs = {}
    for place, head in enumerate(choice.heads):
        if len(head.parts) == 1:
            names = [(head.parts[0][0].value, round(head.parts[0][1] * plain.unit, 9))]
        else:
            names = [("gaussian", 0), ("gaussian", 1)]
            if len(head.parts) == 3:
                names.append(("weighted", round(head.parts[2][1] * plain.unit, 9)))
        factors = dict(zip(names, head.factors, strict=True))
        logs[place] = plain.logs(factors, of_labels=head.kind is HeadKind.LOGISTIC)
    best = int(choice.scores.argmax())
    losses = choice.scores.max() - choice.scores
    for place, found in logs.items():
        assert_allclose(choice.scores[place], np.mean(plain.share * found), atol=1e-9)
        deviations = plain.share * (logs[best] - found - losses[place])
        expected = np.sqrt(np.square(deviations).sum() / 149 / 150)
        assert_allclose(choice.standard_errors[place], expected, rtol=1e-6, atol=1e-12)

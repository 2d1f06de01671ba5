"""Label shift through micro-clusters: near the best rule, whatever carries the rows."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from clusterlib.blocks import as_blocks
from clusterlib.config import config_context
from clusterlib.kernels import pairwise_topk
from clusterlib.solvers.class_choice import ClassModel, pooled_posteriors
from clusterlib.solvers.frozen_em import frozen_em
from clusterlib.solvers.label_shift import class_agreement
from clusterlib.solvers.label_shift_scale import scaled_label_shift
from clusterlib.solvers.micro_clusters import domain_table, micro_clusters
from clusterlib.solvers.tempered_plsa import TableStarts, tempered_plsa

K, R, P = 4, 24, 8


class Problem:
    """Classes of two Gaussian modes each, in domains of different sizes."""

    def __init__(self, n=12_000, seed=0, dtype=np.float32, spread=1.4):
        rng = np.random.default_rng(seed)
        self.centers = spread * rng.normal(size=(2 * K, P))
        self.marginals = rng.dirichlet(np.full(K, 0.5), size=R)
        self.domains = rng.choice(R, n, p=rng.dirichlet(np.full(R, 20.0))).astype(np.int32)
        self.classes = (rng.random((n, 1)) > self.marginals.cumsum(axis=1)[self.domains]).sum(
            axis=1
        )
        mode = np.minimum(self.classes, K - 1) + K * rng.integers(0, 2, n)
        self.X = (self.centers[mode] + rng.normal(size=(n, P))).astype(dtype)

    def best_posteriors(self):
        """Bayes' rule with all that is to be found."""
        squares = np.square(self.X[:, None] - self.centers).sum(axis=2)
        densities = np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)))
        return densities.reshape(-1, 2, K).sum(axis=1) * self.marginals[self.domains]

    def scores(self, result):
        """Accuracy, and mean error of the marginals, of the best matching of classes."""
        found = result.posteriors.argmax(axis=1)
        table = np.zeros((K, K))
        np.add.at(table, (found, self.classes), 1)
        rows, columns = linear_sum_assignment(-table)
        error = np.abs(result.marginals[:, rows] - self.marginals[:, columns]).mean()
        return table[rows, columns].sum() / len(found), error

    def floors(self):
        """Accuracy of Bayes' rule, and the error of the true frequencies."""
        counts = np.zeros((R, K))
        np.add.at(counts, (self.domains, self.classes), 1)
        frequencies = counts / counts.sum(axis=1, keepdims=True)
        best = np.mean(self.best_posteriors().argmax(axis=1) == self.classes)
        return best, np.abs(frequencies - self.marginals).mean()


def solve(problem, X=None, seed=0, **options):
    options = {"models": (ClassModel.MIXTURE,), **options}
    X = problem.X if X is None else X
    rng = np.random.default_rng(seed)
    return scaled_label_shift(X, problem.domains, R, K, rng=rng, **options)


@pytest.fixture(scope="module")
def problem():
    return Problem()


@pytest.fixture(scope="module")
def result(problem):
    return solve(problem)


def assert_same_bits(first, second):
    for name in ("posteriors", "pooled", "domain_given_class", "marginals", "history"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_it_is_near_the_best_rule(problem, result):
    accuracy, error = problem.scores(result)
    best, floor = problem.floors()
    assert accuracy > best - 0.01
    assert error < 1.7 * floor
    assert result.converged
    assert result.start_agreement > 0.95


def test_all_models_are_tried(problem):
    result = solve(problem, models=tuple(ClassModel))
    accuracy, _ = problem.scores(result)
    assert set(result.model_log_likelihoods) == set(ClassModel)
    assert accuracy > problem.floors()[0] - 0.01


def test_micro_clusters_alone_are_worse_and_know_it(problem, result):
    alone = solve(problem, models=())
    assert problem.scores(alone)[0] < problem.scores(result)[0]
    likelihoods = result.model_log_likelihoods
    assert likelihoods[ClassModel.MICRO] < likelihoods[ClassModel.MIXTURE]
    assert list(alone.model_log_likelihoods) == [ClassModel.MICRO]
    np.testing.assert_array_equal(pooled_posteriors(problem.X, alone.model), alone.pooled)


def test_the_parts_of_the_result_agree(problem, result):
    pooled, D = result.pooled, result.domain_given_class
    np.testing.assert_allclose(pooled.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(D.sum(axis=0), 1, rtol=1e-9)
    joint = pooled * D[problem.domains]
    posteriors = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.posteriors, posteriors, rtol=1e-4, atol=1e-7)
    log_likelihood = np.log(joint.sum(axis=1)).mean()
    assert result.log_likelihood == pytest.approx(log_likelihood, rel=1e-5)
    sums = np.zeros((R, K))
    np.add.at(sums, problem.domains, result.posteriors)
    np.testing.assert_allclose(
        result.marginals, sums / sums.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(result.class_prior, sums.sum(axis=0) / len(pooled), rtol=1e-4)
    assert (np.diff(result.class_prior) <= 0).all()
    assert result.posteriors.dtype == result.pooled.dtype == np.float32
    assert len(result.history) == result.n_iter


def test_new_rows_are_classified_alike(problem, result):
    # Sums over classes have another order since the classes were sorted.
    again = pooled_posteriors(problem.X, result.model)
    np.testing.assert_allclose(again, result.pooled, rtol=1e-5)


def test_a_file_blocks_and_threads_give_the_same_bits(problem, result, tmp_path):
    np.save(tmp_path / "X.npy", problem.X)
    assert_same_bits(solve(problem, as_blocks(tmp_path / "X.npy", block_rows=4096)), result)
    with config_context(n_threads=2):
        assert_same_bits(solve(problem, as_blocks(problem.X, block_rows=8192)), result)


def test_layout_does_not_matter(problem, result):
    assert_same_bits(solve(problem, np.asfortranarray(problem.X)), result)


def test_precision_hardly_matters(problem, result):
    double = solve(problem, problem.X.astype(np.float64))
    assert double.posteriors.dtype == np.float64
    assert problem.scores(double)[0] == pytest.approx(problem.scores(result)[0], abs=0.005)


def test_names_of_domains_hardly_matter(problem, result):
    order = np.random.default_rng(1).permutation(R)
    renamed = Problem()
    renamed.domains = order[problem.domains].astype(np.int32)
    other = solve(renamed)
    same = other.posteriors.argmax(axis=1) == result.posteriors.argmax(axis=1)
    assert same.mean() > 0.99
    np.testing.assert_allclose(other.marginals[order], result.marginals, atol=0.02)


def test_a_domain_of_one_row_and_few_rows():
    problem = Problem(n=600)
    problem.domains[problem.domains == R - 1] = 0
    problem.domains[17] = R - 1
    result = solve(problem, models=tuple(ClassModel), n_micro=10_000)
    assert np.isfinite(result.posteriors).all()
    np.testing.assert_allclose(result.marginals.sum(axis=1), 1)
    np.testing.assert_allclose(result.marginals[R - 1], result.posteriors[17], rtol=1e-4)


def test_equal_rows_do_no_harm():
    problem = Problem(n=3000)
    problem.X[:] = problem.X[np.arange(3000) % 7]
    result = solve(problem, models=tuple(ClassModel))
    assert np.isfinite(result.posteriors).all()
    problem.X[:] = 1.5
    assert np.isfinite(solve(problem, models=tuple(ClassModel)).posteriors).all()


def test_a_callback_hears_of_all_stages_and_stops_them():
    problem = Problem(n=2000)
    stages = []

    def callback(stage, iteration, log_likelihood):
        assert np.isfinite(log_likelihood)
        stages.append((stage, iteration))
        return True

    solve(problem, models=tuple(ClassModel), n_starts=2, callback=callback)
    assert {stage for stage, _ in stages} == {0, 1, ClassModel.MIXTURE, ClassModel.NETWORK}
    assert {iteration for _, iteration in stages} == {1}


@pytest.mark.parametrize(
    ("n", "n_micro", "used"), [(3000, None, 60), (500, None, 24), (3000, 90, 90), (20, None, 20)]
)
@pytest.mark.parametrize("keep", [False, True])
def test_all_steps_once_more(n, n_micro, used, keep):
    """With micro-clusters alone, in the order in which steps take random numbers."""
    problem = Problem(n=n)
    domains, n_domains = (problem.domains % 6).astype(np.int32), 6
    options = {"tau": 1.2, "beta": 2.0, "tol": 1e-5}
    found = scaled_label_shift(
        problem.X,
        domains,
        n_domains,
        K,
        rng=np.random.default_rng(3),
        n_micro=n_micro,
        n_starts=4,
        max_iter=8,
        models=(),
        keep_posteriors=keep,
        **options,
    )
    rng = np.random.default_rng(3)
    clusters = micro_clusters(problem.X, used, rng)
    assert len(found.model.centers) == used
    table = domain_table(clusters.labels, domains, used, n_domains, np.float32)
    near = pairwise_topk(clusters.centers, clusters.centers, min(5, used))[1]
    starts, begin = [], TableStarts(table, K)
    for multiple in (1, 2, 3, 1):
        first = begin.start(min(multiple * K, used), rng)
        starts.append(tempered_plsa(table, *first, near, max_iter=6, **options))
    likelihoods = np.array([fit.log_likelihood for fit in starts])
    np.testing.assert_allclose(found.start_log_likelihoods, likelihoods, rtol=1e-6)
    finished = []
    for index in np.argsort(-likelihoods, kind="stable")[:2]:
        fit, history = starts[index], starts[index].history
        if not fit.converged:
            parts = fit.responsibilities, fit.domain_given_class
            fit = tempered_plsa(table, *parts, near, max_iter=2, **options)
            history = np.concatenate([history, fit.history])
        finished.append((fit, history))
    finished.sort(key=lambda pair: -pair[0].log_likelihood)
    (best, history), (second, _) = finished
    np.testing.assert_allclose(found.history, history, rtol=1e-6)
    assert found.n_iter == len(history)
    first, other = (fit.pooled.argmax(axis=1)[clusters.labels] for fit in (best, second))
    assert found.start_agreement == class_agreement(first, other, K)
    pooled = best.pooled[clusters.labels]
    D = best.domain_given_class.astype(float)
    fit = frozen_em(as_blocks(pooled), D, domains, max_iter=50, tol=1e-3)
    prior = np.bincount(domains) @ fit.marginals / n
    order = np.argsort(-prior)
    np.testing.assert_allclose(found.class_prior, prior[order], rtol=1e-9)
    np.testing.assert_allclose(found.marginals, fit.marginals[:, order], rtol=1e-9, atol=1e-12)
    assert (found.log_likelihood, found.converged) == (fit.log_likelihood, fit.converged)
    D = fit.domain_given_class[:, order]
    np.testing.assert_allclose(found.domain_given_class, D, rtol=1e-9)
    assert (found.posteriors is None) == (found.pooled is None) == (not keep)
    labels = (pooled[:, order] * D[domains]).argmax(axis=1)
    np.testing.assert_array_equal(found.rows.labels, labels)
    if keep:
        np.testing.assert_allclose(found.pooled, pooled[:, order], rtol=1e-6)

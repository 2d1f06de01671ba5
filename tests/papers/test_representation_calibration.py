"""What the calibration of long tails with wrong labels claims, and what is the case.

M. Zhang, X. Zhao, J. Yao, C. Yuan, W. Huang, "When noisy labels meet long tail dilemmas: a
representation calibration method", ICCV 2023, leaves out the local outliers of each class, moves
rare classes towards frequent ones, and fills them up with drawn rows. Their figures come from
networks. On fixed rows the gain over an untuned classifier is there, but outliers are hardly ever
the wrong labels, moved means are worse ones, and a model of the wrong labels does better.
"""

import pytest

threadpoolctl = pytest.importorskip("threadpoolctl")

import numpy as np
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from bench.noisy_label_cases import CELLS, Cell, _digits, _generated
from bench.noisy_label_methods import CLASSIFIER, CLEAN, FAMILIES, OURS, RANKINGS, TUNED
from clusterlib.imbalance import RepresentationCalibrator

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

DATA = ("digits", "gauss")
NOISES = {"clean": ("none", 0.0), "frequency": ("frequency", 0.4), "symmetric": ("symmetric", 0.4)}
SEEDS = {"digits": 10, "gauss": 3}  # a tail of the digits has three rows
BORROWED = (0.0, 0.1, 0.3, 0.5, "eb")  # gamma
COLUMNS = (
    "regression, C=1",
    TUNED,
    "calibration of the paper, C=1",
    "calibration of the paper, C=0.01",
    "Gaussians",
    CLASSIFIER,
    CLEAN,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Products are so small that more threads would only wait for each other."""
    with threadpoolctl.threadpool_limits(1):
        yield


def rows_of(data, seed):
    return _digits() if data == "digits" else _generated(data, seed)


def mean_errors(data, kind, rate, seed):
    """Squared errors of the means of the tail over the variance within classes, by estimate.

    The tail is cut to a fiftieth; the truth are the means of all rows there are.
    """
    X, y = rows_of(data, seed)
    truth = np.stack([X[y == c].mean(axis=0) for c in range(y.max() + 1)])
    within = np.square(X - truth[y]).sum(axis=1).mean()
    task = Cell(data, kind, rate, 50).draw(seed)
    rows, labels = task.problem.X, task.problem.labels

    def error(model, tail):
        model.fit(rows, labels)
        wanted = tail(model) if callable(tail) else tail
        return np.square(model.means_ - truth)[wanted].sum(axis=1).mean() / within, wanted

    found, tail = {}, lambda model: np.setdiff1d(np.arange(len(truth)), model.head_classes_)
    for gamma in BORROWED:
        found[gamma], tail = error(RepresentationCalibrator(recovery="paper", gamma=gamma), tail)
    model = RepresentationCalibrator(shrinkage=5.0 * X.shape[1])
    found[OURS], _ = error(model, tail)
    return found


@pytest.fixture(scope="module", params=DATA)
def errors(request):
    """Mean over the seeds, by noise and estimate."""
    found = {}
    for noise, (kind, rate) in NOISES.items():
        runs = [mean_errors(request.param, kind, rate, s) for s in range(SEEDS[request.param])]
        found[noise] = {name: np.mean([run[name] for run in runs]) for name in runs[0]}
    return request.param, found


@pytest.mark.parametrize("noise", ["frequency", "symmetric"])
def test_borrowing_means_is_harm_where_labels_are_wrong(errors, noise):
    found = errors[1][noise]
    assert found[0.0] < found[0.1] < found[0.3] < found[0.5]
    assert found[0.3] > 1.08 * found[0.0] and found["eb"] > found[0.0]


def test_with_clean_labels_only_a_little_is_gained_by_borrowing(errors):
    found = errors[1]["clean"]
    assert found[0.5] > 1.5 * found[0.3] > 1.5 * 1.15 * found[0.0]
    assert 0.75 * found[0.0] < found["eb"] < found[0.0]


def test_wrong_labels_take_means_away_and_the_noise_model_brings_them_back(errors):
    data, found = errors
    for noise in ("frequency", "symmetric"):
        assert found[noise][0.0] > 2.5 * found["clean"][0.0]
        assert found[noise][OURS] < {"digits": 0.75, "gauss": 0.45}[data] * found[noise][0.0]


@pytest.mark.parametrize("data", DATA)
def test_local_outliers_are_not_the_wrong_labels(data):
    kept = []
    for seed in range(3):
        task = Cell(data, "frequency", 0.4, 50).draw(seed)
        model = RepresentationCalibrator(recovery="paper")
        wrong = task.problem.labels != task.y
        kept.append(model.fit(task.problem.X, task.problem.labels).inlier_mask_[wrong].mean())
    assert np.mean(kept) > 0.95


@pytest.fixture(scope="module", params=DATA)
def measured(request):
    """Balanced accuracy by column and cell, and how good the ranking is of every draw.

    Three seeds of cells of ratio 10: all of the digits, of Gaussians those with most wrong labels.
    """
    cells = [c for c in CELLS["accuracy"] if c.data == request.param and c.ratio == 10]
    if request.param == "gauss":
        cells = [c for c in cells if c.noise_rate == 0.4]
    found, rankings = {column: {} for column in COLUMNS}, []
    for cell in cells:
        runs = [scores_of(cell.draw(seed), seed) for seed in range(3)]
        rankings += [ranking for _, ranking in runs]
        for column in COLUMNS:
            means = [np.mean([run[m] for run, _ in runs]) for m in FAMILIES[column]]
            found[column][cell.name] = 100 * max(means)
    return found, rankings


def scores_of(task, seed):
    """Accuracy of every method; average precision, mean doubt, share wrong and Brier score."""
    accuracies = {}
    for column in COLUMNS:
        problem = task.clean if column == CLEAN else task.problem
        for name, method in FAMILIES[column].items():
            labels = method(problem, seed).labels
            accuracies[name] = balanced_accuracy_score(task.y_test, labels)
    (ranking,) = RANKINGS[OURS].values()
    wrong, doubts = task.problem.labels != task.y, ranking(task.problem, seed)
    brier = np.mean((doubts - wrong) ** 2)
    return accuracies, (
        average_precision_score(wrong, doubts), doubts.mean(), wrong.mean(), brier
    )  # fmt: skip


def means_of(found):
    return {column: np.mean(list(of_cells.values())) for column, of_cells in found.items()}


def test_drawn_rows_help_who_is_not_tuned_and_not_who_is(measured):
    means = means_of(measured[0])
    columns = [column for column in COLUMNS if column.startswith("calibration")]
    untuned, tuned = columns[0], max(means[column] for column in columns)
    assert means[untuned] > means["regression, C=1"] + 1
    assert means[TUNED] - 3 < tuned < means[TUNED] + 0.5


def test_the_noise_model_beats_regression_by_points(measured):
    found = measured[0]
    for cell, ours in found["Gaussians"].items():
        assert ours > found[TUNED][cell] + 2
    means = means_of(found)
    gap = means[CLEAN] - means[TUNED]
    assert gap > 8 and means["Gaussians"] - means[TUNED] > 0.65 * gap


def test_the_chosen_head_beats_regression_in_the_mean_and_loses_nowhere(measured):
    found = measured[0]
    for cell, ours in found[CLASSIFIER].items():
        assert ours > found[TUNED][cell] - 0.5
    means = means_of(found)
    assert means[CLASSIFIER] > means[TUNED] + 7
    assert means[CLASSIFIER] > means["Gaussians"] - 1.5


def test_label_quality_finds_wrong_labels_and_is_a_probability(measured):
    precision, expected, share, brier = np.transpose(measured[1])
    assert precision.mean() > 0.94 and precision.min() > 0.7
    assert np.abs(expected - share).max() < 0.12
    assert brier.max() < 0.8 * (share * (1 - share)).max()

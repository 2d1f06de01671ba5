"""The bench of wrong labels: what is drawn, that methods learn, what the tables say."""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import noisy_label_cases as cases
from bench import noisy_label_methods as methods
from bench import noisy_labels as bench
from bench.noisy_label_cases import CELLS, DATA, Cell, Problem, Task
from bench.noisy_label_methods import (
    CLASSIFIER,
    CLEAN,
    CLEANLAB,
    FAMILIES,
    OF_TEXTS,
    OTHERS,
    OURS,
    RANKINGS,
    TUNED,
    WHOLE,
    WHOLE_GAUSSIANS,
    Predicted,
)
from bench.noisy_label_tables import best, by_data, gain, gap_closed, report

PACKAGES = {"SMOTE": "imblearn", "cleanlab": "cleanlab"}  # by the first word of a method
# A class of one row is warned of, by the noise model and by whoever folds the rows.
RARE = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
FEW = Cell("few", "symmetric", 0.2, 10)
DIGITS = Cell("digits", "frequency", 0.4, 10)


def needed(name):
    """Skip where a peer is not installed."""
    if package := PACKAGES.get(name.split(",")[0].split()[0]):
        pytest.importorskip(package)


def few_rows(cell, seed, rng):
    """Balls in eight dimensions, 20 to 60 rows each, and 30 of each for the test."""
    y = np.repeat(np.arange(4), [60, 20, 40, 30])
    y_test = np.repeat(np.arange(4), 30)
    draw = [rng.normal(size=(len(c), 8)) + 3 * np.eye(4, 8)[c] for c in (y, y_test)]
    return draw[0], y, draw[1], y_test


@pytest.fixture
def few(monkeypatch):
    """Every part has this cell alone."""
    monkeypatch.setitem(DATA, "few", few_rows)
    for part in CELLS:
        monkeypatch.setitem(CELLS, part, [FEW])


@pytest.fixture(scope="module")
def easy():
    """Classes that are far apart, a fifth of whose labels is wrong; the last one has one row."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), [120, 80, 60, 1])
    X = rng.normal(size=(len(y), 5)) + 9 * np.eye(4, 5)[y]
    labels = np.where((rng.random(len(y)) < 0.2) & (y < 3), (y + 1) % 3, y)
    y_test = np.repeat(np.arange(4), 50)
    X_test = rng.normal(size=(200, 5)) + 9 * np.eye(4, 5)[y_test]
    return Task(Problem(X, labels, X_test), y, y_test)


def line_of(cell, method, seed, accuracy, choice="", data="A"):
    figures = {"accuracy": accuracy, "choice": choice, "seconds": 1.0}
    line = {"kind": "accuracy", "cell": cell, "data": data, "method": method, "seed": seed}
    return line | figures


# What is drawn.


def test_cells_are_those_of_the_tables():
    counts = {part: len(found) for part, found in CELLS.items()}
    assert counts == {"accuracy": 30, "embeddings": 8, "violations": 18, "issues": 36}
    assert all(cell.noise_rate for cell in CELLS["issues"])  # or nothing is to be found
    assert all(len({cell.name for cell in found}) == len(found) for found in CELLS.values())
    assert DIGITS in CELLS["accuracy"] and DIGITS.name == "digits, frequency 0.4, ratio 10"


def test_digits_are_a_tail_with_wrong_labels_and_a_balanced_test():
    task = DIGITS.draw(0)
    sizes = np.sort(np.bincount(task.y))[::-1]
    assert sizes[0] == 114 and sizes[-1] == 11  # 174 rows at least, of which 60 are for the test
    np.testing.assert_allclose(sizes, 114 * 10.0 ** -(np.arange(10) / 9), atol=0.5)
    assert (np.bincount(task.y_test) == 60).all() and len(task.problem.X_test) == 600
    wrong = task.problem.labels != task.y
    assert abs(wrong.mean() - 0.4) < 4 * np.sqrt(0.24 / len(wrong))
    rows = {row.tobytes() for row in task.problem.X}
    assert rows.isdisjoint(row.tobytes() for row in task.problem.X_test)
    assert task.clean.labels is task.y and task.clean.X is task.problem.X


def test_seeds_and_cells_draw_differently():
    first, again, other = DIGITS.draw(0), DIGITS.draw(0), DIGITS.draw(1)
    np.testing.assert_array_equal(first.problem.labels, again.problem.labels)
    np.testing.assert_array_equal(first.problem.X, again.problem.X)
    assert not np.array_equal(np.bincount(first.y), np.bincount(other.y))
    sizes = {
        tuple(np.bincount(Cell("digits", k, 0.2, 10).draw(0).y)) for k in ("next", "symmetric")
    }
    assert len(sizes) == 2


def test_a_class_of_few_rows_is_not_the_first_of_a_tail():
    y = np.repeat(np.arange(3), [100, 12, 100])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sizes = np.bincount(cases._tail(np.zeros((212, 1)), y, 100, 100, rng)[1])
        assert sorted(sizes) == [1, 10, 100] and sizes[1] < 100


def test_heavy_tails_and_two_clusters_are_what_they_say():
    kurtosis, clusters = {}, {}
    for data in ("gauss", "heavy tails", "two clusters"):
        X, y = cases._generated(data, 0)
        assert X.shape == (20 * 600, 32) and (np.bincount(y) == 600).all()
        rows = X - np.stack([X[y == c].mean(axis=0) for c in range(20)])[y]
        kurtosis[data] = np.mean(rows**4) / np.mean(rows**2) ** 2
        spread = [np.linalg.svd(rows[y == c], compute_uv=False)[:2] for c in range(5)]
        clusters[data] = np.mean([s[0] / s[1] for s in spread])
    assert kurtosis["gauss"] < 4 and kurtosis["heavy tails"] > 8
    assert clusters["two clusters"] > 1.3 > clusters["gauss"]


def test_wrong_labels_near_the_boundary_are_those_of_doubtful_rows():
    task = Cell("digits", "boundary", 0.4, 10).draw(0)
    X, y = task.problem.X, task.y
    means = np.stack([X[y == c].mean(axis=0) for c in range(10)])
    squares = np.square(X[:, None] - means).sum(axis=2)
    own = squares[np.arange(len(y)), y]
    squares[np.arange(len(y)), y] = np.inf
    wrong = task.problem.labels != y
    margins = squares.min(axis=1) - own
    assert 0.3 < wrong.mean() < 0.5 and margins[wrong].mean() < 0.7 * margins[~wrong].mean()


def test_embeddings_are_reduced_by_their_training_rows_and_there_as_a_whole(monkeypatch):
    rng = np.random.default_rng(0)
    parts = {
        f"reuters-r8-{half}": {"data": rng.normal(size=(n, 120)), "target": np.arange(n) % 8}
        for half, n in (("train", 160), ("test", 80))
    }
    monkeypatch.setattr(cases, "load_embeddings", lambda name: parts[name])
    monkeypatch.setattr(cases, "_texts", cases._texts.__wrapped__)
    cell = next(c for c in CELLS["embeddings"] if c.data == "r8" and c.kind == "next")
    task = cell.draw(0)
    np.testing.assert_array_equal(task.y, np.arange(160) % 8)
    wrong = task.problem.labels != task.y
    assert 0.05 < wrong.mean() < 0.4
    assert (task.problem.labels[wrong] == (task.y[wrong] + 1) % 8).all()
    whole = task.problem.unreduced
    for problem, n_features in ((task.problem, 96), (whole, 120)):
        assert problem.labels is task.problem.labels
        assert problem.X.shape == (160, n_features) and problem.X_test.shape == (80, n_features)
        assert abs(problem.X.mean(axis=0)).max() < 1e-9
        assert problem.X.var(axis=0).mean() == pytest.approx(1)
    assert task.clean.unreduced.labels is task.y and whole.unreduced is whole
    # Components keep what is large of the distances, for training and test rows alike.
    unit = np.std(whole.X @ np.linalg.svd(whole.X, full_matrices=False)[2][:96].T)
    for a, b in ((task.problem.X, whole.X), (task.problem.X_test, whole.X_test)):
        assert (np.linalg.norm(a * unit, axis=1) <= np.linalg.norm(b, axis=1) + 1e-9).all()


def test_who_reduces_rows_by_itself_sees_them_whole():
    """The components say nothing of the classes, the other features all."""
    rng = np.random.default_rng(0)
    y, y_test = np.repeat(np.arange(3), 40), np.repeat(np.arange(3), 20)
    whole, whole_test = (rng.normal(size=(len(c), 6)) + 6 * np.eye(3, 6)[c] for c in (y, y_test))
    problem = Problem(np.zeros((120, 2)), y, np.zeros((60, 2)), whole, whole_test)
    for column, right in ((WHOLE, 1), (WHOLE_GAUSSIANS, 1), (CLASSIFIER, 1), (TUNED, 1 / 3)):
        method = next(reversed(FAMILIES[column].values()))
        assert np.mean(method(problem, 0).labels == y_test) == pytest.approx(right)
    for column in (CLASSIFIER, CLEANLAB):
        needed(column)
        assert next(iter(RANKINGS[column].values()))(problem, 0).max() < 0.5


def test_embeddings_without_their_files_are_told_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    monkeypatch.setattr(cases, "_texts", cases._texts.__wrapped__)
    lines = bench.main(["embeddings", "--cells", "r8,", "--methods", "Gaussians"])
    assert [line["kind"] for line in lines] == ["absent"]
    assert "r8 is left out" in capsys.readouterr().out


# Methods.


@RARE
@pytest.mark.parametrize("name", bench.METHODS)
def test_methods_learn_although_labels_are_wrong(easy, name):
    needed(name)
    found = bench.METHODS[name](easy.problem, 0)
    assert found.labels.shape == (200,) and set(found.labels) <= set(range(4))
    frequent = easy.y_test < 3
    # A strength of a thousandth leaves the class of 60 rows to the others.
    assert np.mean(found.labels[frequent] == easy.y_test[frequent]) > (
        0.8 if "C=0.001" in name else 0.95
    )


@RARE
@pytest.mark.parametrize("name", bench.RANKING_METHODS)
def test_rankings_put_wrong_labels_first(easy, name):
    needed(name)
    doubts = bench.RANKING_METHODS[name](easy.problem, 0)
    wrong = easy.problem.labels != easy.y
    assert doubts.shape == easy.y.shape and doubts.min() >= 0 and doubts.max() <= 1
    first = np.argsort(-doubts)[: wrong.sum()]
    assert wrong[first].mean() > 0.9


def test_the_noise_model_is_fitted_once_for_all_that_follows(easy, monkeypatch):
    methods.calibrated.cache_clear()
    fits = []
    fit = methods.RepresentationCalibrator.fit
    monkeypatch.setattr(
        methods.RepresentationCalibrator,
        "fit",
        lambda self, X, y: fits.append(self.shrinkage) or fit(self, X, y),
    )
    keep = easy.y < 3  # a class of one row is warned of
    problem = Problem(easy.problem.X[keep], easy.problem.labels[keep], easy.problem.X_test)
    for name in ("Gaussians", "Gaussians, one covariance", *FAMILIES["weighted regression"]):
        bench.METHODS[name](problem, 0)
    assert fits == ["auto", np.inf]


# Runs.


@pytest.mark.parametrize("part", ["accuracy", "embeddings", "violations"])
def test_parts_print_every_column(few, capsys, part):
    for package in PACKAGES.values():
        pytest.importorskip(package)
    columns = OF_TEXTS if part == "embeddings" else OTHERS
    lines = bench.main([part, "--seeds", "1"])
    assert {line["kind"] for line in lines} == {part}
    assert len(lines) == len({method for column in columns for method in FAMILIES[column]})
    assert all(0.5 < line["accuracy"] <= 1 for line in lines)
    head, _, row, *rest = capsys.readouterr().out.splitlines()
    assert head == f"| cell | {' | '.join(columns)} | {CLASSIFIER} less regression |"
    assert row.startswith(f"| {FEW.name} | ") and row.count("|") == len(columns) + 3
    assert sum(line.startswith(tuple(f"| {c} |" for c in columns)) for line in rest) == len(columns)
    chosen = next(line["choice"] for line in lines if line["method"] == CLASSIFIER)
    assert chosen and rest[-1].split(" | ")[-1] == f"{chosen} |"


def test_issues_compare_with_the_best_of_cleanlab(few, capsys):
    pytest.importorskip("cleanlab")
    lines = bench.main(["issues", "--seeds", "1"])
    assert len(lines) == 2 + len(RANKINGS[CLEANLAB])
    theirs = max(x["precision"] for x in lines if x["method"] in RANKINGS[CLEANLAB])
    ours, other = (x for x in lines if x["method"] in (OURS, CLASSIFIER))
    assert other["precision"] == pytest.approx(ours["precision"], abs=0.05)
    assert ours["precision"] > 0.8 and ours["brier"] < 0.1
    assert abs(ours["expected"] - ours["wrong"]) < 0.1
    head, _, row, *_ = capsys.readouterr().out.splitlines()
    assert head.startswith(f"| cell | {' | '.join(RANKINGS)} | mean probability | share wrong |")
    cells = [text.strip(" *") for text in row.split("|")[2:7]]
    shown = [f"{100 * x:.1f}" for x in (ours["precision"], other["precision"], theirs)]
    assert cells == [*shown, f"{ours['expected']:.3f}", f"{ours['wrong']:.3f}"]


def test_clean_labels_are_given_to_that_column_alone(few, monkeypatch):
    seen = {}

    def method(name):
        def run(problem, seed):
            seen[name] = problem.labels
            return Predicted(np.zeros(len(problem.X_test), dtype=int))

        return run

    for name in (next(iter(FAMILIES[CLEAN])), "Gaussians"):
        monkeypatch.setitem(bench.METHODS, name, method(name))
    bench.main(["accuracy", "--seeds", "1", "--methods", CLEAN, "Gaussians"])
    clean, noisy = seen[next(iter(FAMILIES[CLEAN]))], seen["Gaussians"]
    np.testing.assert_array_equal(clean, np.repeat(np.arange(4), [60, 20, 40, 30]))
    assert 0.1 < np.mean(noisy != clean) < 0.35


def test_runs_go_on_where_they_stopped(few, tmp_path, monkeypatch, capsys):
    calls = []

    def method(problem, seed):
        calls.append(seed)
        if len(calls) == 2:
            raise RuntimeError("no classes today")
        return Predicted(np.repeat(np.arange(4), 30))

    monkeypatch.setitem(bench.METHODS, "Gaussians", method)
    path = tmp_path / "found.jsonl"
    options = ["accuracy", "--methods", "Gaussians", "--out", str(path)]
    bench.main([*options, "--seeds", "1"])
    bench.main([*options, "--seeds", "2"])
    assert "seed 1: RuntimeError('no classes today')" in capsys.readouterr().out
    lines = bench.main([*options, "--seeds", "2"])
    assert calls == [0, 1, 1] and [line["seed"] for line in lines] == [0, 1]
    assert [line["accuracy"] for line in lines] == [1, 1]
    assert "no classes today" not in capsys.readouterr().out
    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert kinds == ["accuracy", "failed", "accuracy"]


def test_unknown_names_are_refused(few, capsys):
    for options in (["--methods", "magic"], ["--cells", "nowhere"]):
        with pytest.raises(SystemExit):
            bench.main(["accuracy", *options])
        assert f"no such {options[0].strip('-')}: ['{options[1]}']" in capsys.readouterr().err


# Tables.


@pytest.fixture
def lines():
    """Two cells of a data set and one of another, two seeds each."""
    low, high = list(FAMILIES[TUNED])[:2]
    clean = next(iter(FAMILIES[CLEAN]))
    of_cells = {
        ("one", "A"): {low: (0.5, 0.7), high: (0.64, 0.64), clean: (0.8, 0.8)},
        ("two", "A"): {low: (0.4, 0.4), high: (0.3, 0.3), clean: (0.8, 0.8)},
        ("three", "B"): {low: (0.5, 0.5), high: (0.2, 0.2), clean: (0.9, 0.9)},
    }
    ours = {"one": (0.7, 0.8), "two": (0.6, 0.7), "three": (0.4, 0.4)}
    return [
        line_of(cell, method, seed, accuracy, data=data)
        for (cell, data), row in of_cells.items()
        for method, both in row.items()
        for seed, accuracy in enumerate(both)
    ] + [
        line_of(cell, "Gaussians", seed, value, f"{seed + 2} m", "B" if cell == "three" else "A")
        for cell, both in ours.items()
        for seed, value in enumerate(both)
    ]


def test_of_several_strengths_the_best_of_a_cell_is_shown(lines):
    found = best(lines, FAMILIES, "accuracy", "cell")
    assert found["one"][TUNED] == {0: 0.64, 1: 0.64}  # by the mean, not seed by seed
    assert found["two"][TUNED] == {0: 0.4, 1: 0.4}
    of_data = best(lines, FAMILIES, "accuracy", "data")
    assert of_data["one"][TUNED] == {0: 0.5, 1: 0.7} and of_data["two"][TUNED] == {0: 0.4, 1: 0.4}


def test_the_gap_is_from_tuned_regression_to_clean_labels(lines):
    figures = best(lines, FAMILIES, "accuracy", "cell")
    means = by_data(figures, {line["cell"]: line["data"] for line in lines})
    np.testing.assert_allclose(means["A"]["Gaussians"], [0.65, 0.75])
    # A: from .52 to .8, .7 is there; B: from .5 to .9, .4 is there.
    assert gap_closed(means, "Gaussians") == pytest.approx((0.18 / 0.28 - 0.1 / 0.4) / 2)
    assert gap_closed(means, TUNED) == 0 and gap_closed(means, CLEAN) == 1
    assert gap_closed({"A": {TUNED: [0.5], CLEAN: [0.5], "Gaussians": [0.6]}}, "Gaussians") is None


def test_the_gain_is_over_the_better_regression():
    row = {TUNED: {0: 0.5, 1: 0.7}, WHOLE: {0: 0.65, 1: 0.6}, CLASSIFIER: {0: 0.7, 1: 0.9}}
    np.testing.assert_allclose(gain(row), [0.05, 0.3])
    np.testing.assert_allclose(gain({k: row[k] for k in (TUNED, CLASSIFIER)}), [0.2, 0.2])
    assert gain({TUNED: row[TUNED]}) == gain({CLASSIFIER: row[CLASSIFIER]}) == []
    lines = [
        line_of("one", next(iter(FAMILIES[column])), seed, value) | {"kind": "embeddings"}
        for column, run in row.items()
        for seed, value in run.items()
    ]
    table = report("embeddings", lines).split("\n\n")[0].splitlines()
    assert table[-1] == "| one | 60.0 ± 10.0 | 62.5 ± 2.5 | **80.0 ± 10.0** | +17.5 ± 12.5 |"


def test_tables_say_means_errors_and_the_worst_cell(lines):
    cells, means, chosen = report("accuracy", lines).split("\n\n")
    assert cells.splitlines()[0] == f"| cell | {TUNED} | Gaussians | {CLEAN} |"
    assert cells.splitlines()[2:] == [
        "| one | 64.0 | **75.0** | 80.0 |",
        "| two | 40.0 | **65.0** | 80.0 |",
        "| three | **50.0** | 40.0 | 90.0 |",
    ]
    head, _, *rows = means.splitlines()
    assert head == "| method | A | B | mean | gap closed | worst cell | first in cells |"
    assert rows[0] == f"| {TUNED} | 52.0 ± 0.0 | 50.0 ± 0.0 | 51.0 | 0 % |  | 1 of 3 |"
    assert rows[1] == (
        "| Gaussians | 70.0 ± 5.0 | 40.0 ± 0.0 | 55.0 | 20 % | -10.0: three | 2 of 3 |"
    )
    assert "| one | 2 m, 3 m |" in chosen


def test_one_seed_has_no_error_and_no_lines_no_table(lines):
    means = report("accuracy", [line for line in lines if line["seed"] == 0]).split("\n\n")[1]
    assert "±" not in means and "| Gaussians | 65.0 | 40.0 |" in means
    assert report("accuracy", []) == report("issues", []) == ""

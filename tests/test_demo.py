"""The demo: its referee, its race, its table, its page, and the whole command once, briefly."""

import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from clusterlib.demo import figures, main, photographs
from clusterlib.demo.judge import cosine_loss, count_wrong_labels, inertia
from clusterlib.demo.page import build_page
from clusterlib.demo.race import race
from clusterlib.demo.results import (
    Answer,
    Comparison,
    Figure,
    Score,
    Section,
    Settings,
    UnavailableError,
)
from clusterlib.demo.sections import find_sections
from clusterlib.demo.table import HEADINGS, format_table, lines_of

ROOT = Path(__file__).parents[1]
BRIEF = Settings(n_threads=1, repeats=1, step=64)
VOID_TAGS = {"meta", "img", "br"}


def distances(X, centers):
    return np.square(X[:, None, :].astype(float) - centers[None].astype(float)).sum(axis=2)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(9000, 5)), rng.normal(size=(7, 5))


@pytest.fixture
def comparison():
    ours = Score("clusterlib", 1.25, 0, 0.5, accuracy=0.75, nmi=0.5)
    theirs = Score("scikit-learn", 1.5, 1234, 2.0, accuracy=0.5, nmi=0.25)
    return Comparison("A <job>", "10 x 2 float64, k = 3", ours, theirs)


class Outline(HTMLParser):
    """Notes what is open, which ids occur, and every address the page would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.tags = [], [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.note(attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.note(attrs)

    def handle_endtag(self, tag):
        if tag not in VOID_TAGS:
            assert self.open.pop() == tag

    def note(self, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset"):
                self.addresses.append(value)


# The referee


def test_right_labels_are_right_and_each_wrong_one_is_counted(points):
    X, centers = points
    labels = distances(X, centers).argmin(axis=1)
    assert count_wrong_labels(X, labels, centers) == 0
    spoilt = labels.copy()
    spoilt[[3, 8500]] = (spoilt[[3, 8500]] + 1) % len(centers)
    assert count_wrong_labels(X, spoilt, centers) == 2


def test_a_tie_is_right_and_a_small_loss_is_wrong():
    centers = np.array([[0.0], [2.0], [2.0]])
    X = np.array([[1.0], [2.0], [1.0 + 1e-9]])
    assert count_wrong_labels(X, np.array([1, 2, 2]), centers) == 0
    assert count_wrong_labels(X, np.array([0, 1, 0]), centers) == 1


def test_the_referee_is_not_fooled_by_an_offset(points):
    X, centers = (array.astype(np.float32) + np.float32(4096) for array in points)
    labels = distances(X, centers).argmin(axis=1)
    assert count_wrong_labels(X, labels, centers) == 0


def test_losses_follow_their_definitions(points):
    X, centers = points
    labels = np.arange(len(X)) % len(centers)
    expected = distances(X, centers)[np.arange(len(X)), labels].sum()
    assert inertia(X, labels, centers) == pytest.approx(expected, rel=1e-12)
    rows = X / np.linalg.norm(X, axis=1, keepdims=True)
    lengths = np.linalg.norm(centers, axis=1)
    expected = (1 - (rows @ (centers / lengths[:, None]).T)[np.arange(len(X)), labels]).sum()
    assert cosine_loss(rows, labels, 3 * centers) == pytest.approx(expected, rel=1e-12)


# The race


def test_contestants_take_turns_on_equal_terms(points):
    X, centers = points
    order, threads = [], []

    def contestant(name):
        def run(rows):
            order.append((name, len(rows)))
            threads.extend(
                pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"
            )
            return Answer(distances(rows, centers).argmin(axis=1), centers)

        return run

    settings = Settings(n_threads=1, repeats=1)
    outcome, answer = race("job", X, contestant("ours"), contestant("theirs"), settings)
    assert order[:2] == [("ours", 2048), ("theirs", 2048)]
    turns = [name for name, n_rows in order[2:] if n_rows == len(X)]
    assert turns[:4] in (["ours", "theirs"], ["ours", "theirs", "theirs", "ours"])
    assert turns.count("ours") == turns.count("theirs")
    assert set(threads) <= {1}
    assert outcome.data == "9,000 x 5 float64, k = 7"
    assert outcome.ours.loss == outcome.theirs.loss
    assert outcome.ours.loss == pytest.approx(distances(X, centers).min(axis=1).mean(), rel=1e-12)
    np.testing.assert_array_equal(answer.centers, centers)


def test_classes_add_scores_that_ignore_the_names_of_clusters(points):
    X, centers = points
    y = distances(X, centers).argmin(axis=1)
    right = Answer((y + 3) % 7, np.roll(centers, 3, axis=0))
    poor = Answer(np.zeros_like(y), centers)
    outcome, _ = race("job", X, lambda _: right, lambda _: poor, BRIEF, y=y)
    assert (outcome.ours.accuracy, outcome.ours.wrong_labels) == (1.0, 0)
    assert outcome.ours.nmi == pytest.approx(1.0)
    assert outcome.theirs.accuracy == pytest.approx(np.bincount(y).max() / len(y))
    assert outcome.theirs.wrong_labels == np.count_nonzero(y)


# The table


def test_speed_is_their_time_over_ours(comparison):
    assert comparison.speed == 4.0
    ours, theirs = lines_of(comparison)
    column = HEADINGS.index("speed")
    assert (ours[column], theirs[column]) == ("4.00 x", "1.00 x")
    assert len(ours) == len(theirs) == len(HEADINGS)
    assert theirs[HEADINGS.index("wrong labels")] == "1,234"


def test_table_is_narrow_ascii(comparison):
    bare = replace(comparison.ours, accuracy=None, nmi=None)
    text = format_table([comparison, replace(comparison, ours=bare, theirs=bare)])
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("A <job>") == 2


# The page


def make_page(comparison, **changes):
    figure = Figure("A caption & more", lambda: '<img src="data:image/png;base64," alt="none">')
    section = Section("A title", "Some <text>.", [comparison], [figure])
    return build_page({"Processor": "a & b"}, ["Mind this."], [replace(section, **changes)])


def test_page_is_one_well_formed_file_without_scripts(comparison):
    text = make_page(comparison)
    outline = Outline(text)
    assert outline.open == []
    assert outline.tags.isdisjoint({"script", "link", "iframe", "object"})
    assert all(address.startswith(("data:", "#")) for address in outline.addresses)
    assert len(set(outline.ids)) == len(outline.ids)
    assert not re.search(r"@import|url\((?!#)", text)
    assert 'name="viewport"' in text and "prefers-color-scheme" in text
    assert "Some &lt;text&gt;." in text and "A &lt;job&gt;" in text and "a &amp; b" in text


def test_page_without_matplotlib_has_no_figures_and_says_so(comparison, monkeypatch):
    monkeypatch.setattr(figures, "available", lambda: False)
    text = make_page(comparison)
    assert Outline(text).tags.isdisjoint({"svg", "img", "figure"})
    assert "pip install &quot;clusterlib-native[plot]&quot;" in text
    assert "4.00 x" in text


def test_a_section_that_cannot_run_is_named(comparison):
    text = make_page(comparison, missing="needs something", comparisons=[], figures=[])
    assert "Not run: needs something" in text
    assert "<table" not in text


# The sections


def test_sections_are_plug_ins():
    modules = find_sections()
    orders = [module.ORDER for module in modules.values()]
    assert orders == sorted(set(orders))
    assert len({module.TITLE for module in modules.values()}) == len(modules)
    assert {"digits", "colours", "patches"} <= set(modules)


def scores_of(section):
    return [
        replace(score, seconds=0.0)
        for comparison in section.comparisons
        for score in (comparison.ours, comparison.theirs)
    ]


def test_digits_agree_with_scikit_learn_and_repeat():
    digits = find_sections()["digits"]
    section = digits.run(BRIEF)
    plain = section.comparisons[0]
    # Same starts, float64, run to the fixed point of Lloyd's rounds: the same clusters.
    assert plain.ours.loss == pytest.approx(plain.theirs.loss, rel=1e-9)
    assert plain.ours.accuracy == plain.theirs.accuracy
    assert plain.ours.nmi == pytest.approx(plain.theirs.nmi, rel=1e-9)
    assert [comparison.ours.wrong_labels for comparison in section.comparisons] == [0, 0]
    assert scores_of(digits.run(BRIEF)) == scores_of(section)


@pytest.mark.parametrize("name", ["colours", "patches"])
def test_photographs_are_clustered_without_a_wrong_label(name):
    module = find_sections()[name]
    if importlib.util.find_spec("PIL") is None:
        with pytest.raises(UnavailableError, match="clusterlib-native"):
            module.run(BRIEF)
        return
    for comparison in module.run(BRIEF).comparisons:
        assert comparison.ours.wrong_labels == 0
        # Few rows, other batches: the two may end in different local minima.
        assert comparison.ours.loss < 1.1 * comparison.theirs.loss


def test_without_pillow_the_command_goes_on(monkeypatch, tmp_path, capsys):
    def no_pillow(name):
        raise ImportError("Pillow is required")

    monkeypatch.setattr(photographs, "load_sample_image", no_pillow)
    assert main(["--quick", "--section", "colours", "--output", str(tmp_path)]) == 0
    assert "not run, needs Pillow" in capsys.readouterr().out
    assert "clusterlib-native[plot]" in (tmp_path / "index.html").read_text(encoding="utf-8")


# The command


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def test_command_prints_a_table_and_writes_a_page(tmp_path, capsys):
    target = tmp_path / "new" / "folder"
    assert main(["--quick", "--section", "digits", "--output", str(target)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("scikit-learn  ") >= 2 and "Digits: KMeans" in printed
    text = (target / "index.html").read_text(encoding="utf-8")
    outline = Outline(text)
    assert outline.open == []
    assert all(address.startswith(("data:", "#")) for address in outline.addresses)
    assert len(set(outline.ids)) == len(outline.ids)
    assert ("svg" in outline.tags) == figures.available()


def test_module_is_runnable():
    done = run_python("-m", "clusterlib.demo", "--help")
    assert "--output" in done.stdout and done.stderr == ""


# The README


def test_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_example_of_the_readme_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    checks = (
        "assert 0.5 < agreement <= 1.0\nassert clustering_accuracy(data.y, unnamed.labels_) > 0.9"
    )
    assert run_python("-c", example + checks).stderr == ""

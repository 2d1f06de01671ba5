"""The reproductions of the papers: that they run, that what fails is told, and the page of them."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")

from bench.papers import opta, page
from bench.papers.__main__ import FOLDER, main, run, study
from bench.papers.record import RELATIONS, Check, Found, Missing, Table, as_dict, figures
from tests.source_rules import ROOT

A_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|usr|opt|Users|mnt)\b|[A-Z]:\\\\")
HOLDS = Check("one is more than none", 1.0, ">", 0.0)
FAILS = Check("one is less than none", 1.0, "<", 0.0)
FOUND = Found(
    "rows of ours.", "0 to 2", (Table("Errors.", ("", "a"), (("x", 0.5),)),), (), "little"
)


def answering(*checks, missing=()):
    """Stands for the modules of the papers: each gives the same answer."""
    found = replace(FOUND, checks=checks, missing=missing)
    return lambda name: SimpleNamespace(PAPER=study(name).PAPER, reproduce=lambda *, quick: found)


@pytest.mark.parametrize("name", page.ORDER)
def test_every_paper_runs_on_tiny_sizes(name):
    record = json.loads(json.dumps(run(name, study(name), quick=True)))
    ours = record["ours"]
    assert ours["checks"] and record["paper"]["claim"] and ours["limits"] and ours["seeds"]
    assert record["passed"] == all(check["passed"] for check in ours["checks"])
    for table in (*ours["tables"], *record["paper"]["published"]):
        assert {len(row) for row in table["rows"]} == {len(table["head"])}
    assert not A_PATH.search(json.dumps(record))


def test_the_command_ends_with_the_status_of_its_expectations(tmp_path, capsys):
    options = ["--out", str(tmp_path), "--only", "opta"]
    assert main(options, answering(HOLDS)) == 0
    assert json.loads((tmp_path / "opta.json").read_text())["passed"]
    assert "NOT REPRODUCED" not in capsys.readouterr().out
    assert main(options, answering(HOLDS, FAILS)) == 1
    assert not json.loads((tmp_path / "opta.json").read_text())["passed"]
    told = capsys.readouterr().out
    assert "opta: NOT REPRODUCED" in told and "FAILS: one is less than none (1 not < 0)" in told
    shown = (tmp_path / "index.md").read_text()
    assert "**not reproduced** | 1 of 2" in shown and "| 1 not < 0 | FAILS |" in shown


def test_one_paper_that_fails_is_enough_for_the_status(tmp_path):
    def load(name):
        return answering(FAILS if name == page.ORDER[0] else HOLDS)(name)

    assert main(["--out", str(tmp_path)], load) == 1
    assert {path.stem for path in tmp_path.glob("*.json")} == set(page.ORDER)


def test_a_quick_run_writes_nothing(tmp_path):
    assert main(["--quick", "--out", str(tmp_path / "new")], answering(HOLDS)) == 0
    assert not (tmp_path / "new").exists()


def test_what_could_not_be_run_is_told_and_holds_nothing_up(tmp_path, capsys):
    options = ["--out", str(tmp_path), "--only", "opta"]
    assert main(options, answering(HOLDS, missing=(Missing("texts"),))) == 0
    assert "not run: texts (" in capsys.readouterr().out
    assert "Not run: texts (" in (tmp_path / "index.md").read_text()


def test_nothing_expected_is_nothing_reproduced():
    assert not as_dict("x", opta.PAPER, FOUND, version="0", seconds=0)["passed"]


def test_without_embeddings_their_part_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    ours = run("opta", opta, quick=True)["ours"]
    assert [part["part"] for part in ours["missing"]] == ["20newsgroups"]
    assert not any("20newsgroups" in check["expectation"] for check in ours["checks"])
    assert str(tmp_path) not in str(ours)


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_figure_that_is_no_number_fails(relation):
    assert not Check("", float("nan"), relation, 0).passed


def test_a_single_seed_has_no_spread_to_show(tmp_path):
    rows = (("one", figures([0.25])), ("two", figures([0.25, 0.75])), ("none", None))
    tables = (Table("Errors.", ("", "a"), rows, digits=2),)

    def load(name):
        found = replace(FOUND, checks=(HOLDS,), tables=tables)
        return SimpleNamespace(PAPER=opta.PAPER, reproduce=lambda *, quick: found)

    main(["--out", str(tmp_path), "--only", "opta"], load)
    shown = (tmp_path / "index.md").read_text()
    assert "| one | 0.25 |\n| two | 0.50 ± 0.35 |\n| none |  |" in shown


def test_bounds_hold_or_not():
    holding = {relation: Check("", 1, relation, 1).passed for relation in RELATIONS}
    assert holding == {">": False, ">=": True, "<": False, "<=": True}


def test_records_hold_plain_numbers_of_five_digits():
    found = replace(FOUND, checks=(Check("", np.float64(1 / 3), "<", 1 / 3 + 1e-9),))
    record = as_dict("x", opta.PAPER, found, version="0", seconds=1.26)
    assert record["passed"] and record["seconds"] == 1.3
    assert json.loads(json.dumps(record))["ours"]["checks"][0]["value"] == 0.33333


def test_figures_are_mean_and_deviation_over_seeds():
    assert figures([1, 2, 6]) == {"mean": 3.0, "spread": 2.64575, "seeds": 3}
    assert figures([0.25]) == {"mean": 0.25, "spread": 0.0, "seeds": 1}


def test_the_page_shows_what_the_committed_records_say():
    assert (FOLDER / "index.md").read_text() == page.render(FOLDER)


@pytest.mark.parametrize("name", page.ORDER)
def test_committed_records_are_whole_and_say_what_their_figures_say(name):
    text = (FOLDER / f"{name}.json").read_text()
    record = json.loads(text)
    assert not A_PATH.search(text)
    assert not record["ours"]["missing"]
    held = [
        RELATIONS[check["relation"]](check["value"], check["bound"])
        for check in record["ours"]["checks"]
    ]
    assert held == [check["passed"] for check in record["ours"]["checks"]]
    assert record["passed"] == all(held)
    assert record["paper"]["claim"] == study(name).PAPER.claim


@pytest.mark.parametrize("name", page.ORDER)
def test_the_page_of_the_method_has_symbols_and_the_reproduction(name):
    text = (ROOT / "docs" / "methods" / f"{study(name).PAPER.page}.md").read_text()
    assert "## Symbols" in text and "## Reproduced" in text
    assert f":start-after: <!-- {name} -->" in text
    assert f":end-before: <!-- end of {name} -->" in text

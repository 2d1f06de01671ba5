"""Mutants are what they are said to be, their tests are found, and a small package is judged."""

import ast
import json
import os
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest

from bench import mutation
from bench.mutation_operators import mutated, places
from bench.mutation_tests import Imports, Test, order_of_tests
from tests.source_rules import ROOT, read_tree


def changes(body):
    """(before, after) of everything that may change in a function with some body."""
    text = "def f(x, y):\n" + "".join(f"    {line}\n" for line in dedent(body).splitlines())
    return {(place.before, after) for place in places(text) for after in place.afters}


@pytest.mark.parametrize(
    ("body", "before", "afters"),
    [
        ("x = y < z", "y < z", {"(y <= z)", "(y >= z)"}),
        ("x = 0 < y < z", "0 < y < z", {"(0 <= y < z)", "(0 < y <= z)"}),
        ("x = y is None", "y is None", {"(y is not None)"}),
        ("x = a + b", "a + b", {"(a - b)"}),
        ("x = a @ b", "a @ b", set()),
        ("x = 'a' + b", "'a' + b", set()),
        ("x += y", "x += y", {"x -= y", "pass"}),
        ("x = a and b", "a and b", {"(a or b)"}),
        ("x = not y", "not y", {"(y)"}),
        ("x = a if y else b", "a if y else b", {"(a if not y else b)"}),
        ("x = 3", "3", {"(4)", "(2)"}),
        ("x = 2.0", "2.0", {"(3.0)", "(1.0)", "(2.02)"}),
        ("x = True", "True", {"(False)"}),
        ("x = np.sum(y, axis=1)", "axis=1", {"axis=0"}),
        ("x = zip(x, y, strict=True)", "True", set()),
        ("x = np.maximum(x, y)", "np.maximum(x, y)", {"(np.minimum(x, y))"}),
        ("x[0] = y", "x[0] = y", {"pass"}),
        ("x.sort()", "x.sort()", {"pass"}),
        ("return x", "return x", {"return None"}),
        ("for _ in x: break", "break", {"continue"}),
        ("raise ValueError('a' if x < y else 'b')", "x < y", set()),
        ("x: Literal[3] = y", "3", set()),
        ("'''Words, 3 of them.'''", "3", set()),
    ],
)
def test_what_may_stand_in_place_of_what(body, before, afters):
    assert {after for found, after in changes(body) if found == before} == afters


def test_what_is_for_readers_alone_stays():
    text = dedent(
        '''
        """Adds 3 to 4."""
        from typing import TYPE_CHECKING
        __all__ = ["f" + "g"]
        Rows = A | B
        if TYPE_CHECKING:
            x = 3
        @keep(3)
        def f(x: int | None) -> int | None:
            """Takes 3."""
            warnings.warn(f"{x + 1}", stacklevel=2)
        '''
    )
    assert places(text) == []


def test_bytes_of_a_line_are_no_characters():
    text = "def f(x):\n    return 'é' if x > 1 else 'è'\n"
    found = {place.before: place for place in places(text)}
    assert mutated(text, found["x > 1"], "(x >= 1)") == text.replace("x > 1", "(x >= 1)")


def test_every_mutant_of_the_solvers_is_python():
    for source in read_tree("clusterlib/solvers")[::25]:
        for place in places(source.text):
            for after in place.afters:
                changed = mutated(source.text, place, after)
                assert ast.dump(ast.parse(changed)) != ast.dump(source.tree), (source, place)


def test_a_draw_is_uniform_and_known_by_its_seed():
    texts = {"a.py": "def f(x):\n    return x + x + x + x\n", "b.py": "def f(x):\n    return -x\n"}
    assert mutation.draw(texts, 3, seed=1) == mutation.draw(texts, 3, seed=1)
    population = [place for text in texts.values() for place in places(text)]
    assert len(population) == 6
    hits = dict.fromkeys(population, 0)
    for seed in range(600):
        sample = mutation.draw(texts, 2, seed)
        assert sample[0][1:] != sample[1][1:] or sample[0][0] != sample[1][0]
        for _, place, after in sample:
            assert after in place.afters
            hits[place] += 1
    # 200 expected each, with a standard deviation below 12.
    assert all(150 < n < 250 for n in hits.values())
    with pytest.raises(ValueError):
        mutation.draw(texts, 7, seed=0)


def test_tests_that_run_the_statement_come_first_and_quick_ones_before_slow_ones():
    [place] = [p for p in places("def f(x):\n    y = 1\n    return y < x\n") if p.before == "y < x"]
    tests = [
        Test("other", 0.1, {"a.py": [1, 2]}),
        Test("elsewhere", 0.1, {"b.py": [3]}),
        Test("slow", 5.0, {"a.py": [2, 3]}),
        Test("quick", 1.0, {"a.py": [2, 3]}),
    ]

    def names(seconds):
        [group] = order_of_tests("a.py", place, tests, seconds)
        return [test.name for test in group]

    assert names(60.0) == ["quick", "slow", "other"]
    assert names(5.0) == ["quick"]
    assert names(0.5) == ["quick"]  # one at least
    assert list(order_of_tests("c.py", place, tests, 60.0)) == []


def test_the_nearest_files_are_found_by_name_and_by_import():
    imports = Imports(ROOT)
    nearest = imports.nearest("lloyd.py", "tests/solvers")
    assert nearest[0] == "tests/solvers/test_lloyd.py"
    assert len(nearest) == 5
    assert all("lloyd" in (ROOT / path).read_text(encoding="utf-8") for path in nearest)
    assert "tests/solvers/test_plsa.py" not in nearest
    assert imports.nearest("no_such_solver.py", "tests/solvers") == []


def test_scores_leave_out_what_was_proven_equivalent():
    place = {
        "module": "a.py",
        "function": "f",
        "line": 2,
        "before": "1",
        "n_tests": 1,
        "seconds": 1,
    }
    killed = place | {"after": "(2)", "killed": True, "how": "no end"}
    alive = place | {"after": "(0)", "killed": False, "how": "survived"}
    same = place | {"after": "(3)", "killed": False, "how": "survived"}
    proof = {key: same[key] for key in mutation.SAME} | {"why": "it is"}
    found = mutation.summary([killed, killed, alive, same], [proof])
    assert (found["score"], found["adjusted_score"]) == (0.5, round(2 / 3, 4))
    assert (found["n_without_end"], found["n_equivalent"]) == (2, 1)
    assert [survivor.get("equivalent") for survivor in found["survivors"]] == [None, "it is"]
    text = "\n".join(mutation.page(found | {"seed": 5, "n_places": 10}))
    assert "seed 5: 4 of 10 places" in text
    assert "score 50.0%; without 1 equivalent ones 66.7%" in text
    assert "a.py:2 in f (equivalent)" in text


@pytest.mark.parametrize(("then", "how", "n_tests"), [(2, "killed by b", 5), (0, "survived", 3)])
def test_a_longer_reach_adds_to_what_was_tried(then, how, n_tests):
    first = {"killed": False, "how": "survived", "n_tests": 3, "seconds": 1.0}
    later = {"killed": then > 0, "how": "killed by b" if then else "no test runs it"}
    joined = mutation._joined(first, later | {"n_tests": then, "seconds": 0.5})
    assert joined == {"killed": then > 0, "how": how, "n_tests": n_tests, "seconds": 1.5}
    assert mutation._joined(None, first) is first


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (5, 10), (83, 100), (100, 100)])
def test_the_interval_is_that_of_the_score_test(hits, n):
    for end in mutation.wilson(hits, n):
        # At the ends the share lies 1.96 standard errors away, by the error that the end implies.
        error = np.sqrt(max(end * (1 - end), 0.0) / n)
        assert abs(abs(hits / n - end) - 1.96 * error) < 1e-7


@pytest.mark.parametrize(
    ("within", "proven"),
    [({}, True), ({"within": "return 1"}, True), ({"within": "return 2"}, False)],
)
def test_a_proof_is_of_one_statement(within, proven):
    mutant = {"module": "a.py", "function": "f", "before": "1", "after": "(2)"}
    entries = [mutant | {"after": "(3)", "why": "no"}, mutant | {"why": "it is"} | within]
    found = mutation.why_equivalent(mutant | {"within": "    return 1"}, entries)
    assert found == ("it is" if proven else None)


def test_every_equivalent_mutant_is_one_of_the_sources():
    texts = {f"{source.stem}.py": source.text for source in read_tree("clusterlib/solvers")}
    for entry in json.loads(mutation.EQUIVALENTS.read_text(encoding="utf-8")):
        assert set(entry) - {"within"} == {*mutation.SAME, "why"}
        text = texts[entry["module"]]
        meant = [
            place
            for place in places(text)
            if (place.function, place.before) == (entry["function"], entry["before"])
            and entry["after"] in place.afters
            and entry.get("within", "") in mutation.statement_of(text, place)
        ]
        assert len(meant) == 1, entry


TOY = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        addopts = ["--import-mode=importlib"]
        """,
    "clusterlib/__init__.py": "",
    "clusterlib/solvers/__init__.py": "from clusterlib.solvers.toy import countdown, larger, twice\n",
    "clusterlib/solvers/toy.py": """
        def larger(a, b):
            return a if a > b else b

        def countdown(n):
            while n != 0:
                n -= 1

        def unused(n):
            return n

        def twice(n):
            return n + n
        """,
    "tests/test_docstrings.py": "",
    "tests/solvers/test_toy.py": """
        import pytest

        from clusterlib.solvers import countdown, larger, twice

        @pytest.fixture(scope="module")
        def four():
            return twice(2)

        def test_four_is_a_number(four):
            assert isinstance(four, int)

        def test_four(four):
            assert four == 4

        def test_larger():
            assert larger(1, 2) == larger(2, 1) == 2

        def test_countdown_ends():
            countdown(3)
        """,
}
RUN = """
from pathlib import Path
from bench import mutation, mutation_trials
mutation.ROOT = Path("repository")
mutation.preload = lambda: None
mutation_trials.LEAST_CPU_SECONDS = 2
mutation.main("--number 10 --work work --out out.jsonl".split())
"""


def test_a_package_is_judged_and_left_as_it_was(tmp_path):
    pytest.importorskip("coverage")
    repository = tmp_path / "repository"
    for name, text in TOY.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(dedent(text))
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.jsonl").read_text())
    assert found["n_places"] == found["n_mutants"] == 10
    # What the test of the countdown does not look at, and what no test does.
    assert {(s["before"], s["after"], s["how"]) for s in found["survivors"]} == {
        ("n != 0", "(n == 0)", "survived"),
        ("0", "(-1)", "survived"),
        ("return n", "return None", "no test runs it"),
    }
    assert found["n_killed"] == 7
    assert found["n_without_end"] == 2  # it runs for ever
    assert f"score {found['score']:.1%}; without 0" in done.stdout.splitlines()[-1]
    for folder in (repository, tmp_path / "work" / "tree"):
        for name, text in TOY.items():
            assert (folder / name).read_text() == dedent(text)

"""Type checkers know the types of what a user writes, and find the mistakes."""

import re

import pytest

from tests.source_rules import ROOT

FOLDER = ROOT / "tests" / "typing"


@pytest.fixture(scope="module")
def complaints(request):
    """(file, line) -> what mypy says of it, in one run over both files."""
    api = pytest.importorskip("mypy.api")
    cache = request.config.cache.mkdir("mypy")
    files = [str(FOLDER / name) for name in ("sample.py", "wrong.py")]
    options = ["--config-file", str(FOLDER / "mypy.ini"), "--cache-dir", str(cache)]
    report, trouble, _ = api.run([*options, *files])
    assert trouble == ""
    found = re.findall(r"^.*?(\w+\.py):(\d+): error: (.*)$", report, flags=re.MULTILINE)
    return {(name, int(line)): text for name, line, text in found}


def test_what_a_user_writes_has_types(complaints):
    assert {place: text for place, text in complaints.items() if place[0] != "wrong.py"} == {}


def test_mistakes_are_found(complaints):
    lines = (FOLDER / "wrong.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, start=1) if "# wrong: " in line}
    assert len(marked) > 20
    assert {line for name, line in complaints if name == "wrong.py"} == marked

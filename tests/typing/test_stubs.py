"""The stubs beside modules have the names, arguments and defaults of what is loaded."""

import pytest

from clusterlib.kernels import available_backends
from tests.source_rules import ROOT

STUBBED = sorted(path.stem for path in (ROOT / "clusterlib" / "kernels").glob("*.pyi"))


def test_stubs_agree_with_their_modules(capsys):
    stubtest = pytest.importorskip("mypy.stubtest")
    modules = [name for name in STUBBED if name != "_native" or "native" in available_backends()]
    assert "pairwise" in modules
    paths = [f"clusterlib.kernels.{name}" for name in modules]
    config = str(ROOT / "tests" / "typing" / "mypy.ini")
    arguments = stubtest.parse_options([*paths, "--mypy-config-file", config])
    failed = stubtest.test_stubs(arguments)
    assert not failed, capsys.readouterr().out

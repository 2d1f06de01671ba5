"""A few hundred of the inputs that the fuzzers try, the same in every run."""

import subprocess
import sys

import pytest

pytest.importorskip("clusterlib.kernels._native", reason="the kernels are not built")

# Seeds that were faults once: calls that never came back or ended the process, and wrong errors.
BINDINGS = [109, 149, 340, 397, 574, 650, 2042, 5711, 17397, 117342]
FAULTS = {"bindings": BINDINGS, "files": [33, 39, 1006, 1040]}


@pytest.mark.parametrize(("target", "runs"), [("bindings", 500), ("files", 100)])
def test_inputs_that_were_faults_and_the_first_ones_are_none(target, runs):
    command = [sys.executable, "-X", "faulthandler", "-m", f"tests.fuzz.{target}"]
    asked = ["--runs", str(runs), "--replay", *map(str, FAULTS[target])]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

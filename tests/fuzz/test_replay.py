"""A few hundred of the inputs that the fuzzers try, the same in every run."""

import subprocess
import sys

import pytest

pytest.importorskip("clusterlib.kernels._native", reason="the kernels are not built")

# Seeds that were faults once: calls that never came back or ended the process, and wrong errors.
FAULTS = {"bindings": [109, 149, 340, 397, 574, 650], "files": [33, 39, 1006, 1040]}


def replayed(target, *arguments):
    command = [sys.executable, "-X", "faulthandler", "-m", f"tests.fuzz.{target}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(("target", "runs"), [("bindings", 500), ("files", 200)])
def test_the_first_inputs_are_no_faults(target, runs):
    replayed(target, "--runs", str(runs))


@pytest.mark.parametrize("target", FAULTS)
def test_faults_do_not_come_back(target):
    replayed(target, "--replay", *map(str, FAULTS[target]))

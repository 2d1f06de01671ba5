"""Programs that run in a process of their own, and the fits they compare."""

import os
import subprocess
import sys

import numpy as np
from sklearn.base import clone

from tests.estimators.cases import ESTIMATORS, blobs
from tests.source_rules import ROOT

# A guard against processes that hang: far more than any of these programs takes.
TIMEOUT = 300
NAMES = [" ".join(repr(estimator).split()) for estimator in ESTIMATORS]
ONE_EACH = sorted({type(estimator): i for i, estimator in [*enumerate(ESTIMATORS)][::-1]}.values())
"""The first setting of each class in the table of estimators."""


def run(program, *arguments, flags=("-W", "ignore"), check=True, timeout=TIMEOUT, **variables):
    """Run a Python program; a variable of the environment that is None is taken away.

    Returns the finished process, whose error output is in ``stderr``; fails if it hangs.
    """
    environment = {"PYTHONPATH": str(ROOT)} | os.environ | variables
    done = subprocess.run(
        [sys.executable, *flags, "-c", program, *map(str, arguments)],
        check=False,
        cwd=ROOT,
        env={name: value for name, value in environment.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def fitted(setting, n=60):
    """Fit a setting of the table to n rows, with a target that every estimator can take for y."""
    X, y = blobs(n)
    model = clone(ESTIMATORS[setting])
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=0)
    return model.fit(np.abs(X), y)


def bits(model):
    """Everything numeric that a fit has stored, as bytes."""
    kinds = (np.ndarray, np.number, int, float)
    return {
        name: np.asarray(value).tobytes()
        for name, value in sorted(vars(model).items())
        if name.endswith("_") and isinstance(value, kinds)
    }

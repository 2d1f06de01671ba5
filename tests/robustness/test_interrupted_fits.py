"""Ctrl-C at any moment of a long fit: KeyboardInterrupt, nothing half done, and all goes on."""

import signal

import pytest

from tests.robustness.children import run
from tests.robustness.long_fits import LONG

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="there are no interval timers"
)

# A timer of the process's own computing time, so that the moment does not depend on other load.
# The model has been fitted to a few rows before, so that what was stored then can be looked for.
PROGRAM = '''
import os, random, signal, time
from sklearn.base import clone
from tests.robustness.children import bits
from tests.robustness.long_fits import LONG, data

# Shells let background processes ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
moments = random.Random(0)


def press(number, frame):
    os.kill(os.getpid(), signal.SIGINT)


def state(model):
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


def few_of(model, X, y):
    n_clusters = model.get_params().get("n_clusters", 0)
    n = 400 if isinstance(n_clusters, str) else max(400, 2 * n_clusters)
    return X[:n], y[:n]


def interrupt(name, first, last):
    X, y = data(name)
    model = clone(LONG[name][0])
    few, few_y = few_of(model, X, y)
    before = state(model.fit(few, few_y))
    expected = bits(model)
    signal.setitimer(signal.ITIMER_PROF, moments.uniform(first, last))
    try:
        model.fit(X, y)
    except KeyboardInterrupt:
        pass
    else:
        signal.setitimer(signal.ITIMER_PROF, 0)
        raise SystemExit(name + " ended before it was interrupted")
    after = state(model)
    if after.keys() != before.keys() or any(after[key] is not before[key] for key in after):
        # Centres of an iteration on the way, with nothing that belongs to the rows.
        assert "cluster_centers_" in after, (name, sorted(after))
        assert not {"labels_", "inertia_", "cluster_sizes_"} & set(after), (name, sorted(after))
        print(name, "leaves its centres")
    assert bits(model.fit(few, few_y)) == expected, name


def computing_time(name):
    """Of a fit, or 3 seconds if it takes more; what only the first fit of all loads is left out."""
    X, y = data(name)
    model = clone(LONG[name][0])
    model.fit(*few_of(model, X, y))
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 3)
    try:
        model.fit(X, y)
    except KeyboardInterrupt:
        pass
    signal.setitimer(signal.ITIMER_PROF, 0)
    return time.process_time() - begun


signal.signal(signal.SIGPROF, press)
'''
SOME = ["KMeans", "SinkhornTransport", "RepresentationCalibrator", "SimplexNMF"]


def test_an_interrupt_within_the_first_second():
    loop = f"for name in {SOME}:\n    interrupt(name, 0.05, 0.7)\n"
    run(PROGRAM + loop)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_interrupts_at_many_moments(name):
    loop = f"took = computing_time({name!r})\n"
    loop += "for share in (0.02, 0.1, 0.3, 0.6):\n"
    loop += f"    interrupt({name!r}, share / 2 * took, share * took)\n"
    run(PROGRAM + loop, timeout=900)

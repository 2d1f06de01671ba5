"""A thousand fits take no more memory than a hundred: nothing that a fit allocates stays."""

import ctypes

import pytest

from tests.robustness.children import NAMES, ONE_EACH, run

# Bytes in use, of Python's objects too with PYTHONMALLOC=malloc. What caches hold is taken out as
# far as it can be: NumPy keeps seven arrays of each size below a kilobyte, glibc what threads freed.
PROGRAM = """
import ctypes, gc, sys, time
import numpy as np
from tests.estimators.cases import ESTIMATORS
from tests.robustness.children import fitted

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo

def in_use():
    gc.collect()
    found = mallinfo()
    return found.uordblks + found.hblkhd

setting, n_first, n_more, seconds = map(int, sys.argv[1:])
# Clusters of limited sizes have no room for 400 rows.
n = 400 if getattr(ESTIMATORS[setting], "size_max", None) is None else 60
kept = [np.empty(size, np.uint8) for size in range(1025) for _ in range(8)]
del kept
for _ in range(n_first):
    fitted(setting, n)
before, begun, done = in_use(), time.monotonic(), 0
while done < n_more and time.monotonic() - begun < seconds:
    fitted(setting, n)
    done += 1
print(done, in_use() - before)
"""
ALLOCATOR = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
# Labels of the 400 rows would be 1600. Free lists of Python go on growing for hundreds of fits.
BYTES_PER_FIT = 1000

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs the allocator of glibc"
)


def grown(setting, n_first, n_more, seconds):
    """Fits done after the first ones, and the bytes that each of them has left behind."""
    done = run(PROGRAM, setting, n_first, n_more, seconds, timeout=1200, **ALLOCATOR)
    n_done, n_bytes = map(int, done.stdout.split())
    return n_done, n_bytes / n_done


def test_repeated_fits_keep_no_row():
    _, n_bytes = grown(NAMES.index("KMeans()"), 40, 60, seconds=600)
    assert n_bytes < BYTES_PER_FIT


# A setting that is slow gets as many fits as there are in 40 seconds, and at least one.
@pytest.mark.slow
@pytest.mark.parametrize("setting", range(len(NAMES)), ids=NAMES)
def test_a_thousand_fits_keep_no_row(setting, record_property):
    n_first, n_more = (100, 900) if setting in ONE_EACH else (50, 200)
    n_done, n_bytes = grown(setting, n_first, n_more, seconds=40)
    record_property("fits and bytes per fit", (n_first + n_done, n_bytes))
    assert n_bytes < BYTES_PER_FIT

"""Settings every test runs under; fixtures live beside the tests that use them."""

import os

from hypothesis import settings

# Workers that test side by side have a core each: threads of several on the same cores wait for
# each other. Read by the runtimes when NumPy and the kernels are loaded, which is later than this.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline, because a test must not depend on how fast the machine is; the same examples in
# every run, because a failure must be there again when somebody looks.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

"""``python -m clusterlib.selftest``: does every kernel compute on this machine what it should?

The test suite asks far more of the kernels, but it needs the source tree. This asks once, on the
machine where they are going to run, and says it in one line for each operation.
"""

from clusterlib.selftest.command import main

__all__ = ["main"]

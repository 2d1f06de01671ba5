"""One file per competitor, as in :mod:`bench.others`.

A module has ``entries(problem)``: pairs (name, setup) for the cases it can run; ``setup()``
prepares what a user would prepare once and returns the call that is timed. The call returns what
:mod:`bench.gpu.judge` expects. A module whose package is missing fails to import and is skipped.
"""

PEERS = ("matrix_products", "torch", "cuvs", "cuml", "pykeops", "flash_kmeans", "flash_sinkhorn")

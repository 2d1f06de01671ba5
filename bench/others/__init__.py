"""One file per competitor. Each says which cases it can run, and how, at its best.

An adapter is a module with

- ``DISTRIBUTION``: the name whose version is recorded,
- ``entries(problem)``: pairs (name, setup) for the cases it can run. ``setup()`` prepares what a
  user would prepare once (an index, an output buffer, a tuned block size) and returns the call
  that is timed. The call returns labels (argmin), indices (topk), a vector (logsumexp), a matrix
  (distances, sums), or one of the named tuples of ``bench.problems``; None when it only stands for
  a cost;
- ``set_threads(threads)``, where the thread limit of threadpoolctl does not reach.

An adapter whose package is missing fails to import and is skipped with that message.
"""

ADAPTERS = (
    "nothing",
    "sgemm",
    "read",
    "numpy",
    "pot",
    "ott",
    "geomloss",
    "sklearn",
    "sklearn_nmf",
    "sklearnex",
    "faiss",
    "torch",
    "numkong",
    "scipy",
    "cvxpy",
    "nlr",
    "kmeans_constrained",
    "prototype",
)

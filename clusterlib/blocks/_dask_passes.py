"""Passes over the blocks of a Dask array: tasks handed to a cluster or to this process."""

import sys
import weakref
from collections import Counter, deque

from clusterlib.blocks._dask_jobs import Piece, Recipe
from clusterlib.blocks._tree import tree_reduce
from clusterlib.config import default_threads

__all__ = [
    "active_client",
    "block_sources",
    "merged_by_workers",
    "results_of_scheduler",
    "results_of_workers",
]

# A task merges so many results, by the pairs of the tree: every task costs milliseconds.
_MERGED_AT_ONCE = 8
# Batches that are under way while the results of the one before them are waited for.
_AHEAD = 2


def block_sources(X):
    """Return what makes each block of rows of a Dask array.

    Parameters
    ----------
    X : dask.array.Array of shape (n_samples, n_features)
        All columns in one chunk.

    Returns
    -------
    sources : list of Recipe or dask.delayed.Delayed
        A recipe where no other block needs one of the tasks and none is done already on a
        cluster; it saves the task of the block.

    Examples
    --------
    >>> import dask.array as da
    >>> from clusterlib.blocks._dask_passes import block_sources
    >>> [source.made().shape for source in block_sources(da.ones((5, 2), chunks=(3, 2)))]
    [(3, 2), (2, 2)]
    """
    import dask
    from dask.optimization import cull

    if _held_by_workers(X):  # the optimisation would let go of what is there
        return X.to_delayed(optimize_graph=False).ravel().tolist()
    (X,) = dask.optimize(X)
    whole = X.to_delayed(optimize_graph=False).ravel()
    graph = dict(X.__dask_graph__())
    keys = [row[0] for row in X.__dask_keys__()]
    needed = [dict(cull(graph, [key])[0]) for key in keys]
    uses = Counter(key for tasks in needed for key in tasks)
    return [
        Recipe(tasks, key) if all(uses[name] == 1 for name in tasks) else block
        for tasks, key, block in zip(needed, keys, whole, strict=True)
    ]


def _held_by_workers(X):
    if "distributed" not in sys.modules:
        return False
    from distributed import futures_of

    return bool(futures_of(X))


def active_client():
    """Return the client that Dask would use here.

    Returns
    -------
    client : distributed.Client or None
        None if there is no client, or Dask was told to use another scheduler.

    Examples
    --------
    >>> from clusterlib.blocks._dask_passes import active_client
    >>> active_client() is None
    True
    """
    if "distributed" not in sys.modules:  # nobody has made a client
        return None
    import dask
    from distributed import default_client

    if dask.config.get("scheduler", None) not in (None, "distributed", "dask.distributed"):
        return None
    try:
        return default_client()
    except ValueError:
        return None


def results_of_scheduler(job, batches, observe):
    """Yield results that Dask computes in this process, batch by batch.

    Parameters
    ----------
    job : Job
        What to do.
    batches : iterable of list of Piece
        The blocks in order.
    observe : callable
        ``observe(n_rows)`` after each block.

    Yields
    ------
    result : object
        Of one block, in order.
    """
    import dask

    if dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded"):
        at_once = 1
    else:
        at_once = dask.config.get("num_workers", None) or dask.system.CPU_COUNT
    n_threads = max(1, default_threads() // at_once)
    run = dask.delayed(job.run, pure=False)
    for pieces in batches:
        results = dask.compute(*(run(piece.source, piece, n_threads) for piece in pieces))
        for piece, result in zip(pieces, results, strict=True):
            yield result
            observe(piece.n_rows)


def results_of_workers(client, job, batches, observe):
    """Yield results that the workers of a cluster compute.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    job : Job
        What to do.
    batches : iterable of list of Piece
        The blocks in order.
    observe : callable
        ``observe(n_rows)`` after each block.

    Yields
    ------
    result : object
        Of one block, in order. What is still to be done when the caller leaves is cancelled.
    """
    tasks, waiting = _Tasks(client, job), deque()
    try:
        for pieces in batches:
            waiting.append((pieces, tasks.parts(pieces)))
            if len(waiting) > _AHEAD:
                yield from _observed(*tasks.fetched(*waiting.popleft()), observe)
        while waiting:
            yield from _observed(*tasks.fetched(*waiting.popleft()), observe)
    except BaseException:  # interrupts, and a caller that leaves early
        tasks.cancel()
        raise


def _observed(pieces, results, observe):
    for piece, result in zip(pieces, results, strict=True):
        yield result
        observe(piece.n_rows)


def merged_by_workers(client, job, batches, observe):
    """Return results merged by the tree; both are done by the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    job : Job
        What to do.
    batches : iterable of list of Piece
        The blocks in order, a power of two in every batch but the last.
    observe : callable
        ``observe(n_rows)`` after each block.

    Returns
    -------
    merged : object
        The root of the tree.
    """
    tasks, waiting = _Tasks(client, job), deque()

    def roots():
        for pieces in batches:
            parts = tasks.parts(pieces)
            root = tasks.merged(parts)
            waiting.append((pieces, parts))
            del parts
            if len(waiting) > _AHEAD:
                tasks.await_parts(*waiting.popleft(), observe)
            yield root

    try:
        root = tree_reduce(lambda left, right: tasks.merged([left, right]), roots())
        while waiting:
            tasks.await_parts(*waiting.popleft(), observe)
        return root.result()
    except BaseException:
        tasks.cancel()
        raise


class _Tasks:
    """Tasks of one pass over a cluster; it forgets what nobody refers to any more."""

    def __init__(self, client, job):
        self._client, self._futures = client, weakref.WeakSet()
        # A task and no scattered value, which would be lost with the worker that has it.
        with _any_size():
            self._job = self._noted([client.submit(_itself, job, pure=False)])[0]

    def _noted(self, futures):
        self._futures.update(futures)
        return futures

    def parts(self, pieces):
        """Submit the job for some blocks: one future for each."""
        with _any_size():
            sources = [piece.source for piece in pieces]
            lazy = [i for i, source in enumerate(sources) if not isinstance(source, Recipe)]
            # Work on blocks goes before making more of them, and merging before both.
            futures = self._client.compute([sources[i] for i in lazy], priority=-1)
            for i, future in zip(lazy, self._noted(futures), strict=True):
                sources[i] = future
            bare = [Piece(None, piece.start, piece.stop, piece.slices) for piece in pieces]
            return self._noted(
                self._client.map(_worked_on, sources, bare, job=self._job, pure=False)
            )

    def merged(self, parts):
        """Submit the merges of neighbours up to a single one, whose future is returned."""
        while len(parts) > 1:
            groups = [parts[i : i + _MERGED_AT_ONCE] for i in range(0, len(parts), _MERGED_AT_ONCE)]
            parts = self._noted(
                [
                    self._client.submit(_merged, self._job, *group, pure=False, priority=1)
                    for group in groups
                ]
            )
        return parts[0]

    def fetched(self, pieces, parts):
        """Return the pieces and their results."""
        from distributed import wait

        wait(parts)
        for part in parts:
            if part.status != "finished":
                part.result()  # raises
        return pieces, self._client.gather(parts)

    def await_parts(self, pieces, parts, observe):
        """Wait for results that others merge, and let go of each as soon as it is there."""
        from distributed import as_completed

        left = dict(zip(parts, pieces, strict=True))
        parts.clear()
        for part in as_completed(list(left)):
            if part.status != "finished":
                # The first row that is refused is named, whichever worker was faster.
                next(part for part in left if part.exception() is not None).result()
            observe(left.pop(part).n_rows)

    def cancel(self):
        """Let go of everything: what has not begun never does, and results are forgotten.

        Not ``Client.cancel``, which would take persisted blocks away from the user, and whose
        scheduler fails where a task depends on another that no future stands for.
        """
        for future in list(self._futures):
            future.release()


def _any_size():
    """No warning that slices beside the rows, or an array that X was made of, are large."""
    import dask

    return dask.config.set({"distributed.admin.large-graph-warning-threshold": sys.maxsize})


def _itself(value):
    return value


def _worked_on(source, piece, job):
    from distributed import get_worker

    at_once = get_worker().state.nthreads
    return job.run(source, piece, max(1, default_threads() // at_once))


def _merged(job, *parts):
    return job.merged(parts)

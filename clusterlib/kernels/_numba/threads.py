"""The one parallel loop of this backend."""

from concurrent.futures import ThreadPoolExecutor

import numba

from clusterlib.config import default_threads

__all__ = ["parallel_map", "thread_count"]


def thread_count(n_threads):
    """Resolve 0 to the setting of the library, within what NUMBA_NUM_THREADS allows."""
    return n_threads or default_threads(numba.config.NUMBA_NUM_THREADS)


def parallel_map(work, tasks, n_threads):
    """Return ``[work(task) for task in tasks]``, computed by up to ``n_threads`` threads.

    Python threads around kernels that release the GIL, started for this call only: unlike the
    pools of ``numba.prange`` they survive a fork, may be entered from several threads at once,
    and notice a KeyboardInterrupt between two tasks.
    """
    n_threads = min(thread_count(n_threads), len(tasks))
    if n_threads <= 1:
        return [work(task) for task in tasks]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, tasks))

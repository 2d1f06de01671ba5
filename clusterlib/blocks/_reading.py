"""Reading the next block while the one before it is worked on."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

__all__ = ["read_ahead"]


def read_ahead(read, ranges):
    """Yield what ``read`` returns for every range, reading one range ahead in a thread.

    Parameters
    ----------
    read : callable
        ``read(start, stop)``; runs in one thread, in the order of the ranges.
    ranges : iterable of (start, stop)
        What to read.

    Yields
    ------
    range, rows : (int, int), object
        In order. An error of ``read`` is raised here when its range is due.

    Notes
    -----
    Three results are alive at most: what the caller holds, the one that is waiting and the one
    that is being read. Leaving the loop early waits for the reading that has begun.

    Examples
    --------
    >>> from clusterlib.blocks._reading import read_ahead
    >>> list(read_ahead(lambda start, stop: stop - start, [(0, 4), (4, 6)]))
    [((0, 4), 4), ((4, 6), 2)]
    """
    ranges = list(ranges)
    if len(ranges) == 1:  # nothing to overlap with: no thread
        yield ranges[0], read(*ranges[0])
        return
    settings = copy_context()  # threads do not see the configuration of this one by themselves
    with ThreadPoolExecutor(1, thread_name_prefix="clusterlib-read-ahead") as reader:
        coming = reader.submit(settings.run, read, *ranges[0])
        for here, following in zip(ranges, [*ranges[1:], None], strict=True):
            rows = coming.result()
            coming = following and reader.submit(settings.run, read, *following)
            yield here, rows
            del rows

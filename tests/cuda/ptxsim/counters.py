"""Counts what a launch asks of the memory system, under a simple and stated model.

A request is one load or store instruction of one warp. For global memory a request takes as many
sectors as its active lanes touch distinct aligned pieces of 32 bytes; ideal are the distinct bytes
it asks for, divided by 32 and rounded up. For shared memory, which has 32 banks of 4 bytes, a
request takes as many wavefronts as the busiest bank has distinct words to deliver; ideal are the
distinct bytes divided by 128, rounded up. Lanes that want the same word share it. Caches,
replays and the order of requests are no part of the model.
"""

from collections import defaultdict

import numpy as np

__all__ = ["Counters"]


class _Traffic:
    """Requests, what they took and what they would take at best."""

    def __init__(self):
        self.requests = self.taken = self.ideal = 0

    def add(self, requests, taken, ideal):
        self.requests += requests
        self.taken += taken
        self.ideal += ideal

    @property
    def per_request(self):
        return self.taken / max(self.requests, 1)

    @property
    def over_ideal(self):
        return self.taken / max(self.ideal, 1)

    def __repr__(self):
        return (
            f"{self.requests} requests, {self.per_request:.3f} per request, "
            f"{self.over_ideal:.3f} x ideal"
        )


class Counters:
    """Sums over launches; pass one to :func:`tests.cuda.ptxsim.launch.run`.

    Attributes
    ----------
    fused : int
        Fused multiply-adds of single lanes, of both widths.
    tensor : int
        Multiply-adds on tensor cores.
    instructions : int
        Instructions of single lanes.
    loads, stores, shared : traffic
        Global loads and stores in sectors, accesses to shared memory in wavefronts.
    by_line : dict
        (space, line of the source) -> traffic.
    """

    def __init__(self):
        self.fused = self.tensor = self.instructions = 0
        self.loads, self.stores, self.shared = _Traffic(), _Traffic(), _Traffic()
        self.by_line = defaultdict(_Traffic)

    def count_global(self, kind, line, address, size, lanes):
        """Count an access of ``size`` bytes at each address; atomics count as stores."""
        warps = lanes >> 5
        requests, bounds = np.unique(warps, return_index=True)[0], 1 << 48
        sectors = np.unique(warps * bounds + address // 32)
        pieces = np.unique(warps * bounds + address) // bounds
        wanted = np.bincount(pieces, minlength=requests[-1] + 1)[requests] * size
        numbers = requests.size, sectors.size, int((-(-wanted // 32)).sum())
        (self.loads if kind == "read" else self.stores).add(*numbers)
        self.by_line["loads" if kind == "read" else "stores", line].add(*numbers)

    def count_shared(self, line, words, lanes):
        """Count an access to 4-byte words, one row of ``words`` for every lane."""
        warps, bounds = np.repeat(lanes >> 5, words.shape[1]), 1 << 40
        distinct = np.unique(warps * bounds + words.ravel())
        warp, bank = distinct // bounds, distinct % 32
        requests = np.unique(warp)
        busy = np.bincount(warp * 32 + bank, minlength=32 * (requests[-1] + 1)).reshape(-1, 32)
        numbers = (
            requests.size,
            int(busy.max(axis=1).sum()),
            int((-(-busy.sum(axis=1) // 32)).sum()),
        )
        self.shared.add(*numbers)
        self.by_line["shared", line].add(*numbers)

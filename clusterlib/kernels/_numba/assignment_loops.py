"""Loops of the assignment kernels: prices cluster by cluster, and augmenting paths.

The network is that of the NumPy reference: the clusters and one more node, number k, that takes what
sizes leave open. Rows of a cluster are a doubly linked list, so that one can leave it in no time.
"""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled

__all__ = ["aims", "balanced", "choose", "price_sweep", "slack", "two_cheapest"]


@compiled
def two_cheapest(D, lowest, prices, labels, others, best, second):
    """The two cheapest clusters of every row, and what they cost above ``lowest``."""
    for i in range(D.shape[0]):
        first, next_one, label, other = np.inf, np.inf, 0, 0
        for c in range(D.shape[1]):
            value = (D[i, c] - lowest[i]) + prices[c]
            if value < first:
                first, next_one, label, other = value, first, c, label
            elif value < next_one:
                next_one, other = value, c
        labels[i], others[i], best[i], second[i] = label, other, first, next_one


@compiled
def aims(load, size_min, size_max, prices, aim):
    """Sizes that fit the signs of the prices; return how many rows are in wrong places."""
    wrong, total = 0, 0
    for c in range(len(load)):
        if prices[c] > 0.0:
            aim[c] = size_max[c]
        elif prices[c] < 0.0:
            aim[c] = size_min[c]
        else:
            aim[c] = min(max(load[c], size_min[c]), size_max[c])
        wrong += max(load[c] - aim[c], 0)
        total += aim[c] - load[c]
    return wrong + max(total, 0)


@compiled
def _between(margins, size):
    """Price at which ``size`` rows stay: between the margins of the last one and of the next."""
    n = len(margins)
    if size == n:
        return margins.min()
    place = n - size - 1
    ordered = np.partition(margins, place)
    if size == 0:
        return ordered[place]
    return 0.5 * (ordered[place] + ordered[place + 1 :].min())


@compiled
def price_sweep(D, lowest, prices, labels, best, second, size_min, size_max, damping):
    """Move each price towards the one that is best as long as the others stay."""
    n, k = D.shape
    margins, new_prices = np.empty(n), np.empty(k)
    for c in range(k):
        staying = 0
        for i in range(n):
            other = second[i] if labels[i] == c else best[i]
            margins[i] = other - (D[i, c] - lowest[i])
            if margins[i] > 0.0:
                staying += 1
        wanted = 0.0
        if staying > size_max[c]:
            wanted = _between(margins, size_max[c])
        elif staying < size_min[c]:
            wanted = _between(margins, size_min[c])
        new_prices[c] = prices[c] + damping * (wanted - prices[c])
        if wanted == 0.0 and abs(new_prices[c]) < 0.1 * abs(prices[c]):
            new_prices[c] = 0.0
    prices[:] = new_prices


@compiled
def choose(D, lowest, prices, size_min, size_max, labels, load):
    """Cheapest cluster of every row; of several the first one that lacks rows, or has room left."""
    n, k = D.shape
    load[:] = 0
    for i in range(n):
        best, label, several = np.inf, 0, False
        for c in range(k):
            value = (D[i, c] - lowest[i]) + prices[c]
            if value < best:
                best, label, several = value, c, False
            elif value == best:
                several = True
        labels[i] = -1 if several else label
        if not several:
            load[label] += 1
    for i in range(n):
        if labels[i] >= 0:
            continue
        best, label, rank = np.inf, 0, 0
        for c in range(k):
            value = (D[i, c] - lowest[i]) + prices[c]
            wanted = 2 if load[c] < size_min[c] else 1 if load[c] < size_max[c] else 0
            if value < best or (value == best and wanted > rank):
                best, label, rank = value, c, wanted
        labels[i] = label
        load[label] += 1


@compiled
def _link(row, cluster, first, after, before):
    head = first[cluster]
    first[cluster], after[row], before[row] = row, head, -1
    if head >= 0:
        before[head] = row


@compiled
def _unlink(row, cluster, first, after, before):
    if before[row] >= 0:
        after[before[row]] = after[row]
    else:
        first[cluster] = after[row]
    if after[row] >= 0:
        before[after[row]] = before[row]


@compiled
def _offer(D, row, cluster, weight, mover):
    """Let a row that has come to a cluster be the one that moves on from there."""
    own = D[row, cluster]
    for c in range(D.shape[1]):
        if c != cluster and D[row, c] - own < weight[cluster, c]:
            weight[cluster, c], mover[cluster, c] = D[row, c] - own, row


@compiled
def _replace(D, row, cluster, first, after, weight, mover, stale):
    """Find others for the arcs of a cluster that a row, which has left it, used to pay for."""
    n_stale = 0
    for c in range(D.shape[1]):
        if mover[cluster, c] == row:
            stale[n_stale] = c
            n_stale += 1
    # No other row is cheaper than the one that has left, so one that is as cheap ends the search.
    lowest = weight[cluster].copy()
    for s in range(n_stale):
        weight[cluster, stale[s]], mover[cluster, stale[s]] = np.inf, -1
    member = first[cluster]
    while member >= 0 and n_stale > 0:
        own, s = D[member, cluster], 0
        while s < n_stale:
            c = stale[s]
            if D[member, c] - own < weight[cluster, c]:
                weight[cluster, c], mover[cluster, c] = D[member, c] - own, member
            if weight[cluster, c] <= lowest[c]:
                n_stale -= 1
                stale[s] = stale[n_stale]
            else:
                s += 1
        member = after[member]


@compiled
def _shortest(source, load, aim, size_min, size_max, weight, prices, distance, previous, settled):
    """Dijkstra from a node with too many rows to the nearest one with too few; return that one."""
    k = len(load)
    distance[:], previous[:], settled[:] = np.inf, -1, False
    distance[source], open_total = 0.0, aim.sum() - load.sum()
    for _ in range(k + 1):
        node, reached = -1, np.inf
        for c in range(k + 1):
            if not settled[c] and distance[c] < reached:
                node, reached = c, distance[c]
        if node < 0:
            break
        if (load[node] < aim[node]) if node < k else (open_total < 0):
            return node
        settled[node] = True
        for c in range(k + 1):
            if settled[c]:
                continue
            if node < k and c < k:
                arc = weight[node, c]
            elif c == k:
                arc = 0.0 if aim[node] < size_max[node] else np.inf
            else:
                arc = 0.0 if aim[c] > size_min[c] else np.inf
            length = reached + max(arc + prices[c] - prices[node], 0.0)
            if length < distance[c]:
                distance[c], previous[c] = length, node
    return -1


@compiled
def _next_source(load, aim):
    """A node with too many rows, -1 if there is none."""
    for c in range(len(load)):
        if load[c] > aim[c]:
            return c
    return len(load) if aim.sum() > load.sum() else -1


@compiled
def balanced(D, size_min, size_max, prices, labels, load, aim):
    """Bring loads and aims together by shortest augmenting paths; return how many.

    That is -1 for bounds that no assignment meets, which the contract refuses before.
    """
    n, k = D.shape
    first, after, before = np.full(k, -1), np.empty(n, np.int64), np.empty(n, np.int64)
    weight, mover = np.full((k, k), np.inf), np.full((k, k), -1)
    for row in range(n):
        _link(row, labels[row], first, after, before)
        _offer(D, row, labels[row], weight, mover)
    distance, previous = np.empty(k + 1), np.empty(k + 1, np.int64)
    settled, stale = np.empty(k + 1, np.bool_), np.empty(k, np.int64)
    n_paths, source = 0, _next_source(load, aim)
    while source >= 0:
        node = _shortest(
            source, load, aim, size_min, size_max, weight, prices, distance, previous, settled
        )
        if node < 0:
            return -1
        for c in range(k + 1):
            prices[c] += distance[node] - min(distance[c], distance[node])
        prices -= prices[k]
        while node != source:
            a = previous[node]
            if node == k:
                aim[a] += 1
            elif a == k:
                aim[node] -= 1
            else:
                row = mover[a, node]
                _unlink(row, a, first, after, before)
                labels[row] = node
                _link(row, node, first, after, before)
                _offer(D, row, node, weight, mover)
                _replace(D, row, a, first, after, weight, mover, stale)
                load[a] -= 1
                load[node] += 1
            node = a
        n_paths += 1
        source = _next_source(load, aim)
    return n_paths


@compiled
def slack(D, lowest, prices, labels):
    """Sum over the rows of how far they are from their cheapest cluster."""
    total = 0.0
    for i in range(D.shape[0]):
        own, best = (D[i, labels[i]] - lowest[i]) + prices[labels[i]], np.inf
        for c in range(D.shape[1]):
            best = min(best, (D[i, c] - lowest[i]) + prices[c])
        total += own - best
    return total

"""
A memory of the last rows of a stream
=====================================

Batches of embeddings come and go, and for each row of a batch the most similar rows of the recent
past are wanted. ``ClusteredMemory`` keeps them in partitions of nearly equal size and searches one
partition for each query. One of 40 partitions finds rows of the right class in 95.9 % of the cases,
the whole memory in 96.7 %.
"""

# %%
# The stream: 128 handwritten digits at a time, as 32 principal components. The memory holds the
# last 1024 in 40 partitions. It begins to work when it is full.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from clusterlib.cluster import ClusteredMemory

digits = load_digits()
X = PCA(32, random_state=0).fit_transform(digits.data)
rng = np.random.default_rng(0)
memory = ClusteredMemory(n_clusters=40, capacity=1024, random_state=0)
in_slot = np.zeros(1024, dtype=int)  # which digit lies where, for the pictures only
for step in range(40):
    batch = rng.choice(len(X), 128, replace=False)
    memory.partial_fit(X[batch])
    in_slot[(step * 128 + np.arange(128)) % 1024] = batch

# %%
# Partitions are balanced because the labels of a batch are; every row in the partition of its
# nearest prototype would make some much larger than others.

nearest = np.bincount(memory.predict(memory.bank_), minlength=40)
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for sizes, name in ((memory.sizes_, "balanced labels"), (nearest, "nearest prototypes")):
    ax.stairs(np.sort(sizes)[::-1], np.arange(41) + 0.5, label=name, linewidth=1.5)
ax.set(xlabel="partition, by size", ylabel="rows", ylim=(0, None))
ax.legend()

# %%
# Neighbours of some digits that the memory has not seen in its last batches: the query on the left,
# what was found in its partition beside it, in red where it is another digit.

queries = np.setdiff1d(np.arange(len(X)), in_slot)[::65][:8]
_, slots = memory.kneighbors(X[queries], n_neighbors=6)
figure, axes = plt.subplots(len(queries), 7, figsize=(5.2, 6), layout="constrained")
for row, query, neighbours in zip(axes, queries, in_slot[slots], strict=True):
    for ax, shown in zip(row, [query, *neighbours], strict=True):
        same = digits.target[shown] == digits.target[query]
        ax.imshow(digits.images[shown], cmap="gray_r" if same else "Reds")
        ax.set(xticks=[], yticks=[])
    for spine in row[0].spines.values():
        spine.set_linewidth(2.5)

# %%
# How often a neighbour is of the class of its query, in one partition and in the whole bank.

queries = np.setdiff1d(np.arange(len(X)), in_slot)
for within in (True, False):
    _, slots = memory.kneighbors(X[queries], within_partition=within)
    right = digits.target[in_slot[slots]] == digits.target[queries][:, None]
    print(f"{'one partition' if within else 'whole bank':14s}{right.mean():.1%} of the same class")
plt.show()

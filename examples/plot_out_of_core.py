"""
When X does not fit into memory, or on one machine
==================================================

The rows of this example are never together in one place. A file is read block by block, in memory
of three blocks; a Dask cluster generates its blocks where they are worked on. Both fits end with
the same bits as a fit on an array would. Either takes 19 iterations.
"""

# %%
# A file of 120 000 rows in half precision, written a piece at a time. With ``block_bytes`` of one MiB, a
# block is a quarter of it; usual blocks are 64 MiB.

import tempfile
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster
from matplotlib import pyplot as plt

import clusterlib
from clusterlib.blocks import as_blocks, write_npy
from clusterlib.cluster import KMeans

N_SAMPLES, N_FEATURES, N_CLUSTERS = 120_000, 8, 12
PIECE = 1 << 15


def piece(start):
    """Rows from ``start`` on: each piece has a random stream of its own."""
    places = 1.2 * np.random.default_rng(0).normal(size=(N_CLUSTERS, N_FEATURES))
    rng = np.random.default_rng([1, start])
    n_rows = min(PIECE, N_SAMPLES - start)
    rows = places[rng.integers(N_CLUSTERS, size=n_rows)] + rng.normal(size=(n_rows, N_FEATURES))
    return rows.astype(np.float16)


folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "rows.npy")
write_npy(path, map(piece, range(0, N_SAMPLES, PIECE)), n_samples=N_SAMPLES)

with clusterlib.config_context(block_bytes=1 << 20):
    from_file = KMeans(N_CLUSTERS, init="k-means||", tol=1e-2, random_state=0).fit(path)
print(f"{from_file.n_iter_} iterations, inertia {from_file.inertia_:.1f}")

# %%
# The same rows as a Dask array that is stored nowhere: a worker makes a block whenever a pass needs it.
# Chunks of 4096 times a power of two are used as they are. ``processes=False`` keeps this example small;
# without it, and with the address of a scheduler instead of a ``LocalCluster``, nothing else changes.

import dask.array as da


def block(block_info=None):
    return piece(block_info[None]["array-location"][0][0])


chunks = (PIECE,) * (N_SAMPLES // PIECE) + (N_SAMPLES % PIECE,)
X = da.map_blocks(block, chunks=(chunks, (N_FEATURES,)), dtype=np.float16)
with (
    LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as workers,
    Client(workers),
):
    on_cluster = KMeans(N_CLUSTERS, init="k-means||", tol=1e-2, random_state=0).fit(X)

print("same centres:", np.array_equal(on_cluster.cluster_centers_, from_file.cluster_centers_))
print("same labels: ", np.array_equal(on_cluster.labels_, from_file.labels_))

# %%
# A fit that is broken off leaves its centres, and a ``checkpoint`` keeps them through the death of the
# process. Here Ctrl-C comes in the fifteenth pass; ``fit`` then goes on from the file.

checkpoint = Path(folder.name, "fit.npz")
rows = as_blocks(path, block_rows=PIECE)
passes = []


def interrupt(n_rows):
    passes.append(n_rows)
    if passes.count(0) == 15:
        raise KeyboardInterrupt


rows.observer = interrupt
model = KMeans(N_CLUSTERS, init="k-means||", tol=1e-2, random_state=0, checkpoint=checkpoint)
try:
    model.fit(rows)
except KeyboardInterrupt:
    print("interrupted after iteration", model.n_iter_, "of", from_file.n_iter_)
model.fit(path)
print("same bits in the end:", np.array_equal(model.cluster_centers_, from_file.cluster_centers_))

# %%
# What the iterations did, and how large the clusters are. Clusters overlap, so that
# sizes are not quite the equal ones that were planted.

figure, (moves, sizes) = plt.subplots(ncols=2, figsize=(9, 3.5), layout="constrained")
moves.semilogy(np.arange(1, from_file.n_iter_ + 1), from_file.history_, marker="o")
moves.set(xlabel="pass", ylabel="squared moves of the centres", title="each iteration reads X once")
sizes.bar(np.arange(N_CLUSTERS), np.sort(from_file.cluster_sizes_)[::-1])
sizes.axhline(N_SAMPLES / N_CLUSTERS, color="black", linestyle=":")
sizes.set(xlabel="cluster", ylabel="rows", title="sizes")
folder.cleanup()
plt.show()

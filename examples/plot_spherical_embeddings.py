"""
Clusters of embeddings on the sphere
====================================

Embeddings of texts and images carry their meaning in their directions. Here they are generated: a
mixture of von Mises-Fisher laws with a long tail of sizes, stored as float32, with lengths that
mean nothing. By direction .84 of the embeddings are in the right cluster, by distance .30.
"""

# %%
# Thirty clusters in 256 dimensions, the largest 20 times as frequent as the smallest. The mean
# cosine to the own centre is 0.45, so that two embeddings of a cluster have 0.2 on average.

import numpy as np
from matplotlib import pyplot as plt

from clusterlib.cluster import KMeans, SphericalKMeans
from clusterlib.datasets import make_von_mises_fisher
from clusterlib.kernels import pairwise_topk
from clusterlib.metrics import cluster_balance, clustering_accuracy, tolerance, uniformity

n_clusters, n_features = 30, 256
weights = 20.0 ** -(np.arange(n_clusters) / (n_clusters - 1))
X, y = make_von_mises_fisher(
    10_000,
    n_features,
    n_components=n_clusters,
    weights=weights,
    concentration=n_features * 0.45 / (1 - 0.45**2),
    dtype=np.float32,
    random_state=0,
)
lengths = np.random.default_rng(0).lognormal(sigma=0.8, size=(len(X), 1))
X *= lengths.astype(np.float32)

# %%
# How the embeddings lie on the sphere: the lower the uniformity, the more evenly they are spread;
# tolerance is the mean cosine of two embeddings of the same class.

print(f"uniformity {uniformity(X[:3000]):.2f} (evenly spread: about -4)")
print(f"tolerance  {tolerance(X, y):.2f} (0.45 squared is {0.45**2:.2f})")

# %%
# By distance, the long rows pull centres and make clusters of their own; by direction they do not.

models = {
    "by distance": KMeans(n_clusters, n_init=2, random_state=0).fit(X),
    "by direction": SphericalKMeans(n_clusters, n_init=2, random_state=0).fit(X),
}
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(np.sort(np.bincount(y))[::-1], color="black", linestyle=":", label="true sizes")
for name, model in models.items():
    accuracy = clustering_accuracy(y, model.labels_)
    effective = cluster_balance(model.labels_).effective_clusters
    print(f"{name:12s} accuracy {accuracy:.3f}, {effective:.1f} effective clusters")
    ax.plot(np.sort(model.cluster_sizes_)[::-1], label=f"{name}, accuracy {accuracy:.2f}")
ax.set(xlabel="cluster, by size", ylabel="size", yscale="log")
ax.legend()

# %%
# Clusters as the coarse level of a search: keep the rows of the few clusters whose centres are
# nearest to a query, and how often is its true nearest neighbour among them?

model = models["by direction"]
queries = np.arange(0, len(X), 100)
neighbours = pairwise_topk(X[queries], X, 2, metric="cosine")[1]
nearest = np.where(neighbours[:, 0] == queries, neighbours[:, 1], neighbours[:, 0])
_, probes = model.assign(X[queries], n_assign=8)
found = np.cumsum(probes == model.labels_[nearest][:, None], axis=1).mean(axis=0)
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(np.arange(1, 9), found, marker="o")
ax.set(
    xlabel=f"clusters looked at, of {n_clusters}",
    ylabel="nearest neighbour found",
    ylim=(0, 1.02),
)
plt.show()

"""
Clusters of a size that fits
============================

Stops are shared out among vans that serve 55 at most. k-means makes groups of 10 to 113;
``BalancedKMeans`` makes none above 55, for 34 % more cost, and proves that no assignment to its
centres that keeps the bound costs less.
"""

# %%
# Five hundred stops in and around a town, more in the middle than outside, and ten vans.

import numpy as np
from matplotlib import pyplot as plt

from clusterlib.cluster import BalancedKMeans, KMeans

rng = np.random.default_rng(0)
stops = np.concatenate([rng.normal(0, 2, (200, 2)), rng.normal(0, 8, (300, 2))])
models = {
    "k-means": KMeans(10, n_init=10, random_state=0).fit(stops),
    "no more than 55": BalancedKMeans(10, size_max=55, n_init=10, random_state=0).fit(stops),
}
for name, model in models.items():
    sizes = np.bincount(model.labels_)
    print(f"{name:16s} sizes {sizes.min()} to {sizes.max()}, cost {model.inertia_:.0f}")
balanced = models["no more than 55"]
more = balanced.inertia_ / models["k-means"].inertia_ - 1
print(f"the bound costs {more:.0%}; an assignment to these centres that keeps it can be cheaper")
print(f"by {balanced.dual_gap_:.1g} at most")

# %%
# Where the groups are, with markers beside the colours, and how large each is. Crosses are centres.

markers = "osD^v<>pPh"
figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=False):
    for group, marker in enumerate(markers):
        ax.scatter(*stops[model.labels_ == group].T, s=12, marker=marker, alpha=0.7)
    ax.scatter(*model.cluster_centers_.T, c="black", marker="x", s=40)
    ax.set(title=name, xlabel="kilometres east", ylabel="kilometres north", aspect="equal")
for name, model in models.items():
    axes[2].plot(range(1, 11), np.sort(np.bincount(model.labels_))[::-1], marker="o", label=name)
axes[2].axhline(55, color="black", linestyle=":", label="what a van serves")
axes[2].set(title="sizes", xlabel="group, by size", ylabel="stops", ylim=(0, None))
axes[2].legend()
plt.show()

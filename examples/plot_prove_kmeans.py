"""
Is my k-means solution optimal? Prove it
========================================

k-means from ten starts may give ten answers, and the best of them may still be a bad one: nothing
in the algorithm says how low the cost can get. The semidefinite relaxation does. Its value is a
lower bound on the cost of every partition, and where clusters are well apart the bound is the cost
itself: a proof. For eight balls the bound proves the best of k-means optimal; for iris it leaves
4.2 %.
"""

# %%
# Eight balls of unit noise in 20 dimensions, all 8 standard deviations apart. k-means from random
# rows often ends with two centres in one ball, and one centre for two others.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_iris

from clusterlib.cluster import KMeans, SDPClustering
from clusterlib.datasets import make_separated_mixture
from clusterlib.plotting import MembershipDisplay

X, _ = make_separated_mixture(600, 20, n_clusters=8, separation=8, random_state=0)
starts = range(40)
costs = [KMeans(8, init="random", n_init=1, random_state=s).fit(X).inertia_ for s in starts]

# %%
# The relaxation has no bad starts: it is solved once. ``certify`` asks how far from optimal the
# partition is that was found. "exact" means not at all, and that rounding has been accounted for.

proved = SDPClustering(8, certify="full", random_state=0).fit(X)
print(
    f"{proved.certificate_}: cost {proved.inertia_:.1f}, no partition below {proved.lower_bound_:.1f}"
)
print(f"rigorous: {proved.certificate_rigorous_}")

# %%
# Real data are seldom that clear. For the flowers of iris in three clusters the bound says: no
# search, however long, saves more than about 4 % of the cost.

iris = load_iris().data
iris_costs = [KMeans(3, init="random", n_init=1, random_state=s).fit(iris).inertia_ for s in starts]
bounded = SDPClustering(3, certify="full", random_state=0).fit(iris)
print(f"iris, {bounded.certificate_}: at most {bounded.optimality_gap_:.1%} above the optimum")


def draw_costs(ax, costs, model, title):
    costs, places = np.sort(costs), np.arange(1, len(costs) + 1)
    good = costs <= 1.001 * model.inertia_
    ax.axhspan(0, model.lower_bound_, color="grey", alpha=0.3, label="proved: no partition is here")
    ax.axhline(model.inertia_, color="C0", linewidth=0.8, label="SDPClustering")
    ax.scatter(places[good], costs[good], s=14, label="k-means, within 0.1 % of it")
    ax.scatter(places[~good], costs[~good], s=14, color="C3", label="k-means, worse")
    low = model.lower_bound_ - 0.15 * (max(costs) - model.lower_bound_)
    ax.set(title=title, xlabel="starts of k-means, by cost", ylabel="k-means cost")
    ax.set_ylim(low, 1.03 * max(costs))
    ax.legend(loc="upper left")


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
draw_costs(left, costs, proved, "balls: proved optimal")
gap = f"iris: at most {bounded.optimality_gap_:.1%} above the optimum"
draw_costs(right, iris_costs, bounded, gap)

# %%
# What the relaxation looks like while clusters come closer. Every point is a pair of rows: black
# where the two belong together, grey where the relaxation has not decided. First it is a partition,
# then nearly one, and in the end it takes averages of many partitions, while the gap between the
# cost and its bound grows.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
for separation, ax in zip((9, 5, 3), axes, strict=True):
    rows, _ = make_separated_mixture(400, 20, n_clusters=4, separation=separation, random_state=1)
    model = SDPClustering(4, certify="full", random_state=0).fit(rows)
    MembershipDisplay.from_estimator(model, ax=ax)
    proof = model.certificate_ == "exact"
    found = "proved optimal" if proof else f"gap {model.optimality_gap_:.2%}"
    ax.set(title=f"{separation} deviations apart: {found}")
plt.show()

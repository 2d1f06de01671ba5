"""
A classifier moves to another domain
====================================

Labels exist in one domain, the source, and answers are wanted in another, the target, whose data
are turned and shifted: another camera, another hospital, another year. Optimal transport moves the
labelled rows to where they would lie in the target, and a classifier fitted there serves it. Of the
target 62 % are classified right before, and all after.
"""

# %%
# Two half moons as source, and the same turned by 40 degrees as target. A classifier of the source
# is of little use for the target.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import make_moons
from sklearn.svm import SVC

from clusterlib.plotting import SinkhornConvergenceDisplay, TransportPlanDisplay
from clusterlib.transport import SinkhornTransport

angle = np.deg2rad(40)
turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
X, y = make_moons(200, noise=0.08, random_state=0)
target, target_classes = make_moons(200, noise=0.08, random_state=1)
X -= [0.5, 0.25]
target = (target - [0.5, 0.25]) @ turn.T + [1.0, -0.6]

classifier = SVC(C=10, gamma=2)
before = classifier.fit(X, y).score(target, target_classes)
print(f"classifier of the source: {before:.0%} of the target right")

# %%
# ``fit`` needs the rows of both domains and no label of the target. ``transform`` moves rows of
# the source, also such that ``fit`` has not seen.

transport = SinkhornTransport(epsilon=0.1).fit(X, target=target)
moved = transport.transform(X)
after = classifier.fit(moved, y).score(target, target_classes)
print(f"classifier of moved rows: {after:.0%} of the target right")

# %%
# Where rows go. Crosses are rows of the target, whose classes nobody knows; the background is the
# answer of the classifier.


def draw(ax, rows, accuracy, title):
    seen = np.concatenate([rows, target])
    low, high = seen.min(axis=0) - 0.2, seen.max(axis=0) + 0.2
    grid = np.stack(np.meshgrid(*np.linspace(low, high, 150).T), axis=-1)
    answers = SVC(C=10, gamma=2).fit(rows, y).predict(grid.reshape(-1, 2)).reshape(150, 150)
    ax.contourf(grid[..., 0], grid[..., 1], answers, levels=1, colors=["C0", "C1"], alpha=0.15)
    ax.scatter(*target.T, marker="x", c="black", s=12, linewidth=0.6)
    for label in (0, 1):
        ax.scatter(*rows[y == label].T, s=10, color=f"C{label}")
    ax.set(title=f"{title}: {accuracy:.0%} right", xticks=[], yticks=[])


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
draw(left, X, before, "source as it is")
draw(right, moved, after, "source moved to the target")

# %%
# The plan behind it, class by class (with the true classes of the target, for the picture only):
# little mass goes to the wrong class. On the right, how the solver came to it.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
TransportPlanDisplay.from_result(transport, row_labels=y, column_labels=target_classes, ax=left)
SinkhornConvergenceDisplay.from_result(transport, ax=right)

# %%
# If the target is turned too far, the cheapest transport is not the right one any more. Some labels
# of the target help, here 60 of 200: moving a row to another class becomes expensive.

rng = np.random.default_rng(0)
known = np.full(len(target), -1)
chosen = rng.choice(len(target), 60, replace=False)
known[chosen] = target_classes[chosen]
degrees = np.arange(0, 101, 20)
accuracies = {"source as it is": [], "moved": [], "moved, 60 labels of the target": []}
for angle in np.deg2rad(degrees - 40):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = target @ turn.T
    plain = SinkhornTransport(epsilon=0.1).fit_transform(X, target=turned)
    labelled = SinkhornTransport(epsilon=0.1).fit_transform(
        X, y, target=turned, target_labels=known
    )
    for scores, rows in zip(accuracies.values(), (X, plain, labelled), strict=True):
        scores.append(classifier.fit(rows, y).score(turned, target_classes))

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, scores in accuracies.items():
    ax.plot(degrees, scores, marker="o", label=name)
ax.set(xlabel="target turned by (degrees)", ylabel="target classified right", ylim=(0.4, 1.02))
ax.legend()
plt.show()

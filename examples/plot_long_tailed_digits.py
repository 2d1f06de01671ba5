"""
Cutting the head of a long tail
===============================

In a long tail of classes a few are large and most are small. Subclass balancing cuts the large ones
into clusters that are as large as a small class, so that every label has about as many rows. Here
digits get a long tail, their classes are cut, and a classifier says what that is good for: not for
a linear classifier on fixed features. At a ratio of 100 they are right for .76, whole classes for
.78, and balanced weights for .81.
"""

# %%
# Digits with a long tail: 178 zeros, and about 50 or 100 times fewer nines. An image is a row of 64
# pixels.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from clusterlib.datasets import make_long_tail
from clusterlib.imbalance import SubclassBalancer, SubclassClassifier
from clusterlib.plotting import SubclassSizeDisplay

X, y = load_digits(return_X_y=True)
tails = {ratio: make_long_tail(X, y, imbalance_ratio=ratio, random_state=0) for ratio in (50, 100)}
for ratio, (_, labels) in tails.items():
    print(f"ratio {ratio:3d}: {np.bincount(labels)}")

# %%
# ``M = max(rows of the smallest class, delta)`` is the size that subclasses should have. With
# ``size_rule="cap"`` none of them is larger. On the logarithmic axis the tail is a falling line and
# its subclasses are a plain.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
balancers = {}
for ax, (ratio, (rows, labels)) in zip(axes, tails.items(), strict=True):
    balancers[ratio] = SubclassBalancer(random_state=0).fit(rows, labels)
    SubclassSizeDisplay.from_estimator(balancers[ratio], log=True, ax=ax)
    ax.set_title(f"largest class {ratio} times the smallest")

# %%
# What a subclass looks like: the means of the first subclasses of zeros, ones and twos. A class is
# cut by the way its digits are written. Classes of no more than M rows stay whole.

balancer = balancers[50]
rows, labels = tails[50]
figure, grid = plt.subplots(3, 10, figsize=(9, 3.3), layout="constrained")
for digit, line in enumerate(grid):
    subclasses = np.flatnonzero(balancer.parent_ == digit)
    for ax, subclass in zip(line, subclasses, strict=False):
        mean = rows[balancer.subclass_labels_ == subclass].mean(axis=0)
        ax.imshow(mean.reshape(8, 8), cmap="gray_r")
    for ax in line:
        ax.set_axis_off()
    line[0].set_title(f"{len(subclasses)} subclasses of {digit}", loc="left", fontsize=9)

# %%
# As a sampler it returns every row with its subclass for a label, as imbalanced-learn has it.
# Labels are then balanced, and no row was dropped or drawn twice.

_, subclasses = SubclassBalancer(random_state=0).fit_resample(rows, labels)
print("rows of classes:   ", np.bincount(labels).min(), "to", np.bincount(labels).max())
print("rows of subclasses:", np.bincount(subclasses).min(), "to", np.bincount(subclasses).max())

# %%
# Does a linear classifier gain by it? It is trained on a tail and judged on new rows, every digit
# counting the same, with class labels or with subclasses whose probabilities are added up. Last, the
# probabilities are divided by the shares of the classes in training, which asks for no cluster (and
# corrects twice where classes have weights).

held_in, held_out = train_test_split(np.arange(len(X)), test_size=0.4, stratify=y, random_state=0)
for ratio in (50, 100):
    rows, labels = make_long_tail(X[held_in], y[held_in], imbalance_ratio=ratio, random_state=0)
    shares = np.bincount(labels) / len(labels)
    models = {
        "classes": LogisticRegression(max_iter=5000),
        "classes, balanced weights": LogisticRegression(max_iter=5000, class_weight="balanced"),
        "subclasses": SubclassClassifier(LogisticRegression(max_iter=5000), random_state=0),
    }
    for name, model in models.items():
        found = model.fit(rows, labels).predict_proba(X[held_out])
        scores = [
            balanced_accuracy_score(y[held_out], h.argmax(1)) for h in (found, found / shares)
        ]
        print(f"ratio {ratio:3d} {name:26s} {scores[0]:.3f}, over the shares {scores[1]:.3f}")

# %%
# Not by much more than chance: before the division by the shares subclasses are below class weights,
# after it they are within a point of the classes, on either side. Subclasses are for representations
# that are still being learned, by a contrastive loss that treats them as classes, and for looking at
# what a large class consists of.

plt.show()

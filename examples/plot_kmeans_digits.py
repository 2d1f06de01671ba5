"""
Clusters of handwritten digits
==============================

k-means on the 1797 images of 8 x 8 pixels that come with scikit-learn, with and without the lengths
of the images, judged by the true digits. Clusters agree with the digits for .771 of the images by
distance, and for .789 by direction.
"""

# %%
# Images, centred so that directions mean something: what matters is how an image differs from the
# mean image.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

from clusterlib.cluster import KMeans, SphericalKMeans
from clusterlib.metrics import cluster_balance, clustering_accuracy, matched_labels
from clusterlib.plotting import ClusterDisplay

images, digits = load_digits(return_X_y=True)
mean_image = images.mean(axis=0)
X = images - mean_image

# %%
# Ten clusters by distance, and ten by direction. The accuracy is that under the best one-to-one
# matching of clusters to digits; the balance tells how evenly the images are spread.

models = {
    "KMeans": KMeans(10, n_init=10, random_state=0).fit(X),
    "SphericalKMeans": SphericalKMeans(10, n_init=10, random_state=0).fit(X),
}
for name, model in models.items():
    accuracy = clustering_accuracy(digits, model.labels_)
    balance = cluster_balance(model.labels_)
    print(
        f"{name:16s} accuracy {accuracy:.3f}, {model.n_iter_:2d} iterations, "
        f"largest / smallest cluster {balance.imbalance_ratio:.1f}"
    )

# %%
# The centres, put back to grey images and named after the digit they match.

model = models["SphericalKMeans"]
names = matched_labels(digits, model.labels_, unmatched=-1)
figure, axes = plt.subplots(1, 10, figsize=(10, 1.5), layout="constrained")
for cluster, ax in enumerate(axes):
    rows = model.labels_ == cluster
    ax.imshow(images[rows].mean(axis=0).reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{names[rows][0]}")
    ax.set_axis_off()

# %%
# Sizes, convergence, and the plane in which the clusters differ most.

display = ClusterDisplay.from_estimator(models["KMeans"], X)

# %%
# Which digits are confused: rows are true digits, columns the digits that clusters match.

confusion = np.zeros((10, 10), dtype=int)
np.add.at(confusion, (digits, names), 1)
figure, ax = plt.subplots(figsize=(4, 4), layout="constrained")
ax.imshow(confusion, cmap="Blues")
for true in range(10):
    for found in range(10):
        count = confusion[true, found]
        color = "white" if count > confusion.max() / 2 else "black"
        ax.text(found, true, count or "", ha="center", va="center", size=7, color=color)
ax.set(xlabel="digit of the cluster", ylabel="true digit", xticks=range(10), yticks=range(10))
plt.show()

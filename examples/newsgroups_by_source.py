"""
Topics from sources
===================

Sentence embeddings of twenty newsgroups, dealt to thirty sources with mixed interests. Clusters of
embeddings find .55 of the topics, the most frequent topic of each source is right for .60 of the
posts; the sources and the embeddings together find .87.

The embeddings are not part of the package, so that this page shows no figures: put the files
``20newsgroups-train.npz`` and ``20newsgroups-test.npz`` into the folder named by
``CLUSTERLIB_DATA`` (see :func:`clusterlib.datasets.load_embeddings`) and run it.
"""

# %%
# All posts, in 50 dimensions, dealt to thirty sources.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.decomposition import PCA

from clusterlib.cluster import KMeans
from clusterlib.datasets import load_embeddings, make_latent_label_shift
from clusterlib.label_shift import LatentLabelShift
from clusterlib.metrics import clustering_accuracy, label_shift_floors, matched_labels

parts = [load_embeddings(f"20newsgroups-{part}") for part in ("train", "test")]
posts = PCA(50, random_state=0).fit_transform(np.concatenate([part.data for part in parts]))
topics = np.concatenate([part.target for part in parts])
names = parts[0].target_names
sources = make_latent_label_shift(
    posts, topics, n_domains=30, concentration=1.0, max_condition=30.0, random_state=0
)
print(f"{len(sources.X)} posts from {len(sources.label_marginals)} sources")

# %%
# Twenty clusters of embeddings, and twenty classes from the sources.

model = LatentLabelShift(20, random_state=0).fit(sources.X, sources.domains)
found = {
    "k-means": KMeans(20, n_init=5, random_state=0).fit_predict(sources.X),
    "latent label shift": model.labels_,
}
floors = label_shift_floors(sources.label_marginals, sources.y, sources.domains)
accuracies = {name: clustering_accuracy(sources.y, labels) for name, labels in found.items()}
accuracies["most frequent topic"] = floors.domain_only_accuracy
for name, accuracy in accuracies.items():
    print(f"{name:20s} {accuracy:.3f}")

# %%
# Topic by topic.

figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for shift, (name, labels) in zip((-0.2, 0.2), found.items(), strict=True):
    right = matched_labels(sources.y, labels) == sources.y
    shares = [right[sources.y == topic].mean() for topic in range(len(names))]
    ax.barh(np.arange(len(names)) + shift, shares, height=0.4, label=name)
ax.set(yticks=np.arange(len(names)), yticklabels=names, xlabel="posts found", ylim=(-0.6, 19.6))
ax.invert_yaxis()
ax.legend()

plt.show()

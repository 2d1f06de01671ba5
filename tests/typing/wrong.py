"""Mistakes of a user that mypy has to find, each in the line that is marked."""

import numpy as np

import clusterlib
from clusterlib.cluster import BalancedKMeans, KMeans, SDPClustering
from clusterlib.datasets import make_gaussian_mixture, make_noisy_labels
from clusterlib.kernels import pairwise_argmin
from clusterlib.label_shift import LatentLabelShift
from clusterlib.metrics import cluster_balance
from clusterlib.plotting import ClusterDisplay
from clusterlib.solvers import lloyd

X = np.zeros((10, 2))

KMeans(init="kmeans")  # wrong: option
KMeans(n_cluster=3)  # wrong: name of an argument
KMeans(8, "random")  # wrong: a keyword is needed
KMeans(n_clusters="8")  # wrong: type
KMeans(random_state=1.5)  # wrong: type
KMeans().fit()  # wrong: nothing to fit
KMeans().fit(5)  # wrong: no rows
KMeans().fit(X).labels_.item("first")  # wrong: not how an array is used
shape = KMeans().fit(X).inertia_.shape  # wrong: a number has no shape
BalancedKMeans(assignment="optimal")  # wrong: option
SDPClustering(certify=True)  # wrong: type
LatentLabelShift(discriminator="neighbours")  # wrong: spelling
make_noisy_labels([0, 1], kind="pairs")  # wrong: option
a, b, c = make_gaussian_mixture(10, 2)  # wrong: two answers
pairwise_argmin(X, X, metric="manhattan")  # wrong: option
pairwise_argmin(X, X, backend="cuda")  # wrong: option
labels, distances = lloyd(X, X[:2])  # wrong: a named tuple of seven
entropy = cluster_balance([0, 1]).entropy  # wrong: no such field
ClusterDisplay.from_estimator(KMeans(), X, 50)  # wrong: a keyword is needed
clusterlib.set_config(n_threads="all")  # wrong: type
clusterlib.no_such_room.KMeans()  # wrong: no such name

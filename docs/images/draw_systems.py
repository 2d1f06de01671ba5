"""Draw the six pictures of the landing page: ``python docs/images/draw_systems.py``.

Each shows one system of the library on data that ship with scikit-learn or are generated here:
two panels, before and after, with figures computed when it is drawn.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from clusterlib.cluster import KMeans, LikelihoodAdjustedSDP, SinkhornClustering, SphericalKMeans
from clusterlib.datasets import (
    make_heterogeneous_mixture,
    make_latent_label_shift,
    make_long_tail,
    make_noisy_labels,
)
from clusterlib.imbalance import RepresentationCalibrator, SubclassBalancer
from clusterlib.label_shift import LatentLabelShift
from clusterlib.metrics import clustering_accuracy, matched_labels
from clusterlib.transport import OTPrototypeClassifier

FOLDER = Path(__file__).parent
COLOURS = np.array(["#3b6fb6", "#e07b39", "#3f9b6c", "#b04a7a", "#8a6fc2"])
GREY, INK = "#c4c8cf", "#2b2f36"


def new_figure(**options):
    """Return a figure of the common size and its two axes."""
    figure = Figure(figsize=(4.8, 2.7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, 2, **options)


def plain(ax, title):
    """Leave rows and a title: no ticks, a light frame."""
    ax.set(xticks=[], yticks=[])
    title_of(ax, title)


def title_of(ax, title):
    """Write the title in the common style."""
    ax.set_title(title, fontsize=9, color=INK)
    ax.tick_params(labelsize=7, colors=INK)
    ax.spines[:].set_color(GREY)


def save(figure, name):
    """Write a PNG of 64 colours, which keeps it small."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    image = Image.open(buffer).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    image.save(FOLDER / f"{name}.png", optimize=True)


def scatter(ax, X, colours, **options):
    """Draw rows of two features."""
    ax.scatter(*X.T, c=colours, **{"s": 9, "linewidths": 0, "alpha": 0.75} | options)


def ellipse(ax, mean, covariance, colour, **options):
    """Draw the ellipse two standard deviations around a mean."""
    values, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    width, height = 4 * np.sqrt(values[::-1])
    options = {"fill": False, "edgecolor": colour, "linewidth": 1.6} | options
    ax.add_patch(Ellipse(mean, width, height, angle=angle, **options))


def draw_semidefinite():
    """Three cigars: k-means cuts across them, the likelihood-adjusted program does not."""
    X, truth, *_ = make_heterogeneous_mixture("elongated", random_state=2)
    kmeans = KMeans(3, n_init=10, random_state=0).fit(X)
    model = LikelihoodAdjustedSDP(3, covariance_type="full", random_state=0).fit(X)
    figure, axes = new_figure(sharex=True, sharey=True)
    names = ["k-means", "LikelihoodAdjustedSDP"]
    for ax, name, labels in zip(axes, names, [kmeans.labels_, model.labels_], strict=True):
        right = clustering_accuracy(truth, labels)
        scatter(ax, X, COLOURS[matched_labels(truth, labels)])
        plain(ax, f"{name}: {right:.0%} right")
    for k, (mean, covariance) in enumerate(zip(model.means_, model.covariances_, strict=True)):
        label = matched_labels(truth, model.labels_)[model.labels_ == k][0]
        ellipse(axes[1], mean, covariance, COLOURS[label])
    save(figure, "semidefinite")


def draw_assignments():
    """Sizes of the clusters of digits: as they come, and shared out equally."""
    images, _ = load_digits(return_X_y=True)
    X = normalize(PCA(32, random_state=0).fit_transform(images))
    figure, axes = new_figure(sharey=True)
    models = [SphericalKMeans(10, random_state=0), SinkhornClustering(10, random_state=0)]
    for ax, model, colour in zip(axes, models, COLOURS, strict=False):
        model.fit(X)
        sizes = np.bincount(model.labels_, minlength=10)
        ax.bar(range(10), np.sort(sizes)[::-1], color=colour)
        ax.axhline(len(X) / 10, color=INK, linestyle="--", linewidth=1)
        title_of(ax, type(model).__name__)
        ax.set(xticks=[])
        ax.set_xlabel("ten clusters of digits", fontsize=8, color=INK)
    axes[0].set_ylabel("images", fontsize=8, color=INK)
    save(figure, "assignments")


def draw_label_shift():
    """Shares of digits in twelve places: the truth, and what was found without one label."""
    images, digits = load_digits(return_X_y=True)
    places = make_latent_label_shift(
        images, digits, n_domains=12, concentration=3.0, max_condition=4.0, random_state=0
    )
    model = LatentLabelShift(10, random_state=0).fit(places.X, places.domains)
    found = matched_labels(places.y, model.labels_)
    order = [
        np.bincount(model.labels_[found == digit], minlength=10).argmax() for digit in range(10)
    ]
    accuracy = clustering_accuracy(places.y, model.labels_)
    figure, axes = new_figure(sharey=True)
    panels = [
        (places.label_marginals, "true shares"),
        (model.label_marginals_[:, order], f"no labels: {accuracy:.0%} right"),
    ]
    for ax, (shares, title) in zip(axes, panels, strict=True):
        ax.imshow(shares, cmap="BuGn", vmin=0, vmax=places.label_marginals.max(), aspect="auto")
        plain(ax, title)
        ax.set_xticks(range(10), range(10), fontsize=7)
        ax.set_xlabel("digit", fontsize=8, color=INK)
    axes[0].set_ylabel("twelve places", fontsize=8, color=INK)
    save(figure, "label_shift")


def draw_alignment():
    """One labelled row for each of three classes, and where transport moves the prototypes."""
    rng = np.random.default_rng(5)
    means = np.array([[0.0, 0.0], [4.2, 0.4], [1.8, 3.6]])
    truth = np.repeat(np.arange(3), 40)
    queries = means[truth] + rng.normal(size=(120, 2)) * 0.85
    labelled = means + np.array([[1.5, 0.9], [-1.5, 0.6], [0.9, -1.6]])
    model = OTPrototypeClassifier(normalize=None).fit(labelled, np.arange(3))
    moved = model.align(queries).prototypes_after
    nearest = ((queries[:, None] - labelled) ** 2).sum(axis=2).argmin(axis=1)
    panels = [("nearest labelled row", nearest), ("after transport", model.predict(queries))]
    figure, axes = new_figure(sharex=True, sharey=True)
    for ax, (name, labels) in zip(axes, panels, strict=True):
        scatter(ax, queries, COLOURS[labels], alpha=0.6)
        plain(ax, f"{name}: {np.mean(labels == truth):.0%} right")
        star = {"marker": "*", "s": 110, "alpha": 1, "edgecolors": "white", "linewidths": 0.6}
        scatter(ax, labelled, INK, **star)
    for before, after in zip(labelled, moved, strict=True):
        arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.4, "shrinkA": 4, "shrinkB": 0}
        axes[1].annotate("", after, before, arrowprops=arrow)
    save(figure, "alignment")


def draw_subclasses():
    """A long tail of digits, and the same rows with subclasses for labels."""
    X, y = load_digits(return_X_y=True)
    X, y = make_long_tail(X, y, imbalance_ratio=15, random_state=0)
    balancer = SubclassBalancer(random_state=0).fit(X, y)
    figure, axes = new_figure(sharey=True)
    axes[0].bar(range(10), np.bincount(y), color=COLOURS[0])
    bottom = np.zeros(10)
    parents = balancer.to_classes(np.arange(len(np.unique(balancer.subclass_labels_))))
    for part, parent in enumerate(parents):
        size = np.count_nonzero(balancer.subclass_labels_ == part)
        box = {"color": COLOURS[2], "edgecolor": "white", "linewidth": 0.8}
        axes[1].bar(parent, size, bottom=bottom[parent], **box)
        bottom[parent] += size
    title_of(axes[0], "10 classes, 15 to 1")
    sizes = np.bincount(balancer.subclass_labels_)
    title_of(axes[1], f"{len(parents)} subclasses of {sizes.min()} to {sizes.max()} images")
    for ax in axes:
        ax.set_xticks(range(10), range(10))
        ax.set_xlabel("digit", fontsize=8, color=INK)
    axes[0].set_ylabel("images", fontsize=8, color=INK)
    save(figure, "subclasses")


def draw_calibration():
    """A rare class whose labels are mostly wrong: its Gaussian before and after."""
    rng = np.random.default_rng(3)
    means, truth = np.array([[0, 0], [5, 0.5], [2.6, 4]]), np.repeat([0, 1, 2], [150, 110, 25])
    X = means[truth] + rng.normal(size=(len(truth), 2)) * [1.0, 0.7]
    labels, _ = make_noisy_labels(truth, noise_rate=0.25, random_state=1)
    model = RepresentationCalibrator(random_state=0).fit(X, labels)
    figure, axes = new_figure(sharex=True, sharey=True)
    scatter(axes[0], X, COLOURS[labels])
    plain(axes[0], f"{np.mean(labels != truth):.0%} of the labels are wrong")
    believed = np.where(model.label_quality_ > 0.5, labels, model.other_labels_)
    scatter(axes[1], X, COLOURS[believed])
    plain(axes[1], f"calibrated: {np.mean(believed != truth):.0%} are")
    for k in range(3):
        own = X[labels == k]
        ellipse(axes[0], own.mean(axis=0), np.cov(own.T), COLOURS[k], linestyle="--")
        ellipse(axes[1], model.means_[k], model.covariances_[k], COLOURS[k])
    save(figure, "calibration")


if __name__ == "__main__":
    draw_semidefinite()
    draw_assignments()
    draw_label_shift()
    draw_alignment()
    draw_subclasses()
    draw_calibration()

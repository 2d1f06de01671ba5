"""Colour quantisation: a photograph in few colours, by clustering all of its pixels."""

import numpy as np
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.cluster import MiniBatchKMeans as TheirMiniBatchKMeans

from clusterlib.cluster import KMeans, MiniBatchKMeans
from clusterlib.demo.figures import draw_image, side_by_side
from clusterlib.demo.photographs import load_photograph
from clusterlib.demo.race import common_start, race
from clusterlib.demo.results import Answer, Figure, Section, Settings
from clusterlib.kernels import pairwise_argmin

ORDER = 20
TITLE = "Colours of a photograph"
FEW, MANY = 16, 256
ROUNDS = 20
BATCH = 4096
PASSES = 3


def _lloyd(estimator, start: np.ndarray):
    def contestant(X: np.ndarray) -> Answer:
        fit = estimator(n_clusters=len(start), init=start, n_init=1, max_iter=ROUNDS, tol=0.0)
        fit.fit(X)
        return Answer(fit.labels_, fit.cluster_centers_)

    return contestant


def _mini_batches(estimator, start: np.ndarray):
    def contestant(X: np.ndarray) -> Answer:
        fit = estimator(
            n_clusters=len(start),
            init=start,
            n_init=1,
            batch_size=BATCH,
            max_iter=PASSES,
            max_no_improvement=None,
            random_state=0,
        ).fit(X)
        return Answer(fit.labels_, fit.cluster_centers_)

    return contestant


def quantise(photograph: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Give every pixel the nearest colour of the palette.

    Parameters
    ----------
    photograph : ndarray of uint8, shape (height, width, 3)
    palette : ndarray of float32, shape (n_colours, 3)

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    labels = pairwise_argmin(photograph.reshape(-1, 3).astype(palette.dtype), palette)
    colours = np.rint(palette).clip(0, 255).astype(np.uint8)
    return colours[labels].reshape(photograph.shape)


def _draw(photograph: np.ndarray, palettes: list[np.ndarray]) -> str:
    panels = [("original", draw_image(photograph, "The photograph", photograph=True))]
    for palette in palettes:
        title = f"{len(palette)} colours"
        pixels = quantise(photograph, palette)
        panels.append((title, draw_image(pixels, f"The photograph in {title}", photograph=True)))
    return side_by_side(panels)


def run(settings: Settings) -> Section:
    """Reduce a photograph to 16 and to 256 colours.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Section

    Raises
    ------
    UnavailableError
        The photograph cannot be read.
    """
    photograph = load_photograph("china.jpg")
    X = photograph.reshape(-1, 3)[:: settings.step].astype(np.float32)
    few, many = common_start(X, FEW), common_start(X, MANY)
    jobs = [
        (f"Colours: KMeans, k = {FEW}", _lloyd, KMeans, TheirKMeans, few),
        (f"Colours: KMeans, k = {MANY}", _lloyd, KMeans, TheirKMeans, many),
        (
            f"Colours: MiniBatchKMeans, k = {MANY}",
            _mini_batches,
            MiniBatchKMeans,
            TheirMiniBatchKMeans,
            many,
        ),
    ]
    outcomes = [
        race(job, X, contestant(ours, start), contestant(theirs, start), settings)
        for job, contestant, ours, theirs, start in jobs
    ]
    palettes = [answer.centers for _, answer in outcomes[:2]]
    return Section(
        TITLE,
        "Every pixel is a point of three numbers, 0 to 255, in single precision; the centres are "
        "the palette. Both libraries begin with the same colours. KMeans does "
        f"{ROUNDS} rounds. MiniBatchKMeans takes {PASSES} passes in batches of {BATCH:,}, which "
        "each library draws at random in its own way, so that the losses differ a little.",
        [comparison for comparison, _ in outcomes],
        [
            Figure(
                "The photograph, and the same with every pixel replaced by its centre.",
                lambda: _draw(photograph, palettes[::-1]),
            )
        ],
    )

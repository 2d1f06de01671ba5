"""Vector quantisation: a code book of image patches, then labels for patches never seen."""

import numpy as np
from sklearn.cluster import KMeans as TheirKMeans

from clusterlib.cluster import KMeans
from clusterlib.demo.figures import OURS, THEIRS, draw_image, draw_svg, side_by_side
from clusterlib.demo.photographs import EDGE, load_photograph, patches_of, tile
from clusterlib.demo.race import common_start, race
from clusterlib.demo.results import Answer, Comparison, Figure, Section, Settings
from clusterlib.kernels import pairwise_argmin

ORDER = 30
TITLE = "A code book of image patches"
N_CODES = 256
ROUNDS = 20
OFFSETS = (0, 4096, 16384)


def _fitting(estimator, start: np.ndarray):
    def contestant(X: np.ndarray) -> Answer:
        fit = estimator(n_clusters=N_CODES, init=start, n_init=1, max_iter=ROUNDS, tol=0.0)
        fit.fit(X)
        return Answer(fit.labels_, fit.cluster_centers_)

    return contestant


def _labelling(estimator, codes: np.ndarray):
    """Return a contestant that only predicts: fitted to the codes themselves, it keeps them."""
    fitted = estimator(n_clusters=N_CODES, init=codes, n_init=1).fit(codes)

    def contestant(X: np.ndarray) -> Answer:
        return Answer(fitted.predict(X), fitted.cluster_centers_)

    return contestant


def _label_shifted(X: np.ndarray, codes: np.ndarray, settings: Settings) -> list[Comparison]:
    outcomes = []
    for offset in OFFSETS:
        shift = np.float32(offset)
        job = "Patches: label the flower" + (f", {offset:,} added" if offset else "")
        contestants = (_labelling(kind, codes + shift) for kind in (KMeans, TheirKMeans))
        outcomes.append(race(job, X + shift, *contestants, settings)[0])
    return outcomes


def _draw_codes(codes: np.ndarray) -> str:
    by_brightness = codes[np.argsort(codes.mean(axis=1), kind="stable")]
    picture = np.kron(tile(by_brightness, 16, gap=1), np.ones((3, 3, 1), dtype=np.uint8))
    return draw_image(picture, "The 256 patches of the code book")


def decode(photograph: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Replace every 8 x 8 tile of a photograph by the nearest patch of the code book.

    Parameters
    ----------
    photograph : ndarray of uint8, shape (height, width, 3)
    codes : ndarray of float32, shape (n_codes, 192)

    Returns
    -------
    ndarray of uint8, shape (height // 8 * 8, width // 8 * 8, 3)
    """
    labels = pairwise_argmin(patches_of(photograph, EDGE), codes)
    return tile(codes[labels], photograph.shape[1] // EDGE)


def _draw_decoded(photograph: np.ndarray, codes: np.ndarray) -> str:
    decoded = decode(photograph, codes)
    pair = [
        ("original", photograph[: len(decoded)]),
        ("one byte for every 192", decoded),
    ]
    return side_by_side(
        [(title, draw_image(pixels, title, photograph=True)) for title, pixels in pair]
    )


def _draw_wrong(shifted: list[Comparison], n_rows: int) -> str:
    places = np.arange(len(OFFSETS))

    def paint(figure):
        axes = figure.subplots()
        for side, color in (("ours", OURS), ("theirs", THEIRS)):
            scores = [getattr(outcome, side) for outcome in shifted]
            counts = [score.wrong_labels for score in scores]
            shift = -0.2 if side == "ours" else 0.2
            bars = axes.bar(places + shift, counts, 0.38, color=color, label=scores[0].library)
            axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=9)
        axes.set_xticks(places, [f"{offset:,}" for offset in OFFSETS])
        axes.set_xlabel("constant added to every number")
        axes.set_ylabel(f"wrong labels of {n_rows:,}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.margins(y=0.12)
        axes.legend(frameon=False, loc="upper left")

    return draw_svg("wrong", (4.0, 2.8), "Wrong labels against the constant added", paint)


def run(settings: Settings) -> Section:
    """Learn 256 patches from two photographs and label every patch of one of them.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Section

    Raises
    ------
    UnavailableError
        The photographs cannot be read.
    """
    temple, flower = load_photograph("china.jpg"), load_photograph("flower.jpg")
    X = np.concatenate([patches_of(temple, 2), patches_of(flower, 2)])[:: settings.step]
    start = common_start(X, N_CODES)
    learned, answer = race(
        f"Patches: KMeans, k = {N_CODES}",
        X,
        _fitting(KMeans, start),
        _fitting(TheirKMeans, start),
        settings,
    )
    unseen = patches_of(flower, 1)[:: settings.step]
    shifted = _label_shifted(unseen, answer.centers, settings)
    return Section(
        TITLE,
        "Squares of 8 x 8 pixels are points of 192 numbers in single precision. The centres are a "
        "code book: a picture is then stored as one code for each square. They are learned from a "
        f"quarter of all patches of two photographs in {ROUNDS} rounds. Then every patch of the "
        "flower is labelled with the finished code book: once as it is, then with a constant added "
        "to data and centres, as a sensor's black level would be. The constant moves all points "
        "together and changes no distance, but it leaves single precision fewer digits for the "
        "differences. The count of wrong labels shows what that costs.",
        [learned, *shifted],
        [
            Figure("The code book, by brightness.", lambda: _draw_codes(answer.centers)),
            Figure(
                "Labels that are not the nearest centre in double precision.",
                lambda: _draw_wrong(shifted, len(unseen)),
            ),
            Figure(
                "The flower, and the flower rebuilt from the code book alone.",
                lambda: _draw_decoded(flower, answer.centers),
            ),
        ],
    )

"""Draw the picture of the README: ``python docs/images/draw_picture.py``.

Two photographs that ship with scikit-learn, the first in 16 colours, the second rebuilt from a code
book of 256 patches, and the code book. All of it is k-means; at the end the picture itself is
reduced to 192 colours by k-means, which keeps the file small.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from clusterlib.cluster import KMeans
from clusterlib.demo.photographs import load_photograph, patches_of, tile
from clusterlib.demo.sections.colours import quantise
from clusterlib.demo.sections.patches import decode
from clusterlib.kernels import pairwise_argmin

TARGET = Path(__file__).with_name("clusterlib.png")
N_COLOURS, N_CODES, FILE_COLOURS = 16, 256, 192


def fit_centers(X: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return k-means centres, shape (n_clusters, n_features), of the rows of X."""
    return KMeans(n_clusters, n_init=1, random_state=0).fit(X).cluster_centers_


def pixels_of(image: np.ndarray) -> np.ndarray:
    """Return the pixels of an image as float32 rows of three."""
    return image.reshape(-1, 3).astype(np.float32)


def compose() -> np.ndarray:
    """Return the picture as uint8, shape (height, width, 3)."""
    temple, flower = load_photograph("china.jpg"), load_photograph("flower.jpg")
    palette = fit_centers(pixels_of(temple), N_COLOURS)
    patches = np.concatenate([patches_of(temple, 2), patches_of(flower, 2)])
    codes = fit_centers(patches, N_CODES)
    by_brightness = codes[np.argsort(codes.mean(axis=1), kind="stable")]
    panels = {
        "a": (temple, f"a photograph: {temple.size // 3:,} points in 3 dimensions"),
        "b": (quantise(temple, palette), f"its {N_COLOURS} clusters"),
        "c": (flower, "another, cut into patches of 192 dimensions"),
        "d": (decode(flower, codes), f"rebuilt from {N_CODES} clusters"),
        "e": (tile(by_brightness, 16, gap=1), f"the {N_CODES} centres, by brightness"),
    }
    figure = Figure(figsize=(12, 4.55), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic("abee\ncdee", width_ratios=(3, 3, 2.2, 2.2))
    for name, (image, title) in panels.items():
        axes[name].imshow(image, interpolation="antialiased")
        axes[name].set_title(title, fontsize=10, loc="left")
        axes[name].set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save_with_few_colours(picture: np.ndarray) -> None:
    """Write the picture as a PNG with a palette found by k-means."""
    pixels = pixels_of(picture)
    distinct = np.unique(pixels, axis=0)
    palette = fit_centers(distinct, FILE_COLOURS - 1)
    # The background must stay white.
    palette = np.vstack([palette, np.full((1, 3), 255, dtype=palette.dtype)])
    indices = pairwise_argmin(pixels, palette).astype(np.uint8).reshape(picture.shape[:2])
    image = Image.fromarray(indices, mode="P")
    image.putpalette(np.rint(palette).clip(0, 255).astype(np.uint8).tobytes())
    image.save(TARGET, optimize=True)


if __name__ == "__main__":
    save_with_few_colours(compose())

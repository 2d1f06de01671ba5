"""The two photographs that ship with scikit-learn, as rows of colours or of patches."""

import numpy as np
from sklearn.datasets import load_sample_image

from clusterlib.demo.results import UnavailableError

EDGE = 8
CREDITS = (
    "Photographs: danielbuechele (temple) and vultilion (flower), CC BY 2.0 "
    "(creativecommons.org/licenses/by/2.0), from the sample images of scikit-learn; "
    "colours reduced by clustering."
)


def load_photograph(name: str) -> np.ndarray:
    """Load a photograph.

    Parameters
    ----------
    name : {"china.jpg", "flower.jpg"}

    Returns
    -------
    ndarray of uint8, shape (427, 640, 3)

    Raises
    ------
    UnavailableError
        Pillow, which decodes the file, is not installed.
    """
    try:
        return load_sample_image(name)
    except ImportError as error:
        raise UnavailableError(
            'needs Pillow to read the photographs: pip install "clusterlib-native[plot]"'
        ) from error


def patches_of(photograph: np.ndarray, stride: int) -> np.ndarray:
    """Cut a photograph into square patches of 8 x 8 pixels.

    Parameters
    ----------
    photograph : ndarray of uint8, shape (height, width, 3)
    stride : int
        Distance between neighbouring patches in pixels: 1 gives all, 8 a tiling.

    Returns
    -------
    ndarray of float32, shape (n_patches, 192)
        Values 0 to 255, row by row of the photograph.
    """
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (EDGE, EDGE), axis=(0, 1))
    windows = np.moveaxis(windows[::stride, ::stride], 2, -1)
    return windows.reshape(-1, EDGE * EDGE * 3).astype(np.float32)


def tile(patches: np.ndarray, n_columns: int, gap: int = 0) -> np.ndarray:
    """Lay patches out side by side, row by row.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, 192)
        Values 0 to 255; ``n_patches`` is a multiple of `n_columns`.
    n_columns : int
    gap : int, default 0
        White pixels after every patch.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    squares = np.rint(patches).clip(0, 255).astype(np.uint8).reshape(-1, EDGE, EDGE, 3)
    squares = np.pad(squares, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    grid = squares.reshape(-1, n_columns, EDGE + gap, EDGE + gap, 3)
    n_rows = len(grid)
    return grid.swapaxes(1, 2).reshape(n_rows * (EDGE + gap), n_columns * (EDGE + gap), 3)

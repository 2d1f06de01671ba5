"""What a section of the demo hands to the table and to the page."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


class UnavailableError(RuntimeError):
    """A section cannot run here; the message says what to install."""


@dataclass(frozen=True)
class Settings:
    """How much work the demo does.

    Parameters
    ----------
    n_threads : int
        Threads that both libraries may use, at least 1.
    repeats : int
        Timed runs of each contestant, at least 1.
    step : int
        Large data sets keep every ``step``-th row; 1 keeps all.
    """

    n_threads: int
    repeats: int = 3
    step: int = 1


@dataclass(frozen=True)
class Answer:
    """What a contestant returns: a label per row and the centres they refer to.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
    centers : ndarray of float32 or float64, shape (n_clusters, n_features)
    """

    labels: np.ndarray
    centers: np.ndarray


@dataclass(frozen=True)
class Score:
    """One library on one job: how good, how exact, how fast.

    Parameters
    ----------
    library : str
    loss : float
        Mean over the rows, worked out in float64 by the same code for both libraries.
    wrong_labels : int
        Rows whose label is not the nearest of the library's own centres in float64.
    seconds : float
        Median wall time of the repeats.
    accuracy, nmi : float in [0, 1] or None
        Agreement with the known classes, where the data have any.
    """

    library: str
    loss: float
    wrong_labels: int
    seconds: float
    accuracy: float | None = None
    nmi: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Both libraries on one job.

    Parameters
    ----------
    job : str
        What is done, in a few words.
    data : str
        Rows, columns, dtype and number of clusters.
    ours, theirs : Score
    """

    job: str
    data: str
    ours: Score
    theirs: Score

    @property
    def speed(self) -> float:
        """Time of scikit-learn divided by ours: above 1, clusterlib is the faster one."""
        return self.theirs.seconds / self.ours.seconds


@dataclass(frozen=True)
class Figure:
    """A figure that is drawn only when the page is written with figures.

    Parameters
    ----------
    caption : str
        Plain text below the figure.
    draw : callable() -> str
        Returns self-contained markup (inline SVG, or images as data addresses).
    """

    caption: str
    draw: Callable[[], str]


@dataclass(frozen=True)
class Section:
    """The outcome of one section.

    Parameters
    ----------
    title : str
    text : str
        One paragraph of plain text for the page.
    comparisons : list of Comparison
    figures : list of Figure
    missing : str
        Why the section did not run; empty if it did.
    """

    title: str
    text: str
    comparisons: list[Comparison] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    missing: str = ""

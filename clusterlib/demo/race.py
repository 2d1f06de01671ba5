"""Time two contestants side by side and score both answers by the same code."""

import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
from sklearn.cluster import kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from clusterlib.config import config_context
from clusterlib.demo.judge import count_wrong_labels, inertia
from clusterlib.demo.results import Answer, Comparison, Score, Settings
from clusterlib.metrics import clustering_accuracy

Contestant = Callable[[np.ndarray], Answer]

# OpenMP threads keep spinning for a while after a parallel region and would take the cores from
# the other library; GNU's runtime gives up after some milliseconds.
PAUSE_SECONDS = 0.05
# Jobs below this are repeated three times as often: their medians are the noisiest.
SHORT_SECONDS = 0.3
# A job that has taken this long is not repeated again, so that a slow or busy machine still gets
# its page in a bearable time.
LONG_SECONDS = 8.0


def _timed(contestant: Contestant, X: np.ndarray) -> tuple[Answer, float]:
    time.sleep(PAUSE_SECONDS)
    start = time.perf_counter()
    answer = contestant(X)
    return answer, time.perf_counter() - start


def _score(library, answer, seconds, X, y, loss) -> Score:
    known = y is not None
    return Score(
        library=library,
        loss=loss(X, answer.labels, answer.centers) / len(X),
        wrong_labels=count_wrong_labels(X, answer.labels, answer.centers),
        seconds=seconds,
        accuracy=float(clustering_accuracy(y, answer.labels)) if known else None,
        nmi=float(normalized_mutual_info_score(y, answer.labels)) if known else None,
    )


def describe(X: np.ndarray, n_clusters: int) -> str:
    """Write the size of a job in words.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    n_clusters : int

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> describe(np.zeros((1797, 64)), 10)
    '1,797 x 64 float64, k = 10'
    """
    return f"{X.shape[0]:,} x {X.shape[1]} {X.dtype}, k = {n_clusters}"


def common_start(X: np.ndarray, n_clusters: int) -> np.ndarray:
    """Choose the centres from which both libraries begin.

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (n_samples, n_features)
    n_clusters : int

    Returns
    -------
    ndarray of the dtype of X, shape (n_clusters, n_features)
        scikit-learn's k-means++ on at most 16,384 rows, in float64: in single precision it may
        choose a row twice.
    """
    few = X[:: 1 + len(X) // 16384].astype(np.float64)
    return kmeans_plusplus(few, n_clusters, random_state=0)[0].astype(X.dtype)


def race(
    job: str,
    X: np.ndarray,
    ours: Contestant,
    theirs: Contestant,
    settings: Settings,
    *,
    y: np.ndarray | None = None,
    loss: Callable[[np.ndarray, np.ndarray, np.ndarray], float] = inertia,
) -> tuple[Comparison, Answer]:
    """Let clusterlib and scikit-learn do one job, with the same data, threads and start.

    Each runs once on a few rows (compilation, libraries loaded on first use), then
    ``settings.repeats`` times on all of them, alternately, the first place changing hands;
    three times as often if one turn of both takes less than ``SHORT_SECONDS``, and no longer
    than ``LONG_SECONDS``.

    Parameters
    ----------
    job : str
        What is done, in a few words.
    X : ndarray of float32 or float64, shape (n_samples, n_features)
    ours, theirs : callable(X) -> Answer
        Must work on any 2,048 rows as well.
    settings : Settings
    y : ndarray of int, shape (n_samples,), optional
        Known classes: accuracy and normalised mutual information are added to the scores.
    loss : callable(X, labels, centers) -> float, default inertia
        Sum over the rows; evaluated on both answers.

    Returns
    -------
    comparison : Comparison
    answer : Answer
        Ours, for the figures.
    """
    contestants = {"clusterlib": ours, "scikit-learn": theirs}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    answers: dict[str, Answer] = {}
    with (
        threadpool_limits(settings.n_threads),
        config_context(n_threads=settings.n_threads),
        warnings.catch_warnings(),
    ):
        # Jobs with a fixed number of rounds stop before convergence on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for contestant in contestants.values():
            contestant(X[:2048])
        repeat, n_repeats, total = 0, settings.repeats, 0.0
        while repeat < n_repeats and total < LONG_SECONDS:
            names = list(contestants) if repeat % 2 == 0 else list(contestants)[::-1]
            for name in names:
                answers[name], wall = _timed(contestants[name], X)
                seconds[name].append(wall)
                total += wall
            repeat += 1
            if repeat == 1 and total < SHORT_SECONDS:
                n_repeats *= 3
    scores = [
        _score(name, answers[name], median(seconds[name]), X, y, loss) for name in contestants
    ]
    data = describe(X, len(answers["clusterlib"].centers))
    return Comparison(job, data, *scores), answers["clusterlib"]

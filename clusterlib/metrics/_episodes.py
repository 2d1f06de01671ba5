"""Accuracy over few-shot episodes, with its confidence interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.validation import checked_integer

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import ArrayLike, Float64Array

__all__ = ["EpisodeAccuracy", "episode_accuracy", "evaluate_episodes"]

_NORMAL_QUANTILE = 1.96  # 95 % of a normal law lie within so many standard deviations


class EpisodeAccuracy(NamedTuple):
    """Accuracy over episodes; see :func:`episode_accuracy`.

    Attributes
    ----------
    mean : float
        Mean of ``accuracies``.
    half_width : float
        Half the width of the 95 % confidence interval of the mean, ``1.96 std / sqrt(E)``; NaN
        for a single episode.
    accuracies : ndarray of shape (n_episodes,), float64
        Share of right answers in each episode.
    """

    mean: float
    half_width: float
    accuracies: Float64Array


def episode_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> EpisodeAccuracy:
    """Share of right answers in each episode, their mean and its confidence interval.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_episodes, n_queries)
        True and predicted classes of any type.

    Returns
    -------
    accuracy : EpisodeAccuracy
        ``mean``, ``half_width`` and ``accuracies`` (float64).

    Raises
    ------
    ValueError
        If the shapes are not two equal ones with at least one episode and one query.

    Notes
    -----
    The interval tells how far the mean of other episodes *of the same pool* may be. To compare two
    methods on the same episodes, look at the interval of the difference of their ``accuracies``.

    Examples
    --------
    >>> from clusterlib.metrics import episode_accuracy
    >>> accuracy = episode_accuracy([[0, 1], [1, 1]], [[0, 1], [0, 1]])
    >>> accuracy.mean, round(accuracy.half_width, 3), accuracy.accuracies
    (0.75, 0.49, array([1. , 0.5]))
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.shape != y_pred.shape or y_true.ndim != 2 or y_true.size == 0:
        raise ValueError(
            "y_true and y_pred must have the same shape (n_episodes, n_queries) with at least one "
            f"of each, got {y_true.shape} and {y_pred.shape}"
        )
    accuracies = (y_true == y_pred).mean(axis=1)
    half_width = np.nan
    if len(accuracies) > 1:
        half_width = _NORMAL_QUANTILE * accuracies.std(ddof=1) / np.sqrt(len(accuracies))
    return EpisodeAccuracy(float(accuracies.mean()), float(half_width), accuracies)


def evaluate_episodes(classifier: Any, episodes: Any, *, batch_size: int = 1000) -> EpisodeAccuracy:
    """Accuracy of a few-shot classifier over many episodes.

    Parameters
    ----------
    classifier : object with ``predict_episodes(X, y, queries)`` or ``fit`` and ``predict``
        With the former, many episodes are handed over at once; with ``fit(X, y)`` and
        ``predict(queries)`` alone, one after the other.
    episodes : Episodes
        As :func:`clusterlib.datasets.make_episodes` draws them: anything with the arrays ``X``,
        ``y``, ``queries`` and ``y_queries``.
    batch_size : int, default=1000
        How many episodes are handed over at once.

    Returns
    -------
    accuracy : EpisodeAccuracy
        ``mean``, ``half_width`` and ``accuracies`` (float64).

    Raises
    ------
    ValueError
        If batch_size is below 1, or whatever the classifier refuses.
    TypeError
        If batch_size is not an integer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from clusterlib.datasets import make_episodes
    >>> from clusterlib.metrics import evaluate_episodes
    >>> from clusterlib.transport import OTPrototypeClassifier
    >>> episodes = make_episodes(*load_digits(return_X_y=True), n_episodes=50, random_state=0)
    >>> accuracy = evaluate_episodes(OTPrototypeClassifier(), episodes)
    >>> 0.6 < accuracy.mean < 1, accuracy.accuracies.shape
    (True, (50,))
    """
    batch_size = checked_integer("batch_size", batch_size, 1)
    X, y, queries = episodes.X, episodes.y, episodes.queries
    if hasattr(classifier, "predict_episodes"):
        parts = [slice(start, start + batch_size) for start in range(0, len(X), batch_size)]
        labels = [classifier.predict_episodes(X[part], y[part], queries[part]) for part in parts]
        return episode_accuracy(episodes.y_queries, np.concatenate(labels))
    labels = [
        classifier.fit(*pair).predict(batch) for *pair, batch in zip(X, y, queries, strict=True)
    ]
    return episode_accuracy(episodes.y_queries, np.array(labels))

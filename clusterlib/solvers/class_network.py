"""A small network for q(class | row), trained on nothing but the domains of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import tempered_posterior

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from clusterlib.typing import Array, FloatArray, Int32Array, IntArray

__all__ = ["ClassNetwork", "class_network"]

_MOST_BATCH_ROWS, _LEAST_BATCH_ROWS = 512, 32
_BATCHES = 64
_STEPS = 2500
# More passes than this over few rows learn the rows by heart.
_MOST_PASSES = 40
_LEARNING_RATE = 3e-3
_DECAY = 1e-4
# Adam's memory of the gradient and of its square.
_MOMENTUM, _SQUARE_MEMORY = 0.9, 0.99
# The first part of the steps learns the classes that are given, the rest the domains.
_IMITATING_PART = 0.2
_PRIOR_ROWS = 0.5
_SMALLEST = 1e-7


class ClassNetwork(NamedTuple):
    """Class probabilities by one hidden layer of rectified units and a softmax.

    Attributes
    ----------
    center : ndarray of shape (p,), dtype of X
        Subtracted from the rows.
    hidden : ndarray of shape (p, n_hidden), dtype of X
        Weights of the hidden units, the scale of the rows included.
    hidden_offset : ndarray of shape (n_hidden,), dtype of X
        Their offsets.
    output : ndarray of shape (n_hidden, k), dtype of X
        Weights of the classes.
    output_offset : ndarray of shape (k,), dtype of X
        Their offsets.
    """

    center: FloatArray
    hidden: FloatArray
    hidden_offset: FloatArray
    output: FloatArray
    output_offset: FloatArray

    def pooled(self, rows: FloatArray) -> FloatArray:
        """q(class | row), shape (len(rows), k)."""
        units = _units(rows - self.center, self.hidden, self.hidden_offset)
        return _softmax(_scores(units, self.output, self.output_offset)).T

    def reordered(self, order: IntArray) -> Self:
        """The same model with the classes in another order."""
        output = np.ascontiguousarray(self.output[:, order])
        return self._replace(output=output, output_offset=self.output_offset[order])


def class_network(
    X: FloatArray,
    domains: Int32Array,
    targets: FloatArray,
    domain_given_class: Array,
    rng: np.random.Generator,
    *,
    n_hidden: int = 64,
    callback: Callable[..., Any] | None = None,
) -> ClassNetwork:
    """Train a network on the log-likelihood of the domains.

    Maximises ``sum_i log sum_y D[d_i, y] h_y(x_i)`` over networks h and matrices D, after a first
    fifth of the steps in which h learns the classes that are given. The gradient in the scores of a
    row is the difference between q(class | row, its domain) and h.

    Parameters
    ----------
    X : ndarray of shape (n, p), float32 or float64
        The rows.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    targets : ndarray of shape (n, k), dtype of X
        Class probabilities to begin with.
    domain_given_class : ndarray of shape (r, k)
        q(domain | class) to begin with, above 0.
    rng : numpy.random.Generator
        Source of randomness: first weights, and the order of the rows.
    n_hidden : int, default=64
        Hidden units.
    callback : None or callable, default=None
        ``callback(n_passes, log_likelihood)`` after each pass over X; True stops.

    Returns
    -------
    network : ClassNetwork
        Parameters in the dtype of X.

    Notes
    -----
    Adam on batches of 512 rows (less where there are few), about 2500 of them or 40 passes over X,
    with a step that falls as a cosine. O(p n_hidden + n_hidden k) time for each row of a pass.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import class_network
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 400)
    >>> X = classes[:, None] * 4.0 + rng.normal(size=(400, 2))
    >>> domains = np.where(rng.random(400) < 0.9, classes, 1 - classes).astype(np.int32)
    >>> D = np.array([[0.6, 0.4], [0.4, 0.6]])
    >>> network = class_network(X, domains, D[domains], D, rng, n_hidden=8)
    >>> float(np.mean(network.pooled(X).argmax(axis=1) == classes)) > 0.95
    True
    """
    n = len(X)
    center = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
    scale = X.dtype.type(np.sqrt(np.square(X - center).mean(dtype=np.float64)) or 1.0)
    rows = (X - center) / scale
    weights = _Weights.random(X.shape[1], n_hidden, targets.shape[1], X.dtype, rng)
    batch = min(max(n // _BATCHES, _LEAST_BATCH_ROWS), _MOST_BATCH_ROWS, n)
    n_passes = int(min(_MOST_PASSES, max(1, -(-_STEPS * batch // n))))
    n_imitating = round(_IMITATING_PART * n_passes)
    seen = n // batch * batch
    optimiser = _Adam(weights.values, n_passes * (seen // batch))
    predicted = np.empty((seen, targets.shape[1]), X.dtype)
    D = domain_given_class.astype(X.dtype)
    for n_pass in range(1, n_passes + 1):
        order = rng.permutation(n)[:seen]
        shuffled, dealt = rows[order], domains[order]
        imitated = targets[order] if n_pass <= n_imitating else None
        for start in range(0, seen, batch):
            cut = slice(start, start + batch)
            wanted = None if imitated is None else imitated[cut].T
            predicted[cut] = weights.learn(optimiser, shuffled[cut], D, dealt[cut], wanted)
        step = tempered_posterior(predicted, D, dealt, return_responsibilities=False)
        if imitated is None:
            counts = step.totals + _PRIOR_ROWS / len(D)
            D = (counts / counts.sum(axis=0)).astype(X.dtype)
        if callback is not None and callback(n_pass, step.log_likelihood / seen):
            break
    hidden = weights.hidden / scale
    return ClassNetwork(
        center, hidden, weights.hidden_offset, weights.output, weights.output_offset
    )


class _Adam:
    """Adam over one flat vector, with a learning rate that falls as a cosine."""

    def __init__(self, values, n_steps):
        self._values, self._n_steps = values, n_steps
        self._mean, self._square = np.zeros_like(values), np.zeros_like(values)
        self._step = 0

    def move(self, gradient):
        """Change the values in place."""
        number = self._values.dtype.type
        self._mean += number(1 - _MOMENTUM) * (gradient - self._mean)
        self._square += number(1 - _SQUARE_MEMORY) * (gradient * gradient - self._square)
        rate = 0.5 * _LEARNING_RATE * (1 + np.cos(np.pi * self._step / self._n_steps))
        self._step += 1
        length = np.sqrt(self._square / number(1 - _SQUARE_MEMORY**self._step))
        length += number(1e-8)
        self._values *= number(1 - rate * _DECAY)
        self._values -= number(rate / (1 - _MOMENTUM**self._step)) * self._mean / length


class _Weights:
    """All parameters in one flat vector, and their gradient in another."""

    def __init__(self, n_features, n_hidden, n_classes, dtype):
        shapes = (n_features, n_hidden), (n_hidden,), (n_hidden, n_classes), (n_classes,)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self.values, self._gradient = np.zeros(ends[-1], dtype), np.zeros(ends[-1], dtype)
        views, slopes = (
            [part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=False)]
            for flat in (self.values, self._gradient)
        )
        self.hidden, self.hidden_offset, self.output, self.output_offset = views
        self._slopes = slopes

    @classmethod
    def random(cls, n_features, n_hidden, n_classes, dtype, rng):
        """Weights that keep the sizes of rows of unit variance."""
        weights = cls(n_features, n_hidden, n_classes, dtype)
        weights.hidden[:] = rng.normal(scale=np.sqrt(2 / n_features), size=weights.hidden.shape)
        weights.output[:] = rng.normal(scale=np.sqrt(1 / n_hidden), size=weights.output.shape)
        return weights

    def learn(self, optimiser, rows, D, domains, wanted):
        """One step towards the classes that are wanted, (k, len(rows)); returns those of now."""
        units = _units(rows, self.hidden, self.hidden_offset)
        classes = _softmax(_scores(units, self.output, self.output_offset))
        if wanted is None:
            wanted = classes * D[domains].T
            wanted /= wanted.sum(axis=0)
        error = classes - wanted
        error /= rows.dtype.type(len(rows))
        hidden, hidden_offset, output, output_offset = self._slopes
        np.matmul(units.T, error.T, out=output)
        error.sum(axis=1, out=output_offset)
        back = error.T @ self.output.T
        back *= units > 0
        np.matmul(rows.T, back, out=hidden)
        back.sum(axis=0, out=hidden_offset)
        optimiser.move(self._gradient)
        return classes.T


def _units(rows, weights, offset):
    units = rows @ weights
    units += offset
    return np.maximum(units, 0, out=units)


def _scores(units, weights, offset):
    """Scores of the classes, (k, n): sums over few classes are fast in this layout."""
    scores = weights.T @ units.T
    scores += offset[:, None]
    return scores


def _softmax(scores):
    """Probabilities from scores, in place; none is 0, so that no domain is impossible."""
    scores -= scores.max(axis=0)
    np.exp(scores, out=scores)
    scores += scores.dtype.type(_SMALLEST)
    scores /= scores.sum(axis=0)
    return scores

"""A network with one hidden layer whose outputs are unit vectors, trained by gradients of a loss."""

from itertools import pairwise

import numpy as np

HIDDEN, OUTPUT = 128, 32
STEP, DECAYS = 1e-3, (0.9, 0.999)


def new_weights(rng: np.random.Generator, n_features: int) -> list[np.ndarray]:
    """Random weights of both layers."""
    shapes = pairwise((n_features, HIDDEN, OUTPUT))
    return [rng.normal(size=shape) * np.sqrt(2 / shape[0]) for shape in shapes]


def embedded(X, weights):
    """Unit outputs (n, OUTPUT), their lengths before that, and the hidden layer."""
    hidden = np.maximum(X @ weights[0], 0)
    out = hidden @ weights[1]
    lengths = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return out / lengths, lengths, hidden


def gradients(X, forward, weights, g):
    """Gradients of both layers from that of the outputs; ``forward`` is what ``embedded`` gave."""
    Z, lengths, hidden = forward
    g = (g - (g * Z).sum(axis=1, keepdims=True) * Z) / lengths
    return X.T @ ((g @ weights[1].T) * (hidden > 0)), hidden.T @ g


class Adam:
    """Steps of Adam (Kingma and Ba, 2015) on arrays that are changed in place."""

    def __init__(self, arrays):
        self.arrays, self.step = arrays, 0
        self.moments = [[np.zeros_like(array), np.zeros_like(array)] for array in arrays]

    def move(self, gradients):
        """One step against the gradients."""
        self.step += 1
        for array, own, gradient in zip(self.arrays, self.moments, gradients, strict=True):
            for i, (decay, value) in enumerate(zip(DECAYS, (gradient, gradient**2), strict=True)):
                own[i] = decay * own[i] + (1 - decay) * value
            first, second = (m / (1 - d**self.step) for m, d in zip(own, DECAYS, strict=True))
            array -= STEP * first / (np.sqrt(second) + 1e-8)

"""What the host refuses is refused on a CUDA device, too: with the same words."""

import numpy as np
import pytest

from clusterlib import kernels

X = np.arange(12.0).reshape(4, 3) + 1
Y = np.arange(15.0).reshape(5, 3) / 2
COST = {
    "C": X, "epsilon": 0.5, "log_a": np.log(np.full(4, 0.25)), "f": np.zeros(4), "g": np.zeros(3)
}  # fmt: skip
NAN = np.full(4, np.nan)
LABELS = np.array([0, 1, 1, 0])

CASES = [
    ("pairwise_argmin", (X[0], Y), {}),
    ("pairwise_argmin", (X, Y[:, :2].copy()), {}),
    ("pairwise_argmin", (X, Y[:0]), {}),
    ("pairwise_argmin", (X, None), {}),
    ("pairwise_argmin", (X, Y), {"n_threads": 0}),
    *(("pairwise_topk", (X, Y, k), {}) for k in (0, 6, 1.5, True, None)),
    *(("pairwise_threshold", (X, Y, t), {}) for t in (np.nan, NAN, np.zeros(3), None, "a")),
    *(
        ("pairwise_logsumexp", (X, Y), {"inverse_temperature": t})
        for t in (np.nan, NAN, np.zeros(3), -1.0, np.inf, np.array([1, -1, 1, 1.0]), None, "a")
    ),
    *(
        ("pairwise_logsumexp", (X, Y), {"values": v})
        for v in (np.zeros(5), np.zeros((4, 1)), np.full((5, 1), np.nan), np.zeros((5, 1, 1)))
    ),
    *(
        ("pairwise_logsumexp", (X, Y), options)
        for options in (
            {"mask": "no"},
            {"mask": "same", "x_group": LABELS},
            {"x_group": LABELS},
            {"mask": "same", "x_group": LABELS * 1.0, "y_group": np.zeros(5, int)},
        )
    ),
    ("pairwise_distances", (X, Y), {"out": np.zeros((4, 4))}),
    *(
        (kernel, (X, labels, n), {})
        for kernel in ("cluster_sums", "class_moments")
        for labels, n in ((LABELS, 1), (LABELS[:3], 2), (LABELS * 1.0, 2), (LABELS, 0))
    ),
    ("class_moments", (X, LABELS, 2), {"sample_weight": -np.ones(4)}),
    ("cluster_sums", (X, LABELS, 2), {"sample_weight": NAN}),
    *(("row_softmax", (scores,), {}) for scores in (X[0], X * np.nan, np.full((4, 3), -np.inf))),
    *(
        (kernel, (), COST | change)
        for kernel in ("sinkhorn_sweep", "sinkhorn_plan")
        for change in (
            {"C": X[0]},
            {"C": X[:, :0].copy()},
            {"epsilon": 0},
            {"f": np.zeros(3)},
            {"g": np.full(3, -np.inf)},
        )
    ),
]


def outcome(kernel, args, options):
    with pytest.raises((TypeError, ValueError)) as caught:
        getattr(kernels, kernel)(*args, **options)
    return caught.type, str(caught.value)


@pytest.mark.parametrize(("kernel", "args", "options"), CASES)
def test_errors_are_those_of_the_host(emulated, kernel, args, options):
    def moved(value):
        return emulated.to_device(value) if isinstance(value, np.ndarray) else value

    expected = outcome(kernel, args, options)
    on_device = [moved(value) for value in args], {k: moved(v) for k, v in options.items()}
    assert outcome(kernel, *on_device) == expected


def test_functions_as_metrics_are_for_the_host(emulated):
    x, y = emulated.to_device(X), emulated.to_device(Y)
    with pytest.raises(TypeError, match="metric must be one of .* on a CUDA device, got <built-in"):
        kernels.pairwise_argmin(x, y, metric=max)

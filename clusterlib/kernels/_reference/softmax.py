"""Reference of the kernel in ``kernels/softmax.py``."""

import numpy as np

__all__ = ["row_softmax"]


def row_softmax(scores, log_weight, posteriors, lse, labels, n_threads):
    """Take exponentials in float64, a row at a time."""
    for i in range(len(scores)):
        with np.errstate(over="ignore", invalid="ignore"):
            z = scores[i] if log_weight is None else scores[i] + log_weight
        most = z.max()
        if not np.isfinite(most):  # NaN wins in max
            lse[i] = most if most == -np.inf else np.nan
            posteriors[i] = np.nan
            if labels is not None:
                labels[i] = 0
            continue
        if labels is not None:
            labels[i] = np.argmax(z)
        exponentials = np.exp(z.astype(np.float64) - np.float64(most))
        total = exponentials.sum()
        lse[i] = most + np.log(total)
        posteriors[i] = exponentials / total

"""Do intervals of class shares cover what they promise? ``python -m bench.class_share_intervals``.

Four Gaussian classes and a feature that depends on another one, so that naive Bayes is wrong in a
way that no slope or offset repairs. A table in markdown gives, for each classifier and size, the
coverage of 95 % intervals, that of plain standard errors, and L1 errors of the shares.
"""

import argparse
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from clusterlib.label_shift import BlackBoxShiftEstimator, EMShiftEstimator

SOURCE, TARGET = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.05, 0.15, 0.3, 0.5])
SEPARATION = 1.6
SIZES = ((150, 150), (500, 500), (2000, 500))  # labelled rows, rows of the batch
CLASSIFIERS = {"naive Bayes": GaussianNB(), "logistic regression": LogisticRegression()}
ESTIMATORS = {"EM": EMShiftEstimator, "confusion": BlackBoxShiftEstimator}


def draw(rng: np.random.Generator, n: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their classes."""
    codes = rng.choice(len(shares), size=n, p=shares)
    X = SEPARATION * np.eye(len(shares))[codes] + rng.normal(size=(n, len(shares)))
    return np.c_[X, X[:, :1] ** 2], codes


def figures(model) -> np.ndarray:
    """Coverage of intervals and of plain errors, L1 errors of the prior and of the corrected one."""
    low, high = model.prior_interval()
    error = model.target_prior_ - TARGET
    corrected = getattr(model, "corrected_prior_", model.target_prior_) - TARGET
    plain = np.abs(error) <= 1.96 * model.prior_errors_
    inside = (low <= TARGET) & (TARGET <= high)
    return np.array([inside.mean(), plain.mean(), np.abs(error).sum(), np.abs(corrected).sum()])


def main(argv: list[str] | None = None) -> dict[tuple, np.ndarray]:
    """Print the table; return the means by classifier, sizes and estimator."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.class_share_intervals", description=__doc__
    )
    parser.add_argument("--draws", type=int, default=200, help="of each setting, default 200")
    options = parser.parse_args(argv)
    print("| classifier | rows | estimator | intervals | 1.96 errors | L1 | L1, corrected |")
    print("|---|---|---|---|---|---|---|")
    means = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of large errors
        for name, classifier in CLASSIFIERS.items():
            for sizes in SIZES:
                found = {estimator: [] for estimator in ESTIMATORS}
                for seed in range(options.draws):
                    rng = np.random.default_rng(10_000 + seed)
                    source, (batch, _) = draw(rng, sizes[0], SOURCE), draw(rng, sizes[1], TARGET)
                    for estimator, kind in ESTIMATORS.items():
                        model = kind(classifier).fit(*source).adapt(batch)
                        found[estimator].append(figures(model))
                for estimator, values in found.items():
                    mean = means[name, sizes, estimator] = np.mean(values, axis=0)
                    cells = " | ".join(f"{value:.3f}" for value in mean)
                    print(
                        f"| {name} | {sizes[0]}, {sizes[1]} | {estimator} | {cells} |", flush=True
                    )
    return means


if __name__ == "__main__":
    main()

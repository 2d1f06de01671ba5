"""Domains that nobody has learnt from: ``python -m bench.label_shift_unseen``.

MNIST in 24 domains at concentration 3; classes are learnt from twenty, and the last four, of a few
dozen to a few hundred rows, come later. Their class shares are estimated from their rows alone, by
``LatentLabelShift.adapt``. A table in markdown gives the accuracy on their rows and the error of
their shares, over all seeds.
"""

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from bench import machine
from bench.label_shift_cases import CONDITION, DATA
from clusterlib.config import config_context
from clusterlib.datasets import make_latent_label_shift
from clusterlib.label_shift import LatentLabelShift
from clusterlib.metrics import latent_label_shift_scores
from clusterlib.solvers import shifted_prior

SEEN = 20
WEIGHTS = np.concatenate([np.ones(SEEN), [0.3, 0.6, 1.2, 2.4]])  # relative sizes of domains
CONCENTRATION = 3
WAYS = ("not adapted", "adapted", "adapted from class shares", "known shares")


def main(argv: list[str] | None = None) -> dict[str, tuple[float, float]]:
    """Print the table; return mean accuracy and error by the way of adapting."""
    parser = argparse.ArgumentParser(prog="python -m bench.label_shift_unseen", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many, default 10")
    parser.add_argument("--data", choices=DATA, default="mnist", help="default mnist")
    options = parser.parse_args(argv)
    with threadpool_limits(1), config_context(n_threads=1):
        found = [unseen(options.data, seed) for seed in range(options.seeds)]
    means = {way: tuple(np.mean([one[way] for one in found], axis=0)) for way in WAYS}
    print("| | accuracy | error of the shares |\n|---|---|---|")
    for way, (accuracy, error) in means.items():
        print(f"| {way} | {accuracy:.3f} | {error:.4f} |")
    return means


def unseen(data: str, seed: int) -> dict[str, tuple[float, float]]:
    """Accuracy on the rows of the unseen domains, and mean error of their shares."""
    dealt = make_latent_label_shift(
        *DATA[data](),
        n_domains=len(WEIGHTS),
        concentration=CONCENTRATION,
        max_condition=CONDITION[CONCENTRATION],
        domain_weights=WEIGHTS,
        random_state=1000 + seed,
    )
    seen = dealt.domains < SEEN
    n_classes = dealt.label_marginals.shape[1]
    model = LatentLabelShift(n_classes=n_classes, random_state=seed)
    model.fit(dealt.X[seen], dealt.domains[seen])
    order = latent_label_shift_scores(
        dealt.y[seen], model.labels_, dealt.label_marginals[:SEEN], model.label_marginals_
    ).class_of_label
    source = model.predict_proba(dealt.X[seen]).mean(axis=0)
    hits, errors = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    for domain in range(SEEN, len(WEIGHTS)):
        rows = dealt.domains == domain
        shares = dealt.label_marginals[domain]
        for way, (labels, prior) in answers(model, source, dealt.X[rows], shares[order]).items():
            hits[way].append(order[labels] == dealt.y[rows])
            errors[way].append(np.abs(prior - shares[order]).mean())
    return {
        way: (float(np.concatenate(hits[way]).mean()), float(np.mean(errors[way]))) for way in WAYS
    }


def answers(model, source, X, shares) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Labels and class shares of the rows of one new domain, in each way."""
    pooled = model.predict_proba(X)
    adapted = model.adapt(X)
    naive = shifted_prior(pooled, model.class_prior_).prior
    return {
        "not adapted": (pooled.argmax(axis=1), model.class_prior_),
        "adapted": (adapted.labels, adapted.prior),
        "adapted from class shares": ((pooled * naive / model.class_prior_).argmax(axis=1), naive),
        "known shares": ((pooled * shares / source).argmax(axis=1), shares),
    }


if __name__ == "__main__":
    machine.restart_without_overrides("bench.label_shift_unseen")
    main()

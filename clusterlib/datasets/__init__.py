"""Generated data with known answers, and a loader for embeddings that lie on the disk."""

from clusterlib.datasets._adversarial import ADVERSARIAL_CASES, make_adversarial
from clusterlib.datasets._embeddings import load_embeddings
from clusterlib.datasets._episodes import Episodes, make_episodes
from clusterlib.datasets._gaussian import MixtureParameters, make_gaussian_mixture
from clusterlib.datasets._heterogeneous import (
    DIFFICULT_MIXTURES,
    HeterogeneousMixture,
    make_heterogeneous_mixture,
)
from clusterlib.datasets._label_shift import make_label_shift_domains
from clusterlib.datasets._latent_label_shift import (
    LatentLabelShiftDomains,
    make_latent_label_shift,
)
from clusterlib.datasets._long_tail import make_long_tail
from clusterlib.datasets._noisy_labels import make_noisy_labels
from clusterlib.datasets._separated import make_separated_mixture, recovery_distance
from clusterlib.datasets._von_mises_fisher import make_von_mises_fisher

__all__ = [
    "ADVERSARIAL_CASES",
    "DIFFICULT_MIXTURES",
    "Episodes",
    "HeterogeneousMixture",
    "LatentLabelShiftDomains",
    "MixtureParameters",
    "load_embeddings",
    "make_adversarial",
    "make_episodes",
    "make_gaussian_mixture",
    "make_heterogeneous_mixture",
    "make_label_shift_domains",
    "make_latent_label_shift",
    "make_long_tail",
    "make_noisy_labels",
    "make_separated_mixture",
    "make_von_mises_fisher",
    "recovery_distance",
]

"""Estimators that explain rows as mixtures of a few non-negative components."""

from clusterlib.decomposition._masked_cross_validation import (
    MaskedCrossValidation,
    masked_cross_validation,
)
from clusterlib.decomposition._nmf_interval import ComponentsInterval
from clusterlib.decomposition._simplex_nmf import SimplexNMF

__all__ = [
    "ComponentsInterval",
    "MaskedCrossValidation",
    "SimplexNMF",
    "masked_cross_validation",
]

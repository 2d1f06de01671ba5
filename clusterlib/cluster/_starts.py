"""First centres, as the parameters of an estimator want them."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers import kmeans_plusplus, random_rows, unit_rows
from clusterlib.validation import (
    Start,
    checked_integer,
    checked_n_init,
    checked_start,
    checked_start_centers,
)

__all__ = ["MAX_SEED", "Starts"]

MAX_SEED = np.iinfo(np.int32).max


class Starts(NamedTuple):
    """How the starts of one fit are made.

    Attributes
    ----------
    kind : Start
        Where first centres come from.
    init : object
        The parameter itself: an array or a callable for these kinds.
    n_clusters : int
        How many centres.
    n_init : int
        How many starts.
    """

    kind: Start
    init: object
    n_clusters: int
    n_init: int

    @classmethod
    def of(cls, estimator, default_n_init):
        """Check the parameters of an estimator that say it."""
        kind = checked_start(estimator.init)
        n_init = checked_n_init(estimator.n_init, kind, default_n_init)
        n_clusters = checked_integer("n_clusters", estimator.n_clusters, 1)
        return cls(kind, estimator.init, n_clusters, n_init)

    @property
    def draws_rows(self):
        """Whether centres are drawn from the rows, whose order then has to be known."""
        return self.kind in (Start.KMEANS_PLUSPLUS, Start.RANDOM)

    def centers(self, X, draws, seed, *, spherical=False):
        """First centres of the start with this seed.

        ``X`` is what a callable gets, and ``draws`` knows its rows: None unless ``draws_rows``.
        """
        if self.draws_rows:
            find = kmeans_plusplus if self.kind is Start.KMEANS_PLUSPLUS else random_rows
            rng = np.random.default_rng(seed)
            return find(X, self.n_clusters, rng, spherical=spherical, draws=draws).centers
        given = self.init
        if self.kind is Start.CALLED:
            # scikit-learn's convention: callables for its estimators expect a RandomState.
            random_state = np.random.RandomState(seed)
            given = given(X, self.n_clusters, random_state=random_state)
        centers = checked_start_centers(given, self.n_clusters, X)
        if not spherical:
            return centers
        if not centers.any(axis=1).all():
            raise ValueError("init has a row of zeros, which is no direction to start from")
        return unit_rows(centers)

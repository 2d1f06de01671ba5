"""First centres, as the parameters of an estimator want them."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers import kmeans_parallel, kmeans_plusplus, random_rows, unit_rows
from clusterlib.validation import (
    Start,
    checked_integer,
    checked_n_init,
    checked_start,
    checked_start_centers,
)

__all__ = ["MAX_SEED", "Starts"]

MAX_SEED = np.iinfo(np.int32).max
# Rows up to which "auto" stands for k-means++, which reads them once for each centre.
_FEW_ROWS = 1 << 20


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

    def from_centers(self, centers):
        """The single start from centres that are there already."""
        return self._replace(kind=Start.GIVEN, init=centers, n_init=1)

    @property
    def is_called(self):
        """Whether the user's callable is given the data."""
        return self.kind is Start.CALLED

    def kind_for(self, blocks):
        """What "auto" stands for: a matter of the number of rows, not of where they are."""
        if self.kind is not Start.AUTO:
            return self.kind
        few = blocks.n_samples <= _FEW_ROWS or not blocks.on_host
        return Start.KMEANS_PLUSPLUS if few else Start.KMEANS_PARALLEL

    def needs_order(self, blocks):
        """Whether centres are drawn by the order of the rows, which then has to be known."""
        return self.kind_for(blocks) in (Start.KMEANS_PLUSPLUS, Start.RANDOM)

    def centers(self, X, draws, seed, *, sample_weight=None, spherical=False):
        """First centres of the start with this seed.

        ``X`` is a carrier, or what a callable gets. ``draws`` knows its rows, and their weights:
        None unless :meth:`needs_order`. ``sample_weight`` is for starts without it.
        """
        if self.kind in (Start.GIVEN, Start.CALLED):
            return self._given_centers(X, seed, spherical)
        rng = np.random.default_rng(seed)
        if draws is None or self.kind is Start.KMEANS_PARALLEL:
            options = {"sample_weight": sample_weight, "spherical": spherical}
            return kmeans_parallel(X, self.n_clusters, rng, **options).centers
        find = random_rows if self.kind is Start.RANDOM else kmeans_plusplus
        return find(X, self.n_clusters, rng, spherical=spherical, draws=draws).centers

    def _given_centers(self, X, seed, spherical):
        given = self.init
        if self.is_called:
            # scikit-learn's convention: callables for its estimators expect a RandomState.
            random_state = np.random.RandomState(seed)
            given = given(X, self.n_clusters, random_state=random_state)
        centers = checked_start_centers(given, self.n_clusters, X)
        if not spherical:
            return centers
        if not centers.any(axis=1).all():
            raise ValueError("init has a row of zeros, which is no direction to start from")
        return unit_rows(centers)

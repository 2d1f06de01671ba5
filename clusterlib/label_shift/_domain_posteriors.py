"""What a fitted estimator of latent label shift can do with new rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from clusterlib.base import CallbackSupportMixin
from clusterlib.blocks import Blocks, as_blocks
from clusterlib.solvers import shifted_prior
from clusterlib.solvers.row_results import row_results
from clusterlib.validation import (
    check_is_fitted,
    checked_domain_codes,
    checked_matrix,
    checked_new_domain,
    domain_names,
)

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Carrier, Float64Array, FloatArray, Int32Array

__all__ = ["AdaptedDomain", "DomainPosteriors", "posteriors_of_domains"]

_TINY = np.finfo(np.float64).tiny


class AdaptedDomain(NamedTuple):
    """Class shares and classes of the rows of a new domain; see :meth:`LatentLabelShift.adapt`.

    Attributes
    ----------
    prior : ndarray of shape (n_classes,), float64
        Class shares of the domain; their sum is 1.
    posteriors : ndarray of shape (n_samples, n_classes), float64
        Probabilities of the classes of each row under these shares.
    labels : ndarray of shape (n_samples,), int32
        Most probable class of each row.
    gap : float
        No other shares have a mean log-likelihood that is higher by more than this.
    n_iter : int
        Steps taken.
    """

    prior: Float64Array
    posteriors: Float64Array
    labels: Int32Array
    gap: float
    n_iter: int


class DomainPosteriors(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, CallbackSupportMixin, BaseEstimator
):
    """Base of LatentLabelShift: everything that needs its fitted attributes alone."""

    domains_: Array
    label_marginals_: Float64Array
    class_prior_: Float64Array
    domain_shares_: Float64Array
    domain_given_class_: Float64Array
    labels_: Int32Array
    posteriors_: FloatArray
    n_classes_: int
    n_iter_: int
    converged_: bool
    history_: Float64Array
    n_features_in_: int
    feature_names_in_: Array

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    @property
    def _n_features_out(self):
        return self.n_classes_

    def transform(self, X: Carrier) -> Float64Array:
        """Compute the class probabilities of rows for the domains together.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            The same as ``predict_proba(X)``.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        return self._pooled(X)

    def _pooled(self, X):
        """What ``transform`` returns, whatever container that is told to use."""
        check_is_fitted(self)
        return self._said_by(self._classes_of_rows_, X)

    def domain_probabilities(self, X: Carrier) -> Float64Array:
        """Compute what the discriminator says of the domains of rows: q(domain | row).

        Under latent label shift rows of it lie in a simplex whose corners are the columns of
        ``domain_given_class_``; see :class:`clusterlib.plotting.DomainSimplexDisplay`.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows, best those that ``fit`` has not seen: neighbours of a row of the fit hold the row
            itself.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_domains), float64
            Rows sum to 1. Shares among the nearest rows of the fit, or what the classifier says;
            with micro-clusters, which have no discriminator, what the classes of the rows say:
            ``transform(X) @ domain_given_class_.T``.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        check_is_fitted(self)
        if self._discriminator_ is None:
            return self._pooled(X) @ self.domain_given_class_.T
        return self._said_by(self._discriminator_, X)

    def predict_proba(self, X: Carrier, domain: object = None) -> Float64Array:
        """Compute the class probabilities of rows, for their domains if these are known.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows.
        domain : object or array-like of shape (n_samples,), default=None
            Domain of all rows, or of each: one that ``fit`` has seen in y, or that was named in
            :meth:`adapt`. None answers for the domains together.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            Rows sum to 1.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or for an unseen domain.
        """
        return self._of_rows(X, domain, _posteriors)

    def predict(self, X: Carrier, domain: object = None) -> Int32Array:
        """Find the most probable class of rows, for their domains if these are known.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows.
        domain : object or array-like of shape (n_samples,), default=None
            As in :meth:`predict_proba`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            From 0 to n_classes - 1.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or for an unseen domain.
        """
        return self._of_rows(X, domain, _labels)

    def _said_by(self, known, X):
        X = self._checked_rows(X)
        if isinstance(X, Blocks):
            return row_results(partial(_probabilities, known=known), X)
        return _probabilities(X, known)

    def _checked_rows(self, X):
        """Rows as they are read: arrays, too, in leaves, if those of the fit were."""
        check_is_fitted(self)
        X = checked_matrix(self, X, reset=False)
        return as_blocks(X) if self._fitted_in_leaves_ else X

    def _of_rows(self, X, domain, what):
        """What a function says of rows and their domains, block by block if these are read so."""
        X, codes = self._checked_rows(X), None
        if domain is not None:
            codes = checked_domain_codes(domain, self._domain_codes_, X.shape[0])
        fn = partial(what, classes_of_rows=self._classes_of_rows_, class_ratios=self._class_ratios_)
        return row_results(fn, X, codes) if isinstance(X, Blocks) else fn(X, codes)

    def score(self, X: Carrier, y: ArrayLike) -> float:
        """Compute how well the classes of rows predict their domains.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows that ``fit`` has not seen, for a fair score.
        y : array-like of shape (n_samples,)
            Their domains, as in ``fit``.

        Returns
        -------
        score : float
            Mean of log q(domain | row), in nats; the larger the better. It needs no classes, and
            so chooses ``n_classes``, ``tau`` and ``beta`` in a search, whose folds have to be
            stratified by domains.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or y has unseen domains.
        """
        X = self._checked_rows(X)
        names = {
            name: code for name, code in self._domain_codes_.items() if code < len(self.domains_)
        }
        codes = checked_domain_codes(y, names, X.shape[0], name="y")
        fn = partial(
            _likelihoods,
            classes_of_rows=self._classes_of_rows_,
            domain_given_class=self.domain_given_class_,
        )
        likelihood = row_results(fn, X, codes) if isinstance(X, Blocks) else fn(X, codes)
        return float(np.log(np.maximum(likelihood, _TINY)).mean())

    def adapt(self, X: Carrier, domain: object = None) -> AdaptedDomain:
        """Estimate the class shares of a domain that ``fit`` has not seen, from its rows.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows of one new domain.
        domain : object, default=None
            A name for it, that of no domain in ``domains_``. With a name the shares are kept, and
            ``predict`` and ``predict_proba`` take it for ``domain`` from then on; a name that was
            given before gets the new shares. None keeps nothing.

        Returns
        -------
        adapted : AdaptedDomain
            Named tuple of ``prior``, ``posteriors``, ``labels``, ``gap`` and ``n_iter``.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or ``fit`` has seen the
            domain.
        """
        pooled = self._pooled(X)
        name = checked_new_domain(domain, set(domain_names(self.domains_)))
        found = shifted_prior(pooled, self._source_prior_)
        ratios = found.prior / np.maximum(self._source_prior_, _TINY)
        posteriors = posteriors_of_domains(pooled, ratios[None], np.zeros(len(pooled), np.int32))
        if name is not None:
            self._remember(name, ratios)
        labels = posteriors.argmax(axis=1).astype(np.int32)
        return AdaptedDomain(found.prior, posteriors, labels, found.gap, found.n_iter)

    def _remember(self, name, ratios):
        """Keep the shares of a domain under its name, in place of earlier ones."""
        code = self._domain_codes_.setdefault(name, len(self._class_ratios_))
        before, after = self._class_ratios_[:code], self._class_ratios_[code + 1 :]
        self._class_ratios_ = np.vstack([before, ratios, after])


def _probabilities(X, known):
    found = known.probabilities(X)
    return found.toarray() if scipy.sparse.issparse(found) else found


def _posteriors(X, codes, classes_of_rows, class_ratios):
    pooled = classes_of_rows.probabilities(X)
    return pooled if codes is None else posteriors_of_domains(pooled, class_ratios, codes)


def _labels(X, codes, classes_of_rows, class_ratios):
    posteriors = _posteriors(X, codes, classes_of_rows, class_ratios)
    return posteriors.argmax(axis=1).astype(np.int32)


def _likelihoods(X, codes, classes_of_rows, domain_given_class):
    pooled = classes_of_rows.probabilities(X)
    return np.einsum("ij,ij->i", pooled, domain_given_class[codes])


def posteriors_of_domains(pooled, class_ratios, codes):
    """Class probabilities of rows in their domains, by equation (5).

    Parameters
    ----------
    pooled : ndarray of shape (n, k), float64
        Of the domains together.
    class_ratios : ndarray of shape (r, k), float64
        ``p_d(y) / q(y)`` for each domain, up to a factor for each row.
    codes : ndarray of shape (n,), int32
        Domain of each row.

    Returns
    -------
    posteriors : ndarray of shape (n, k), float64
        Rows sum to 1; a row that its domain rules out keeps its pooled probabilities.
    """
    posteriors = pooled * class_ratios[codes]
    sums = posteriors.sum(axis=1, keepdims=True)
    excluded = sums[:, 0] < _TINY
    posteriors[excluded], sums[excluded] = pooled[excluded], 1.0
    return posteriors / sums

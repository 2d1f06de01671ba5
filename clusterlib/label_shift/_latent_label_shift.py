"""LatentLabelShift: classes that nobody has named, from domains that mix them differently."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import with_callbacks
from clusterlib.label_shift._diagnosis import (
    intervals_of_marginals,
    refits_of,
    report_of,
    warn_if_not_identified,
)
from clusterlib.label_shift._domain_fit import fit_domains
from clusterlib.label_shift._domain_posteriors import DomainPosteriors
from clusterlib.validation import (
    check_is_fitted,
    checked_fitted_rows,
    checked_integer,
    checked_level,
    checked_real,
)

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from clusterlib.label_shift._diagnosis import LabelMarginalIntervals
    from clusterlib.solvers.label_shift_choice import ClassChoice
    from clusterlib.solvers.label_shift_report import ShiftReport
    from clusterlib.typing import ArrayLike, Carrier, Classifier, Float64Array, RandomState

__all__ = ["LatentLabelShift"]


class LatentLabelShift(DomainPosteriors):
    """Find classes from the domains of rows alone, and the share of each class in each domain.

    Rows come from domains: hospitals, months, sources. Classes look the same in all of them, and
    only their shares differ, ``p_d(x | y) = p(x | y)``. From that the classes can be told apart
    without a single label, even where rows of one class do not look alike: rows belong together if
    they are met in the same domains.

    .. warning::
       The target is the **domain**: ``fit(X, y)`` takes for y where each row comes from. Classes
       are not known to the estimator, which numbers them by falling share, 0 for the largest.

    Parameters
    ----------
    n_classes : int or "auto", default="auto"
        Number of classes k; at most the number of domains, which could not tell more apart.
        "auto" chooses it by how well the domains of held-out rows are predicted.
    method : {"tempered", "ddfa"}, default="tempered"
        "tempered" starts from the corners of the simplex of domain probabilities and goes on with
        EM, in which classes are averaged over neighbouring rows. "ddfa" is the published procedure
        [1]_: it clusters what a classifier of the domains says, and factorises the table of
        clusters and domains.
    discriminator : {"auto", "neighbors", "logistic"} or classifier, default="auto"
        What tells the domains of a row apart: the domains of its nearest other rows, a logistic
        regression on standardised features (C = 0.05), or any classifier with ``predict_proba``.
        "auto" is "neighbors" for "tempered", and "logistic" for "ddfa". A classifier that is fitted
        to the domains already is given as ``sklearn.frozen.FrozenEstimator(classifier)``.
    cross_fit : bool or int, default=True
        Folds by which a classifier is kept from rows it has seen: True is 5, dealt evenly within
        each domain, an int from 2 on another number. With False it is asked about the rows it was
        trained on, as published; it knows their domains then, and flexible classifiers fail.
        Neighbours never know the domain of the row itself.
    n_clusters : int or "auto", default="auto"
        Clusters of "ddfa", from k to the number of rows. "auto" is k, and 2 k for "anchor".
    factorizer : {"nmf", "anchor"}, default="nmf"
        How "ddfa" takes the table apart: by a non-negative factorisation from one random start, as
        published, which is one of many that fit as well; or by successive projection, which is
        exact where every class has a cluster of its own.
    adjust : {"pinv", "kl"}, default="pinv"
        How "ddfa" goes from domains to classes: by the pseudo-inverse, as published, with negative
        entries set to 0; or by the mixture of classes that is nearest to what the discriminator
        says in the sense of Kullback and Leibler.
    domain_shares : {"empirical", "uniform"}, default="empirical"
        What "ddfa" takes for the shares q(d) of the domains: those of the rows, or equal ones as
        published, which is wrong where domains differ in size.
    student : None, "auto" or classifier, default=None
        A classifier that is trained on the classes found, without domains. A quarter of the rows
        of each domain is held out; the student replaces the method for new rows if it predicts
        their domains better, by more than a standard error. "auto" lets a logistic regression and
        a network of 64 units compete. Takes a second fit.
    n_neighbors : int or "auto", default="auto"
        Neighbours over which "tempered" averages classes. "auto" begins with 10 and goes on with
        fewer or more of them, 3 to 50, as long as the domains of left-out rows are predicted
        better: more are better where classes overlap, fewer where they are small.
    tau : float or "auto", default="auto"
        Exponent of "tempered" that undoes the smoothing of the average; above 0, 1 for none.
        "auto" is 2, and 1 for micro-clusters.
    beta : float, default=3.0
        Exponent of "tempered" that sharpens classes before shares are counted; above 0. With 1 for
        both exponents it is plain EM, which drifts to classes that follow the domains.
    n_micro_clusters : int, "auto" or None, default="auto"
        Micro-clusters of X that stand for its rows in "tempered" where these are many: time and
        memory are then linear in the number of rows. "auto" takes them above 100 000 rows, one
        for 50 rows and 4000 at most; None never takes them. Not with a classifier for
        ``discriminator``.
    n_init : int or "auto", default="auto"
        Starts, of which the one that predicts the domains best is kept; "auto" is 24, and 3 for
        micro-clusters. For "ddfa" starts of k-means, of which the lowest cost is kept; "auto" is 5.
    max_iter : int or "auto", default="auto"
        Most iterations of a start of "tempered" (300), or of the factorisation of "ddfa" (200).
    tol : float, default=1e-3
        A start of "tempered" ends when no class has moved more of its rows between domains than
        this share; 0 or more.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO; a program
        that has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    domains_ : ndarray of shape (n_domains,)
        Domains in sorted order, in the dtype of y.
    label_marginals_ : ndarray of shape (n_domains, n_classes), float64
        Shares of the classes in each domain, p_d(y); rows sum to 1.
    class_prior_ : ndarray of shape (n_classes,), float64
        Shares of the classes among all rows, q(y), in falling order.
    domain_shares_ : ndarray of shape (n_domains,), float64
        Shares of the domains among all rows, q(d).
    domain_given_class_ : ndarray of shape (n_domains, n_classes), float64
        q(d | y), by which classes and domains are related in ``predict_proba`` and ``score``;
        columns sum to 1. For "tempered" it is what EM ended with: close to, and not the same as,
        ``label_marginals_ * domain_shares_[:, None] / class_prior_``.
    labels_ : ndarray of shape (n_samples,), int32
        Most probable class of each row, its domain taken into account.
    posteriors_ : ndarray of shape (n_samples, n_classes), float64 or float32
        Probabilities of the classes of each row in its domain. They do not come from the row
        itself but from its neighbours, so that ``predict_proba`` of the same rows, which finds
        them among its neighbours, is a little more sure. In the dtype of X with micro-clusters.
        None where X was read block by block: ask ``predict_proba`` for as many as are wanted.
    n_classes_ : int
        Number of classes.
    class_choice_ : None or ClassChoice
        For ``n_classes="auto"``: ``n_classes``, the ``candidates`` with ``scores`` and ``errors``,
        the answer of the rank test (``rank_classes``), and whether the answer is ``sure``.
    log_likelihood_ : float
        Mean over the rows of log q(d | x), in nats, by what has not seen the row's own domain
        (unless ``cross_fit=False``).
    start_log_likelihoods_ : ndarray of shape (n_init,), float64
        Of the starts when they were compared; a single one for "ddfa".
    report_ : ShiftReport
        Whether the classes are ``identified``, and the ``reasons`` against them: strength of the
        shift, agreement of the starts, condition number of the shares, the smallest share, and
        what :class:`clusterlib.solvers.ShiftReport` has more.
    student_ : None or classifier
        The student, fitted to all rows, if it was taken.
    student_gain_ : None or float
        How much better the best student predicted held-out domains, in nats; NaN if no domain
        has two rows, so that none can be held out.
    n_neighbors_ : None or int
        Neighbours over which classes are averaged; None where they are not.
    n_iter_ : int
        Iterations of the start that was kept; of the factorisation for "ddfa", 1 for "anchor".
    converged_ : bool
        Whether they ended by ``tol``.
    history_ : ndarray of shape (n_iter_,), float64
        Log-likelihood of the domains at each iteration of "tempered"; it may fall a little, and
        begins with minus infinity where a start rules out the domain of a row.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    clusterlib.solvers.tempered_label_shift : The default method without estimator.
    clusterlib.metrics.latent_label_shift_scores : Accuracy and error where classes are known.
    clusterlib.metrics.label_shift_floors : What these scores have to be compared with.
    clusterlib.datasets.make_latent_label_shift : Domains made of labelled rows.

    Notes
    -----
    *What it needs.* At least as many domains as classes, with class shares of full rank: domains
    that are alike say nothing. Rows of each class that could be of no other class. Classes that
    look the same in all domains; a change of the camera between domains looks like classes.

    *Distances.* "tempered" compares rows by Euclidean distances: scale features first.

    *Repeated rows.* The nearest row of a copy is the other copy, of the same domain. Where nearly
    all values that occur more than once occur in one domain, each row is therefore taken once in
    a domain, and attributes are those of the rows that are left.

    *Rows that are read block by block* (paths, memory maps, batches, Dask arrays, ...; see the
    guide on blocks) give the bits of an array. Up to 100 000 of them are read into memory, unless
    ``n_micro_clusters`` is a number. Above that, for arrays as well, "ddfa" works in passes: the
    logistic regressions of all folds are fitted together, a sample of what they say is clustered,
    and clusters are counted. "tempered" takes micro-clusters. About 60 bytes are kept for each row,
    no array of rows and classes or domains is made, and what needs all rows (neighbours of rows, a
    student, a classifier that is to be fitted) is refused.

    *Costs.* Neighbours take O(n^2 n_features) time, an iteration O(n n_neighbors k). Memory beside
    X: 4 n bytes for each neighbour (30 to 200 of them), and about 60 n k bytes. "ddfa" takes
    8 n n_domains bytes for the probabilities of a classifier. X is kept for new rows. With
    micro-clusters time and memory are linear in the rows, of which none is kept; what
    they cost is told by :func:`clusterlib.solvers.scaled_label_shift`.

    Fitting warns (ConvergenceWarning) when ``max_iter`` ended the start that was kept, and
    (IdentifiabilityWarning) when ``report_`` has reasons not to believe the classes. Ctrl-C leaves
    the estimator as it was. The same seed gives the same answer for any number of threads; with
    micro-clusters or a classifier but for last bits, which are those of NumPy's BLAS.

    References
    ----------
    .. [1] M. Roberts, P. Mani, S. Garg, Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022, arXiv 2207.13179.
    .. [2] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to
       new a priori probabilities", Neural Computation 14(1), 2002.

    Examples
    --------
    Classes of two blobs each, which no clustering would put together:

    >>> import numpy as np
    >>> from clusterlib.datasets import make_latent_label_shift
    >>> from clusterlib.label_shift import LatentLabelShift
    >>> from clusterlib.metrics import clustering_accuracy
    >>> rng = np.random.default_rng(0)
    >>> blob = rng.integers(0, 6, 6000)
    >>> pool = 4 * np.eye(6)[blob] + rng.normal(size=(6000, 6))
    >>> data = make_latent_label_shift(pool, blob % 3, n_domains=5, max_condition=4, random_state=0)
    >>> model = LatentLabelShift(n_classes=3, random_state=0).fit(data.X, data.domains)
    >>> bool(clustering_accuracy(data.y, model.labels_) > 0.9)
    True
    >>> model.label_marginals_.shape
    (5, 3)
    """

    class_choice_: ClassChoice | None
    log_likelihood_: float
    start_log_likelihoods_: Float64Array
    report_: ShiftReport
    student_: Any
    student_gain_: float | None
    n_neighbors_: int | None

    _reads_blocks = True

    def __init__(
        self,
        n_classes: int | Literal["auto"] = "auto",
        *,
        method: Literal["tempered", "ddfa"] = "tempered",
        discriminator: Literal["auto", "neighbors", "logistic"] | Classifier = "auto",
        cross_fit: bool | int = True,
        n_clusters: int | Literal["auto"] = "auto",
        factorizer: Literal["nmf", "anchor"] = "nmf",
        adjust: Literal["pinv", "kl"] = "pinv",
        domain_shares: Literal["empirical", "uniform"] = "empirical",
        student: Literal["auto"] | Classifier | None = None,
        n_neighbors: int | Literal["auto"] = "auto",
        tau: float | Literal["auto"] = "auto",
        beta: float = 3.0,
        n_micro_clusters: int | Literal["auto"] | None = "auto",
        n_init: int | Literal["auto"] = "auto",
        max_iter: int | Literal["auto"] = "auto",
        tol: float = 1e-3,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_classes = n_classes
        self.method = method
        self.discriminator = discriminator
        self.cross_fit = cross_fit
        self.n_clusters = n_clusters
        self.factorizer = factorizer
        self.adjust = adjust
        self.domain_shares = domain_shares
        self.student = student
        self.n_neighbors = n_neighbors
        self.tau = tau
        self.beta = beta
        self.n_micro_clusters = n_micro_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Carrier, y: ArrayLike) -> Self:
        """Find the classes of X from the domains of its rows.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows, or whatever :func:`clusterlib.blocks.as_blocks` reads block by block. float32 and
            float64 arrays are used as they are, float16 becomes float32, all else float64.
        y : array-like of shape (n_samples,)
            **Domain** of each row, not its class: strings, integers, or what else can be sorted.
            Two domains at least.

        Returns
        -------
        self : LatentLabelShift
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity, no y or one of another length, a single
            domain, more classes than domains, rows that are all the same, or a discriminator or
            student whose probabilities are none; for many rows that are read block by block, also for
            a parameter that needs all of them in memory.
        TypeError
            For a parameter of a wrong type, sparse X, or domains that cannot be sorted.
        """
        if self._fit(X, y):
            warnings.warn(
                f"LatentLabelShift did not converge in {self.n_iter_} iterations. Raise max_iter "
                "or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        warn_if_not_identified(self)
        return self

    @with_callbacks
    def _fit(self, X, y):
        return fit_domains(self, X, y)

    def diagnose(self, n_refits: int = 10) -> ShiftReport:
        """Judge the fit by refits to data that are simulated from it.

        Classes and domains of the fitted rows are drawn anew from the fit, and the classes are
        looked for again from nothing. How many are found says how many the fit has found.

        Parameters
        ----------
        n_refits : int, default=10
            Number of refits, 2 at least.

        Returns
        -------
        report : ShiftReport
            Like ``report_``, with ``expected_accuracy``.

        Raises
        ------
        ValueError
            If the fit was not by neighbours of single rows.
        """
        fitted, refits = self._refits(n_refits)
        return report_of(
            fitted,
            self.domain_given_class_,
            self.label_marginals_,
            strength=self._strength_,
            refits=refits,
        )

    def label_marginals_interval(
        self, level: float = 0.95, n_refits: int = 10, sampled_fraction: float = 0.0
    ) -> LabelMarginalIntervals:
        """Compute intervals that hold the class shares of the domains.

        Parameters
        ----------
        level : float, default=0.95
            Coverage of each interval by itself; above 0 and below 1.
        n_refits : int, default=10
            Refits to simulated data, 2 at least: they tell what the fit gets wrong, which is
            added to what sampling leaves open.
        sampled_fraction : float, default=0.0
            What the shares are of, from 0 to 1. With 0 each domain is a source from which its rows
            were drawn one by one; with 1 it is these very rows, whose classes alone are unknown.
            Between, it is a population of which the rows are that part: intervals are narrower.

        Returns
        -------
        intervals : LabelMarginalIntervals
            Named tuple of ``lower`` and ``upper`` ends and of ``corrected`` shares, each an array
            of shape (n_domains, n_classes), float64.

        Raises
        ------
        ValueError
            If the fit was not by neighbours of single rows, or for a parameter out of range.
        """
        level = checked_level(level)
        sampled_fraction = checked_real("sampled_fraction", sampled_fraction, 0, 1)
        fitted, refits = self._refits(n_refits)
        return intervals_of_marginals(
            fitted, self.label_marginals_, refits, level=level, sampled_fraction=sampled_fraction
        )

    def _refits(self, n_refits):
        """The fitted rows, and refits that are made once for each number of them."""
        check_is_fitted(self)
        n_refits = checked_integer("n_refits", n_refits, 2)
        fitted = checked_fitted_rows(self._fitted_rows_)
        if n_refits not in self._refits_:
            self._refits_[n_refits] = refits_of(fitted, self.domain_given_class_, n_refits)
        return fitted, self._refits_[n_refits]

"""RepresentationCalibrator: Gaussians of classes whose labels may be wrong, and rows from them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin

from clusterlib.base import all_or_nothing, logger, pass_progress, progress_log
from clusterlib.blocks import Blocks, as_blocks, is_carried
from clusterlib.imbalance._label_issues import LabelIssuesMixin, warn_of_labels
from clusterlib.imbalance._recovery import (
    OF_ONE_RECOVERY,
    drawn_rows,
    noise_model,
    noise_model_options,
    paper_calibration,
    paper_options,
)
from clusterlib.imbalance._resampled import resampled_rows, resampled_target
from clusterlib.validation import (
    Recovery,
    check_is_fitted,
    check_random_state,
    checked_choice,
    checked_class_rows,
    checked_class_weight,
    checked_counts,
    checked_verbose,
)

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from clusterlib.typing import (
        Array,
        ArrayLike,
        BoolArray,
        Carrier,
        Float64Array,
        IndexArray,
        RandomState,
        Weights,
    )

__all__ = ["RepresentationCalibrator"]

_MAX_SEED = np.iinfo(np.int32).max
_ITERATION = "RepresentationCalibrator: iteration %d, objective %.6g"


class RepresentationCalibrator(LabelIssuesMixin, OneToOneFeatureMixin, BaseEstimator):
    """Fills up rare classes with rows drawn from Gaussians, although labels may be wrong.

    Every class is one Gaussian. With "noise_model" an EM finds them together with the probability
    that each label is right (:func:`~clusterlib.solvers.noisy_gaussians`). With "paper" it is the
    distributional calibration of RCAL [1]_: the outliers of each class are left out, and rare
    classes borrow from the frequent ones nearby.

    It is a sampler in the manner of imbalanced-learn: :meth:`fit_resample` returns all rows and,
    for each class, as many drawn ones as the largest class has more.

    Parameters
    ----------
    recovery : {"noise_model", "paper"}, default="noise_model"
        How the Gaussians are found.
    shrinkage : float or "auto", default="auto"
        Rows of the pooled covariance that every class is given, above 0; infinity makes all
        classes share one. "auto" chooses by cross-validation without clean labels
        (:func:`~clusterlib.solvers.choose_shrinkage`). Like the next, for "noise_model" only.
    degrees_of_freedom : float, default=None
        Above 2: Student's t with so many takes the place of Gaussians.
    n_neighbors : int, default=20
        Neighbours of the local outlier factor, at least 1. Like all that follow up to
        ``weights``, for "paper" only.
    outlier_threshold : float, default=1.5
        Rows of a larger factor are outliers; above 0.
    n_heads : int, default=3
        From how many frequent classes a rare one borrows, at least 1.
    gamma : float or "eb", default=0.3
        How much it borrows, from 0 to 1; "eb" estimates it for each class.
    alpha : float, default=0.1
        How much of the ridge is added to the covariance of a rare class, at least 0, in squared
        units of X.
    ridge : {"ones", "identity"}, default="ones"
        The matrix of ones, or the identity.
    weights : {"paper", "inverse", "size"}, default="paper"
        What the frequent classes count: size times squared distance, size over squared distance,
        or size.
    max_iter : int, default=300
        Most iterations of the EM.
    tol : float, default=1e-6
        It has converged when an iteration gains no more than this for each row; at least 0.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO.
    random_state : int, RandomState instance or None, default=None
        Deals rows to the folds of "auto", and draws rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted, in the dtype of y.
    means_ : ndarray of shape (n_classes, n_features), float64
        Means of the classes.
    covariances_ : ndarray of shape (n_classes, n_features, n_features), float64
        Their covariances.
    class_prior_ : ndarray of shape (n_classes,), float64
        Shares of the classes: estimated, or with "paper" those of the labels.
    effective_counts_ : ndarray of shape (n_classes,), float64
        Labels of each class that are right, as far as is known: sums of weights times
        ``label_quality_``, or with "paper" numbers of inliers.
    label_quality_ : ndarray of shape (n_samples,), float64
        Probability that the label of a row is right. A weight for whatever learns from the rows.
        Like all that follow up to ``history_``, with "noise_model" only.
    other_labels_ : ndarray of shape (n_samples,)
        The most likely class among those that a row is not labelled as, in the dtype of y.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows.
    shrinkage_ : float
        Rows of the pooled covariance.
    shrinkage_choice_ : ShrinkageChoice or None
        What "auto" has compared.
    history_ : ndarray of shape (n_iter,), float64
        Objective after each iteration.
    inlier_mask_ : ndarray of shape (n_samples,), bool
        Rows that are no outliers of their class. Like all that follow up to ``gamma_``, with
        "paper" only.
    head_classes_ : ndarray of shape (n_head,), intp
        Numbers of the frequent classes, which hold half of the rows.
    neighbors_ : ndarray of shape (n_classes, q), intp
        Numbers of the classes that a rare one borrows from, the nearest first; -1 for others.
    weights_ : ndarray of shape (n_classes, q), float64
        What they count; 0 for frequent classes.
    gamma_ : ndarray of shape (n_classes,), float64
        How much each class borrows.
    n_iter_ : int
        Iterations of the EM; 1 with "paper".
    converged_ : bool
        Whether it converged; True with "paper".
    sample_indices_ : ndarray of shape (n_samples,), intp
        Rows that :meth:`fit_resample` keeps: all of them in their order, before those drawn.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    Warns
    -----
    ConvergenceWarning
        When ``max_iter`` ended the EM.
    UserWarning
        With "noise_model", when classes have fewer than 4 right labels by the model: nothing in
        the rows then tells these classes from what is wrongly labelled as them. And when classes
        are labelled as another one nearly as often as correctly: one may be taken for the other.
        No warning is no proof: where nearly half of the labels of a class are those of another, a
        Gaussian may stretch over the rows of both, and most labels look right then.

    See Also
    --------
    SubclassBalancer : Balances by cutting large classes; no row is drawn.

    Notes
    -----
    It is meant for embeddings with up to about 100 features; reduce more of them by principal
    components first. The noise model takes O(n K m^2) time for each iteration and "auto" 12 to 18
    fits of at most 40 iterations to two thirds of at most about 3000 rows; "paper" takes
    O(sum_c n_c^2 m + n m^2). Memory is O(K m^2 + n), and for "paper" O(n_c n_neighbors).

    With "noise_model" X may be anything that :func:`clusterlib.blocks.as_blocks` reads block by
    block: a memory map, the path of a file or of a folder of files, a Dask array, batches that can be
    read again. :meth:`fit` then reads it twice, once for each iteration and once or twice at the end
    (float64 once more at first), and takes a sample for "auto". Memory is three blocks, O(K m^2), and
    about 50 bytes for each row beside y: numbers of classes, ``label_quality_``, ``other_labels_`` and
    ``sample_indices_``. Results have the bits of an array in memory. :meth:`fit_resample` is for
    arrays, since it returns all rows; after :meth:`fit`, :meth:`sample` draws those that are missing.
    "paper" compares each row with its neighbours and needs all of them in memory.

    A class of the largest size gets none, so that a single class and classes of equal sizes come
    back as they were.

    References
    ----------
    .. [1] M. Zhang, X. Zhao, J. Yao, C. Yuan, W. Huang, "When noisy labels meet long tail dilemmas:
       a representation calibration method", ICCV 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.imbalance import RepresentationCalibrator
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["cat", "dog"], [90, 30])
    >>> X = rng.normal(size=(120, 4)) + 5 * (y == "dog")[:, None]
    >>> y[:3] = "dog"  # three rows are labelled wrongly
    >>> calibrator = RepresentationCalibrator(random_state=0)
    >>> X_filled, y_filled = calibrator.fit_resample(X, y)
    >>> np.unique(y_filled, return_counts=True)
    (array(['cat', 'dog'], dtype='<U3'), array([87, 87]))
    >>> rows, labels, probabilities = calibrator.find_label_issues()
    >>> np.sort(rows), labels
    (array([0, 1, 2]), array(['cat', 'cat', 'cat'], dtype='<U3'))
    """

    means_: Float64Array
    covariances_: Float64Array
    history_: Float64Array
    inlier_mask_: BoolArray
    head_classes_: IndexArray
    neighbors_: IndexArray
    weights_: Float64Array
    gamma_: Float64Array
    sample_indices_: IndexArray

    _instead_of_blocks = (
        "recovery='paper' compares each row with its neighbours; use recovery='noise_model', or give "
        "X as an array"
    )

    def __init__(
        self,
        *,
        recovery: Literal["noise_model", "paper"] = "noise_model",
        shrinkage: float | Literal["auto"] = "auto",
        degrees_of_freedom: float | None = None,
        n_neighbors: int = 20,
        outlier_threshold: float = 1.5,
        n_heads: int = 3,
        gamma: float | Literal["eb"] = 0.3,
        alpha: float = 0.1,
        ridge: Literal["ones", "identity"] = "ones",
        weights: Literal["paper", "inverse", "size"] = "paper",
        max_iter: int = 300,
        tol: float = 1e-6,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.recovery = recovery
        self.shrinkage = shrinkage
        self.degrees_of_freedom = degrees_of_freedom
        self.n_neighbors = n_neighbors
        self.outlier_threshold = outlier_threshold
        self.n_heads = n_heads
        self.gamma = gamma
        self.alpha = alpha
        self.ridge = ridge
        self.weights = weights
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    @property
    def _reads_blocks(self):
        """Whether no row has to be compared with others."""
        return self.recovery == Recovery.NOISE_MODEL.value

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Carrier, y: ArrayLike, sample_weight: Weights = None) -> Self:
        """Find the Gaussians of the classes.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Labelled rows. float32 and float64 arrays are used as they are; float16 becomes
            float32, all else float64. With "noise_model" rows may be read block by block, see Notes.
        y : array-like of shape (n_samples,)
            Their labels, which may be wrong: numbers or strings, none missing.
        sample_weight : float or array-like of shape (n_samples,), default=None
            How many rows each row counts for, at least 0; None means 1. With "noise_model" only.
            Rows of weight 0 change nothing, and their labels are judged like all others.

        Returns
        -------
        self : RepresentationCalibrator
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, values whose squares leave float64,
            no y, one of another length, a missing label or continuous labels. For weights that are
            negative, not finite, of another length or all 0 in a class, and any with "paper".
        TypeError
            For a parameter of a wrong type, sparse X, or numbers among strings in y; with "paper" for
            rows that are read block by block.
        """
        self._fit(X, y, sample_weight)
        warn_of_labels(self)
        return self

    def fit_resample(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, Any]:
        """Find the Gaussians and fill up every class to the size of the largest.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows, as in :meth:`fit`.
        y : array-like of shape (n_samples,)
            Their labels.

        Returns
        -------
        X_resampled : ndarray, list or data frame of shape (n_resampled, n_features)
            The rows of X, then those drawn, class by class; float32 if X is, else float64. A list
            if X is one, a frame with a new index if it is a frame of pandas.
        y_resampled : ndarray, list, Series or frame of shape (n_resampled,), dtype of y
            The labels of y as given, then those of the drawn rows; in the container of y if that
            is a list or comes from pandas.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fit`, and TypeError for rows that are read block by block, but for a memory
            map, which is read into memory.
        """
        if is_carried(X) and not isinstance(X, np.ndarray):
            raise TypeError(
                f"X is read block by block ({type(X).__name__}), and fit_resample of {type(self).__name__} "
                "returns all rows at once: use fit, and sample for the rows that are missing"
            )
        rows, codes, rng = self._fit(X, y)
        warn_of_labels(self)
        rows = rows.rows(0, rows.n_samples) if isinstance(rows, Blocks) else rows
        sizes = np.bincount(codes)
        drawn, drawn_codes = drawn_rows(self, sizes.max() - sizes, rng)
        codes = np.concatenate([codes, drawn_codes])
        rows = np.concatenate([rows, drawn.astype(rows.dtype, copy=False)])
        return resampled_rows(rows, X), resampled_target(self.classes_[codes], y)

    def sample(
        self, counts: int | ArrayLike, *, random_state: RandomState = None
    ) -> tuple[Float64Array, Array]:
        """Draw rows from the Gaussians of the classes.

        Parameters
        ----------
        counts : int or array-like of int of shape (n_classes,)
            How many rows of each class, at least 0. ``sizes.max() - sizes`` fills classes of these
            sizes up to the largest.
        random_state : int, RandomState instance or None, default=None
            Source of randomness.

        Returns
        -------
        X_drawn : ndarray of shape (n_drawn, n_features), float64
            Class by class.
        y_drawn : ndarray of shape (n_drawn,), dtype of y
            Their labels.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError, TypeError
            For counts that are negative, no integers or of another shape.
        """
        check_is_fitted(self)
        counts = checked_counts(counts, len(self.classes_))
        rng = np.random.default_rng(check_random_state(random_state).randint(_MAX_SEED))
        rows, codes = drawn_rows(self, counts, rng)
        return rows, self.classes_[codes]

    def _fit(self, X, y, sample_weight=None):
        """Do what ``fit`` does, but for its warnings; returns rows, codes and a generator."""
        recovery = checked_choice("recovery", self.recovery, Recovery)
        if_noisy, if_paper = noise_model_options(self), paper_options(self)
        verbose = checked_verbose(self.verbose)
        random_state = check_random_state(self.random_state)
        if sample_weight is not None and recovery is Recovery.PAPER:
            raise ValueError(
                "sample_weight is for recovery='noise_model'; recovery='paper' counts rows, so pass "
                "None"
            )
        with all_or_nothing(self):
            X, classes, codes = checked_class_rows(self, X, y)
            weight = checked_class_weight(sample_weight, classes, codes)
            rng = np.random.default_rng(random_state.randint(_MAX_SEED))
            with progress_log(verbose), pass_progress(self, as_blocks(X)):
                if recovery is Recovery.NOISE_MODEL:
                    on_iteration = partial(logger.info, _ITERATION) if verbose else None
                    found = noise_model(
                        X, codes, classes, rng, on_iteration, sample_weight=weight, **if_noisy
                    )
                else:
                    found = paper_calibration(X, codes, len(classes), **if_paper)
            for name in OF_ONE_RECOVERY:
                vars(self).pop(name, None)
            self.classes_ = classes
            self.sample_indices_ = np.arange(len(codes))
            for name, value in found.items():
                setattr(self, name, value)
        return X, codes, rng

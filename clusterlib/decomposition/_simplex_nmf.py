"""SimplexNMF: rows as mixtures of non-negative components."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import all_or_nothing, with_callbacks
from clusterlib.decomposition._factors import FactorsEstimator
from clusterlib.decomposition._nmf_fit import fit_factors
from clusterlib.decomposition._nmf_interval import bootstrap_interval
from clusterlib.decomposition._nmf_units import reconstruction_error, weights_of_rows
from clusterlib.validation import (
    check_is_fitted,
    checked_sample_weight,
    checked_weights,
)

if TYPE_CHECKING:
    from typing import Literal, Self

    from clusterlib.decomposition._nmf_interval import ComponentsInterval
    from clusterlib.typing import ArrayLike, FloatArray, RandomState, SparseMatrix, Weights

__all__ = ["SimplexNMF"]


class SimplexNMF(FactorsEstimator):
    """Non-negative matrix factorisation, with weights that may lie in the simplex.

    Finds non-negative components H and weights W such that ``W H`` is near X. It knows missing
    cells and weights of rows and of cells, starts at rows that are vertices of the others, makes
    many starts at the price of few, and tells how certain components are.

    Parameters
    ----------
    n_components : int, default=2
        Number of components; :func:`masked_cross_validation` helps to choose it.
    loss : {"frobenius", "kullback-leibler"}, default="frobenius"
        "frobenius" minimises the squares of ``X - W H``, by accelerated coordinate descent.
        "kullback-leibler" is for counts: it divides every count among the components, by EM, and
        is the maximum of the likelihood of Poisson or multinomial counts (PLSA).
    weights : {"nonnegative", "simplex"}, default="nonnegative"
        With "simplex" the weights of each row sum to 1: rows are mixtures of components, which
        have the scale of X. For "kullback-leibler" they are the shares of the components in the
        row, whatever its sum, and components sum to 1 in any case.
    init : {"auto", "successive_projection", "svd", "random"} or array-like of shape \
(n_components, n_features), default="auto"
        Components to start at: rows of which the others are mixtures; the larger sides of
        singular vectors; random numbers; or the components themselves. "auto" is
        "successive_projection", and "svd" for counts.
    n_init : int, default=1
        Number of starts, of which the best is kept. All after the first are random. X is
        multiplied by the factors of all starts at once.
    min_volume : float, default=0.0
        Polish of the best start, for "frobenius" with weights in the simplex: adds ``min_volume f
        log det(H H' / u + 0.001 I)`` to the objective, with f what it was and u the mean squared
        norm of a row. Where no row is pure, any components whose hull is large enough fit; a small
        weight (0.01 to 0.03) takes the smallest hull, a large one (1) lets components collapse.
    alpha_W : float, default=0.0
        Penalty of the weights as in scikit-learn's ``NMF``, where it is multiplied by n_features;
        for "frobenius" with non-negative weights.
    alpha_H : float or "same", default="same"
        Penalty of the components, multiplied by n_samples (the sum of the weights of rows).
    l1_ratio : float, default=0.0
        Part of the penalties that is of absolute values, not of squares.
    missing_values : None or nan, default=None
        With nan, cells of X that are NaN are left out of the fit, for "frobenius" with
        non-negative weights. With None they are errors.
    max_iter : int, default=500
        Most iterations of a start.
    tol : float, default=1e-4
        A start ends when ten iterations lower its objective by no more than this part of it.
    verbose : int, default=0
        Above 0, every iteration is logged by the logger "clusterlib" at level INFO; a program
        that has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable. The first start needs none unless
        ``init`` is "random", or fewer components are found than asked for.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Components H in the dtype of X (float32 or float64), in the order of falling shares unless
        they were given. They sum to 1, unless penalties or the simplex fix their scale. A component
        that nothing uses may be zero.
    n_components_ : int
        Their number.
    shares_ : ndarray of shape (n_components,), float64
        Share of each in the sum of ``W H``.
    condition_ : float
        Condition number of the components at length 1: noise in X moves weights by up to this
        factor. Infinity if they are dependent.
    restart_agreement_ : float
        Mean cosine of the components with those of the other starts, after matching; 1.0 for a
        single start. Well below 1, the data do not determine the components.
    anchors_ : None or ndarray of shape (n_found,), int64
        Rows that successive projection took as first components, in that order; None if the best
        start was another.
    reconstruction_err_ : float
        Frobenius norm of ``X - W H``, over cells that are present and weighted; for counts the
        square root of twice the Kullback-Leibler divergence. scikit-learn reports the same.
    n_iter_ : int
        Iterations of the start that was kept.
    converged_ : bool
        Whether that start ended by ``tol``.
    history_ : ndarray of shape (n_objectives,), float64
        Its objective, half the squares and penalties, before and after each iteration (for
        counts only before, which is one less); it never rises. With ``min_volume`` all three are of
        the polish.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    masked_cross_validation : Choose the number of components by cells that are held out.

    Notes
    -----
    An iteration is two products of X with a factor, O(nnz n_components), and some sweeps in
    O((n_samples + n_features) n_components^2); with weights of cells O(n_samples n_features
    n_components) for a sweep. Memory beside X is O((n_samples + n_features) n_components) for each
    start, a transposed copy of sparse X, and two copies of X and of the weights of cells. Sparse X
    is never made dense. ``transform`` treats each row by itself. Steps are extrapolated and taken
    back when the objective rises. Products are those of NumPy's BLAS: another one, or another
    number of its threads, may change the last digits.

    Fitting warns (ConvergenceWarning) when ``max_iter`` came before ``tol``, and (UserWarning) when
    cells left out are reconstructed above ten times the largest known value: with many components,
    nothing bounds them. Ctrl-C interrupts between iterations.

    References
    ----------
    .. [1] N. Gillis and F. Glineur, "Accelerated multiplicative updates and hierarchical ALS
       algorithms for nonnegative matrix factorization", Neural Comput. 24(4), 2012.
    .. [2] A. M. S. Ang and N. Gillis, "Accelerating nonnegative matrix factorization algorithms
       using extrapolation", Neural Comput. 31(2), 2019.
    .. [3] N. Gillis and S. A. Vavasis, "Fast and robust recursive algorithms for separable
       nonnegative matrix factorization", IEEE Trans. Pattern Anal. Mach. Intell. 36(4), 2014.
    .. [4] T. Hofmann, "Probabilistic latent semantic indexing", SIGIR 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.decomposition import SimplexNMF
    >>> H = np.array([[4.0, 0.0, 0.0, 2.0], [0.0, 3.0, 1.0, 0.0]])
    >>> W = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.2, 0.8]])
    >>> model = SimplexNMF(2, weights="simplex").fit(W @ H)
    >>> model.components_.round(3)
    array([[4., 0., 0., 2.],
           [0., 3., 1., 0.]])
    >>> model.transform(W @ H).round(3)
    array([[1. , 0. ],
           [0. , 1. ],
           [0.5, 0.5],
           [0.2, 0.8]])
    """

    _instead_of_blocks = "fit it to a sample as an array and transform rows in parts"

    def __init__(
        self,
        n_components: int = 2,
        *,
        loss: Literal["frobenius", "kullback-leibler"] = "frobenius",
        weights: Literal["nonnegative", "simplex"] = "nonnegative",
        init: Literal["auto", "successive_projection", "svd", "random"] | ArrayLike = "auto",
        n_init: int = 1,
        min_volume: float = 0.0,
        alpha_W: float = 0.0,
        alpha_H: float | Literal["same"] = "same",
        l1_ratio: float = 0.0,
        missing_values: float | None = None,
        max_iter: int = 500,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.weights = weights
        self.init = init
        self.n_init = n_init
        self.min_volume = min_volume
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.missing_values = missing_values
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike | SparseMatrix,
        y: object = None,
        sample_weight: Weights = None,
        cell_weight: ArrayLike | None = None,
    ) -> Self:
        """Find the components of X.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Numbers >= 0. float32 and float64 stay, everything else is converted to float64.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights of rows, not negative. An integer acts as that many copies of the row, 0 as
            its absence. None means 1.
        cell_weight : array-like of shape (n_samples, n_features), default=None
            Weights of cells, not negative, for dense X; cells of weight 0 have no influence.
            None means 1.

        Returns
        -------
        self : SimplexNMF
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, parameters that do not go together, negative numbers, NaN
            or infinity in X, weights that are negative, not finite or all zero.
        TypeError
            For a parameter of a wrong type.
        """
        self._warn(*self._fit(X, sample_weight, cell_weight)[1:], stacklevel=3)
        return self

    def fit_transform(
        self,
        X: ArrayLike | SparseMatrix,
        y: object = None,
        sample_weight: Weights = None,
        cell_weight: ArrayLike | None = None,
    ) -> FloatArray:
        """Find the components of X and the weights of its rows.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            As in :meth:`fit`.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            As in :meth:`fit`.
        cell_weight : array-like of shape (n_samples, n_features), default=None
            As in :meth:`fit`.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            Weights in the dtype of X: what ``transform`` gives for the same rows, up to where the
            iteration for a row ends.
        """
        W, early, unbounded = self._fit(X, sample_weight, cell_weight)
        self._warn(early, unbounded, stacklevel=4)  # beyond what set_output wraps around
        return W

    def _warn(self, early, unbounded, stacklevel):
        if unbounded:
            warnings.warn(unbounded, UserWarning, stacklevel=stacklevel)
        if early:
            warnings.warn(
                f"SimplexNMF did not converge in {self.n_iter_} iterations: its objective is "
                f"{self.history_[-1]:.6g} and still falls. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )

    @with_callbacks
    def _fit(self, X, sample_weight, cell_weight):
        with all_or_nothing(self):
            return fit_factors(self, X, sample_weight, cell_weight)

    def transform(
        self, X: ArrayLike | SparseMatrix, cell_weight: ArrayLike | None = None
    ) -> FloatArray:
        """Find the weights of rows for the components.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Numbers >= 0.
        cell_weight : array-like of shape (n_samples, n_features), default=None
            Weights of cells, as in :meth:`fit`.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            Weights in the dtype of X; 0 for a row without a cell.

        Raises
        ------
        ValueError
            If X or the weights are not what they have to be.
        """
        options, X, cell_weight = self._fitted(X, cell_weight)
        return weights_of_rows(options, self.components_, X, cell_weight)

    def inverse_transform(self, W: ArrayLike) -> FloatArray:
        """Compute rows from weights.

        Parameters
        ----------
        W : array-like of shape (n_samples, n_components)
            Weights.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32 or float64
            ``W H``: with it missing cells are predicted. For counts with weights in the simplex
            they are distributions, to be multiplied by the sum of a row.
        """
        check_is_fitted(self, "components_")
        return checked_weights(W, self.n_components_) @ self.components_

    def score(
        self,
        X: ArrayLike | SparseMatrix,
        y: object = None,
        sample_weight: Weights = None,
        cell_weight: ArrayLike | None = None,
    ) -> float:
        """Compute the negative of the reconstruction error of rows.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Numbers >= 0.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights of rows.
        cell_weight : array-like of shape (n_samples, n_features), default=None
            Weights of cells.

        Returns
        -------
        score : float
            Minus what ``reconstruction_err_`` is for X. More components are never worse by it.
        """
        options, X, cell_weight = self._fitted(X, cell_weight)
        weight = checked_sample_weight(sample_weight, X.shape[0])
        W = weights_of_rows(options, self.components_, X, cell_weight)
        return -reconstruction_error(options, self.components_, X, W, weight, cell_weight)

    def components_interval(
        self, X: ArrayLike | SparseMatrix, level: float = 0.95, n_bootstrap: int = 100
    ) -> ComponentsInterval:
        """Tell how certain components are, by fits to rows that are drawn again.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            The rows of ``fit``.
        level : float, default=0.95
            Part of the draws that lies in the interval, in (0, 1).
        n_bootstrap : int, default=100
            Number of draws, 2 at least.

        Returns
        -------
        interval : ComponentsInterval
            Bounds and standard errors of every entry of ``components_``.

        Notes
        -----
        Each fit starts at ``components_``, and its components are matched with them. The intervals
        say what drawing rows does, not whether another start would have found something else. Rows
        are drawn with equal chances: weights that ``fit`` was given are not known here. The weight
        of the volume is that of the fit.
        """
        options, X, cell_weight = self._fitted(X, None)
        return bootstrap_interval(self, options, X, cell_weight, level, n_bootstrap)

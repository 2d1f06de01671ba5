"""SinkhornTransport: rows of one domain are moved to where they would lie in another."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import all_or_nothing, logger, progress_log
from clusterlib.solvers import (
    PointCost,
    sinkhorn,
    weighted_cost_scale,
    weights_of_relative_entropy,
)
from clusterlib.solvers.sides import side_of
from clusterlib.transport._transport_estimator import TransportEstimator, domain_cost
from clusterlib.validation import (
    CostScale,
    OutOfSample,
    checked_choice,
    checked_cost_scale,
    checked_integer,
    checked_labels_of_sides,
    checked_matrix,
    checked_metric,
    checked_real,
    checked_sample_weight,
    checked_second_matrix,
    checked_verbose,
)

if TYPE_CHECKING:
    from typing import Literal, Self

    from clusterlib.typing import Array, ArrayLike, Float64Array, FloatArray, Int64Array, Weights

__all__ = ["SinkhornTransport"]

# A penalty below epsilon by a larger factor says nothing about a marginal but the power to which
# weights are raised for it may leave the range of float64.
_WEAKEST = 20


class SinkhornTransport(TransportEstimator):
    """Domain adaptation by entropic optimal transport: moves source rows onto a target.

    Finds the cheapest way to turn the distribution of the source rows X into that of the target
    rows, and moves a row to the mean of where its mass goes. A classifier that is fitted on moved
    rows with the labels of the source then serves the target, of which no label is needed.

    Parameters
    ----------
    epsilon : float, default=0.1
        Entropic strength, in units of ``cost_scale``; above 0. A small one moves rows to single
        targets and takes more sweeps, a large one moves all rows to the same mean.
    metric : {"sqeuclidean", "euclidean", "cosine", "inner_product"}, default="sqeuclidean"
        Cost of moving a row.
    cost_scale : {"max", "mean", "median"}, float or None, default="mean"
        What stands for 1 when ``epsilon``, ``rho_a`` and ``rho_b`` are given: a number measured
        on the costs between source and target, a number of yours, or, with None, the costs
        themselves.
    rho_a, rho_b : float, default=inf
        Penalties on the Kullback-Leibler divergence of the marginals of the plan from the weights
        of source and target, in units of ``cost_scale`` and at least ``epsilon / 20``. Infinity
        lets no mass vanish or appear; a finite ``rho_b`` leaves out targets without a counterpart,
        such as outliers or classes the source does not have.
    limit : float, default=10.0
        With ``target_labels``: the cost of moving a row to a target of another class, in units of
        the largest cost; at least 1.
    out_of_sample_map : {"entropic", "nearest"}, default="entropic"
        How ``transform`` moves rows, training rows included. "entropic" takes the mean of targets
        y_j with weights ``softmax_j((g_j - c(x, y_j)) / epsilon)`` [2]_, which for training rows
        is the barycentric map of the plan. "nearest" shifts a row as its nearest training row is
        shifted by that map [3]_, which keeps differences between neighbours.
    max_iter : int, default=2000
        Most sweeps over the costs.
    tol : float, default=1e-6
        The solver stops when the marginals of the plan differ from what they have to be by no
        more than this, in the sum of absolute values and for a total mass of 1.
    verbose : int, default=0
        Above 0, the logger "clusterlib" is told at level INFO how the solver went.

    Attributes
    ----------
    f_ : array of shape (n_samples,), float64
        Potentials of the source rows in units of the cost; minus infinity for weight 0.
    g_ : array of shape (n_targets,), float64
        Potentials of the targets. The plan is ``exp((f_i + g_j - c_ij) / epsilon_effective_)``.
    epsilon_effective_ : float
        ``epsilon`` times the measured ``cost_scale``: the entropic strength in units of the cost.
    transport_cost_ : float
        Sum over the plan times the costs, with the penalties of labels if there are any.
    marginal_error_ : float
        L1 error of the marginals, evaluated in float64.
    n_iter_ : int
        Sweeps over the costs.
    converged_ : bool
        Whether ``marginal_error_`` is at most ``tol``.
    history_ : ndarray of shape (n_recorded, 2), float64
        Marginal error and dual objective as the solver met them.
    method_ : str
        What the solver did and why.
    source_ : array of shape (n_samples, n_features)
        The rows it was fitted with (float32 or float64); not a copy.
    target_ : array of shape (n_targets, n_features)
        The target rows (float32 or float64); not a copy.
    metric_ : str
        The metric.
    penalty_ : float or None
        Cost between different classes, if there were ``target_labels``.
    source_classes_, target_classes_ : ndarray of shape (n_samples,) and (n_targets,), int64
        Numbers of the classes, -1 for unknown; None unless there were ``target_labels``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    clusterlib.solvers.sinkhorn : The solver, with a certificate for its answer.
    clusterlib.plotting.TransportPlanDisplay : A picture of a small plan.

    Notes
    -----
    *Why the target is a keyword.* ``fit(X, y)`` has one place for rows and one for what belongs
    to each of them, and in a pipeline y are the classes that the last step needs. The target rows
    are neither, so they are metadata, as weights are. Stacking both domains in X, told apart by a
    vector, would hand target rows without a class to the classifier at the end of the pipeline.
    As metadata, the target passes through earlier steps with ``transform_input``::

        with sklearn.config_context(enable_metadata_routing=True):
            transport = SinkhornTransport().set_fit_request(target=True)
            transport.set_transform_request(in_target=True)
            model = make_pipeline(
                StandardScaler(), transport, LogisticRegression(), transform_input=["target"]
            )
            model.fit(X, y, target=target)
            model.predict(target, in_target=True)

    ``in_target`` says which rows of ``transform`` are at home in the target and stay where they
    are. Rows are never compared with the training rows to guess it.

    *Labels of the target.* After a fit with ``target_labels``, ``fit_transform`` uses the classes
    of the rows, and so does ``transform`` with "nearest", by way of the nearest training row. The
    entropic map of a row of unknown class cannot, and may then be worse than without labels.

    *Relaxed marginals.* The plan minimises ``<C, P> + epsilon KL(P | a b') + rho_a KL(P 1 | a) +
    rho_b KL(P' 1 | b)``. As the entropy is relative to the weights a and b, it does not matter how
    many rows the same weight is spread over.

    *Costs.* Each sweep takes O(n m d) time and the memory is O((n + m) d): no n x m matrix is
    stored but one that fits into a block (setting ``block_bytes``), or that ``target_labels``
    need, which change single costs. Weights are divided by their sums.

    *CUDA devices.* X and target may be float32 or float64 arrays on a CUDA device, without labels of
    the target. Rows and costs stay there, and so do the potentials and the answers of the methods;
    weights may be on either side, and the history is on the host.

    *Differences from ot.da.SinkhornTransport of POT.* The same plan and maps for
    ``cost_scale=None`` or "max" and equal epsilon. Here ``limit`` is finite by default, because
    with an infinite cost between classes there may be no plan, parameters are not changed by
    ``fit``, and the answer for training rows does not depend on whether an array equals them.

    References
    ----------
    .. [1] N. Courty, R. Flamary, D. Tuia and A. Rakotomamonjy, "Optimal transport for domain
       adaptation", IEEE Transactions on Pattern Analysis and Machine Intelligence 39(9), 2017.
    .. [2] A.-A. Pooladian and J. Niles-Weed, "Entropic estimation of optimal transport maps",
       arXiv:2109.12004, 2021.
    .. [3] S. Ferradans, N. Papadakis, G. Peyre and J.-F. Aujol, "Regularized discrete optimal
       transport", SIAM Journal on Imaging Sciences 7(3), 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.transport import SinkhornTransport
    >>> source = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> target = source + [5.0, 5.0]
    >>> transport = SinkhornTransport(epsilon=0.001).fit(source, target=target)
    >>> transport.transform(source).round(3)
    array([[5., 5.],
           [6., 5.],
           [5., 6.]])
    """

    f_: Float64Array
    g_: Float64Array
    epsilon_effective_: float
    transport_cost_: float
    marginal_error_: float
    n_iter_: int
    converged_: bool
    history_: Float64Array
    method_: str
    source_: FloatArray
    target_: FloatArray
    metric_: str
    penalty_: float | None
    source_classes_: Int64Array | None
    target_classes_: Int64Array | None
    n_features_in_: int
    feature_names_in_: Array

    _takes_device_arrays = True

    _instead_of_blocks = "fit it to samples of both domains and transform rows in parts"

    def __init__(
        self,
        epsilon: float = 0.1,
        *,
        metric: Literal["sqeuclidean", "euclidean", "cosine", "inner_product"] = "sqeuclidean",
        cost_scale: Literal["max", "mean", "median"] | float | None = "mean",
        rho_a: float = np.inf,
        rho_b: float = np.inf,
        limit: float = 10.0,
        out_of_sample_map: Literal["entropic", "nearest"] = "entropic",
        max_iter: int = 2000,
        tol: float = 1e-6,
        verbose: int = 0,
    ) -> None:
        self.epsilon = epsilon
        self.metric = metric
        self.cost_scale = cost_scale
        self.rho_a = rho_a
        self.rho_b = rho_b
        self.limit = limit
        self.out_of_sample_map = out_of_sample_map
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        target: ArrayLike | None = None,
        target_labels: ArrayLike | None = None,
        sample_weight: Weights = None,
        target_weight: Weights = None,
    ) -> Self:
        """Find the transport of the rows of X onto the target.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Source rows. float32 and float64 arrays are used as they are.
        y : array-like of shape (n_samples,), default=None
            Classes of the source rows, used with ``target_labels`` only; -1 or None where a class
            is not known.
        target : array-like or data frame of shape (n_targets, n_features), default=None
            Target rows. None warns and takes X, so that rows are drawn together and the map is
            the identity but for that.
        target_labels : array-like of shape (n_targets,), default=None
            Classes of the target rows as far as they are known; -1 or None for the others.
        sample_weight, target_weight : float or array-like of shape (n_samples,) and \
(n_targets,), default=None
            Weights of source and target rows, not negative. None means equal ones.

        Returns
        -------
        self : SinkhornTransport
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity, a target with other features than X,
            weights that are negative, not finite or all zero, labels of another length, labels or
            weights of a target that is not there.
        TypeError
            For a parameter of a wrong type, sparse data, X and target on different sides of a
            CUDA device, or labels of a target on one.
        """
        metric = checked_metric(self.metric)
        scale = checked_cost_scale(self.cost_scale)
        epsilon = checked_real("epsilon", self.epsilon, 0, low_open=True)
        rho_a, rho_b = (
            checked_real(name, getattr(self, name), epsilon / _WEAKEST, infinite=True)
            for name in ("rho_a", "rho_b")
        )
        limit = checked_real("limit", self.limit, 1)
        checked_choice("out_of_sample_map", self.out_of_sample_map, OutOfSample)
        max_iter = checked_integer("max_iter", self.max_iter, 1)
        tol = checked_real("tol", self.tol, 0)
        verbose = checked_verbose(self.verbose)
        with all_or_nothing(self):
            X = checked_matrix(self, X, reset=True)
            if target is not None:
                target = checked_second_matrix(self, "target", target)
                _check_sides(self, X, target, target_labels)
            elif target_labels is not None or target_weight is not None:
                raise ValueError("target_labels and target_weight need a target; got target=None")
            else:
                _warn_of_no_target(self)
                target, target_weight = X, sample_weight
            a = _distribution("sample_weight", sample_weight, X)
            b = _distribution("target_weight", target_weight, target)
            classes = (None, None)
            if target_labels is not None:
                classes = checked_labels_of_sides(y, target_labels, len(X), len(target))

            _check_range(X, target)
            cost = PointCost(X, target, metric=metric)
            if isinstance(scale, CostScale):
                scale = weighted_cost_scale(cost, scale.value, a, b)
            penalty = None
            if target_labels is not None and (classes[1] >= 0).any():
                penalty = limit * weighted_cost_scale(cost, "max", a, b)
            epsilon, rho_a, rho_b = epsilon * scale, rho_a * scale, rho_b * scale
            solved_a, solved_b, mass = weights_of_relative_entropy(a, b, epsilon, rho_a, rho_b)
            with progress_log(verbose):
                result = sinkhorn(
                    domain_cost(X, target, metric, classes, penalty),
                    epsilon,
                    a=solved_a,
                    b=solved_b,
                    rho_a=rho_a,
                    rho_b=rho_b,
                    max_iter=max_iter,
                    tol=tol,
                    verbose=verbose,
                )
                if verbose:
                    logger.info("%s: %s", type(self).__name__, result)
            self.source_, self.target_ = X, target
            self.source_classes_, self.target_classes_ = classes
            self.metric_, self.penalty_ = self.metric, penalty
            self._store(result, mass)
        return self

    def _store(self, result, mass):
        self.f_ = result.f - result.epsilon * np.log(mass)
        self.g_ = result.g
        self.epsilon_effective_ = result.epsilon
        self.transport_cost_ = result.transport_cost / mass
        self.marginal_error_ = result.marginal_error
        self.n_iter_ = result.n_iter
        self.converged_ = result.converged
        self.history_ = result.history
        self.method_ = result.method
        if not self.converged_:
            warnings.warn(
                f"{type(self).__name__} did not converge in max_iter={self.max_iter} sweeps: the "
                f"marginals of the plan are wrong by {self.marginal_error_:.3g}. Raise max_iter, "
                "tol or epsilon.",
                ConvergenceWarning,
                stacklevel=3,
            )


def _check_sides(estimator, X, target, target_labels):
    """Refuse rows on both sides of a CUDA device, and classes of targets on one."""
    name = type(estimator).__name__
    here, there = side_of(X), side_of(target)
    if here.on_host != there.on_host:
        where, other = ("the host", "a CUDA device")[:: 1 if here.on_host else -1]
        raise TypeError(f"X is on {where} and target is on {other}: pass both on the same side")
    if target_labels is not None and not here.on_host:
        raise TypeError(
            f"{name} works on host arrays where there are target_labels: pass cupy.asnumpy(X) and "
            "cupy.asnumpy(target)"
        )


def _distribution(name, weight, rows):
    """Weights that add up to 1."""
    n_rows = len(rows)
    weight = checked_sample_weight(weight, n_rows, name=name, beside=rows, shares=True)
    return np.full(n_rows, 1 / n_rows) if weight is None else weight / weight.sum()


def _check_range(*points):
    """Refuse points whose squared distances may leave float64."""
    largest = max(max(abs(float(X.min())), abs(float(X.max()))) for X in points)
    if largest > np.sqrt(np.finfo(np.float64).max / (4 * points[0].shape[1])):
        raise ValueError(
            f"X and target must be small enough for squared distances in float64; got {largest:g}"
        )


def _warn_of_no_target(estimator):
    warnings.warn(
        f"{type(estimator).__name__} was given no target and takes X for it. Pass fit(X, "
        "target=...); in a pipeline, request it by set_fit_request(target=True).",
        UserWarning,
        stacklevel=3,
    )

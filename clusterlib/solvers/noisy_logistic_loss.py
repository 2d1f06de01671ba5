"""What logistic regression with wrong labels minimises, and its gradient, from one pass over the rows."""

import numpy as np

from clusterlib.blocks import leaf_sum, map_reduce, tree_reduce
from clusterlib.kernels import cluster_sums, row_softmax
from clusterlib.kernels.leaves import LEAF_ROWS
from clusterlib.solvers.noisy_gaussian_sweep import log_label_probabilities
from clusterlib.solvers.row_results import leaves

__all__ = ["LabelLikelihood", "MeanLoss", "coefficient_units", "weighted_mean"]

_MEAN_ROUNDING = LEAF_ROWS * 2.0**-52


class LabelLikelihood:
    """Log-likelihood of labels that may be wrong, and its gradient.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    codes : ndarray of int of shape (n_samples,)
        Given label of each row.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative; rows of weight 0 are not looked at.
    center : ndarray of shape (n_features,), float64
        Taken from every row.
    transition : None or ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows; None is the identity.
    class_prior : None or ndarray of shape (n_classes,), float64
        Its logarithms are added to the scores.
    """

    def __init__(self, blocks, codes, sample_weight, center, transition, class_prior):
        self._blocks, self._codes, self._weight = blocks, codes, sample_weight
        self._center = center
        with np.errstate(divide="ignore"):
            self._log_prior = None if class_prior is None else np.log(class_prior)
        self._log_labels = None if transition is None else log_label_probabilities(transition)

    def check_labels(self, n_classes):
        """Raise ValueError if a row with weight has a label that no class can have."""
        weight = self._weight
        seen = np.unique(self._codes if weight is None else self._codes[weight > 0])
        log_labels = self._log_labels
        if log_labels is None:
            log_labels = log_label_probabilities(np.eye(n_classes))
        if self._log_prior is not None:
            log_labels = log_labels + self._log_prior
        impossible = seen[log_labels[seen].max(axis=1) == -np.inf]
        if len(impossible):
            raise ValueError(
                f"no class can have the label {impossible[0]} by transition and class_prior"
            )

    def __call__(self, parameters):
        """Value, and gradient of the shape of the parameters, float64.

        Parameters have the shape (n_classes, n_features + 1): the coefficients of the centred
        features, then the intercept of each class.
        """

        def of_block(rows, codes, weight):
            # One array for all leaves: the last column stands for the intercepts.
            design = np.ones((min(len(rows), LEAF_ROWS), parameters.shape[1]))
            parts = (
                self._of_leaf(parameters, design, *leaf) for leaf in leaves(rows, codes, weight)
            )
            return tree_reduce(_merged, parts)

        return map_reduce(of_block, _merged, self._blocks, self._codes, self._weight)

    def _of_leaf(self, parameters, design, rows, codes, weight):
        if weight is not None and not weight.all():
            kept = weight != 0
            rows, codes, weight = rows[kept], codes[kept], weight[kept]
        design = design[: len(rows)]
        np.subtract(rows, self._center, out=design[:, :-1])
        logs, slopes = self._of_scores(design @ parameters.T, codes)
        if weight is not None:
            logs *= weight
            slopes *= weight[:, None]
        return leaf_sum(logs), slopes.T @ design

    def _of_scores(self, scores, codes):
        """Log probability of the label of each row, and its derivatives by the scores."""
        if self._log_labels is None:
            own = np.arange(len(codes)), codes
            logs = scores[own] if self._log_prior is None else scores[own] + self._log_prior[codes]
            posteriors, lse, _ = row_softmax(scores, log_weight=self._log_prior, out=scores)
            slopes = np.negative(posteriors, out=posteriors)
            slopes[own] += 1.0
            return logs - lse, slopes
        joint = scores + self._log_labels[codes]
        slopes, logs, _ = row_softmax(joint, log_weight=self._log_prior, out=joint)
        posteriors, lse, _ = row_softmax(scores, log_weight=self._log_prior, out=scores)
        slopes -= posteriors
        return logs - lse, slopes


class MeanLoss:
    """What is minimised: the negative objective for each unit of weight, as a function of a vector.

    Parameters
    ----------
    likelihood : LabelLikelihood
        Of the labels.
    total : float
        Weight of all rows.
    C : float
        Inverse strength of the penalty, for the sum over all rows.
    units : ndarray of shape (n_features + 1,), float64
        A vector holds the parameters row by row, divided by these.
    """

    def __init__(self, likelihood, total, C, units):
        self._likelihood, self._total, self._units = likelihood, total, units
        self._strength = 1.0 / (C * total)
        self._last = None

    def parameters(self, flat):
        """The matrix that a vector stands for."""
        return flat.reshape(-1, len(self._units)) * self._units

    def __call__(self, flat):
        """Value and gradient; those of the last vector are known."""
        if self._last is None or not np.array_equal(self._last[0], flat):
            self._last = flat.copy(), *self._evaluated(self.parameters(flat))
        return self._last[1], self._last[2].copy()

    def _evaluated(self, parameters):
        value, gradient = self._likelihood(parameters)
        weights = parameters[:, :-1]
        gradient /= -self._total
        gradient[:, :-1] += self._strength * weights
        gradient *= self._units
        penalised = np.sqrt(self._strength) * weights  # of moderate size in any unit of X
        value = 0.5 * np.vdot(penalised, penalised) - value / self._total
        return float(value), gradient.ravel()


def weighted_mean(blocks, sample_weight):
    """Mean of the rows that have a weight, and the weight of all.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative, not all 0.

    Returns
    -------
    mean : ndarray of shape (n_features,), float64
    total : float

    Raises
    ------
    ValueError
        If a row with weight has NaN or infinity.
    """

    def of_block(rows, weight):
        labels = np.zeros(len(rows), dtype=np.int32)
        if weight is not None:
            labels[weight == 0] = -1  # not even looked at
        return cluster_sums(rows, labels, 1, sample_weight=weight)

    def merged(left, right):
        return tuple(a + b for a, b in zip(left, right, strict=True))

    (sums,), (total,) = map_reduce(of_block, merged, blocks, sample_weight)
    return sums / total, float(total)


def coefficient_units(blocks, sample_weight, center, total, C, n_classes):
    """Units of the coefficients of each feature, and of the intercept, for similar curvatures.

    At equal probabilities of K classes the mean loss has the curvature ``h = (K - 1) / K^2`` times
    the variance of a feature, and the penalty ``1 / (C total)``.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative, not all 0.
    center : ndarray of shape (n_features,), float64
        Mean of the rows.
    total : float
        Weight of all rows.
    C : float
        Inverse strength of the penalty, for the sum over all rows.
    n_classes : int
        Number of classes.

    Returns
    -------
    units : ndarray of shape (n_features + 1,), float64
        The inverse roots of variance and ``1 / (h C total)`` together; 1 for the intercept.
    """

    def of_block(rows, weight):
        return tree_reduce(np.hypot, (of_leaf(*leaf) for leaf in leaves(rows, weight)))

    def of_leaf(rows, weight):
        if weight is not None:
            kept = weight != 0
            rows, weight = rows[kept], weight[kept]
        deviations = np.abs(rows - center)
        # Whatever is squared is at most 1.
        peaks = deviations.max(axis=0, initial=0.0)
        deviations /= np.where(peaks > 0, peaks, 1.0)
        squares = np.square(deviations, out=deviations)
        return peaks * np.sqrt(squares.sum(axis=0) if weight is None else weight @ squares)

    deviations = map_reduce(of_block, np.hypot, blocks, sample_weight) / np.sqrt(total)
    # A constant column differs from its mean by the rounding of the mean.
    deviations[deviations <= _MEAN_ROUNDING * np.abs(center)] = 0.0
    penalty = 1.0 / (C * total * (n_classes - 1) / n_classes**2) if n_classes > 1 else 0.0
    scales = np.hypot(deviations, np.sqrt(penalty))
    return np.append(1.0 / np.where(scales > 0, scales, 1.0), 1.0)


def _merged(left, right):
    gradient = left[1]
    gradient += right[1]
    return left[0] + right[0], gradient

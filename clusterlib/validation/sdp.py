"""Parameters of the estimator that relaxes k-means to a semidefinite program."""

from enum import Enum

import numpy as np

from clusterlib.validation.parameters import checked_integer

__all__ = [
    "Certification",
    "RelaxationSolver",
    "checked_certifiable",
    "checked_pair_rows",
    "checked_rank",
    "checked_reference_rows",
    "checked_sketch_size",
    "checked_spread",
]

# Below this, squares have lost digits to the end of the normal numbers.
_LEAST_SPREAD = 1e-280


class RelaxationSolver(Enum):
    """How the relaxation is solved."""

    AUTO = "auto"
    LOW_RANK = "low_rank"
    SKETCH = "sketch"
    CVXPY = "cvxpy"
    EXACT = "exact"


class Certification(Enum):
    """How much work goes into a lower bound on the k-means cost."""

    NONE = "none"
    FAST = "fast"
    BLOCK = "block"
    FULL = "full"


def checked_certifiable(certify, solver, *, in_memory):
    """Refuse certificates of a sketch of rows that are not in memory: they need all rows at once.

    Parameters
    ----------
    certify : Certification
        How much work goes into them.
    solver : RelaxationSolver
        The one that will run; all but the sketch have the rows in memory.
    in_memory : bool
        Whether the rows given are.

    Raises
    ------
    ValueError
        For a certificate that cannot be computed block by block.

    Examples
    --------
    >>> from clusterlib.validation import Certification, RelaxationSolver, checked_certifiable
    >>> checked_certifiable(Certification.NONE, RelaxationSolver.SKETCH, in_memory=False)
    """
    if not in_memory and solver is RelaxationSolver.SKETCH and certify is not Certification.NONE:
        raise ValueError(
            f"certify={certify.value!r} needs all rows at once, and a sketch reads X block by block: "
            "take certify='none', solver='low_rank', which reads all rows into memory, or give X as "
            "an array or a numpy.memmap"
        )


def checked_rank(rank, n_clusters, n_samples):
    """Return the number of columns of the factor: None, or an int from n_clusters to n_samples.

    Parameters
    ----------
    rank : int or None
        The parameter of an estimator.
    n_clusters, n_samples : int
        Clusters and rows.

    Returns
    -------
    rank : int or None
        As it was given.

    Examples
    --------
    >>> from clusterlib.validation import checked_rank
    >>> checked_rank(20, 8, 1000)
    20
    """
    if rank is None:
        return None
    return checked_integer("rank", rank, n_clusters, n_samples, high_name="n_samples")


def checked_sketch_size(sketch_size, n_clusters):
    """Return the number of rows of a sketch: None, or an int not below n_clusters.

    Parameters
    ----------
    sketch_size : int or None
        The parameter of an estimator.
    n_clusters : int
        How many clusters.

    Returns
    -------
    sketch_size : int or None
        As it was given.

    Examples
    --------
    >>> from clusterlib.validation import checked_sketch_size
    >>> checked_sketch_size(500, 8)
    500
    """
    if sketch_size is None:
        return None
    return checked_integer("sketch_size", sketch_size, n_clusters)


def checked_reference_rows(n_samples, limit, *, allow_large):
    """Refuse more rows than the reference solver can take in reasonable time: a ValueError.

    Parameters
    ----------
    n_samples, limit : int
        Rows there are, and rows up to which it takes seconds.
    allow_large : bool
        Whether the user has decided to wait.

    Examples
    --------
    >>> from clusterlib.validation import checked_reference_rows
    >>> checked_reference_rows(1000, 200, allow_large=True)
    """
    if n_samples > limit and not allow_large:
        raise ValueError(
            f"solver='cvxpy' takes minutes to hours above {limit} rows; got n_samples={n_samples}. "
            "Use solver='low_rank', or set allow_large=True"
        )


def checked_pair_rows(n_samples, limit):
    """Refuse a certificate that holds matrices of all pairs of too many rows: a ValueError.

    Parameters
    ----------
    n_samples, limit : int
        Rows there are, and rows that are allowed.

    Examples
    --------
    >>> from clusterlib.validation import checked_pair_rows
    >>> checked_pair_rows(1000, 10_000)
    """
    if n_samples > limit:
        raise ValueError(
            f"certify='full' holds matrices of n_samples x n_samples, for at most {limit} rows; "
            f"got n_samples={n_samples}. Use certify='block'"
        )


def checked_spread(total, n_different):
    """Refuse data whose squared distances leave the range of float64: a ValueError.

    Parameters
    ----------
    total : float
        Sum of the squared distances of the rows to their mean.
    n_different : int
        A lower bound of the number of different rows.

    Returns
    -------
    total : float
        The same.

    Examples
    --------
    >>> from clusterlib.validation import checked_spread
    >>> checked_spread(12.5, 2)
    12.5
    """
    if not np.isfinite(total) or (total < _LEAST_SPREAD and n_different > 1):
        wrong, cure = ("overflow", "divide") if total > 1 else ("underflow", "multiply")
        raise ValueError(
            f"the squared distances of the rows of X to their mean {wrong} float64; {cure} X by a "
            "power of ten"
        )
    return total

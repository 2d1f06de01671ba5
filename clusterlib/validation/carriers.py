"""Rows that are read block by block: who takes them, and what they have to be."""

from sklearn.utils.validation import validate_data

from clusterlib.blocks import as_blocks
from clusterlib.blocks._memmap import is_mapped

__all__ = ["checked_carrier", "takes_carrier"]


def takes_carrier(estimator, X):
    """Tell whether an estimator reads blocks, or refuse what it would have to read so.

    Parameters
    ----------
    estimator : estimator
        Says by ``_reads_blocks`` whether its solver reads blocks, and by ``_instead_of_blocks``
        what else there is for rows that do not fit into memory.
    X : object
        Something that is read block by block.

    Returns
    -------
    takes : bool
        False for an estimator that needs all rows and a memory map, which is an array as well.

    Raises
    ------
    TypeError
        For an estimator that needs all rows and anything else that is read block by block.

    Examples
    --------
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation.carriers import takes_carrier
    >>> takes_carrier(KMeans(), "embeddings.npy")
    True
    """
    if getattr(estimator, "_reads_blocks", False):
        return True
    if is_mapped(X):
        return False
    name = type(estimator).__name__
    instead = getattr(estimator, "_instead_of_blocks", "give it a sample of the rows as an array")
    raise TypeError(
        f"X is read block by block ({type(X).__name__}), and {name} needs all rows in memory at "
        f"once: {instead}"
    )


def checked_carrier(estimator, X, *, reset):
    """Check the data of an estimator that are read block by block.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` with ``reset``.
    X : object
        What :func:`clusterlib.blocks.as_blocks` takes.
    reset : bool
        True in ``fit``, False in ``predict`` and others.

    Returns
    -------
    blocks : Blocks
        The carrier.

    Raises
    ------
    ValueError
        For no rows, or another number of features than in ``fit``; for NaN or infinity in rows
        that are in memory. Others are looked at when they are first read.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation.carriers import checked_carrier
    >>> checked_carrier(KMeans(), as_blocks(np.zeros((3, 2))), reset=True).shape
    (3, 2)
    """
    blocks = as_blocks(X)
    if blocks.n_samples == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={blocks.shape}) while a minimum of 1 is required "
            f"by {type(estimator).__name__}."
        )
    if blocks.in_memory:
        blocks.check_finite()
    return validate_data(estimator, blocks, reset=reset, skip_check_array=True)

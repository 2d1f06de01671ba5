"""What displays share: how matplotlib is loaded and where an absent ``ax`` comes from."""

__all__ = ["checked_axes"]


def checked_axes(display, ax, *, figsize):
    """Return the axes to draw in, those of a new figure for None.

    Parameters
    ----------
    display : display
        The one that draws, for messages.
    ax : matplotlib Axes or None
        What the user gave.
    figsize : tuple of float
        Width and height of a new figure in inches.

    Returns
    -------
    ax : matplotlib Axes
        ``ax``, or the only axes of a new figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If ``ax`` is no axes.
    """
    name = type(display).__name__
    try:
        from matplotlib import axes, pyplot
    except ImportError as error:
        raise ImportError(
            f'{name} needs matplotlib: pip install "clusterlib-native[plot]"'
        ) from error
    if ax is None:
        _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
    if not isinstance(ax, axes.Axes):
        raise TypeError(f"ax must be one matplotlib Axes, got {type(ax).__name__}")
    return ax

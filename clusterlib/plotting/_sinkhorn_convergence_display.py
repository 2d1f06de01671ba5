"""How a transport solver came to its plan: error and dual objective, iteration by iteration."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.plotting._figures import checked_axes

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clusterlib.typing import Array

__all__ = ["SinkhornConvergenceDisplay"]

_TITLE_WIDTH = 64


class SinkhornConvergenceDisplay:
    """Marginal error by iteration, what the dual objective still lacked, and what was done.

    Made by :meth:`from_result`; the arguments are for those who have the numbers already.

    Parameters
    ----------
    error : ndarray of shape (n_recorded,)
        Marginal error of each iteration; may be empty.
    dual : ndarray of shape (n_recorded,), default=None
        Dual objective of each iteration. What it lacks to the largest of them is drawn.
    tol : float, default=None
        Where the solver was told to stop.
    method : str, default=""
        What the solver did and why; becomes the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the error.
    dual_ax_ : matplotlib Axes or None
        The axes of the dual objective, on the right side of the same frame.
    figure_ : matplotlib Figure
        The figure they are in.

    See Also
    --------
    TransportPlanDisplay : What came out.

    Notes
    -----
    The dual objective rises to the optimum when Sinkhorn's iteration or Newton's method goes
    well, while the error may rise for a while. Both axes are logarithmic; values of 0 leave a gap.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from clusterlib.plotting import SinkhornConvergenceDisplay
    >>> display = SinkhornConvergenceDisplay(np.geomspace(1, 1e-6, 20), tol=1e-6).plot()
    >>> display.ax_.get_ylabel()
    'marginal error'
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    dual_ax_: Axes | None
    figure_: Figure

    def __init__(
        self, error: Array, *, dual: Array | None = None, tol: float | None = None, method: str = ""
    ) -> None:
        self.error = error
        self.dual = dual
        self.tol = tol
        self.method = method

    @classmethod
    def from_result(cls, result: Any, *, tol: float | None = None, ax: Axes | None = None) -> Self:
        """Draw the history of a result of the solver or of a fitted estimator.

        Parameters
        ----------
        result : result of a solver or fitted estimator
            Has ``history`` or ``history_``, one column of errors or a second one of the dual
            objective; ``method`` and ``n_iter`` are used where they exist, with or without ``_``.
        tol : float, default=None
            Error that was asked for; None takes it from the estimator, if there is one.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : SinkhornConvergenceDisplay
            With ``ax_``, ``dual_ax_`` and ``figure_``.

        Raises
        ------
        AttributeError
            If there is no history, as in an estimator that is not fitted.
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        ValueError
            If the history has more than two columns.
        """
        history = _attribute(result, "history")
        if history is None:
            raise AttributeError(f"this {type(result).__name__} has no history; was it fitted?")
        history = np.asarray(history, dtype=np.float64)
        columns = history[:, None] if history.ndim == 1 else history
        if columns.ndim != 2 or columns.shape[1] not in (1, 2):
            raise ValueError(
                f"history must have a column of errors and at most one more, got {history.shape}"
            )
        n_iter = _attribute(result, "n_iter")
        method = _attribute(result, "method") or ""
        if method and n_iter is not None:
            method = f"{method} ({n_iter} sweeps)"
        display = cls(
            columns[:, 0],
            dual=columns[:, 1] if columns.shape[1] == 2 else None,
            tol=getattr(result, "tol", None) if tol is None else tol,
            method=method,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw error and dual objective.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : SinkhornConvergenceDisplay
            Itself, with ``ax_``, ``dual_ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``ax`` is no axes.
        """
        ax = checked_axes(self, ax, figsize=(5.6, 3.8))
        self.ax_ = ax
        self.figure_ = ax.figure
        self.dual_ax_ = None
        iterations = np.arange(1, len(self.error) + 1)
        lines = ax.plot(iterations, self.error, marker=".", label="marginal error")
        if self.tol is not None:
            lines.append(ax.axhline(self.tol, color="black", linestyle=":", label="tol"))
        if np.any(np.asarray(self.error) > 0):
            ax.set_yscale("log", nonpositive="mask")
        ax.set(xlabel="iteration", ylabel="marginal error")
        if self.dual is not None and len(self.dual) > 1:
            lines += self._draw_dual(iterations)
        ax.legend(handles=lines)
        ax.set_title(textwrap.fill(self.method, _TITLE_WIDTH), fontsize="small")
        return self

    def _draw_dual(self, iterations):
        missing = np.max(self.dual) - self.dual
        self.dual_ax_ = self.ax_.twinx()
        lines = self.dual_ax_.plot(
            iterations, missing, color="C1", linewidth=1, label="dual objective below its best"
        )
        if np.any(missing > 0):
            self.dual_ax_.set_yscale("log", nonpositive="mask")
        self.dual_ax_.set_ylabel("below the best dual objective")
        return lines


def _attribute(result, name):
    return getattr(result, name, getattr(result, f"{name}_", None))
